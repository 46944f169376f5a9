package bus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heraldbus/herald/topic"
)

// inbox is a queue of received events with the filter of those it takes: that of
// the subscriber's own stream, or of a handler. Readers push batches into it, one
// loop takes them out.
type inbox struct {
	limit    Queue
	lifespan time.Duration // 0: no limit

	mu       sync.Mutex
	filter   topic.Filter
	batches  []*batch // waiting, oldest first, from head on
	head     int
	messages int // in batches
	bytes    int
	statuses int // in batches
	lost     losses
	waiters  []chan struct{} // readers without room, oldest first
	taken    bool            // the loop has a batch in hand
	ended    bool            // the loop ends when nothing waits
	closed   bool            // the loop ends now
	wake     chan struct{}   // of the loop; capacity 1
	idle     bool            // the loop waits on wake
	drained  chan struct{}   // closed when ended and every message was dealt with
	stats    InboxStats

	// Of the loop:
	busy  atomic.Bool // there is one
	cur   *batch
	pos   int
	arena arena
}

// InboxStats counts what went through a queue of received events.
type InboxStats struct {
	QueuedMessages, QueuedBytes int    // waiting now
	Messages, Bytes             uint64 // accepted by the filter
	DroppedMessages             uint64 // by overflow
	Expired                     uint64 // older than SubscriberConfig.Lifespan when their turn came
}

// maxStatuses bounds the statuses that wait where nobody takes them.
const maxStatuses = 4096

func newInbox(limit Queue, lifespan time.Duration, filter topic.Filter) *inbox {
	return &inbox{limit: limit, lifespan: lifespan, filter: filter, wake: make(chan struct{}, 1), drained: make(chan struct{})}
}

// fits reports whether the messages of b find room. Held: mu.
func (in *inbox) fits(b *batch) bool {
	return in.messages+b.messages <= in.limit.Messages && in.bytes+b.bytes <= in.limit.Bytes
}

// push hands a batch over, which is the inbox's from then on. stop ends the wait
// for room under [Block]: then the batch is taken all the same, since what has
// been read would be lost. It reports false where the policy is to disconnect.
func (in *inbox) push(b *batch, stop <-chan struct{}) bool {
	in.mu.Lock()
	in.stats.Messages += uint64(b.messages)
	in.stats.Bytes += uint64(b.bytes)
	ok := true
	if !in.fits(b) && b.messages > 0 && !in.closed {
		switch in.limit.Overflow {
		case DropNewest, Disconnect:
			ok = in.limit.Overflow != Disconnect
			in.dropNewest(b)
		case DropOldest:
			in.dropOldest(b)
		case Conflate:
			in.conflate(b)
		default:
			in.waitRoom(b, stop)
		}
	}
	if in.closed {
		in.mu.Unlock()
		b.release()
		return true
	}
	in.lost.flushTail(in, b)
	in.append(b)
	in.mu.Unlock()
	return ok
}

// append puts a batch at the end. Held: mu.
func (in *inbox) append(b *batch) {
	if len(b.items) == 0 {
		b.release()
		return
	}
	in.messages += b.messages
	in.bytes += b.bytes
	in.statuses += len(b.items) - b.messages
	in.batches = append(in.batches, b)
	if in.statuses > maxStatuses && b.messages == 0 {
		in.forgetStatus()
	}
	if in.idle {
		in.idle = false
		in.wake <- struct{}{}
	}
}

// forgetStatus drops the oldest batch if it has only statuses: nobody takes them.
// Held: mu.
func (in *inbox) forgetStatus() {
	if b := in.batches[in.head]; b.messages == 0 && in.head < len(in.batches)-1 {
		in.statuses -= len(b.items)
		in.batches[in.head] = nil
		in.head++
		b.release()
	}
}

// waitRoom waits until the batch fits, or nothing else waits: batches are not
// divided. Waiters are served in the order in which
// they came, so that a busy publisher can't keep the others out. Held: mu, but
// not while it waits.
func (in *inbox) waitRoom(b *batch, stop <-chan struct{}) {
	for first := true; !in.closed && (!in.fits(b) && in.messages > 0 || first && len(in.waiters) > 0); first = false {
		turn := make(chan struct{})
		if first {
			in.waiters = append(in.waiters, turn)
		} else {
			in.waiters = append([]chan struct{}{turn}, in.waiters...)
		}
		in.mu.Unlock()
		select {
		case <-turn:
			in.mu.Lock()
		case <-stop:
			in.mu.Lock()
			in.passOn(turn)
			return
		}
	}
	// There may be room for the next one too.
	in.serve()
}

// passOn takes a waiter out, or gives its turn to the next if it came meanwhile.
// Held: mu.
func (in *inbox) passOn(turn chan struct{}) {
	for i, w := range in.waiters {
		if w == turn {
			in.waiters = append(in.waiters[:i], in.waiters[i+1:]...)
			return
		}
	}
	in.serve()
}

// serve lets the first waiter look whether there is room. Held: mu.
func (in *inbox) serve() {
	if len(in.waiters) > 0 {
		close(in.waiters[0])
		in.waiters = in.waiters[1:]
	}
}

// errEnded is next's answer when the loop is to end.
var errEnded = errors.New("ended")

// next returns the oldest batch, and waits for it.
func (in *inbox) next(ctx context.Context) (*batch, error) {
	for {
		in.mu.Lock()
		if in.closed {
			in.mu.Unlock()
			return nil, errEnded
		}
		if b := in.lost.takeHead(); b != nil {
			in.mu.Unlock()
			return b, nil
		}
		if in.head < len(in.batches) {
			b := in.batches[in.head]
			in.batches[in.head] = nil
			if in.head++; in.head == len(in.batches) {
				in.batches, in.head = in.batches[:0], 0
			} else if in.head >= 1024 && in.head > len(in.batches)/2 {
				n := copy(in.batches, in.batches[in.head:])
				clear(in.batches[n:])
				in.batches, in.head = in.batches[:n], 0
			}
			in.messages -= b.messages
			in.bytes -= b.bytes
			in.statuses -= len(b.items) - b.messages
			in.taken = true
			in.serve()
			in.mu.Unlock()
			return b, nil
		}
		if b := in.lost.takeTail(); b != nil {
			in.mu.Unlock()
			return b, nil
		}
		if in.ended {
			in.mu.Unlock()
			return nil, errEnded
		}
		in.idle = true
		in.mu.Unlock()
		select {
		case <-in.wake:
		case <-ctx.Done():
			in.mu.Lock()
			if !in.idle {
				<-in.wake // a push has sent it, or is about to, under the lock
			}
			in.idle = false
			in.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
}

// expire counts a message that was too old.
func (in *inbox) expire() {
	in.mu.Lock()
	in.stats.Expired++
	in.mu.Unlock()
}

// finish gives back the batch that was taken.
func (in *inbox) finish(b *batch) {
	b.release()
	in.mu.Lock()
	in.taken = false
	in.checkDrained()
	in.mu.Unlock()
}

// checkDrained closes drained when it is time. Held: mu.
func (in *inbox) checkDrained() {
	if !in.ended || in.taken || in.messages > 0 {
		return
	}
	select {
	case <-in.drained:
	default:
		close(in.drained)
	}
}

// end lets the loop take what waits and end then; close ends it at once.
func (in *inbox) end() {
	in.mu.Lock()
	in.ended = true
	in.checkDrained()
	in.rouse()
	in.mu.Unlock()
}

func (in *inbox) close() {
	in.mu.Lock()
	if !in.closed {
		in.closed = true
		for _, b := range in.batches[in.head:] {
			in.stats.DroppedMessages += uint64(b.messages)
			b.release()
		}
		in.batches, in.head = nil, 0
		for _, w := range in.waiters {
			close(w)
		}
		in.waiters = nil
	}
	in.rouse()
	in.mu.Unlock()
}

// rouse wakes the loop. Held: mu.
func (in *inbox) rouse() {
	if in.idle {
		in.idle = false
		in.wake <- struct{}{}
	}
}

func (in *inbox) queueStats() InboxStats {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.stats
	s.QueuedMessages, s.QueuedBytes = in.messages, in.bytes
	return s
}

// dropNewest drops the messages of b that find no room. Held: mu.
func (in *inbox) dropNewest(b *batch) {
	messages, bytes := in.messages, in.bytes
	in.drop(b, in.lost.tail, func(n int) bool {
		if messages+1 > in.limit.Messages || bytes+n > in.limit.Bytes {
			return true
		}
		messages++
		bytes += n
		return false
	})
}

// dropOldest drops waiting messages, and then the first of b, until b fits.
// Held: mu.
func (in *inbox) dropOldest(b *batch) {
	for i := in.head; i < len(in.batches) && !in.fits(b); i++ {
		in.drop(in.batches[i], in.lost.head, func(n int) bool {
			if in.fits(b) {
				return false
			}
			in.messages--
			in.bytes -= n
			return true
		})
	}
	in.drop(b, in.lost.head, func(int) bool { return !in.fits(b) })
}

// conflate drops each waiting message that a later one of the same topic, b's
// included, has made old; and the oldest, where that does not free half of the
// queue. Held: mu.
func (in *inbox) conflate(b *batch) {
	newest := make(map[string]int)
	n := 0
	each := func(f func(b *batch)) {
		n = 0
		for _, waiting := range in.batches[in.head:] {
			f(waiting)
		}
		f(b)
	}
	each(func(b *batch) {
		for i := range b.items {
			if it := &b.items[i]; it.status() == nil {
				newest[it.topic] = n
				n++
			}
		}
	})
	in.messages += b.messages // as if it waited already
	in.bytes += b.bytes
	each(func(b *batch) {
		topics := b.topics()
		i := -1
		in.drop(b, in.lost.head, func(size int) bool {
			i++
			old := newest[topics[i]] != n
			n++
			if old {
				in.messages--
				in.bytes -= size
			}
			return old
		})
	})
	each(func(b *batch) {
		in.drop(b, in.lost.head, func(size int) bool {
			if in.messages <= in.limit.Messages/2 && in.bytes <= in.limit.Bytes/2 || in.messages == 1 {
				return false
			}
			in.messages--
			in.bytes -= size
			return true
		})
	})
	in.messages -= b.messages
	in.bytes -= b.bytes
}

// drop takes the messages for which which reports true out of b, in order, and
// notes them as lost. Held: mu.
func (in *inbox) drop(b *batch, lost func(*item), which func(size int) bool) {
	kept := b.items[:0]
	for i := range b.items {
		it := &b.items[i]
		if it.status() == nil {
			if n := it.size(); which(n) {
				b.messages--
				b.bytes -= n
				in.stats.DroppedMessages++
				lost(it)
				continue
			}
		}
		kept = append(kept, *it)
	}
	clear(b.items[len(kept):])
	b.items = kept
}

// losses gathers what an inbox has dropped, until it is told in the stream: at
// its front (the oldest were dropped) or at its end (the newest).
type losses struct {
	atHead, atTail []*Gap
}

func (l *losses) head(it *item) { note(&l.atHead, it) }
func (l *losses) tail(it *item) { note(&l.atTail, it) }

func note(gaps *[]*Gap, it *item) {
	var seq uint64
	if it.meta != nil {
		seq = it.meta.seq()
	}
	for i := len(*gaps) - 1; i >= 0; i-- {
		if g := (*gaps)[i]; g.Origin == *it.origin {
			g.Missed++
			if seq > 0 {
				g.Before = seq + 1
			}
			return
		}
	}
	g := &Gap{Change: Change{*it.origin, time.Now()}, Missed: 1, Exact: true}
	if seq > 0 {
		g.After, g.Before = seq-1, seq+1
	}
	*gaps = append(*gaps, g)
}

func statusBatch(gaps *[]*Gap) *batch {
	if len(*gaps) == 0 {
		return nil
	}
	b := newBatch()
	for _, g := range *gaps {
		b.addStatus(g)
	}
	*gaps = nil
	return b
}

func (l *losses) takeHead() *batch { return statusBatch(&l.atHead) }
func (l *losses) takeTail() *batch { return statusBatch(&l.atTail) }

// flushTail puts what was lost before b in front of it, unless b is all lost too.
// Held: mu.
func (l *losses) flushTail(in *inbox, b *batch) {
	if b.messages == 0 {
		return
	}
	if g := l.takeTail(); g != nil {
		in.append(g)
	}
}
