package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Overflow says what happens when a queue is full. Whatever is dropped is
// counted, and seen by the subscriber as a [Gap].
type Overflow int

const (
	// OverflowDefault is DropNewest at a publisher, as ZeroMQ does it, and Block
	// at a subscriber: what it cannot take waits in the transport, and then in
	// the publisher's queue.
	OverflowDefault Overflow = iota
	// DropNewest drops the event that finds no room.
	DropNewest
	// DropOldest drops as many of the oldest events as the new one needs.
	DropOldest
	// Block waits for room. At a publisher Publish waits, for as long as its
	// context allows, so that one peer can hold up all. At a subscriber the
	// connection is not read meanwhile.
	Block
	// Disconnect ends the connection of the peer that does not keep up.
	Disconnect
	// Conflate keeps only the newest event of each topic: what counts for prices,
	// scores and readings. Where there are more topics than half the queue has
	// room for, the oldest go as well.
	Conflate
)

var overflowNames = [...]string{"default", "drop-newest", "drop-oldest", "block", "disconnect", "conflate"}

func (o Overflow) String() string {
	if o < 0 || int(o) >= len(overflowNames) {
		return fmt.Sprintf("Overflow(%d)", int(o))
	}
	return overflowNames[o]
}

// ParseOverflow reads what String prints.
func ParseOverflow(s string) (Overflow, error) {
	for i, name := range overflowNames {
		if s == name {
			return Overflow(i), nil
		}
	}
	return 0, fmt.Errorf("bus: unknown overflow policy %q: want drop-newest, drop-oldest, block, disconnect or conflate", s)
}

// Queue bounds a queue of events: the high-water mark, in two measures. Whichever
// is reached first counts.
type Queue struct {
	Messages int // 0: 100,000
	Bytes    int // of topic, payload and framing; 0: 64 MiB
	Overflow Overflow
	// Patience bounds the wait of [Block] at a publisher: a peer that takes nothing
	// for so long is disconnected, as under [Disconnect], and holds up the others no
	// longer. 0: it is waited for as long as the context of Publish allows.
	Patience time.Duration
}

const (
	defaultQueueMessages = 100_000
	defaultQueueBytes    = 64 << 20
)

func (q Queue) check(f *fields, name string, overflow Overflow) Queue {
	if q.Messages < 0 {
		f.bad(name+".Messages", q.Messages, "want a number of events, or 0 for 100,000")
	}
	if q.Bytes < 0 {
		f.bad(name+".Bytes", q.Bytes, "want a number of bytes, or 0 for 64 MiB")
	}
	if q.Overflow < 0 || q.Overflow > Conflate {
		f.bad(name+".Overflow", q.Overflow, "unknown policy")
	}
	if q.Patience < 0 || q.Patience > 0 && (q.Overflow != Block || overflow != DropNewest) {
		f.bad(name+".Patience", q.Patience, "want a duration, or 0 for no limit; it is for Block at a publisher")
	}
	if q.Messages == 0 {
		q.Messages = defaultQueueMessages
	}
	if q.Bytes == 0 {
		q.Bytes = defaultQueueBytes
	}
	if q.Overflow == OverflowDefault {
		q.Overflow = overflow
	}
	return q
}

func (q Queue) limit() queue.Limit {
	o := map[Overflow]queue.Overflow{
		DropNewest: queue.DropNewest, DropOldest: queue.DropOldest,
		Block: queue.Block, Disconnect: queue.Disconnect, Conflate: queue.Conflate,
	}[q.Overflow]
	return queue.Limit{Messages: q.Messages, Bytes: q.Bytes, Overflow: o, Topic: topicOf}
}

// topicOf is the topic of an encoded event of our own: it is at most 255 bytes, so
// its frame begins with flags and one byte of length.
func topicOf(msg []byte) []byte { return msg[2 : 2+int(msg[1])] }

// Limits bounds what peers may ask of this process. A connection that goes beyond
// one is closed or, for Connections and Handshakes, refused, and no other notices.
type Limits struct {
	// FrameBytes is the size of one frame that is received. 0: 64 MiB at a
	// subscriber, 64 KiB at a publisher, to which peers send subscriptions only.
	FrameBytes int
	// Frames is the number of frames of a message that is received. 0: 64.
	Frames int
	// MessageBytes is the size of all frames of a message that is received.
	// 0: as FrameBytes, and 64 KiB more.
	MessageBytes int
	// Connections is how many there may be at once, handshakes included. 0: 65,536.
	Connections int
	// Handshakes is how many connections may be in their handshake at once; one
	// more takes the place of the oldest. 0: 1,024.
	Handshakes int
	// HandshakeTimeout is how long a dial, and after it a handshake, may take.
	// 0: 5 s.
	HandshakeTimeout time.Duration
	// Subscriptions is how many a peer of a publisher may have. 0: 1,000,000.
	Subscriptions int
	// SubscriptionBytes is how long all subscriptions of a peer may be together.
	// 0: 64 MiB.
	SubscriptionBytes int
}

func (l Limits) check(f *fields, frameBytes int) Limits {
	for _, x := range []struct {
		name  string
		v     *int
		unset int
	}{
		{"FrameBytes", &l.FrameBytes, frameBytes},
		{"Frames", &l.Frames, 64},
		{"Connections", &l.Connections, 65_536},
		{"Handshakes", &l.Handshakes, 1_024},
		{"Subscriptions", &l.Subscriptions, 1_000_000},
		{"SubscriptionBytes", &l.SubscriptionBytes, 64 << 20},
		{"MessageBytes", &l.MessageBytes, -1},
	} {
		if *x.v < 0 {
			f.bad("Limits."+x.name, *x.v, "want a positive number, or 0 for the default")
		}
		if *x.v == 0 {
			*x.v = x.unset
		}
	}
	if l.MessageBytes == -1 {
		l.MessageBytes = l.FrameBytes + 64<<10
	}
	if l.HandshakeTimeout < 0 {
		f.bad("Limits.HandshakeTimeout", l.HandshakeTimeout, "want a duration, or 0 for 5s")
	}
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = 5 * time.Second
	}
	return l
}

func (l Limits) zmtp() zmtp.Limits {
	return zmtp.Limits{Frame: l.FrameBytes, Frames: l.Frames, Message: l.MessageBytes}
}

// Reconnect is the pause between attempts to connect: it doubles from Min to Max,
// and each is drawn from the upper half of its value.
type Reconnect struct {
	Min time.Duration // 0: 100 ms
	Max time.Duration // 0: 5 s, or Min where that is more
}

func (r Reconnect) check(f *fields) engine.Backoff {
	if r.Min < 0 {
		f.bad("Reconnect.Min", r.Min, "want a duration, or 0 for 100ms")
	}
	if r.Max < 0 {
		f.bad("Reconnect.Max", r.Max, "want a duration, or 0 for 5s")
	}
	if r.Min == 0 {
		r.Min = 100 * time.Millisecond
	}
	if r.Max == 0 {
		r.Max = max(5*time.Second, r.Min)
	}
	if r.Min > 0 && 0 < r.Max && r.Max < r.Min {
		f.bad("Reconnect.Max", r.Max, fmt.Sprintf("it is less than Reconnect.Min, %v", r.Min))
	}
	return engine.Backoff{Min: r.Min, Max: r.Max}
}

// Network makes the connections, for tests and for transports of your own. The
// functions are called with "tcp" and host:port, "unix" and a path, or "inproc"
// and a name. A nil function stands for the real network.
type Network struct {
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// checkEndpoints checks endpoints to be bound, or to be dialled.
func checkEndpoints(f *fields, name string, endpoints []string, dial bool) {
	for i, e := range endpoints {
		ep, err := engine.ParseEndpoint(e)
		if err == nil && dial {
			err = ep.Dialable()
		}
		f.add(fmt.Sprintf("%s[%d]", name, i), err)
	}
}

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
