package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/memnet"
)

// world is a network in memory and what runs on it, in a bubble of virtual time.
type world struct {
	*testing.T
	net *memnet.Network
}

// inWorld runs a test in virtual time. A test that would run for ever in it is
// ended by the bubble, which finds all its goroutines asleep.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(&world{t, memnet.New(memnet.Config{Seed: 1})})
	})
}

func (w *world) network(host string) bus.Network {
	h := w.net.Host(host)
	return bus.Network{Dial: h.Dial, Listen: h.Listen}
}

// publisher starts one that binds tcp://HOST:5556, where HOST is also its name
// unless the configuration has another.
func (w *world) publisher(host string, cfg bus.PublisherConfig) *bus.Publisher {
	w.Helper()
	cfg.Network = w.network(host)
	if cfg.Name == "" {
		cfg.Name = host
	}
	if cfg.Bind == nil && cfg.Connect == nil {
		cfg.Bind = []string{at(host)}
	}
	p, err := bus.NewPublisher(cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { p.Close() })
	return p
}

func at(host string) string { return "tcp://" + host + ":5556" }

// subscriber starts one on the host "sub", or the one in the configuration's
// Network, and records what it yields.
func (w *world) subscriber(cfg bus.SubscriberConfig) *recorder {
	w.Helper()
	if cfg.Network.Dial == nil {
		cfg.Network = w.network("sub")
	}
	s, err := bus.NewSubscriber(cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	r := &recorder{w: w, Subscriber: s, began: time.Now()}
	return r
}

// recorder takes the events of a subscriber and keeps them.
type recorder struct {
	*bus.Subscriber
	w     *world
	began time.Time

	mu       sync.Mutex
	events   []bus.Event
	loopErr  error
	loopDone chan struct{}
}

// record starts the loop.
func (r *recorder) record() *recorder {
	r.loopDone = make(chan struct{})
	go func() {
		defer close(r.loopDone)
		for ev, err := range r.Events(context.Background()) {
			r.mu.Lock()
			if err != nil {
				r.loopErr = err
			} else {
				r.events = append(r.events, ev)
			}
			r.mu.Unlock()
		}
	}()
	return r
}

// ready waits until the subscriber is ready, for at most a minute of virtual time.
func (r *recorder) ready() *recorder {
	r.w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Ready(ctx); err != nil {
		r.w.Fatal(err)
	}
	synctest.Wait()
	return r
}

// after lets virtual time pass, and everything that is due happen.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// seen are the events so far, as words: the topic=payload of a message, the kind
// and what it is about of a status.
func (r *recorder) seen() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, ev := range r.events {
		words = append(words, word(ev))
	}
	return words
}

func word(ev bus.Event) string {
	switch ev := ev.(type) {
	case *bus.Message:
		return ev.Topic + "=" + string(ev.Payload)
	case *bus.Switched:
		return "failover " + host(ev.From) + " " + host(ev.To)
	case *bus.Gap:
		n := fmt.Sprint(ev.Missed)
		if !ev.Exact {
			n += "+"
		}
		return fmt.Sprintf("gap %s %s %s %d..%d", ev.Publisher, ev.Topic, n, ev.After, ev.Before)
	case *bus.Connected:
		return "connected " + host(ev.Endpoint)
	case *bus.Disconnected:
		return "disconnected " + host(ev.Endpoint)
	case bus.Status:
		o, _ := ev.About()
		return ev.Kind() + " " + o.Publisher
	}
	return fmt.Sprintf("%T", ev)
}

func host(endpoint string) string {
	h, _, _ := strings.Cut(strings.TrimPrefix(endpoint, "tcp://"), ":")
	return h
}

// take returns the events so far and forgets them.
func (r *recorder) take() []string {
	words := r.seen()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
	return words
}

// messages are the messages so far.
func (r *recorder) messages() (all []*bus.Message) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if m, ok := ev.(*bus.Message); ok {
			all = append(all, m)
		}
	}
	return all
}

// missed is the sum of all gaps so far.
func (r *recorder) missed() (n uint64) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if g, ok := ev.(*bus.Gap); ok {
			n += g.Missed
		}
	}
	return n
}

// expect fails unless the events since the last take are these.
func (r *recorder) expect(want ...string) {
	r.w.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		r.w.Fatalf("after %v:\n got %q\nwant %q", time.Since(r.began), got, want)
	}
}

// expectAnyOrder is expect for events of different connections.
func (r *recorder) expectAnyOrder(want ...string) {
	r.w.Helper()
	got := r.take()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.w.Fatalf("after %v:\n got %q\nwant %q", time.Since(r.began), got, want)
	}
}

// publish publishes, and fails on an error.
func (w *world) publish(p *bus.Publisher, topic, payload string) {
	w.Helper()
	if err := p.Publish(context.Background(), topic, []byte(payload)); err != nil {
		w.Fatal(err)
	}
}
