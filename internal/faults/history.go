package faults

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// Publication is one event as it was published.
type Publication struct {
	Topic   string
	Payload string
	ID      string    // what the application says it is (bus.HeaderID); "": nothing
	At      time.Time // zero where it is not known
}

// Run is what one incarnation of a publisher has published: Events[i] has the seq
// i+1. It is safe for concurrent use by its methods.
type Run struct {
	Source bus.Incarnation
	// Keep is the publisher's bound of past events; Messages 0: it keeps none.
	Keep bus.Keep
	// Ended is when the incarnation was no more to be asked; zero: it still is.
	Ended time.Time

	mu     sync.Mutex
	Events []Publication
}

// Add notes that an event has been published, in the order of publishing.
func (r *Run) Add(p Publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Events = append(r.Events, p)
}

// Last is the seq of the last event, 0 if there is none.
func (r *Run) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.Events))
}

// overhead is how much more than its topic and payload an event takes in the ring of
// its publisher, headers apart: frames and meta, and some to spare.
const overhead = 64

// kept reports whether an event was surely kept at a time. seq counts from 1.
func (r *Run) kept(seq uint64, at time.Time) bool {
	if !r.Ended.IsZero() && !r.Ended.After(at) {
		return false
	}
	e := &r.Events[seq-1]
	if r.Keep.Age > 0 && at.Sub(e.At) >= r.Keep.Age {
		return false
	}
	published := sort.Search(len(r.Events), func(i int) bool { return r.Events[i].At.After(at) })
	if published-int(seq) >= r.Keep.Messages {
		return false
	}
	bytes := 0
	for i := int(seq) - 1; i < published && r.Keep.Bytes > 0; i++ {
		e := &r.Events[i]
		if bytes += len(e.Topic) + len(e.Payload) + len(e.ID) + overhead; bytes > r.Keep.Bytes {
			return false
		}
	}
	return true
}

// Term is one state of a subscriber's filter.
type Term struct {
	Filter topic.Filter
	// From tells for each source after which seq it is known to have been in force.
	// A source that is not in it owes nothing by this term.
	From map[bus.Incarnation]uint64
}

// View is what one subscriber saw, and what it should have seen.
type View struct {
	Events []bus.Event // as the subscriber yielded them
	Terms  []Term      // its filters, one after the other

	// Upto tells for each source up to which seq everything must be accounted for:
	// it was given the time. Without an entry that is as far as the subscriber has
	// heard of it.
	Upto map[bus.Incarnation]uint64
	// Recover: what is reported missing must have been gone.
	Recover bool
	// Redundant: what one source has not brought another may, by its ID.
	Redundant bool
	// Damage is how many bits were flipped on the way. Each may bring messages that
	// nobody published, see [ForgedPerBit]; the counts of gaps are nothing to rely on,
	// an answer that was hit may not make good what it should have, and the order holds
	// for each topic only.
	Damage int
}

// everything reports whether the view lets every topic through, all the while.
func (v *View) everything() bool {
	return !slices.ContainsFunc(v.Terms, func(t Term) bool { return !t.Filter.Equal(topic.Everything()) })
}

// passes reports whether a topic passed the filter at any time.
func (v *View) passes(name string) bool {
	return slices.ContainsFunc(v.Terms, func(t Term) bool { return t.Filter.MatchString(name) })
}

// owed is the seq after which a source owes the events on a topic: since a term was
// in force that let it through, as did all that followed. ok is false where none did.
func (v *View) owed(source bus.Incarnation, name string) (after uint64, ok bool) {
	for _, t := range slices.Backward(v.Terms) {
		if !t.Filter.MatchString(name) {
			break
		}
		if from, known := t.From[source]; known {
			after, ok = from, true
		}
	}
	return after, ok
}

// describe prints the neighbourhood of an event of the view, for the one who has to
// find out what happened.
func (v *View) describe(at, around int) string {
	var b strings.Builder
	for i := max(0, at-around); i < min(len(v.Events), at+around+1); i++ {
		mark := "  "
		if i == at {
			mark = "> "
		}
		fmt.Fprintf(&b, "%s%d: %s\n", mark, i, Word(v.Events[i]))
	}
	return b.String()
}

// Word is an event of a subscriber in a few words, for messages and traces.
func Word(ev bus.Event) string {
	switch ev := ev.(type) {
	case *bus.Message:
		s := fmt.Sprintf("%v/%d %s=%.40q", ev.Incarnation, ev.Seq, ev.Topic, ev.Payload)
		if ev.Replayed {
			s += " replayed"
		}
		if ev.Retained {
			s += " retained"
		}
		return s
	case *bus.Gap:
		return fmt.Sprintf("gap %v %q missed %d exact %v after %d before %d", ev.Incarnation, ev.Topic, ev.Missed, ev.Exact, ev.After, ev.Before)
	case bus.Status:
		o, _ := ev.About()
		return fmt.Sprintf("%s %s %v %s", ev.Kind(), o.Publisher, o.Incarnation, o.Endpoint)
	}
	return fmt.Sprintf("%T", ev)
}

// byName are the seqs of a run by topic, in order.
func (r *Run) byName() map[string][]uint64 {
	names := make(map[string][]uint64)
	for i := range r.Events {
		name := r.Events[i].Topic
		names[name] = append(names[name], uint64(i+1))
	}
	return names
}

func sortedNames(names map[string][]uint64) []string { return slices.Sorted(maps.Keys(names)) }
