package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// The same policies at the subscriber's own queue.
func TestOverflowAtTheSubscriber(t *testing.T) {
	const n = 200
	for _, tt := range []struct {
		overflow bus.Overflow
		want     string // of the messages
	}{
		{bus.OverflowDefault, "1..200"},
		{bus.Block, "1..200"},
		{bus.DropNewest, "1..20"},
		{bus.DropOldest, "181..200"},
	} {
		t.Run(tt.overflow.String(), func(t *testing.T) {
			inNarrowWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{})
				s := w.subscriber(bus.SubscriberConfig{
					Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 20, Overflow: tt.overflow},
				}).ready()
				for range n / 10 {
					w.burst(p, 10)
					synctest.Wait()
				}
				if st := s.Stats().Queue; st.QueuedMessages < 11 || st.QueuedMessages > 20 {
					t.Errorf("%d wait, with room for 20", st.QueuedMessages)
				}
				s.record()
				w.after(time.Second)
				s.account(0, n)
				ms := s.messages()
				if got := fmt.Sprintf("%d..%d", ms[0].Seq, ms[len(ms)-1].Seq); got != tt.want {
					t.Errorf("%s were given, want %s", got, tt.want)
				}
				st := s.Stats()
				if st.Queue.Messages != n || st.Queue.DroppedMessages != n-uint64(len(ms)) || st.Missed != 0 {
					t.Errorf("%+v", st)
				}
				if st := p.Stats(); st.DroppedMessages != 0 {
					t.Errorf("the publisher has dropped %d", st.DroppedMessages)
				}
			})
		})
	}
}

func TestDisconnectAtTheSubscriber(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 20, Overflow: bus.Disconnect},
		}).ready()
		for range 20 {
			w.burst(p, 10)
			synctest.Wait()
		}
		if n := len(p.Stats().Peers); n != 0 {
			t.Errorf("%d peers, want none", n)
		}
		s.record()
		w.after(5 * time.Second)
		if n := s.account(0, 200); n != 20 {
			t.Errorf("%d were received", n)
		}
		var why error
		s.mu.Lock()
		for _, ev := range s.events {
			if d, ok := ev.(*bus.Disconnected); ok {
				why = d.Err
			}
		}
		s.mu.Unlock()
		if !errors.Is(why, bus.ErrSlow) {
			t.Errorf("disconnected for %v", why)
		}
		w.burst(p, 5)
		if n := s.account(0, 205); n != 25 {
			t.Errorf("%d were received", n)
		}
	})
}

// Each handler has a queue of its own, and is told what that has dropped.
func TestOverflowOfHandlers(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		var mu sync.Mutex
		var missed uint64
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Prefix("t."),
			Queue: bus.Queue{Messages: 20, Overflow: bus.DropOldest},
			OnStatus: func(st bus.Status) {
				if g, ok := st.(*bus.Gap); ok {
					mu.Lock()
					missed += g.Missed
					mu.Unlock()
				}
			},
		}).record()
		release := make(chan struct{})
		var slow, fast []uint64
		handle := func(f func(m *bus.Message)) {
			if _, err := s.Handle(topic.Prefix("t."), func(_ context.Context, m *bus.Message) error {
				f(m)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		handle(func(m *bus.Message) {
			<-release
			slow = append(slow, m.Seq)
		})
		handle(func(m *bus.Message) { fast = append(fast, m.Seq) })
		s.ready()
		s.take()
		const n = 500
		for range n / 10 {
			w.burst(p, 10)
			synctest.Wait()
		}
		if got := s.account(0, n); got != n || len(fast) != n {
			t.Errorf("the loop got %d, the fast handler %d", got, len(fast))
		}
		close(release)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		st := s.Stats().Handlers
		if uint64(len(slow))+missed != n || len(slow) > 40 || slow[len(slow)-1] != n || !slices.IsSorted(slow) {
			t.Errorf("the slow handler got %d, which are %d; %d reported missing", len(slow), slow, missed)
		}
		if len(st) != 2 || st[0].DroppedMessages != missed || st[0].Messages != n || st[1].DroppedMessages != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Under Block a slow handler holds up the connection, and nothing is lost.
func TestSlowHandlerUnderBlock(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 5}})
		var got []uint64
		if _, err := s.Handle(topic.Everything(), func(_ context.Context, m *bus.Message) error {
			time.Sleep(10 * time.Millisecond)
			got = append(got, m.Seq)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s.ready()
		w.burst(p, 1000)
		w.after(time.Minute)
		if len(got) != 1000 || !slices.IsSorted(got) {
			t.Errorf("%d messages", len(got))
		}
		if n := s.Stats().PublishersAlive; n != 1 {
			t.Errorf("%d publishers are alive", n)
		}
	})
}

// Whatever is full, stalled or cut: each event is received, or reported to be
// missing, once and in its place.
func TestEverythingAddsUp(t *testing.T) {
	policies := []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Disconnect}
	for seed := range uint64(60) {
		inNarrowWorld(t, func(w *world) {
			rnd := rand.New(rand.NewPCG(seed, 6))
			ours, theirs := policies[seed%3], append(policies, bus.Block)[seed/3%4]
			p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 1 + rnd.IntN(30), Overflow: ours}, TopicCache: 1 + rnd.IntN(5)})
			s := w.subscriber(bus.SubscriberConfig{
				Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 1 + rnd.IntN(30), Overflow: theirs}, TopicCache: 1 + rnd.IntN(5),
			}).ready()
			s.record().take()
			var n uint64
			for range 100 {
				k := rnd.IntN(30)
				w.burst(p, k)
				n += uint64(k)
				switch rnd.IntN(12) {
				case 0:
					w.net.Link("p", "sub").Cut()
				case 1:
					w.net.Path("p", "sub").CutAfter(rnd.Int64N(20_000))
				case 2:
					w.net.Path("p", "sub").Stall()
				case 3:
					w.net.Heal()
				case 4:
					time.Sleep(time.Duration(rnd.Int64N(int64(3 * time.Second))))
				case 5, 6:
					time.Sleep(time.Duration(rnd.Int64N(int64(100 * time.Millisecond))))
				case 7, 8, 9:
					synctest.Wait()
				}
			}
			w.net.Heal()
			w.after(30 * time.Second)
			if t.Failed() {
				t.Logf("seed %d: %v, %v", seed, ours, theirs)
			}
			s.account(0, n)
			if st := p.Stats(); st.Messages != n {
				t.Errorf("%+v", st)
			}
		})
	}
}
