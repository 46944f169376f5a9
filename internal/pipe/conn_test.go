package pipe_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/pipe"
)

const size = 8 << 10 // of a direction in these tests

func newConn() (a, b *pipe.Conn) { return pipe.New(pipe.Addr("a"), pipe.Addr("b"), size) }

// later starts f, waits until it cannot go on, and returns where its error will come.
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
	if _, ok := err.(*net.OpError); err != nil && err != io.EOF && !ok {
		t.Fatalf("error %#v, want a *net.OpError", err)
	}
}

func write(c net.Conn, n int) error { _, err := c.Write(make([]byte, n)); return err }
func read(c net.Conn, n int) error  { _, err := c.Read(make([]byte, n)); return err }

// want reads exactly text from c.
func want(t *testing.T, c net.Conn, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

func TestConn(t *testing.T) {
	tests := []struct {
		name string
		test func(t *testing.T, a, b *pipe.Conn)
	}{
		{"a write does not wait for a reader", func(t *testing.T, a, b *pipe.Conn) {
			is(t, write(a, size), nil)
			is(t, write(b, size), nil)
		}},
		{"a read takes all there is, up to len(p)", func(t *testing.T, a, b *pipe.Conn) {
			a.Write([]byte("one"))
			a.Write([]byte("two"))
			buf := make([]byte, 5)
			if n, err := b.Read(buf); n != 5 || err != nil || string(buf) != "onetw" {
				t.Fatalf("read %d bytes %q, %v", n, buf, err)
			}
			if n, err := b.Read(buf); n != 1 || err != nil || buf[0] != 'o' {
				t.Fatalf("read %d bytes %q, %v", n, buf, err)
			}
		}},
		{"a read waits for a write", func(t *testing.T, a, b *pipe.Conn) {
			done := later(func() error { return read(b, 10) })
			waiting(t, done)
			is(t, write(a, 1), nil)
			returned(t, done, nil)
		}},
		{"a full buffer makes a write wait", func(t *testing.T, a, b *pipe.Conn) {
			done := later(func() error { return write(a, 3*size) })
			for range 2 {
				waiting(t, done)
				_, err := io.ReadFull(b, make([]byte, size))
				is(t, err, nil)
			}
			returned(t, done, nil)
		}},
		{"empty reads and writes", func(t *testing.T, a, b *pipe.Conn) {
			is(t, read(a, 0), nil)
			is(t, write(a, size), nil)
			is(t, write(a, 0), nil)
			b.Close()
			is(t, write(a, 0), syscall.EPIPE)
			a.Close()
			is(t, write(a, 0), net.ErrClosed)
			is(t, read(a, 0), net.ErrClosed)
		}},
		{"vectors", func(t *testing.T, a, b *pipe.Conn) {
			bufs := net.Buffers{[]byte("to"), nil, []byte("get"), {}, []byte("her")}
			if n, err := a.WriteBuffers(bufs); n != 8 || err != nil {
				t.Fatalf("wrote %d, %v", n, err)
			}
			if len(bufs) != 5 || string(bufs[4]) != "her" {
				t.Fatalf("bufs has become %q", bufs)
			}
			want(t, b, "together")
			if n, err := a.WriteBuffers(nil); n != 0 || err != nil {
				t.Fatalf("wrote %d of nothing, %v", n, err)
			}
		}},
		{"TryWrite takes what fits", func(t *testing.T, a, b *pipe.Conn) {
			p := make([]byte, size-10)
			for _, fits := range []int{size - 10, 10, 0, 0} {
				if n, err := a.TryWrite(p); n != fits || err != nil {
					t.Fatalf("took %d, %v, want %d", n, err, fits)
				}
			}
			is(t, read(b, 7), nil)
			if n, err := a.TryWrite(p); n != 7 || err != nil {
				t.Fatalf("took %d, %v, want 7", n, err)
			}
			a.SetWriteDeadline(time.Now().Add(-1))
			is(t, read(b, 1), nil)
			if n, err := a.TryWrite(p); n != 1 || err != nil {
				t.Fatalf("took %d, %v, want 1 in spite of the deadline", n, err)
			}
			b.Close()
			_, err := a.TryWrite(p)
			is(t, err, syscall.EPIPE)
		}},
		{"TryWrite takes nothing amid another write", func(t *testing.T, a, b *pipe.Conn) {
			done := later(func() error { return write(a, 2*size) })
			is(t, read(b, 10), nil) // room, but not enough to wake the writer for
			waiting(t, done)
			if n, err := a.TryWrite([]byte("x")); n != 0 || err != nil {
				t.Fatalf("took %d, %v", n, err)
			}
			io.ReadFull(b, make([]byte, size))
			returned(t, done, nil)
		}},
		{"the peer reads what was written before Close", func(t *testing.T, a, b *pipe.Conn) {
			a.Write([]byte("goodbye"))
			is(t, a.Close(), nil)
			want(t, b, "goodbye")
			is(t, read(b, 1), io.EOF)
			is(t, read(b, 1), io.EOF)
		}},
		{"Close is idempotent, and ends all use", func(t *testing.T, a, b *pipe.Conn) {
			b.Write([]byte("unread"))
			is(t, a.Close(), nil)
			is(t, a.Close(), nil)
			is(t, read(a, 1), net.ErrClosed)
			is(t, write(a, 1), net.ErrClosed)
			is(t, a.CloseWrite(), net.ErrClosed)
			is(t, a.SetDeadline(time.Now()), net.ErrClosed)
			is(t, b.Close(), nil)
			is(t, read(a, 1), net.ErrClosed)
			is(t, write(a, 1), net.ErrClosed)
			is(t, write(b, 1), net.ErrClosed)
		}},
		{"a write after the peer's Close", func(t *testing.T, a, b *pipe.Conn) {
			b.Close()
			is(t, write(a, 1), syscall.EPIPE)
			is(t, read(a, 1), io.EOF)
		}},
		{"Close wakes its own side", func(t *testing.T, a, b *pipe.Conn) {
			r := later(func() error { return read(a, 1) })
			w := later(func() error { return write(a, 2*size) })
			w2 := later(func() error { return write(a, 1) })
			waiting(t, r)
			waiting(t, w)
			waiting(t, w2)
			a.Close()
			returned(t, r, net.ErrClosed)
			returned(t, w, net.ErrClosed)
			returned(t, w2, net.ErrClosed)
		}},
		{"Close wakes the peer", func(t *testing.T, a, b *pipe.Conn) {
			r := later(func() error { return read(b, 1) })
			w := later(func() error { return write(b, 2*size) })
			waiting(t, r)
			waiting(t, w)
			a.Close()
			returned(t, r, io.EOF)
			returned(t, w, syscall.EPIPE)
		}},
		{"CloseWrite is a half close", func(t *testing.T, a, b *pipe.Conn) {
			a.Write([]byte("question"))
			is(t, a.CloseWrite(), nil)
			is(t, write(a, 1), syscall.EPIPE)
			want(t, b, "question")
			is(t, read(b, 1), io.EOF)
			b.Write([]byte("answer"))
			want(t, a, "answer")
			b.Close()
			is(t, read(a, 1), io.EOF)
		}},
		{"CloseWrite wakes the reader", func(t *testing.T, a, b *pipe.Conn) {
			r := later(func() error { return read(b, 1) })
			a.CloseWrite()
			returned(t, r, io.EOF)
		}},
		{"a deadline in the past", func(t *testing.T, a, b *pipe.Conn) {
			b.Write([]byte("x"))
			is(t, a.SetDeadline(time.Now().Add(-time.Hour)), nil)
			err := read(a, 1)
			is(t, err, os.ErrDeadlineExceeded)
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
				t.Fatalf("%v is no timeout", err)
			}
			is(t, write(a, 1), os.ErrDeadlineExceeded)
			is(t, a.SetDeadline(time.Time{}), nil)
			want(t, a, "x")
			is(t, write(a, 1), nil)
		}},
		{"a deadline in the future", func(t *testing.T, a, b *pipe.Conn) {
			start := time.Now()
			a.SetReadDeadline(start.Add(2 * time.Second))
			a.SetWriteDeadline(start.Add(time.Second))
			n, err := a.Write(make([]byte, size+1))
			is(t, err, os.ErrDeadlineExceeded)
			if n != size || time.Since(start) != time.Second {
				t.Fatalf("wrote %d after %v", n, time.Since(start))
			}
			is(t, read(a, 1), os.ErrDeadlineExceeded)
			if d := time.Since(start); d != 2*time.Second {
				t.Fatalf("read failed after %v", d)
			}
		}},
		{"a deadline moved while calls wait", func(t *testing.T, a, b *pipe.Conn) {
			start := time.Now()
			a.SetDeadline(start.Add(time.Hour))
			r := later(func() error { return read(a, 1) })
			w := later(func() error { return write(a, size+1) })
			w2 := later(func() error { return write(a, 1) })
			a.SetDeadline(start.Add(2 * time.Hour))
			time.Sleep(90 * time.Minute)
			waiting(t, r)
			a.SetDeadline(start.Add(100 * time.Minute))
			is(t, <-r, os.ErrDeadlineExceeded)
			is(t, <-w, os.ErrDeadlineExceeded)
			is(t, <-w2, os.ErrDeadlineExceeded)
			if d := time.Since(start); d != 100*time.Minute {
				t.Fatalf("failed after %v", d)
			}
			r = later(func() error { a.SetDeadline(time.Time{}); return read(a, 1) })
			time.Sleep(1000 * time.Hour)
			waiting(t, r)
			a.SetReadDeadline(time.Now())
			returned(t, r, os.ErrDeadlineExceeded)
		}},
		{"a far deadline does not overflow", func(t *testing.T, a, b *pipe.Conn) {
			a.SetReadDeadline(time.Unix(1<<40, 0))
			r := later(func() error { return read(a, 1) })
			waiting(t, r)
			b.Write([]byte("x"))
			returned(t, r, nil)
		}},
		{"deadlines of the two ends are apart", func(t *testing.T, a, b *pipe.Conn) {
			a.SetDeadline(time.Now().Add(-1))
			is(t, write(b, 1), nil)
			r := later(func() error { return read(b, 1) })
			waiting(t, r)
			b.Close()
			returned(t, r, net.ErrClosed)
		}},
		{"addresses", func(t *testing.T, a, b *pipe.Conn) {
			if a.LocalAddr() != pipe.Addr("a") || a.RemoteAddr() != pipe.Addr("b") ||
				b.LocalAddr() != a.RemoteAddr() || b.RemoteAddr() != a.LocalAddr() ||
				a.LocalAddr().Network() != "inproc" {
				t.Fatal(a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newConn()
				defer b.Close()
				defer a.Close()
				tt.test(t, a, b)
			})
		})
	}
}

// TestIntegrity moves random bytes in random pieces, both ways at once.
func TestIntegrity(t *testing.T) {
	a, b := pipe.New(pipe.Addr("a"), pipe.Addr("b"), 100_000) // no power of two
	var wg sync.WaitGroup
	for seed, ends := range [][2]*pipe.Conn{{a, b}, {b, a}} {
		data := make([]byte, 1<<20)
		rng := rand.New(rand.NewPCG(uint64(seed), 0))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		wg.Go(func() {
			defer ends[0].CloseWrite()
			for rest := data; len(rest) > 0; {
				p := rest[:rng.IntN(min(len(rest), 1<<rng.IntN(19)))+1]
				var n int
				var err error
				switch rng.IntN(3) {
				case 0:
					n, err = ends[0].Write(p)
				case 1:
					cut := rng.IntN(len(p) + 1)
					var n64 int64
					n64, err = ends[0].WriteBuffers(net.Buffers{p[:cut], p[cut:]})
					n = int(n64)
				case 2:
					n, err = ends[0].TryWrite(p)
				}
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			var got []byte
			for {
				p := make([]byte, 1+rng.IntN(1<<rng.IntN(18)))
				n, err := ends[1].Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			if !bytes.Equal(got, data) {
				t.Errorf("direction %d: %d bytes were not as written", seed, len(got))
			}
		})
	}
	wg.Wait()
}

// TestConcurrent has several writers and several readers on one direction: each
// Write, larger than the buffer, comes out whole, and no byte twice.
func TestConcurrent(t *testing.T) {
	const writers, rounds, block = 4, 20, 3 * size
	a, b := newConn()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte(w)}, block)
			for range rounds {
				if _, err := a.Write(p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { wg.Wait(); a.Close() }()
	all, err := io.ReadAll(b)
	if err != nil || len(all) != writers*rounds*block {
		t.Fatalf("read %d bytes, %v", len(all), err)
	}
	for piece := range slices.Chunk(all, block) {
		if bytes.Count(piece, piece[:1]) != block {
			t.Fatal("a write was not whole")
		}
	}

	a, b = newConn()
	counts := make(chan [256]int, 3)
	for range cap(counts) {
		go func() {
			var count [256]int
			p := make([]byte, size)
			for {
				n, err := b.Read(p)
				for _, c := range p[:n] {
					count[c]++
				}
				if err != nil {
					counts <- count
					return
				}
			}
		}()
	}
	for i := range 256 {
		a.Write(bytes.Repeat([]byte{byte(i)}, 1000+i))
	}
	a.Close()
	var sum [256]int
	for range cap(counts) {
		for i, n := range <-counts {
			sum[i] += n
		}
	}
	for i, n := range sum {
		if n != 1000+i {
			t.Fatalf("byte %d was read %d times, want %d", i, n, 1000+i)
		}
	}
}

// TestConcurrentClose closes both ends amid everything else that can be done.
func TestConcurrentClose(t *testing.T) {
	for range 200 {
		a, b := newConn()
		var wg sync.WaitGroup
		for _, c := range []*pipe.Conn{a, b} {
			wg.Go(func() {
				for write(c, size/2) == nil {
				}
			})
			wg.Go(func() {
				for read(c, size) == nil {
				}
			})
			wg.Go(func() { c.SetDeadline(time.Now().Add(time.Minute)) })
			wg.Go(func() { c.CloseWrite() })
			wg.Go(func() { c.Close() })
		}
		wg.Wait()
	}
}

func TestAllocs(t *testing.T) {
	a, b := newConn()
	small, large := make([]byte, 100), make([]byte, size/2)
	bufs := net.Buffers{small, large}
	buf := make([]byte, size)
	n := testing.AllocsPerRun(1000, func() {
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		b.SetReadDeadline(time.Now().Add(time.Minute))
		a.Write(small)
		a.TryWrite(large)
		b.Read(buf)
		a.WriteBuffers(bufs)
		b.Read(buf)
	})
	if n != 0 {
		t.Errorf("%v allocations per round", n)
	}
}

func ExampleNew() {
	a, b := pipe.New(pipe.Addr("here"), pipe.Addr("there"), 0)
	a.Write([]byte("hello, "))
	a.Write([]byte("world"))
	a.Close()
	all, err := io.ReadAll(b)
	fmt.Printf("%s %v\n", all, err)
	_, err = b.Write([]byte("anyone?"))
	fmt.Println(err)
	// Output:
	// hello, world <nil>
	// write inproc there->here: broken pipe
}
