package engine

import (
	"container/list"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Config is what an engine is made of. All fields are required but those that
// say what their zero value means.
type Config struct {
	Type     zmq4.SocketType
	Security func(server bool) zmq4.Security // nil: NULL
	Limits   zmtp.Limits                     // on what peers send
	Queue    queue.Limit                     // of what is sent to each peer
	ReadSize int                             // bytes of a connection's first read block; it grows with use

	MaxPeers         int           // connections, handshakes included
	MaxHandshakes    int           // when there are more, the oldest is given up
	HandshakeTimeout time.Duration // for a dial, and again for the handshake
	Backoff          Backoff

	Network Network // zero: the real one
	Handler Handler
}

// Handler is the role that stands on an engine. Its methods are called from the
// goroutines of peers and dialers, several at once; Opened and Closed of one peer
// come in this order from the same goroutine.
type Handler interface {
	// Opened is told of a peer whose handshake is done, before the first byte is
	// read, and returns who takes its messages. What it pushes is the first that
	// the peer gets.
	Opened(p *Peer) Receiver
	// Closed is told of the end of a peer, after the last call to its Receiver.
	Closed(p *Peer, err error)
	// Failed is told of a connection that did not get as far as a peer. d is nil
	// for one that came in.
	Failed(d *Dialer, err *ConnError)
}

// ConnError is a connection that could not be had or used.
type ConnError struct {
	Endpoint string // that was dialled or bound
	Remote   string // address of the other side, if it got so far
	Op       string // "dial", "handshake", "accept" or "read"
	Err      error
}

func (e *ConnError) Error() string {
	s := e.Op + " " + e.Endpoint
	if e.Remote != "" {
		s += " (" + e.Remote + ")"
	}
	return s + ": " + e.Err.Error()
}

func (e *ConnError) Unwrap() error { return e.Err }

// Reasons for which the engine itself ends or refuses a connection.
var (
	ErrClosed       = errors.New("closed here")
	ErrTooManyPeers = errors.New("too many connections: raise the limit on peers, or find out who opens them")
	ErrHandshakes   = errors.New("given up for newer connections: too many handshakes at once")
)

// Engine holds the connections of one socket.
type Engine struct {
	cfg    Config
	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	epoch  time.Time
	wg     sync.WaitGroup // listeners, dialers, connections

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	peers     map[*Peer]struct{}
	shaking   *list.List // of *shaking, oldest first: handshakes of incoming connections
	dialling  map[net.Conn]struct{}
}

// shaking is an incoming connection whose handshake goes on.
type shaking struct {
	conn    net.Conn
	evicted bool // closed for the sake of a newer one
}

// New makes an engine without any connection.
func New(cfg Config) *Engine {
	if cfg.Security == nil {
		cfg.Security = func(bool) zmq4.Security { return null.Security() }
	}
	e := &Engine{
		cfg:      cfg,
		epoch:    time.Now(),
		peers:    make(map[*Peer]struct{}),
		shaking:  list.New(),
		dialling: make(map[net.Conn]struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Listen accepts peers at an endpoint until the engine is closed, and returns the
// endpoint with the address it got.
func (e *Engine) Listen(ctx context.Context, endpoint string) (string, error) {
	ep, err := ParseEndpoint(endpoint)
	if err != nil {
		return "", err
	}
	l, err := e.cfg.Network.listen(ctx, ep)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		l.Close()
		return "", ErrClosed
	}
	e.listeners = append(e.listeners, l)
	e.wg.Add(1)
	e.mu.Unlock()
	bound := ep.bound(l)
	go e.accept(l, bound)
	return bound, nil
}

// StopListening closes all listeners; peers stay.
func (e *Engine) StopListening() {
	e.mu.Lock()
	listeners := e.listeners
	e.listeners = nil
	e.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
}

func (e *Engine) accept(l net.Listener, endpoint string) {
	defer e.wg.Done()
	failures := 0
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || e.ctx.Err() != nil {
				return
			}
			// Out of file descriptors, most likely. What is connected works on,
			// and so does this listener once there are some again.
			e.cfg.Handler.Failed(nil, &ConnError{endpoint, "", "accept", err})
			if !e.sleep(Backoff{5 * time.Millisecond, time.Second}.delay(failures)) {
				return
			}
			failures++
			continue
		}
		failures = 0
		e.incoming(conn, endpoint)
	}
}

// incoming starts the handshake of a connection that came in. It never waits: one
// goroutine for each, and when there are too many, the oldest makes way, which is
// the one most likely never to say anything.
func (e *Engine) incoming(conn net.Conn, endpoint string) {
	remote := conn.RemoteAddr().String()
	var victim net.Conn
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		conn.Close()
		return
	}
	if len(e.peers)+e.shaking.Len() >= e.cfg.MaxPeers {
		e.mu.Unlock()
		conn.Close()
		e.cfg.Handler.Failed(nil, &ConnError{endpoint, remote, "accept", ErrTooManyPeers})
		return
	}
	if e.shaking.Len() >= e.cfg.MaxHandshakes {
		oldest := e.shaking.Remove(e.shaking.Front()).(*shaking)
		oldest.evicted = true
		victim = oldest.conn
	}
	place := e.shaking.PushBack(&shaking{conn: conn})
	e.wg.Add(1)
	e.mu.Unlock()
	if victim != nil {
		victim.Close()
	}
	go func() {
		defer e.wg.Done()
		ready, err := e.handshake(conn, true)
		e.mu.Lock()
		// Nothing happens if a newer connection has taken the place.
		evicted := e.shaking.Remove(place).(*shaking).evicted
		e.mu.Unlock()
		if err != nil {
			conn.Close()
			if evicted {
				err = ErrHandshakes
			}
			if e.ctx.Err() == nil {
				e.cfg.Handler.Failed(nil, &ConnError{endpoint, remote, "handshake", err})
			}
			return
		}
		e.serve(newPeer(e, conn, endpoint, nil, ready))
	}()
}

// handshake does ZMTP's greeting and security handshake, with a deadline.
func (e *Engine) handshake(conn net.Conn, server bool) (zmtp.Ready, error) {
	if err := conn.SetDeadline(time.Now().Add(e.cfg.HandshakeTimeout)); err != nil {
		return zmtp.Ready{}, err
	}
	ready, err := zmtp.Handshake(conn, e.cfg.Security(server), zmtp.GuardConfig{Socket: e.cfg.Type}, nil, server)
	if err != nil {
		return zmtp.Ready{}, err
	}
	return ready, conn.SetDeadline(time.Time{})
}

// serve reads from a peer until it ends. Its caller is the peer's goroutine.
func (e *Engine) serve(p *Peer) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		p.conn.Close()
		return
	}
	e.peers[p] = struct{}{}
	e.mu.Unlock()
	recv := e.cfg.Handler.Opened(p)
	err := p.read(recv)
	p.end(err)
	e.mu.Lock()
	delete(e.peers, p)
	e.mu.Unlock()
	e.cfg.Handler.Closed(p, p.Err())
	close(p.done)
}

// Peers are the peers that are connected now, in no order.
func (e *Engine) Peers() []*Peer {
	e.mu.Lock()
	defer e.mu.Unlock()
	peers := make([]*Peer, 0, len(e.peers))
	for p := range e.peers {
		peers = append(peers, p)
	}
	return peers
}

// Close ends all connections at once and waits for all goroutines. What is still
// in the queues is lost: see [Peer.Shutdown].
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	var conns []net.Conn
	for el := e.shaking.Front(); el != nil; el = el.Next() {
		conns = append(conns, el.Value.(*shaking).conn)
	}
	for c := range e.dialling {
		conns = append(conns, c)
	}
	peers := make([]*Peer, 0, len(e.peers))
	for p := range e.peers {
		peers = append(peers, p)
	}
	listeners := slices.Clone(e.listeners)
	e.mu.Unlock()

	e.cancel()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	for _, p := range peers {
		p.Close(ErrClosed)
	}
	e.wg.Wait()
}

// Now is the monotonic time since the engine was made. It costs half of what
// time.Now does, which is felt where it is asked for with every event.
func (e *Engine) Now() time.Duration { return time.Since(e.epoch) }

// At is the time at which Now was d.
func (e *Engine) At(d time.Duration) time.Time { return e.epoch.Add(d) }

// sleep waits, and reports false if the engine was closed meanwhile.
func (e *Engine) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.ctx.Done():
		return false
	}
}
