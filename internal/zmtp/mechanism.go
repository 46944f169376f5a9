package zmtp

import (
	"fmt"

	"github.com/go-zeromq/zmq4"
)

// Sizes of CURVE's commands in bytes, without their names, RFC 26 "High-level
// Grammar". INITIATE and READY carry metadata as well.
const (
	curveHello       = 2 + 72 + 32 + 8 + 80
	curveWelcome     = 16 + 144
	curveInitiateMin = 96 + 8 + 144
	curveReadyMin    = 8 + 16
)

// step is one command that a peer has to send, and what its data must be. The
// check gets the data that zmq4 will see.
type step struct {
	command string
	check   func(g *Guard, data []byte) *HandshakeError
}

// mechanism lists what is received in a handshake by its client and its server.
type mechanism struct {
	client, server []step
	roles          bool // client and server differ, and the server may refuse by ERROR
	sealed         bool // metadata is encrypted, so the mechanism itself must show it to the guard
}

var mechanisms = map[zmq4.SecurityType]mechanism{
	// RFC 23 "The NULL Security Mechanism".
	zmq4.NullSecurity: {
		client: []step{{zmq4.CmdReady, (*Guard).checkMetadata}},
		server: []step{{zmq4.CmdReady, (*Guard).checkMetadata}},
	},
	// RFC 24.
	zmq4.PlainSecurity: {
		client: []step{{zmq4.CmdWelcome, sized(0)}, {zmq4.CmdReady, (*Guard).checkMetadata}},
		server: []step{{zmq4.CmdHello, (*Guard).checkCredentials}, {zmq4.CmdInitiate, (*Guard).checkMetadata}},
		roles:  true,
	},
	// RFC 26.
	zmq4.CurveSecurity: {
		client: []step{{zmq4.CmdWelcome, sized(curveWelcome)}, {zmq4.CmdReady, atLeast(curveReadyMin)}},
		server: []step{{zmq4.CmdHello, sized(curveHello)}, {zmq4.CmdInitiate, atLeast(curveInitiateMin)}},
		roles:  true,
		sealed: true,
	},
}

// sized checks that data has exactly n bytes.
func sized(n int) func(*Guard, []byte) *HandshakeError {
	return func(_ *Guard, data []byte) *HandshakeError {
		if len(data) != n {
			return refuse(CauseMalformed, "%d bytes of data instead of %d", len(data), n)
		}
		return nil
	}
}

// atLeast checks that data has n bytes or more.
func atLeast(n int) func(*Guard, []byte) *HandshakeError {
	return func(_ *Guard, data []byte) *HandshakeError {
		if len(data) < n {
			return refuse(CauseMalformed, "%d bytes of data instead of at least %d", len(data), n)
		}
		return nil
	}
}

// checkMetadata checks READY and INITIATE where they are in clear.
func (g *Guard) checkMetadata(data []byte) *HandshakeError {
	return g.peer.metadata(data, g.cfg.Socket, g.cfg.MaxProperties)
}

// checkCredentials checks a PLAIN client's HELLO, RFC 24: a user name and a
// password, each after its length octet. zmq4 lets in whoever sends one.
func (g *Guard) checkCredentials(data []byte) *HandshakeError {
	user, rest, ok := cutString(data)
	password, rest, ok2 := cutString(rest)
	if !ok || !ok2 || len(rest) != 0 {
		return refuse(CauseMalformed, "%d bytes that are not one user name and one password", len(data))
	}
	if err := g.cfg.Authenticate(user, password); err != nil {
		return &HandshakeError{Cause: CauseAuth, Detail: fmt.Sprintf("user %q was refused", user), Err: err}
	}
	return nil
}

// cutString cuts off b a string that follows its length octet.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}
