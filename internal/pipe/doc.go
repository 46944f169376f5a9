// Package pipe is the connection of the inproc transport: a buffered,
// full-duplex net.Conn in memory, and the names under which such connections
// are dialled inside one process.
//
// A [Conn] is two Streams, one for each direction. A [Stream] is a ring of
// bytes between a writer and a reader: a Write returns as soon as its bytes are
// in the ring, and waits only while the ring is full. The ring is allocated by
// the first write, grows with what is written up to a limit, and is given back
// after the traffic has become small again.
//
// To the code above, a Conn behaves as a TCP connection on loopback does:
// deadlines give os.ErrDeadlineExceeded, Close lets the peer read what was
// written before and then io.EOF, the peer's writes fail with syscall.EPIPE, and
// CloseWrite closes one direction only. Errors other than io.EOF are
// *net.OpError, so they are read with errors.Is.
//
// # Concurrency
//
// Everything here is safe for concurrent use. Concurrent Writes do not
// interleave, each Read takes its bytes whole. The package starts no goroutine,
// and no timer unless a call has to wait and a deadline is set. Whatever waits,
// waits on a sync.Cond, which testing/synctest counts as durably blocked. The
// registry of names is shared by the whole process, bubbles included: tests that
// run in parallel choose different names.
//
// # Bytes
//
// Reads and writes copy: a slice is borrowed only during the call.
package pipe
