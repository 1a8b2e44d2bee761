package compare

import (
	"path/filepath"
	"testing"

	"watchgate.test/components/internal/record"
)

func recorded(t *testing.T, lines ...record.Line) *recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording")
	writer, err := record.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		line.Resource = "pods"
		writer.Write(line)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func event(name, key, version string) record.Line {
	return record.Line{Type: record.TypeEvent, Event: name, Key: key, ResourceVersion: version, Hash: "h" + version}
}

func stored(key, version string) record.Line {
	return record.Line{Type: record.TypeStore, Key: key, ResourceVersion: version, Hash: "h" + version}
}

func synced(version string) record.Line {
	return record.Line{Type: record.TypeSynced, ResourceVersion: version}
}

func TestCompare(t *testing.T) {
	direct := []record.Line{
		event("add", "a/x", "5"), synced("6"), event("update", "a/x", "7"), event("update", "a/x", "9"), stored("a/x", "9"),
	}
	changedHash := event("update", "a/x", "7")
	changedHash.Hash = "other"
	for name, c := range map[string]struct {
		gateway     []record.Line
		subsequence bool
		equal       bool
	}{
		"same": {gateway: direct, equal: true},
		"later start": {
			gateway: []record.Line{event("add", "a/x", "7"), synced("7"), event("update", "a/x", "9"), stored("a/x", "9")},
			equal:   true,
		},
		"repeated state": {
			gateway: []record.Line{
				event("add", "a/x", "7"), synced("7"), event("update", "a/x", "9"), event("update", "a/x", "9"), stored("a/x", "9"),
			},
			equal: true,
		},
		"missing state": {
			gateway: []record.Line{event("add", "a/x", "5"), synced("6"), event("update", "a/x", "9"), stored("a/x", "9")},
		},
		"missing state allowed": {
			gateway:     []record.Line{event("add", "a/x", "5"), synced("6"), event("update", "a/x", "9"), stored("a/x", "9")},
			subsequence: true, equal: true,
		},
		"going back": {
			gateway: []record.Line{
				event("add", "a/x", "5"), synced("6"), event("update", "a/x", "9"), event("update", "a/x", "7"), stored("a/x", "9"),
			},
			subsequence: true,
		},
		"other content": {
			gateway: []record.Line{event("add", "a/x", "5"), synced("6"), changedHash, event("update", "a/x", "9"), stored("a/x", "9")},
		},
		"other store": {
			gateway: []record.Line{
				event("add", "a/x", "5"), synced("6"), event("update", "a/x", "7"), event("update", "a/x", "9"), stored("a/x", "7"),
			},
		},
		"gone before the direct list": {
			gateway: append([]record.Line{event("add", "a/y", "3"), event("delete", "a/y", "4")}, direct...),
			equal:   true,
		},
		"deleted after the direct list, unseen there": {
			gateway: append([]record.Line{event("add", "a/y", "3"), event("delete", "a/y", "8")}, direct...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			summary := compare(recorded(t, direct...), recorded(t, c.gateway...), 10, c.subsequence)
			if summary.Equal != c.equal {
				t.Errorf("equal is %t: %+v", summary.Equal, summary)
			}
		})
	}
}

func TestCutOffRecordingIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recording")
	writer, err := record.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer.Write(synced("1"))
	if _, err := load(path); err == nil {
		t.Error("a file without an end was read")
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := load(path); err != nil {
		t.Error(err)
	}
}
