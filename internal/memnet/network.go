package memnet

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/heraldbus/herald/internal/pipe"
)

// self is the name of the host that Network.Dial and Network.Listen act for.
const self = "127.0.0.1"

// Config is what a Network is made of. The zero value is useful.
type Config struct {
	// Seed is where jitter and the sizes of split reads come from. Every value
	// is as good as any other.
	Seed uint64

	// Buffer is how many bytes each direction of a connection holds, on the way
	// and unread. Zero or negative means pipe.DefaultSize, 256 KiB.
	Buffer int
}

// Network is a network in memory.
type Network struct {
	seed   uint64
	buffer int

	// mu guards everything below and the fields of hosts, listeners, links and
	// lanes. The locks of streams come after it.
	mu        sync.Mutex
	changed   sync.Cond // something that a Dial or an Accept may wait for
	hosts     map[string]*Host
	listeners map[addr]*listener
	cables    map[way]Conditions
	traps     []*trap
	links     []*link // in the order of their dials; neither reset nor closed by both ends
	dialled   uint64  // how many links there have been
}

// New makes a Network.
func New(cfg Config) *Network {
	if cfg.Buffer <= 0 {
		cfg.Buffer = pipe.DefaultSize
	}
	n := &Network{
		seed:      cfg.Seed,
		buffer:    cfg.Buffer,
		hosts:     make(map[string]*Host),
		listeners: make(map[addr]*listener),
		cables:    make(map[way]Conditions),
	}
	n.changed.L = &n.mu
	return n
}

// Host returns the host of a name, which is made when it is first named.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host(name)
}

// host is Host for those who hold the lock.
func (n *Network) host(name string) *Host {
	h := n.hosts[name]
	if h == nil {
		h = &Host{n: n, name: name, port: firstPort}
		n.hosts[name] = h
	}
	return h
}

// Dial dials from the host 127.0.0.1: see [Host.Dial].
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.Host(self).Dial(ctx, network, address)
}

// Listen listens on the host that address names: see [Host.Listen]. Without a
// name it is 127.0.0.1.
func (n *Network) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.resolve(n.host(self), network, address)
	return n.listen(ctx, a, err)
}

// listen is the end of every Listen, with what the beginning has found.
func (n *Network) listen(ctx context.Context, a addr, err error) (net.Listener, error) {
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		a = n.freshPort(a)
		if n.listeners[a] != nil {
			err = os.NewSyscallError("bind", syscall.EADDRINUSE)
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: a.network, Addr: a, Err: err}
	}
	l := &listener{n: n, addr: a}
	n.listeners[a] = l
	return l, nil
}

// Connection is one connection in a listing.
type Connection struct {
	Dialler  string // the address of the end that dialled
	Listener string // the address that it dialled
	Up       Traffic
	Down     Traffic
}

// Traffic counts the bytes of one direction of a connection: Up is what the
// dialling end sends, Down what it receives.
type Traffic struct {
	Written   int64 // accepted from the writer
	Delivered int64 // arrived at the other end
	Read      int64 // taken by the reader
}

// Connections lists the connections that have been established and are neither
// reset nor closed by both ends, in the order in which they were dialled.
func (n *Network) Connections() []Connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []Connection
	for _, k := range n.links {
		if k.settled && k.err == nil {
			list = append(list, Connection{
				Dialler:  k.up.from.text,
				Listener: k.up.to.text,
				Up:       k.up.traffic(),
				Down:     k.down.traffic(),
			})
		}
	}
	return list
}

// lanes returns all lanes of all links, in order. It is a copy: lanes come to an
// end while their owner does something to each.
func (n *Network) lanes() []*lane {
	var all []*lane
	for _, k := range n.links {
		all = append(all, k.up, k.down)
	}
	return all
}

func (n *Network) remove(k *link) {
	n.links = slices.DeleteFunc(n.links, func(x *link) bool { return x == k })
}
