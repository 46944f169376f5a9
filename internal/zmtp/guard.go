package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-zeromq/zmq4"
)

// Defaults of [GuardConfig].
const (
	DefaultCommand    = 8 << 10 // bytes of one handshake command
	DefaultProperties = 32      // properties in a peer's metadata
)

// GuardConfig says what a [Guard] lets through.
type GuardConfig struct {
	// Mechanism is the security mechanism that both sides have to announce: NULL,
	// PLAIN or CURVE. [Handshake] takes it from its argument sec.
	Mechanism zmq4.SecurityType
	// Server tells, for PLAIN and CURVE, that this side checks who the other is.
	// [Handshake] takes it from its argument server.
	Server bool
	// Socket is the type of our own socket. It decides which types a peer may have.
	Socket zmq4.SocketType
	// MaxCommand bounds one handshake command, in bytes of its frame's body.
	// 0: [DefaultCommand]. A negative value is an error.
	MaxCommand int
	// MaxProperties bounds the properties in a peer's metadata.
	// 0: [DefaultProperties]. A negative value is an error.
	MaxProperties int
	// Authenticate decides on a client of a PLAIN server, where it is required. Its
	// error refuses the client, and is wrapped in the one that the handshake ends
	// with. It is called once, in the goroutine of the handshake, and must not keep
	// its arguments. It should take the same time whatever is wrong.
	Authenticate func(user, password []byte) error
}

// Guard stands between a connection and zmq4.Open for the time of a handshake. Its
// Read hands out what it has checked: the greeting, then one command at a time,
// each read whole into memory of bounded size before zmq4 sees a byte of it. It
// never reads past the last command of the handshake, and has then nothing more to
// give. What zmq4 writes passes unchanged; on its own account a guard sends only
// the ERROR by which a PLAIN or CURVE server refuses a client.
//
// Use a Guard in one goroutine; only the methods of the connection below it
// (Close, the deadlines) may be called from others, as far as that one allows.
type Guard struct {
	net.Conn

	cfg     GuardConfig
	steps   []step // still to come
	greeted bool
	pending []byte // checked and not yet read
	peer    Ready
	err     *HandshakeError
}

// NewGuard returns a guard in front of conn. If c is not valid, that is its
// verdict from the start.
func NewGuard(conn net.Conn, c GuardConfig) *Guard {
	if c.MaxCommand == 0 {
		c.MaxCommand = DefaultCommand
	}
	if c.MaxProperties == 0 {
		c.MaxProperties = DefaultProperties
	}
	g := &Guard{Conn: conn, cfg: c}
	if err := c.validate(); err != nil {
		g.err = &HandshakeError{Cause: CauseConfig, Detail: "GuardConfig", Err: err}
	}
	g.steps = mechanisms[c.Mechanism].client
	if c.Server {
		g.steps = mechanisms[c.Mechanism].server
	}
	return g
}

func (c *GuardConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, ok := mechanisms[c.Mechanism]; !ok {
		bad("Mechanism is %q: give NULL, PLAIN or CURVE", c.Mechanism)
	}
	if _, ok := peers[c.Socket]; !ok {
		bad("Socket is %q: give one of the types of RFC 23, such as PUB", c.Socket)
	}
	if c.MaxCommand < 0 {
		bad("MaxCommand is %d: give a number of bytes, or 0 for %d", c.MaxCommand, DefaultCommand)
	}
	if c.MaxProperties < 0 {
		bad("MaxProperties is %d: give a number, or 0 for %d", c.MaxProperties, DefaultProperties)
	}
	if c.Mechanism == zmq4.PlainSecurity && c.Server && c.Authenticate == nil {
		bad("Authenticate is nil: a PLAIN server needs it, since zmq4 lets everyone in")
	}
	return errors.Join(errs...)
}

// Peer returns what the peer has said so far; all of it once the handshake is
// done.
func (g *Guard) Peer() Ready { return g.peer }

// Err returns the guard's own verdict, a *[HandshakeError], or nil while there is
// nothing to complain of. It tells more than the error of zmq4.Open that comes of
// it.
func (g *Guard) Err() error {
	if g.err == nil {
		return nil
	}
	return g.err
}

// Read gives zmq4 what has been checked. Its error is the guard's verdict.
func (g *Guard) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, g.Err()
	}
	if len(g.pending) == 0 && g.err == nil {
		g.fail(g.next())
	}
	if g.err != nil {
		return 0, g.err
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// Write passes p on.
func (g *Guard) Write(p []byte) (int, error) {
	n, err := g.Conn.Write(p)
	if err != nil {
		g.fail(lost(err, "sending to the peer"))
	}
	return n, err
}

// Metadata checks a property list that a [Sealed] mechanism has decrypted, by the
// rules for one in clear, and keeps what it says for [Guard.Peer]. It corrects the
// case of names in body, so that the mechanism can give the same bytes to zmq4.
// An error is the guard's verdict on the handshake.
func (g *Guard) Metadata(body []byte) error {
	g.fail(g.checkMetadata(body))
	return g.Err()
}

// fail makes err the verdict, if it is the first, and tells a client that was
// refused.
func (g *Guard) fail(err *HandshakeError) {
	if err == nil || g.err != nil {
		return
	}
	g.err, g.pending = err, nil
	if !g.cfg.Server || !mechanisms[g.cfg.Mechanism].roles {
		return
	}
	var reason string
	switch err.Cause {
	case CauseAuth:
		reason = "400" // the status by which libzmq knows that it is the credentials, RFC 27
	case CauseSocketType:
		reason = propSocketType
	default:
		return
	}
	// The refusal stands whether or not the client hears of it.
	_, _ = g.Conn.Write(AppendCommand(nil, zmq4.CmdError, append([]byte{byte(len(reason))}, reason...)))
}

// next reads and checks what comes next, and leaves it in g.pending.
func (g *Guard) next() *HandshakeError {
	if !g.greeted {
		g.greeted = true
		return g.greeting()
	}
	if len(g.steps) == 0 {
		return refuse(CauseMalformed, "a read past the end of the handshake")
	}
	s := g.steps[0]
	g.steps = g.steps[1:]
	frame, data, err := g.command(s.command)
	if err != nil {
		return err
	}
	if err := s.check(g, data); err != nil {
		err.Detail = s.command + ": " + err.Detail
		return err
	}
	g.pending = frame
	return nil
}

// greeting reads the peer's greeting, and checks it while it comes in.
func (g *Guard) greeting() *HandshakeError {
	b := make([]byte, greetingLen)
	for have := 0; have < len(b); {
		n, err := g.Conn.Read(b[have:])
		have += n
		if bad := checkGreeting(b[:have], g.cfg.Mechanism); bad != nil {
			return bad
		}
		if err != nil && have < len(b) {
			return lost(err, "waiting for its greeting")
		}
	}
	g.peer = Ready{
		Major:     b[majorLen-1],
		Minor:     b[majorLen],
		Mechanism: g.cfg.Mechanism,
		Server:    b[asServerLen-1] == 1,
	}
	g.pending = b
	return nil
}

// command reads the frame of the command want, and returns all of it and the data
// after the command's name.
func (g *Guard) command(want string) (frame, data []byte, _ *HandshakeError) {
	var header [MaxHeader]byte
	length := shortHeader
	if _, err := io.ReadFull(g.Conn, header[:length]); err != nil {
		return nil, nil, lost(err, "waiting for "+want)
	}
	size := uint64(header[1])
	switch header[0] {
	case FlagCommand:
	case FlagCommand | FlagLong:
		length = longHeader
		if _, err := io.ReadFull(g.Conn, header[shortHeader:]); err != nil {
			return nil, nil, lost(err, "waiting for "+want)
		}
		size = binary.BigEndian.Uint64(header[1:])
	default:
		return nil, nil, refuse(CauseMalformed, "frame flags %#02x where the command %s is due", header[0], want)
	}
	if size > uint64(g.cfg.MaxCommand) {
		return nil, nil, refuse(CauseOversize, "command of %d bytes where %s is due, the limit is %d", size, want, g.cfg.MaxCommand)
	}
	frame = make([]byte, length+int(size))
	body := frame[copy(frame, header[:length]):]
	if _, err := io.ReadFull(g.Conn, body); err != nil {
		return nil, nil, lost(err, "waiting for "+want)
	}
	if reason, ok := bytes.CutPrefix(body, libzmqError); ok {
		return nil, nil, peerError(reason, want)
	}
	name, data, ok := cutCommand(body)
	for _, c := range name {
		ok = ok && isLetter(c)
	}
	switch {
	case !ok:
		return nil, nil, refuse(CauseMalformed, "command without a proper name where %s is due", want)
	case string(name) == zmq4.CmdError:
		return nil, nil, peerError(data, want)
	case string(name) != want:
		return nil, nil, refuse(CauseMalformed, "command %.32q where %s is due", name, want)
	}
	return frame, data, nil
}

// libzmqError is how the ERROR of a PLAIN server begins in libzmq 4.3.4, instead
// of "\x05ERROR": its source has "\x5ERROR", where C takes the E for a digit.
var libzmqError = []byte("\x5eRROR")

func peerError(data []byte, want string) *HandshakeError {
	return &HandshakeError{Cause: CausePeerError, Detail: "waiting for " + want, Err: newPeerError(data)}
}
