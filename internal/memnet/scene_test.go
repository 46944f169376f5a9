package memnet_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/memnet"
)

// TestDeterminism runs one busy scene twice: the same bytes arrive at the same
// times.
func TestDeterminism(t *testing.T) {
	scene := func() (log []string) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t)
			p.Link("*", "*").Set(memnet.Conditions{Latency: 5 * ms, Jitter: 40 * ms, Bandwidth: 4_000, Split: 60})
			start := time.Now()
			go func() {
				rng := rand.New(rand.NewPCG(1, 2))
				for range 100 {
					p.pub.Write(make([]byte, rng.IntN(200))) // the buffer is never full
					time.Sleep(time.Duration(rng.IntN(50)) * ms)
				}
				p.pub.Close()
			}()
			go func() {
				time.Sleep(ms / 3) // never at the same instant as a write
				for range 20 {
					time.Sleep(97 * ms)
					p.Path("pub", "sub").Stall()
					time.Sleep(61 * ms)
					p.Heal()
				}
			}()
			buf := make([]byte, 1000)
			for {
				n, err := p.sub.Read(buf)
				log = append(log, fmt.Sprint(time.Since(start), n, err))
				if err != nil {
					return
				}
			}
		})
		return log
	}
	first, second := scene(), scene()
	if !slices.Equal(first, second) {
		t.Error("two runs were not the same")
	}
	if len(first) < 100 {
		t.Errorf("%d reads only", len(first))
	}
}

// TestRealTime uses the network outside of a bubble.
func TestRealTime(t *testing.T) {
	p := newPair(t)
	p.Path("sub", "pub").Set(memnet.Conditions{Latency: ms, Jitter: ms, Split: 1000})
	data := make([]byte, 10*buffer)
	for i := range data {
		data[i] = byte(i * 7)
	}
	go func() {
		p.sub.Write(data)
		p.sub.Close()
	}()
	start := time.Now()
	got, err := io.ReadAll(p.pub)
	if err != nil || string(got) != string(data) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if d := time.Since(start); d < 10*ms { // each buffer takes its latency
		t.Errorf("took %v", d)
	}
}

// TestIntegrity changes the conditions all the time, and loses nothing.
func TestIntegrity(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		done := make(chan error)
		copies := func(from, to net.Conn, seed byte) {
			data := make([]byte, 20*buffer)
			for i := range data {
				data[i] = byte(i/256) + byte(i)*seed
			}
			go func() {
				defer from.(interface{ CloseWrite() error }).CloseWrite()
				for i, rest := 1, data; len(rest) > 0; i++ {
					n, err := from.Write(rest[:min(len(rest), i*37%3000)])
					if err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			}()
			go func() {
				got, err := io.ReadAll(to)
				if err == nil && string(got) != string(data) {
					err = fmt.Errorf("%d bytes were not as written", len(got))
				}
				done <- err
			}()
		}
		for i := range byte(4) {
			c, s := p.connect()
			defer c.Close()
			defer s.Close()
			copies(c, s, 3+4*i)
			copies(s, c, 5+4*i)
		}
		stop := make(chan bool)
		go func() {
			rng := rand.New(rand.NewPCG(3, 4))
			paths := []memnet.Path{p.Path("sub", "pub"), p.Path("pub", "*"), p.Link("*", "sub:49154")}
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(rng.IntN(300)) * ms):
				}
				switch path := paths[rng.IntN(len(paths))]; rng.IntN(6) {
				case 0:
					path.Stall()
				case 1:
					path.Heal()
				case 2:
					p.Host("pub").Freeze()
				case 3:
					p.Host("pub").Thaw()
					p.Heal()
				case 4:
					path.Set(memnet.Conditions{Latency: 20 * ms, Jitter: 20 * ms, Split: 500})
				case 5:
					path.Set(memnet.Conditions{Bandwidth: 50_000})
				}
			}
		}()
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		stop <- true
	})
}

// TestCloseOnTheWay closes either end while the other has not heard of it.
func TestCloseOnTheWay(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		p.Link("*", "*").Set(memnet.Conditions{Latency: 10 * ms})

		// The listener closes when the dial has been answered and its
		// confirmation is on the way.
		c, err := p.Host("sub").Dial(t.Context(), "tcp", "pub:5556")
		is(t, err, nil)
		start := time.Now()
		p.l.Close()
		is(t, read(c)(), syscall.ECONNRESET)
		took(t, start, 10*ms)

		// Both close: what is on the way is dropped with the connection.
		send(t, p.pub, "x")
		p.pub.Close()
		p.sub.Close()
		if list := p.Connections(); len(list) != 0 {
			t.Errorf("connections left: %v", list)
		}
	})
}
