package bus

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/topic"
)

// SubscriberConfig says what a [Subscriber] is to be. The zero value of every
// field is a sensible one; one of Sources and Bind is needed for it to be of use.
type SubscriberConfig struct {
	// Sources are the endpoints to take events from, all at once. They need not
	// be there yet.
	Sources []Source
	// Bind are endpoints at which publishers may connect: many publishers, one
	// collector with a known address.
	Bind []string
	// BindFraming reads messages that come in at Bind; nil: Herald's own.
	BindFraming Framing
	// Filter says which messages [Subscriber.Events] yields. The zero Filter is
	// topic.Everything(), unless the subscriber has handlers, see
	// [Subscriber.Handle]; topic.None() for statuses only.
	Filter topic.Filter
	// Liveness says when a publisher that is silent is stale. Zero: after three
	// of the intervals it announces.
	Liveness heartbeat.Config
	// Recover asks publishers for what was missed, where they have kept it
	// (PublisherConfig.Keep): after a gap, and after a connection was lost. What is
	// newer is held back meanwhile, within the bounds of Queue, so that all is given
	// once and in order; with filters, in order on each topic. What cannot be had
	// any more is reported as a [Gap].
	Recover bool
	// Retained asks each publisher, when it is first met, for the last values that it
	// retains (PublisherConfig.Retain). Those that pass the filter are given first,
	// marked as Retained, then what comes live, without a hole or a double between.
	Retained bool
	// Queue bounds what has been received and not yet taken: by Events, and again
	// by each handler. Overflow: Block.
	Queue Queue
	// Deadlines watch topics that should tick.
	Deadlines []Deadline
	// Lifespan is the age from which on a message is not given any more when its
	// turn comes, but counted (InboxStats.Expired): by the publisher's clock when it
	// was published, and this one's now, so both should be set. 0: none is too old.
	Lifespan time.Duration
	// TopicCache is how many topics of each publisher are remembered with who
	// takes them and the last seq of each. What is forgotten cannot be missed: no
	// gap is reported where the last seq is not known. 0: 65,536.
	TopicCache int
	Limits     Limits
	Reconnect  Reconnect
	Network    Network
	// OnStatus is told of statuses by the loops that yield messages only
	// ([Subscriber.Messages], [Subscriber.Borrow], [Topic.Receive]), in order with
	// the messages, on the goroutine of the loop; where there are handlers only, on
	// a goroutine of its own; and of what a handler's queue has dropped, on that of
	// the handler. So it may be called by several at once. nil: they are only logged.
	OnStatus func(Status)
	// Logger is told of all statuses, and of peers that misbehave. nil: nobody is.
	Logger *slog.Logger
}

// check fills in the defaults and returns the engine's configuration.
func (c *SubscriberConfig) check() (engine.Config, error) {
	var f fields
	for i, s := range c.Sources {
		name := fmt.Sprintf("Sources[%d]", i)
		if len(s.endpoints) == 0 {
			f.add(name, fmt.Errorf("it has no endpoint"))
		}
		checkEndpoints(&f, name, s.endpoints, true)
		if s.redundant && s.window < 1 {
			f.bad(name+".Window", s.window, "want a number of events")
		}
		if s.returns < 0 {
			f.bad(name+".ReturnAfter", s.returns, "want a duration, or 0 for never")
		}
	}
	checkEndpoints(&f, "Bind", c.Bind, false)
	f.add("Filter", c.Filter.Err())
	f.add("Liveness", c.Liveness.Validate())
	for i, d := range c.Deadlines {
		d.check(&f, fmt.Sprintf("Deadlines[%d]", i))
	}
	if c.Lifespan < 0 {
		f.bad("Lifespan", c.Lifespan, "want a duration, or 0 for no limit")
	}
	if c.TopicCache < 0 {
		f.bad("TopicCache", c.TopicCache, "want a number of topics, or 0 for 65,536")
	}
	if c.TopicCache == 0 {
		c.TopicCache = defaultTopicCache
	}
	c.Queue = c.Queue.check(&f, "Queue", Block)
	c.Limits = c.Limits.check(&f, 64<<20)
	backoff := c.Reconnect.check(&f)
	c.Logger = loggerOr(c.Logger)
	return engine.Config{
		Type:   "SUB",
		Limits: c.Limits.zmtp(),
		// Only subscriptions and answers to pings are sent, and these are control
		// messages.
		Queue:            Queue{Messages: 1, Bytes: 1, Overflow: DropNewest}.limit(),
		ReadSize:         4 << 10,
		MaxPeers:         c.Limits.Connections,
		MaxHandshakes:    c.Limits.Handshakes,
		HandshakeTimeout: c.Limits.HandshakeTimeout,
		Backoff:          backoff,
		Network:          engine.Network(c.Network),
	}, f.error("SubscriberConfig")
}
