package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// A bit is flipped on the way to the subscriber: of an event, of a heartbeat, and of
// all that comes on a connection that is made after something was missed, from the
// greeting to the answer to a question. See the package documentation for what is
// promised.
func TestCorruptBit(t *testing.T) {
	for i, m := range modes()[:4] {
		for _, part := range corruptible {
			stride := max(1, part.stride/effort())
			t.Run(m.String()+"/"+part.name, func(t *testing.T) {
				first, last := corruptScene(t, m, part.steps, -1, 0)
				if last-first < 40 {
					t.Fatalf("the part has only %d bytes", last-first)
				}
				for n := i; n < 8*int(last-first); n += stride {
					offset, bit := first+int64(n/8), n%8
					t.Run(fmt.Sprintf("byte %d bit %d", n/8, bit), func(t *testing.T) {
						corruptScene(t, m, part.steps, offset, bit)
					})
				}
			})
		}
	}
}

// corruptible are parts of what is sent: of each the bits are tried, or one in so many.
var corruptible = []struct {
	name   string
	stride int
	steps  func(w *world, p *publisher) (first, last int64)
}{
	{"event", 3, func(w *world, p *publisher) (first, last int64) {
		first = w.delivered()
		p.publish("a.1")
		w.after(50 * ms)
		return first, w.delivered()
	}},
	{"first of its topic", 7, func(w *world, p *publisher) (first, last int64) {
		first = w.delivered()
		p.publish("a.2")
		w.after(50 * ms)
		return first, w.delivered()
	}},
	{"heartbeat", 13, func(w *world, p *publisher) (first, last int64) {
		first = w.delivered()
		w.after(time.Second)
		return first, w.delivered()
	}},
	{"connection", 67, func(w *world, p *publisher) (first, last int64) {
		w.net.Link("p", "sub").Cut()
		for _, name := range rota {
			p.publish(name)
		}
		w.after(500 * ms)
		return 0, w.delivered()
	}},
}

// delivered is how many bytes have come on the newest connection to a subscriber.
func (w *world) delivered() (n int64) {
	for _, c := range w.net.Connections() {
		n = c.Down.Delivered
	}
	return n
}

// corruptScene flips a bit, and returns the range of offsets that are of interest.
func corruptScene(t *testing.T, m mode, steps func(w *world, p *publisher) (int64, int64), offset int64, bit int) (first, last int64) {
	inWorld(t, 1, func(w *world) {
		w.patience = 40 * time.Second
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: m.filter(), Recover: m.recover})
		s.ready()
		for n := range 4 {
			p.publish(rota[n])
			w.after(50 * ms)
		}
		if offset >= 0 {
			w.net.Path("p", "sub").Corrupt(offset, bit)
			s.view.Damage = 1
		}
		first, last = steps(w, p)
		for range 10 {
			for n := range 20 {
				p.publish(rota[n%len(rota)])
				w.after(30 * ms)
			}
			w.after(time.Second)
		}
		w.finish(false)
		// Nothing but one event and, where it is not asked for again, what came until
		// the connection was given up, or until its word was no longer believed.
		most := uint64(60)
		if m.recover {
			most = 4
		}
		if r := s.check(); r.Missing > most {
			t.Errorf("one bit has cost %d of %d events", r.Missing, r.Owed)
			s.statuses()
		}
	})
	return first, last
}
