package bus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/heraldbus/herald/topic"
)

// Whatever is lost, however the subscriptions change and connections come and go:
// there is no false alarm, nothing is told twice, and what can be told is.
func TestStreamAgainstTruth(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWire(t, rnd, 1000)
		w.shortest = seed%3 == 0
		w.note("seed %d", seed)
		for range 200 {
			w.step(int(seed%4), 3+int(seed%5)*5)
		}
	}
}

// With tables that forget topics less is told, but nothing wrong.
func TestStreamThatForgets(t *testing.T) {
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := newWire(t, rnd, 1+int(seed%6))
		w.shortest = seed%2 == 0
		w.note("seed %d", seed)
		for range 200 {
			w.step(int(seed%4), 3+int(seed%5)*5)
		}
	}
}

// Under everything nothing but the number counts.
func TestStreamOfEverything(t *testing.T) {
	for seed := range uint64(300) {
		w := newWire(t, rand.New(rand.NewPCG(seed, 3)), 1+int(seed%6))
		w.change([]string{""})
		for len(w.up) > 0 {
			w.serve()
		}
		start := w.seq
		w.down = w.down[len(w.down)-1:] // the answer to the hello
		w.receive()
		received := len(w.got)
		for range 200 {
			switch n := w.rnd.IntN(20); {
			case n < 9:
				w.publish(int(seed % 5))
			case n < 17:
				w.receive()
			case n < 18:
				w.beat()
			case n < 19:
				w.connect()
			default:
				w.serve()
			}
		}
		for len(w.up) > 0 {
			w.serve()
		}
		w.beat()
		for len(w.down) > 0 {
			w.receive()
		}
		if got := uint64(len(w.got) - received); got+w.missed != w.seq-start {
			w.fail("published %d, received %d, told to be missing %d", w.seq-start, got, w.missed)
		}
	}
}

// A subscriber that changes its filters very often forgets the oldest changes, and
// takes nothing for missing that it had not subscribed to.
func TestStreamOfManyTerms(t *testing.T) {
	st := newStream(1, 100, 1, []string{"a"})
	st.inForce(1, 100)
	m := make(meta, metaSize)
	for i := range uint64(3 * maxTerms) {
		cover := [][]string{{"a", "b"}, {"a"}}[i%2]
		st.change(i+2, cover)
		st.inForce(i+2, 100)
		e := st.table.LookupString(nil, fmt.Sprint("a", i))
		putMeta(m, 0, 1, 150, 90, 0)
		if _, miss := st.judge(e, m); miss.count != 0 {
			t.Fatalf("after %d changes, what was published before the first subscription is missing: %+v", i, miss)
		}
		putMeta(m, 0, 1, 150, 120, 0)
		if _, miss := st.judge(e, m); miss.count != 1 {
			t.Fatalf("after %d changes, what was subscribed to all the while is not missing: %+v", i, miss)
		}
	}
	if len(st.terms) > maxTerms {
		t.Errorf("%d terms are kept", len(st.terms))
	}

	// What was reported under everything is not told again, however long ago.
	st = newStream(1, 100, 1, []string{""})
	st.inForce(1, 0)
	e := st.table.LookupString(nil, "a")
	putMeta(m, 0, 1, 1, 0, 0)
	st.take(e, m)
	if miss := st.behind(2); miss.count != 1 {
		t.Errorf("a heartbeat shows that 2 is missing: %+v", miss)
	}
	st.last = 2
	putMeta(m, 0, 1, 4, 2, 0)
	for i := range uint64(2 * maxTerms) {
		st.change(i+2, [][]string{{"a", "b"}, {"a"}}[i%2])
		st.inForce(i+2, 3)
		if _, miss := st.judge(e, m); miss.count != 0 {
			t.Fatalf("after %d changes it is told again: %+v", i, miss)
		}
	}
}

func TestCovers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, rnd.IntN(4))
		for i := range b {
			b[i] = "a.b"[rnd.IntN(3)]
		}
		return string(b)
	}
	for range 20_000 {
		var fs []topic.Filter
		for range rnd.IntN(5) {
			fs = append(fs, topic.Prefix(word()))
		}
		cover, name := topic.Cover(fs...), word()
		if got, want := covers(cover, name), begun(cover, name); got != want {
			t.Fatalf("covers(%q, %q) is %v", cover, name, got)
		}
		other := topic.Cover(topic.Prefix(word()), topic.Prefix(word()))
		want := !slices.ContainsFunc(cover, func(p string) bool { return !begun(other, p) })
		if got := within(cover, other); got != want {
			t.Fatalf("within(%q, %q) is %v", cover, other, got)
		}
	}
}

// What makes no sense in a peer's meta does no harm.
func TestStreamHostileMeta(t *testing.T) {
	for _, cover := range [][]string{{""}, {"t"}} {
		st := newStream(1, 10, 1, cover)
		st.inForce(1, 5)
		e := st.table.LookupString(nil, "t")
		m := make(meta, metaSize)
		for _, x := range []struct{ seq, prev uint64 }{
			{0, 0}, {6, 6}, {7, 100}, {8, never}, {never - 1, never}, {never, never - 1}, {never, 0}, {1, 0},
		} {
			putMeta(m, 0, 1, x.seq, x.prev, 0)
			if fresh, _ := st.judge(e, m); fresh {
				st.take(e, m)
			}
			st.behind(x.seq)
		}
	}
}
