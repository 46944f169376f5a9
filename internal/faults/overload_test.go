package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// burst is how many events an overload is made of: more than the network and the
// small queues hold.
const burst = 12_000

func (w *world) burst(pubs ...*publisher) {
	for n := range burst {
		for _, p := range pubs {
			p.publish(rota[n%len(rota)])
		}
		if n%100 == 99 {
			time.Sleep(ms)
		}
	}
}

// A path that carries nothing for a while, with each policy of the publisher.
func TestOverloadedPublisher(t *testing.T) {
	for _, o := range []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Block, bus.Disconnect, bus.Conflate} {
		for _, outage := range []time.Duration{1500 * ms, 8 * time.Second} {
			for _, m := range modes()[:4] {
				t.Run(fmt.Sprintf("%v/%v/%v", o, outage, m), func(t *testing.T) {
					inWorld(t, 1, func(w *world) {
						p := w.publisher("p", bus.PublisherConfig{
							Queue: bus.Queue{Messages: 200, Overflow: o}, Keep: bus.Keep{Messages: 2 * burst},
						})
						s := w.subscriber(bus.SubscriberConfig{
							Sources: []bus.Source{bus.From(at("p"))}, Filter: m.filter(), Recover: m.recover,
						})
						s.ready()
						w.net.Path("p", "sub").Stall()
						done := make(chan struct{})
						go func() { defer close(done); w.burst(p) }()
						w.after(outage)
						w.net.Heal()
						<-done
						w.finish(false)
						r := s.check()
						if n := p.Stats().DroppedMessages; n == 0 && o != bus.Block {
							t.Error("nothing was dropped")
						}
						if !m.filtered && r.Reported != r.Missing {
							t.Errorf("%v", r)
						}
					})
				})
			}
		}
	}
}

// A program that takes no events for a while, with each policy of its subscriber. What
// its own policy drops it does not get back.
func TestOverloadedSubscriber(t *testing.T) {
	for _, o := range []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Block, bus.Disconnect, bus.Conflate} {
		for _, m := range modes()[:4] {
			for _, few := range []bool{false, true} { // room in the publisher's queue
				t.Run(fmt.Sprintf("%v/%v/%v", o, m, few), func(t *testing.T) {
					inWorld(t, 1, func(w *world) {
						cfg := bus.PublisherConfig{Keep: bus.Keep{Messages: 2 * burst}}
						if few {
							cfg.Queue.Messages = 100
						}
						p, q := w.publisher("p", cfg), w.publisher("q", cfg)
						s := w.subscriber(bus.SubscriberConfig{
							Sources: []bus.Source{bus.From(at("p")), bus.From(at("q"))}, Filter: m.filter(), Recover: m.recover,
							Queue: bus.Queue{Messages: 300, Overflow: o},
						})
						s.ready()
						s.stop()
						w.burst(p, q)
						w.after(10 * time.Second)
						s.resume()
						w.after(time.Second)
						w.burst(p, q)
						s.view.Recover = m.recover && o == bus.Block
						w.finish(false)
						r := s.check()
						if !m.filtered && r.Reported != r.Missing {
							t.Errorf("%v", r)
						}
						if lost := s.Stats().Queue.DroppedMessages; (lost == 0) != (o == bus.Block) {
							t.Errorf("%d were dropped", lost)
						}
					})
				})
			}
		}
	}
}
