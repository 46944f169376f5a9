package bus_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// Two publishers of one stream: each event once, and the loss of one is not seen in
// the stream.
func TestRedundant(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.publisher("a", bus.PublisherConfig{Linger: -1})
		b := w.publisher("b", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.Redundant(at("a"), at("b"))}}).record()
		w.after(time.Second)
		s.ready()
		send := func(ps []*bus.Publisher, n int) {
			for _, p := range ps {
				id := bus.Header{Key: bus.HeaderID, Value: fmt.Sprint("s-", n)}
				if err := p.PublishHeaders(context.Background(), "x", fmt.Append(nil, n), id); err != nil {
					w.Fatal(err)
				}
				synctest.Wait()
			}
		}
		s.take()
		send([]*bus.Publisher{a, b}, 1)
		send([]*bus.Publisher{b, a}, 2)
		w.net.Host("a").Freeze()
		send([]*bus.Publisher{b}, 3)
		w.after(10 * time.Second)
		send([]*bus.Publisher{b}, 4)
		s.expect("x=1", "x=2", "x=3", "stale a", "disconnected a", "x=4")
	})
}

// A peer that cannot follow gets the newest of each topic, and is told how much it
// did not get.
func TestConflate(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: bus.Conflate}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		w.net.Path("p", "sub").Stall()
		const n = 100_000 // more than the path's buffer takes
		for i := range n {
			w.publish(p, fmt.Sprint("t.", i%4), fmt.Sprint(i))
		}
		w.net.Heal()
		w.after(time.Second)
		ms := s.messages()
		last := map[string]string{}
		for _, m := range ms {
			last[m.Topic] = string(m.Payload)
		}
		for i := n - 4; i < n; i++ {
			if name := fmt.Sprint("t.", i%4); last[name] != fmt.Sprint(i) {
				t.Errorf("the last of %s is %s, want %d", name, last[name], i)
			}
		}
		if got := uint64(len(ms)) + s.missed(); got != n {
			t.Errorf("%d messages and %d missed are not %d", len(ms), s.missed(), n)
		}
	})
}

func TestConflateAtTheSubscriber(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 10, Overflow: bus.Conflate},
		}).ready()
		for i := range 1000 {
			w.publish(p, fmt.Sprint("t.", i%3), fmt.Sprint(i))
			if i%7 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		s.record()
		ms := s.messages()
		if n := len(ms); n < 3 || n > 10 || uint64(n)+s.missed() != 1000 {
			t.Errorf("%d messages, %d missed", n, s.missed())
		}
		if m := ms[len(ms)-1]; string(m.Payload) != "999" {
			t.Errorf("the last one is %s", m.Payload)
		}
	})
}

func TestDeadline(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources:   []bus.Source{bus.From(at("p"))},
			Deadlines: []bus.Deadline{{Filter: topic.Prefix("tick."), Within: 8 * time.Second, Topics: []string{"tick.never"}}},
		}).record().ready()
		s.take()
		w.publish(p, "tick.1", "")
		w.after(5 * time.Second)
		w.publish(p, "tick.1", "")
		w.publish(p, "other", "")
		w.after(5 * time.Second)
		s.expect("tick.1=", "tick.1=", "other=", "overdue ")
		w.after(5 * time.Second)
		s.expect("overdue p")
		w.after(time.Minute)
		s.expect() // told once
		w.publish(p, "tick.1", "")
		w.after(10 * time.Second)
		s.expect("tick.1=", "overdue p")
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestLifespan(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Lifespan: time.Second}).ready()
		w.publish(p, "a", "old")
		w.after(2 * time.Second)
		w.publish(p, "a", "new")
		s.record().expect("connected p", "ready p", "a=new")
		if n := s.Stats().Queue.Expired; n != 1 {
			t.Errorf("%d expired, want 1", n)
		}
	})
}

// So many filters that one union of them would be too large.
func TestManyFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.None()})
		const n = 70_000
		var filters []topic.Filter
		for i := range n {
			filters = append(filters, topic.Exact(fmt.Sprintf("instrument.%05d", i)))
		}
		if err := s.Add(filters...); err != nil {
			t.Fatal(err)
		}
		s.record().ready().take()
		for i := 0; i < n; i += 10_000 {
			w.publish(p, fmt.Sprintf("instrument.%05d", i), "")
		}
		if got := len(s.messages()); got != n/10_000 {
			t.Errorf("%d messages, want %d", got, n/10_000)
		}
	})
}

// Under Block a peer that takes nothing holds up the others only for so long.
func TestBlockWithPatience(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 100, Overflow: bus.Block, Patience: 2 * time.Second}})
		for _, name := range []string{"stuck", "sub"} {
			w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network(name)}).record().ready()
		}
		w.net.Path("p", "stuck").Stall()
		began := time.Now()
		for range 50_000 { // more than the path's buffer takes
			w.publish(p, "a", "0123456789")
		}
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("publishing was held up for %v, want 2s", waited)
		}
		if n := len(p.Stats().Peers); n != 1 {
			t.Errorf("%d peers, want 1", n)
		}
	})
}

func TestHandleInline(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}})
		var got []string
		stop, err := s.HandleInline(topic.Prefix("a"), func(m *bus.Message) { got = append(got, word(m)) })
		if err != nil {
			t.Fatal(err)
		}
		s.ready()
		w.publish(p, "a", "1")
		w.publish(p, "b", "1")
		w.publish(p, "a", "2")
		synctest.Wait()
		stop()
		w.publish(p, "a", "3")
		synctest.Wait()
		if fmt.Sprint(got) != "[a=1 a=2]" {
			t.Errorf("the handler got %q", got)
		}
		if n := s.Stats().Queue.Messages; n != 0 {
			t.Errorf("%d messages in a queue that nobody takes from", n)
		}
	})
}

func TestPublishBatch(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Retain: bus.Retain{Prefixes: []string{""}}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Recover: true}).record().ready()
		s.take()
		prepared, err := p.Topic("a", bus.Header{Key: "k", Value: "v"})
		if err != nil {
			t.Fatal(err)
		}
		var payloads [][]byte
		for i := range 1000 {
			payloads = append(payloads, fmt.Appendf(nil, "%d %s", i, make([]byte, i*i%5000)))
		}
		w.publish(p, "a", "before")
		w.net.Link("p", "sub").Cut() // what is lost of it is recovered out of the ring
		if n, err := prepared.PublishBatch(context.Background(), payloads...); n != len(payloads) || err != nil {
			t.Fatalf("%d published, %v", n, err)
		}
		w.publish(p, "a", "after")
		w.after(time.Minute)
		ms := s.messages()
		if len(ms) != len(payloads)+2 || s.missed() > 0 {
			t.Fatalf("%d messages, %d missed", len(ms), s.missed())
		}
		for i, m := range ms[1 : len(ms)-1] {
			if v, _ := m.Header("k"); string(m.Payload) != string(payloads[i]) || m.Seq != uint64(i+2) || v != "v" {
				t.Fatalf("message %d: seq %d, header %q, %.20q", i, m.Seq, v, m.Payload)
			}
		}
	})
}
