package bus

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
	"github.com/heraldbus/herald/topic"
)

// session is one connection of a subscriber. Its methods Message and Flush are
// called by the connection's reader.
type session struct {
	s    *Subscriber
	up   *upstream
	peer *engine.Peer

	active  atomic.Bool  // its events are wanted: it is not a standby
	seen    atomic.Int64 // engine time of the last read
	blocked atomic.Bool  // the reader waits for room in an inbox

	// Guarded by Subscriber.mu:
	cover   []string // what it has subscribed to, without Herald's own
	hello   string   // topic of the question that is open, "" when none is
	asked   uint64   // version of the subscriptions that hello asks about
	ready   uint64   // version that was answered for
	watched bool     // heartbeats are subscribed to

	// Of the reader:
	routes   *topic.Routes[*inbox]
	contacts map[Incarnation]*contact
	cur      *contact // of the message before; its stream is locked
	foreign  *contact // of messages without meta
	out      []outgoing
	statuses []Status       // in out, to be logged when no lock is held
	blocks   []*block.Block // that out refers to besides the one that is read into
	message  Message        // for inline handlers
	turn     bool           // it has the group's turn
	changed  bool           // a heartbeat came: the group is to be looked at
	detached bool           // there is no reader: it is for the end of a recovery only
}

// contact is a stream as it is seen over one connection.
type contact struct {
	stream          *stream
	origin          *Origin
	pub             *publisher // nil until a heartbeat has named it
	messages, bytes uint64     // since the last Flush
}

// outgoing is what a run of messages has brought for one inbox.
type outgoing struct {
	in *inbox
	b  *batch
}

// maxContacts bounds the incarnations remembered on one connection: a hostile
// publisher could invent a new one for each event.
const maxContacts = 4096

func newSession(s *Subscriber, up *upstream, peer *engine.Peer) *session {
	sess := &session{s: s, up: up, peer: peer, contacts: make(map[Incarnation]*contact)}
	sess.foreign = &contact{
		stream: newStream(0, s.cfg.TopicCache, 0, nil),
		origin: &Origin{Endpoint: up.endpoint},
	}
	sess.seen.Store(int64(s.eng.Now()))
	return sess
}

// Message implements [engine.Receiver].
func (x *session) Message(b *block.Block, frames [][]byte) error {
	if name := frames[0]; len(name) > len(topic.ReservedPrefix) && name[0] == '$' && string(name[:len(topic.ReservedPrefix)]) == topic.ReservedPrefix {
		x.control(b, frames)
		return nil
	}
	if !x.active.Load() {
		return nil // in flight when the source went over to another endpoint
	}
	if x.routes == nil {
		x.begin()
	}
	if x.up.framing != nil {
		x.framed(b, frames)
		return nil
	}
	var payload []byte
	var m meta
	var r *rare
	if len(frames) > 1 {
		payload = frames[1]
	}
	if len(frames) > 2 {
		if isMeta(frames[2]) {
			m = frames[2]
		} else {
			r = &rare{extra: slices.Clone(frames[2:])}
		}
	}
	c := x.cur
	if m == nil {
		if c != x.foreign {
			c = x.turnTo(x.foreign)
		}
	} else if inc := Incarnation(m.inc()); c == nil || c.stream.inc != inc || c == x.foreign {
		c = x.turnTo(x.contact(inc))
	}
	c.messages++
	c.bytes += uint64(len(payload))
	st := c.stream
	if st.rec != nil {
		x.hold(st, b, heldBack{frames[0], payload, m, r, c.origin})
		return nil
	}
	entry := st.table.Lookup(x.routes, frames[0])
	if m != nil {
		fresh, miss := st.judge(entry, m)
		if !fresh {
			x.s.duplicates.Add(1)
			return nil
		}
		if miss.any() {
			h := heldBack{frames[0], payload, m, r, c.origin}
			if !x.receive(st, &h, nothingAsked) {
				x.hold(st, b, h)
			}
			return nil
		}
		st.take(entry, m)
	}
	x.give(entry, payload, m, c.origin, r)
	return nil
}

// give puts a message into the batches of the inboxes that take it, unless another
// publisher of a redundant source has brought it already.
func (x *session) give(e *topic.Entry[*inbox, latest], payload []byte, m meta, o *Origin, r *rare) {
	if g := x.up.group; g != nil && g.seen != nil && m != nil {
		if id, ok := idOf(e.Name, m); ok {
			if again, _ := g.seen.ContainsOrAdd(id, struct{}{}); again {
				x.s.duplicates.Add(1)
				return
			}
		}
	}
	for i, in := range e.Handlers {
		if i > 0 && in == e.Handlers[i-1] {
			continue // it has more than one route, see Subscriber.refilter
		}
		x.batch(in).add(e.Name, payload, m, o, r)
	}
}

// framed takes a message of a foreign framing. What its topic is differs from
// what ZeroMQ filters on, so filters are asked for each.
func (x *session) framed(b *block.Block, frames [][]byte) {
	f, ok := x.up.framing(frames)
	if !ok {
		x.s.malformed.Add(1)
		return
	}
	c := x.turnTo(x.foreign)
	c.messages++
	c.bytes += uint64(len(f.Payload))
	var r *rare
	if len(f.Extra) > 0 {
		r = &rare{extra: slices.Clone(f.Extra)}
	}
	name := ""
	var before *inbox
	for _, in := range x.routes.Match(f.Topic, frames[0], nil) {
		if in == before {
			continue // it has more than one route, see Subscriber.refilter
		}
		if before = in; name == "" {
			name = string(f.Topic)
		}
		x.batch(in).add(name, f.Payload, nil, c.origin, r)
	}
}

// turnTo makes c the contact of the messages to come, and locks its stream.
func (x *session) turnTo(c *contact) *contact {
	if x.cur == c {
		return c
	}
	x.leave()
	x.cur = c
	c.stream.mu.Lock()
	return c
}

// leave unlocks the stream of the current contact.
func (x *session) leave() {
	if x.cur == nil {
		return
	}
	x.cur.stream.mu.Unlock()
	if c := x.cur; c.pub != nil {
		c.pub.messages.Add(c.messages)
		c.pub.bytes.Add(c.bytes)
		c.messages, c.bytes = 0, 0
		c.pub.seen.Store(int64(x.s.eng.Now()))
		if c.pub.stale.Load() {
			x.s.wakeWatcher()
		}
	}
	x.cur = nil
}

// contact returns that of an incarnation, new if need be.
func (x *session) contact(inc Incarnation) *contact {
	if c, ok := x.contacts[inc]; ok {
		return c
	}
	x.leave()
	if len(x.contacts) >= maxContacts {
		clear(x.contacts)
	}
	c := &contact{origin: &Origin{Incarnation: inc, Endpoint: x.up.endpoint}}
	x.s.mu.Lock()
	c.stream = x.s.stream(inc)
	for _, p := range x.up.publishers {
		if p.origin.Incarnation == inc {
			c.pub, c.origin = p, p.origin
		}
	}
	x.s.mu.Unlock()
	x.contacts[inc] = c
	return c
}

// batch is the batch in which messages for an inbox gather.
func (x *session) batch(in *inbox) *batch {
	for i := range x.out {
		if x.out[i].in == in {
			return x.out[i].b
		}
	}
	b := newBatch()
	x.out = append(x.out, outgoing{in, b})
	return b
}

// gap reports what is missing.
func (x *session) gap(o *Origin, miss missing) {
	x.s.gaps.Add(1)
	x.s.missed.Add(miss.count)
	if c := x.contacts[o.Incarnation]; c != nil && c.pub != nil {
		c.pub.missed.Add(miss.count)
	}
	if g := x.lastGap(); g != nil && g.Topic == "" && miss.topic == "" && g.Origin == *o && g.Before <= miss.before {
		// Nothing that passes the filter came between the two. A publisher of
		// nothing but gaps must not fill the memory.
		g.Missed += miss.count
		g.Exact = g.Exact && miss.exact
		g.Before = miss.before
		return
	}
	x.status(&Gap{
		Change: x.s.change(*o), Topic: miss.topic,
		Missed: miss.count, Exact: miss.exact, After: miss.after, Before: miss.before,
	})
}

// lastGap is the gap at the very end of what has gathered, nil if that is anything
// else.
func (x *session) lastGap() *Gap {
	if b := x.batch(x.s.main); len(b.items) > 0 {
		g, _ := b.items[len(b.items)-1].status().(*Gap)
		return g
	}
	return nil
}

// status puts a status in order with the messages of this connection.
func (x *session) status(st Status) {
	x.statuses = append(x.statuses, st)
	x.batch(x.s.main).addStatus(st)
}

// begin is done before the first event of a read.
func (x *session) begin() {
	x.routes = x.s.routes.Load()
	if g := x.up.group; g != nil && g.seen != nil && !x.turn {
		x.blocked.Store(true)
		g.turn.Lock()
		x.blocked.Store(false)
		x.turn = true
	}
}

// Flush implements [engine.Receiver].
func (x *session) Flush(b *block.Block) {
	x.seen.Store(int64(x.s.eng.Now()))
	x.leave()
	x.routes = nil
	if len(x.out) > 0 {
		x.deliver(b)
		x.seen.Store(int64(x.s.eng.Now()))
	}
	if x.turn {
		x.turn = false
		x.up.group.turn.Unlock()
	}
	if x.changed {
		// After what has been read: a failover must not overtake its cause, nor what
		// came before it.
		x.changed = false
		x.s.mu.Lock()
		x.s.reconsider(x.up)
		x.s.unlock()
	}
}

// deliver hands what has gathered over to the inboxes. b is the block that it is
// in, nil if that is one of x.blocks.
func (x *session) deliver(b *block.Block) {
	for _, st := range x.statuses {
		x.s.logStatus(st)
	}
	clear(x.statuses)
	x.statuses = x.statuses[:0]
	for i := range x.out {
		o := x.out[i]
		x.out[i] = outgoing{}
		if o.b.messages > 0 {
			o.b.refer(b, x.blocks)
		}
		// While it waits for room nothing is read, and silence proves nothing.
		x.blocked.Store(true)
		if o.in.inline != nil {
			o.in.call(o.b, &x.message)
		} else if !o.in.push(o.b, x.s.life.stopping) {
			x.peer.Close(ErrSlow)
		}
		x.blocked.Store(false)
	}
	x.out = x.out[:0]
	for _, b := range x.blocks {
		b.Release()
	}
	x.blocks = nil
}

// control takes a message on one of Herald's own topics.
func (x *session) control(b *block.Block, frames [][]byte) {
	if len(frames) < 2 {
		return
	}
	x.leave()
	name := string(frames[0])
	if strings.HasPrefix(name, replayPrefix) {
		x.replay(name, frames)
		return
	}
	beatOf, isBeat := heartbeat.NameOf(name)
	isHello := !isBeat && strings.HasPrefix(name, helloPrefix)
	if !isBeat && !isHello {
		return
	}
	beat, err := heartbeat.Decode(frames[1])
	if err != nil || isBeat && beat.Name != beatOf {
		x.s.malformed.Add(1)
		x.s.log.Debug("malformed heartbeat", "endpoint", x.up.endpoint, "topic", name, "error", err)
		return
	}
	c := x.contact(beat.Incarnation)
	x.s.mu.Lock()
	pub := x.s.heard(x, beat)
	c.pub = pub
	if pub.origin.Incarnation == beat.Incarnation {
		c.origin = pub.origin
	} // else it is a late beat, of one that the publisher's name stands for no more
	st := c.stream
	answered := isHello && name == x.hello
	version := x.ready
	if answered {
		x.hello = ""
		x.ready = x.asked
		version = x.ready
		x.s.wakeReady()
	}
	active := x.active.Load()
	x.s.mu.Unlock()

	if answered {
		x.send(zmtp.AppendCancel(nil, []byte(name)))
	}
	if !active {
		return
	}
	st.mu.Lock()
	st.beats++
	if isHello || st.beats > 1 && version > 0 {
		st.inForce(version, beat.Seq)
	}
	miss := x.compare(st, beat.Seq)
	st.mu.Unlock()
	if miss.count > 0 {
		x.gap(c.origin, miss)
	}
	if answered {
		x.status(&Ready{x.s.change(*c.origin)})
	}
}

// send queues what a subscriber has to say. A peer that takes none of it must not
// be left with half of the subscriptions: it gets all of them on a new connection.
func (x *session) send(msgs []byte) {
	if x.peer.SendControl(msgs) == queue.Dropped {
		x.peer.Close(ErrSlow)
	}
}

// subscribe brings what a session has subscribed to in line with what it should
// have: new prefixes first, then the question whether they are in force, then
// the cancelling of old ones. Held: mu.
func (s *Subscriber) subscribe(x *session) {
	active := x.up.wanted()
	x.active.Store(active)
	var want []string
	if active {
		want = s.cover
	}
	var msgs []byte
	if !x.watched {
		x.watched = true
		msgs = zmtp.AppendSubscribe(msgs, []byte(heartbeat.TopicPrefix))
	}
	for _, p := range want {
		if _, had := slices.BinarySearch(x.cover, p); !had {
			msgs = zmtp.AppendSubscribe(msgs, []byte(p))
		}
	}
	if active && x.asked != s.version {
		old := x.hello
		x.hello, x.asked = helloPrefix+nonce(), s.version
		msgs = zmtp.AppendSubscribe(msgs, []byte(x.hello))
		if old != "" {
			msgs = zmtp.AppendCancel(msgs, []byte(old))
		}
	}
	if !active {
		x.asked, x.ready = 0, 0 // it will have to be asked again
	}
	for _, p := range x.cover {
		if _, has := slices.BinarySearch(want, p); !has {
			msgs = zmtp.AppendCancel(msgs, []byte(p))
		}
	}
	x.cover = want
	if len(msgs) > 0 {
		x.send(msgs)
	}
}

func nonce() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
