package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/topic"
)

const ms = time.Millisecond

// mode is how a subscriber takes part.
type mode struct {
	filtered bool // some in place of everything
	recover  bool
	chain    bool // through a forwarder, in place of two connections
}

func (m mode) String() string {
	words := map[bool][2]string{false: {"everything", "plain"}, true: {"filtered", "recover"}}
	s := words[m.filtered][0] + "," + words[m.recover][1]
	if m.chain {
		s += ",chain"
	}
	return s
}

func modes() (all []mode) {
	for i := range 8 {
		all = append(all, mode{i&1 != 0, i&2 != 0, i&4 != 0})
	}
	return all
}

func (m mode) filter() topic.Filter {
	if m.filtered {
		return some
	}
	return topic.Everything()
}

// scene is two publishers, p and q, and a subscriber to both, "sub": directly, or
// through the forwarder "fwd".
type scene struct {
	*world
	mode
	p, q *publisher
	sub  *subscriber
}

// from is where the subscriber's connections end, for paths.
func (s *scene) from() string {
	if s.chain {
		return "fwd"
	}
	return "p"
}

func inScene(t *testing.T, m mode, f func(s *scene)) {
	t.Helper()
	inWorld(t, 1, func(w *world) {
		s := &scene{world: w, mode: m}
		s.p = w.publisher("p", bus.PublisherConfig{})
		s.q = w.publisher("q", bus.PublisherConfig{})
		sources := []bus.Source{bus.From(at("p")), bus.From(at("q"))}
		if m.chain {
			w.forwarder("fwd", 100_000, at("p"), at("q"))
			sources = []bus.Source{bus.From(at("fwd"))}
		}
		s.sub = w.subscriber(bus.SubscriberConfig{Sources: sources, Filter: m.filter(), Recover: m.recover})
		s.sub.ready()
		f(s)
	})
}

// faults that a scene may suffer, one after the other or together. Each leaves the
// network as it was.
var kinds = []struct {
	name string
	do   func(s *scene)
}{
	{"cut", func(s *scene) { s.net.Link(s.from(), "sub").Cut() }},
	{"three cuts", func(s *scene) {
		for range 3 {
			s.net.Link(s.from(), "sub").Cut()
			time.Sleep(150 * ms)
		}
	}},
	{"cut between the publisher and what it is connected to", func(s *scene) { s.net.Link("p", "*").Cut() }},
	{"short stall", func(s *scene) { s.stalled(s.net.Path(s.from(), "sub"), 900*ms) }},
	{"long stall", func(s *scene) { s.stalled(s.net.Path(s.from(), "sub"), 8*time.Second) }},
	{"partition", func(s *scene) { s.stalled(s.net.Link(s.from(), "sub"), 10*time.Second) }},
	{"partition of both", func(s *scene) { s.stalled(s.net.Link("*", "sub"), 10*time.Second) }},
	{"nothing gets to the publisher", func(s *scene) { s.stalled(s.net.Path("sub", s.from()), 9*time.Second) }},
	{"nothing gets to the publisher, and a cut", func(s *scene) {
		s.net.Path("sub", s.from()).Stall()
		s.net.Link(s.from(), "sub").Cut()
		s.stalled(s.net.Path("sub", s.from()), 9*time.Second)
	}},
	{"flapping", func(s *scene) {
		for range 20 {
			s.net.Link(s.from(), "sub").Cut()
			time.Sleep(200 * ms)
		}
	}},
	{"flapping partition", func(s *scene) {
		for range 20 {
			s.stalled(s.net.Link(s.from(), "sub"), 200*ms)
			time.Sleep(200 * ms)
		}
	}},
	{"restart", func(s *scene) { s.p.restart(300 * ms) }},
	{"restart after a time", func(s *scene) { s.p.restart(15 * time.Second) }},
	{"frozen publisher", func(s *scene) {
		s.net.Host("p").Freeze()
		time.Sleep(10 * time.Second)
		s.net.Host("p").Thaw()
	}},
	{"frozen subscriber", func(s *scene) {
		s.net.Host("sub").Freeze()
		time.Sleep(10 * time.Second)
		s.net.Host("sub").Thaw()
	}},
	{"slow and split", func(s *scene) {
		p := s.net.Path("*", "sub")
		p.Set(memnet.Conditions{Bandwidth: 4000, Split: 7, Jitter: 20 * ms})
		time.Sleep(8 * time.Second)
		p.Set(memnet.Conditions{})
	}},
	{"single bytes", func(s *scene) {
		p := s.net.Link("*", "*")
		p.Set(memnet.Conditions{Latency: latency, Split: 1})
		time.Sleep(2 * time.Second)
		p.Set(memnet.Conditions{Latency: latency})
	}},
}

// stalled stalls a path for a time.
func (s *scene) stalled(p memnet.Path, d time.Duration) {
	p.Stall()
	time.Sleep(d)
	p.Heal()
}

// Each fault alone, in the middle of traffic, and after it a cut.
func TestFaults(t *testing.T) {
	for _, k := range kinds {
		for _, m := range modes() {
			t.Run(k.name+"/"+m.String(), func(t *testing.T) {
				inScene(t, m, func(s *scene) {
					stop := s.traffic(7*ms, s.p, s.q)
					s.after(time.Second)
					k.do(s)
					s.after(5 * time.Second)
					s.sub.owed()
					s.after(time.Second)
					s.net.Link("*", "sub").Cut()
					s.after(time.Second)
					stop()
					s.finish(false)
				})
			})
		}
	}
}

// Each two faults at once.
func TestTwoFaults(t *testing.T) {
	for i, a := range kinds {
		for j, b := range kinds[i+1:] {
			m := modes()[(i+j)%8]
			t.Run(fmt.Sprintf("%s/%s/%v", a.name, b.name, m), func(t *testing.T) {
				inScene(t, m, func(s *scene) {
					stop := s.traffic(17*ms, s.p, s.q)
					s.after(time.Second)
					done := make(chan struct{})
					go func() { defer close(done); b.do(s) }()
					a.do(s)
					<-done
					stop()
					s.finish(false)
				})
			})
		}
	}
}
