package bus

import (
	"bytes"
	"time"
)

// Message is an event that was published. Its bytes belong to whoever received
// it, unless it came from [Subscriber.Borrow].
type Message struct {
	Topic   string
	Payload []byte
	Origin
	// Seq counts the events of the publisher's incarnation from 1; 0 for a foreign
	// publisher.
	Seq uint64
	// Time is when it was published, by the publisher's clock; zero for a foreign
	// publisher.
	Time time.Time
	// Replayed: it was sent again because it had been missed.
	Replayed bool
	// Retained: it is the last value of its topic, from before the subscription.
	Retained bool
	// Extra holds the frames after the payload that are no meta of Herald's.
	Extra [][]byte

	headers []byte // encoded
}

func (*Message) event() {}

// Header returns the value of a header, and whether there is one.
func (m *Message) Header(key string) (string, bool) {
	for k, v := range eachHeader(m.headers) {
		if string(k) == key {
			return string(v), true
		}
	}
	return "", false
}

// Headers returns all headers in the order in which they were given.
func (m *Message) Headers() []Header {
	var all []Header
	for k, v := range eachHeader(m.headers) {
		all = append(all, Header{string(k), string(v)})
	}
	return all
}

// Clone returns a copy that shares no bytes with m: what keeps a message from
// [Subscriber.Borrow].
func (m *Message) Clone() *Message {
	c := *m
	c.Payload = bytes.Clone(m.Payload)
	c.headers = bytes.Clone(m.headers)
	c.Extra = cloneFrames(m.Extra)
	return &c
}

func cloneFrames(frames [][]byte) [][]byte {
	if frames == nil {
		return nil
	}
	c := make([][]byte, len(frames))
	for i, f := range frames {
		c[i] = bytes.Clone(f)
	}
	return c
}
