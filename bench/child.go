package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// A child talks to its parent in lines. It says
//
//	up ENDPOINTS        it is there; its publishers' endpoints, with commas, or -
//	ready               every subscriber gets what it publishes
//	done                it has published its last event
//	settled             it has given its free memory back
//	result NAME VALUE…  what it measured itself
//	error TEXT          and ends
//
// and is told
//
//	connect ENDPOINTS   subscribe there
//	settle              give free memory back
//
// The end of stdin ends it. libzmq/peer.c does the same.

// childEnv marks a process as a child: its arguments are a Spec.
const childEnv = "HERALD_BENCH_CHILD"

// isChild reports whether this process is one of ours.
func isChild() bool { return os.Getenv(childEnv) != "" }

// childMain runs a child to its end.
func childMain() {
	spec, err := parseSpec(os.Args[1:])
	if err == nil {
		err = newChild(spec).run()
	}
	if err != nil {
		say("error", err)
		os.Exit(1)
	}
	select {} // until stdin ends
}

// say prints one line to the parent.
func say(word string, values ...any) {
	line := word
	for _, v := range values {
		line += " " + strings.ReplaceAll(fmt.Sprint(v), "\n", " ")
	}
	os.Stdout.WriteString(line + "\n")
}

// child is the state of one.
type child struct {
	*Spec
	driver    Driver
	counters  *Counters
	endpoints chan []string // told by the parent
	pubs      []Publisher
}

func newChild(spec *Spec) *child {
	c := &child{Spec: spec, endpoints: make(chan []string, 1)}
	go c.listen()
	return c
}

// listen takes the parent's lines.
func (c *child) listen() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch word {
		case "connect":
			c.endpoints <- strings.Split(rest, ",")
		case "settle":
			debug.FreeOSMemory()
			say("settled")
		}
	}
	os.Exit(0)
}

func (c *child) run() error {
	system, err := systemNamed(c.System)
	if err != nil {
		return err
	}
	c.driver = system.Driver
	if c.counters, err = openCounters(c.Shared); err != nil {
		return err
	}
	switch c.Role {
	case roleServer:
		endpoint, err := c.driver.(Broker).Serve(c.Spec)
		if err != nil {
			return err
		}
		say("up", endpoint)
		return nil
	case roleSubscribe:
		say("up", "-")
		return c.subscribe(<-c.endpoints, nil)
	case roleFirst:
		say("up", "-")
		return c.first(<-c.endpoints)
	}

	for i := range c.Pubs {
		pub, err := c.driver.Publisher(c.Spec, i)
		if err != nil {
			return fmt.Errorf("open publisher %d: %w", i, err)
		}
		c.pubs = append(c.pubs, pub)
	}
	say("up", strings.Join(c.published(), ","))
	switch c.Role {
	case rolePublish:
		return c.publish()
	case roleBoth:
		if err := c.subscribe(c.published(), nil); err != nil {
			return err
		}
		return c.publish()
	case roleCost:
		return c.cost()
	case rolePing:
		return c.ping()
	case roleEcho:
		return c.echo()
	case roleSteady:
		return c.probe(100*time.Microsecond, func() bool { return false })
	case roleIdle:
		return c.awaitReady()
	}
	return fmt.Errorf("bench: unknown role %q", c.Role)
}

// published is where the publishers can be reached, each place once.
func (c *child) published() []string {
	var list []string
	for _, p := range c.pubs {
		if !slices.Contains(list, p.Endpoint()) {
			list = append(list, p.Endpoint())
		}
	}
	return list
}

// subscribe opens this process's subscribers.
func (c *child) subscribe(endpoints []string, onControl func(uint64, []byte)) error {
	n := c.Subs
	if c.Role == rolePing || c.Role == roleEcho {
		n = 1
	}
	for i := range n {
		sink := newSink(c.Spec, c.counters, c.Slot+i)
		sink.OnControl = onControl
		if _, err := c.driver.Subscribe(c.Spec, endpoints, sink, c.fail); err != nil {
			return fmt.Errorf("open subscriber %d: %w", i, err)
		}
	}
	return nil
}

// fail ends the process with an error, unless the run is over anyway.
func (c *child) fail(err error) {
	if c.counters.stop.Load() == 0 {
		say("error", err)
		os.Exit(1)
	}
}

// probe publishes probes until done.
func (c *child) probe(every time.Duration, done func() bool) error {
	for !done() {
		for i, p := range c.pubs {
			if err := p.Publish(c.Ask, controlPayload(c.Size, i, controlProbe, 0)); err != nil {
				return fmt.Errorf("publish a probe: %w", err)
			}
		}
		nap(every)
	}
	return nil
}

// awaitReady probes until every subscriber is there.
func (c *child) awaitReady() error {
	// With many subscribers a probe is many messages: leave time for them.
	every := 5*time.Millisecond + time.Duration(c.Subs)*20*time.Microsecond
	if err := c.probe(every, func() bool { return c.counters.Ready(c.Pubs) }); err != nil {
		return err
	}
	say("ready")
	return nil
}

// publish is rolePublish.
func (c *child) publish() error {
	if err := c.awaitReady(); err != nil {
		return err
	}
	errs := make([]error, len(c.pubs))
	var all sync.WaitGroup
	for i, p := range c.pubs {
		all.Go(func() {
			src := newSource(c.Spec, c.counters, i)
			if errs[i] = p.Run(src); errs[i] == nil {
				errs[i] = p.Publish(c.Ask, controlPayload(c.Size, i, controlEnd, src.seq))
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	say("done")
	return nil
}

// cost is roleCost.
func (c *child) cost() error {
	if err := c.awaitReady(); err != nil {
		return err
	}
	const (
		most  = 4096 // events between two that go through
		ahead = 4    // of those under way at once
	)
	pub, src := c.pubs[0], newSource(c.Spec, c.counters, 0)
	sync := controlPayload(c.Size, 0, controlSync, 0)
	batch := uint64(1) // small for a system that takes long for each
	for n := uint64(1); c.counters.stop.Load() == 0; n++ {
		begin := time.Now()
		src.quota += batch
		if err := pub.Run(src); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if err := pub.Publish(c.Ask, sync); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		for c.counters.subs[0].syncs.Load()+ahead < n && c.counters.stop.Load() == 0 {
			nap(20 * time.Microsecond)
		}
		if batch < most && time.Since(begin) < 5*time.Millisecond {
			batch *= 2
		}
	}
	say("done")
	return nil
}

// echo is roleEcho.
func (c *child) echo() error {
	pub := c.pubs[0]
	var mu sync.Mutex // of pub: probes meet pings only before the flow
	err := c.subscribe(<-c.endpoints, func(kind uint64, payload []byte) {
		if kind != controlPing {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if err := pub.Publish(c.Ask, payload); err != nil {
			c.fail(fmt.Errorf("publish a pong: %w", err))
		}
	})
	if err != nil {
		return err
	}
	probe := controlPayload(c.Size, 0, controlProbe, 0)
	for !c.counters.Ready(1) {
		mu.Lock()
		err := pub.Publish(c.Ask, probe)
		mu.Unlock()
		if err != nil {
			return fmt.Errorf("publish a probe: %w", err)
		}
		nap(5 * time.Millisecond)
	}
	return nil
}

// trips collects round-trip times between two moments. It is safe for
// concurrent use but for setting the moments.
type trips struct {
	from, until time.Time

	mu    sync.Mutex
	times []time.Duration
}

func (t *trips) add(sent, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !sent.Before(t.from) && sent.Before(t.until) {
		t.times = append(t.times, now.Sub(sent))
	}
}

// report prints the percentiles.
func (t *trips) report() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.times) == 0 {
		return fmt.Errorf("bench: nothing was completed in the window")
	}
	slices.Sort(t.times)
	at := func(share float64) float64 {
		i := min(len(t.times)-1, int(share*float64(len(t.times))))
		return float64(t.times[i]) / 1e3
	}
	say("result", "p50", at(0.5), "p99", at(0.99), "p99.9", at(0.999), "max", at(1))
	return nil
}

// ping is rolePing. Idle, each pong sends the next ping from the subscriber's
// own goroutine, as a program would that answers what it gets.
func (c *child) ping() error {
	pub := c.pubs[0]
	epoch := time.Now()
	send := func(now time.Time) error {
		return pub.Publish(c.Ask, controlPayload(c.Size, 0, controlPing, uint64(now.Sub(epoch))))
	}
	var log trips
	started := make(chan struct{}) // closed once log is set
	over := make(chan struct{})
	err := c.subscribe(<-c.endpoints, func(kind uint64, payload []byte) {
		if kind != controlPing {
			return
		}
		now := time.Now()
		<-started
		log.add(epoch.Add(time.Duration(binary.LittleEndian.Uint64(payload[8:]))), now)
		if c.Rate > 0 {
			return
		}
		if now.After(log.until) {
			close(over)
			return
		}
		if err := send(time.Now()); err != nil {
			c.fail(fmt.Errorf("publish a ping: %w", err))
		}
	})
	if err != nil {
		return err
	}
	if err := c.awaitReady(); err != nil {
		return err
	}
	// Whatever probing left under way has come through.
	nap(20 * time.Millisecond)

	begin := time.Now()
	log.from, log.until = begin.Add(c.Warm), begin.Add(c.Warm+c.Time)
	log.times = make([]time.Duration, 0, 1<<20)
	close(started)
	if c.Rate == 0 {
		if err := send(time.Now()); err != nil {
			return err
		}
		<-over
		return log.report()
	}

	src := newSource(c.Spec, c.counters, 0)
	for next := begin; ; {
		now := time.Now()
		if now.After(log.until) {
			break
		}
		// A quota of 0 would mean no end.
		if due := uint64(now.Sub(begin).Seconds() * float64(c.Rate)); due > src.quota {
			src.quota = due
			if err := pub.Run(src); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		if now.After(next) {
			next = now.Add(time.Millisecond)
			if err := send(time.Now()); err != nil {
				return err
			}
		}
		nap(50 * time.Microsecond)
	}
	nap(200 * time.Millisecond) // for the last pongs
	return log.report()
}

// first is roleFirst.
func (c *child) first(endpoints []string) error {
	const most = 50
	var log trips
	begin := time.Now()
	for len(log.times) == 0 || len(log.times) < most && time.Since(begin) < c.Warm+c.Time {
		came := make(chan time.Time, 1)
		sink := newSink(c.Spec, c.counters, c.Slot)
		sink.OnControl = func(uint64, []byte) {
			select {
			case came <- time.Now():
			default:
			}
		}
		start := time.Now()
		sub, err := c.driver.Subscribe(c.Spec, endpoints, sink, func(error) {})
		if err != nil {
			return fmt.Errorf("open a subscriber: %w", err)
		}
		now := <-came
		if start.Sub(begin) >= c.Warm {
			log.times = append(log.times, now.Sub(start))
		}
		if err := sub.Close(); err != nil {
			return fmt.Errorf("close a subscriber: %w", err)
		}
	}
	return log.report()
}
