package pipe

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog is how many connections of a listener wait to be accepted before Dial
// waits.
const backlog = 128

// registry has the listeners of this process by name.
var registry struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

type listener struct {
	name string

	mu      sync.Mutex
	changed sync.Cond // queue or closed
	queue   []*Conn   // not yet accepted
	dialled int       // how many connections there have been
	closed  bool
}

// Listen takes connections that Dial makes to a name, which is any string but
// the empty one. A name that has a listener already is an error that wraps
// syscall.EADDRINUSE; closing the listener frees the name, and drops what was
// not yet accepted.
func Listen(name string) (net.Listener, error) {
	if name == "" {
		return nil, fmt.Errorf("pipe: listen: the name is empty: give the listener a name, as in inproc://NAME")
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.listeners[name] != nil {
		return nil, &net.OpError{Op: "listen", Net: "inproc", Addr: Addr(name), Err: syscall.EADDRINUSE}
	}
	l := &listener{name: name}
	l.changed.L = &l.mu
	if registry.listeners == nil {
		registry.listeners = make(map[string]*listener)
	}
	registry.listeners[name] = l
	return l, nil
}

// Dial connects to the listener of a name. It returns at once, with an error
// that wraps syscall.ECONNREFUSED when nobody listens; only while 128
// connections wait to be accepted does it wait too, until ctx ends.
func Dial(ctx context.Context, name string) (net.Conn, error) {
	registry.mu.Lock()
	l := registry.listeners[name]
	registry.mu.Unlock()
	err := error(syscall.ECONNREFUSED)
	if l != nil {
		var c *Conn
		if c, err = l.dial(ctx); err == nil {
			return c, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "inproc", Addr: Addr(name), Err: err}
}

func (l *listener) dial(ctx context.Context) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= backlog && !l.closed {
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			l.changed.Broadcast()
			l.mu.Unlock()
		})
		defer stop()
		for len(l.queue) >= backlog && !l.closed {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			l.changed.Wait()
		}
	}
	if l.closed {
		return nil, syscall.ECONNREFUSED
	}
	l.dialled++
	here, there := New(Addr(fmt.Sprintf("%s#%d", l.name, l.dialled)), Addr(l.name), DefaultSize)
	l.queue = append(l.queue, there)
	l.changed.Broadcast()
	return here, nil
}

func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "inproc", Addr: l.Addr(), Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.changed.Broadcast()
	return c, nil
}

func (l *listener) Close() error {
	registry.mu.Lock()
	if registry.listeners[l.name] == l {
		delete(registry.listeners, l.name)
	}
	registry.mu.Unlock()

	l.mu.Lock()
	queue := l.queue
	l.queue, l.closed = nil, true
	l.changed.Broadcast()
	l.mu.Unlock()
	for _, c := range queue {
		c.Close()
	}
	return nil
}

func (l *listener) Addr() net.Addr { return Addr(l.name) }
