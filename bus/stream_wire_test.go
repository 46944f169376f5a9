package bus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/heraldbus/herald/topic"
)

// wire is a publisher and a subscriber's stream of it, with what is on its way
// between them. It knows what is lost, and checks what the stream says is missing.
type wire struct {
	t     *testing.T
	rnd   *rand.Rand
	trace []string

	// The publisher.
	names    []string
	seq      uint64
	chain    map[string]uint64 // last seq by topic; forgotten at times
	wants    map[string]bool   // prefixes that are subscribed to
	shortest bool              // it forgets its chains at times

	// On their way.
	up   []request
	down []delivery

	// The subscriber: session and stream.
	st      *stream
	version uint64
	cover   []string
	sent    []string // what the session has subscribed to
	hello   uint64   // the question that is open
	hellos  uint64
	asked   uint64
	ready   uint64

	// The truth.
	got    map[uint64]bool   // seqs received
	told   map[uint64]bool   // seqs told to be missing
	on     map[uint64]string // topic by seq
	last   map[string]uint64 // last seq received by topic
	enters map[string]uint64 // version at which a topic has come into the cover
	owed   map[string]uint64 // seq after which every event of a topic must come
	missed uint64            // reported, in all

	everything uint64 // seq after which every event must come; unowed where there are filters
}

type request struct {
	add, cancel string
	hello       uint64
	kind        byte // 'a', 'c', 'h'
}

type delivery struct {
	seq, prev uint64
	name      string // "": a heartbeat or the answer to a hello
	hello     uint64
}

func newWire(t *testing.T, rnd *rand.Rand, table int) *wire {
	w := &wire{
		t: t, rnd: rnd, version: 1,
		chain: make(map[string]uint64), wants: make(map[string]bool),
		got: make(map[uint64]bool), told: make(map[uint64]bool), on: make(map[uint64]string),
		last: make(map[string]uint64), enters: make(map[string]uint64), owed: make(map[string]uint64),
		everything: unowed,
	}
	for _, a := range "abc" {
		for _, b := range "xyz" {
			w.names = append(w.names, fmt.Sprintf("%c.%c", a, b))
		}
	}
	w.seq = uint64(rnd.IntN(3)) // it may have published before
	for range rnd.IntN(10) {
		w.publish(1)
	}
	w.cover = w.randomCover()
	w.st = newStream(1, table, 1, w.cover)
	w.enter()
	w.connect()
	return w
}

func (w *wire) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *wire) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
}

func (w *wire) randomCover() []string {
	switch w.rnd.IntN(5) {
	case 0, 1:
		return []string{""}
	case 2:
		return nil
	}
	var fs []topic.Filter
	for range 1 + w.rnd.IntN(4) {
		fs = append(fs, topic.Prefix([]string{"a", "b", "c", "a.x", "b.y", "c.z", "a.y"}[w.rnd.IntN(7)]))
	}
	return topic.Cover(fs...)
}

// enter notes from when on the subscriber wants each topic.
func (w *wire) enter() {
	for _, name := range w.names {
		if !begun(w.cover, name) {
			delete(w.enters, name)
			delete(w.owed, name)
		} else if w.enters[name] == 0 {
			w.enters[name] = w.version
		}
	}
}

// begun is what covers does, without its cleverness.
func begun(cover []string, name string) bool {
	return slices.ContainsFunc(cover, func(p string) bool { return strings.HasPrefix(name, p) })
}

// publish publishes on a random topic; lossy in how many of ten cases the event is
// lost.
func (w *wire) publish(lossy int) {
	name := w.names[w.rnd.IntN(len(w.names))]
	if w.shortest && w.rnd.IntN(20) == 0 {
		clear(w.chain)
	}
	w.seq++
	e := delivery{seq: w.seq, prev: w.chain[name], name: name}
	w.chain[name] = w.seq
	w.on[w.seq] = name
	sent := false
	for p := range w.wants {
		sent = sent || strings.HasPrefix(name, p)
	}
	switch {
	case !sent:
		w.note("publish %d %s prev %d: nobody wants it", e.seq, name, e.prev)
	case w.rnd.IntN(10) < lossy:
		w.note("publish %d %s prev %d: lost", e.seq, name, e.prev)
	default:
		w.note("publish %d %s prev %d", e.seq, name, e.prev)
		w.down = append(w.down, e)
	}
}

// change gives the subscriber other filters, as Subscriber.refilter does.
func (w *wire) change(cover []string) {
	if slices.Equal(cover, w.cover) {
		return
	}
	narrower := within(cover, w.cover)
	w.cover = cover
	w.version++
	w.note("cover %q, version %d", cover, w.version)
	w.everything = unowed
	w.st.change(w.version, cover)
	w.enter()
	if narrower && w.asked == w.version-1 {
		w.asked = w.version
		if w.ready == w.version-1 {
			w.ready = w.version
		}
	}
	w.subscribe()
}

// subscribe is Subscriber.subscribe.
func (w *wire) subscribe() {
	for _, p := range w.cover {
		if !slices.Contains(w.sent, p) {
			w.up = append(w.up, request{kind: 'a', add: p})
		}
	}
	if w.asked != w.version {
		w.hellos++
		w.hello, w.asked = w.hellos, w.version
		w.up = append(w.up, request{kind: 'h', hello: w.hello})
	}
	for _, p := range w.sent {
		if !slices.Contains(w.cover, p) {
			w.up = append(w.up, request{kind: 'c', cancel: p})
		}
	}
	w.sent = w.cover
}

// connect is a new connection: what is under way on the old one is lost.
func (w *wire) connect() {
	w.note("connect")
	clear(w.wants)
	w.up, w.down, w.sent = nil, nil, nil
	w.asked, w.ready, w.hello = 0, 0, 0
	w.subscribe()
}

// forget is a source that goes over to another endpoint and comes back.
func (w *wire) forget() {
	w.note("forget")
	clear(w.wants)
	w.up, w.down, w.sent = nil, nil, nil
	w.asked, w.ready, w.hello = 0, 0, 0
	w.st.forget(w.version, w.cover)
	w.everything = unowed
	for range w.rnd.IntN(5) {
		w.publish(0)
	}
	clear(w.owed)
	clear(w.enters)
	w.enter()
	w.subscribe()
}

// serve lets the publisher take the oldest request.
func (w *wire) serve() {
	if len(w.up) == 0 {
		return
	}
	r := w.up[0]
	w.up = w.up[1:]
	switch r.kind {
	case 'a':
		w.note("subscribed %q", r.add)
		w.wants[r.add] = true
	case 'c':
		w.note("cancelled %q", r.cancel)
		delete(w.wants, r.cancel)
	case 'h':
		w.note("answers hello %d at %d", r.hello, w.seq)
		w.down = append(w.down, delivery{seq: w.seq, hello: r.hello})
	}
}

func (w *wire) beat() { w.down = append(w.down, delivery{seq: w.seq}) }

// receive lets the subscriber take the oldest message, as a session does.
func (w *wire) receive() {
	if len(w.down) == 0 {
		return
	}
	e := w.down[0]
	w.down = w.down[1:]
	if e.name == "" {
		w.control(e)
		return
	}
	m := make(meta, metaSize)
	putMeta(m, 0, 1, e.seq, e.prev, 0)
	entry := w.st.table.LookupString(nil, e.name)
	forgotten := entry.State.seq == 0 && w.st.forgotten > 0 // perhaps it was known
	fresh, miss := w.st.judge(entry, m)
	if !fresh {
		w.fail("seq %d is taken for a duplicate", e.seq)
	}
	w.note("receive %d %s: %+v", e.seq, e.name, miss)
	w.check(miss, e)

	// What the chain shows must have been told.
	if e.prev > w.last[e.name] && e.prev > w.owes(e.name) && !w.told[e.prev] && !forgotten {
		w.fail("%d on %s is lost, seq %d with prev %d shows it, and it was not told", e.prev, e.name, e.seq, e.prev)
	}
	w.st.take(entry, m)
	w.got[e.seq] = true
	w.last[e.name] = e.seq
	w.whole(e.seq)
}

const unowed = never

func (w *wire) owes(name string) uint64 {
	if from, ok := w.owed[name]; ok {
		return from
	}
	return unowed
}

// control takes a heartbeat or the answer to a hello.
func (w *wire) control(e delivery) {
	answered := e.hello != 0 && e.hello == w.hello
	if answered {
		w.hello = 0
		w.ready = w.asked
	}
	w.st.beats++
	if e.hello != 0 || w.st.beats > 1 && w.ready > 0 {
		w.st.inForce(w.ready, e.seq)
		for name, v := range w.enters {
			if _, ok := w.owed[name]; !ok && v <= w.ready {
				w.owed[name] = e.seq
			}
		}
		if everything(w.cover) && w.ready == w.version {
			w.everything = min(w.everything, e.seq)
		}
	}
	miss := w.st.behind(e.seq)
	w.note("receive beat %d, hello %d, ready %d of %d: %+v", e.seq, e.hello, w.ready, w.version, miss)
	w.check(miss, e)
	if miss.count > 0 {
		w.st.last = max(w.st.last, miss.before-1)
	}
	w.whole(e.seq)
}

// check holds a report of missing events against the truth.
func (w *wire) check(m missing, e delivery) {
	w.t.Helper()
	if m.count == 0 {
		return
	}
	w.missed += m.count
	if m.before != e.seq && e.name != "" || m.after >= m.before {
		w.fail("a gap %d..%d before %d", m.after, m.before, e.seq)
	}
	// What was lost of all, and of the topic before that was all.
	hole := uint64(never)
	if everything(w.cover) {
		hole = max(w.st.last, w.everything)
	}
	var lost []uint64
	for s := m.after + 1; s < m.before; s++ {
		if name := w.on[s]; (s > hole || name == e.name) && !w.got[s] && !w.told[s] && s > w.owes(name) {
			lost = append(lost, s)
		}
	}
	if uint64(len(lost)) < m.count {
		w.fail("false alarm: told that %d are missing on %q in %d..%d, lost and not told before are %d", m.count, m.topic, m.after, m.before, lost)
	}
	if m.exact && uint64(len(lost)) != m.count {
		w.fail("told that exactly %d are missing on %q in %d..%d, lost are %d", m.count, m.topic, m.after, m.before, lost)
	}
	if m.from < m.after || m.from >= lost[len(lost)-1] {
		w.fail("asked after seq %d the publisher would not send all of %d", m.from, lost)
	}
	for _, s := range lost {
		w.told[s] = true
	}
}

// whole checks that, as long as everything is subscribed to, all is received or
// told up to a seq.
func (w *wire) whole(seq uint64) {
	w.t.Helper()
	// What was lost while there were filters shows when its topic is next heard of.
	from := w.everything
	for s := from + 1; s <= seq && from != unowed; s++ {
		if !w.got[s] && !w.told[s] {
			w.fail("%d of all events is lost and not told at seq %d", s, seq)
		}
	}
}

// step is one thing that happens; of a hundred, changes are changes of filters.
func (w *wire) step(lossy, changes int) {
	switch n := w.rnd.IntN(100); {
	case n < changes:
		w.change(w.randomCover())
	case n < 45:
		w.publish(lossy)
	case n < 60:
		w.serve()
	case n < 90:
		w.receive()
	case n < 95:
		w.beat()
	case n < 98:
		w.connect()
	default:
		w.forget()
	}
}
