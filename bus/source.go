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
}

// From is a source with one endpoint or, given several, with a list in order of
// preference (failover): events are taken from the first that is alive, and when
// it is lost or stale from the next one that is. All of them are connected to
// from the start, for their heartbeats alone, so that the change is a matter of
// one message, and so that it is known when a lost one is back.
func From(endpoints ...string) Source { return Source{endpoints: endpoints} }

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
