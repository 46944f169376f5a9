package queue_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// oracle is the queue as anybody would write it first: a slice of messages.
type oracle struct {
	limit   queue.Limit
	waiting []entry
	claimed bool
	closed  bool

	pushed, sent, dropped     queue.Stats // Messages and Bytes of each
	takenMessages, takenBytes int
}

type entry struct {
	msg     []byte
	control bool
}

func add(s *queue.Stats, msg []byte) {
	s.Messages++
	s.Bytes += len(msg)
}

func (o *oracle) stats() queue.Stats {
	var s queue.Stats
	for _, e := range o.waiting {
		if e.control {
			s.Control++
		} else {
			add(&s, e.msg)
		}
	}
	s.TakenMessages = o.takenMessages
	s.SentMessages, s.SentBytes = uint64(o.sent.Messages), uint64(o.sent.Bytes)
	s.DroppedMessages, s.DroppedBytes = uint64(o.dropped.Messages), uint64(o.dropped.Bytes)
	return s
}

func (o *oracle) full(n int) bool {
	s := o.stats()
	return s.Messages > 0 && (s.Messages+1 > o.limit.Messages || s.Bytes+n > o.limit.Bytes)
}

func (o *oracle) push(msg []byte, control bool) queue.Outcome {
	controls := 0
	for _, e := range o.waiting {
		if e.control {
			controls++
		}
	}
	switch {
	case control && (o.closed || controls == 256):
		return queue.Dropped
	case control:
	case o.closed:
		add(&o.pushed, msg)
		add(&o.dropped, msg)
		return queue.Dropped
	default:
		add(&o.pushed, msg)
		for o.full(len(msg)) {
			switch o.limit.Overflow {
			case queue.Block:
				o.pushed.Messages--
				o.pushed.Bytes -= len(msg)
				return queue.Full
			case queue.DropOldest:
				for i, e := range o.waiting {
					if !e.control {
						add(&o.dropped, e.msg)
						o.waiting = append(o.waiting[:i:i], o.waiting[i+1:]...)
						break
					}
				}
			case queue.Disconnect:
				add(&o.dropped, msg)
				o.closed = true
				return queue.Overrun
			default:
				add(&o.dropped, msg)
				return queue.Dropped
			}
		}
	}
	o.waiting = append(o.waiting, entry{msg, control})
	if o.claimed {
		return queue.Queued
	}
	o.claimed = true
	return queue.Claimed
}

// take removes what is in p from the front, and returns the events of it.
func (o *oracle) take(p []byte) (events [][]byte, err error) {
	for len(p) > 0 {
		if len(o.waiting) == 0 || !bytes.HasPrefix(p, o.waiting[0].msg) {
			return nil, fmt.Errorf("took % x…, which is not what comes next of %d waiting", p[:min(len(p), 20)], len(o.waiting))
		}
		e := o.waiting[0]
		o.waiting = o.waiting[1:]
		p = p[len(e.msg):]
		if !e.control {
			events = append(events, e.msg)
			o.takenMessages++
			o.takenBytes += len(e.msg)
		}
	}
	return events, nil
}

func (o *oracle) done(events [][]byte, written bool) {
	for _, msg := range events {
		o.takenMessages--
		o.takenBytes -= len(msg)
		if written {
			add(&o.sent, msg)
		} else {
			add(&o.dropped, msg)
		}
	}
}

func (o *oracle) close() {
	o.closed = true
	for _, e := range o.waiting {
		if !e.control {
			add(&o.dropped, e.msg)
		}
	}
	o.waiting = nil
}

// TestOracle does at random to a queue and to the oracle what can be done, and
// wants the same of both. In every other run the test keeps references on all
// blocks, to count those that are left in the end; in the others blocks are
// recycled, and overwritten, as soon as the queue says so.
func TestOracle(t *testing.T) {
	poison(t)
	for overflow, name := range map[queue.Overflow]string{
		queue.DropNewest: "newest", queue.DropOldest: "oldest", queue.Block: "block", queue.Disconnect: "disconnect",
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(30) {
				if !t.Run(fmt.Sprint(seed), func(t *testing.T) { against(t, overflow, seed) }) {
					return
				}
			}
		})
	}
}

func against(t *testing.T, overflow queue.Overflow, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(overflow)))
	limit := queue.Limit{Messages: 1 + rnd.IntN(1<<(1+rnd.IntN(10))), Bytes: 1 + rnd.IntN(1<<(6+rnd.IntN(14))), Overflow: overflow}
	if overflow == queue.Disconnect { // it should not be over too soon
		limit.Messages += 100
		limit.Bytes += 100 << 10
	}
	var (
		p      publisher
		o      = oracle{limit: limit}
		q      = queue.New(limit, zmtp.Skip)
		spans  []queue.Span // taken and not done
		events [][]byte     // in them
		taken  []byte       // all of their bytes as they were when taken
		share  = rnd.IntN(11)
		reads  = rnd.IntN(8) // of 100: how often the peer takes something
		seq    uint64
	)
	if seed%2 == 0 {
		p.held = map[*block.Block]bool{}
	}
	size := func() int {
		switch rnd.IntN(40) {
		case 0:
			return rnd.IntN(20000)
		case 1:
			return 4 << 10
		default:
			return rnd.IntN(300)
		}
	}
	check := func() {
		t.Helper()
		want := o.stats()
		if got := q.Stats(); got != want {
			t.Fatalf("limit %+v: %+v, want %+v", limit, got, want)
		}
		if want.Messages > limit.Messages || want.Bytes > limit.Bytes && want.Messages > 1 {
			t.Fatalf("%+v waiting under the limit %+v", want, limit)
		}
		if n, b := o.sent.Messages+o.dropped.Messages+o.takenMessages+want.Messages, o.sent.Bytes+o.dropped.Bytes+o.takenBytes+want.Bytes; n != o.pushed.Messages || b != o.pushed.Bytes {
			t.Fatalf("%d messages and %d bytes pushed, %d and %d found", o.pushed.Messages, o.pushed.Bytes, n, b)
		}
	}
	done := func(written bool) {
		t.Helper()
		if !bytes.Equal(bytesOf(spans), taken) {
			t.Fatal("what was taken has changed before Done")
		}
		q.Done(spans, written)
		o.done(events, written)
		spans, events, taken = spans[:0], nil, nil
	}
	take := func(limit int) bool {
		t.Helper()
		if len(spans) > 0 {
			done(rnd.IntN(10) > 0)
		}
		spans = q.Take(spans, limit)
		if len(spans) == 0 {
			if len(o.waiting) > 0 {
				t.Fatalf("took nothing of %d waiting", len(o.waiting))
			}
			o.claimed = false
			return false
		}
		for _, s := range spans {
			p.hold(s.Block) // the queue's own as well
		}
		taken = bytesOf(spans)
		last := len(spans[len(spans)-1].Bytes())
		if len(taken)-last >= limit && len(spans) > 1 {
			t.Fatalf("took %d spans with %d bytes, limit %d", len(spans), len(taken), limit)
		}
		if len(taken) < limit && q.Stats().Messages > 0 {
			t.Fatalf("took %d bytes of a limit of %d, and left something", len(taken), limit)
		}
		var err error
		if events, err = o.take(taken); err != nil {
			t.Fatal(err)
		}
		return true
	}
	for range 600 {
		switch x := rnd.IntN(100); {
		case x < reads:
			if o.claimed {
				take(rnd.IntN(1 << rnd.IntN(18)))
			}
		case x < reads+3:
			msg := message(1, seq, rnd.IntN(40))
			if got, want := q.PushControl(p.encode(msg)), o.push(msg, true); got != want {
				t.Fatalf("PushControl: outcome %d, want %d", got, want)
			}
		case x == 99 && rnd.IntN(20) == 0:
			q.Close()
			o.close()
		case rnd.IntN(11) < share:
			p.encode(message(0, seq, size())) // others'
		default:
			seq++
			msg := message(0, seq, size())
			if got, want := q.HasRoom(len(msg)), o.closed || !o.full(len(msg)); got != want {
				t.Fatalf("HasRoom: %t, want %t", got, want)
			}
			if got, want := p.push(q, msg), o.push(msg, false); got != want {
				t.Fatalf("Push: outcome %d, want %d", got, want)
			}
		}
		check()
		if idle := closed(q.Idle()); idle == o.claimed {
			t.Fatalf("idle %t, claimed %t", idle, o.claimed)
		}
	}
	if rnd.IntN(2) == 0 {
		q.Close()
		o.close()
	}
	for o.claimed && take(1<<rnd.IntN(18)) {
	}
	check()
	p.released(t)
}
