package memnet

import (
	"context"
	"net"
	"os"
	"syscall"
)

// link is a connection: two lanes with an end at either side.
type link struct {
	n                 *Network
	id                uint64
	up, down          *lane // from the dialler, and to it
	dialler, acceptor *conn
	settled           bool  // the dial has an outcome
	open              bool  // the listener has it
	err               error // of the dial
}

// connect makes a link, and waits until it is established.
func (n *Network) connect(ctx context.Context, from, to addr) (net.Conn, error) {
	n.dialled++
	k := &link{n: n, id: n.dialled}
	k.up = n.newLane(k, from, to, 0)
	k.down = n.newLane(k, to, from, 1)
	k.dialler = newConn(k.down, k.up)
	k.acceptor = newConn(k.up, k.down)
	n.links = append(n.links, k)

	stop := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changed.Broadcast()
	})
	defer stop()
	k.up.send(item{kind: open, do: k.knock})
	for !k.settled {
		if err := ctx.Err(); err != nil {
			k.end()
			return nil, err
		}
		n.changed.Wait()
	}
	if k.err != nil {
		k.end()
		return nil, k.err
	}
	return k.dialler.face(), nil
}

// settle ends the dial.
func (k *link) settle(err error) {
	if !k.settled {
		k.settled, k.err = true, err
		k.n.changed.Broadcast()
	}
}

// knock is the arrival of a dial's first packet (SYN): the answer travels back,
// and if it is a good one, the dialler's confirmation travels up again, ahead of
// all bytes.
func (k *link) knock() {
	l := k.n.listeners[k.up.to]
	k.down.send(item{kind: reply, do: func() {
		if l == nil {
			k.settle(os.NewSyscallError("connect", syscall.ECONNREFUSED))
			return
		}
		k.settle(nil)
		k.up.send(item{kind: reply, do: func() { k.enter(l) }})
	}})
}

// enter puts the link into the queue of its listener.
func (k *link) enter(l *listener) {
	if l.closed {
		k.reset(nil)
		return
	}
	k.open = true
	l.queue = append(l.queue, k.acceptor)
	k.n.changed.Broadcast()
	k.up.arrive(0) // a cut may be waiting for the very beginning
	k.down.arrive(0)
}

// reset ends the link with an error for both ends. What has arrived on the lane
// `last` can still be read.
func (k *link) reset(last *lane) {
	if k.up.dead {
		return
	}
	k.end()
	k.settle(os.NewSyscallError("connect", syscall.ECONNRESET))
	for _, l := range []*lane{k.up, k.down} {
		l.stream.Break(syscall.ECONNRESET)
		if l == last {
			l.stream.End(syscall.ECONNRESET)
		} else {
			l.stream.Discard(syscall.ECONNRESET)
		}
	}
}

// end stops all that travels, and forgets the link.
func (k *link) end() {
	k.up.end()
	k.down.end()
	k.n.remove(k)
}

// listener is a net.Listener. Its queue has no bound: it holds no more than
// the test has dialled.
type listener struct {
	n      *Network
	addr   addr
	queue  []*conn
	closed bool
}

func (l *listener) Accept() (net.Conn, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	for !l.closed && (len(l.queue) == 0 || l.addr.host.frozen) {
		l.n.changed.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: l.addr.network, Addr: l.addr, Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c.face(), nil
}

func (l *listener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	delete(l.n.listeners, l.addr)
	l.n.changed.Broadcast()
	for _, c := range l.queue {
		c.in.link.reset(nil)
	}
	l.queue = nil
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }
