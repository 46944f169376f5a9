//go:build unix

package engine

import (
	"errors"
	"net"
	"syscall"
)

// rawWrite returns a function that writes what a socket takes without waiting, nil
// for a connection that is no socket of its own kind: one that writes more than it
// is given, such as TLS, has a descriptor too.
func rawWrite(conn net.Conn) func(p []byte) (int, error) {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	w := &rawWriter{raw: raw}
	w.call = w.once
	return w.write
}

// rawWriter makes one write(2) on the connection's descriptor, which the runtime
// has set to non-blocking. Its function is made once, so that a write allocates
// nothing. It has one user at a time.
type rawWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool
	p    []byte
	n    int
	err  error
}

func (w *rawWriter) write(p []byte) (int, error) {
	w.p, w.n, w.err = p, 0, nil
	err := w.raw.Write(w.call)
	w.p = nil
	if err == nil && w.err != nil && !errors.Is(w.err, syscall.EAGAIN) && !errors.Is(w.err, syscall.EINTR) {
		err = w.err
	}
	return max(w.n, 0), err
}

func (w *rawWriter) once(fd uintptr) bool {
	w.n, w.err = syscall.Write(int(fd), w.p)
	return true // done, however much it was: do not wait for room
}
