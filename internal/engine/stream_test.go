package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/internal/zmtp"
)

// poison makes bytes that are read after their block was given back show.
func poison(t *testing.T) {
	block.Poison(true)
	t.Cleanup(func() { block.Poison(false) })
}

// traffic is messages of many shapes, and how they are encoded, with commands
// before, after and between them, none of which is a message.
func traffic() (want []string, wire []byte) {
	add := func(frames ...string) {
		want = append(want, strings.Join(frames, "|"))
		for i, f := range frames {
			flags := byte(0)
			if i < len(frames)-1 {
				flags = zmtp.FlagMore
			}
			wire = zmtp.AppendFrame(wire, flags, []byte(f))
			if i < len(frames)-1 && len(f)%3 == 0 {
				wire = zmtp.AppendPing(wire, time.Second, []byte(f[:min(len(f), 4)]))
			}
		}
		if len(frames)%2 == 0 {
			wire = zmtp.AppendCommand(wire, "NOBODYKNOWS", []byte("this"))
		}
	}
	add("")
	add("a", "", "")
	add("topic", "payload", "meta")
	for _, size := range []int{254, 255, 256, 500, 510, 511, 512, 513, 1000, 5000, 20_000} {
		add("topic", strings.Repeat("p", size))
		add(strings.Repeat("q", size))
	}
	many := make([]string, 120)
	for i := range many {
		many[i] = strings.Repeat("m", i)
	}
	add(many...)
	for i := range 300 {
		add("small", fmt.Sprint(i))
	}
	return want, wire
}

// However the bytes come, the messages are the same, whether receivers keep them or
// not, and every PING between them is answered.
func TestDelivery(t *testing.T) {
	want, wire := traffic()
	pings := bytes.Count(wire, []byte("\x04PING"))
	for _, split := range []int{0, 1, 2, 13, 700, 5000} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("split %d keep %t", split, keep), func(t *testing.T) {
				poison(t)
				bubble(t, func(t *testing.T, n *memnet.Network) {
					r := role{keep: keep}
					e := start(t, n, "srv", r.config("SUB"))
					listen(t, e, srv)
					c := connect(t, n, "cli").shake("PUB")
					n.Path("cli", "srv").Set(memnet.Conditions{Split: split})
					pongs := make(chan int)
					go func() {
						answers, _ := io.ReadAll(c)
						pongs <- bytes.Count(answers, []byte("\x04PONG"))
					}()
					c.send(wire)
					synctest.Wait()
					if got := r.got(); !slices.Equal(got, want) {
						for i := range want {
							if i >= len(got) || got[i] != want[i] {
								t.Fatalf("%d messages of %d, the first wrong one is number %d", len(got), len(want), i)
							}
						}
						t.Fatalf("%d messages, want %d", len(got), len(want))
					}
					if got := r.peers[0].Received(); got != uint64(len(wire)) {
						t.Errorf("counted %d bytes, want %d", got, len(wire))
					}
					e.Close()
					if n := <-pongs; n != pings {
						t.Errorf("%d PINGs answered, want %d", n, pings)
					}
				})
			})
		}
	}
}

// A connection that is cut after any byte loses nothing but the message that was
// under way, and is made anew.
func TestCutAtEveryByte(t *testing.T) {
	frames := []string{"weather.eu.paris", strings.Repeat("x", 300), "meta"}
	message := zmtp.AppendMessage(nil, []byte(frames[0]), []byte(frames[1]), []byte(frames[2]))
	want := strings.Join(frames, "|")
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var pub, sub role
		var a *engine.Engine
		pub.opened = func(p *engine.Peer) { send(a, p, frames...) }
		a = start(t, n, "srv", pub.config("PUB"))
		b := start(t, n, "cli", sub.config("SUB"))
		dial(t, b, srv)
		listen(t, a, srv)
		time.Sleep(time.Second)
		synctest.Wait()
		sub.expect(t, want)
		total := int(n.Connections()[0].Down.Written)
		for cut := range total + 1 {
			sub.messages, sub.ends, sub.failures = nil, nil, nil
			n.Link("srv", "cli").Cut() // this connection; the next one is cut after so many bytes
			synctest.Wait()
			n.Path("srv", "cli").CutAfter(int64(cut))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			got, whole := sub.got(), 1
			if cut == total {
				whole = 2
			}
			if len(got) != whole || slices.Contains(got, "") || got[0] != want {
				t.Fatalf("cut after byte %d of %d: got %d messages, want %d; failures %q, ends %v", cut, total, len(got), whole, sub.causes(), sub.ends)
			}
			// Behind the last byte of the handshake the dialler may or may not have
			// seen that it is done.
			failed, ended := len(sub.failures), len(sub.ends)-1
			switch handshake := total - len(message); {
			case failed+ended != 1, cut < handshake && failed == 0, cut > handshake && ended == 0:
				t.Fatalf("cut after byte %d of %d: failures %q, ends %v", cut, total, sub.causes(), sub.ends)
			case ended == 1 && !errors.Is(sub.ends[1], syscall.ECONNRESET):
				t.Fatalf("cut after byte %d of %d: ended with %v, want a reset", cut, total, sub.ends[1])
			}
		}
	})
}

// An end in the middle of a message is told from one between two.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		wire  string
		want  string
		count int
	}{
		{"", "closed the connection", 0},
		{"\x00\x01a", "closed the connection", 1},
		{"\x00\x01a\x01\x01b", "in the middle of a message", 1},
		{"\x00\x01a\x00\x05b", "in the middle of a message", 1},
		{"\x00\x01a\x08\x00", "reserved bits", 1},
		{"\x00\x01a\x02\x7f\xff\xff\xff\xff\xff\xff\xff", "Limits.Frame", 1},
		{"\x04\x07\x05ERROR\x00", "ERROR", 0},
	} {
		bubble(t, func(t *testing.T, n *memnet.Network) {
			var r role
			listen(t, start(t, n, "srv", r.config("SUB")), srv)
			c := connect(t, n, "cli").shake("PUB")
			c.send([]byte(tt.wire))
			c.Close()
			synctest.Wait()
			if len(r.ends) != 1 || !strings.Contains(r.ends[0].Error(), tt.want) || len(r.messages) != tt.count {
				t.Errorf("%q: ended with %v after %d messages, want %q after %d", tt.wire, r.ends, len(r.messages), tt.want, tt.count)
			}
		})
	}
}

// A PING between two frames is answered before the message is complete, once.
func TestPingInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		listen(t, start(t, n, "srv", r.config("SUB")), srv)
		c := connect(t, n, "cli").shake("PUB")
		c.send([]byte("\x01\x05topic"))
		for i := range 3 {
			context := fmt.Sprint("context", i)
			ping := zmtp.AppendPing(nil, 0, []byte(context))
			for _, b := range ping {
				c.send([]byte{b})
				synctest.Wait()
			}
			if flags, body := c.frame(); flags != zmtp.FlagCommand || string(body) != "\x04PONG"+context {
				t.Fatalf("answered with %#x %q", flags, body)
			}
		}
		c.send([]byte("\x01\x07payload"))
		c.send([]byte("\x00\x00"))
		synctest.Wait()
		r.expect(t, "topic|payload|")
		c.SetReadDeadline(time.Now().Add(time.Second))
		if extra := c.closed(); extra != 0 {
			t.Errorf("%d bytes more than the answers", extra)
		}
	})
}

// A SUBSCRIBE command is a message to a publisher, and nothing to a subscriber.
func TestSubscribeCommand(t *testing.T) {
	wire := zmtp.AppendCommand(nil, "SUBSCRIBE", []byte("a"))
	wire = zmtp.AppendCommand(wire, "CANCEL", []byte("b"))
	for _, tt := range []struct {
		ours, theirs string
		want         []string
	}{
		{"PUB", "SUB", []string{"\x01a", "\x00b", "x"}},
		{"SUB", "PUB", []string{"x"}},
	} {
		bubble(t, func(t *testing.T, n *memnet.Network) {
			var r role
			cfg := r.config("")
			cfg.Type = zmq4.SocketType(tt.ours)
			listen(t, start(t, n, "srv", cfg), srv)
			connect(t, n, "cli").shake(tt.theirs).send(append(bytes.Clone(wire), "\x00\x01x"...))
			synctest.Wait()
			r.expect(t, tt.want...)
		})
	}
}

// Messages larger than any block for ordinary traffic, also some in a row, in one
// frame and in many, kept and not.
func TestLargeMessages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 2<<20)
	for i := range content {
		content[i] = byte(rnd.Uint32())
	}
	var want [][][]byte
	for _, size := range []int{100 << 10, 1 << 20, 10, 1 << 20, 1<<20 + 1, 2 << 20, 1, 200 << 10} {
		one := content[:size]
		want = append(want, [][]byte{one})
		var parts [][]byte
		for rest := one; len(rest) > 0; {
			k := min(len(rest), size/50+1)
			parts = append(parts, rest[:k])
			rest = rest[k:]
		}
		want = append(want, parts)
	}
	for _, keep := range []bool{false, true} {
		poison(t)
		bubble(t, func(t *testing.T, n *memnet.Network) {
			r := role{keep: keep}
			listen(t, start(t, n, "srv", r.config("SUB")), srv)
			c := connect(t, n, "cli").shake("PUB")
			for _, frames := range want {
				c.send(zmtp.AppendMessage(nil, frames...))
			}
			synctest.Wait()
			if len(r.messages) != len(want) {
				t.Fatalf("%d messages, want %d; ends %v", len(r.messages), len(want), r.ends)
			}
			for i, m := range r.messages {
				if !slices.EqualFunc(m.frames, want[i], bytes.Equal) {
					t.Errorf("keep %t: message %d is not what was sent", keep, i)
				}
			}
		})
	}
}

// What a receiver keeps is not written over, however long it keeps it.
func TestKeptMessages(t *testing.T) {
	poison(t)
	bubble(t, func(t *testing.T, n *memnet.Network) {
		r := role{keep: true}
		listen(t, start(t, n, "srv", r.config("SUB")), srv)
		c := connect(t, n, "cli").shake("PUB")
		want := words(3000)
		for i, w := range want {
			c.send(zmtp.AppendMessage(nil, []byte("topic"), []byte(w)))
			want[i] = "topic|" + w
			if i%7 == 0 {
				synctest.Wait()
			}
			if i%500 == 499 { // some let go, others not
				synctest.Wait()
				r.expect(t, want[:i+1]...)
				for k, m := range r.messages[i-499 : i-100] {
					r.messages[i-499+k] = message{[][]byte{bytes.Clone(m.frames[0]), bytes.Clone(m.frames[1])}, nil}
					m.block.Release()
				}
			}
		}
		synctest.Wait()
		r.expect(t, want...)
	})
}

// A receiver that waits in Flush holds the sender back, and nothing is lost.
func TestSlowReceiver(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		r := role{flush: func() { time.Sleep(time.Second) }}
		listen(t, start(t, n, "srv", r.config("SUB")), srv)
		c := connect(t, n, "cli").shake("PUB")
		msg := zmtp.AppendMessage(nil, make([]byte, 1000))
		began := time.Now()
		for range 1000 {
			c.send(msg)
		}
		if d := time.Since(began); d < 10*time.Second {
			t.Errorf("a megabyte was taken in %v", d)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(r.messages) != 1000 {
			t.Errorf("%d messages, want 1000", len(r.messages))
		}
	})
}

// What came before the other side hung up is delivered, though answers to it can no
// longer be sent, and though its receiver takes its time.
func TestHungUp(t *testing.T) {
	const count = 200
	var wire []byte
	for i := range count {
		wire = zmtp.AppendMessage(wire, []byte(fmt.Sprint(i)), make([]byte, 50))
		wire = zmtp.AppendPing(wire, 0, nil)
	}
	check := func(t *testing.T, r *role) {
		t.Helper()
		if len(r.messages) != count || len(r.ends) != 1 {
			t.Errorf("%d messages, want %d; ended with %v", len(r.messages), count, r.ends)
		}
	}
	t.Run("in memory", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *memnet.Network) {
			r := role{flush: func() { time.Sleep(time.Second) }}
			listen(t, start(t, n, "srv", r.config("SUB")), srv)
			c := connect(t, n, "cli").shake("PUB")
			c.send(wire)
			c.Close()
			time.Sleep(time.Hour)
			synctest.Wait()
			check(t, &r)
		})
	})
	t.Run("tcp", func(t *testing.T) {
		// The first answer to a closed socket brings a reset, which fails the next.
		begun, gone := make(chan struct{}), make(chan struct{})
		first := true
		r := role{flush: func() {
			if first {
				first = false
				close(begun)
				<-gone
			}
		}}
		e := engine.New(r.config("SUB"))
		defer e.Close()
		bound, err := e.Listen(t.Context(), "tcp://127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(bound, "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		c := raw{conn, t}.shake("PUB")
		c.send(wire)
		<-begun
		c.Close()
		close(gone)
		eventually(t, "the end", func() bool { return len(r.endings()) == 1 })
		check(t, &r)
	})
}
