package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// pair is a publishing peer on the real network and the role that receives from it.
func pair(t *testing.T, endpoint string) (e *engine.Engine, p *engine.Peer, sub *role) {
	t.Helper()
	var pub role
	sub = new(role)
	e = engine.New(pub.config("PUB"))
	t.Cleanup(e.Close)
	bound, err := e.Listen(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	b := engine.New(sub.config("SUB"))
	t.Cleanup(b.Close)
	dial(t, b, bound)
	sub.waitPeers(t, 1)
	return e, pub.waitPeers(t, 1)[0], sub
}

// Many push to one peer at once: nothing is lost, and each one's order is kept.
func TestConcurrentPushers(t *testing.T) {
	const pushers, each = 8, 2000
	for _, endpoint := range []string{"tcp://127.0.0.1:0", "inproc://pushers"} {
		t.Run(endpoint, func(t *testing.T) {
			poison(t)
			e, p, sub := pair(t, endpoint)
			var wg sync.WaitGroup
			for who := range pushers {
				wg.Go(func() {
					for i := range each {
						pad := strings.Repeat("x", (who+i)%500)
						if out := send(e, p, fmt.Sprint(who), fmt.Sprint(i), pad); out > queue.Claimed {
							t.Errorf("push %d of %d: outcome %d", i, who, out)
							return
						}
						if i%100 == who {
							p.SendControl(zmtp.AppendPing(nil, 0, nil))
						}
					}
				})
			}
			wg.Wait()
			sub.waitMessages(t, pushers*each)
			next := map[string]int{}
			for _, m := range sub.messages {
				who := string(m.frames[0])
				if string(m.frames[1]) != fmt.Sprint(next[who]) {
					t.Fatalf("%s of %s where %d is due", m.frames[1], who, next[who])
				}
				next[who]++
			}
			eventually(t, "all done", func() bool { return p.Out.Stats().SentMessages == pushers*each })
		})
	}
}

// A peer that has been idle is written by the one who pushes, at once and without
// an allocation.
func TestInlineWrite(t *testing.T) {
	for _, endpoint := range []string{"tcp://127.0.0.1:0", "ipc://" + t.TempDir() + "/s", "inproc://inline"} {
		t.Run(endpoint, func(t *testing.T) {
			e, p, sub := pair(t, endpoint)
			now := e.Now()
			sent := 0
			var log queue.Log
			defer log.Close()
			push := func() {
				now += time.Millisecond
				b, lo := log.Reserve(4)
				n := copy(b.B[lo:], "\x01\x00\x00\x00")
				if out := p.Out.Push(b, lo, lo+n); out != queue.Claimed {
					t.Fatalf("outcome %d", out)
				}
				p.Kick(now)
				sent++
				if s := p.Out.Stats(); s.SentMessages != uint64(sent) {
					t.Fatalf("%d messages are written when Kick returns, want %d", s.SentMessages, sent)
				}
			}
			if n := testing.AllocsPerRun(200, push); n > 0 && !raceEnabled {
				t.Errorf("%v allocations for a message", n)
			}
			sub.waitMessages(t, sent)
		})
	}
}

// With a full buffer what a caller could not write goes on behind it, in order.
func TestInlineWriteIntoFullBuffer(t *testing.T) {
	t.Run("a byte at a time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			poison(t)
			n := memnet.New(memnet.Config{Buffer: 100}) // less than a message
			var pub, sub role
			a, b := start(t, n, "srv", pub.config("PUB")), start(t, n, "srv", sub.config("SUB"))
			listen(t, a, "inproc://x")
			dial(t, b, "inproc://x")
			synctest.Wait()
			n.Path("*", "*").Set(memnet.Conditions{Latency: time.Millisecond, Split: 1})
			var want []string
			for i, w := range words(100) {
				want = append(want, "topic|"+w)
				send(a, pub.peers[0], "topic", w)
				if i%3 == 0 {
					time.Sleep(time.Duration(i) * time.Millisecond) // idle again, sometimes
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			sub.expect(t, want...)
		})
	})
	t.Run("tcp", func(t *testing.T) {
		poison(t)
		e, p, sub := pair(t, "tcp://127.0.0.1:0")
		release := make(chan struct{})
		sub.flush = func() { <-release }
		var want []string
		for i := 0; p.Out.Stats().Messages < 50; i++ {
			w := strings.Repeat(string(rune('a'+i%26)), 60_000+i)
			want = append(want, w)
			send(e, p, w)
		}
		close(release)
		sub.waitMessages(t, len(want))
		if got := sub.got(); !slices.Equal(got, want) {
			t.Errorf("%d messages are not the %d that were sent, in order", len(got), len(want))
		}
	})
}

// Shutdown writes all that is queued, says that this is the end, and gives the other
// side time to take it; what that one still says meanwhile does no harm.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		e := start(t, n, "srv", r.config("PUB"))
		listen(t, e, srv)
		c := connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		p := r.peers[0]
		msg := zmtp.AppendMessage(nil, make([]byte, 5000))
		for range 200 {
			send(e, p, string(make([]byte, 5000)))
		}
		began := time.Now()
		var err error
		var took time.Duration
		go func() {
			err = p.Shutdown(context.Background())
			took = time.Since(began)
		}()
		var got []byte
		for {
			time.Sleep(300 * time.Millisecond)
			part := make([]byte, 100_000)
			k, err := c.Read(part)
			got = append(got, part[:k]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 800_000 {
				c.send(zmtp.AppendPing(nil, 0, nil)) // behind what is queued, and behind the end
			}
		}
		if want := bytes.Repeat(msg, 200); !bytes.Equal(got[:min(len(got), len(want))], want) {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
		c.send(zmtp.AppendPing(nil, 0, nil))
		time.Sleep(2 * time.Second)
		closing := time.Since(began)
		c.Close()
		synctest.Wait()
		if err != nil || took != closing {
			t.Errorf("Shutdown returned %v after %v, want nil when the other side closed, after %v", err, took, closing)
		}
		if len(r.ends) != 1 || !strings.Contains(r.ends[0].Error(), "closed the connection") {
			t.Errorf("ended with %v", r.ends)
		}
	})
}

// Shutdown does not wait for longer than its context, nor, once everything is
// written, for longer than a peer may take to shake hands.
func TestShutdownDeadline(t *testing.T) {
	for _, tt := range []struct {
		name     string
		messages int
		deadline time.Duration
		want     error
		after    time.Duration
	}{
		{"nothing to write", 0, time.Second, nil, time.Second},
		{"all written, not read", 10, time.Second, nil, time.Second},
		{"all written, time enough", 10, time.Hour, nil, 5 * time.Second},
		{"too much for the buffers", 1000, time.Hour, context.DeadlineExceeded, time.Hour},
	} {
		bubble(t, func(t *testing.T, n *memnet.Network) {
			var r role
			e := start(t, n, "srv", r.config("PUB"))
			listen(t, e, srv)
			c := connect(t, n, "cli").shake("SUB")
			synctest.Wait()
			for range tt.messages {
				send(e, r.peers[0], string(make([]byte, 1000)))
			}
			ctx, cancel := context.WithTimeout(context.Background(), tt.deadline)
			defer cancel()
			began := time.Now()
			err := r.peers[0].Shutdown(ctx)
			if !errors.Is(err, tt.want) || time.Since(began) != tt.after {
				t.Errorf("%s: %v after %v, want %v after %v", tt.name, err, time.Since(began), tt.want, tt.after)
			}
			if err := r.peers[0].Shutdown(ctx); tt.want == nil && err != nil {
				t.Errorf("%s: a second time: %v", tt.name, err)
			}
			synctest.Wait()
			if read := c.closed(); tt.want == nil && read < int64(1000*tt.messages) {
				t.Errorf("%s: %d bytes arrived", tt.name, read)
			}
			if s := r.peers[0].Out.Stats(); int(s.SentMessages+s.DroppedMessages) != tt.messages || s.Messages != 0 {
				t.Errorf("%s: %+v: not everything is accounted for", tt.name, s)
			}
		})
	}
}

// What cannot be written is counted as dropped, and so is all that comes later.
func TestWriteError(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		e := start(t, n, "srv", r.config("PUB"))
		listen(t, e, srv)
		connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		p := r.peers[0]
		for range 1000 {
			send(e, p, string(make([]byte, 1000)))
		}
		synctest.Wait()
		n.Link("srv", "cli").Cut()
		<-p.Done()
		if out := send(e, p, "late"); out != queue.Dropped {
			t.Errorf("a push behind the end: outcome %d", out)
		}
		s := p.Out.Stats()
		if s.SentMessages+s.DroppedMessages != 1001 || s.DroppedMessages < 500 || s.Messages != 0 {
			t.Errorf("%+v: not everything is accounted for", s)
		}
		if !errors.Is(p.Err(), syscall.ECONNRESET) || !p.Incoming() {
			t.Errorf("ended with %v", p.Err())
		}
	})
}

// A peer that asks and asks and reads no answers takes little, and harms nobody.
func TestPingFlood(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		e := start(t, n, "srv", r.config("PUB"))
		listen(t, e, srv)
		c := connect(t, n, "cli").shake("SUB")
		ping := bytes.Repeat(zmtp.AppendPing(nil, 0, make([]byte, 16)), 10_000)
		for range 20 {
			c.send(ping)
		}
		c.send([]byte("\x00\x01\x01"))
		synctest.Wait()
		r.expect(t, "\x01")
		answers := 0
		go func() {
			for {
				if _, _, err := frame(c); err != nil {
					return
				}
				answers++
			}
		}()
		synctest.Wait()
		if answers < 256 || answers > 20_000 {
			t.Errorf("%d answers to 200,000 PINGs", answers)
		}
		e.Close()
		synctest.Wait()
	})
}

// bufferedConn writes what it is given at once.
type bufferedConn struct {
	net.Conn
	calls int
}

func (c *bufferedConn) WriteBuffers(bufs net.Buffers) (int64, error) {
	c.calls++
	return bufs.WriteTo(c.Conn)
}

// What has gathered for a busy peer is written with one call.
func TestBatch(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		cfg := r.config("SUB")
		var conn *bufferedConn
		cfg.Network.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := n.Host("cli").Dial(ctx, network, address)
			conn = &bufferedConn{Conn: c}
			return conn, err
		}
		e := engine.New(cfg)
		defer e.Close()
		l, err := n.Host("srv").Listen(context.Background(), "tcp", "srv:5556")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial(t, e, srv)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		raw{c, t}.shake("PUB")
		synctest.Wait()
		p := r.peers[0]
		var want []byte
		for i, w := range words(100) { // each in a block of its own: a span of its own
			msg := zmtp.AppendMessage(nil, []byte(strings.Repeat(w, 20)), make([]byte, 5000))
			want = append(want, msg...)
			b := block.Get(len(msg))
			if out := p.Out.Push(b, 0, copy(b.B, msg)); (out == queue.Claimed) != (i == 0) {
				t.Fatalf("outcome %d", out)
			}
			b.Release()
		}
		p.Start()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v; other bytes than were sent", err)
		}
		if most := len(want)/(256<<10) + 1; conn.calls > most {
			t.Errorf("%d calls for %d bytes, want %d", conn.calls, len(want), most)
		}
	})
}
