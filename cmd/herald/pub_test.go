package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
)

// inBubble runs a test in virtual time, with an endpoint of its own.
func inBubble(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, "inproc://"+strings.ReplaceAll(t.Name(), ",", ";")) })
}

func TestPubOne(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--count", "1", "--json")
		began := time.Now()
		pub := start(t, nil, "pub", "--bind", url, "--name", "eu", "--wait", "1", "weather.paris", "-5\n").exits(exitDone)
		if text := pub.out.String() + pub.err.String(); text != "" {
			t.Errorf("pub says %q", text)
		}
		sub.exits(exitDone)
		o := objects(t, sub.out.String())[0]
		at, err := time.Parse(time.RFC3339Nano, o["time"].(string))
		if source := o["source"].(string); len(source) != 16 || err != nil || at.Before(began) || at.After(time.Now()) {
			t.Errorf("%v", o)
		}
		delete(o, "source")
		delete(o, "time")
		if got, want := fmt.Sprint(o), fmt.Sprint(map[string]any{
			"topic": "weather.paris", "payload": "-5\n", "publisher": "eu", "seq": 1, "endpoint": url,
		}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestPubToNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		pub := does(t, exitDone, "pub", "--bind", url, "a", "b")
		if got := pub.err.String(); !strings.Contains(got, "warning: 1 event went to nobody") {
			t.Errorf("%q", got)
		}
	})
}

func TestPubWait(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		began := time.Now()
		pub := does(t, exitFailure, "pub", "--bind", url, "--wait", "2", "a", "b")
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("it waited for %v", d)
		}
		for _, want := range []string{url, `2 subscribers of "a"`, "--wait-timeout 10s ran out"} {
			if got := pub.err.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
				t.Errorf("%q does not say %q in one line", got, want)
			}
		}

		// One subscriber of something else, and one that comes later.
		start(t, nil, "sub", "--connect", url, "--prefix", "b")
		late := make(chan *process)
		go func() {
			time.Sleep(7 * time.Second)
			late <- start(t, nil, "sub", "--connect", url, "--prefix", "a", "--count", "1")
		}()
		began = time.Now()
		does(t, exitDone, "pub", "--bind", url, "--wait", "1", "--wait-timeout", "1m", "a", "b")
		if d := time.Since(began); d < 7*time.Second || d > 8*time.Second {
			t.Errorf("it waited for %v", d)
		}
		(<-late).exits(exitDone)
	})
}

func TestPubInterruptedInWait(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		for _, args := range [][]string{{"a", "b"}, {"--stdin"}} {
			pub := start(t, strings.NewReader("a b\n"), append([]string{"pub", "--bind", url, "--wait", "1"}, args...)...)
			synctest.Wait()
			pub.stop()
			pub.exits(exitFailure)
			if got := pub.err.String(); !strings.Contains(got, url) {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestPubStay(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--status", "--json")
		pub := start(t, nil, "pub", "--bind", url, "--wait", "1", "--stay", "--name", "eu", "a", "b")
		time.Sleep(time.Minute)
		pub.stop()
		pub.exits(exitDone)
		time.Sleep(time.Second)
		sub.stop()
		sub.exits(exitDone)
		var kinds []any
		for _, o := range objects(t, sub.out.String()) {
			kinds = append(kinds, o["status"])
			if o["status"] == "gone" && o["publisher"] != "eu" {
				t.Errorf("%v", o)
			}
		}
		if got, want := fmt.Sprint(kinds), "[connected ready <nil> gone disconnected]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestPubStdin(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--count", "6")
		long := strings.Repeat("x", 1<<20)
		lines := "a 1\nb\t2 3\n\nc  4\nd \nbig " + long + "\nlast line"
		pub := start(t, strings.NewReader(lines), "pub", "--bind", url, "--stdin", "--wait", "1").exits(exitDone)
		sub.exits(exitDone)
		if got, want := sub.out.String(), "a\t1\nb\t2 3\nc\t 4\nd\t\nbig\t"+long+"\nlast\tline\n"; got != want {
			t.Errorf("%.100q, want %.100q", got, want)
		}
		if got := pub.err.String(); got != "" {
			t.Errorf("%q", got)
		}
	})
}

// TestPubStdinBadLines: each is told by its number, up to a number of them, and
// the others are published.
func TestPubStdinBadLines(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--count", "2")
		lines := "nothing\na 1\n$bus.x 1\n\n 1\na..b 1\nb 2\n" + strings.Repeat("bad\n", 20)
		pub := start(t, strings.NewReader(lines), "pub", "--bind", url, "--stdin", "--wait", "1").exits(exitFailure)
		sub.exits(exitDone)
		if got := sub.out.String(); got != "a\t1\nb\t2\n" {
			t.Errorf("%q", got)
		}
		told := strings.Split(strings.TrimSpace(pub.err.String()), "\n")
		if len(told) != maxComplaints+1 {
			t.Fatalf("%q", told)
		}
		for i, want := range []string{
			`herald pub: stdin line 1: no space or tab after the topic in "nothing"`,
			"herald pub: stdin line 3: topic: invalid", "herald pub: stdin line 5: topic: invalid",
			"herald pub: stdin line 6: topic: invalid", "herald pub: stdin line 8: no space",
		} {
			if !strings.HasPrefix(told[i], want) {
				t.Errorf("%q, want %q", told[i], want)
			}
		}
		if got := told[maxComplaints]; got != "herald pub: stdin: bad lines, not published: 24" {
			t.Errorf("%q", got)
		}
	})
}

func TestPubStdinFails(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		in := io.MultiReader(strings.NewReader("a 1\n"), brokenReader{})
		pub := start(t, in, "pub", "--bind", url, "--stdin").exits(exitFailure)
		if got := pub.err.String(); !strings.Contains(got, "herald pub: stdin: it broke\n") {
			t.Errorf("%q", got)
		}
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, fmt.Errorf("it broke") }

// TestPubStdinInterrupted: a signal ends it though the input does not, and what
// was read is sent.
func TestPubStdinInterrupted(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		r, w := io.Pipe()
		defer w.Close()
		sub := start(t, nil, "sub", "--connect", url, "--count", "1")
		pub := start(t, r, "pub", "--bind", url, "--stdin", "--wait", "1")
		io.WriteString(w, "a 1\n")
		sub.exits(exitDone)
		pub.stop()
		pub.exits(exitDone)
	})
}

func TestPubRate(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--count", "11", "--json")
		start(t, strings.NewReader(strings.Repeat("a b\n", 11)), "pub", "--bind", url, "--stdin", "--wait", "1", "--rate", "4").exits(exitDone)
		sub.exits(exitDone)
		var last time.Time
		for i, o := range objects(t, sub.out.String()) {
			at, err := time.Parse(time.RFC3339Nano, o["time"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if d := at.Sub(last); i > 0 && d != 250*time.Millisecond {
				t.Errorf("event %d came after %v", i, d)
			}
			last = at
		}
	})
}

// stuck is a stdout that is not read: a write waits until the test ends.
type stuck chan struct{}

func (s stuck) Write(p []byte) (int, error) {
	<-s
	return len(p), nil
}

// stuckSub is a subscriber that takes next to nothing, because nobody reads what
// it prints.
func stuckSub(t *testing.T, url string) {
	out := make(stuck)
	ended := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(ended)
		run(ctx, []string{"sub", "--connect", url, "--queue", "1"}, nil, out, io.Discard)
	}()
	t.Cleanup(func() { <-ended; close(out) })
}

func TestPubOverflow(t *testing.T) {
	lines := strings.Repeat("a "+strings.Repeat("x", 1000)+"\n", 10_000)
	for policy, want := range map[string]string{
		"drop-newest": "warning: ", "drop-oldest": "warning: ", "disconnect": "warning: ", "block": "",
	} {
		t.Run(policy, func(t *testing.T) {
			inBubble(t, func(t *testing.T, url string) {
				stuckSub(t, url)
				pub := start(t, strings.NewReader(lines), "pub", "--bind", url, "--stdin", "--wait", "1", "--rate", "20000", "--queue", "100", "--overflow", policy)
				if policy == "block" {
					time.Sleep(time.Hour)
					select {
					case <-pub.code:
						t.Error("it did not wait")
					default:
					}
					pub.stop()
				}
				code := exitFailure // the linger runs out on what is queued
				if policy == "disconnect" {
					code = exitDone // nobody is left
				}
				pub.exits(code)
				text := pub.err.String()
				if code == exitFailure && !strings.Contains(text, "not sent: ") || !strings.Contains(text, want) {
					t.Errorf("%q", text)
				}
			})
		})
	}
}

// TestPubLinger: as long as a subscriber takes something now and then, it gets
// everything.
func TestPubLinger(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		r, w := io.Pipe()
		sub := make(chan int, 1)
		go func() {
			sub <- run(t.Context(), []string{"sub", "--connect", url, "--queue", "1", "--count", "100000", "--timeout", "1h"}, nil, w, io.Discard)
			w.Close()
		}()
		lines := strings.Repeat("a "+strings.Repeat("x", 100)+"\n", 100_000)
		pub := start(t, strings.NewReader(lines), "pub", "--bind", url, "--stdin", "--wait", "1")
		began := time.Now()
		n, buf := 0, make([]byte, 100<<10)
		for {
			m, err := r.Read(buf)
			n += strings.Count(string(buf[:m]), "\n")
			if err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n != 100_000 || <-sub != exitDone {
			t.Errorf("%d lines came", n)
		}
		pub.exits(exitDone)
		if d := time.Since(began); d < 5*time.Second {
			t.Errorf("the reader was not slow: %v", d)
		}
	})
}

// TestPubConfig is for flags that cannot be seen from outside.
func TestPubConfig(t *testing.T) {
	config := func(args ...string) bus.PublisherConfig {
		f := flag.NewFlagSet("pub", flag.ContinueOnError)
		o := newPub(f)
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		cfg, err := o.config([]string{"topic", "payload"})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	cfg := config("--bind", "tcp://*:0")
	if cfg.Queue != (bus.Queue{Messages: 100_000, Overflow: bus.Block}) || cfg.Heartbeat != time.Second {
		t.Errorf("%+v", cfg)
	}
	cfg = config("--queue", "5", "--overflow", "drop-oldest", "--heartbeat", "0", "--advertise", "tcp://a:1,tcp://b:2",
		"--bind", "tcp://*:0", "--connect", "tcp://c:3", "--name", "eu")
	if cfg.Queue != (bus.Queue{Messages: 5, Overflow: bus.DropOldest}) || cfg.Heartbeat >= 0 || len(cfg.Advertise) != 2 ||
		len(cfg.Bind) != 1 || len(cfg.Connect) != 1 || cfg.Name != "eu" {
		t.Errorf("%+v", cfg)
	}
}
