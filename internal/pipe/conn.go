package pipe

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Addr is the address of an inproc connection: the listener's name, followed on
// the dialling side by "#" and the number of the connection.
type Addr string

// Network is "inproc".
func (Addr) Network() string { return "inproc" }

func (a Addr) String() string { return string(a) }

// Conn is one end of a connection. It is a net.Conn, safe for concurrent use.
//
// Its errors are *net.OpError, except for io.EOF: net.ErrClosed after its own
// Close, syscall.EPIPE for a write after its own CloseWrite or the peer's Close,
// os.ErrDeadlineExceeded.
type Conn struct {
	in, out       *Stream
	local, remote net.Addr
	closed        atomic.Bool
}

var _ net.Conn = (*Conn)(nil)

// New makes a connection and returns both its ends. Each direction holds up to
// size bytes; zero or negative means DefaultSize.
func New(local, remote net.Addr, size int) (a, b *Conn) {
	there, back := NewStream(size, nil), NewStream(size, nil)
	return Join(back, there, local, remote), Join(there, back, remote, local)
}

// Join makes the end of a connection that reads from in and writes to out.
func Join(in, out *Stream, local, remote net.Addr) *Conn {
	return &Conn{in: in, out: out, local: local, remote: remote}
}

// Read takes all that has arrived, up to len(p) bytes, and waits only while
// nothing has. It returns io.EOF when the peer has closed and all it wrote was read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write returns when all of p is in the buffer of this direction.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// WriteBuffers writes all buffers as one Write. Unlike net.Buffers.WriteTo it
// does not change bufs.
func (c *Conn) WriteBuffers(bufs net.Buffers) (int64, error) {
	n, err := c.out.WriteBuffers(bufs)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// TryWrite writes what there is room for, and never waits: it returns 0 and no
// error when there is none, or while another Write is under way. A write
// deadline has no meaning here.
func (c *Conn) TryWrite(p []byte) (int, error) {
	n, err := c.out.TryWrite(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close closes both directions: the peer reads what was written, and then
// io.EOF; its writes fail. What was not yet read here is dropped. Every call
// that waits, on either side, returns. Closing again does nothing.
func (c *Conn) Close() error {
	if c.Detach() {
		c.out.End(io.EOF)
		c.in.Break(syscall.EPIPE)
	}
	return nil
}

// Detach is the part of Close that happens on this side: no call succeeds any
// more, and the peer is not told. It reports whether this was the first time.
func (c *Conn) Detach() bool {
	if c.closed.Swap(true) {
		return false
	}
	c.out.Break(net.ErrClosed)
	c.in.Discard(net.ErrClosed)
	c.in.SetReadDeadline(time.Time{}) // stops their timers
	c.out.SetWriteDeadline(time.Time{})
	return true
}

// CloseWrite closes the direction to the peer: the peer reads what was written,
// and then io.EOF; it can go on writing.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.opError("close", net.ErrClosed)
	}
	c.out.Break(syscall.EPIPE)
	c.out.End(io.EOF)
	return nil
}

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines. They end the calls that wait now, too; the
// zero time means never.
func (c *Conn) SetDeadline(t time.Time) error {
	err := c.SetReadDeadline(t)
	if err == nil {
		err = c.SetWriteDeadline(t)
	}
	return err
}

// SetReadDeadline sets the time after which Read fails, even when there is
// something to read; the zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.in.SetReadDeadline(t)
	return nil
}

// SetWriteDeadline sets the time after which Write and WriteBuffers fail; the
// zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	c.out.SetWriteDeadline(t)
	return nil
}

func (c *Conn) opError(op string, err error) error {
	if c.closed.Load() {
		err = net.ErrClosed // whatever the peer did before or since
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}
