package queue_test

import (
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// TestAllocs: in the steady state nothing is allocated, neither with events nor
// with the time that a peer has been slow. Many events are one run, since
// AllocsPerRun rounds down.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	msg := message(0, 0, 100)
	for _, tt := range []struct {
		name    string
		limit   queue.Limit
		size    int
		stride  int // every how many-th event is the peer's
		backlog int // events left waiting
		batch   int // events between two calls of Take; 0: none
	}{
		{"neighbours", wide, len(msg), 1, 0, 100},
		{"one at a time", wide, len(msg), 1, 0, 1},
		{"copied", wide, len(msg), 2, 0, 100},
		{"large", wide, 5000, 1, 0, 10},
		{"large, never quite taken", wide, 5000, 1, 30, 1},
		{"stalled", queue.Limit{Messages: 100, Bytes: 1 << 30, Overflow: queue.DropOldest}, 5000, 1, 0, 0},
		{"stalled, copied", queue.Limit{Messages: 1000, Bytes: 1 << 30, Overflow: queue.DropOldest}, len(msg), 3, 0, 0},
		{"full", queue.Limit{Messages: 100, Bytes: 1 << 30, Overflow: queue.DropNewest}, len(msg), 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := queue.New(tt.limit, zmtp.Skip)
			b, lo := block.Get(64<<10), 0
			for at := 0; at+len(msg) <= len(b.B); at += len(msg) {
				copy(b.B[at:], msg)
			}
			var spans []queue.Span
			push := func() {
				if lo+tt.size > len(b.B) {
					lo = 0
				}
				q.Push(b, lo, lo+tt.size)
				lo += tt.stride * tt.size
			}
			for range tt.backlog {
				push()
			}
			run := func() {
				for i := range 20_000 {
					push()
					if tt.batch == 0 || i%tt.batch > 0 {
						continue
					}
					for q.Stats().Messages > tt.backlog {
						spans = q.Take(spans[:0], 1)
						q.Done(spans, true)
					}
					if tt.backlog == 0 {
						spans = q.Take(spans[:0], 1)
					}
				}
			}
			if n := testing.AllocsPerRun(1, run); n > 0 {
				t.Errorf("%v allocations in 20,000 events", n)
			}
			q.Close()
			if !b.Sole() {
				t.Error("references are left")
			}
			b.Release()
		})
	}
}
