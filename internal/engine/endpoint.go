package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/heraldbus/herald/internal/pipe"
)

// Endpoint is a ZeroMQ endpoint taken apart.
type Endpoint struct {
	Network string // "tcp", "unix" or "inproc", as net.Dial calls them
	Address string // "host:port", a path, a name
	url     string
}

// String is the endpoint as it was given.
func (e Endpoint) String() string { return e.url }

// ParseEndpoint reads tcp://host:port, ipc:///path, ipc://@abstract or
// inproc://name. A tcp host may be a name, an IPv4 address, an IPv6 address in
// brackets, or `*` for all interfaces of a listener; the port may be 0 or `*` to
// have one chosen.
func ParseEndpoint(url string) (Endpoint, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	bad := func(format string, args ...any) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("endpoint %q: %s", url, fmt.Sprintf(format, args...))
	}
	if !ok {
		return bad("want a transport and an address, as in tcp://127.0.0.1:5556")
	}
	switch scheme {
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return bad("want tcp://host:port: %v", err)
		}
		if host == "*" {
			host = ""
		}
		if port == "*" {
			port = "0"
		}
		if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
			return bad("%q is no port: want a number from 0 to 65535", port)
		}
		return Endpoint{"tcp", net.JoinHostPort(host, port), url}, nil
	case "ipc":
		if rest == "" {
			return bad("want a path, as in ipc:///tmp/herald.sock")
		}
		// The kernel keeps paths in a field of 108 bytes.
		if len(rest) > 107 {
			return bad("the path has %d bytes, a Unix socket takes at most 107", len(rest))
		}
		return Endpoint{"unix", rest, url}, nil
	case "inproc":
		if rest == "" {
			return bad("want a name, as in inproc://events")
		}
		return Endpoint{"inproc", rest, url}, nil
	}
	return bad("unknown transport %q: want tcp, ipc or inproc", scheme)
}

// Network makes connections. Its functions have the signatures of
// net.Dialer.DialContext and net.ListenConfig.Listen; a nil one stands for the
// real network: tcp, Unix sockets, and pipes within the process for inproc.
type Network struct {
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

func (n Network) dial(ctx context.Context, e Endpoint) (net.Conn, error) {
	if n.Dial != nil {
		return n.Dial(ctx, e.Network, e.Address)
	}
	if e.Network == "inproc" {
		return pipe.Dial(ctx, e.Address)
	}
	// A new Dialer each time: names are resolved anew at each dial.
	var d net.Dialer
	return d.DialContext(ctx, e.Network, e.Address)
}

func (n Network) listen(ctx context.Context, e Endpoint) (net.Listener, error) {
	if n.Listen != nil {
		return n.Listen(ctx, e.Network, e.Address)
	}
	if e.Network == "inproc" {
		return pipe.Listen(e.Address)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, e.Network, e.Address)
	if e.Network == "unix" && errors.Is(err, syscall.EADDRINUSE) && abandoned(e.Address) {
		// Whoever bound it is gone without removing it (kill -9).
		if os.Remove(e.Address) == nil {
			l, err = lc.Listen(ctx, e.Network, e.Address)
		}
	}
	return l, err
}

// abandoned reports whether path is a Unix socket that nobody listens on.
func abandoned(path string) bool {
	if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	c.Close()
	return false
}

// bound is the endpoint that a listener got: the port that was chosen filled in,
// and an address for all interfaces written as 0.0.0.0, which every ZeroMQ
// program on the same machine can also connect to.
func (e Endpoint) bound(l net.Listener) string {
	if e.Network != "tcp" {
		return e.url
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return e.url
	}
	if asked, _, _ := net.SplitHostPort(e.Address); asked == "" {
		host = "0.0.0.0"
	}
	return "tcp://" + net.JoinHostPort(host, port)
}
