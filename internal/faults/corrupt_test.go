package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// A bit is flipped on the way to the subscriber: each bit of an event, of a heartbeat
// and of an answer to a question. See the package documentation for what is promised.
func TestCorruptBit(t *testing.T) {
	stride := 1
	for i, m := range modes()[:4] {
		t.Run(m.String(), func(t *testing.T) {
			first, last := corruptScene(t, m, -1, 0)
			for offset := first; offset < last; offset++ {
				for bit := (int(offset) + i) % stride; bit < 8; bit += stride {
					t.Run(fmt.Sprintf("byte %d bit %d", offset-first, bit), func(t *testing.T) {
						corruptScene(t, m, offset, bit)
					})
				}
			}
		})
	}
}

// corruptScene flips a bit, and returns the range of offsets that are of interest.
func corruptScene(t *testing.T, m mode, offset int64, bit int) (first, last int64) {
	inWorld(t, 1, func(w *world) {
		w.patience = 40 * time.Second
		p := w.publisher("p", bus.PublisherConfig{})
		w.net.Path("p", "sub").Corrupt(offset, bit)
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: m.filter(), Recover: m.recover})
		s.ready()
		if offset >= 0 {
			s.view.Damage = 1
		}
		delivered := func() (n int64) {
			for _, c := range w.net.Connections() {
				n = c.Down.Delivered
			}
			return n
		}
		for n := range 4 {
			p.publish(rota[n])
			w.after(50 * ms)
		}
		first = delivered()
		p.publish("a.1")
		w.after(50 * ms)
		last = delivered()
		for range 10 {
			for n := range 20 {
				p.publish(rota[n%len(rota)])
				w.after(30 * ms)
			}
			w.after(time.Second)
		}
		w.finish(false)
		if r := s.check(); r.Missing > 60 {
			t.Errorf("one bit has cost %d of %d events", r.Missing, r.Owed)
			s.statuses()
		}
	})
	return first, last
}
