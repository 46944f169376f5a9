package pipe_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/heraldbus/herald/internal/pipe"
)

// drain reads everything from c, in chunks as large as the engine's.
func drain(c net.Conn) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	return done
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, y := pipe.New(pipe.Addr("x"), pipe.Addr("y"), 0)
			done := drain(y)
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			x.Close()
			<-done
		})
	}
}

func BenchmarkWriteBuffers(b *testing.B) {
	x, y := pipe.New(pipe.Addr("x"), pipe.Addr("y"), 0)
	done := drain(y)
	bufs := make(net.Buffers, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<10)
	}
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.WriteBuffers(bufs); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
	<-done
}

// BenchmarkCopy is one goroutine that writes and reads: the cost without waking.
func BenchmarkCopy(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, y := pipe.New(pipe.Addr("x"), pipe.Addr("y"), 0)
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				x.TryWrite(p)
				if _, err := io.ReadFull(y, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	x, y := pipe.New(pipe.Addr("x"), pipe.Addr("y"), 0)
	go io.Copy(y, y)
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		x.Write(p)
		if _, err := io.ReadFull(x, p); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
}
