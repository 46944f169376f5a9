package zmtp

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/go-zeromq/zmq4"
)

// MaxContext is the most bytes that the context of a PING or PONG has, RFC 37.
const MaxContext = 16

// tick is the unit of the TTL in a PING, RFC 37.
const tick = time.Second / 10

// AppendCommand appends to dst the frame of the command name with a copy of body
// as its data. The name is the caller's constant of 1 to 255 letters; a name that
// does not fit its length octet is a bug, and panics.
func AppendCommand(dst []byte, name string, body []byte) []byte {
	if name == "" || len(name) > math.MaxUint8 {
		panic(fmt.Sprintf("zmtp: command name of %d bytes: give 1 to 255", len(name)))
	}
	dst = AppendHeader(dst, FlagCommand, 1+len(name)+len(body))
	dst = append(dst, byte(len(name)))
	dst = append(dst, name...)
	return append(dst, body...)
}

// AppendPing appends a PING, RFC 37. Its ttl asks the peer to give the connection
// up when nothing more arrives for so long: rounded up to tenths of a second, and
// at most 6553.5 s, which is all its field can hold; zero or less asks for
// nothing. Of context, [MaxContext] bytes are sent.
func AppendPing(dst []byte, ttl time.Duration, context []byte) []byte {
	ticks := max(ttl, 0) / tick
	if ttl > ticks*tick {
		ticks++
	}
	var body [2 + MaxContext]byte
	binary.BigEndian.PutUint16(body[:], uint16(min(ticks, math.MaxUint16)))
	n := 2 + copy(body[2:], context)
	return AppendCommand(dst, zmq4.CmdPing, body[:n])
}

// AppendPong appends the PONG that answers a PING with this context, RFC 37. Of
// context, [MaxContext] bytes are sent.
func AppendPong(dst []byte, context []byte) []byte {
	return AppendCommand(dst, zmq4.CmdPong, context[:min(len(context), MaxContext)])
}

// ParsePing tells whether m is a PING. The ttl is how long the peer wants the
// connection kept without further traffic, 0 when it says nothing of it. The
// context is to be sent back in the PONG; it aliases m, and is cut to
// [MaxContext] bytes as libzmq does. libzmq itself sends none.
func ParsePing(m *Message) (ttl time.Duration, context []byte, ok bool) {
	if !m.is(zmq4.CmdPing) || len(m.Frames[0]) < 2 {
		return 0, nil, false
	}
	body := m.Frames[0]
	context = body[2:min(len(body), 2+MaxContext)]
	return time.Duration(binary.BigEndian.Uint16(body)) * tick, context, true
}

// First bytes of a subscription message, RFC 23 "The Publish-Subscribe Pattern".
const (
	cancelMark    = 0
	subscribeMark = 1
)

// AppendSubscribe appends the message that subscribes to prefix in ZMTP 3.0,
// which is what a peer expects of one that said 3.0 in its greeting, as zmq4 does.
func AppendSubscribe(dst []byte, prefix []byte) []byte {
	return appendSub(dst, subscribeMark, prefix)
}

// AppendCancel appends the message that takes back one subscription to prefix.
func AppendCancel(dst []byte, prefix []byte) []byte {
	return appendSub(dst, cancelMark, prefix)
}

func appendSub(dst []byte, mark byte, prefix []byte) []byte {
	dst = AppendHeader(dst, 0, 1+len(prefix))
	return append(append(dst, mark), prefix...)
}

// Sub is one subscription, or the end of one. Subscriptions are counted: whoever
// subscribed twice has to cancel twice.
type Sub struct {
	Cancel bool
	Prefix []byte // aliases the message it was read from; empty matches everything
}

// ParseSub reads a subscription that arrived on a publishing socket, in either of
// its forms: the message of ZMTP 3.0, or the SUBSCRIBE and CANCEL commands of 3.1.
// Anything else is not ok; from an XSUB peer it is a message of its application,
// which a PUB ignores.
func ParseSub(m *Message) (s Sub, ok bool) {
	if m.Command {
		switch string(m.Name) {
		case zmq4.CmdSubscribe:
			return Sub{Prefix: m.Frames[0]}, true
		case zmq4.CmdCancel:
			return Sub{Cancel: true, Prefix: m.Frames[0]}, true
		}
		return Sub{}, false
	}
	if len(m.Frames) != 1 || len(m.Frames[0]) == 0 || m.Frames[0][0] > subscribeMark {
		return Sub{}, false
	}
	f := m.Frames[0]
	return Sub{Cancel: f[0] == cancelMark, Prefix: f[1:]}, true
}

// is tells whether m is the command name.
func (m *Message) is(name string) bool { return m.Command && string(m.Name) == name }

// PeerError is what a peer gave as its reason in an ERROR command, RFC 23. It is
// fatal for the connection.
type PeerError struct {
	// Reason is at most 255 characters of printable ASCII; whatever else the peer
	// sent stands as '?'. libzmq sends three digits, the status of its
	// authentication handler, "400" where it refuses a client.
	Reason string
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("zmtp: the peer answered ERROR %q", e.Reason)
}

// ParseError tells whether m is an ERROR command. One may come after the
// handshake too, from a peer that checks what it was told only then.
func ParseError(m *Message) (e *PeerError, ok bool) {
	if !m.is(zmq4.CmdError) {
		return nil, false
	}
	return newPeerError(m.Frames[0]), true
}

// newPeerError reads the data of an ERROR command: a length octet and that many
// characters. zmq4 leaves the octet out, so where it cannot be one it is taken
// for the first character.
func newPeerError(data []byte) *PeerError {
	if len(data) > 0 && int(data[0]) <= len(data)-1 {
		data = data[1 : 1+int(data[0])]
	}
	reason := make([]byte, min(len(data), math.MaxUint8))
	for i := range reason {
		reason[i] = data[i]
		if data[i] < ' ' || data[i] > '~' {
			reason[i] = '?'
		}
	}
	return &PeerError{Reason: string(reason)}
}
