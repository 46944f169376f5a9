package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The two halves, as in two terminals: what is in the file arrives, all of it.
func TestHalves(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data.csv")
	err := os.WriteFile(data, []byte("station,time,temperature,humidity\n"+
		"lab.roof,2026-01-02T03:00:00Z,-2.5,80\n"+
		"lab.cellar,2026-01-02T03:00:00Z,11,60\n"+
		"lab.roof,2026-01-02T04:00:00Z,-3.5,84\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	pub := start(t, "-publish", "tcp://127.0.0.1:0", "-once", "-rate", "1000", "-data", data, "-name", "lab")
	_, endpoint, _ := strings.Cut(pub.until(t, "lab publishes 3 readings at "), " at ")
	sub := start(t, "-subscribe", endpoint, "-filter", "weather.lab.*")
	pub.until(t, "lab has published 3 readings")
	if err := <-pub.err; err != nil {
		t.Error(err)
	}
	sub.until(t, "lab          gone: it said goodbye")
	sub.interrupt()
	sub.until(t, "lab.cellar                 1   11.0 °C   11.0 to  11.0 °C      60 %")
	sub.until(t, "lab.roof                   2   -3.0 °C   -3.5 to  -2.5 °C      82 %")
	sub.until(t, "3 readings of 2 stations")
	if err := <-sub.err; err != nil {
		t.Error(err)
	}
}

// A publisher that goes on for ever ends with a goodbye when it is interrupted, and
// a subscriber that has a second endpoint goes over to that.
func TestFailover(t *testing.T) {
	t.Parallel()
	a := start(t, "-publish", "tcp://127.0.0.1:0", "-name", "a")
	b := start(t, "-publish", "tcp://127.0.0.1:0", "-name", "b")
	_, endpointA, _ := strings.Cut(a.until(t, " at "), " at ")
	_, endpointB, _ := strings.Cut(b.until(t, " at "), " at ")
	sub := start(t, "-subscribe", endpointA, endpointB, "-failover")
	sub.until(t, "a            ready")
	a.interrupt()
	sub.until(t, "a            gone")
	sub.until(t, "failover: takes over from "+endpointA)
	sub.until(t, "b            ready")
	if err := <-a.err; err != nil {
		t.Error(err)
	}
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-publish tcp://127.0.0.1:0 -subscribe tcp://127.0.0.1:1", "use either -publish or -subscribe"},
		{"-rate 5", "options and addresses go with -publish or -subscribe"},
		{"tcp://127.0.0.1:1", "options and addresses go with -publish or -subscribe"},
		{"-publish tcp://127.0.0.1:0 -rate 0", "-rate 0: want 0.001"},
		{"-publish tcp://127.0.0.1:0 -rate NaN", "-rate NaN: want 0.001"},
		{"-publish tcp://127.0.0.1:0 -data no-such-file", "no-such-file"},
		{"-publish nonsense", "nonsense"},
		{"-subscribe nonsense", "nonsense"},
		{"-subscribe tcp://127.0.0.1:1 -filter a..b", "a..b"},
		{"-colour", "-colour"},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.args, err, c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Fatal(err)
	}
	inOrder(t, out.String(), "weather -publish ADDR", "-data FILE", "-failover")
}

// process is a run of the program.
type process struct {
	interrupt context.CancelFunc
	lines     chan string
	err       chan error
}

func start(t *testing.T, args ...string) *process {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	r, w := io.Pipe()
	p := &process{cancel, make(chan string, 1000), make(chan error, 1)}
	go func() {
		p.err <- run(ctx, args, w)
		w.Close()
	}()
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	return p
}

// until reads lines until one contains what is wanted, and returns that.
func (p *process) until(t *testing.T, want string) string {
	t.Helper()
	var read []string
	for line := range p.lines {
		if strings.Contains(line, want) {
			return line
		}
		read = append(read, line)
	}
	t.Fatalf("it ended, or 10 s were over, without %q; since the last match it said\n%s", want, strings.Join(read, "\n"))
	return ""
}
