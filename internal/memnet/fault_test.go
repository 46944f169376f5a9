package memnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/memnet"
)

const ms = time.Millisecond

func TestLatency(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		p.Path("sub", "pub").Set(memnet.Conditions{Latency: 30 * ms})
		p.Path("pub", "*").Set(memnet.Conditions{Latency: 10 * ms})
		p.Path("*", "sub").Set(memnet.Conditions{Latency: 2 * ms}) // in series

		start := time.Now()
		send(t, p.sub, "a")
		time.Sleep(5 * ms)
		send(t, p.sub, "b") // travels at the same time
		want(t, p.pub, "a")
		took(t, start, 30*ms)
		want(t, p.pub, "b")
		took(t, start, 35*ms)
		send(t, p.pub, "c")
		want(t, p.sub, "c")
		took(t, start, 47*ms)

		start = time.Now()
		c, s := p.connect() // there, back, and there again
		took(t, start, 72*ms)
		c.Close()
		is(t, read(s)(), io.EOF)
		took(t, start, 102*ms)

		start = time.Now()
		send(t, p.sub, "d")
		time.Sleep(10 * ms)
		p.Path("sub", "pub").Set(memnet.Conditions{Latency: 40 * ms}) // starts again
		want(t, p.pub, "d")
		took(t, start, 50*ms)

		start = time.Now()
		_, err := p.Host("sub").Dial(t.Context(), "tcp", "pub:1")
		is(t, err, syscall.ECONNREFUSED)
		took(t, start, 52*ms)
	})
}

// TestJitter: it keeps within its bounds, keeps the order, and is the same for
// the same seed.
func TestJitter(t *testing.T) {
	var runs [3][]time.Duration
	for i, seed := range []uint64{1, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(memnet.Config{Seed: seed})
			n.Link("*", "*").Set(memnet.Conditions{Latency: 10 * ms, Jitter: 20 * ms})
			l, _ := n.Listen(t.Context(), "tcp", "pub:1")
			c, err := n.Dial(t.Context(), "tcp", "pub:1")
			is(t, err, nil)
			s, _ := l.Accept()
			for k := range 50 {
				start := time.Now()
				send(t, c, fmt.Sprintf("%02d", k))
				send(t, c, ".")
				want(t, s, fmt.Sprintf("%02d", k))
				runs[i] = append(runs[i], time.Since(start))
				want(t, s, ".")
				if d := time.Since(start); d < 10*ms || d >= 30*ms {
					t.Fatalf("took %v", d)
				}
			}
		})
	}
	if !slices.Equal(runs[0], runs[1]) || slices.Equal(runs[0], runs[2]) {
		t.Errorf("the same seed: %v; another: %v", slices.Equal(runs[0], runs[1]), slices.Equal(runs[0], runs[2]))
	}
	if slices.Min(runs[0]) > 15*ms || slices.Max(runs[0]) < 25*ms {
		t.Errorf("all took from %v to %v", slices.Min(runs[0]), slices.Max(runs[0]))
	}
}

func TestBandwidth(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		p.Path("sub", "pub").Set(memnet.Conditions{Bandwidth: 1000, Latency: 7 * ms})
		start := time.Now()
		send(t, p.sub, strings.Repeat("x", 500))
		send(t, p.sub, strings.Repeat("y", 500))
		took(t, start, 0)
		want(t, p.pub, "xxxxxxxxxx")
		took(t, start, 17*ms)
		want(t, p.pub, strings.Repeat("x", 490))
		took(t, start, 507*ms)
		want(t, p.pub, strings.Repeat("y", 500))
		took(t, start, 1007*ms)
		send(t, p.pub, strings.Repeat("z", 1000)) // the other way is free
		want(t, p.sub, strings.Repeat("z", 1000))
		took(t, start, 1007*ms)

		send(t, p.sub, strings.Repeat("x", 1000))
		time.Sleep(110 * ms)                                       // 100 bytes have arrived
		p.Link("sub", "pub").Set(memnet.Conditions{Bandwidth: 90}) // less than a byte in 10 ms
		p.Link("sub", "pub").Set(memnet.Conditions{Bandwidth: 90_000})
		start = time.Now()
		want(t, p.pub, strings.Repeat("x", 1000))
		took(t, start, 10*ms)
	})
}

func TestStall(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		send(t, p.pub, "before")
		p.Path("pub", "sub").Stall()

		// One way: the other is in order, and nobody is told.
		want(t, p.sub, "before")
		send(t, p.pub, "lost?")
		silent(t, p.sub)
		send(t, p.sub, "still here")
		want(t, p.pub, "still here")

		// Writes succeed until the buffer is full.
		rest := strings.Repeat("x", buffer-len("lost?"))
		send(t, p.pub, rest)
		done := later(func() error { _, err := p.pub.Write([]byte("more")); return err })
		waiting(t, done)
		p.pub.SetWriteDeadline(time.Now().Add(time.Second))
		is(t, <-done, os.ErrDeadlineExceeded)
		silent(t, p.sub)

		// A close is not heard of either.
		p.pub.Close()
		silent(t, p.sub)
		send(t, p.sub, "to nobody")

		p.Path("pub", "sub").Heal()
		want(t, p.sub, "lost?"+rest)
		is(t, read(p.sub)(), io.EOF)
		_, err := p.sub.Write([]byte("x"))
		is(t, err, syscall.EPIPE)
	})
}

// TestHeal: what was held up takes the usual time, in order, on all paths.
func TestHeal(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		p.Link("sub", "pub").Set(memnet.Conditions{Latency: 10 * ms, Stalled: true})
		p.Link("*", "pub:5556").Stall()
		for i := range 10 {
			send(t, p.sub, fmt.Sprint(i))
			send(t, p.pub, fmt.Sprint(9-i))
			time.Sleep(time.Second)
		}
		p.Link("sub", "pub").Heal() // one of two in series
		silent(t, p.pub)
		start := time.Now()
		p.Heal()
		want(t, p.pub, "0123456789")
		want(t, p.sub, "9876543210")
		took(t, start, 10*ms)
	})
}

func TestPartition(t *testing.T) {
	for _, way := range []string{"up", "down", "both"} {
		run(t, func(t *testing.T, p *pair) {
			var path memnet.Path
			switch way {
			case "up":
				path = p.Path("sub", "pub")
			case "down":
				path = p.Path("pub", "sub")
			case "both":
				path = p.Link("sub", "pub")
			}
			path.Stall()
			dial := func(ctx context.Context, address string) func() error {
				return func() error { _, err := p.Host("sub").Dial(ctx, "tcp", address); return err }
			}
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := dial(ctx, "pub:5556")()
			is(t, err, context.DeadlineExceeded)
			if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			took(t, start, 5*time.Second)

			first := later(dial(t.Context(), "pub:5556"))
			refused := later(dial(t.Context(), "pub:1"))
			accept := later(func() error { _, err := p.l.Accept(); return err })
			other, err := p.Host("other").Dial(t.Context(), "tcp", "pub:5556") // not on the path
			is(t, err, nil)
			returned(t, accept, nil)
			accept = later(func() error { _, err := p.l.Accept(); return err })
			time.Sleep(time.Hour)
			waiting(t, first)
			waiting(t, refused)
			waiting(t, accept)
			path.Heal()
			returned(t, first, nil)
			returned(t, accept, nil)
			returned(t, refused, syscall.ECONNREFUSED)
			other.Close()
		})
	}
}

func TestCut(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		c, s := p.connect()
		send(t, p.sub, "unread")
		r := later(read(p.sub))
		w := later(func() error { _, err := p.pub.Write(make([]byte, 2*buffer)); return err })
		waiting(t, w)
		returned(t, r, nil)
		p.Path("pub", "sub:49152").Cut()
		returned(t, w, syscall.ECONNRESET)
		for _, c := range []net.Conn{p.sub, p.pub} {
			is(t, read(c)(), syscall.ECONNRESET)
			_, err := c.Write([]byte("x"))
			is(t, err, syscall.ECONNRESET)
			is(t, c.Close(), nil)
			is(t, read(c)(), net.ErrClosed)
		}
		send(t, c, "the other connection is well")
		want(t, s, "the other connection is well")

		p.Link("pub", "*").Stall()
		dial := later(func() error { _, err := p.Host("sub").Dial(t.Context(), "tcp", "pub:5556"); return err })
		waiting(t, dial)
		p.Path("*", "*").Cut()
		returned(t, dial, syscall.ECONNRESET)
		is(t, read(c)(), syscall.ECONNRESET)
		is(t, read(s)(), syscall.ECONNRESET)
		if list := p.Connections(); len(list) != 0 {
			t.Errorf("connections left: %v", list)
		}
	})
}

// TestCutAfter cuts at each byte of a stream of several writes.
func TestCutAfter(t *testing.T) {
	const text = "one two three"
	for _, conditions := range []memnet.Conditions{{}, {Latency: ms, Jitter: ms}, {Bandwidth: 300}} {
		for offset := range len(text) + 1 {
			run(t, func(t *testing.T, p *pair) {
				p.Link("*", "*").Set(conditions)
				send(t, p.pub, "unread")
				p.Path("sub", "pub").CutAfter(int64(offset))
				p.Path("sub", "pub").CutAfter(-1) // never
				for i := range len(text) {
					if _, err := p.sub.Write([]byte(text[i : i+1])); err != nil {
						is(t, err, syscall.ECONNRESET)
						break
					}
				}
				got := make([]byte, 100)
				n, err := io.ReadFull(p.pub, got)
				is(t, err, syscall.ECONNRESET)
				if string(got[:n]) != text[:offset] {
					t.Fatalf("read %q, want %q", got[:n], text[:offset])
				}
				_, err = p.pub.Write([]byte("x"))
				is(t, err, syscall.ECONNRESET)
				is(t, read(p.sub)(), syscall.ECONNRESET)

				c, s := p.connect() // once only
				send(t, c, text)
				want(t, s, text)
			})
		}
	}
}

// TestCutAfterDial sets the cut before the connection is there, and on both ways.
func TestCutAfterDial(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		send(t, p.pub, "xxxx") // is past the cuts
		p.Link("sub", "pub").CutAfter(3)
		p.Path("pub", "sub").CutAfter(0)
		c, s := p.connect()
		is(t, read(c)(), syscall.ECONNRESET)
		is(t, read(s)(), syscall.ECONNRESET)
		c, s = p.connect()
		send(t, s, "12345")
		want(t, c, "123")
		is(t, read(c)(), syscall.ECONNRESET)
		is(t, read(s)(), syscall.ECONNRESET)
		want(t, p.sub, "xxxx")
	})
}

// TestFreeze: the kernel of a frozen process goes on.
func TestFreeze(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		send(t, p.sub, "before")
		p.Host("pub").Freeze()
		accept := later(func() error { _, err := p.l.Accept(); return err })
		c, err := p.Host("sub").Dial(t.Context(), "tcp", "pub:5556")
		is(t, err, nil) // the kernel answers
		_, err = p.Host("sub").Dial(t.Context(), "tcp", "pub:1")
		is(t, err, syscall.ECONNREFUSED)
		waiting(t, accept)

		want(t, p.pub, "before")
		send(t, p.sub, strings.Repeat("x", buffer)) // the kernel takes it
		w := later(func() error { _, err := p.sub.Write([]byte("y")); return err })
		waiting(t, w)
		silent(t, p.pub)
		send(t, p.pub, "answer")
		silent(t, p.sub)
		silent(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Host("pub").Dial(ctx, "tcp", "pub:5556")
		is(t, err, context.DeadlineExceeded)

		p.Host("pub").Thaw()
		returned(t, accept, nil)
		want(t, p.sub, "answer")
		want(t, p.pub, strings.Repeat("x", buffer)+"y")
		returned(t, w, nil)
	})
}

func TestSplit(t *testing.T) {
	const text = "the quick brown fox jumps over the lazy dog"
	sizes := func(seed uint64, split int) (list []int) {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(memnet.Config{Seed: seed})
			n.Path("*", "pub").Set(memnet.Conditions{Split: split})
			l, _ := n.Listen(t.Context(), "tcp", "pub:1")
			c, _ := n.Dial(t.Context(), "tcp", "pub:1")
			s, _ := l.Accept()
			send(t, c, text)
			c.Close()
			var got []byte
			buf := make([]byte, 100)
			for {
				n, err := s.Read(buf)
				if err == io.EOF {
					break
				}
				is(t, err, nil)
				got = append(got, buf[:n]...)
				list = append(list, n)
			}
			if string(got) != text {
				t.Fatalf("read %q", got)
			}
		})
		return list
	}
	if got := sizes(1, 0); len(got) != 1 {
		t.Errorf("not split: %v", got)
	}
	if got := sizes(1, 1); len(got) != len(text) {
		t.Errorf("single bytes: %v", got)
	}
	got := sizes(1, 7)
	if slices.Max(got) > 7 || slices.Max(got) < 5 || slices.Min(got[:len(got)-1]) > 3 {
		t.Errorf("up to 7 bytes: %v", got)
	}
	if again := sizes(1, 7); !slices.Equal(again, got) {
		t.Errorf("the same seed: %v, %v", got, again)
	}
	if other := sizes(2, 7); slices.Equal(other, got) {
		t.Errorf("another seed: %v", other)
	}
}

func TestCorrupt(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		send(t, p.sub, "abcd") // is past it
		path := p.Path("sub", "pub")
		path.Corrupt(3, 0)
		c, s := p.connect()
		path.Corrupt(5, 0) // b to c
		path.Corrupt(5, 3) // and on to k
		path.Corrupt(6, 10)
		send(t, p.sub, "a")
		want(t, p.pub, "abcda")
		send(t, p.sub, "bcd")
		want(t, p.pub, "k")
		want(t, p.pub, "gd")
		send(t, c, "abcdabcd")
		want(t, s, "abceabcd")
	})
}
