package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if isChild() {
		childMain()
	}
	// Under -race a child that has a race dies of it, so that its run fails, and
	// none waits a second at its end.
	os.Setenv("GORACE", "halt_on_error=1 atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func testHarness(t *testing.T) *Harness {
	return &Harness{Warm: 5 * time.Millisecond, Duration: 60 * time.Millisecond, Limit: 10 * time.Second, Dir: t.TempDir()}
}

// Every Go system in the smallest form of a case that it can do, every measure
// at least once.
func TestSystems(t *testing.T) {
	flow := Case{Measure: measureFlow, Transport: "tcp", Size: 64, Pubs: 1, Subs: 1, Topics: 1}
	change := func(f func(*Case)) *Case { c := flow; f(&c); return &c }
	for _, test := range []struct {
		system *System
		name   string
		c      *Case
		rate   int
	}{
		{heraldPrepared, "tcp", change(func(c *Case) { c.Pubs, c.Subs, c.Topics, c.Cold = 2, 2, 10, 10 }), 0},
		{heraldPrepared, "inproc", change(func(c *Case) { c.Transport = "inproc" }), 0},
		{heraldBorrow, "ipc", change(func(c *Case) { c.Transport = "ipc" }), 0},
		{heraldBorrow, "trip", change(func(c *Case) { c.Measure = measureTrip }), 0},
		{heraldOwned, "half load", change(func(c *Case) { c.Measure = measureTrip }), 5000},
		{heraldOwned, "cost", change(func(c *Case) { c.Measure = measureCost }), 0},
		{heraldOwned, "first", change(func(c *Case) { c.Measure = measureFirst }), 0},
		{natsCore, "tcp", change(func(c *Case) { c.Subs, c.Topics = 2, 10 }), 0},
		{natsCore, "inproc", change(func(c *Case) { c.Transport = "inproc" }), 0},
		{natsCore, "trip", change(func(c *Case) { c.Measure = measureTrip }), 0},
		{zmq4Sockets, "ipc", change(func(c *Case) { c.Transport = "ipc" }), 0},
		{zmq4Sockets, "fan-in", change(func(c *Case) { c.Pubs, c.Cold = 2, 10 }), 0},
		{zmq4Sockets, "half load", change(func(c *Case) { c.Measure = measureTrip }), 5000},
		{zmq4Sockets, "cost", change(func(c *Case) { c.Measure = measureCost }), 0},
		{zmq4Sockets, "first", change(func(c *Case) { c.Measure = measureFirst }), 0},
		{goChannel, "inproc", change(func(c *Case) { c.Transport = "inproc" }), 0},
		{goChannelBatch, "inproc", change(func(c *Case) { c.Transport = "inproc" }), 0},
		{goTCP, "trip", change(func(c *Case) { c.Measure = measureTrip }), 0},
		{ceiling2, "ipc", change(func(c *Case) { c.Transport = "ipc" }), 0},
		{ceiling3, "long", change(func(c *Case) { c.Size, c.Subs = 1000, 2 }), 0},
	} {
		t.Run(test.system.Name+"/"+test.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			runOnce(t, test.system, test.c, test.rate)
		})
	}
}

func TestIdleMemory(t *testing.T) {
	t.Parallel()
	if _, err := residentBytes(os.Getpid()); err != nil {
		t.Skip(err)
	}
	v, err := testHarness(t).Run(t.Context(), &Case{Measure: measureIdle, Transport: "tcp", Size: 64, Pubs: 1, Subs: 100, Topics: 1}, zmq4Sockets, 0)
	if err != nil || len(v) != 2 {
		t.Fatalf("got %v, %v", v, err)
	}
}

// libzmq, with the Go side's rules checked against the C side's.
func TestLibzmq(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles a C program")
	}
	h := testHarness(t)
	if _, err := buildLibzmq(h.Dir); err != nil {
		t.Skipf("libzmq is not measured on this machine: %v", err)
	}
	if v := libzmqVersion(h.Dir); !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(v) {
		t.Errorf("version %q", v)
	}
	for _, c := range []*Case{
		{Name: "flow", Measure: measureFlow, Transport: "tcp", Size: 64, Pubs: 2, Subs: 3, Topics: 100, Cold: 2000},
		{Name: "inproc", Measure: measureFlow, Transport: "inproc", Size: 16, Pubs: 1, Subs: 1, Topics: 1},
		{Name: "cost", Measure: measureCost, Transport: "tcp", Size: 64, Pubs: 1, Subs: 1, Topics: 10},
		{Name: "trip", Measure: measureTrip, Transport: "ipc", Size: 64, Pubs: 1, Subs: 1, Topics: 1},
		{Name: "first", Measure: measureFirst, Transport: "tcp", Size: 64, Pubs: 1, Subs: 1, Topics: 1},
	} {
		t.Run(c.Name, func(t *testing.T) {
			if v, err := h.Run(t.Context(), c, libzmq3, 0); err != nil || v[0] <= 0 {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
}

func runOnce(t *testing.T, s *System, c *Case, rate int) {
	t.Helper()
	if why := s.Cannot(c); why != "" {
		t.Fatalf("cannot: %s", why)
	}
	v, err := testHarness(t).Run(t.Context(), c, s, rate)
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len(c.Measure.metrics()) {
		t.Fatalf("%d values for %d metrics", len(v), len(c.Measure.metrics()))
	}
	for i, m := range c.Measure.metrics() {
		if v[i] <= 0 {
			t.Errorf("%s is %v", m.Name, v[i])
		}
	}
}

// A child that says nothing is killed when its time is over, one that ends
// early is reported with what it said.
func TestNoChildHangsTheRun(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{"exec sleep 60", "gave up after"},
		{"echo 'broken on purpose' >&2; exit 3", "broken on purpose"},
		{"echo up here; echo error no luck; exit 1", "no luck"},
	} {
		h := testHarness(t)
		h.Limit = 300 * time.Millisecond
		program := filepath.Join(h.Dir, "child")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		s := &System{Name: "mute", Build: func(string) (string, error) { return program, nil }}
		begin := time.Now()
		_, err := h.Run(t.Context(), &Case{Measure: measureFlow, Transport: "tcp", Size: 64, Pubs: 1, Subs: 1, Topics: 1}, s, 0)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.script, err, test.want)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%q: took %v", test.script, took)
		}
	}
}

func newCounters(t *testing.T, subs int) *Counters {
	t.Helper()
	path, err := createCounters(subs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCounters(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); os.Remove(path) })
	return c
}

// What a sink gets from sources is counted; a hole, a double and a false end
// are seen.
func TestSinkSeesLoss(t *testing.T) {
	spec := &Spec{Size: 16, Pubs: 2, Subs: 1, Topics: 3}
	c := newCounters(t, 1)
	sources := []*Source{newSource(spec, c, 0), newSource(spec, c, 1)}
	sink := newSink(spec, c, 0)
	topics := make(map[int]bool)
	for range 100 {
		for _, s := range sources {
			if !s.Next() {
				t.Fatal("no next event")
			}
			if s.Topic < 0 || s.Topic > 2 {
				t.Fatalf("topic %d", s.Topic)
			}
			topics[s.Topic] = true
			sink.Event(s.Payload)
		}
	}
	if len(topics) != 3 {
		t.Errorf("topics used: %v", topics)
	}
	for i := range 2 {
		sink.Event(controlPayload(16, i, controlProbe, 0))
		sink.Event(controlPayload(16, i, controlEnd, 100))
	}
	if sum, least := c.Delivered(1); sum != 200 || least != 200 || c.Broken() != 0 || !c.Ready(2) {
		t.Fatalf("delivered %d, %d; broken %d; ready %v", sum, least, c.Broken(), c.Ready(2))
	}
	sources[0].Next()
	sources[0].Next()
	sink.Event(sources[0].Payload) // a hole
	if c.Broken() != 1 {
		t.Errorf("a hole: broken %d", c.Broken())
	}
	sink.Event(sources[0].Payload) // a double
	if c.Broken() != 2 {
		t.Errorf("a double: broken %d", c.Broken())
	}
	sink.Event(controlPayload(16, 1, controlEnd, 101)) // one is missing
	if c.Broken() != 3 {
		t.Errorf("a false end: broken %d", c.Broken())
	}
}

// A source stops at its quota and when told to, and waits for its window.
func TestSourceEnds(t *testing.T) {
	c := newCounters(t, 1)
	spec := &Spec{Size: 16, Pubs: 1, Subs: 1, Topics: 1, Window: 100}
	src := newSource(spec, c, 0)
	count := func() (n int) {
		for src.Next() {
			n++
		}
		return n
	}
	src.quota = 90
	if n := count(); n != 90 || c.Published() != 90 {
		t.Errorf("quota of 90: %d, published %d", n, c.Published())
	}
	src.quota = 1000
	time.AfterFunc(20*time.Millisecond, func() { c.stop.Store(1) })
	if n := count(); n != 10 {
		t.Errorf("%d more with a window of 100", n)
	}
}

func TestSpecArgs(t *testing.T) {
	want := Spec{System: "nats", Role: roleCost, Transport: "tcp", Dir: "/a b", Shared: "/dev/shm/x=y", Server: "nats://h:1",
		Size: 64, Frames: 3, Pubs: 8, Subs: 1000, Slot: 1, Topics: 7, Prefix: "p.", Ask: "p.0", Filter: "f.", Cold: 99,
		Window: 5, Rate: 6, Warm: time.Second, Time: time.Minute}
	got, err := parseSpec(want.Args())
	if err != nil || *got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"nothing=1", "size=x", "warm_ns="} {
		if _, err := parseSpec([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// walk finds the same events wherever the stream is cut.
func TestWalk(t *testing.T) {
	var stream []byte
	for i := range 5 {
		stream = append(stream, frameMore, 2, 'a', 'b')
		if i%2 == 0 {
			stream = append(stream, 0, 3, 1, 2, 3)
		} else {
			stream = append(stream, frameLong, 0, 0, 0, 0, 0, 0, 1, 4)
			stream = append(stream, make([]byte, 260)...)
		}
	}
	for cut := range stream {
		n, at := walk(stream[:cut])
		m, rest := walk(stream[at:])
		if n+m != 5 || at+rest != len(stream) {
			t.Fatalf("cut at %d: %d+%d events, %d+%d bytes", cut, n, m, at, rest)
		}
	}
}

func TestReport(t *testing.T) {
	c := &CaseResult{Group: "payload, tcp", Name: "64 B", Measure: measureFlow, Size: 64, Subscribers: 1,
		LeftOut: []LeftOut{{"go-tcp", "no such thing"}}}
	c.Systems = []*SystemResult{
		newSystemResult(baseline, measureFlow, []Values{{1e6}, {2e6}, {4e6}}),
		newSystemResult("herald", measureFlow, []Values{{3e6}, {5e6}, {4e6}}),
		newSystemResult("other", measureFlow, []Values{{6e6}, {6e6}, {6e6}}),
	}
	c.compareWith(baseline, func(r *SystemResult) **float64 { return &r.Ratio })
	c.compareWith(baseline3, func(r *SystemResult) **float64 { return &r.Ratio3 })
	larger := *c
	larger.Name, larger.Size = "1 KiB", 1024
	r := &Report{Rounds: 3, Cases: []*CaseResult{c, &larger}, Systems: []SystemInfo{
		{Name: baseline, Kind: kindPeer}, {Name: "herald", Kind: kindHerald}, {Name: "other", Kind: kindPeer}, {Name: "gone", Missing: "not installed"}}}
	var md bytes.Buffer
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 64 B | herald | 4,000 | 3,000 | 5,000 | 2.50 |  |",
		"- gone (everywhere): not installed",
		"- go-tcp (payload, tcp): no such thing",
		"- payload, tcp, 64 B, delivered: other 6,000, herald 4,000 thousand events/s",
	} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("no %q in\n%s", want, &md)
		}
	}
	var js bytes.Buffer
	if err := r.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || back.Cases[0].Systems[1].Figures[0].Median != 4e6 {
		t.Errorf("JSON does not come back: %v", err)
	}
	dir := t.TempDir()
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "throughput.svg"))
	if err != nil || !bytes.Contains(svg, []byte(">herald<")) {
		t.Errorf("no herald in the chart: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "fanout.svg")); err == nil {
		t.Error("a chart without lines was drawn")
	}
}

func TestFigure(t *testing.T) {
	for _, test := range []struct {
		unit string
		v    float64
		want string
	}{{"ns", 1.234, "1.23"}, {"ns", 12.34, "12.3"}, {"ns", 123.4, "123"}, {"ns", 1234567, "1,234,567"}, {"events/s", 1.5e6, "1,500"}} {
		if got := figure(test.unit, test.v); got != test.want {
			t.Errorf("%v %s: %q", test.v, test.unit, got)
		}
	}
}

// Every case is in a group with a note, has its own name, and some system can
// do it; the case that half load refers to is there.
func TestCases(t *testing.T) {
	for _, quick := range []bool{false, true} {
		seen := make(map[string]bool)
		for _, c := range cases(quick) {
			if seen[c.ID()] {
				t.Errorf("%s is there twice", c.ID())
			}
			seen[c.ID()] = true
			if groupNote[c.Group] == "" {
				t.Errorf("%s: its group has no note", c.ID())
			}
			if c.Size < 16 || c.Pubs < 1 || c.Pubs > maxPubs || c.Subs < 1 || c.Topics < 1 {
				t.Errorf("%s: %+v", c.ID(), c)
			}
			if libzmq2.Cannot(c) != "" {
				t.Errorf("%s: the baseline cannot do it", c.ID())
			}
		}
		if !seen[halfLoad.ID()] {
			t.Error("the case for half load is missing")
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-cases", "("}, {"-cases", "no such case"}, {"-systems", "x"}, {"-rounds", "-1"}, {"more"}, {"-unknown"}} {
		var said bytes.Buffer
		if err := compare(args, io.Discard, &said); err != errUsage || said.Len() == 0 {
			t.Errorf("%q: %v, %q", args, err, &said)
		}
	}
	var list bytes.Buffer
	if err := compare([]string{"-list"}, &list, io.Discard); err != nil || !strings.Contains(list.String(), "system nats: ") {
		t.Errorf("-list: %v, %q", err, &list)
	}
}

// The whole command, with two systems in one case.
func TestCompare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	var md, progress bytes.Buffer
	err := compare([]string{"-cases", "^payload, inproc/64 B$", "-systems", "go-channel,go-channel-256,go-tcp", "-rounds", "2", "-quick",
		"-duration", "10ms", "-json", file}, &md, &progress)
	if err != nil {
		t.Fatal(err, &progress)
	}
	var r Report
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || len(r.Cases) != 1 || len(r.Cases[0].Systems) != 2 || len(r.Cases[0].Systems[0].Figures[0].Rounds) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	if want := fmt.Sprintf("| 64 B | go-channel-256 | %s |", figure("events/s", r.Cases[0].Systems[1].Figures[0].Median)); !strings.Contains(md.String(), want) {
		t.Errorf("no %q in %s", want, &md)
	}
}
