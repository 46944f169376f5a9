package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/topic"
)

// What was missed is more than the publisher keeps, by each of its bounds. The rest is
// given, and what is gone is told.
func TestKeepBounds(t *testing.T) {
	for name, keep := range map[string]bus.Keep{
		"messages": {Messages: 100},
		"bytes":    {Bytes: 10_000},
		"age":      {Age: 4 * time.Second},
		"nothing":  {Messages: -1},
		"one":      {Messages: 1},
	} {
		for _, m := range modes() {
			if !m.recover {
				continue
			}
			t.Run(name+"/"+m.String(), func(t *testing.T) {
				inWorld(t, 1, func(w *world) {
					p := w.publisher("p", bus.PublisherConfig{Keep: keep})
					from := "p"
					if m.chain {
						w.forwarder("fwd", 100_000, at("p"))
						from = "fwd"
					}
					s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at(from))}, Filter: m.filter(), Recover: true})
					s.ready()
					stop := w.traffic(10*ms, p)
					for range 3 {
						w.after(time.Second)
						w.net.Link("sub", from).Stall()
						w.after(8 * time.Second)
						w.net.Heal()
						w.after(6 * time.Second)
						w.net.Link("sub", from).Cut() // less is missed than is kept, in most cases
						w.after(time.Second)
					}
					stop()
					w.finish(false)
					if r := s.check(); r.Missing == 0 {
						t.Errorf("nothing was missed: %v", r)
					}
				})
			})
		}
	}
}

// The subscriber goes over to another way to the same publisher while it recovers
// what it missed, and back again, and while the answer is on its way.
func TestFailoverDuringRecovery(t *testing.T) {
	for _, m := range modes()[:4] {
		for _, slow := range []int64{0, 20_000} { // bytes a second of the first way
			for step := range 12 {
				t.Run(fmt.Sprintf("%v/slow %d/%d ms", m, slow, 5*step), func(t *testing.T) {
					inWorld(t, uint64(step), func(w *world) {
						// Two forwarders are two ways to the publisher.
						p := w.publisher("p", bus.PublisherConfig{})
						w.forwarder("f", 100_000, at("p"))
						w.forwarder("g", 100_000, at("p"))
						s := w.subscriber(bus.SubscriberConfig{
							Sources: []bus.Source{bus.From(at("f"), at("g")).ReturnAfter(5 * time.Second)},
							Filter:  m.filter(), Recover: m.recover,
						})
						s.ready()
						stop := w.traffic(3*ms, p)
						w.after(time.Second)
						if slow > 0 {
							w.net.Path("f", "sub").Set(memnet.Conditions{Bandwidth: slow})
						}
						w.net.Link("f", "sub").Cut() // something is missed
						w.after(200*ms + time.Duration(step)*5*ms)
						w.net.Link("f", "sub").Stall() // over to g
						w.net.Link("f", "sub").Cut()
						w.after(4 * time.Second)
						w.net.Heal() // back to f, after a time
						w.after(12 * time.Second)
						w.net.Host("g").Freeze()
						w.after(200*ms + time.Duration(step)*5*ms)
						w.net.Link("f", "sub").Cut()
						w.after(8 * time.Second)
						w.net.Host("g").Thaw()
						stop()
						w.finish(false)
					})
				})
			}
		}
	}
}

// Failover between two publishers, each of which has its own stream: what the one that
// is not used publishes is not missed.
func TestFailoverBetweenPublishers(t *testing.T) {
	for _, m := range modes()[:4] {
		t.Run(m.String(), func(t *testing.T) {
			inWorld(t, 1, func(w *world) {
				p, q := w.publisher("p", bus.PublisherConfig{}), w.publisher("q", bus.PublisherConfig{})
				s := w.subscriber(bus.SubscriberConfig{
					Sources: []bus.Source{bus.From(at("p"), at("q"))}, Filter: m.filter(), Recover: m.recover,
				})
				s.ready()
				stop := w.traffic(7*ms, p, q)
				for range 3 {
					w.after(2 * time.Second)
					w.net.Link("p", "sub").Stall()
					w.after(5 * time.Second)
					w.net.Heal()
					w.after(2 * time.Second)
					w.net.Link("q", "sub").Cut()
				}
				stop()
				w.after(time.Minute)
				// Which events are owed depends on when it went over. So only what
				// must not be is looked for: doubles, a wrong order, gaps of nothing.
				s.unowed = true
				w.finish(true)
			})
		})
	}
}

// Filters come and go while a recovery is under way.
func TestFiltersDuringRecovery(t *testing.T) {
	a, b, c := topic.Prefix("a."), topic.Exact("b.1"), topic.Exact("c")
	for _, recovers := range []bool{false, true} {
		for _, wide := range []bool{false, true} { // everything is among the filters
			for step := range 15 {
				t.Run(fmt.Sprintf("recover %v/everything %v/%d ms", recovers, wide, 10*step), func(t *testing.T) {
					inWorld(t, uint64(step), func(w *world) {
						p := w.publisher("p", bus.PublisherConfig{})
						s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: a, Recover: recovers})
						s.ready()
						stop := w.traffic(3*ms, p)
						w.after(time.Second)
						steps := []func(){
							func() { s.add(b) },
							func() { s.add(c) },
							func() { s.remove(b) },
							func() { s.add(b) },
						}
						if wide {
							steps[1] = func() { s.add(topic.Everything()) }
							steps[2] = func() { s.remove(topic.Everything()) }
						}
						for _, change := range steps {
							w.net.Link("p", "sub").Cut()
							w.after(80*ms + time.Duration(step)*10*ms)
							change()
							w.after(30 * ms)
							w.net.Link("p", "sub").Cut()
							w.after(time.Second)
						}
						stop()
						w.finish(false)
					})
				})
			}
		}
	}
}

// Two publishers of one stream, one of which fails in each way: what the other has
// brought is not missed, and nothing comes twice.
func TestRedundantFaults(t *testing.T) {
	for _, k := range kinds {
		for _, m := range modes()[:4] {
			t.Run(k.name+"/"+m.String(), func(t *testing.T) {
				inWorld(t, 1, func(w *world) {
					s := &scene{world: w, mode: m}
					s.p, s.q = w.publisher("p", bus.PublisherConfig{}), w.publisher("q", bus.PublisherConfig{})
					s.sub = w.subscriber(bus.SubscriberConfig{
						Sources: []bus.Source{bus.Redundant(at("p"), at("q"))}, Filter: m.filter(), Recover: m.recover,
					})
					s.sub.view.Redundant = true
					s.sub.ready()
					w.after(3 * time.Second) // both
					done := make(chan struct{})
					go func() { defer close(done); k.do(s) }()
					for n := 0; ; n++ {
						for _, p := range []*publisher{s.p, s.q} {
							p.publishID(rota[n%len(rota)], fmt.Sprint(n))
						}
						time.Sleep(7 * ms)
						select {
						case <-done:
						default:
							continue
						}
						break
					}
					w.finish(false)
					if r := s.sub.check(); !both(k.name) && r.Missing > 0 {
						t.Errorf("q was well all the time: %v", r)
					}
				})
			})
		}
	}
}

// both reports whether a fault hits both publishers.
func both(kind string) bool {
	switch kind {
	case "partition of both", "frozen subscriber", "slow and split", "single bytes":
		return true
	}
	return false
}

// Last values come first, then what is live, also when the connection is lost at once.
func TestRetainedUnderFaults(t *testing.T) {
	for _, m := range modes()[:4] {
		for step := range 12 {
			t.Run(fmt.Sprintf("%v/%d ms", m, step), func(t *testing.T) {
				inWorld(t, 1, func(w *world) {
					p := w.publisher("p", bus.PublisherConfig{Retain: bus.Retain{Prefixes: []string{""}}})
					for _, name := range rota {
						p.publish(name)
					}
					stop := w.traffic(time.Millisecond/3, p)
					w.after(10 * ms)
					s := w.subscriber(bus.SubscriberConfig{
						Sources: []bus.Source{bus.From(at("p"))}, Filter: m.filter(), Recover: m.recover, Retained: true,
					})
					w.after(time.Duration(step) * ms)
					w.net.Link("p", "sub").Cut()
					s.ready()
					stop()
					w.finish(false)
					seen := make(map[string]bool)
					for _, ev := range s.view.Events {
						if m, ok := ev.(*bus.Message); ok && m.Retained && seen[m.Topic] {
							t.Errorf("a last value of %s after something live: seq %d", m.Topic, m.Seq)
						} else if ok {
							seen[m.Topic] = true
						}
					}
				})
			})
		}
	}
}
