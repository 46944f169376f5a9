//go:build !race

// The race detector empties pools at random.

package bus

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/heraldbus/herald/topic"
)

// mallocs is how many allocations f makes for each of n events, in all goroutines:
// with a fraction, unlike testing.AllocsPerRun. It is the least of a few runs: the
// garbage collector empties pools when it likes.
func mallocs(n int, f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
	least := math.Inf(1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(n))
	}
	return least
}

// Publishing allocates nothing: not for the event, and not for each of its peers.
func TestPublishAllocs(t *testing.T) {
	const n = 5_000
	ctx := context.Background()
	payload := make([]byte, 64)
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint("topic.", i)
	}
	for _, peers := range []int{0, 1, 8} {
		for _, tryWrite := range []bool{true, false} {
			p := cannedPublisher(t, peers, []string{"topic."}, tryWrite, PublisherConfig{
				Queue: Queue{Messages: 1000}, Keep: Keep{Messages: 1000}, // soon full
			})
			prepared, err := p.Topic("topic.1", Header{HeaderContentType, "text/plain"})
			if err != nil {
				t.Fatal(err)
			}
			for name, publish := range map[string]func(i int) error{
				"prepared":    func(i int) error { return prepared.Publish(ctx, payload) },
				"plain":       func(i int) error { return p.Publish(ctx, "topic.1", payload) },
				"1000 topics": func(i int) error { return p.Publish(ctx, names[i%1000], payload) },
				"large":       func(i int) error { return p.Publish(ctx, "topic.1", large[:]) },
			} {
				got := mallocs(n, func() {
					for i := range n {
						if err := publish(i); err != nil {
							t.Fatal(err)
						}
					}
				})
				if got > 0.01 {
					t.Errorf("%s, %d peers, TryWrite %v: %.4f allocations for each event", name, peers, tryWrite, got)
				}
			}
			p.Close()
		}
	}
}

var large [8 << 10]byte

// Receiving by Borrow allocates next to nothing; by Messages a share of what holds
// many.
func TestReceiveAllocs(t *testing.T) {
	const n = 50_000
	for _, tt := range []struct {
		name string
		loop func(s *Subscriber, each func() bool)
		most float64
	}{
		{"borrowing", func(s *Subscriber, each func() bool) {
			for range s.Borrow(context.Background()) {
				if !each() {
					return
				}
			}
		}, 0.05},
		{"owning", func(s *Subscriber, each func() bool) {
			for range s.Messages(context.Background()) {
				if !each() {
					return
				}
			}
		}, 0.1}, // 1/32 for messages, 1/128 for their bytes
	} {
		for name, f := range map[string]topic.Filter{"everything": topic.Everything(), "a pattern": topic.Pattern("topic.*").Except(topic.Exact("x"))} {
			s := cannedSubscriber(t, newReel(1000, 100, 64), SubscriberConfig{Filter: f})
			got := mallocs(n, func() {
				i := 0
				tt.loop(s, func() bool { i++; return i < n })
			})
			if got > tt.most {
				t.Errorf("%s, %s: %.4f allocations for each event, want at most %v", tt.name, name, got, tt.most)
			}
			if st := s.Stats(); st.Missed > 0 || st.Duplicates > 0 {
				t.Errorf("the reel is not what it should be: %+v", st)
			}
			s.Close()
		}
	}
}
