package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/topic"
)

// fill publishes n events of 100 bytes and some.
func (w *world) fill(p *bus.Publisher, n int) {
	w.Helper()
	payload := strings.Repeat("x", 100)
	for range n {
		w.publish(p, "a", payload)
	}
}

// Drain takes the time that a slow subscriber needs, and loses nothing.
func TestDrainToSlowSubscribers(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		fast := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("fast")}).record().ready()
		slow := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("slow")}).record().ready()
		w.net.Path("p", "slow").Set(memnet.Conditions{Latency: 50 * time.Millisecond, Bandwidth: 100_000})
		const n = 10_000 // some 150 bytes each
		w.fill(p, n)
		began := time.Now()
		if err := p.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 14*time.Second || took > 20*time.Second {
			t.Errorf("drained in %v, want the 15s that 1.5 MB take at 100 kB/s", took)
		}
		for _, s := range []*recorder{fast, slow} {
			if got := len(s.messages()); got != n {
				t.Errorf("%d messages, want %d", got, n)
			}
			if got := s.take(); !slices.Equal(got[len(got)-2:], []string{"gone p", "disconnected p"}) {
				t.Errorf("it ends with %q", got[len(got)-2:])
			}
		}
		if st := p.Stats(); st.SentMessages != 2*n || st.DroppedMessages != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A Drain that is cut short says what was not sent, and to whom.
func TestDrainCutShort(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		ok := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("ok")}).record().ready()
		w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("stuck")}).record().ready()
		w.net.Path("p", "stuck").Stall()
		const n = 10_000
		w.fill(p, n)
		w.after(0)
		stuck := p.Stats().Peers[1]
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := p.Drain(ctx)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		var ep *bus.EndpointError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ep) || ep.Op != "drain" || ep.Endpoint != at("p") {
			t.Fatalf("error %v", err)
		}
		want := fmt.Sprintf("%d events not sent to %s", n-stuck.SentMessages, stuck.Remote)
		if !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "not sent") != 1 {
			t.Errorf("error %q, want %q in it", err, want)
		}
		if got := ok.seen(); len(got) != n+4 || got[n+2] != "gone p" {
			t.Errorf("the other one got %d events", len(got))
		}
		if st := p.Stats(); st.DroppedMessages != n-stuck.SentMessages || st.SentMessages+st.DroppedMessages != 2*n {
			t.Errorf("%+v", st)
		}
	})
}

// Whoever cuts a Drain short, all who wait for it are told that something was lost.
func TestCloseDuringDrain(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Linger: -1})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).ready()
		w.net.Path("p", "sub").Stall()
		w.fill(p, 10_000)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Drain(context.Background()); err == nil {
				t.Error("Drain of the publisher reports success, though Close has dropped events")
			}
		})
		w.after(time.Second)
		p.Close()
		wg.Wait()

		w.net.Heal()
		w.after(time.Minute)
		wg.Go(func() {
			if err := s.Drain(context.Background()); err == nil {
				t.Error("Drain of the subscriber reports success, though Close has dropped events")
			}
		})
		w.after(time.Second)
		s.Close()
		wg.Wait()
	})
}

func TestLinger(t *testing.T) {
	for _, tt := range []struct {
		name   string
		linger time.Duration
		stall  bool
		want   time.Duration
	}{
		{"by default", 0, true, time.Second},
		{"longer", 5 * time.Second, true, 5 * time.Second},
		{"not at all", -1, true, 0},
		{"no longer than needed", 5 * time.Second, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{Linger: tt.linger})
				s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
				if tt.stall { // both ways: the subscriber's own verdict would end it
					w.net.Link("p", "sub").Stall()
				}
				w.fill(p, 10_000)
				began := time.Now()
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("Close took %v, want %v", took, tt.want)
				}
				if n := len(s.messages()); !tt.stall && n != 10_000 {
					t.Errorf("%d messages arrived", n)
				}
			})
		})
	}
}

// Close and Drain may be called as often as one likes, by anybody.
func TestCloseManyTimes(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		prepared, err := p.Topic("a")
		if err != nil {
			t.Fatal(err)
		}
		w.fill(p, 100)
		all := func() {
			var wg sync.WaitGroup
			for range 5 {
				for _, f := range []func() error{
					p.Close, s.Close,
					func() error { return p.Drain(context.Background()) },
					func() error { return s.Drain(context.Background()) },
				} {
					wg.Go(func() { f() })
				}
			}
			wg.Wait()
		}
		all()
		began := time.Now()
		all()
		if took := time.Since(began); took != 0 {
			t.Errorf("closing what is closed took %v", took)
		}
		ctx := context.Background()
		for name, err := range map[string]error{
			"Publish":          p.Publish(ctx, "a", nil),
			"PublishHeaders":   p.PublishHeaders(ctx, "a", nil, bus.Header{Key: "k"}),
			"prepared Publish": prepared.Publish(ctx, nil),
			"WaitSubscribers":  p.WaitSubscribers(ctx, "a", 1),
			"Ready":            s.Ready(ctx),
			"Add":              s.Add(topic.Exact("b")),
			"Remove":           s.Remove(topic.Everything()),
		} {
			if !errors.Is(err, bus.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
		if _, err := s.Handle(topic.Exact("b"), nil); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("Handle after Close: %v", err)
		}
		<-s.loopDone
		for ev, err := range s.Events(ctx) {
			t.Errorf("after Close: %v, %v", ev, err)
		}
		p.Stats()
		s.Stats()
		s.Publishers()
	})
}

// What Drain has begun to end is told apart from what has ended.
func TestDraining(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		w.net.Path("p", "sub").Stall()
		w.fill(p, 10_000)
		ctx, cancel := context.WithCancel(context.Background())
		drained := make(chan error)
		go func() { drained <- p.Drain(ctx) }()
		synctest.Wait()
		if err := p.Publish(ctx, "a", nil); !errors.Is(err, bus.ErrDraining) {
			t.Errorf("Publish while draining: %v", err)
		}
		if err := p.WaitSubscribers(ctx, "b", 1); err != nil && !errors.Is(err, bus.ErrDraining) {
			t.Errorf("WaitSubscribers while draining: %v", err)
		}
		w.net.Heal()
		if err := <-drained; err != nil {
			t.Error(err)
		}
		cancel()
		if n := len(s.messages()); n != 10_000 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

// Everybody who waits in a call is woken by Close.
func TestCloseWakesWaiters(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 10, Overflow: bus.Block}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		idle := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("nowhere"))}, Network: w.network("idle")}).record()
		w.net.Path("p", "sub").Stall()
		ctx := context.Background()
		var wg sync.WaitGroup
		var sent atomic.Int64
		for range 3 {
			wg.Go(func() {
				for {
					if err := p.Publish(ctx, "a", make([]byte, 100)); err != nil {
						if !errors.Is(err, bus.ErrDraining) && !errors.Is(err, bus.ErrClosed) {
							t.Errorf("Publish: %v", err)
						}
						return
					}
					sent.Add(1)
				}
			})
			wg.Go(func() {
				if err := p.WaitSubscribers(ctx, "a", 7); !errors.Is(err, bus.ErrDraining) && !errors.Is(err, bus.ErrClosed) {
					t.Errorf("WaitSubscribers: %v", err)
				}
			})
			wg.Go(func() {
				if err := idle.Ready(ctx); !errors.Is(err, bus.ErrClosed) && !errors.Is(err, bus.ErrDraining) {
					t.Errorf("Ready: %v", err)
				}
			})
		}
		stop, err := idle.Handle(topic.Everything(), func(context.Context, *bus.Message) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		w.after(time.Second)
		p.Close()
		idle.Close()
		s.Close()
		wg.Wait()
		<-idle.loopDone
		<-s.loopDone
		if st := p.Stats(); st.Messages != uint64(sent.Load()) {
			t.Errorf("%d events were published, and Publish succeeded %d times", st.Messages, sent.Load())
		}
	})
}

// A Publish that waited for room when Drain began has either failed or been sent.
func TestPublishRacesWithDrain(t *testing.T) {
	for seed := range 30 {
		inWorld(t, func(w *world) {
			p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 5, Overflow: bus.Block}})
			s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
			w.net.Path("p", "sub").Stall()
			var wg sync.WaitGroup
			var sent atomic.Int64
			for range 4 {
				wg.Go(func() {
					for p.Publish(context.Background(), "a", make([]byte, 1000)) == nil {
						sent.Add(1)
					}
				})
			}
			w.after(time.Second)
			go w.net.Heal() // room comes at the same moment
			if err := p.Drain(context.Background()); err != nil {
				t.Error(err)
			}
			wg.Wait()
			words := s.seen()
			if n := len(s.messages()); n != int(sent.Load()) || words[len(words)-2] != "gone p" {
				t.Errorf("seed %d: %d events were published and %d received, which end with %.20q", seed, sent.Load(), n, words[len(words)-2:])
			}
		})
	}
}

// Drain of a subscriber gives all that was received to its loop and its handlers.
func TestSubscriberDrain(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Exact("a")}).record()
		slow := 0
		_, err := s.Handle(topic.Exact("a"), func(ctx context.Context, _ *bus.Message) error {
			time.Sleep(time.Millisecond)
			if ctx.Err() != nil {
				t.Error("the handler's context ended before it had everything")
			}
			slow++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.ready()
		w.fill(p, 1000)
		synctest.Wait()
		began := time.Now()
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); slow != 1000 || took < 900*time.Millisecond || took > 2*time.Second {
			t.Errorf("the handler had %d messages after %v", slow, took)
		}
		if n := len(s.messages()); n != 1000 || s.loopErr != nil {
			t.Errorf("the loop had %d messages, %v", n, s.loopErr)
		}
		<-s.loopDone
	})
}

func TestSubscriberDrainCutShort(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).ready()
		w.fill(p, 100)
		synctest.Wait()
		for m, err := range s.Messages(context.Background()) {
			if err != nil || m.Seq != 1 {
				t.Fatal(m, err)
			}
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := s.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), " 99 ") {
			t.Errorf("error %v", err)
		}
		if st := s.Stats(); st.Queue.Messages != 100 || st.Queue.DroppedMessages != 99 || st.Queue.QueuedMessages != 0 {
			t.Errorf("%+v", st.Queue)
		}
		for ev := range s.Events(context.Background()) {
			t.Errorf("after Drain: %v", ev)
		}
	})
}

// A handler can be stopped while Drain waits for it, from within and without.
func TestStopDuringDrain(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}})
		var n atomic.Int64
		var stop [2]func()
		for i := range stop {
			var err error
			stop[i], err = s.Handle(topic.Everything(), func(context.Context, *bus.Message) error {
				if n.Add(1); i == 0 {
					time.Sleep(time.Second)
					stop[0]()
				} else {
					time.Sleep(time.Hour)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.ready()
		w.fill(p, 3)
		synctest.Wait()
		drained := make(chan error)
		go func() { drained <- s.Drain(context.Background()) }()
		w.after(time.Minute)
		stop[1]()
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if n.Load() != 2 {
			t.Errorf("%d messages were given, want one to each handler", n.Load())
		}
		w.after(2 * time.Hour)
		if n.Load() != 2 {
			t.Errorf("%d messages were given to handlers that had been stopped", n.Load()-2)
		}
	})
}

// Closing from where one is called.
func TestCloseFromWithin(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		from := func() *recorder {
			return w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}})
		}
		var n atomic.Int64
		a := from()
		if _, err := a.Handle(topic.Everything(), func(context.Context, *bus.Message) error {
			n.Add(1)
			a.Close()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		a.ready()
		b := from()
		b.ready()
		w.fill(p, 10)
		for _, err := range b.Messages(context.Background()) {
			if err != nil {
				t.Error(err)
			}
			n.Add(1)
			b.Close()
		}
		synctest.Wait()
		if n.Load() != 2 {
			t.Errorf("%d messages were given, want one to each", n.Load())
		}
		c := from()
		for range c.Events(context.Background()) { // its first status
			c.Close()
		}
	})
}

// A subscriber that goes leaves nothing behind at the publisher.
func TestPublisherForgetsPeers(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		for range 5 {
			s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
			w.fill(p, 10)
			synctest.Wait()
			s.Close()
			synctest.Wait()
		}
		w.fill(p, 10)
		if st := p.Stats(); len(st.Peers) != 0 || st.Subscriptions != 0 || st.SentMessages != 50 || st.DroppedMessages != 0 || st.Messages != 60 {
			t.Errorf("%+v", st)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.WaitSubscribers(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitSubscribers finds who has gone: %v", err)
		}
	})
}
