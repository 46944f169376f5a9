package engine

import (
	"container/list"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Config is what an engine is made of. All fields are required, and numbers
// positive, but for those that say what their zero value means.
type Config struct {
	Type     zmq4.SocketType
	Security func(server bool) zmq4.Security // nil: NULL
	Limits   zmtp.Limits                     // on what peers send; zero: its defaults
	Queue    queue.Limit                     // of what is sent to each peer
	ReadSize int                             // bytes of a connection's first read block; it grows to 32 times that with use

	// MaxPeers bounds the connections, handshakes included. Above it, one that
	// comes in takes the place of the oldest handshake, and is refused when there
	// is none. Those that are dialled are counted and not refused.
	MaxPeers int
	// MaxHandshakes bounds the connections that came in and are in their
	// handshake. When there are more, the oldest is given up.
	MaxHandshakes    int
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
	Op       string // "dial", "handshake" or "accept"
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

	dialling     context.Context // ended by StopListening
	stopDialling context.CancelFunc

	mu        sync.Mutex
	closed    bool
	stopped   bool // StopListening was called
	listeners []net.Listener
	peers     map[*Peer]struct{}
	shaking   *list.List            // of *shaking, oldest first: handshakes of incoming connections
	dialled   map[net.Conn]struct{} // handshakes of those that were dialled
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
		cfg:     cfg,
		epoch:   time.Now(),
		peers:   make(map[*Peer]struct{}),
		shaking: list.New(),
		dialled: make(map[net.Conn]struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.dialling, e.stopDialling = context.WithCancel(e.ctx)
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
	if e.stopped {
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

// StopListening closes all listeners, and ends the attempts of all dialers. Peers
// stay, and handshakes that have begun may still bring some.
func (e *Engine) StopListening() {
	e.mu.Lock()
	e.stopped = true
	listeners := e.listeners
	e.listeners = nil
	e.mu.Unlock()
	e.stopDialling()
	for _, l := range listeners {
		l.Close()
	}
}

func (e *Engine) accept(l net.Listener, endpoint string) {
	defer e.wg.Done()
	failures := 0
	for {
		conn, err := l.Accept()
		if err == nil {
			failures = 0
			e.incoming(conn, endpoint)
			continue
		}
		if errors.Is(err, net.ErrClosed) || e.dialling.Err() != nil {
			return
		}
		// Out of file descriptors, most likely. What is connected works on, and so
		// does this listener once there are some again. Silent connections do not
		// keep them from those who have something to say.
		e.cfg.Handler.Failed(nil, &ConnError{endpoint, "", "accept", err})
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			e.mu.Lock()
			victim := e.makeWay()
			e.mu.Unlock()
			if victim != nil {
				victim.Close()
			}
		}
		if !e.sleep(Backoff{5 * time.Millisecond, time.Second}.delay(failures)) {
			return
		}
		failures++
	}
}

// incoming starts the handshake of a connection that came in. It never waits: one
// goroutine for each, and when there are too many, the oldest makes way, which is
// the one most likely never to say anything.
func (e *Engine) incoming(conn net.Conn, endpoint string) {
	remote := remoteOf(conn)
	var victim net.Conn
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		conn.Close()
		return
	}
	full := len(e.peers)+e.shaking.Len() >= e.cfg.MaxPeers
	if full || e.shaking.Len() >= e.cfg.MaxHandshakes {
		victim = e.makeWay()
	}
	if full && victim == nil {
		e.mu.Unlock()
		conn.Close()
		e.cfg.Handler.Failed(nil, &ConnError{endpoint, remote, "accept", ErrTooManyPeers})
		return
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
		// Nothing is removed if a newer connection has taken the place.
		if e.shaking.Remove(place).(*shaking).evicted {
			err = ErrHandshakes
		}
		e.mu.Unlock()
		if err != nil {
			conn.Close()
			if e.ctx.Err() == nil {
				e.cfg.Handler.Failed(nil, &ConnError{endpoint, remote, "handshake", err})
			}
			return
		}
		// A new goroutine, with a small stack: that of the handshake has grown, and an
		// idle peer would keep it.
		e.wg.Go(func() { e.serve(newPeer(e, conn, endpoint, nil, ready)) })
	}()
}

// makeWay gives up the oldest handshake, and returns its connection to be closed;
// nil when there is none. Held: mu.
func (e *Engine) makeWay() net.Conn {
	oldest := e.shaking.Front()
	if oldest == nil {
		return nil
	}
	s := e.shaking.Remove(oldest).(*shaking)
	s.evicted = true
	return s.conn
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
	p.end(p.read(recv))
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
	return slices.Collect(maps.Keys(e.peers))
}

// Close ends all connections at once and waits for all goroutines, and so for the
// calls of the Handler and of Receivers that are under way: it must not be called
// from one. What is still in the queues is lost: see [Peer.Shutdown].
func (e *Engine) Close() {
	e.StopListening()
	e.mu.Lock()
	e.closed = true
	var conns []net.Conn
	for el := e.shaking.Front(); el != nil; el = el.Next() {
		conns = append(conns, el.Value.(*shaking).conn)
	}
	conns = slices.AppendSeq(conns, maps.Keys(e.dialled))
	e.mu.Unlock()

	e.cancel() // before connections are closed: these failures are nobody's
	for _, c := range conns {
		c.Close()
	}
	for _, p := range e.Peers() {
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
