package memnet

import (
	"io"
	"net"
	"syscall"

	"github.com/heraldbus/herald/internal/pipe"
)

// conn is one end of a link. What net.Conn has and is not below is that of the
// pipe.Conn, which is embedded as a net.Conn so that its other methods do not
// show.
type conn struct {
	net.Conn
	pipe    *pipe.Conn // the same
	in, out *lane
	closed  bool
}

func newConn(in, out *lane) *conn {
	p := pipe.Join(in.stream, out.stream, out.from, out.to)
	return &conn{Conn: p, pipe: p, in: in, out: out}
}

// face is the conn as its owner sees it.
func (c *conn) face() net.Conn {
	if c.out.from.network == "inproc" {
		return inprocConn{c}
	}
	return c
}

// inprocConn is a conn with the faster ways of writing that a pipe.Conn has.
type inprocConn struct{ *conn }

func (c inprocConn) WriteBuffers(bufs net.Buffers) (int64, error) { return c.pipe.WriteBuffers(bufs) }
func (c inprocConn) TryWrite(p []byte) (int, error)               { return c.pipe.TryWrite(p) }

func (c *conn) Read(p []byte) (int, error) {
	mu, l := &c.in.n.mu, c.in
	mu.Lock()
	if l.state.Split > 0 && len(p) > 1 {
		p = p[:min(len(p), 1+l.split.IntN(l.state.Split))]
	}
	mu.Unlock()

	n, err := c.Conn.Read(p)

	mu.Lock()
	defer mu.Unlock()
	for at, mask := range l.flips {
		if at >= l.read && at < l.read+int64(n) {
			p[at-l.read] ^= mask
			delete(l.flips, at)
		}
	}
	l.read += int64(n)
	return n, err
}

// Close ends everything on this side at once. The peer hears of it when the news
// has travelled.
func (c *conn) Close() error {
	if !c.pipe.Detach() {
		return nil
	}
	c.in.n.mu.Lock()
	defer c.in.n.mu.Unlock()
	c.closed = true
	if k := c.in.link; k.dialler.closed && k.acceptor.closed {
		k.end()
		return nil
	}
	c.out.send(item{kind: data, do: func() {
		c.out.stream.End(io.EOF)
		c.in.stream.Break(syscall.EPIPE)
	}})
	return nil
}

// CloseWrite ends the direction to the peer, which hears of it when the news has
// travelled.
func (c *conn) CloseWrite() error {
	c.in.n.mu.Lock()
	defer c.in.n.mu.Unlock()
	if c.closed {
		return &net.OpError{Op: "close", Net: c.out.from.network, Source: c.out.from, Addr: c.out.to, Err: net.ErrClosed}
	}
	c.out.stream.Break(syscall.EPIPE)
	c.out.send(item{kind: data, do: func() { c.out.stream.End(io.EOF) }})
	return nil
}
