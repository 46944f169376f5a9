package faults_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/faults"
	"github.com/heraldbus/herald/internal/leaktest"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/topic"
)

func TestMain(m *testing.M) {
	takePart()
	leaktest.Main(m)
}

// effort is how much more than usual is tried, by the environment: see doc.go.
func effort() int {
	n, _ := strconv.Atoi(os.Getenv("HERALD_FAULTS"))
	return max(n, 1)
}

// world is a network in memory with publishers and subscribers on it, in virtual
// time, and all that they have said and seen.
type world struct {
	*testing.T
	net  *memnet.Network
	pubs []*publisher
	subs []*subscriber
	runs []*faults.Run
	// closing are the topics on which every publisher says a last word, so that
	// whatever a filter let through has a successor on its topic.
	closing []string
	// patience is how long what can be made good may take.
	patience time.Duration
}

// latency is that of every path of a world: enough for what is sent in answer to
// something to be later than it.
const latency = 500 * time.Microsecond

func inWorld(t *testing.T, seed uint64, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: memnet.New(memnet.Config{Seed: seed}), closing: topics, patience: 2 * time.Minute}
		w.net.Path("*", "*").Set(memnet.Conditions{Latency: latency})
		f(w)
	})
}

// topics are those of most tests, and some is a filter that lets a part of them
// through.
// rota is the order of topics in traffic: some come more often than others.
var (
	topics = []string{"a.1", "a.2", "b.1", "b.2", "c"}
	rota   = strings.Fields("a.1 b.1 c b.2 a.1 b.1 a.1 b.2 a.2 b.1 b.1 a.1 b.2")
	some   = topic.Any(topic.Prefix("a."), topic.Exact("c"))
)

func (w *world) network(host string) bus.Network {
	h := w.net.Host(host)
	return bus.Network{Dial: h.Dial, Listen: h.Listen}
}

func at(host string) string { return "tcp://" + host + ":5556" }

// publisher is one that can be started again.
type publisher struct {
	*bus.Publisher
	w    *world
	host string
	cfg  bus.PublisherConfig

	mu  sync.Mutex // held while an event is published and noted
	run *faults.Run
	n   int
}

// publisher starts one on a host, whose name is its own, too.
func (w *world) publisher(host string, cfg bus.PublisherConfig) *publisher {
	w.Helper()
	cfg.Name, cfg.Network, cfg.Linger = host, w.network(host), -1
	if cfg.Bind == nil {
		cfg.Bind = []string{at(host)}
	}
	p := &publisher{w: w, host: host, cfg: cfg}
	w.pubs = append(w.pubs, p)
	p.start()
	w.Cleanup(func() { p.Close() })
	return p
}

func (p *publisher) start() {
	p.w.Helper()
	pub, err := bus.NewPublisher(p.cfg)
	if err != nil {
		p.w.Fatal(err)
	}
	run := &faults.Run{Source: pub.Incarnation(), Keep: p.cfg.Keep}
	if run.Keep.Messages == 0 {
		run.Keep.Messages = 10_000
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Publisher, p.run = pub, run
	p.w.runs = append(p.w.runs, run)
}

// kill ends the publisher as kill -9 does: without a word to anybody.
func (p *publisher) kill() {
	h := p.w.net.Host(p.host)
	h.Freeze()
	p.w.net.Link(p.host, "*").Cut()
	p.mu.Lock()
	p.run.Ended = time.Now()
	p.Publisher.Close()
	p.mu.Unlock()
	h.Thaw()
}

// restart kills the publisher and starts it again after a time, as a new incarnation.
// One that is down already stays so.
func (p *publisher) restart(after time.Duration) {
	p.mu.Lock()
	down := !p.run.Ended.IsZero()
	p.mu.Unlock()
	if down {
		return
	}
	p.kill()
	time.Sleep(after)
	p.start()
}

// publish publishes one event. What the publisher does not take, because it was
// killed or waits for too long, was not published.
func (p *publisher) publish(name string) { p.publishID(name, "") }

func (p *publisher) publishID(name, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	e := faults.Publication{Topic: name, Payload: fmt.Sprintf("%s %d", p.host, p.n), ID: id, At: time.Now()}
	var err error
	if id == "" {
		err = p.Publish(context.Background(), name, []byte(e.Payload))
	} else {
		err = p.PublishHeaders(context.Background(), name, []byte(e.Payload), bus.Header{Key: bus.HeaderID, Value: id})
	}
	if err == nil {
		p.run.Add(e)
	}
}

// traffic publishes on all topics in turn, until the function it returns is called.
func (w *world) traffic(every time.Duration, pubs ...*publisher) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i, p := range pubs {
		wg.Go(func() {
			t := time.NewTicker(every + time.Duration(i)*time.Microsecond)
			defer t.Stop()
			for n := i; ; n++ {
				select {
				case <-done:
					return
				case <-t.C:
					p.publish(rota[n%len(rota)])
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

// forwarder starts a plain forwarder on a host between endpoints.
func (w *world) forwarder(host string, most int, back ...string) *faults.Forwarder {
	w.Helper()
	f, err := faults.NewForwarder(w.network(host), most, at(host), back...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(f.Close)
	return f
}

// subscriber is one that notes what it sees.
type subscriber struct {
	*bus.Subscriber
	w *world

	mu      sync.Mutex
	turn    sync.Cond
	stopped bool
	view    faults.View
	starts  []time.Time // of the view's terms
	loop    chan struct{}

	// Of the test's goroutine:
	filters []topic.Filter
	unowed  bool // it is not known what is owed
}

func (w *world) subscriber(cfg bus.SubscriberConfig) *subscriber {
	w.Helper()
	cfg.Network = w.network("sub")
	sub, err := bus.NewSubscriber(cfg)
	if err != nil {
		w.Fatal(err)
	}
	s := &subscriber{Subscriber: sub, w: w, loop: make(chan struct{}), filters: []topic.Filter{cfg.Filter}}
	s.turn.L = &s.mu
	s.view.Recover = cfg.Recover
	s.term(cfg.Filter)
	w.subs = append(w.subs, s)
	go s.record()
	w.Cleanup(func() {
		s.resume()
		sub.Close()
		<-s.loop
	})
	return s
}

// record is the loop over the events.
func (s *subscriber) record() {
	defer close(s.loop)
	for ev, err := range s.Events(context.Background()) {
		if err != nil {
			s.w.Error(err)
			return
		}
		s.mu.Lock()
		s.view.Events = append(s.view.Events, ev)
		for s.stopped {
			s.turn.Wait()
		}
		s.mu.Unlock()
	}
}

// stop makes the loop take no more events, from the next one on, until resume.
func (s *subscriber) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

func (s *subscriber) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = false
	s.turn.Broadcast()
}

// term notes that the filter is another one from now on.
func (s *subscriber) term(f topic.Filter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Terms = append(s.view.Terms, faults.Term{Filter: f, From: make(map[bus.Incarnation]uint64)})
	s.starts = append(s.starts, time.Now())
}

// add and remove change the filter.
func (s *subscriber) add(f topic.Filter) {
	s.w.Helper()
	s.filters = append(s.filters, f)
	s.term(topic.Any(s.filters...))
	if err := s.Add(f); err != nil {
		s.w.Error(err)
	}
}

func (s *subscriber) remove(f topic.Filter) {
	s.w.Helper()
	s.filters = slices.DeleteFunc(s.filters, f.Equal)
	s.term(topic.Any(s.filters...))
	if err := s.Remove(f); err != nil {
		s.w.Error(err)
	}
}

// ready waits until the subscriber is, and then until all publishers, also those
// behind a forwarder, have said so by two heartbeats: what they publish from now on
// is owed.
func (s *subscriber) ready() *subscriber {
	s.w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		s.w.Fatal(err)
	}
	s.w.after(3 * time.Second)
	s.owed()
	return s
}

// owed notes that the filter is in force at all publishers that there are now.
func (s *subscriber) owed() {
	from := s.view.Terms[len(s.view.Terms)-1].From
	for _, p := range s.w.pubs {
		if _, ok := from[p.run.Source]; !ok && p.run.Ended.IsZero() {
			from[p.run.Source] = p.run.Last()
		}
	}
}

// ripe takes from the view when a publisher has said that it is ready: also one that
// has come meanwhile.
func (s *subscriber) ripe() {
	for _, ev := range s.view.Events {
		ready, ok := ev.(*bus.Ready)
		if !ok {
			continue
		}
		i := len(s.starts) - 1
		for i > 0 && !s.starts[i].Before(ready.Time) {
			i--
		}
		for _, r := range s.w.runs {
			if r.Source != ready.Incarnation {
				continue
			}
			after := uint64(0)
			for after < r.Last() && !r.Events[after].At.After(ready.Time) {
				after++
			}
			from := s.view.Terms[i].From
			if was, ok := from[r.Source]; !ok || after < was {
				from[r.Source] = after
			}
		}
	}
}

// after lets virtual time pass, and all that is due happen.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// finish mends everything, gives all who take part the time to make good what can be
// made good, lets the publishers say a last word on each topic unless silent, and
// holds each subscriber's view against what was published.
func (w *world) finish(silent bool) {
	w.Helper()
	w.net.Heal()
	for _, s := range w.subs {
		s.resume()
	}
	w.after(w.patience)
	if !silent {
		for range 2 {
			for _, p := range w.pubs {
				for _, name := range w.closing {
					p.publish(name)
				}
			}
			w.after(w.patience / 4)
		}
	}
	for _, s := range w.subs {
		s.check()
	}
}

// check holds a view against the truth.
func (s *subscriber) check() *faults.Report {
	s.w.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unowed {
		s.view.Terms[0].From = nil
	} else {
		s.ripe()
	}
	s.view.Upto = make(map[bus.Incarnation]uint64)
	for _, p := range s.w.pubs {
		if p.run.Ended.IsZero() {
			s.view.Upto[p.run.Source] = p.run.Last()
		}
	}
	r := faults.Check(s.w.runs, &s.view)
	if err := r.Err(); err != nil {
		s.w.Errorf("%v\n%v\nowed from %v, up to %v", r, err, s.froms(), s.view.Upto)
		s.statuses()
	}
	return r
}

func (s *subscriber) froms() (all []string) {
	for _, t := range s.view.Terms {
		all = append(all, fmt.Sprintf("%v after %v", t.Filter, t.From))
	}
	return all
}

// statuses logs them, with their times.
func (s *subscriber) statuses() {
	for i, ev := range s.view.Events {
		if st, ok := ev.(bus.Status); ok {
			_, at := st.About()
			s.w.Logf("%5d %s %s", i, at.Format("15:04:05.000000"), faults.Word(ev))
		}
	}
}
