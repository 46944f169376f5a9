package zmtp

import (
	"bytes"

	"github.com/go-zeromq/zmq4"
)

// The greeting of 64 octets, RFC 23 "greeting", and where its fields end.
const (
	signatureLen    = 10 // %xFF, padding of no meaning, %x7F
	majorLen        = 11
	mechanismStart  = 12
	mechanismEnd    = 32
	asServerLen     = 33
	greetingLen     = 64 // the filler in the rest is for later versions
	signatureFirst  = 0xff
	signatureLast   = 0x7f
	lowestMajor     = 3
	unversionedSize = 2 // of ZMTP 1: a length, then flags of zero
)

// checkGreeting looks at the first bytes of a greeting as far as they have come,
// so that a peer that waits for an answer in some other protocol is told apart
// at once and not by a time-out.
func checkGreeting(b []byte, ours zmq4.SecurityType) *HandshakeError {
	if len(b) >= unversionedSize && b[0] != signatureFirst {
		return foreign(b)
	}
	if len(b) >= signatureLen && b[signatureLen-1] != signatureLast {
		return refuse(CauseNotZMTP, "the signature ends with %#02x instead of %#02x", b[signatureLen-1], signatureLast)
	}
	if len(b) >= majorLen && b[majorLen-1] < lowestMajor {
		return refuse(CauseVersion, "the peer speaks ZMTP 2 (revision %d): at least 3 is needed, libzmq 4.0 or newer", b[majorLen-1])
	}
	if len(b) >= mechanismEnd {
		field := b[mechanismStart:mechanismEnd]
		name := bytes.TrimRight(field, "\x00")
		if bytes.IndexByte(name, 0) >= 0 {
			return refuse(CauseMalformed, "mechanism %q", field)
		}
		if string(name) != string(ours) {
			return refuse(CauseMechanism, "the peer's security mechanism is %q, here it is %q: both sides need the same", name, ours)
		}
	}
	if len(b) >= asServerLen && b[asServerLen-1] > 1 {
		return refuse(CauseMalformed, "as-server is %#02x instead of 0 or 1", b[asServerLen-1])
	}
	return nil
}

// foreign names what a peer speaks whose first byte is not that of ZMTP 2 or 3,
// from two bytes or more.
func foreign(b []byte) *HandshakeError {
	if b[0] != 0 && b[1] == 0 {
		return refuse(CauseVersion, "the peer speaks ZMTP 1: at least 3 is needed, libzmq 4.0 or newer")
	}
	kind := "is no ZeroMQ peer"
	switch {
	case b[0] == 0x16 && b[1] == 3:
		kind = "speaks TLS"
	case isLetter(b[0]) && isLetter(b[1]):
		kind = "speaks a text protocol such as HTTP"
	}
	return refuse(CauseNotZMTP, "the peer %s: its first bytes are %.16q", kind, b)
}
