package leaktest

import (
	"net"
	"strings"
	"testing"
	"time"
)

// What is left is found, and no longer found once it has ended.
func TestGoroutine(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	go lingering(begun, end)
	<-begun
	find := func() string { return strings.Join(goroutines(), "\n\n") }
	if found := wait(0, find); !strings.Contains(found, "lingering") {
		t.Errorf("a running goroutine is not found in:\n%s", found)
	}
	close(end)
	gone := func() string {
		if found := find(); strings.Contains(found, "lingering") {
			return found
		}
		return ""
	}
	if found := wait(patience, gone); found != "" {
		t.Errorf("a goroutine that has ended is found:\n%s", found)
	}
}

func lingering(begun, end chan struct{}) {
	close(begun)
	<-end
}

func TestSocket(t *testing.T) {
	before := openSockets()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if openSockets() == 0 {
		l.Close()
		t.Skip("this system does not list the files of a process")
	}
	if found := left(before); !strings.Contains(found, "1 open sockets") {
		t.Errorf("an open socket is not found: %q", found)
	}
	l.Close()
	if found := wait(time.Second, func() string { return left(before) }); strings.Contains(found, "sockets") {
		t.Errorf("a closed socket is found: %q", found)
	}
}

// A run that leaves nothing ends well.
func TestMain(m *testing.M) { Main(m) }
