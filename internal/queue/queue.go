package queue

import (
	"sync"

	"github.com/heraldbus/herald/internal/block"
)

// Overflow says what a full queue does with one more message.
type Overflow uint8

const (
	DropNewest Overflow = iota // the new message is dropped, as ZeroMQ does
	DropOldest                 // as many of the oldest are dropped as the new one needs
	Block                      // Push answers Full, its caller waits for Room
	Disconnect                 // Push answers Overrun, its caller drops the peer
	Conflate                   // only the newest event of each topic is kept, see Limit.Topic
)

// Limit bounds what waits in a queue, control messages apart. Whichever bound is
// reached first counts. What the holder of the claim has taken does not wait any
// more.
type Limit struct {
	Messages int // positive, which New does not check
	Bytes    int // as encoded; a message larger than that is taken by an empty queue
	Overflow Overflow
	// Topic returns the topic of a message; [Conflate] needs it.
	Topic func(msg []byte) []byte
}

// Outcome is what became of a pushed message.
type Outcome uint8

const (
	Queued  Outcome = iota // it waits; somebody else holds the claim
	Claimed                // it waits, and the caller now holds the claim
	Dropped                // it was dropped, for want of room or because the queue is closed
	Full                   // Block: nothing happened, try again after Room
	Overrun                // Disconnect: it was dropped, and the queue takes no more: drop the peer
)

// A message that does not continue the last span is either referred to, which
// keeps alive the block it is in, or copied, which costs time and, with many
// peers, memory that they could share.
const (
	// shareMin is the size from which a message is referred to even when it stands
	// alone. [Log] puts such messages into blocks of their own, so that they keep
	// no more alive than twice their size.
	shareMin = 4 << 10
	// shareRun is the length in bytes of a run of neighbours from which on smaller
	// ones are referred to as well. So this much waits, copied or not, for each
	// block of the log, or two, that is kept alive; and a peer that gets everything
	// has next to nothing copied, however long its backlog.
	shareRun = 16 << 10
	// tailSize is the size of the blocks for copied messages.
	tailSize = 16 << 10
	// maxControl bounds control messages, which are let into a full queue: a
	// heartbeat or an answer must not be lost to a backlog of events, but a peer
	// that asks and never reads must not fill the memory either.
	maxControl = 256
)

// Span is a run of whole messages that stand next to each other in a block. It
// holds one reference on the block.
type Span struct {
	Block   *block.Block
	Lo, Hi  int // of Block.B
	Count   int // of messages
	control bool
}

// Bytes are the encoded messages. They must not be changed, and not be looked at
// after Done.
func (s Span) Bytes() []byte { return s.Block.B[s.Lo:s.Hi] }

// Stats counts the messages that were pushed since the queue was made, but for
// control messages and those that were refused as [Full]: each is in one of the
// three, or taken and not done. Bytes are as encoded.
type Stats struct {
	Messages, Bytes               int    // waiting now
	TakenMessages                 int    // taken and not yet done
	Control                       int    // control messages waiting
	SentMessages, SentBytes       uint64 // written
	DroppedMessages, DroppedBytes uint64 // by overflow, by Close, after it, or not written
}

// Queue is the queue of one peer. Make it with [New]. Whenever something waits,
// somebody holds the claim.
type Queue struct {
	limit Limit
	skip  func([]byte) int

	// What may be pushed before HasRoom has to look. Of the caller of HasRoom and
	// Push; Push writes it under mu, HasRoom reads it without.
	spareMessages, spareBytes int

	mu      sync.Mutex
	spans   []Span // waiting, oldest first, from head on
	head    int
	tail    *block.Block // for copies; nil when there were none since the queue was idle
	tailLen int
	src     *block.Block // of the last message before any copying: a mark, not a reference; nil when idle
	srcHi   int          // where in it that message ended
	run     int          // bytes of the run of neighbours that ended with it
	control int          // control messages waiting
	claimed bool
	closed  bool
	stats   Stats
	room    chan struct{} // closed when something was taken; nil when nobody waits
	idle    chan struct{} // closed when the claim comes back; nil when nobody waits
}

// New makes an empty queue. skip returns the length in bytes of the first message
// of a span, for [DropOldest]; it is called with the queue's lock held.
func New(limit Limit, skip func([]byte) int) *Queue {
	return &Queue{limit: limit, skip: skip}
}

// Push appends the message b.B[lo:hi]. The queue takes references of its own; the
// caller's stays the caller's. Messages are best pushed as a [Log] hands out their
// memory.
func (q *Queue) Push(b *block.Block, lo, hi int) Outcome { return q.PushRun(b, lo, hi, 1) }

// PushRun appends the messages in b.B[lo:hi], of which there are count, as Push
// would one. What becomes of one becomes of all: they should be few.
func (q *Queue) PushRun(b *block.Block, lo, hi, count int) Outcome {
	q.mu.Lock()
	if q.closed || q.full(count, hi-lo) {
		if out := q.overflow(count, hi-lo); out != Queued {
			q.mu.Unlock()
			return out
		}
	}
	q.stats.Messages += count
	q.stats.Bytes += hi - lo
	q.spareMessages -= count
	q.spareBytes -= hi - lo
	q.append(b, lo, hi, count, false)
	out := q.claim()
	q.mu.Unlock()
	return out
}

// PushControl appends one or several messages that belong to the protocol and not
// to the stream. They are not subject to the limit but to a small one of their
// own, never dropped for the sake of newer events, and not counted. The outcome is
// Queued, Claimed or Dropped.
func (q *Queue) PushControl(b *block.Block, lo, hi int) Outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.control >= maxControl {
		return Dropped
	}
	q.control++
	q.append(b, lo, hi, 1, true)
	return q.claim()
}

// HasRoom reports whether a message of n bytes would be taken now, or is not worth
// waiting for because the queue is closed. Only under [Block] is the answer of use.
//
// Unlike the other methods it must not be called while another goroutine calls it
// or Push: it knows how much room it has seen, which only Push can lessen, and
// takes the lock only when that is used up.
func (q *Queue) HasRoom(n int) bool { return q.HasRoomFor(1, n) }

// HasRoomFor is HasRoom for a run of so many messages and bytes.
func (q *Queue) HasRoomFor(count, n int) bool {
	if q.spareMessages < count || q.spareBytes < n {
		q.mu.Lock()
		closed, full := q.closed, q.full(count, n)
		q.spareMessages = q.limit.Messages - q.stats.Messages
		q.spareBytes = q.limit.Bytes - q.stats.Bytes
		q.mu.Unlock()
		if closed || full {
			q.spareMessages = 0
			return closed
		}
	}
	return true
}

// full reports whether the limit stands against so many more messages and bytes.
// Held: mu.
func (q *Queue) full(count, n int) bool {
	return q.stats.Messages > 0 && (q.stats.Messages+count > q.limit.Messages || q.stats.Bytes+n > q.limit.Bytes)
}

// overflow makes room for count messages of n bytes, which it answers with Queued, or says what
// becomes of them instead. Held: mu.
func (q *Queue) overflow(count, n int) Outcome {
	out := Dropped
	if !q.closed {
		switch q.limit.Overflow {
		case Block:
			return Full
		case DropOldest:
			for q.full(count, n) && q.dropOldest() {
			}
			return Queued
		case Conflate:
			q.conflate(count, n)
			return Queued
		case Disconnect:
			// The caller is told once, not with every event until the peer is gone.
			q.closed = true
			out = Overrun
		}
	}
	q.drop(count, n)
	return out
}

// drop counts what is lost. Held: mu.
func (q *Queue) drop(messages, bytes int) {
	q.stats.DroppedMessages += uint64(messages)
	q.stats.DroppedBytes += uint64(bytes)
}

// dropOldest drops the oldest event that waits, if any does. Held: mu.
func (q *Queue) dropOldest() bool {
	i := q.head
	for i < len(q.spans) && q.spans[i].control {
		i++
	}
	if i == len(q.spans) {
		return false
	}
	s := &q.spans[i]
	n := s.Hi - s.Lo
	if s.Count > 1 {
		n = q.skip(s.Bytes())
	}
	s.Lo += n
	s.Count--
	q.stats.Messages--
	q.stats.Bytes -= n
	q.drop(1, n)
	if s.Count == 0 {
		s.Block.Release()
		// Control messages before it move up by one place.
		copy(q.spans[q.head+1:i+1], q.spans[q.head:i])
		q.spans[q.head] = Span{}
		q.head++
	}
	return true
}

// append adds messages to the last span, or in a span of its own. Held: mu.
func (q *Queue) append(b *block.Block, lo, hi, count int, control bool) {
	n := hi - lo
	if b == q.src && lo == q.srcHi || q.src == nil || lo == 0 && q.srcHi+n > len(q.src.B) {
		// The last message's neighbour, or the first one since the queue was idle,
		// or the log went on to its next block.
		q.run += n
	} else {
		q.run = n
	}
	q.src, q.srcHi = b, hi
	if len(q.spans) > q.head {
		if q.extend(b, lo, hi, count, control) {
			return
		}
		if n < shareMin && q.run < shareRun {
			b, lo = q.copy(b.B[lo:hi])
			hi = lo + n
			if q.extend(b, lo, hi, count, control) {
				return
			}
		}
	}
	b.Retain()
	if len(q.spans) == cap(q.spans) && q.head > len(q.spans)/2 {
		// Use the places of what is gone, lest the slice grow for ever under a
		// backlog that is never quite taken.
		rest := copy(q.spans, q.spans[q.head:])
		clear(q.spans[rest:])
		q.spans, q.head = q.spans[:rest], 0
	}
	q.spans = append(q.spans, Span{Block: b, Lo: lo, Hi: hi, Count: count, control: control})
}

// extend adds messages to the last span if it is its neighbour. Held: mu.
func (q *Queue) extend(b *block.Block, lo, hi, count int, control bool) bool {
	last := &q.spans[len(q.spans)-1]
	if last.Block != b || last.Hi != lo || last.control || control {
		return false
	}
	last.Hi = hi
	last.Count += count
	return true
}

// copy puts a message into the queue's own block and returns where. Held: mu.
func (q *Queue) copy(p []byte) (b *block.Block, lo int) {
	if q.tail == nil || q.tailLen+len(p) > len(q.tail.B) {
		if q.tail != nil {
			q.tail.Release()
		}
		q.tail, q.tailLen = block.Get(tailSize), 0
	}
	lo = q.tailLen
	q.tailLen += copy(q.tail.B[lo:], p)
	return q.tail, lo
}

// claim gives the caller the claim if nobody has it. Held: mu.
func (q *Queue) claim() Outcome {
	if q.claimed {
		return Queued
	}
	q.claimed = true
	return Claimed
}

// Take moves spans out of the queue, oldest first, and appends them to dst: one,
// and more until they have limit bytes. When none waits it returns dst as it was,
// and the claim is given back. What was taken belongs to the caller, who must call
// Done with it, whether it could be written or not, before taking more.
func (q *Queue) Take(dst []Span, limit int) []Span {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.spans) {
		q.claimed = false
		q.reset()
		wake(&q.idle)
		return dst
	}
	for taken := 0; ; {
		s := q.spans[q.head]
		q.spans[q.head] = Span{}
		q.head++
		dst = append(dst, s)
		if s.control {
			q.control--
		} else {
			q.stats.Messages -= s.Count
			q.stats.Bytes -= s.Hi - s.Lo
			q.stats.TakenMessages += s.Count
		}
		taken += s.Hi - s.Lo
		if taken >= limit || q.head == len(q.spans) {
			break
		}
	}
	wake(&q.room)
	return dst
}

// reset gives back what an idle queue does not need. run stays, so that a peer
// that keeps up is not taken for one that gets little. Held: mu.
func (q *Queue) reset() {
	q.spans, q.head = q.spans[:0], 0
	if cap(q.spans) > 64 {
		q.spans = nil
	}
	if q.tail != nil {
		q.tail.Release()
		q.tail = nil
	}
	q.src = nil
}

// Done releases the spans that were taken, and clears them. written tells whether
// they went out: those that did not are counted as dropped.
func (q *Queue) Done(spans []Span, written bool) {
	var messages, bytes int
	for i := range spans {
		s := &spans[i]
		if !s.control {
			messages += s.Count
			bytes += s.Hi - s.Lo
		}
		s.Block.Release()
		*s = Span{}
	}
	q.mu.Lock()
	q.stats.TakenMessages -= messages
	if written {
		q.stats.SentMessages += uint64(messages)
		q.stats.SentBytes += uint64(bytes)
	} else {
		q.drop(messages, bytes)
	}
	q.mu.Unlock()
}

// Room returns a channel that is closed when something is next taken out of the
// queue, or when the queue is closed. Ask for it before looking whether there is
// room: what is taken between the two then wakes the caller.
func (q *Queue) Room() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiter(&q.room, q.closed)
}

// Idle returns a channel that is closed once nothing waits and nobody holds the
// claim: all that was pushed has been written, or was dropped by Close. After
// Close nobody gets the claim again, so whoever then waits for Idle knows that
// no writer is left.
func (q *Queue) Idle() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiter(&q.idle, !q.claimed)
}

// waiter returns a channel that is closed by wake, or already if now is set.
// Held: mu.
func (q *Queue) waiter(c *chan struct{}, now bool) <-chan struct{} {
	if now {
		done := make(chan struct{})
		close(done)
		return done
	}
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// wake wakes those who wait for c, if any do. Held: mu; closing never waits.
func wake(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}

// Close drops what waits, counts it, and wakes everybody. Pushing goes on to be
// allowed and is answered with Dropped. The holder of the claim, if any, keeps it
// until its next Take. Closing again does nothing.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	waiting := q.spans[q.head:]
	q.drop(q.stats.Messages, q.stats.Bytes)
	q.stats.Messages, q.stats.Bytes, q.control = 0, 0, 0
	q.spans, q.head = nil, 0
	q.reset()
	wake(&q.room)
	q.mu.Unlock()
	// They may be many, and whoever pushes meanwhile should not wait for it.
	for _, s := range waiting {
		s.Block.Release()
	}
}

// Stats returns the counts as they are now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Control = q.control
	return s
}
