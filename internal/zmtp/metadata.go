package zmtp

import (
	"encoding/binary"
	"strings"

	"github.com/go-zeromq/zmq4"
)

// MaxIdentity is the most bytes that an identity has, RFC 23 "The Identity
// Property".
const MaxIdentity = 255

// The properties that zmq4 looks for, spelt the only way in which it finds them.
const (
	propSocketType = "Socket-Type"
	propIdentity   = "Identity"
)

// Property is one entry of a peer's metadata. Names are to be compared without
// regard to case.
type Property struct{ Name, Value string }

// Ready is what a peer said of itself in its greeting and its metadata. None of
// it is proven, and apart from Socket all is chosen freely by the peer: quote it
// before printing it.
type Ready struct {
	Major, Minor byte              // version of ZMTP in the greeting: 3.1 for libzmq 4.3, 3.0 for zmq4
	Mechanism    zmq4.SecurityType // the same as ours
	Server       bool              // the as-server octet; libzmq and zmq4 never set it
	Socket       zmq4.SocketType   // a type that ours may talk to
	Identity     string            // 0 to 255 bytes; libzmq gives one only for REQ, DEALER and ROUTER
	Properties   []Property        // all others, in the order sent
}

// peers lists for each socket type the types that it may talk to, RFC 23 "The
// Socket-Type Property".
var peers = map[zmq4.SocketType][]zmq4.SocketType{
	zmq4.Pub:    {zmq4.Sub, zmq4.XSub},
	zmq4.Sub:    {zmq4.Pub, zmq4.XPub},
	zmq4.XPub:   {zmq4.Sub, zmq4.XSub},
	zmq4.XSub:   {zmq4.Pub, zmq4.XPub},
	zmq4.Req:    {zmq4.Rep, zmq4.Router},
	zmq4.Rep:    {zmq4.Req, zmq4.Dealer},
	zmq4.Dealer: {zmq4.Rep, zmq4.Dealer, zmq4.Router},
	zmq4.Router: {zmq4.Req, zmq4.Dealer, zmq4.Router},
	zmq4.Push:   {zmq4.Pull},
	zmq4.Pull:   {zmq4.Push},
	zmq4.Pair:   {zmq4.Pair},
}

// Compatible tells whether sockets of the types ours and theirs may be connected.
// A type that is not known is compatible with none, where zmq4's own check panics.
func Compatible(ours, theirs zmq4.SocketType) bool {
	for _, t := range peers[ours] {
		if t == theirs {
			return true
		}
	}
	return false
}

// metadata reads the property list in body into r, RFC 23 "metadata", and refuses
// one that a socket of type ours could not use. It writes the names Socket-Type
// and Identity into body in zmq4's spelling: RFC 23 leaves their case open, but
// zmq4 panics when it does not find the first by exactly that name.
func (r *Ready) metadata(body []byte, ours zmq4.SocketType, limit int) *HandshakeError {
	var socket, identity bool
	r.Properties = nil
	for n := 0; len(body) > 0; n++ {
		if n == limit {
			return refuse(CauseOversize, "metadata of more than %d properties", limit)
		}
		name, value, rest, err := cutProperty(body)
		if err != nil {
			return err
		}
		body = rest
		var canonical string
		var seen *bool
		switch {
		case strings.EqualFold(string(name), propSocketType):
			canonical, seen = propSocketType, &socket
			r.Socket = zmq4.SocketType(value)
		case strings.EqualFold(string(name), propIdentity):
			if len(value) > MaxIdentity {
				return refuse(CauseOversize, "identity of %d bytes, the limit is %d", len(value), MaxIdentity)
			}
			canonical, seen = propIdentity, &identity
			r.Identity = string(value)
		default:
			r.Properties = append(r.Properties, Property{string(name), string(value)})
			continue
		}
		if *seen {
			return refuse(CauseMalformed, "metadata with %s twice", canonical)
		}
		*seen = true
		copy(name, canonical)
	}
	if !socket {
		return refuse(CauseSocketType, "metadata without %s", propSocketType)
	}
	if !Compatible(ours, r.Socket) {
		return refuse(CauseSocketType, "the peer's socket is %.32q; a %s talks to %v", string(r.Socket), ours, peers[ours])
	}
	return nil
}

// cutProperty cuts the first property off body, RFC 23 "property": a length octet
// and a name, four length octets and a value.
func cutProperty(body []byte) (name, value, rest []byte, err *HandshakeError) {
	n := int(body[0])
	rest = body[1:]
	if n == 0 {
		return nil, nil, nil, refuse(CauseMalformed, "metadata property with an empty name")
	}
	if len(rest) < n+4 {
		return nil, nil, nil, refuse(CauseMalformed, "metadata ends within a property of a %d-byte name", n)
	}
	name, rest = rest[:n], rest[n:]
	for _, c := range name {
		if !isNameChar(c) {
			return nil, nil, nil, refuse(CauseMalformed, "metadata property name %.32q", name)
		}
	}
	size := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(size) > uint64(len(rest)) {
		return nil, nil, nil, refuse(CauseMalformed, "metadata property %.32q of %d bytes where %d are left", name, size, len(rest))
	}
	return name, rest[:size], rest[size:], nil
}

// isNameChar is RFC 23 "name-char".
func isNameChar(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '+'
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
