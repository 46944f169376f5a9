package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
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

// maxPath is how long the path of a Unix socket may be: the kernel keeps it in a
// field of 108 bytes, with a zero at its end.
const maxPath = 107

// ParseEndpoint reads tcp://host:port, ipc:///path, ipc://@abstract or
// inproc://name. A tcp host may be a name, an IPv4 address, an IPv6 address in
// brackets, or `*` for all interfaces of a listener; the port of a listener may be
// 0 or `*` to have one chosen. See [Endpoint.Dialable] for those to dial.
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
			return bad("want tcp://host:port, with an IPv6 address in brackets: %v", err)
		}
		if host == "*" {
			host = ""
		}
		if port == "*" {
			port = "0"
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return bad("%q is no port: want a number from 0 to 65535", port)
		}
		return Endpoint{"tcp", net.JoinHostPort(host, port), url}, nil
	case "ipc":
		switch {
		case rest == "" || rest == "@":
			return bad("want a path, as in ipc:///tmp/herald.sock")
		case rest == "*":
			return bad("a path is not chosen for you: want one, as in ipc:///tmp/herald.sock")
		case len(rest) > maxPath:
			return bad("the path has %d bytes, a Unix socket takes at most %d", len(rest), maxPath)
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

// Dialable tells why an endpoint can be bound but not dialled, nil if it can be.
func (e Endpoint) Dialable() error {
	if e.Network != "tcp" {
		return nil
	}
	host, port, err := net.SplitHostPort(e.Address)
	switch {
	case err != nil:
		return err
	case host == "":
		return fmt.Errorf("endpoint %q: all interfaces can be bound, not dialled: want a host, as in tcp://127.0.0.1:%s", e.url, port)
	case strings.Trim(port, "0") == "":
		return fmt.Errorf("endpoint %q: port 0 can be bound, not dialled: want the port that the other side got", e.url)
	}
	return nil
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

// abandoned reports whether path is a Unix socket that nobody listens on. Anything
// else that is in the way is somebody's, and stays.
func abandoned(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
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

// remoteOf is the address of a connection's other side. It is empty for a Unix
// socket without a name, and on some systems for a connection that was reset
// before it was accepted.
func remoteOf(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
