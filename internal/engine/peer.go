package engine

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Peer is one connection whose handshake is done.
type Peer struct {
	Endpoint string     // that was dialled, or bound for one that came in
	Remote   string     // address of the other side
	Dialer   *Dialer    // nil for a connection that came in
	Ready    zmtp.Ready // what the other side said of itself
	Since    time.Time  // when the handshake was done

	// Out is what waits to be sent. Whoever gets the claim on it calls Kick.
	Out *queue.Queue

	e    *Engine
	conn net.Conn
	// try writes what the connection takes without waiting; nil where there is no
	// such way.
	try  func(p []byte) (int, error)
	done chan struct{} // closed when the handler has been told of the end

	received atomic.Uint64 // bytes read

	mu  sync.Mutex
	err error // why it ended; nil while it lives

	// Of the holder of the claim:
	spans []queue.Span
	bufs  net.Buffers   // of spans
	rest  net.Buffers   // of bufs, not yet written
	quiet time.Duration // when, by Engine.Now, the queue was last found empty
}

func newPeer(e *Engine, conn net.Conn, endpoint string, d *Dialer, ready zmtp.Ready) *Peer {
	p := &Peer{
		Endpoint: endpoint,
		Remote:   remoteOf(conn),
		Dialer:   d,
		Ready:    ready,
		Since:    time.Now(),
		Out:      queue.New(e.cfg.Queue, zmtp.Skip),
		e:        e,
		conn:     conn,
		done:     make(chan struct{}),
	}
	if c, ok := conn.(interface{ TryWrite(p []byte) (int, error) }); ok {
		p.try = c.TryWrite
	} else {
		p.try = rawWrite(conn)
	}
	return p
}

// Incoming reports whether the other side made the connection.
func (p *Peer) Incoming() bool { return p.Dialer == nil }

// Received is the number of bytes read from the peer.
func (p *Peer) Received() uint64 { return p.received.Load() }

// Done is closed after the handler was told of the peer's end.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Err is why the peer ended, nil while it has not.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close ends the connection for the reason given, without waiting. Only the first
// reason is kept.
func (p *Peer) Close(reason error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = reason
	}
	p.mu.Unlock()
	p.conn.Close()
}

// Shutdown ends the connection in order: what is queued is written, the other
// side is told that there is no more, and gets Config.HandshakeTimeout to take it
// and to close. A TCP connection that is closed while something unread has come in
// is reset, and what the other side has not read yet is lost; hence the wait. When
// ctx ends, the wait ends too. It returns the error of ctx if that was before
// everything was written. What is pushed during a Shutdown may be dropped.
func (p *Peer) Shutdown(ctx context.Context) error {
	defer p.Close(ErrClosed)
	if err := p.idle(ctx); err != nil {
		return err
	}
	// An answer to a PING that comes from now on would be written behind the end,
	// and fail. Nothing more is let in, and nobody writes once it is idle again.
	p.Out.Close()
	if err := p.idle(ctx); err != nil {
		return err
	}
	half, ok := p.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.e.cfg.HandshakeTimeout)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		// Everything is with the kernel, which goes on to deliver it.
	}
	return nil
}

// idle waits until nothing is queued, or nothing more can be written.
func (p *Peer) idle(ctx context.Context) error {
	idle := p.Out.Idle()
	select {
	case <-idle:
		return nil // also where ctx has ended
	default:
	}
	select {
	case <-idle:
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// end is the last act of the peer's goroutine: nobody writes any more after it.
func (p *Peer) end(err error) {
	p.Close(err)
	p.Out.Close()
	<-p.Out.Idle()
}

// SendControl queues one or several encoded messages of the protocol, see
// [queue.Queue.PushControl], and sees to it that they are written.
func (p *Peer) SendControl(msgs []byte) queue.Outcome {
	b := block.Get(len(msgs))
	copy(b.B, msgs)
	out := p.Out.PushControl(b, 0, len(msgs))
	b.Release()
	if out == queue.Claimed {
		p.Start()
	}
	return out
}

const (
	// writeBatch bounds what is taken for one system call: more brings nothing,
	// and holds up what the policy could still drop.
	writeBatch = 256 << 10
	// quietFor is how long a peer must have been idle for its next message to be
	// written by the one who published it. Under load a goroutine takes what has
	// gathered meanwhile in one call instead.
	quietFor = 20 * time.Microsecond
)

// Kick sees to it that the queue is written. Its caller got the claim, and tells
// what time it is by [Engine.Now]. A peer that has been idle is written at once, by
// the caller, as far as the kernel takes it without waiting.
func (p *Peer) Kick(now time.Duration) {
	if p.try == nil || now-p.quiet < quietFor {
		go p.write(0)
		return
	}
	if !p.take() {
		return
	}
	if len(p.spans) > 1 {
		go p.write(0)
		return
	}
	msgs := p.spans[0].Bytes()
	if n, err := p.try(msgs); err != nil || n < len(msgs) {
		// The rest, and the error if it comes again, is the goroutine's.
		go p.write(n)
		return
	}
	p.Out.Done(p.spans, true)
	p.spans = p.spans[:0]
	p.quiet = now
	if p.take() {
		go p.write(0)
	}
}

// Start sees to it that the queue is written, by a goroutine. Its caller got the
// claim.
func (p *Peer) Start() { go p.write(0) }

// take fills p.spans. When there is nothing it reports false, and the claim, and
// with it every field of its holder, is somebody else's.
func (p *Peer) take() bool {
	spans := p.Out.Take(p.spans[:0], writeBatch)
	if len(spans) == 0 {
		return false
	}
	p.spans = spans
	return true
}

// write writes until there is nothing left, and gives the claim back. p.spans may
// hold what was taken already, of which the first skip bytes have been written.
func (p *Peer) write(skip int) {
	if len(p.spans) == 0 && !p.take() {
		return
	}
	for {
		err := p.writeSpans(skip)
		skip = 0
		p.Out.Done(p.spans, err == nil)
		if err != nil {
			p.Out.Close()
			if !hungUp(err) {
				p.Close(err)
			}
		}
		p.spans = p.spans[:0]
		p.quiet = p.e.Now()
		if !p.take() {
			return
		}
	}
}

func (p *Peer) writeSpans(skip int) error {
	if len(p.spans) == 1 {
		_, err := p.conn.Write(p.spans[0].Bytes()[skip:])
		return err
	}
	p.bufs = p.bufs[:0]
	for _, s := range p.spans {
		p.bufs = append(p.bufs, s.Bytes())
	}
	p.bufs[0] = p.bufs[0][skip:]
	p.rest = p.bufs // which is eaten up
	var err error
	if v, ok := p.conn.(interface {
		WriteBuffers(net.Buffers) (int64, error)
	}); ok {
		_, err = v.WriteBuffers(p.rest)
	} else {
		_, err = p.rest.WriteTo(p.conn)
	}
	clear(p.bufs)
	p.rest = nil
	return err
}

// hungUp reports whether a write failed because the other side takes no more. What
// it sent before that has still to be read, and the reader comes to the end of it.
func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
