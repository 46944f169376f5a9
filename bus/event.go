package bus

import (
	"fmt"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

// Incarnation tells one run of a publisher from the next: a random number, drawn
// anew each time it starts. It prints as 16 hex digits. On the wire it is called
// the source.
type Incarnation = heartbeat.Incarnation

// Event is what a [Subscriber] yields: a [*Message] or a [Status].
type Event interface{ event() }

// Origin says where something came from.
type Origin struct {
	// Publisher is its name, empty for a foreign one, and until a publisher has
	// been heard of.
	Publisher string
	// Incarnation is zero for a foreign publisher.
	Incarnation Incarnation
	// Endpoint is the one that was dialled or bound, as it was configured.
	Endpoint string
}

// Status is a change in the state of a publisher or a connection. It stands in
// the stream of events where it happened.
type Status interface {
	Event
	fmt.Stringer
	// Kind is one word: connected, ready, disconnected, stale, recovered,
	// restarted, gone, failover, gap, overdue.
	Kind() string
	// About returns what the status is about, and when it was noticed.
	About() (Origin, time.Time)
}

// Change is what all statuses have in common.
type Change struct {
	Origin
	Time time.Time // when it was noticed here
}

func (*Change) event() {}

// About implements [Status].
func (c *Change) About() (Origin, time.Time) { return c.Origin, c.Time }

func (c *Change) who() string {
	if c.Publisher == "" {
		return c.Endpoint
	}
	return c.Publisher + " at " + c.Endpoint
}

// Connected: a connection is there and its subscriptions are on their way.
type Connected struct {
	Change
	Remote string // address of the other side
}

// Ready: a publisher has answered that the subscriptions of this connection are
// in force. What it publishes from now on cannot be missed. A foreign publisher
// never answers.
type Ready struct{ Change }

// Disconnected: a connection has ended. It is dialled anew.
type Disconnected struct {
	Change
	Err error // why; ErrStale where this side ended it for silence
}

// Stale: a publisher has been silent for too long, though its connection may
// still stand. The connection is dropped and dialled anew when no publisher on it
// is alive.
type Stale struct {
	Change
	Silence time.Duration // since its last sign of life
}

// Recovered: a publisher that was stale has given a sign of life.
type Recovered struct {
	Change
	Silence time.Duration // how long it was silent
}

// Restarted: a publisher known by this name is back in a new incarnation.
type Restarted struct {
	Change
	Was Incarnation // the one before
}

// Gone: a publisher has said goodbye.
type Gone struct{ Change }

// Switched: a source with several endpoints in order of preference now takes its
// events from another one.
type Switched struct {
	Change
	From, To string // endpoints
}

// Gap: events that should have come did not. Whatever of them passes the filter
// is missing from the stream at this place.
type Gap struct {
	Change
	// Topic is that of the missing events. Empty: they may be of several topics.
	Topic string
	// Missed is how many are missing; a lower bound unless Exact.
	Missed uint64
	Exact  bool
	// After and Before are the seqs of the last event before and the first event
	// after the gap, 0 where there is none.
	After, Before uint64
}

func (*Connected) Kind() string    { return "connected" }
func (*Ready) Kind() string        { return "ready" }
func (*Disconnected) Kind() string { return "disconnected" }
func (*Stale) Kind() string        { return "stale" }
func (*Recovered) Kind() string    { return "recovered" }
func (*Restarted) Kind() string    { return "restarted" }
func (*Gone) Kind() string         { return "gone" }
func (*Switched) Kind() string     { return "failover" }
func (*Gap) Kind() string          { return "gap" }

func (s *Connected) String() string { return "connected to " + s.Endpoint }
func (s *Ready) String() string     { return s.who() + " is ready" }
func (s *Disconnected) String() string {
	return fmt.Sprintf("disconnected from %s: %v", s.Endpoint, s.Err)
}
func (s *Stale) String() string {
	return fmt.Sprintf("%s is stale: silent for %v", s.who(), s.Silence.Round(time.Millisecond))
}
func (s *Recovered) String() string {
	return fmt.Sprintf("%s has recovered after %v of silence", s.who(), s.Silence.Round(time.Millisecond))
}
func (s *Restarted) String() string {
	return fmt.Sprintf("%s has restarted: incarnation %v, was %v", s.who(), s.Incarnation, s.Was)
}
func (s *Gone) String() string     { return s.who() + " has said goodbye" }
func (s *Switched) String() string { return fmt.Sprintf("failover from %s to %s", s.From, s.To) }
func (s *Gap) String() string {
	n := fmt.Sprint(s.Missed)
	if !s.Exact {
		n = "at least " + n
	}
	what := "events"
	if s.Topic != "" {
		what = fmt.Sprintf("events on %q", s.Topic)
	}
	return fmt.Sprintf("gap: %s %s of %s missed, after %d, before %d", n, what, s.who(), s.After, s.Before)
}
