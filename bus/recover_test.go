package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// What a cut loses is asked for and given in its place.
func TestRecoverAfterACut(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Recover: true}).record().ready()
		w.publish(p, "a", "1")
		s.take()
		w.net.Link("p", "sub").Cut()
		for i := range 3 {
			w.publish(p, "a", fmt.Sprint("lost", i))
		}
		w.after(time.Second)
		w.publish(p, "a", "2")
		s.expect("disconnected p", "connected p", "ready p", "a=lost0", "a=lost1", "a=lost2", "a=2")
		if st := p.Stats(); st.Replays != 1 || st.Replayed != 3 {
			t.Errorf("stats of the publisher: %+v", st)
		}
	})
}

// What is no longer kept is a gap with its bounds, in its place.
func TestRecoverWhatIsNoLongerKept(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Keep: bus.Keep{Messages: 2}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Recover: true}).record().ready()
		w.publish(p, "a", "1")
		s.take()
		w.net.Link("p", "sub").Cut()
		for i := range 5 {
			w.publish(p, "a", fmt.Sprint("lost", i))
		}
		w.after(time.Second)
		w.publish(p, "a", "2")
		s.expect("disconnected p", "connected p", "ready p", "gap p  3 1..5", "a=lost3", "a=lost4", "a=2")
	})
}

// Under filters each topic is whole and in order.
func TestRecoverUnderFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Prefix("a."), Recover: true,
		}).record().ready()
		w.publish(p, "a.1", "1")
		s.take()
		w.net.Link("p", "sub").Cut()
		w.publish(p, "b", "x")
		w.publish(p, "a.2", "2")
		w.publish(p, "a.1", "3")
		w.after(time.Second)
		s.expect("disconnected p", "connected p", "ready p", "a.2=2", "a.1=3")
	})
}

// A publisher that answers nothing (here: it keeps nothing, and its path is silent)
// does not hold up what comes live for ever.
func TestRecoverWithoutAnAnswer(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Keep: bus.Keep{Messages: -1}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Recover: true}).record().ready()
		w.publish(p, "a", "1")
		s.take()
		w.net.Link("p", "sub").Cut()
		w.publish(p, "a", "lost")
		w.after(time.Second)
		w.publish(p, "a", "2")
		s.expect("disconnected p", "connected p", "ready p", "gap p  1 1..3", "a=2")
	})
}

// A late joiner gets last values first, and then what comes live.
func TestRetained(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Retain: bus.Retain{Prefixes: []string{"a."}, Lifespan: time.Minute}})
		w.publish(p, "a.old", "0")
		w.after(2 * time.Minute)
		for i := range 3 {
			w.publish(p, "a.1", fmt.Sprint("1.", i))
			w.publish(p, "a.2", fmt.Sprint("2.", i))
			w.publish(p, "b.1", "not retained")
		}
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Retained: true,
			Filter: topic.Everything().Except(topic.Exact("a.2")),
		}).record().ready()
		w.publish(p, "a.1", "live")
		ms := s.messages()
		if len(ms) != 2 || !ms[0].Retained || ms[1].Retained || ms[0].Seq != 8 {
			t.Errorf("messages %+v", ms)
		}
		s.expect("connected p", "ready p", "a.1=1.2", "a.1=live")
	})
}

// A random schedule of cuts and silences: every event once and in order, whatever
// the filter, as long as all is kept.
func TestRecoverFromRandomFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			inWorld(t, func(w *world) { randomFaults(w, seed) })
		})
	}
}

func randomFaults(w *world, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 4))
	filter := topic.Everything()
	if seed%2 == 1 {
		filter = topic.Any(topic.Prefix("t.1"), topic.Exact("t.3"))
	}
	p := w.publisher("p", bus.PublisherConfig{Keep: bus.Keep{Messages: 1 << 20}, Queue: bus.Queue{Messages: 50}})
	s := w.subscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(at("p"))}, Filter: filter, Recover: true,
	}).record().ready()
	want := map[string][]string{}
	for i := range 5000 {
		name := fmt.Sprint("t.", rnd.IntN(5))
		payload := fmt.Sprint(i)
		if err := p.Publish(context.Background(), name, []byte(payload)); err != nil {
			w.Fatal(err)
		}
		if filter.MatchString(name) {
			want[name] = append(want[name], payload)
		}
		switch rnd.IntN(400) {
		case 0:
			w.net.Link("p", "sub").Cut()
		case 1:
			w.net.Link("p", "sub").CutAfter(rnd.Int64N(5000))
		case 2:
			w.net.Path("p", "sub").Stall()
			time.Sleep(rand.N(8 * time.Second))
			w.net.Path("p", "sub").Heal()
		case 3, 4, 5:
			time.Sleep(rand.N(2 * time.Second))
		case 6, 7, 8, 9, 10, 11, 12, 13, 14, 15:
			time.Sleep(rand.N(20 * time.Millisecond))
			synctest.Wait()
		}
	}
	w.net.Heal()
	w.after(3 * time.Minute)
	got := map[string][]string{}
	order := uint64(0)
	for _, m := range s.messages() {
		got[m.Topic] = append(got[m.Topic], string(m.Payload))
		if filter.Equal(topic.Everything()) && m.Seq != order+1 {
			w.Fatalf("seed %d: seq %d after %d", seed, m.Seq, order)
		}
		order = m.Seq
	}
	for name := range want {
		for i, v := range want[name] {
			if i >= len(got[name]) || got[name][i] != v {
				w.Fatalf("seed %d: topic %s: event %d of %d is not %s; missed %d, stats %+v", seed, name, i, len(want[name]), v, s.missed(), s.Stats())
			}
		}
		if len(got[name]) != len(want[name]) {
			w.Errorf("seed %d: topic %s: %d events, want %d", seed, name, len(got[name]), len(want[name]))
		}
	}
	if n := s.missed(); n != 0 {
		w.Errorf("seed %d: %d reported missing, but all was kept", seed, n)
	}
}
