package engine_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heraldbus/herald/internal/engine"
)

func TestParseEndpoint(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for _, tt := range []struct {
		url              string
		network, address string
		wrong            string // part of the error
		bindOnly         string // part of the error of Dialable
	}{
		{url: "tcp://127.0.0.1:5556", network: "tcp", address: "127.0.0.1:5556"},
		{url: "tcp://sensors-a:5556", network: "tcp", address: "sensors-a:5556"},
		{url: "tcp://[::1]:5556", network: "tcp", address: "[::1]:5556"},
		{url: "tcp://[fe80::1%eth0]:5556", network: "tcp", address: "[fe80::1%eth0]:5556"},
		{url: "tcp://0.0.0.0:5556", network: "tcp", address: "0.0.0.0:5556"},
		{url: "tcp://*:5556", network: "tcp", address: ":5556", bindOnly: "tcp://127.0.0.1:5556"},
		{url: "tcp://:5556", network: "tcp", address: ":5556", bindOnly: "want a host"},
		{url: "tcp://*:*", network: "tcp", address: ":0", bindOnly: "want a host"},
		{url: "tcp://127.0.0.1:*", network: "tcp", address: "127.0.0.1:0", bindOnly: "port 0"},
		{url: "tcp://127.0.0.1:00", network: "tcp", address: "127.0.0.1:00", bindOnly: "port 0"},
		{url: "tcp://127.0.0.1", wrong: "missing port"},
		{url: "tcp://::1:5556", wrong: "brackets"},
		{url: "tcp://127.0.0.1:", wrong: `"" is no port`},
		{url: "tcp://127.0.0.1:65536", wrong: `"65536" is no port: want a number from 0 to 65535`},
		{url: "tcp://127.0.0.1:-1", wrong: "no port"},
		{url: "tcp://127.0.0.1:http", wrong: "no port"},
		{url: "tcp://127.0.0.1:5556 ", wrong: "no port"},
		{url: "tcp://", wrong: "missing port"},
		{url: "ipc:///tmp/herald.sock", network: "unix", address: "/tmp/herald.sock"},
		{url: "ipc://relative", network: "unix", address: "relative"},
		{url: "ipc://@abstract", network: "unix", address: "@abstract"},
		{url: "ipc://" + long[:107], network: "unix", address: long[:107]},
		{url: "ipc://" + long, wrong: "108 bytes"},
		{url: "ipc://", wrong: "want a path"},
		{url: "ipc://@", wrong: "want a path"},
		{url: "ipc://*", wrong: "not chosen"},
		{url: "inproc://events", network: "inproc", address: "events"},
		{url: "inproc://", wrong: "want a name"},
		{url: "127.0.0.1:5556", wrong: "tcp://127.0.0.1:5556"},
		{url: "", wrong: "want a transport"},
		{url: "udp://127.0.0.1:5556", wrong: `unknown transport "udp"`},
		{url: "TCP://127.0.0.1:5556", wrong: "unknown transport"},
	} {
		ep, err := engine.ParseEndpoint(tt.url)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) || !strings.Contains(err.Error(), tt.url) {
				t.Errorf("%q: error %v, want one that names it and says %q", tt.url, err, tt.wrong)
			}
			continue
		}
		if err != nil || ep.Network != tt.network || ep.Address != tt.address || ep.String() != tt.url {
			t.Errorf("%q: %+v, %v", tt.url, ep, err)
			continue
		}
		err = ep.Dialable()
		if (err != nil) != (tt.bindOnly != "") || err != nil && !strings.Contains(err.Error(), tt.bindOnly) {
			t.Errorf("%q: dialable: %v, want %q", tt.url, err, tt.bindOnly)
		}
	}
}

// Each transport of the real network, from the endpoint that was bound to a message.
func TestEndpoints(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ bind, prefix string }{
		{"tcp://127.0.0.1:0", "tcp://127.0.0.1:"},
		{"tcp://127.0.0.1:*", "tcp://127.0.0.1:"},
		{"tcp://localhost:0", "tcp://"},
		{"tcp://*:0", "tcp://0.0.0.0:"},
		{"tcp://[::1]:0", "tcp://[::1]:"},
		{"ipc://" + filepath.Join(dir, "s"), "ipc://"},
		{"ipc://@herald-engine-test", "ipc://@"},
		{"inproc://herald-engine-test", "inproc://"},
	} {
		t.Run(tt.bind, func(t *testing.T) {
			if strings.Contains(tt.bind, "@") && runtime.GOOS != "linux" {
				t.Skip("abstract sockets are Linux's")
			}
			var pub, sub role
			a := engine.New(pub.config("PUB"))
			defer a.Close()
			bound, err := a.Listen(t.Context(), tt.bind)
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Skip("this machine has no such address: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(bound, tt.prefix) || strings.HasSuffix(bound, ":0") {
				t.Errorf("bound to %s", bound)
			}
			if _, err := a.Listen(t.Context(), bound); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("bound twice: %v", err)
			}
			b := engine.New(sub.config("SUB"))
			defer b.Close()
			if _, err := b.Dial(bound, nil); err != nil {
				t.Fatal(err)
			}
			sub.waitPeers(t, 1)
			send(a, pub.waitPeers(t, 1)[0], "topic", "payload")
			sub.waitMessages(t, 1)
			sub.expect(t, "topic|payload")
		})
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A socket file whose owner was killed is in nobody's way; anything else stays.
func TestSocketFileInTheWay(t *testing.T) {
	listen := func(path string) error {
		var r role
		e := engine.New(r.config("PUB"))
		defer e.Close()
		_, err := e.Listen(t.Context(), "ipc://"+path)
		return err
	}
	leave := func(t *testing.T, path string) {
		t.Helper()
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
	dir := t.TempDir()

	stale := filepath.Join(dir, "stale")
	leave(t, stale)
	if err := listen(stale); err != nil {
		t.Errorf("a stale socket: %v", err)
	}

	live := filepath.Join(dir, "live")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	leave(t, stale)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(stale, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{live, file, link} {
		if err := listen(path); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v, want that it is in use", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
}

// What can never be dialled or bound is an error at once, and after Close
// everything is.
func TestRefusedEndpoints(t *testing.T) {
	var r role
	e := engine.New(r.config("SUB"))
	for _, url := range []string{"tcp://*:5556", "tcp://127.0.0.1:0", "nonsense"} {
		if _, err := e.Dial(url, nil); err == nil {
			t.Errorf("dial %s: no error", url)
		}
	}
	if _, err := e.Listen(t.Context(), "tcp://192.0.2.1:0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("bound to an address of another machine: %v", err)
	}
	e.Close()
	e.Close()
	if _, err := e.Listen(t.Context(), "tcp://127.0.0.1:0"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("listen after Close: %v", err)
	}
	if _, err := e.Dial("tcp://127.0.0.1:5556", nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("dial after Close: %v", err)
	}
	if since := e.Now(); since <= 0 || since > time.Hour {
		t.Errorf("Now is %v", since)
	}
}
