// Agreement writes down what Kubernetes' own code makes of requests, so that watchgate's can be compared with it without Go.
//
// Run it here as
//
//	go run ./agreement ../../agreement/corpus
//
// Each file has one JSON object per line: what goes in, and what the code of the API server made of it or the text of its
// error. Cases are written by hand or put together at random from a fixed seed, so that the same sources give the same files.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"k8s.io/klog/v2"
)

// corpora maps each file to what yields its cases.
var corpora = map[string]func(*generator) []any{
	"labels.jsonl":    labelCases,
	"fields.jsonl":    fieldCases,
	"continue.jsonl":  continueCases,
	"durations.jsonl": durationCases,
	"accept.jsonl":    acceptCases,
	"paths.jsonl":     pathCases,
	"options.jsonl":   optionCases,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: agreement DIRECTORY")
		os.Exit(2)
	}
	// Requests which can't be read are what is asked for.
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL"}); err != nil {
		fail(err)
	}
	klog.SetOutput(io.Discard)
	for name, cases := range corpora {
		var file bytes.Buffer
		encoder := json.NewEncoder(&file)
		encoder.SetEscapeHTML(false)
		for _, one := range cases(&generator{rand.New(rand.NewSource(1))}) {
			if err := encoder.Encode(one); err != nil {
				fail(err)
			}
		}
		if err := os.WriteFile(filepath.Join(os.Args[1], name), file.Bytes(), 0o644); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "agreement:", err)
	os.Exit(1)
}

// generator puts texts together at random.
type generator struct{ *rand.Rand }

// of is one of the texts.
func (g *generator) of(texts ...string) string { return texts[g.Intn(len(texts))] }

// many joins up to count texts.
func (g *generator) many(count int, separator string, one func() string) string {
	var parts []string
	for range g.Intn(count + 1) {
		parts = append(parts, one())
	}
	return strings.Join(parts, separator)
}

// damaged is the text with a character changed, now and then.
func (g *generator) damaged(text, characters string) string {
	if text == "" || g.Intn(9) > 0 {
		return text
	}
	at := g.Intn(len(text))
	end := min(at+g.Intn(2), len(text))
	return text[:at] + string(characters[g.Intn(len(characters))]) + text[end:]
}

// distinct yields count different texts, the given ones first.
func distinct(count int, given []string, one func() string) []string {
	seen := map[string]bool{}
	var texts []string
	add := func(text string) {
		// JSON has no other texts.
		if !seen[text] && utf8.ValidString(text) {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	for _, text := range given {
		add(text)
	}
	for range 50 * count {
		if len(texts) >= count {
			break
		}
		add(one())
	}
	return texts
}

// message is the text of an error, or nothing.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
