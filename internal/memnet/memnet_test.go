package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/memnet"
)

// pair is a connection from host "sub" to pub:5556.
type pair struct {
	*memnet.Network
	t        *testing.T
	l        net.Listener
	sub, pub net.Conn
}

const buffer = 4 << 10 // of a direction in these tests

func newPair(t *testing.T) *pair {
	t.Helper()
	n := memnet.New(memnet.Config{Seed: 1, Buffer: buffer})
	l, err := n.Listen(t.Context(), "tcp", "pub:5556")
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{Network: n, t: t, l: l}
	p.sub, p.pub = p.connect()
	return p
}

// connect makes another connection.
func (p *pair) connect() (sub, pub net.Conn) {
	p.t.Helper()
	sub, err := p.Host("sub").Dial(p.t.Context(), "tcp", "pub:5556")
	if err != nil {
		p.t.Fatal(err)
	}
	pub, err = p.l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	return sub, pub
}

// run runs a test in a bubble, which fails if a goroutine is left or all wait
// for ever.
func run(t *testing.T, f func(t *testing.T, p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		f(t, p)
		p.l.Close()
	})
}

// later starts f, lets it go as far as it can now, and returns where its error
// will come.
func later(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func waiting(t *testing.T, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatalf("returned %v, want it to wait", err)
	default:
	}
}

func returned(t *testing.T, done <-chan error, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		is(t, err, want)
	default:
		t.Fatalf("still waits, want it to return %v", want)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func read(c net.Conn) func() error {
	return func() error { _, err := c.Read(make([]byte, 1)); return err }
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d, %v", n, len(text), err)
	}
}

func want(t *testing.T, c net.Conn, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

// silent fails if c has something to read within a minute.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	is(t, read(c)(), os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Time{})
}

func took(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	if got := time.Since(start); got != d {
		t.Fatalf("took %v, want %v", got, d)
	}
}

func TestConnection(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		send(t, p.sub, "hello")
		want(t, p.pub, "hello")
		send(t, p.pub, "world")
		want(t, p.sub, "world")
		if a, b := p.sub.LocalAddr(), p.pub.RemoteAddr(); a.String() != "sub:49152" || a != b || a.Network() != "tcp" {
			t.Errorf("the dialler's address is %v, %v", a, b)
		}
		if a, b := p.sub.RemoteAddr(), p.pub.LocalAddr(); a.String() != "pub:5556" || a != b || a != p.l.Addr() {
			t.Errorf("the listener's address is %v, %v, %v", a, b, p.l.Addr())
		}
		big := bytes.Repeat([]byte("0123456789abcdef"), buffer)
		done := later(func() error { _, err := p.sub.Write(big); return err })
		waiting(t, done)
		want(t, p.pub, string(big))
		returned(t, done, nil)

		half, ok := p.sub.(interface{ CloseWrite() error })
		if !ok {
			t.Fatal("no CloseWrite")
		}
		send(t, p.sub, "question")
		is(t, half.CloseWrite(), nil)
		_, err := p.sub.Write([]byte("x"))
		is(t, err, syscall.EPIPE)
		want(t, p.pub, "question")
		is(t, read(p.pub)(), io.EOF)
		send(t, p.pub, "answer")
		is(t, p.pub.Close(), nil)
		is(t, p.pub.Close(), nil)
		want(t, p.sub, "answer")
		is(t, read(p.sub)(), io.EOF)
		is(t, read(p.pub)(), net.ErrClosed)
		is(t, p.sub.Close(), nil)
		is(t, half.CloseWrite(), net.ErrClosed)
		if list := p.Connections(); len(list) != 0 {
			t.Errorf("connections left: %v", list)
		}
	})
}

func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		n := memnet.New(memnet.Config{})
		for _, tt := range []struct {
			host, network, address string
			want                   string
			err                    error
		}{
			{"", "tcp", "127.0.0.1:0", "127.0.0.1:49152", nil},
			{"", "tcp4", ":0", "127.0.0.1:49153", nil},
			{"", "tcp", "*:5556", "127.0.0.1:5556", nil},
			{"", "tcp", "0.0.0.0:5556", "", syscall.EADDRINUSE},
			{"", "tcp", "a:05556", "a:5556", nil},
			{"a", "tcp6", "[::]:5556", "", syscall.EADDRINUSE},
			{"a", "tcp", "localhost:5557", "a:5557", nil},
			{"a", "tcp", "a:0", "a:49152", nil},
			{"a", "tcp", "b:1", "", syscall.EADDRNOTAVAIL},
			{"", "tcp", "[fe80::1]:1", "[fe80::1]:1", nil},
			{"", "unix", "/run/x", "/run/x", nil},
			{"", "unix", "/run/x", "", syscall.EADDRINUSE},
			{"", "inproc", "/run/x", "/run/x", nil},
			{"a", "unix", "/run/x", "/run/x", nil},
			{"", "unix", "", "", new(net.AddrError)},
			{"", "tcp", "nonsense", "", new(net.AddrError)},
			{"", "tcp", "a:65536", "", new(net.AddrError)},
			{"", "tcp", "a:http", "", new(net.AddrError)},
			{"", "udp", "a:1", "", net.UnknownNetworkError("udp")},
		} {
			listen := n.Listen
			if tt.host != "" {
				listen = n.Host(tt.host).Listen
			}
			l, err := listen(ctx, tt.network, tt.address)
			if _, ok := tt.err.(*net.AddrError); ok {
				if !errors.As(err, new(*net.AddrError)) {
					t.Errorf("%v: error %v, want a *net.AddrError", tt, err)
				}
			} else if !errors.Is(err, tt.err) {
				t.Errorf("%v: error %v", tt, err)
			} else if err == nil && l.Addr().String() != tt.want {
				t.Errorf("%v: address %v", tt, l.Addr())
			}
		}

		l, err := n.Listen(ctx, "tcp", "c:1")
		is(t, err, nil)
		accept := later(func() error { _, err := l.Accept(); return err })
		waiting(t, accept)
		is(t, l.Close(), nil)
		is(t, l.Close(), nil)
		returned(t, accept, net.ErrClosed)
		_, err = n.Dial(ctx, "tcp", "c:1")
		is(t, err, syscall.ECONNREFUSED)
		if _, ok := err.(*net.OpError); !ok {
			t.Errorf("%#v is no *net.OpError", err)
		}
		l, err = n.Listen(ctx, "tcp", "c:1") // again
		is(t, err, nil)
		c, err := n.Dial(ctx, "tcp", "c:1")
		is(t, err, nil)
		l.Close() // with c in its queue
		is(t, read(c)(), syscall.ECONNRESET)

		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err = n.Listen(ctx, "tcp", "c:1")
		is(t, err, context.Canceled)
		_, err = n.Dial(ctx, "tcp", "a:5556")
		is(t, err, context.Canceled)
		_, err = n.Dial(ctx, "udp", "a:5556")
		is(t, err, net.UnknownNetworkError("udp"))
	})
}

// TestLocal: unix and inproc addresses are known to their host only.
func TestLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		for _, network := range []string{"unix", "inproc"} {
			l, err := n.Host("a").Listen(t.Context(), network, "events")
			is(t, err, nil)
			_, err = n.Dial(t.Context(), network, "events")
			is(t, err, syscall.ECONNREFUSED)
			c, err := n.Host("a").Dial(t.Context(), network, "events")
			is(t, err, nil)
			s, err := l.Accept()
			is(t, err, nil)
			v, fast := c.(interface {
				WriteBuffers(net.Buffers) (int64, error)
				TryWrite([]byte) (int, error)
			})
			if fast != (network == "inproc") {
				t.Fatalf("%s has the fast methods: %v", network, fast)
			}
			if fast {
				v.WriteBuffers(net.Buffers{[]byte("a"), []byte("b")})
				v.TryWrite([]byte("c"))
				want(t, s, "abc")
			}
			n.Path("events", "*").Stall()
			send(t, s, "x")
			silent(t, c)
			n.Heal()
			want(t, c, "x")
			c.Close()
			s.Close()
			l.Close()
		}
	})
}

func TestConnections(t *testing.T) {
	run(t, func(t *testing.T, p *pair) {
		c, s := p.connect()
		defer c.Close()
		defer s.Close()
		p.Path("pub", "sub:49153").Stall()
		send(t, p.sub, "123")
		want(t, p.pub, "1")
		send(t, s, "12345")
		want := []memnet.Connection{
			{Dialler: "sub:49152", Listener: "pub:5556", Up: memnet.Traffic{Written: 3, Delivered: 3, Read: 1}},
			{Dialler: "sub:49153", Listener: "pub:5556", Down: memnet.Traffic{Written: 5}},
		}
		if got := p.Connections(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("connections are %v, want %v", got, want)
		}
		p.sub.Close()
		if got := p.Connections(); len(got) != 2 {
			t.Errorf("connections are %v after one end has closed", got)
		}
		p.pub.Close()
		if got := p.Connections(); len(got) != 1 || got[0].Dialler != "sub:49153" {
			t.Errorf("connections are %v after both ends have closed", got)
		}
	})
}

func Example() {
	ctx := context.Background()
	n := memnet.New(memnet.Config{})
	l, _ := n.Listen(ctx, "tcp", "pub:5556")
	sub, err := n.Host("sub").Dial(ctx, "tcp", "pub:5556")
	if err != nil {
		fmt.Println(err)
		return
	}
	pub, _ := l.Accept()

	n.Link("sub", "pub").Stall() // the silent cable: no error at either end
	fmt.Fprint(pub, "beat")
	for _, c := range n.Connections() {
		fmt.Printf("%s -> %s: %d written, %d delivered\n", c.Listener, c.Dialler, c.Down.Written, c.Down.Delivered)
	}

	n.Heal()
	buf := make([]byte, 10)
	k, err := sub.Read(buf)
	fmt.Printf("%q %v\n", buf[:k], err)

	n.Path("pub", "*").CutAfter(4 + 2) // two bytes of what comes next
	fmt.Fprint(pub, "beat")
	k, err = sub.Read(buf)
	fmt.Printf("%q %v\n", buf[:k], err)
	_, err = sub.Read(buf)
	fmt.Println(err)

	l.Close()
	_, err = n.Dial(ctx, "tcp", "pub:5556")
	fmt.Println(err)
	// Output:
	// pub:5556 -> sub:49152: 4 written, 0 delivered
	// "beat" <nil>
	// "be" <nil>
	// read tcp sub:49152->pub:5556: connection reset by peer
	// dial tcp pub:5556: connect: connection refused
}
