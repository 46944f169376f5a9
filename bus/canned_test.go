package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heraldbus/herald/internal/zmtp"
)

// canned is a connection whose other side has said everything beforehand: a
// handshake and a few messages, and then, if there is a reel, events without end. It
// takes whatever is written to it.
type canned struct {
	in      []byte
	reel    *reel // nil: it falls silent
	closed  chan struct{}
	once    sync.Once
	written atomic.Int64
}

// newCanned makes one whose other side is a socket of the type given.
func newCanned(socket string, in []byte, r *reel) *canned {
	hello := make([]byte, 64) // RFC 23, greeting
	hello[0], hello[9], hello[10] = 0xff, 0x7f, 3
	copy(hello[12:], "NULL")
	ready := fmt.Sprintf("\x0bSocket-Type\x00\x00\x00%c%s", rune(len(socket)), socket)
	return &canned{in: append(zmtp.AppendCommand(hello, "READY", []byte(ready)), in...), reel: r, closed: make(chan struct{})}
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.in) > 0 {
		n := copy(p, c.in)
		c.in = c.in[n:]
		return n, nil
	}
	if c.reel == nil {
		<-c.closed
		return 0, io.EOF
	}
	select {
	case <-c.closed:
		return 0, io.EOF
	default:
		return c.reel.read(p), nil
	}
}

func (c *canned) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return len(p), nil
}

func (c *canned) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *canned) LocalAddr() net.Addr              { return cannedAddr("here") }
func (c *canned) RemoteAddr() net.Addr             { return cannedAddr("there") }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// prompt is a canned connection that can be written to without waiting, as a socket.
type prompt struct{ *canned }

func (p prompt) TryWrite(b []byte) (int, error) { return p.Write(b) }

type cannedAddr string

func (cannedAddr) Network() string  { return "canned" }
func (a cannedAddr) String() string { return string(a) }

// reel is a series of encoded events that is played again and again, with seqs that
// go on.
type reel struct {
	bytes  []byte
	metas  []int // where they begin
	at     int
	topics uint64
	seq    uint64
}

// newReel makes one of n events on so many topics in turn.
func newReel(n, topics, size int) *reel {
	r := &reel{topics: uint64(topics)}
	for i := range n {
		m := make([]byte, metaSize)
		putMeta(m, 0, 7, 0, 0, time.Now().UnixNano())
		r.bytes = zmtp.AppendMessage(r.bytes, fmt.Appendf(nil, "topic.%06d", i%topics), make([]byte, size), m)
		r.metas = append(r.metas, len(r.bytes)-metaSize)
	}
	r.rewind()
	return r
}

func (r *reel) rewind() {
	r.at = 0
	for _, m := range r.metas {
		r.seq++
		binary.BigEndian.PutUint64(r.bytes[m+12:], r.seq)
		if r.seq > r.topics {
			binary.BigEndian.PutUint64(r.bytes[m+20:], r.seq-r.topics)
		}
	}
}

func (r *reel) read(p []byte) int {
	if r.at == len(r.bytes) {
		r.rewind()
	}
	n := copy(p, r.bytes[r.at:])
	r.at += n
	return n
}

// cannedNetwork makes connections out of a function, which is told the how many-th
// it is; nil: no more.
func cannedNetwork(next func(i int) net.Conn) Network {
	l := &cannedListener{next: next, closed: make(chan struct{})}
	return Network{
		Dial: func(context.Context, string, string) (net.Conn, error) {
			if c := l.take(); c != nil {
				return c, nil
			}
			return nil, errors.New("no more connections")
		},
		Listen: func(context.Context, string, string) (net.Listener, error) { return l, nil },
	}
}

type cannedListener struct {
	next   func(i int) net.Conn
	n      int
	mu     sync.Mutex
	once   sync.Once
	closed chan struct{}
}

func (l *cannedListener) take() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return l.next(l.n - 1)
}

func (l *cannedListener) Accept() (net.Conn, error) {
	if c := l.take(); c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *cannedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *cannedListener) Addr() net.Addr { return cannedAddr("here:1") }

// cannedPublisher is a publisher whose peers take everything: so many, each with the
// subscriptions given. Their connections are as sockets if tryWrite is set.
func cannedPublisher(tb testing.TB, peers int, prefixes []string, tryWrite bool, cfg PublisherConfig) *Publisher {
	tb.Helper()
	var subs []byte
	for _, p := range prefixes {
		subs = zmtp.AppendSubscribe(subs, []byte(p))
	}
	cfg.Network = cannedNetwork(func(i int) net.Conn {
		if i >= peers {
			return nil
		}
		c := newCanned("SUB", subs, nil)
		if tryWrite {
			return prompt{c}
		}
		return c
	})
	cfg.Bind = []string{"tcp://127.0.0.1:1"}
	cfg.Heartbeat, cfg.Linger = -1, -1
	p, err := NewPublisher(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, prefix := range prefixes[max(0, len(prefixes)-1):] {
		if err := p.WaitSubscribers(ctx, prefix, peers); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

// cannedSubscriber is one that receives a reel.
func cannedSubscriber(tb testing.TB, r *reel, cfg SubscriberConfig) *Subscriber {
	tb.Helper()
	cfg.Network = cannedNetwork(func(i int) net.Conn {
		if i > 0 {
			return nil
		}
		return newCanned("PUB", nil, r)
	})
	cfg.Sources = []Source{From("tcp://127.0.0.1:1")}
	s, err := NewSubscriber(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}
