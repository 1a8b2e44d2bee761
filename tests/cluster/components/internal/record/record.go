// Package record is the file format which informers writes and compare reads: JSON lines, each an object with a "type".
package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// The types of lines.
const (
	TypeEvent   = "event"   // One notification of an informer.
	TypeSynced  = "synced"  // An informer's first list is complete.
	TypeRequest = "request" // One HTTP request and the head of its response.
	TypeStore   = "store"   // One object of an informer's store when the program ended.
	TypeEnd     = "end"     // The last line: its absence means that the file is cut off.
)

// Line is any line. Fields which its type has no use for are empty.
type Line struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`

	// Events, synced and store lines: the resource as given on the command line, for example "pods".
	Resource string `json:"resource,omitempty"`

	// Events and store lines.
	Key             string `json:"key,omitempty"` // namespace/name, or name.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	UID             string `json:"uid,omitempty"`
	Hash            string `json:"hash,omitempty"` // SHA-256 of the object's canonical JSON.

	// Events: add, update or delete; Initial marks the adds of the first list, LastKnown a delete which was found missing
	// in a relist, so that its object is the last one seen and not the deleted one.
	Event     string `json:"event,omitempty"`
	Initial   bool   `json:"initial,omitempty"`
	LastKnown bool   `json:"lastKnown,omitempty"`

	// Requests.
	Method      string  `json:"method,omitempty"`
	Target      string  `json:"target,omitempty"` // Path and query.
	Verb        string  `json:"verb,omitempty"`   // list, watch, watch-list or other.
	Status      int     `json:"status,omitempty"`
	ContentType string  `json:"contentType,omitempty"`
	CacheStatus string  `json:"cacheStatus,omitempty"`
	Seconds     float64 `json:"seconds,omitempty"` // Until the head of the response.
	Error       string  `json:"error,omitempty"`
}

// Writer appends lines to a file. It may be used by several goroutines.
type Writer struct {
	mutex  sync.Mutex
	file   *os.File
	buffer *bufio.Writer
	closed bool
	err    error
}

// Create truncates the file at path.
func Create(path string) (*Writer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Writer{file: file, buffer: bufio.NewWriter(file)}, nil
}

// Write appends the line and stamps it. A failure is kept for Close; lines after Close are dropped.
func (w *Writer) Write(line Line) {
	line.Time = time.Now().UTC()
	data, err := json.Marshal(line)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.closed || w.err != nil {
		return
	}
	if err == nil {
		_, err = w.buffer.Write(append(data, '\n'))
	}
	w.err = err
}

// Close writes the end line and returns the first failure of any write.
func (w *Writer) Close() error {
	w.Write(Line{Type: TypeEnd})
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.closed = true
	if err := w.buffer.Flush(); w.err == nil {
		w.err = err
	}
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// Read returns all lines of a complete file.
func Read(path string) ([]Line, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []Line
	decoder := json.NewDecoder(bufio.NewReader(file))
	for {
		var line Line
		err := decoder.Decode(&line)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 || lines[len(lines)-1].Type != TypeEnd {
		return nil, fmt.Errorf("%s is cut off: it has no end line", path)
	}
	return lines, nil
}
