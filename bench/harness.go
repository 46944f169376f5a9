package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A Harness runs cases, one system at a time.
type Harness struct {
	Warm     time.Duration // before anything is measured
	Duration time.Duration // of the window
	Limit    time.Duration // for one run, all in all
	Dir      string        // for sockets and what is built
}

// Values are the figures of one run, in the order of the measure's metrics.
type Values []float64

// Run runs a case for a system. The rate is the background of a round trip in
// events per second, 0 for none.
func (h *Harness) Run(ctx context.Context, c *Case, s *System, rate int) (values Values, err error) {
	limit := h.Limit + h.Warm + h.Duration
	ctx, stop := context.WithTimeoutCause(ctx, limit, fmt.Errorf("gave up after %v", limit))
	defer stop()
	r := &run{Harness: h, Case: c, system: s}
	r.ctx, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	if s.Build != nil {
		if r.program, err = s.Build(h.Dir); err != nil {
			return nil, err
		}
	} else if r.program, err = os.Executable(); err != nil {
		return nil, err
	}
	r.spec = Spec{
		System: s.Name, Transport: c.Transport,
		Size: c.Size, Frames: s.Frames, Pubs: c.Pubs, Subs: c.Subs, Topics: c.Topics, Cold: c.Cold,
		Prefix: hotPrefix, Ask: hotPrefix + "0", Filter: hotPrefix, Rate: rate,
		Warm: h.Warm, Time: h.Duration,
	}
	if r.spec.Dir, err = os.MkdirTemp(h.Dir, "run-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.spec.Dir)
	if s.Window > 0 {
		r.spec.Window = c.window(s.Window)
	}
	slots := c.Subs
	if c.Measure == measureTrip {
		slots = 2 // one on each side
	}
	if r.spec.Shared, err = createCounters(slots); err != nil {
		return nil, err
	}
	defer os.Remove(r.spec.Shared)
	if r.counters, err = openCounters(r.spec.Shared); err != nil {
		return nil, err
	}
	defer r.counters.Close()
	defer r.end()

	switch c.Measure {
	case measureFlow:
		return r.flow()
	case measureCost:
		return r.cost()
	case measureTrip:
		return r.trip()
	case measureFirst:
		return r.first()
	case measureIdle:
		return r.idle()
	}
	return nil, fmt.Errorf("bench: unknown measure %q", c.Measure)
}

// run is one run of one case for one system.
type run struct {
	*Harness
	*Case
	system   *System
	program  string
	spec     Spec
	counters *Counters
	ctx      context.Context         // ends with the time limit, or when a child ends
	fail     context.CancelCauseFunc // ends it
	procs    []*process
}

// broker starts the server of a system that has one.
func (r *run) broker() (*process, error) {
	if !r.system.Server || r.Transport == "inproc" {
		return nil, nil
	}
	p, err := r.start(roleServer, nil)
	if err != nil {
		return nil, err
	}
	r.spec.Server, err = p.expect("up")
	return p, err
}

// pair starts a publisher, and a subscriber connected to it.
func (r *run) pair(publisher, subscriber Role, change func(*Spec)) (pub, sub *process, err error) {
	if pub, err = r.start(publisher, change); err != nil {
		return nil, nil, err
	}
	endpoints, err := pub.expect("up")
	if err != nil {
		return nil, nil, err
	}
	if sub, err = r.start(subscriber, nil); err != nil {
		return nil, nil, err
	}
	if _, err := sub.expect("up"); err != nil {
		return nil, nil, err
	}
	return pub, sub, sub.tell("connect " + endpoints)
}

// window waits for the warm-up and then for the window, and returns how long
// the latter was and how far the count went in it. A window in which nothing
// has been counted goes on: what is slow is slow, not absent.
func (r *run) window(count func() uint64) (took time.Duration, counted uint64, err error) {
	if err := r.sleep(r.Warm); err != nil {
		return 0, 0, err
	}
	begin, before := time.Now(), count()
	for wait := r.Duration; counted == 0; wait = r.Duration / 8 {
		if err := r.sleep(wait); err != nil {
			return 0, 0, fmt.Errorf("nothing came through in %v: %w", time.Since(begin), err)
		}
		took, counted = time.Since(begin), count()-before
	}
	return took, counted, nil
}

func (r *run) flow() (Values, error) {
	if _, err := r.broker(); err != nil {
		return nil, err
	}
	var pub *process
	var err error
	if r.Transport == "inproc" {
		if pub, err = r.start(roleBoth, nil); err != nil {
			return nil, err
		}
		_, err = pub.expect("up")
	} else {
		pub, _, err = r.pair(rolePublish, roleSubscribe, nil)
	}
	if err != nil {
		return nil, err
	}
	if _, err := pub.expect("ready"); err != nil {
		return nil, err
	}
	took, delivered, err := r.window(func() uint64 { sum, _ := r.counters.Delivered(r.Subs); return sum })
	if err != nil {
		return nil, err
	}
	r.counters.stop.Store(1)
	if _, err := pub.expect("done"); err != nil {
		return nil, err
	}
	if err := r.verify(); err != nil {
		return nil, err
	}
	return Values{float64(delivered) / took.Seconds()}, nil
}

// verify waits until every subscriber has got what was published.
func (r *run) verify() error {
	for {
		published := r.counters.Published()
		sum, least := r.counters.Delivered(r.Subs)
		if least == published && sum == published*uint64(r.Subs) {
			break
		}
		if err := r.sleep(time.Millisecond); err != nil {
			return fmt.Errorf("%d events published, %d of %d delivered: %w", published, sum, published*uint64(r.Subs), err)
		}
	}
	if n := r.counters.Broken(); n > 0 {
		return fmt.Errorf("%d events were lost, doubled or out of order", n)
	}
	return nil
}

func (r *run) cost() (Values, error) {
	if _, err := r.broker(); err != nil {
		return nil, err
	}
	pub, _, err := r.pair(roleCost, roleSubscribe, func(s *Spec) { s.Prefix, s.Window = quietPrefix, 0 })
	if err != nil {
		return nil, err
	}
	if _, err := pub.expect("ready"); err != nil {
		return nil, err
	}
	took, published, err := r.window(r.counters.Published)
	if err != nil {
		return nil, err
	}
	r.counters.stop.Store(1)
	if _, err := pub.expect("done"); err != nil {
		return nil, err
	}
	if sum, _ := r.counters.Delivered(1); sum > 0 {
		return nil, fmt.Errorf("%d events came through that nobody had subscribed to", sum)
	}
	return Values{float64(took.Nanoseconds()) / float64(published)}, nil
}

func (r *run) trip() (Values, error) {
	if _, err := r.broker(); err != nil {
		return nil, err
	}
	ping, err := r.start(rolePing, func(s *Spec) { s.Filter, s.Slot = backPrefix, 1 })
	if err != nil {
		return nil, err
	}
	there, err := ping.expect("up")
	if err != nil {
		return nil, err
	}
	echo, err := r.start(roleEcho, func(s *Spec) { s.Prefix, s.Ask = backPrefix, backPrefix+"0" })
	if err != nil {
		return nil, err
	}
	back, err := echo.expect("up")
	if err != nil {
		return nil, err
	}
	if err := echo.tell("connect " + there); err != nil {
		return nil, err
	}
	if err := ping.tell("connect " + back); err != nil {
		return nil, err
	}
	if _, err := ping.expect("ready"); err != nil {
		return nil, err
	}
	values, err := ping.result("p50", "p99", "p99.9")
	if err == nil && r.counters.Broken() > 0 {
		err = fmt.Errorf("%d events were lost, doubled or out of order", r.counters.Broken())
	}
	return values, err
}

func (r *run) first() (Values, error) {
	if _, err := r.broker(); err != nil {
		return nil, err
	}
	_, sub, err := r.pair(roleSteady, roleFirst, nil)
	if err != nil {
		return nil, err
	}
	return sub.result("p50", "max")
}

func (r *run) idle() (Values, error) {
	server, err := r.broker()
	if err != nil {
		return nil, err
	}
	pub, err := r.start(roleIdle, nil)
	if err != nil {
		return nil, err
	}
	endpoints, err := pub.expect("up")
	if err != nil {
		return nil, err
	}
	if server == nil {
		server = pub
	}
	sub, err := r.start(roleSubscribe, nil)
	if err != nil {
		return nil, err
	}
	if _, err := sub.expect("up"); err != nil {
		return nil, err
	}
	sides := []*process{server, sub}
	var before, after [2]int64
	for i, p := range sides {
		if before[i], err = p.memory(); err != nil {
			return nil, err
		}
	}
	if err := sub.tell("connect " + endpoints); err != nil {
		return nil, err
	}
	if _, err := pub.expect("ready"); err != nil {
		return nil, err
	}
	if err := r.sleep(300 * time.Millisecond); err != nil { // what probing left
		return nil, err
	}
	var values Values
	for i, p := range sides {
		if after[i], err = p.memory(); err != nil {
			return nil, err
		}
		values = append(values, float64(after[i]-before[i])/float64(r.Subs)/1024)
	}
	return values, nil
}

// sleep waits, unless the time is over or a child has ended.
func (r *run) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// end lets all children go, and makes them.
func (r *run) end() {
	r.counters.stop.Store(1)
	for _, p := range r.procs {
		p.stdin.Close()
	}
	for _, p := range r.procs {
		select {
		case <-p.ended:
		case <-time.After(time.Second):
			p.cmd.Process.Kill()
			select {
			case <-p.ended:
			case <-time.After(time.Second): // a child of its own holds its output open
			}
		}
	}
}

// A process is a child.
type process struct {
	role  Role
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string     // what it says
	ended chan struct{}   // closed when it has ended
	ctx   context.Context // of the run
}

// start starts a child of this run.
func (r *run) start(role Role, change func(*Spec)) (*process, error) {
	spec := r.spec
	spec.Role = role
	if change != nil {
		change(&spec)
	}
	p := &process{role: role, lines: make(chan string, 16), ended: make(chan struct{}), ctx: r.ctx}
	p.cmd = exec.CommandContext(r.ctx, r.program, spec.Args()...)
	p.cmd.WaitDelay = time.Second
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	stderr := new(head)
	p.cmd.Stderr = stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait must not close it before it has been read.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		if cause := context.Cause(r.ctx); cause != nil {
			err = cause // not a mere "context canceled"
		}
		return nil, fmt.Errorf("start role %s: %w", role, err)
	}
	r.procs = append(r.procs, p)
	go func() {
		defer close(p.ended)
		defer out.Close()
		var said string // its error line
		in := bufio.NewScanner(out)
		for in.Scan() {
			line := in.Text()
			if text, is := strings.CutPrefix(line, "error "); is {
				said = text
				continue
			}
			select {
			case p.lines <- line:
			default: // nobody waits for so much
			}
		}
		p.cmd.Wait()
		if said == "" {
			said = fmt.Sprintf("ended: %v: %s", p.cmd.ProcessState, stderr)
		}
		r.fail(fmt.Errorf("role %s: %s", role, said))
	}()
	return p, nil
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(b []byte) (int, error) {
	*h = append(*h, b[:min(len(b), 500-len(*h))]...)
	return len(b), nil
}

// String is the first line.
func (h *head) String() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(*h)), "\n")
	return line
}

// tell sends a child a line.
func (p *process) tell(line string) error {
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		<-p.ctx.Done() // it has ended, or is about to: the cause says why
		return fmt.Errorf("role %s: cannot be told %q: %w", p.role, line, context.Cause(p.ctx))
	}
	return nil
}

// expect waits for a child's line that begins with the word, and returns the
// rest.
func (p *process) expect(word string) (string, error) {
	select {
	case line := <-p.lines:
		got, rest, _ := strings.Cut(line, " ")
		if got != word {
			return "", fmt.Errorf("role %s said %q where %q was expected", p.role, line, word)
		}
		return rest, nil
	case <-p.ctx.Done():
		return "", fmt.Errorf("role %s never said %q: %w", p.role, word, context.Cause(p.ctx))
	}
}

// result waits for what a child has measured.
func (p *process) result(names ...string) (Values, error) {
	line, err := p.expect("result")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	var values Values
	for _, name := range names {
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				v, err := strconv.ParseFloat(fields[i+1], 64)
				if err != nil {
					return nil, fmt.Errorf("role %s: result %q: %w", p.role, line, err)
				}
				values = append(values, v)
			}
		}
	}
	if len(values) != len(names) {
		return nil, fmt.Errorf("role %s: result %q lacks one of %q", p.role, line, names)
	}
	return values, nil
}

// memory has a child give back what it does not need, and returns what it
// keeps.
func (p *process) memory() (int64, error) {
	if err := p.tell("settle"); err != nil {
		return 0, err
	}
	if _, err := p.expect("settled"); err != nil {
		return 0, err
	}
	return residentBytes(p.cmd.Process.Pid)
}
