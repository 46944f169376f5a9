package bus

import (
	"bytes"
	"time"
)

// Source is where a subscriber takes events from: one endpoint, or several at
// which the same stream can be had. Several sources are all used at once.
type Source struct {
	endpoints []string
	returns   time.Duration
	framing   Framing
	redundant bool
	window    int
}

// From is a source with one endpoint or, given several, with a list in order of
// preference (failover): events are taken from the first that is alive, and when
// it is lost or stale from the next one that is. All of them are connected to
// from the start, for their heartbeats alone, so that the change is a matter of
// one message, and so that it is known when a lost one is back.
func From(endpoints ...string) Source { return Source{endpoints: endpoints} }

// HeaderID is the header by which the application says which event this is, the
// same for all publishers of a stream, such as "prices-4711".
const HeaderID = "id"

// defaultWindow is how many events a redundant source remembers.
const defaultWindow = 65_536

// Redundant is a source with several publishers of the same stream, which are all
// used at once; each event is given once, when it first comes. So the loss of one
// publisher is not noticed in the stream. Which events are the same is said by the
// header [HeaderID]; without it only those that come twice from one publisher, over
// two of the endpoints, are known to be.
//
// What one publisher did not get through is reported as a [Gap] of that publisher,
// though another may have brought it.
func Redundant(endpoints ...string) Source {
	return Source{endpoints: endpoints, redundant: true, window: defaultWindow}
}

// Window is how many of the last events a redundant source remembers in order to
// tell what has come already; the default is 65,536. One that comes again later
// than that is given again.
func (s Source) Window(events int) Source {
	s.window = events
	return s
}

// ReturnAfter makes the source go back to an endpoint it prefers once that one has
// been alive for d. Without it, or with 0, it stays until it must change.
func (s Source) ReturnAfter(d time.Duration) Source {
	s.returns = d
	return s
}

// Framed makes the source read messages by another framing than Herald's.
func (s Source) Framed(f Framing) Source {
	s.framing = f
	return s
}

// Framing turns the frames of a foreign message into an event. It reports false
// for a message that is none. The frames are valid for the call; what it returns
// may be slices of them. It is called by several goroutines.
type Framing func(frames [][]byte) (Framed, bool)

// Framed is an event as a [Framing] found it.
type Framed struct {
	Topic   []byte
	Payload []byte
	Extra   [][]byte
}

// TextFraming reads messages of one frame, "topic payload", as many tutorials send
// them: the topic ends at the first space. A message of more frames has its topic
// in the first. Prefix filters are held against the whole frame, as ZeroMQ holds
// them; Exact and Pattern against the topic.
func TextFraming(frames [][]byte) (Framed, bool) {
	if len(frames) > 1 {
		return Framed{Topic: frames[0], Payload: frames[1], Extra: frames[2:]}, true
	}
	topic, payload, _ := bytes.Cut(frames[0], []byte(" "))
	return Framed{Topic: topic, Payload: payload}, true
}
