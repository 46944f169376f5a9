package bus

import (
	"math"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/heraldbus/herald/topic"
)

// stream is what a subscriber knows of the events of one incarnation, over all
// connections on which they come: the last seq of each topic, and from where on
// nothing may be missing.
//
// Two chains tell what is missing. Where the subscriptions let everything
// through, the seqs themselves have no holes. Where they do not, each event names
// the one before it on its topic. Both count only for what was subscribed to all
// the while: each widening of the subscriptions is a line in terms, and the
// publisher's hello tells at which seq it came into force.
type stream struct {
	mu    sync.Mutex
	inc   Incarnation
	table *topic.Table[*inbox, latest] // topic → who takes it, last seq
	last  uint64                       // highest seq seen
	// forgotten is the highest last seq of a topic that the table has evicted.
	forgotten uint64
	// beats counts heartbeats since the last change of terms: the second proves
	// that subscriptions made before the first are in force.
	beats int
	terms []term // oldest first
	// gapless is the seq from which on every event must come, or never.
	gapless uint64

	leap   leap   // how last came to be what it is
	denied uint64 // last, as often as doubts says denied by the publisher
	doubts int

	rec     *recovery     // under way; nil in the ordinary case
	lastAsk time.Time     // when a question was last asked
	pause   time.Duration // to keep before the next
	via     *session      // that brought the last heartbeat
	beatSeq uint64        // of the last heartbeat
	greeted bool          // last values have been asked for
}

const (
	never    = math.MaxUint64
	maxTerms = 16
)

// latest is what is known of a topic: the seq of its last event, and up to which seq
// all had been given or reported before it. That is what is left when the seq turns out
// to have been damaged on its way, see takeBack. It is sure that there is no event
// between the two where the event's prev said so.
type latest struct {
	seq, before uint64
	sure        bool
}

// leap is the last step of stream.last: what was known before it. It is taken back
// when the publisher's own word shows that there can be no such seq.
type leap struct {
	entry *topic.Entry[*inbox, latest] // of the event that made it; nil: a word did
	last  uint64
}

// maxDoubts is how often in a row the publisher must have said a seq lower than one
// that was seen before that is believed to be wrong. Once is nothing: its word may
// have come on a slower way than its events.
const maxDoubts = 3

// term is one state of the subscriptions, as far as this stream is concerned.
type term struct {
	version uint64
	before  []string // the cover that was in force until then
	cover   []string // the one since
	from    uint64   // seq at which it came into force, never if that is not known yet
	upto    uint64   // every event after from and up to this seq was given or reported; 0: unknown
}

func newStream(inc Incarnation, size int, version uint64, cover []string) *stream {
	st := &stream{inc: inc, gapless: never}
	st.table = topic.NewTable[*inbox, latest](size)
	st.table.OnEvict(func(e *topic.Entry[*inbox, latest]) { st.forgotten = max(st.forgotten, e.State.seq) })
	st.forget(version, cover)
	return st
}

// change notes that the subscriptions are no longer what they were. Held: mu.
func (st *stream) change(version uint64, cover []string) {
	old := &st.terms[len(st.terms)-1]
	if st.gapless != never {
		old.upto = max(st.last, st.gapless)
	}
	before := old.cover
	from := uint64(never)
	if within(cover, before) {
		from = 0 // nothing is let through that was not before
	}
	st.terms = append(st.terms, term{version: version, before: before, cover: cover, from: from})
	if len(st.terms) > maxTerms {
		// The second is taken for the first, since both have been in force.
		first := st.terms[0]
		st.terms = append(st.terms[:0], st.terms[1:]...)
		st.terms[0].before = nil
		st.terms[0].from = max(st.terms[0].from, first.from, first.upto)
	}
	st.beats = 0
	st.reckon()
}

// forget notes that the subscriptions were given up for a while: what comes after
// they are in force again has no past. Held: mu.
func (st *stream) forget(version uint64, cover []string) {
	st.terms = append(st.terms[:0], term{version: version, cover: cover, from: never})
	st.beats = 0
	st.reckon()
}

// inForce notes the publisher's word that the subscriptions of version are in
// force from seq on. Held: mu.
func (st *stream) inForce(version, seq uint64) {
	for i := range st.terms {
		if t := &st.terms[i]; t.version <= version && t.from == never {
			t.from = seq
		}
	}
	st.reckon()
}

// reckon sets gapless. Held: mu.
func (st *stream) reckon() {
	st.gapless = never
	if !everything(st.terms[len(st.terms)-1].cover) {
		return
	}
	from := uint64(0)
	for _, t := range st.terms {
		if !everything(t.before) {
			from = t.from
		}
	}
	st.gapless = from
}

func everything(cover []string) bool { return len(cover) == 1 && cover[0] == "" }

// since is the seq from which on every event on a topic must have come.
// Held: mu.
func (st *stream) since(name string) uint64 {
	from := uint64(0)
	for _, t := range st.terms {
		if !covers(t.before, name) {
			from = t.from
		}
	}
	if !covers(st.terms[len(st.terms)-1].cover, name) {
		return never
	}
	return from
}

// missing is what an event shows to be missing before it.
type missing struct {
	count         uint64 // 0: nothing
	exact         bool
	topic         string
	after, before uint64
	from          uint64 // nothing is missing up to this seq
	maybe         bool   // there may be some, of which nothing is known
}

func (m missing) any() bool { return m.count > 0 || m.maybe }

// judge says of an event whether it is new, and what is missing before it.
// Held: mu.
func (st *stream) judge(e *topic.Entry[*inbox, latest], m meta) (fresh bool, miss missing) {
	seq, known := m.seq(), e.State.seq
	if seq <= known {
		if k := &e.State; seq == known || seq <= k.before || !k.sure {
			if seq == st.last+1 {
				st.last = seq // seen, before takeBack
			}
			return false, missing{}
		}
		st.takeBack(e)
		known = e.State.seq
	}
	if st.gapless == never {
		return true, st.chain(e, m)
	}
	// In the ordinary case this is all: the next seq.
	if base := max(st.last, st.gapless); seq > base+1 {
		miss = missing{count: seq - base - 1, exact: true, after: base, before: seq, from: base}
	}
	if known < st.gapless {
		// The first on its topic since everything is subscribed to may show that
		// one before that is missing.
		if earlier := st.chain(e, m); earlier.any() {
			if miss.count > 0 {
				earlier.count += miss.count
				earlier.exact, earlier.topic = false, ""
			}
			miss = earlier
		}
	}
	return true, miss
}

// chain says what an event shows to be missing by naming the one before it on its
// topic. Held: mu.
func (st *stream) chain(e *topic.Entry[*inbox, latest], m meta) missing {
	seq, prev := m.seq(), m.prev()
	if prev > 0 && prev < e.State.seq {
		st.takeBack(e) // the publisher knows of nothing there
	}
	known := e.State.seq
	if prev <= known || prev >= seq {
		return missing{}
	}
	from := st.since(e.Name)
	if known == 0 {
		from = max(from, st.forgotten)
	}
	if prev <= from {
		return missing{}
	}
	from = max(known, from)
	miss := missing{count: 1, exact: seq-from == 2, topic: e.Name, after: known, before: seq, from: from}
	told := uint64(never) // from where on prev was reported, while everything was subscribed to
	if st.gapless < prev {
		told = st.gapless
	}
	for _, t := range st.terms {
		if t.from < prev && prev <= t.upto {
			told = t.from
		}
	}
	switch {
	case told <= from:
		return missing{}
	case told < never:
		// There was no word of what came before that.
		miss.count, miss.exact, miss.maybe = 0, false, true
	}
	return miss
}

// take notes that an event was taken. Held: mu.
func (st *stream) take(e *topic.Entry[*inbox, latest], m meta) {
	seq := m.seq()
	if seq > st.last {
		st.leap = leap{e, st.last}
		st.last = seq
	}
	prev := m.prev()
	if prev >= seq {
		prev = 0
	}
	e.State = latest{seq, max(prev, e.State.seq), prev > 0}
}

// takeBack undoes what an event with a damaged seq has done. Held: mu.
func (st *stream) takeBack(e *topic.Entry[*inbox, latest]) {
	if st.leap.entry == e && st.last == e.State.seq {
		st.last = st.leap.last
	}
	e.State = latest{seq: e.State.before, before: e.State.before}
}

// hear notes the publisher's word that it has come as far as seq. Held: mu.
func (st *stream) hear(seq uint64) {
	if seq > st.last {
		st.leap = leap{last: st.last}
		st.last = seq
	}
}

// doubt holds the publisher's word of its last seq against what was seen. An event
// whose seq was damaged on the way would make all that follow on its topic look like
// duplicates. It reports true when it has taken such a one back. Held: mu.
func (st *stream) doubt(seq uint64) bool {
	seen := st.last
	if st.gapless != never {
		seen = max(seen, st.gapless)
	}
	if seq >= seen {
		st.doubts = 0
		return false
	}
	if st.denied != seen {
		st.denied, st.doubts = seen, 0
	}
	if st.doubts++; st.doubts < maxDoubts {
		return false
	}
	if l := st.leap; st.last > seq {
		if e := l.entry; e != nil && e.State.seq == st.last {
			st.takeBack(e)
			e.State.seq = min(e.State.seq, seq)
		}
		st.last = min(l.last, seq)
	}
	st.forgotten = min(st.forgotten, seq)
	for i := range st.terms {
		if t := &st.terms[i]; t.from != never {
			t.from, t.upto = min(t.from, seq), min(t.upto, seq)
		}
	}
	st.leap, st.doubts = leap{}, 0
	st.reckon()
	return true
}

// behind says what is missing when the publisher's last seq is seq, by a word that
// came in order after its events. Held: mu.
func (st *stream) behind(seq uint64) (miss missing) {
	if st.gapless == never {
		return missing{}
	}
	base := max(st.last, st.gapless)
	if seq <= base {
		return missing{}
	}
	return missing{count: seq - base, exact: true, after: base, before: seq + 1, from: base}
}

// within reports whether all that a cover lets through another does too.
func within(cover, other []string) bool {
	for _, p := range cover {
		if !covers(other, p) {
			return false
		}
	}
	return true
}

// covers reports whether one of the prefixes begins the name. They are sorted and
// none begins another, so the only candidate is the greatest that is not above
// the name.
func covers(cover []string, name string) bool {
	i := sort.SearchStrings(cover, name)
	if i < len(cover) && cover[i] == name {
		return true
	}
	return i > 0 && strings.HasPrefix(name, cover[i-1])
}
