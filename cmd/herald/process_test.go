//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spawned is herald as a process of its own.
type spawned struct {
	t *testing.T
	*exec.Cmd
	err bytes.Buffer
}

// spawn starts a process. stdin and stdout are what it gets, nil for nothing.
func spawn(t *testing.T, stdin io.Reader, stdout io.Writer, args ...string) *spawned {
	t.Helper()
	s := &spawned{t: t, Cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	// A process with the race detector would linger for a second at its end.
	s.Env = append(os.Environ(), "HERALD_TEST_MAIN=1", "GORACE=atexit_sleep_ms=0")
	s.Stdin, s.Stdout, s.Stderr = stdin, stdout, &s.err
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.ProcessState == nil {
			s.Process.Kill()
			s.Wait()
		}
	})
	return s
}

// pipe is os.Pipe, for the ends of which a process can be given one.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (s *spawned) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *spawned) exits(code int) {
	s.t.Helper()
	timer := time.AfterFunc(patienceOfTests, func() { s.Process.Signal(syscall.SIGQUIT) }) // it then says where it hangs
	defer timer.Stop()
	s.Wait()
	if got := s.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("herald %q: %v, want exit code %d\nstderr:\n%s", s.Args[1:], s.ProcessState, code, s.err.String())
	}
}

// socket is an endpoint in the test's own folder.
func socket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "herald")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return "ipc://" + dir + "/s"
}

// TestFrozen: a publisher that is stopped is reported, and again when it goes on.
func TestFrozen(t *testing.T) {
	t.Parallel()
	url := socket(t)
	sub := start(t, nil, "sub", "--connect", url, "--status", "--json")
	pub := spawn(t, nil, nil, "pub", "--bind", url, "--heartbeat", "50ms", "--stay", "a", "b")
	sub.await(&sub.out, `{"status":"ready"`)
	pub.signal(syscall.SIGSTOP)
	sub.await(&sub.out, `{"status":"stale"`)
	pub.signal(syscall.SIGCONT)
	sub.await(&sub.out, `{"status":"recovered"`)
}

// TestSignals: a subscriber is ended that waits for events, and a publisher that
// waits for input.
func TestSignals(t *testing.T) {
	t.Parallel()
	url := socket(t)
	stdin, _ := pipe(t)
	pub := spawn(t, stdin, nil, "pub", "--bind", url, "--stdin")
	r, w := pipe(t)
	sub := spawn(t, nil, w, "sub", "--connect", url, "--status", "--json")
	w.Close()
	lines := bufio.NewReader(r)
	for line := ""; !strings.HasPrefix(line, `{"status":"ready"`); {
		var err error
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	sub.signal(syscall.SIGINT)
	sub.exits(exitDone)

	witness := start(t, nil, "sub", "--connect", url, "--status", "--json")
	witness.await(&witness.out, `{"status":"ready"`)
	pub.signal(syscall.SIGTERM)
	pub.exits(exitDone)
	witness.await(&witness.out, `{"status":"gone"`)
}

// TestHead: the reader of stdout goes away.
func TestHead(t *testing.T) {
	t.Parallel()
	url := socket(t)
	stop := flood(t, url)
	r, w := pipe(t)
	sub := spawn(t, nil, w, "sub", "--connect", url)
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "a\tb\n" {
		t.Fatal(line, err)
	}
	r.Close()
	sub.exits(exitDone)
	if got := sub.err.String(); got != "" {
		t.Errorf("%q", got)
	}
	stop()
}

// TestStdoutBlocked: nobody reads stdout, and a signal comes.
func TestStdoutBlocked(t *testing.T) {
	t.Parallel()
	url := socket(t)
	stop := flood(t, url)
	r, w := pipe(t)
	sub := spawn(t, nil, w, "sub", "--connect", url)
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	sub.signal(syscall.SIGTERM)
	sub.exits(exitDone)
	stop()
}

// flood publishes events without end.
func flood(t *testing.T, url string) (stop func()) {
	r, w := io.Pipe()
	go func() {
		lines := []byte(strings.Repeat("a b\n", 1000))
		for {
			if _, err := w.Write(lines); err != nil {
				return
			}
		}
	}()
	pub := start(t, r, "pub", "--bind", url, "--stdin", "--wait", "1", "--overflow", "drop-newest")
	return func() {
		pub.stop()
		r.Close()
		pub.exits(exitDone)
	}
}

// TestSecondSignal: the first one is answered with a goodbye and the wait for a
// subscriber that does not take it, the second ends that.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	url := socket(t)
	l, err := net.Listen("unix", strings.TrimPrefix(url, "ipc://"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pub := spawn(t, nil, nil, "pub", "--connect", url, "--stay", "--linger", "1h", "a", "b")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := shake(c, "SUB"); err != nil {
		t.Fatal(err)
	}
	// All is subscribed to; the heartbeat that answers shows that the peer is known.
	if _, err := io.WriteString(c, "\x00\x01\x01"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pub.signal(syscall.SIGTERM)
	if _, err := io.Copy(io.Discard, c); err != nil { // until it has said all
		t.Fatal(err)
	}
	pub.signal(syscall.SIGTERM)
	pub.exits(exitFailure)
}
