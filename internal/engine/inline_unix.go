//go:build unix

package engine

import (
	"net"
	"syscall"
)

// inlineWriter writes what a connection takes without waiting, and never waits.
type inlineWriter struct {
	try func(p []byte) (int, error)
}

func (w *inlineWriter) ok() bool { return w.try != nil }

func (w *inlineWriter) write(p []byte) (int, error) { return w.try(p) }

func (w *inlineWriter) init(conn net.Conn) {
	if c, ok := conn.(interface {
		TryWrite([]byte) (int, error)
	}); ok {
		w.try = c.TryWrite
		return
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return // something that writes more than it is given, such as TLS
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	r := &rawWriter{raw: raw}
	r.call = r.once
	w.try = r.write
}

// rawWriter makes one write(2) on the connection's descriptor, which the runtime
// has set to non-blocking. Its function is made once, so that a write allocates
// nothing.
type rawWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool
	p    []byte
	n    int
	err  error
}

func (r *rawWriter) write(p []byte) (int, error) {
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Write(r.call)
	r.p = nil
	if err == nil && r.err != nil && r.err != syscall.EAGAIN && r.err != syscall.EINTR {
		err = r.err
	}
	return max(r.n, 0), err
}

func (r *rawWriter) once(fd uintptr) bool {
	r.n, r.err = syscall.Write(int(fd), r.p)
	return true // done, however much it was: do not wait for room
}
