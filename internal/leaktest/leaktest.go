// Package leaktest fails a package's tests when they leave goroutines or sockets
// behind. It is used by a TestMain, and by nothing else:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// It looks at the whole process once all tests are over, so it does not matter
// whether tests run in parallel. What a test has started may take a moment to end
// after Close; anything that must be over when Close returns is for the test
// itself to check.
package leaktest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long something may take to end after the last test.
const patience = 3 * time.Second

// Main runs the tests of a package and exits with their result, or with 1 when
// they passed and have left something behind, which it prints. A benchmark or fuzz
// run is checked like any other.
func Main(m *testing.M) {
	sockets := openSockets()
	code := m.Run()
	if code == 0 {
		if left := wait(patience, func() string { return left(sockets) }); left != "" {
			fmt.Fprint(os.Stderr, "leaktest: the tests have passed and left behind:\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// wait calls find until it finds nothing, or for at most d, and returns what it
// found last.
func wait(d time.Duration, find func() string) (found string) {
	pause := time.Millisecond
	for deadline := time.Now().Add(d); ; pause *= 2 {
		if found = find(); found == "" || time.Now().After(deadline) {
			return found
		}
		time.Sleep(pause)
	}
}

// left describes the goroutines that are running besides the caller's, and the
// sockets that are open besides a number of them.
func left(sockets int) string {
	var b strings.Builder
	for _, g := range goroutines() {
		fmt.Fprintf(&b, "%s\n\n", g)
	}
	if n := openSockets() - sockets; n > 0 {
		fmt.Fprintf(&b, "%d open sockets\n", n)
	}
	return b.String()
}

// harmless are functions by which a goroutine is known to belong to the runtime or
// to the testing package.
var harmless = []string{
	"os/signal.signal_recv(",
	"os/signal.loop(",
	"runtime.ensureSigM(",
	"runtime/pprof.profileWriter(",
	"testing.(*F).Fuzz",
	"testing.(*M).",
}

// goroutines are the stacks of all goroutines but the caller's and the harmless.
func goroutines() (stacks []string) {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n")
next:
	for _, g := range all[1:] { // the caller's comes first
		for _, name := range harmless {
			if strings.Contains(g, name) {
				continue next
			}
		}
		stacks = append(stacks, g)
	}
	return stacks
}

// openSockets counts the sockets of this process, where the system lists its
// files; elsewhere there are none.
func openSockets() (n int) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
