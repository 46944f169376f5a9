package pipe_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/pipe"
)

func TestListen(t *testing.T) {
	ctx := t.Context()
	name := t.Name()
	_, err := pipe.Dial(ctx, name)
	is(t, err, syscall.ECONNREFUSED)
	if _, err := pipe.Listen(""); err == nil {
		t.Fatal("an empty name was taken")
	}

	l, err := pipe.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = pipe.Listen(name)
	is(t, err, syscall.EADDRINUSE)
	if !strings.Contains(err.Error(), name) {
		t.Errorf("%v does not say which name", err)
	}
	other, err := pipe.Listen(name + "2")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()

	for i := range 3 {
		a, err := pipe.Dial(ctx, name)
		is(t, err, nil)
		b, err := l.Accept()
		is(t, err, nil)
		if x := fmt.Sprintf("%s#%d", name, i+1); a.LocalAddr().String() != x || b.RemoteAddr().String() != x || b.LocalAddr() != l.Addr() {
			t.Errorf("addresses %v, %v, %v", a.LocalAddr(), b.RemoteAddr(), b.LocalAddr())
		}
		a.Write([]byte("x"))
		want(t, b, "x")
		a.Close()
		is(t, read(b, 1), io.EOF)
	}

	is(t, l.Close(), nil)
	is(t, l.Close(), nil)
	_, err = l.Accept()
	is(t, err, net.ErrClosed)
	_, err = pipe.Dial(ctx, name)
	is(t, err, syscall.ECONNREFUSED)
	again, err := pipe.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // must not free the name of its successor
	if _, err = pipe.Dial(ctx, name); err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestListenClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := pipe.Listen(t.Name())
		if err != nil {
			t.Fatal(err)
		}
		accept := later(func() error { _, err := l.Accept(); return err })
		waiting(t, accept)
		l.Close()
		returned(t, accept, net.ErrClosed)

		l, _ = pipe.Listen(t.Name())
		c, err := pipe.Dial(t.Context(), t.Name())
		is(t, err, nil)
		r := later(func() error { return read(c, 1) })
		waiting(t, r)
		l.Close() // with c not accepted
		returned(t, r, io.EOF)
	})
}

func TestBacklog(t *testing.T) {
	const backlog = 128
	synctest.Test(t, func(t *testing.T) {
		l, err := pipe.Listen(t.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = pipe.Dial(ctx, t.Name())
		is(t, err, context.Canceled)
		for range backlog {
			_, err := pipe.Dial(t.Context(), t.Name())
			is(t, err, nil)
		}
		dial := func(ctx context.Context) func() error {
			return func() error { _, err := pipe.Dial(ctx, t.Name()); return err }
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		is(t, dial(ctx)(), context.DeadlineExceeded)
		if d := time.Since(start); d != time.Second {
			t.Fatalf("failed after %v", d)
		}
		first := later(dial(t.Context()))
		waiting(t, first)
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		returned(t, first, nil)
		second := later(dial(t.Context()))
		waiting(t, second)
		l.Close()
		returned(t, second, syscall.ECONNREFUSED)
	})
}

func ExampleDial() {
	l, _ := pipe.Listen("events")
	defer l.Close()
	c, _ := pipe.Dial(context.Background(), "events")
	s, _ := l.Accept()
	fmt.Fprint(c, "hello")
	c.Close()
	all, _ := io.ReadAll(s)
	fmt.Printf("%s from %v\n", all, s.RemoteAddr())

	_, err := pipe.Dial(context.Background(), "nobody")
	fmt.Println(err)
	// Output:
	// hello from events#1
	// dial inproc nobody: connection refused
}
