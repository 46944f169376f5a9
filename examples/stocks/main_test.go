package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// The two halves, as in two terminals.
func TestHalves(t *testing.T) {
	t.Parallel()
	pub := start(t, "-publish", "tcp://127.0.0.1:0", "-rate", "1000")
	_, endpoint, _ := strings.Cut(pub.until(t, "publishes 360 symbols at "), " at ")
	sub := start(t, "-subscribe", endpoint, "-filter", "stock.nyse.* or stock.tse.*")
	sub.until(t, "wants stock.nyse.* or stock.tse.*")
	sub.until(t, "stocks at "+endpoint+" is ready")
	sub.until(t, " ticks ") // one second's
	pub.interrupt()
	pub.until(t, " ticks published")
	sub.until(t, "stocks at "+endpoint+" has said goodbye")
	sub.interrupt()
	sub.until(t, " ticks of 240 symbols in ")
	sub.until(t, "risen most")
	for _, p := range []*process{pub, sub} {
		if err := <-p.err; err != nil {
			t.Error(err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-publish tcp://127.0.0.1:0 -subscribe tcp://127.0.0.1:1", "use either -publish or -subscribe"},
		{"tcp://127.0.0.1:1", "addresses go with -publish or -subscribe"},
		{"-rate 0", "-rate 0: want 1"},
		{"-rate NaN", "-rate NaN: want 1"},
		{"-publish nonsense", "nonsense"},
		{"-subscribe nonsense", "nonsense"},
		{"-filter a..b", "a..b"},
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
	inOrder(t, out.String(), "stocks -publish ADDR", "-filter TOPICS", "-rate")
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
