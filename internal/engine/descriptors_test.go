//go:build linux || darwin

package engine_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heraldbus/herald/internal/engine"
)

// childEnv tells the test binary that it is the process of the test below.
const childEnv = "HERALD_ENGINE_DESCRIPTORS"

// A process that has no file descriptors left still serves whoever has something to
// say, at the expense of connections that say nothing, and works on once those are
// gone.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		listenWithFewDescriptors(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(out)
	for len(said) == 0 && lines.Scan() {
		said = append(said, lines.Text())
	}
	if len(said) == 0 {
		t.Fatal("the child has said nothing: ", cmd.Wait())
	}
	open := func() raw {
		c, err := net.Dial("tcp", strings.TrimPrefix(said[0], "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return raw{c, t}
	}
	var silent []raw
	for range 60 {
		silent = append(silent, open())
	}
	honest := []raw{open().shake("SUB"), open().shake("SUB")}
	for _, c := range silent {
		c.Close()
	}
	honest = append(honest, open().shake("SUB"))
	for _, c := range honest {
		c.send([]byte("\x04\x07\x04PING\x00\x00"))
		if _, body := c.frame(); string(body) != "\x04PONG" {
			t.Errorf("answered with %q", body)
		}
	}
	stop.Close()
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(said[1], syscall.EMFILE.Error()) {
		t.Errorf("the child ended with %v and said %q", err, said)
	}
}

// listenWithFewDescriptors is the child: it prints its endpoint, and, when its
// standard input ends, what the listener complained of.
func listenWithFewDescriptors(t *testing.T) {
	var r role
	cfg := r.config("PUB")
	cfg.HandshakeTimeout = time.Minute
	e := engine.New(cfg)
	defer e.Close()
	bound, err := e.Listen(t.Context(), "tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	few := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	few.Cur = 20 + uint64(len(entries))
	few.Cur = min(few.Cur, few.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(bound + "\n")
	io.Copy(io.Discard, os.Stdin)
	os.Stdout.WriteString(strings.Join(r.causes(), "; ") + "\n")
}
