package zmtp

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-zeromq/zmq4"
)

// Cause is the kind of a failed handshake: a short fixed word that can label a
// metric.
type Cause string

// The causes.
const (
	CauseConfig     Cause = "config"      // the arguments on our side
	CauseNotZMTP    Cause = "not-zmtp"    // the peer speaks another protocol
	CauseVersion    Cause = "version"     // the peer speaks ZMTP 1 or 2
	CauseMechanism  Cause = "mechanism"   // the peer uses another security mechanism
	CauseMalformed  Cause = "malformed"   // what the peer sent is not as the mechanism demands
	CauseOversize   Cause = "oversize"    // what the peer sent is beyond a limit
	CauseSocketType Cause = "socket-type" // the peer's socket is of a type that ours cannot talk to
	CauseAuth       Cause = "auth"        // the client is not who it has to be
	CausePeerError  Cause = "peer-error"  // the peer answered ERROR; Err is a *PeerError
	CauseTimeout    Cause = "timeout"     // a deadline of the connection passed
	CauseClosed     Cause = "closed"      // the connection ended or failed
)

// HandshakeError says why a handshake failed.
type HandshakeError struct {
	Cause  Cause
	Detail string // what was found, and what was expected
	Err    error  // what lies beneath, or nil
}

func (e *HandshakeError) Error() string {
	s := fmt.Sprintf("zmtp: handshake failed (%s): %s", e.Cause, e.Detail)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns e.Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// refuse makes the error for what a peer has done.
func refuse(cause Cause, format string, args ...any) *HandshakeError {
	return &HandshakeError{Cause: cause, Detail: fmt.Sprintf(format, args...)}
}

// lost makes the error for err of the connection.
func lost(err error, doing string) *HandshakeError {
	cause := CauseClosed
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		cause = CauseTimeout
	}
	return &HandshakeError{Cause: cause, Detail: doing, Err: err}
}

// Sealed is a security mechanism that encrypts its metadata, as CURVE does, so
// that a guard cannot see it. [Handshake] gives it the guard before it starts; it
// passes what it has decrypted through [Guard.Metadata] before it uses it, and ends
// its own handshake with the error that it gets there.
type Sealed interface {
	zmq4.Security
	Attach(g *Guard)
}

// Handshake performs the handshake on conn by zmq4.Open behind a [Guard], and
// returns what the peer said of itself. From then on conn is the caller's alone:
// not a byte after the handshake has been read, and zmq4 keeps nothing of it.
//
// The Mechanism and Server of cfg are overwritten from sec and server. The
// identity is announced to the peer; it has at most [MaxIdentity] bytes, and only
// a ROUTER looks at it. One sec serves one connection: zmq4's mechanisms have
// state.
//
// Handshake blocks until it is done or conn fails. The caller sets a deadline on
// conn before, since a peer can stay silent for ever, and takes it off again; when
// Handshake fails, the caller closes conn. Every error is a *[HandshakeError], a
// panic of zmq4 or of sec included.
func Handshake(conn net.Conn, sec zmq4.Security, cfg GuardConfig, identity zmq4.SocketIdentity, server bool) (Ready, error) {
	if conn == nil || sec == nil {
		return Ready{}, refuse(CauseConfig, "a connection and a security mechanism are needed, one is nil")
	}
	if len(identity) > MaxIdentity {
		return Ready{}, refuse(CauseConfig, "our identity has %d bytes, the limit is %d", len(identity), MaxIdentity)
	}
	cfg.Mechanism, cfg.Server = sec.Type(), server
	g := NewGuard(conn, cfg)
	if g.err != nil {
		return Ready{}, g.err
	}
	if mechanisms[cfg.Mechanism].sealed {
		s, ok := sec.(Sealed)
		if !ok {
			return Ready{}, refuse(CauseConfig, "%T encrypts its metadata: it has to implement zmtp.Sealed", sec)
		}
		s.Attach(g)
	}
	err := open(g, sec, identity)
	if g.err != nil {
		return Ready{}, g.err
	}
	if err == nil && (len(g.steps) > 0 || len(g.pending) > 0 || g.peer.Socket == "") {
		err = errors.New("the mechanism ended the handshake before the peer had said everything")
	}
	if err == nil {
		return g.peer, nil
	}
	var verdict *HandshakeError
	if !errors.As(err, &verdict) { // a mechanism may give its own
		verdict = &HandshakeError{Cause: CauseMalformed, Detail: string(cfg.Mechanism), Err: err}
	}
	return Ready{}, verdict
}

// open is zmq4.Open without panics. The guard keeps out all that is known to cause
// one.
func open(g *Guard, sec zmq4.Security, identity zmq4.SocketIdentity) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	_, err = zmq4.Open(g, sec, g.cfg.Socket, identity, g.cfg.Server, nil)
	return err
}
