// Package compare holds two recordings of package informers against each other: usually one made directly with the API server
// and one made through a gateway, of the same resources at the same time.
//
// Equal means: the final stores have the same keys, resource versions and contents; and each object went through the same
// states in the same order, deletions included, from the later of the two points at which the runs first saw it. How an event
// is called is not compared, since an object's first state is an add for one run and an update for the other. A state which is
// reported again without a change, as after a relist, counts once.
package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"watchgate.test/components/internal/record"
)

// Summary is what compare prints.
type Summary struct {
	Equal       bool         `json:"equal"`
	Direct      Counts       `json:"direct"`
	Gateway     Counts       `json:"gateway"`
	Objects     int          `json:"objects"`        // Objects which either run saw.
	Compared    int          `json:"comparedStates"` // States which both runs had to see and did.
	Differences int          `json:"differences"`
	First       []Difference `json:"firstDifferences,omitempty"`
}

// Counts are of one recording.
type Counts struct {
	Events   int            `json:"events"`
	Stored   int            `json:"stored"`
	Requests map[string]int `json:"requests"` // Per verb and status, such as "watch 200".
}

// Difference is one disagreement.
type Difference struct {
	Where   string `json:"where"` // store, events or recording.
	Object  string `json:"object"`
	Direct  string `json:"direct"`
	Gateway string `json:"gateway"`
}

// Command is the compare part.
func Command() *cobra.Command {
	var limit int
	var subsequence bool
	command := &cobra.Command{
		Use:          "compare DIRECT GATEWAY",
		Short:        "Compare two recordings of informers; exit code 1 if they differ",
		Args:         cobra.ExactArgs(2),
		SilenceUsage: true,
		RunE: func(_ *cobra.Command, args []string) error {
			direct, err := load(args[0])
			if err != nil {
				return err
			}
			gateway, err := load(args[1])
			if err != nil {
				return err
			}
			summary := compare(direct, gateway, limit, subsequence)
			encoder := json.NewEncoder(os.Stdout)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(summary); err != nil {
				return err
			}
			if !summary.Equal {
				os.Exit(1)
			}
			return nil
		},
	}
	command.Flags().IntVar(&limit, "differences", 10, "how many differences to print")
	command.Flags().BoolVar(&subsequence, "subsequence", false,
		"let the second run miss states in between, as it does when it had to relist; those it has must still be in order")
	return command
}

// state is one state of an object.
type state struct {
	version uint64
	hash    string
	deleted bool
	// lastKnown deletions carry the last object seen, so that only the fact can be compared.
	lastKnown bool
}

func (s state) String() string {
	switch {
	case s.lastKnown:
		return "deleted unseen"
	case s.deleted:
		return fmt.Sprintf("deleted at %d (%.12s)", s.version, s.hash)
	default:
		return fmt.Sprintf("%d (%.12s)", s.version, s.hash)
	}
}

func same(a, b state) bool {
	if a.deleted && b.deleted && (a.lastKnown || b.lastKnown) {
		return true
	}
	return a == b
}

type recording struct {
	counts Counts
	states map[string][]state // By resource and key.
	store  map[string]state
	synced map[string]uint64 // The version of each resource's first list, or one shortly after.
	errors []string
	which  map[string]string // The resource of each object.
}

func load(path string) (*recording, error) {
	lines, err := record.Read(path)
	if err != nil {
		return nil, err
	}
	r := &recording{
		counts: Counts{Requests: map[string]int{}},
		states: map[string][]state{}, store: map[string]state{}, synced: map[string]uint64{}, which: map[string]string{},
	}
	for i := range lines {
		if err := r.add(&lines[i]); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, err)
		}
	}
	return r, nil
}

func (r *recording) add(line *record.Line) error {
	if line.Type == record.TypeRequest {
		outcome := strconv.Itoa(line.Status)
		if line.Error != "" {
			outcome = "failed"
		}
		r.counts.Requests[line.Verb+" "+outcome]++
		return nil
	}
	if line.Type == record.TypeEnd {
		return nil
	}
	if line.Error != "" {
		r.errors = append(r.errors, line.Error)
		return nil
	}
	version, err := strconv.ParseUint(line.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion: %w", err)
	}
	object := line.Resource + " " + line.Key
	r.which[object] = line.Resource
	switch line.Type {
	case record.TypeSynced:
		delete(r.which, object)
		r.synced[line.Resource] = version
	case record.TypeStore:
		r.counts.Stored++
		r.store[object] = state{version: version, hash: line.Hash}
	case record.TypeEvent:
		r.counts.Events++
		next := state{version, line.Hash, line.Event == "delete", line.LastKnown}
		states := r.states[object]
		if len(states) == 0 || states[len(states)-1] != next {
			r.states[object] = append(states, next)
		}
	default:
		return fmt.Errorf("unknown type %q", line.Type)
	}
	return nil
}

func compare(direct, gateway *recording, limit int, subsequence bool) *Summary {
	s := &Summary{Direct: direct.counts, Gateway: gateway.counts}
	differ := func(where, object, a, b string) {
		s.Differences++
		if len(s.First) < limit {
			s.First = append(s.First, Difference{where, object, a, b})
		}
	}
	for _, message := range direct.errors {
		differ("recording", "", message, "")
	}
	for _, message := range gateway.errors {
		differ("recording", "", "", message)
	}
	objects := map[string]string{}
	maps.Copy(objects, direct.which)
	maps.Copy(objects, gateway.which)
	s.Objects = len(objects)
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		a, inA := direct.store[object]
		b, inB := gateway.store[object]
		if inA != inB || a != b {
			differ("store", object, describe(a, inA), describe(b, inB))
		}
		resource := objects[object]
		as, bs := alignBoth(direct.states[object], gateway.states[object], direct.synced[resource], gateway.synced[resource])
		compared, i := matching(as, bs, subsequence)
		s.Compared += compared
		if i >= 0 {
			differ("events", object, at(as, i), at(bs, i))
		}
	}
	s.Equal = s.Differences == 0
	return s
}

func describe(s state, present bool) string {
	if !present {
		return "absent"
	}
	return s.String()
}

func at(states []state, i int) string {
	if i >= len(states) {
		return fmt.Sprintf("no state %d", i)
	}
	return fmt.Sprintf("state %d: %s", i, states[i])
}

// alignBoth drops what only one run could see: the states before the other's first one, and, for an object which the other
// never saw, those up to the other's first list.
func alignBoth(a, b []state, syncedA, syncedB uint64) ([]state, []state) {
	switch {
	case len(a) == 0 && len(b) == 0:
		return nil, nil
	case len(a) == 0:
		return nil, gone(b, syncedA)
	case len(b) == 0:
		return gone(a, syncedB), nil
	}
	first := max(a[0].version, b[0].version)
	return from(a, first), from(b, first)
}

func from(states []state, version uint64) []state {
	return slices.DeleteFunc(slices.Clone(states), func(s state) bool { return !s.lastKnown && s.version < version })
}

// gone is nothing for an object which was deleted before the other run's first list, and all its states otherwise.
func gone(states []state, synced uint64) []state {
	last := states[len(states)-1]
	if last.deleted && last.version <= synced {
		return nil
	}
	return states
}

// matching counts the states which agree and gives the place of the first that doesn't, or -1.
func matching(direct, gateway []state, subsequence bool) (compared, difference int) {
	i := 0
	for j := range gateway {
		for subsequence && i < len(direct) && !same(direct[i], gateway[j]) {
			i++
		}
		if i >= len(direct) || !same(direct[i], gateway[j]) {
			return compared, j
		}
		i++
		compared++
	}
	if !subsequence && i < len(direct) {
		return compared, i
	}
	return compared, -1
}
