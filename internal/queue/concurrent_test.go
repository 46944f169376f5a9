package queue_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// TestConcurrent has several publishers push into one queue and whoever gets the
// claim write it. What is written is each publisher's events in order, all of them
// under Block, and nothing is counted twice or not at all. A wake-up that is lost
// is a deadlock, which the bubble reports.
func TestConcurrent(t *testing.T) {
	for _, tt := range []struct {
		name     string
		overflow queue.Overflow
		closeAt  uint64 // close the queue when the first publisher is there; 0: never
		failAt   uint64 // let the write fail that has this event; 0: none
	}{
		{"newest", queue.DropNewest, 0, 0},
		{"oldest", queue.DropOldest, 0, 0},
		{"block", queue.Block, 0, 0},
		{"block, closed meanwhile", queue.Block, 500, 0},
		{"block, broken connection", queue.Block, 0, 500},
		{"disconnect", queue.Disconnect, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			poison(t)
			limit := queue.Limit{Messages: 50, Bytes: 20000, Overflow: tt.overflow}
			synctest.Test(t, func(t *testing.T) { concurrently(t, limit, tt.closeAt, tt.failAt) })
		})
	}
}

func concurrently(t *testing.T, limit queue.Limit, closeAt, failAt uint64) {
	const (
		publishers = 4
		events     = 2000
	)
	var (
		q        = queue.New(limit, zmtp.Skip)
		holders  atomic.Int32
		overruns atomic.Int32
		pushing  sync.Mutex

		// Guarded by the claim alone, which the race detector checks:
		next     [publishers]uint64
		written  uint64
		lost     uint64 // in writes that failed
		controls int
		spans    []queue.Span
	)
	write := func() {
		for {
			taken := q.Take(spans[:0], 4000)
			if len(taken) == 0 {
				return // and spans is somebody else's
			}
			if holders.Add(1) != 1 {
				t.Error("two hold the claim")
			}
			spans = taken
			ok, n := true, uint64(0)
			for p := bytesOf(spans); len(p) > 0; {
				from, seq, length := identify(t, p)
				p = p[length:]
				if from == publishers {
					controls++
					continue
				}
				if seq < next[from] || limit.Overflow == queue.Block && seq != next[from] {
					t.Errorf("event %d of publisher %d, want %d", seq, from, next[from])
				}
				next[from] = seq + 1
				n++
				if failAt > 0 && seq == failAt {
					ok = false
				}
			}
			if ok {
				written += n
			} else {
				lost += n
			}
			q.Done(spans, ok)
			if !ok {
				q.Close()
			}
			holders.Add(-1)
		}
	}
	kick := func(out queue.Outcome) {
		if out == queue.Claimed {
			go write()
		}
	}
	var group sync.WaitGroup
	for i := range uint32(publishers) {
		group.Go(func() {
			var p publisher
			defer p.log.Close()
			for seq := range uint64(events) {
				msg := message(i, seq, int(seq*37%200))
				if seq%3 == 0 {
					p.encode(msg) // others'
				}
				b, lo, hi := p.encode(msg)
				pushing.Lock() // HasRoom wants it, as a publisher's lock gives it
				out := q.Push(b, lo, hi)
				for out == queue.Full {
					if room := q.Room(); !q.HasRoom(hi - lo) {
						pushing.Unlock()
						<-room
						pushing.Lock()
					}
					out = q.Push(b, lo, hi)
				}
				pushing.Unlock()
				kick(out)
				if out == queue.Overrun {
					overruns.Add(1)
				}
				if out == queue.Overrun || closeAt > 0 && seq == closeAt && i == 0 {
					q.Close()
				}
			}
		})
	}
	group.Go(func() {
		var p publisher
		defer p.log.Close()
		for seq := range uint64(200) {
			kick(q.PushControl(p.encode(message(publishers, seq, 20))))
			if s := q.Stats(); s.Messages > limit.Messages || s.Bytes > limit.Bytes {
				t.Errorf("%+v waiting under the limit %+v", s, limit)
			}
		}
	})
	group.Wait()
	<-q.Idle()

	s := q.Stats()
	if s.Messages != 0 || s.Bytes != 0 || s.SentMessages != written || s.SentMessages+s.DroppedMessages != publishers*events {
		t.Errorf("%+v, want %d sent, and %d with those that were dropped", s, written, publishers*events)
	}
	switch {
	case closeAt > 0 || failAt > 0:
		if s.DroppedMessages == 0 || s.DroppedMessages < lost {
			t.Errorf("%d dropped, after a Close and failed writes of %d", s.DroppedMessages, lost)
		}
	case limit.Overflow == queue.Block && s.DroppedMessages > 0:
		t.Errorf("%d dropped", s.DroppedMessages)
	}
	if n := overruns.Load(); n > 1 {
		t.Errorf("%d were told to drop the peer", n)
	}
	if open := closeAt == 0 && failAt == 0 && overruns.Load() == 0; open && controls != 200 {
		t.Errorf("%d control messages got through, want 200", controls)
	}
}
