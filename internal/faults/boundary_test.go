package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// The connection is lost at every byte boundary: of the handshake, of answers,
// heartbeats and events on the way to the subscriber, and of its subscriptions and
// questions on the way to the publisher. First on the connection that is made first,
// then on one that is made after something was missed.
func TestCutAtEveryByte(t *testing.T) {
	for _, way := range []struct{ from, to string }{{"p", "sub"}, {"sub", "p"}} {
		for i := range 4 {
			recovers, again := i&1 != 0, i&2 != 0
			t.Run(fmt.Sprintf("%s to %s, recover %v, again %v", way.from, way.to, recovers, again), func(t *testing.T) {
				last := bytesOf(t, way.from, recovers, again)
				if last < 150 {
					t.Errorf("there are only %d bytes to try", last)
				}
				for offset := int64(0); offset <= last && !t.Failed(); offset++ {
					inWorld(t, 1, func(w *world) {
						cutScene(w, recovers, again, func() { w.net.Path(way.from, way.to).CutAfter(offset) })
						w.finish(false)
					})
					if t.Failed() {
						t.Logf("the connection was cut after byte %d", offset)
					}
				}
			})
		}
	}
}

// cutScene publishes a few events, some of which are missed. trap is called before
// the first connection or before the second.
func cutScene(w *world, recovers, again bool, trap func()) {
	w.patience = 12 * time.Second
	p := w.publisher("p", bus.PublisherConfig{})
	if !again {
		trap()
	}
	s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: some, Recover: recovers})
	s.ready()
	for n := range 3 {
		p.publish(rota[n])
		w.after(20 * ms)
	}
	w.net.Link("p", "sub").Cut()
	if again {
		trap()
	}
	for n := range 6 {
		p.publish(rota[n])
		w.after(50 * ms)
	}
	w.after(time.Second)
}

// bytesOf is how many bytes a host sends on the connection in question.
func bytesOf(t *testing.T, host string, recovers, again bool) (n int64) {
	inWorld(t, 1, func(w *world) {
		count := func() {
			for _, c := range w.net.Connections() {
				n = map[string]int64{"p": c.Down.Delivered, "sub": c.Up.Delivered}[host]
			}
		}
		if again {
			cutScene(w, recovers, again, func() {})
			count()
			return
		}
		p := w.publisher("p", bus.PublisherConfig{})
		w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: some, Recover: recovers}).ready()
		for n := range 3 {
			p.publish(rota[n])
		}
		w.after(20 * ms)
		count()
	})
	return n
}
