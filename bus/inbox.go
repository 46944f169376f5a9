package bus

import (
	"context"
	"errors"
	"slices"
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
	lifespan time.Duration  // 0: no limit
	inline   func(*Message) // of HandleInline: there is no queue

	mu       sync.Mutex
	filter   topic.Filter
	front    *batch   // statuses and gaps before the first of batches; nil: none
	batches  []*batch // waiting, oldest first, from head on
	head     int
	back     *batch // gaps after the last of batches; nil: none
	messages int    // in batches
	bytes    int
	statuses int             // in batches
	waiters  []chan struct{} // readers without room, oldest first; capacity 1
	taken    bool            // a loop has a batch in hand
	rest     int             // messages of a batch that a loop left when it broke off
	ended    bool            // the loop ends when nothing waits
	wake     chan struct{}   // of the loop; capacity 1
	idle     bool            // the loop waits on wake
	drained  chan struct{}   // closed when closed, or ended and every message was dealt with
	stats    InboxStats

	closed atomic.Bool // the loop ends now; set with mu held

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
	DroppedMessages             uint64 // by overflow, or not taken before Close
	Expired                     uint64 // older than SubscriberConfig.Lifespan when their turn came
}

// maxStatuses bounds the statuses that wait where nobody takes them.
const maxStatuses = 4096

func newInbox(limit Queue, filter topic.Filter) *inbox {
	return &inbox{limit: limit, filter: filter, wake: make(chan struct{}, 1), drained: make(chan struct{})}
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
	defer in.mu.Unlock()
	in.stats.Messages += uint64(b.messages)
	in.stats.Bytes += uint64(b.bytes)
	if b.messages > 0 && (len(in.waiters) > 0 || !in.fits(b)) && !in.closed.Load() {
		switch in.limit.Overflow {
		case DropNewest:
			in.dropNewest(b)
			return true
		case Disconnect:
			return !in.dropNewest(b)
		case DropOldest:
			in.append(b)
			in.dropOldest(in.limit.Messages, in.limit.Bytes)
			return true
		case Conflate:
			in.append(b)
			in.conflate()
			return true
		}
		in.waitRoom(b, stop)
	}
	if in.closed.Load() {
		in.stats.DroppedMessages += uint64(b.messages)
		b.release()
		return true
	}
	if gaps := in.back; gaps != nil {
		in.back = nil
		in.append(gaps)
	}
	in.append(b)
	return true
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
	in.rouse()
}

// shift takes the oldest batch out. Held: mu.
func (in *inbox) shift() *batch {
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
	return b
}

// forgetStatus drops the oldest batch that has only statuses, but for the newest
// batch: nobody takes them. Held: mu.
func (in *inbox) forgetStatus() {
	waiting := in.batches[in.head : len(in.batches)-1]
	for i, b := range waiting {
		if b.messages == 0 {
			copy(waiting[1:i+1], waiting[:i])
			waiting[0] = b
			in.shift().release()
			return
		}
	}
}

// waitRoom waits until the batch fits, or nothing else waits: batches are not
// divided. Waiters are served in the order in which they came, so that a busy
// publisher can't keep the others out. Held: mu, but not while it waits.
func (in *inbox) waitRoom(b *batch, stop <-chan struct{}) {
	turn := make(chan struct{}, 1)
	in.waiters = append(in.waiters, turn)
	for stopped := false; !stopped && !in.closed.Load() && (in.waiters[0] != turn || !in.fits(b) && in.messages > 0); {
		in.mu.Unlock()
		select {
		case <-turn:
		case <-stop:
			stopped = true
		}
		in.mu.Lock()
	}
	in.waiters = slices.DeleteFunc(in.waiters, func(w chan struct{}) bool { return w == turn })
	in.serve() // there may be room for the next one too
}

// serve lets the first waiter look whether there is room. Held: mu; the send never
// waits.
func (in *inbox) serve() {
	if len(in.waiters) > 0 {
		select {
		case in.waiters[0] <- struct{}{}:
		default:
		}
	}
}

// errEnded is next's answer when the loop is to end.
var errEnded = errors.New("ended")

// next returns the oldest batch, and waits for it.
func (in *inbox) next(ctx context.Context) (*batch, error) {
	for {
		in.mu.Lock()
		if in.closed.Load() {
			in.mu.Unlock()
			return nil, errEnded
		}
		if b := in.first(); b != nil {
			in.taken = true
			in.serve()
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

// first takes out what comes first; nil: nothing waits. Held: mu.
func (in *inbox) first() *batch {
	var b *batch
	switch {
	case in.front != nil:
		b, in.front = in.front, nil
	case len(in.batches) > 0:
		b = in.shift()
	default:
		b, in.back = in.back, nil
	}
	return b
}

// discard counts a message that nobody wants any more.
func (in *inbox) discard() {
	in.mu.Lock()
	in.stats.DroppedMessages++
	in.mu.Unlock()
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

// leave notes that the loop has ended, and what it has left of the batch in hand.
func (in *inbox) leave() {
	in.mu.Lock()
	defer func() {
		in.busy.Store(false)
		in.checkDrained()
		in.mu.Unlock()
	}()
	if in.cur == nil {
		return
	}
	n := 0
	for _, it := range in.cur.items[in.pos:] {
		if it.status() == nil {
			n++
		}
	}
	if in.closed.Load() {
		if in.taken {
			in.stats.DroppedMessages += uint64(n)
		}
		in.cur.release()
		in.cur = nil
	} else {
		in.rest = n
	}
	in.taken = false
}

// resume notes that a loop goes on where the one before it broke off.
func (in *inbox) resume() {
	if in.cur == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed.Load() {
		in.taken, in.rest = true, 0
	}
}

// checkDrained closes drained when it is time. Held: mu.
func (in *inbox) checkDrained() {
	if !in.closed.Load() && (!in.ended || in.taken || in.rest+in.messages > 0 || in.busy.Load() && in.statuses > 0) {
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
	defer in.mu.Unlock()
	if in.closed.Swap(true) {
		return
	}
	in.stats.DroppedMessages += uint64(in.rest + in.messages)
	in.rest = 0
	for b := in.first(); b != nil; b = in.first() {
		b.release()
	}
	for _, w := range in.waiters {
		close(w)
	}
	in.waiters = nil
	in.checkDrained()
	in.rouse()
}

// rouse wakes the loop. Held: mu; the send never waits.
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
	s.QueuedMessages, s.QueuedBytes = in.rest+in.messages, in.bytes
	return s
}
