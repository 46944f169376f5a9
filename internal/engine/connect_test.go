package engine_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/internal/zmtp"
)

// A handshake gets HandshakeTimeout, however busy the peer keeps it, in either role.
func TestHandshakeDeadline(t *testing.T) {
	cause := func(t *testing.T, r *role, want zmtp.Cause) {
		t.Helper()
		var err *zmtp.HandshakeError
		if f := r.failures; len(f) == 0 || !errors.As(f[0].err, &err) || err.Cause != want {
			t.Errorf("failures %q, want cause %s", r.causes(), want)
		}
	}
	for name, say := range map[string]func(c raw){
		"silent": func(raw) {},
		"slow": func(c raw) {
			for _, b := range hello("SUB") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
	} {
		t.Run("in "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *memnet.Network) {
				var r role
				listen(t, start(t, n, "srv", r.config("PUB")), srv)
				c := connect(t, n, "cli")
				began := time.Now()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { say(c) })
				c.closed()
				if d := time.Since(began); d != 5*time.Second {
					t.Errorf("closed after %v, want 5s", d)
				}
				synctest.Wait()
				cause(t, &r, zmtp.CauseTimeout)
			})
		})
	}
	t.Run("out", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *memnet.Network) {
			l, err := n.Host("srv").Listen(context.Background(), "tcp", "srv:5556")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var r role
			dial(t, start(t, n, "cli", r.config("SUB")), srv)
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			began := time.Now()
			raw{c, t}.closed()
			if d := time.Since(began); d != 5*time.Second {
				t.Errorf("closed after %v, want 5s", d)
			}
			synctest.Wait()
			cause(t, &r, zmtp.CauseTimeout)
		})
	})
}

// Silent connections keep nobody out: the oldest makes way.
func TestEviction(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		cfg := r.config("PUB")
		cfg.MaxHandshakes = 10
		listen(t, start(t, n, "srv", cfg), srv)
		began := time.Now()
		var silent []raw
		for range 200 {
			silent = append(silent, connect(t, n, "cli"))
		}
		connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		if len(r.peers) != 1 || time.Since(began) != 0 {
			t.Errorf("%d peers after %v, want the honest one at once", len(r.peers), time.Since(began))
		}
		if len(r.failures) != 191 || !errors.Is(r.failures[0].err, engine.ErrHandshakes) {
			t.Errorf("%d failures, want 191 of ErrHandshakes: %.300q", len(r.failures), r.causes())
		}
		for i, c := range silent[:191] {
			c.SetReadDeadline(time.Now().Add(time.Second))
			c.closed()
			if time.Since(began) != 0 {
				t.Fatalf("connection %d of 191 that made way is open", i)
			}
			c.Close()
		}
		if n := len(n.Connections()); n != 10 {
			t.Errorf("%d connections, want 9 silent ones and the honest one", n)
		}
	})
}

// The limit on connections counts handshakes, and refuses only when nobody is in one.
func TestMaxPeers(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		cfg := r.config("PUB")
		cfg.MaxPeers = 3
		listen(t, start(t, n, "srv", cfg), srv)
		a := connect(t, n, "cli").shake("SUB")
		connect(t, n, "cli").shake("SUB")
		silent := connect(t, n, "cli")
		synctest.Wait()
		connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		if len(r.peers) != 3 || silent.closed() != 64 {
			t.Fatalf("%d peers, want 3, for one of whom the silent connection made way", len(r.peers))
		}
		if sent := connect(t, n, "cli").closed(); sent != 0 {
			t.Errorf("a connection too many got %d bytes", sent)
		}
		synctest.Wait()
		if n := len(r.failures); n != 2 || !errors.Is(r.failures[0].err, engine.ErrHandshakes) || !errors.Is(r.failures[1].err, engine.ErrTooManyPeers) {
			t.Errorf("failures %q", r.causes())
		}
		a.Close()
		synctest.Wait()
		connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		if len(r.peers) != 4 {
			t.Error("a place that became free is not given")
		}
	})
}

// A dialer goes on for ever, with pauses that double up to the longest, and begins
// again with the shortest after a connection that held.
func TestRedial(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var cli role
		e := start(t, n, "cli", cli.config("SUB"))
		d := dial(t, e, srv)
		if d.Endpoint() != srv {
			t.Errorf("endpoint %s", d.Endpoint())
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		fails := cli.failures
		if len(fails) < 24*3600/5 {
			t.Fatalf("%d attempts in 24 hours", len(fails))
		}
		most := 100 * time.Millisecond
		for i := 1; i < len(fails); i++ {
			if gap := fails[i].at.Sub(fails[i-1].at); gap < most/2 || gap > most {
				t.Fatalf("%v between attempts %d and %d, want %v to %v", gap, i, i+1, most/2, most)
			}
			most = min(2*most, 5*time.Second)
		}
		if err := fails[0].err; err.Op != "dial" || err.Endpoint != srv || !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), srv) {
			t.Errorf("failed with %v", err)
		}

		var pub role
		s := start(t, n, "srv", pub.config("PUB"))
		listen(t, s, srv)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(cli.peers) != 1 {
			t.Fatal("not connected though there is somebody now")
		}
		time.Sleep(time.Second)
		failed := len(cli.failures)
		n.Link("cli", "srv").Cut()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(cli.peers) != 2 || len(cli.failures) != failed || !errors.Is(cli.ends[0], syscall.ECONNRESET) {
			t.Errorf("%d peers, ends %v: not connected again at once after a cut", len(cli.peers), cli.ends)
		}
	})
}

// Somebody who takes connections and drops them is not dialled in a hot loop.
func TestFlappingPeer(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var cli, pub role
		pub.opened = func(p *engine.Peer) { p.Close(errors.New("flap")) }
		listen(t, start(t, n, "srv", pub.config("PUB")), srv)
		dial(t, start(t, n, "cli", cli.config("SUB")), srv)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(pub.peers); n < 720 || n > 1500 {
			t.Errorf("%d connections in an hour, want one in 2.5 to 5 s", n)
		}
	})
}

// After StopListening nobody is accepted or dialled any more, and peers stay.
func TestStopListening(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var in, out role
		a, b := start(t, n, "srv", in.config("PUB")), start(t, n, "cli", out.config("SUB"))
		listen(t, a, srv)
		dial(t, b, srv)
		dial(t, b, "tcp://nobody:1")
		time.Sleep(10 * time.Second)
		a.StopListening()
		b.StopListening()
		synctest.Wait()
		failed := len(out.failures)
		if len(a.Peers()) != 1 || len(b.Peers()) != 1 {
			t.Fatal("the peers did not stay")
		}
		if _, err := n.Dial(context.Background(), "tcp", "srv:5556"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialled a closed listener: %v", err)
		}
		n.Link("srv", "cli").Cut()
		time.Sleep(time.Minute)
		if len(b.Peers()) != 0 || len(out.peers) != 1 || len(out.failures) != failed {
			t.Errorf("dialled on: %d peers, %d failures", len(out.peers), len(out.failures)-failed)
		}
	})
}

// Close ends what hangs: a handshake in and out, a dial, a pause, a writer whose peer
// does not read. Nobody is told of failures that are its own doing.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		e := start(t, n, "srv", r.config("PUB"))
		listen(t, e, srv)
		connect(t, n, "cli") // silent
		deaf := connect(t, n, "cli").shake("SUB")
		l, err := n.Host("mute").Listen(context.Background(), "tcp", "mute:1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial(t, e, "tcp://mute:1")
		n.Link("srv", "far").Stall()
		dial(t, e, "tcp://far:1")
		dial(t, e, "tcp://nobody:1")
		synctest.Wait()
		for range 10 {
			send(e, r.peers[0], strings.Repeat("x", 100_000))
		}
		synctest.Wait()
		if s := r.peers[0].Out.Stats(); s.SentMessages == 10 {
			t.Fatal("the peer's buffer is too large for this test")
		}
		failed := len(r.failures) // of the one dial that was refused
		began := time.Now()
		e.Close()
		if d := time.Since(began); d != 0 {
			t.Errorf("Close took %v", d)
		}
		if len(r.failures) != failed || failed != 1 {
			t.Errorf("failures %q", r.causes())
		}
		if len(r.ends) != 1 || !errors.Is(r.ends[0], engine.ErrClosed) || !errors.Is(r.peers[0].Err(), engine.ErrClosed) {
			t.Errorf("the peer ended with %v", r.ends)
		}
		<-r.peers[0].Done()
		if s := r.peers[0].Out.Stats(); s.SentMessages+s.DroppedMessages != 10 {
			t.Errorf("%+v: not everything is accounted for", s)
		}
		if len(e.Peers()) != 0 {
			t.Error("there are peers after Close")
		}
		deaf.closed()
		if _, err := n.Dial(context.Background(), "tcp", "srv:5556"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialled after Close: %v", err)
		}
	})
}

// A peer that the handshake shows to be no match is refused with the reason, and its
// connection closed.
func TestRefusedHandshake(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var r role
		listen(t, start(t, n, "srv", r.config("PUB")), srv)
		for i, tt := range []struct {
			say   []byte
			cause zmtp.Cause
		}{
			{hello("PUB"), zmtp.CauseSocketType},
			{[]byte("GET / HTTP/1.1\r\n\r\n"), zmtp.CauseNotZMTP},
			{append(hello("SUB")[:64], zmtp.AppendCommand(nil, "HELLO", nil)...), zmtp.CauseMalformed},
		} {
			c := connect(t, n, "cli")
			c.send(tt.say)
			c.closed()
			c.Close()
			synctest.Wait()
			var err *zmtp.HandshakeError
			if len(r.failures) != i+1 || !errors.As(r.failures[i].err, &err) || err.Cause != tt.cause {
				t.Errorf("%.20q: failures %q, want %s", tt.say, r.causes(), tt.cause)
			} else if f := r.failures[i].err; f.Op != "handshake" || f.Remote == "" || f.Endpoint != srv {
				t.Errorf("%.20q: failed with %+v", tt.say, f)
			}
		}
		if len(r.peers) > 0 || len(n.Connections()) > 0 {
			t.Errorf("%d peers, %d connections are left", len(r.peers), len(n.Connections()))
		}
	})
}

// poorListener accepts only while it can, and counts what is open.
type poorListener struct {
	net.Listener
	err   error // while it cannot
	able  func(open int) bool
	tries []time.Time // in vain
	open  atomic.Int32
}

func (l *poorListener) Accept() (net.Conn, error) {
	if !l.able(int(l.open.Load())) {
		l.tries = append(l.tries, time.Now())
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: l.err}
	}
	c, err := l.Listener.Accept()
	if err == nil {
		l.open.Add(1)
		c = &countedConn{Conn: c, open: &l.open}
	}
	return c, err
}

type countedConn struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// A listener that cannot accept tries on with pauses, and recovers.
func TestAcceptBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		var recovered atomic.Bool
		l := &poorListener{err: syscall.ENOBUFS, able: func(int) bool { return recovered.Load() }}
		var r role
		e := startPoor(t, n, &r, l)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		most := 5 * time.Millisecond
		for i := 1; i < len(l.tries); i++ {
			if gap := l.tries[i].Sub(l.tries[i-1]); gap < most/2 || gap > most {
				t.Fatalf("%v between attempts %d and %d, want %v to %v", gap, i, i+1, most/2, most)
			}
			most = min(2*most, time.Second)
		}
		if f := r.failures; len(f) != len(l.tries) || f[0].err.Op != "accept" || !errors.Is(f[0].err, syscall.ENOBUFS) {
			t.Errorf("%d failures of %d attempts: %.200q", len(f), len(l.tries), r.causes())
		}
		recovered.Store(true)
		connect(t, n, "cli").shake("SUB")
		synctest.Wait()
		if len(e.Peers()) != 1 {
			t.Error("nobody is accepted after recovery")
		}
	})
}

// Out of file descriptors, silent connections give theirs to whoever comes next.
func TestAcceptWithoutDescriptors(t *testing.T) {
	bubble(t, func(t *testing.T, n *memnet.Network) {
		l := &poorListener{err: syscall.EMFILE, able: func(open int) bool { return open < 10 }}
		var r role
		startPoor(t, n, &r, l)
		began := time.Now()
		for range 10 {
			connect(t, n, "cli")
		}
		connect(t, n, "cli").shake("SUB")
		if d := time.Since(began); d > 20*time.Millisecond {
			t.Errorf("served after %v", d)
		}
		synctest.Wait()
		if len(r.peers) != 1 || l.open.Load() != 9 {
			t.Errorf("%d peers, %d connections; want 1 of 9, and the descriptor of one more", len(r.peers), l.open.Load())
		}
	})
}

// startPoor listens at the server with l in front of the real listener.
func startPoor(t *testing.T, n *memnet.Network, r *role, l *poorListener) *engine.Engine {
	t.Helper()
	cfg := r.config("PUB")
	cfg.Network.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		under, err := n.Host("srv").Listen(ctx, network, address)
		l.Listener = under
		return l, err
	}
	e := engine.New(cfg)
	t.Cleanup(e.Close)
	listen(t, e, srv)
	return e
}
