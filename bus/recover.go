package bus

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Recovery, stream by stream. When something is missing, what comes after it is
// held back, the publisher is asked for what it has kept, its answer is given in
// place of the gap, and then what was held. What has not been kept is reported as a
// gap where it was.
//
// The reader that finds something missing begins a recovery; the watcher asks, when
// the pause after the last question is over; the reader that gets the answer ends
// it. A connection that is lost meanwhile does not end it: the question is asked
// again on the next one. Only a publisher that does not answer, has restarted, or
// stays away makes the watcher give up.
const (
	// The pause between the questions about one stream: it doubles from min to max
	// while there is one recovery after the other, and is drawn from its upper half,
	// so that subscribers that lost the same events do not ask all at once.
	recoverPauseMin = 20 * time.Millisecond
	recoverPauseMax = 5 * time.Second
	// A recovery that has come after this long is one for itself.
	recoverCalm = 10 * time.Second
	// How long an answer may take from its last sign of life on, and how often it
	// is asked for.
	recoverPatience = 5 * time.Second
	recoverTries    = 3
	// How long a recovery waits for a publisher that is away.
	recoverAbsence = 30 * time.Second
	// maxVain is how many answers in a row may not reach the event that is held. One
	// beyond all that its publisher says it has published was damaged on the way. If
	// it was only faster than the answer, it is missed and asked for as any other.
	maxVain = 2
	// narrow is from how many events back on the question is about one topic only.
	recoverNarrow = 1000
)

// recovery is the state of one. The stream's lock guards it.
type recovery struct {
	after    uint64    // the last seq before what is missing
	topic    string    // only this one is asked about; "": all
	retained bool      // the question is for last values
	lost     time.Time // since when there is no connection to ask over; zero: there is
	due      time.Time // when to ask
	asked    time.Time // when it was asked, or the answer last went on; zero: not yet
	tries    int
	vain     int      // recoveries before it that did not get past the first of held
	name     string   // topic of the answer
	x        *session // that the question went over, or should
	giveUp   bool     // the watcher has given up: whoever has the stream ends it

	held     []heldBack
	blocks   []*block.Block // that held refers to
	messages int
	bytes    int
}

// asked is what a publisher has been asked for: what is missing of it is not to be had.
type asked struct {
	after, to uint64 // what follows one seq, up to another
	topic     string // begins the topics; "": all
}

var (
	nothingAsked    = asked{after: never}
	everythingAsked = asked{to: never} // or as good as: there is nobody to ask
)

func (a asked) covers(m missing) bool {
	return m.from >= a.after && m.before-1 <= a.to && strings.HasPrefix(m.topic, a.topic)
}

// heldBack is an event that came while something before it was missing.
type heldBack struct {
	name    []byte
	payload []byte
	meta    meta
	rare    *rare
	origin  *Origin
}

// hold keeps an event for later. It reports false when there is no more room.
func (r *recovery) hold(b *block.Block, limit Queue, h heldBack) bool {
	if len(r.blocks) == 0 || r.blocks[len(r.blocks)-1] != b {
		b.Retain()
		r.blocks = append(r.blocks, b)
		r.bytes += len(b.B)
	}
	r.held = append(r.held, h)
	r.messages++
	return r.messages < limit.Messages && r.bytes < limit.Bytes
}

// recoveries is the streams that recover, for the watcher. Its lock is a leaf.
type recoveries struct {
	mu      sync.Mutex
	streams map[*stream]struct{}
}

func (r *recoveries) add(st *stream) {
	r.mu.Lock()
	r.streams[st] = struct{}{}
	r.mu.Unlock()
}

func (r *recoveries) remove(st *stream) {
	r.mu.Lock()
	delete(r.streams, st)
	r.mu.Unlock()
}

func (r *recoveries) all() []*stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*stream, 0, len(r.streams))
	for st := range r.streams {
		all = append(all, st)
	}
	return all
}

// recover begins a recovery of what follows seq. Held: stream.mu.
func (x *session) recover(st *stream, after uint64, topic string) {
	now := time.Now()
	if now.Sub(st.lastAsk) > recoverCalm {
		st.pause = 0
	}
	st.rec = &recovery{after: after, topic: topic, x: x}
	st.rec.due = st.lastAsk.Add(st.pause/2 + rand.N(st.pause/2+1))
	x.s.recoveries.add(st)
	x.s.wakeWatcher()
}

// ask sends the question of a recovery. Held: stream.mu.
func (st *stream) ask(now time.Time, cover []string) {
	r := st.rec
	st.lastAsk = now
	st.pause = min(max(2*st.pause, recoverPauseMin), recoverPauseMax)
	r.asked = now
	r.tries++
	prefixes := cover
	if r.topic != "" {
		prefixes = []string{r.topic}
	}
	var msgs []byte
	if r.name != "" {
		msgs = zmtp.AppendCancel(msgs, []byte(r.name)) // the one before came to nothing
	}
	r.name = replayPrefix + nonce()
	q := question{Source: st.inc.String(), After: r.after, Retained: r.retained, Prefixes: prefixes}
	text, err := wireJSON.Marshal(q)
	if err != nil {
		panic(err) // cannot be
	}
	msgs = zmtp.AppendSubscribe(msgs, []byte(r.name))
	msgs = zmtp.AppendSubscribe(msgs, slices.Concat([]byte(r.name), []byte{0}, text))
	// Publishers take a question when it comes and need not remember it.
	msgs = zmtp.AppendCancel(msgs, slices.Concat([]byte(r.name), []byte{0}, text))
	r.x.send(msgs)
}

// inspectRecoveries asks what is due to be asked, gives up what has come to
// nothing, and returns when to look again. Held: Subscriber.mu; the watcher's.
func (s *Subscriber) inspectRecoveries(now time.Time) (next time.Time) {
	for _, st := range s.recoveries.all() {
		st.mu.Lock()
		next = earliest(next, s.inspectRecovery(st, now))
		st.mu.Unlock()
	}
	return next
}

// inspectRecovery does it for one. Held: Subscriber.mu, stream.mu.
func (s *Subscriber) inspectRecovery(st *stream, now time.Time) time.Time {
	r := st.rec
	if r == nil || r.giveUp {
		return time.Time{}
	}
	if _, connected := r.x.up.sessions[r.x]; !connected {
		if r.lost.IsZero() {
			r.lost = now
		}
		gone := r.lost.Add(recoverAbsence)
		if now.Before(gone) && !superseded(r.x.up, st.inc) {
			return gone
		}
		return s.giveUp(st)
	}
	if r.asked.IsZero() {
		if now.Before(r.due) {
			return r.due
		}
		st.ask(now, s.cover)
	}
	late := r.asked.Add(recoverPatience)
	if now.Before(late) {
		return late
	}
	if r.tries >= recoverTries {
		return s.giveUp(st)
	}
	st.ask(now, s.cover)
	return now.Add(recoverPatience)
}

// superseded reports whether the incarnation has left the upstream for good.
// Held: Subscriber.mu.
func superseded(up *upstream, inc Incarnation) bool {
	if len(up.publishers) == 0 {
		return false
	}
	for _, p := range up.publishers {
		if p.origin.Incarnation == inc {
			return p.mon.State() == heartbeat.Gone
		}
	}
	return true
}

// giveUp makes a goroutine end the recovery of a stream: what was held has to go to
// the inboxes, which may take its time. Held: stream.mu.
func (s *Subscriber) giveUp(st *stream) time.Time {
	st.rec.giveUp = true
	x := newSession(s, st.rec.x.up, st.rec.x.peer)
	x.detached = true
	s.life.goes(func() {
		x.routes = s.routes.Load()
		st.mu.Lock()
		if st.rec != nil && st.rec.giveUp {
			x.settle(st, everythingAsked)
		}
		st.mu.Unlock()
		x.deliver(nil)
	})
	return time.Time{}
}

// settle ends a recovery: what was held is taken as if it came now. What is missing
// of what has been asked for is reported. Held: stream.mu.
func (x *session) settle(st *stream, done asked) {
	r := st.rec
	st.rec = nil
	x.s.recoveries.remove(st)
	if r.name != "" && !x.detached {
		x.send(zmtp.AppendCancel(nil, []byte(r.name)))
	}
	for i := range r.held {
		h := &r.held[i]
		if i == 0 && r.vain == maxVain && h.meta.seq() > done.to {
			x.s.malformed.Add(1)
			continue
		}
		if x.receive(st, h, done) {
			continue
		}
		// Something else is missing, and a new recovery holds the rest.
		st.rec.held, st.rec.messages = r.held[i:], len(r.held)-i
		st.rec.blocks, st.rec.bytes = r.blocks, r.bytes
		if i == 0 {
			st.rec.vain = r.vain + 1
		}
		for _, b := range r.blocks {
			b.Retain()
		}
		break
	}
	x.blocks = append(x.blocks, r.blocks...)
}

// receive takes an event of a stream: it goes to the inboxes that want it, or is a
// duplicate, or shows that something before it is missing. Then it is reported as a
// gap, if it has been asked for already; else a recovery is begun, and the event is
// not taken. Held: stream.mu.
func (x *session) receive(st *stream, h *heldBack, done asked) bool {
	entry := st.table.Lookup(x.routes, h.name)
	fresh, miss := st.judge(entry, h.meta)
	if !fresh {
		x.s.duplicates.Add(1)
		return true
	}
	if miss.topic != "" && len(entry.Handlers) == 0 {
		miss = missing{} // the prefixes let it through, and no filter wants it
	}
	if miss.any() {
		if !done.covers(miss) && x.s.cfg.Recover && !x.detached {
			if st.rec != nil {
				return false // the one that is under way was not asked for enough
			}
			topic := ""
			if miss.topic != "" && h.meta.seq()-miss.from > recoverNarrow {
				topic = miss.topic
			}
			x.recover(st, miss.from, topic)
			return false
		}
		x.gap(h.origin, miss)
	}
	st.take(entry, h.meta)
	x.give(entry, h.payload, h.meta, h.origin, h.rare)
	return true
}

// hold keeps an event back. When there is no more room for it the recovery ends
// without an answer. Held: stream.mu.
func (x *session) hold(st *stream, b *block.Block, h heldBack) {
	if !st.rec.hold(b, x.s.cfg.Queue, h) && !st.rec.giveUp {
		x.settle(st, everythingAsked)
	}
}

// compare holds a heartbeat's word of the publisher's last seq against what has
// come, after a new connection and in general. It returns what is missing and not
// to be recovered. Held: stream.mu.
func (x *session) compare(st *stream, seq uint64) (miss missing) {
	again := st.via != nil && st.via != x
	silent := st.beatSeq == seq
	st.via, st.beatSeq = x, seq
	if st.doubt(seq) {
		x.s.malformed.Add(1)
		if !x.s.cfg.Recover {
			st.hear(seq) // what is missing was told, as a part of more than there is
		}
	}
	if r := st.rec; r != nil {
		if r.x != x && !r.giveUp {
			// Ask again on this connection.
			r.x, r.asked, r.lost, r.tries = x, time.Time{}, time.Time{}, 0
			x.s.wakeWatcher()
		}
		return missing{}
	}
	if x.s.cfg.Retained && !st.greeted {
		st.greeted = true
		x.recover(st, 0, "")
		st.rec.retained = true
		return missing{}
	}
	miss = st.behind(seq)
	if !x.s.cfg.Recover {
		if miss.count > 0 {
			st.hear(miss.before - 1)
		}
		return miss
	}
	if miss.count > 0 {
		x.recover(st, miss.from, "")
	} else if after := max(st.last, st.terms[0].from); st.gapless == never && seq > after && (again || silent) {
		// Under filters the seq says nothing of what is missing. The publisher is
		// asked after a new connection, and when it has fallen silent.
		x.recover(st, after, "")
	}
	return missing{}
}

// replay takes a message of an answer to a question of this subscriber's.
func (x *session) replay(name string, frames [][]byte) {
	st := x.streamOf(name)
	if st == nil {
		return // late, or somebody else's through a forwarder
	}
	if x.routes == nil {
		x.begin()
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.rec
	if r == nil || r.name != name || r.giveUp {
		return
	}
	r.asked = time.Now() // it goes on
	c := x.contacts[st.inc]
	if len(frames) >= 4 && isMeta(frames[2]) && Incarnation(meta(frames[2]).inc()) == st.inc {
		h := heldBack{name: frames[3], payload: frames[1], meta: frames[2], origin: c.origin}
		x.s.replayed.Add(1)
		if r.retained {
			x.lastValue(st, &h)
		} else if !x.receive(st, &h, asked{r.after, never, r.topic}) {
			x.again(st, h.name)
		}
		return
	}
	var a answered
	if err := wireJSON.Unmarshal(frames[1], &a); err != nil || !a.Done {
		x.s.malformed.Add(1)
		return
	}
	if r.retained {
		x.settle(st, nothingAsked)
		return
	}
	if st.gapless == never && (a.From > r.after+1 || a.Oldest == 0 && a.To > r.after) {
		before := a.From
		if a.Oldest == 0 {
			before = a.To + 1
		}
		x.gap(c.origin, missing{topic: r.topic, after: r.after, before: before})
	}
	x.settle(st, asked{r.after, a.To, r.topic})
	if st.rec != nil || r.topic != "" {
		return
	}
	if miss := st.behind(a.To); miss.count > 0 {
		x.gap(c.origin, miss) // behind what was held, and no longer kept either
	}
	st.hear(a.To)
}

// lastValue takes a last value, unless a later event of its topic has come already, or
// it is one that must come, or be missed, as any other. Held: stream.mu.
func (x *session) lastValue(st *stream, h *heldBack) {
	entry := st.table.Lookup(x.routes, h.name)
	seq := h.meta.seq()
	if seq <= entry.State.seq || seq > st.since(entry.Name) {
		return
	}
	entry.State = latest{seq: seq, before: entry.State.seq}
	x.give(entry, h.payload, h.meta, h.origin, h.rare)
}

// again begins a recovery anew whose answer shows that something is missing from
// before what was asked for: it had been lost unnoticed, on a topic that was quiet
// since. Held: stream.mu.
func (x *session) again(st *stream, name []byte) {
	r := st.rec
	r.after = st.table.Lookup(x.routes, name).State.seq
	x.send(zmtp.AppendCancel(nil, []byte(r.name)))
	r.name, r.asked, r.topic = "", time.Time{}, ""
	r.due = time.Now().Add(st.pause/2 + rand.N(st.pause/2+1))
	x.s.wakeWatcher()
}

// streamOf finds the stream whose recovery has asked for an answer on a topic.
func (x *session) streamOf(name string) *stream {
	for _, st := range x.s.recoveries.all() {
		st.mu.Lock()
		mine := st.rec != nil && st.rec.name == name && x.contacts[st.inc] != nil
		st.mu.Unlock()
		if mine {
			return st
		}
	}
	return nil
}
