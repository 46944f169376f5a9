package memnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstPort is where the ports begin that are given to who asks for port 0.
const firstPort = 49152

// Host is a machine on the network.
type Host struct {
	n      *Network
	name   string
	port   int // the next port to give
	frozen bool
}

// addr is an address: "host:port" on tcp; any text, known to one host only, on
// unix and inproc.
type addr struct {
	network string
	host    *Host
	text    string
}

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

// resolve reads an address as h sees it. The text is kept in a for the error.
func (n *Network) resolve(h *Host, network, address string) (a addr, err error) {
	a = addr{network, h, address}
	switch network {
	case "tcp", "tcp4", "tcp6":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return a, err
		}
		num, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return a, &net.AddrError{Err: "the port is no number from 0 to 65535", Addr: address}
		}
		switch host {
		case "", "*", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost": // h itself
		default:
			a.host = n.host(host)
		}
		a.network = "tcp"
		a.text = net.JoinHostPort(a.host.name, strconv.FormatUint(num, 10))
	case "unix", "inproc":
		if address == "" {
			return a, &net.AddrError{Err: "the address is empty"}
		}
	default:
		return a, net.UnknownNetworkError(network)
	}
	return a, nil
}

// freshPort replaces port 0 by one that nobody listens on.
func (n *Network) freshPort(a addr) addr {
	if a.network != "tcp" || a.text != net.JoinHostPort(a.host.name, "0") {
		return a
	}
	for {
		a.text = a.host.nextPort()
		if n.listeners[a] == nil {
			return a
		}
	}
}

func (h *Host) nextPort() string {
	port := h.port
	if h.port++; h.port > 65535 {
		h.port = firstPort
	}
	return net.JoinHostPort(h.name, strconv.Itoa(port))
}

// Listen takes connections that are dialled to an address. network is "tcp",
// "tcp4" or "tcp6", which are the same here, and address "host:port" with the
// host's own name, one that stands for it ("", "*", "localhost", the loopback
// and the unspecified addresses), and a port, of which 0 is one that is free. Or
// network is "unix" or "inproc", and address any text, which only the same host
// can dial. An address in use is an error that wraps syscall.EADDRINUSE; closing
// the listener frees it and resets what was not yet accepted.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	a, err := h.n.resolve(h, network, address)
	if err == nil && a.host != h {
		err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return h.n.listen(ctx, a, err)
}

// Dial connects to an address as Listen takes them. It takes the time of one
// round trip, and waits for as long as the way is stalled and ctx has not ended.
// If nobody listens it fails with an error that wraps syscall.ECONNREFUSED.
//
// Connections on "inproc" have the methods WriteBuffers and TryWrite that a
// pipe.Conn has; the others have CloseWrite only, as a net.TCPConn does.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	to, err := n.resolve(h, network, address)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		from := addr{to.network, h, fmt.Sprintf("%s#%d", to.text, n.dialled+1)}
		if to.network == "tcp" {
			from.text = h.nextPort()
		}
		var c net.Conn
		if c, err = n.connect(ctx, from, to); err == nil {
			return c, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: to.network, Addr: to, Err: err}
}

// Freeze stops the host's process, but not its kernel, as SIGSTOP does: the
// kernel still takes connections, so that a dial to the host succeeds, and what
// is sent to it fills the buffer; but nothing more is accepted, read or sent by
// the host, its dials and closes included. What had arrived before can still be
// read, and its timers and deadlines go on: a test's goroutines and its clock
// cannot be stopped.
func (h *Host) Freeze() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.frozen = true
}

// Thaw ends a Freeze: what was held up happens at once.
func (h *Host) Thaw() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.frozen = false
	h.n.changed.Broadcast()
	for _, l := range h.n.lanes() {
		l.run()
	}
}
