package bus

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/engine"
)

// PublisherConfig says what a [Publisher] is to be. The zero value of every field
// is a sensible one; one of Bind and Connect is needed for it to be of use.
type PublisherConfig struct {
	// Name is what subscribers know the publisher by, the same after a restart:
	// 1 to 100 letters, digits, `-` and `_`. Empty: host, process number and a
	// random part, which no restart has again.
	Name string
	// Bind and Connect are endpoints: tcp://host:port (`*` for all interfaces,
	// port 0 to have one chosen), ipc:///path, inproc://name. An endpoint to
	// connect to need not be there yet.
	Bind, Connect []string
	// Advertise are endpoints at which the same stream can be had, told to
	// subscribers with every heartbeat.
	Advertise []string
	// Heartbeat is the interval of heartbeats. 0: 1 s. Negative: none, and no
	// subscriber can tell silence from death.
	Heartbeat time.Duration
	// Queue bounds what waits for each subscriber. Overflow: DropNewest.
	Queue Queue
	// Linger is how long Close goes on to send what is queued. 0: 1 s. Negative:
	// not at all.
	Linger time.Duration
	// Keep bounds the past events kept for subscribers that missed some.
	Keep Keep
	// Retain says which topics' last values are kept for subscribers to come.
	Retain Retain
	// TopicCache is how many topics are remembered with who wants them and the
	// last seq of each; the least used is forgotten beyond that, and its next
	// event starts a new chain. 0: 65,536.
	TopicCache int
	Limits     Limits
	Reconnect  Reconnect
	Network    Network
	// Logger is told of peers that come, go and misbehave. nil: nobody is.
	Logger *slog.Logger
}

const defaultTopicCache = 65_536

// check fills in the defaults and returns the engine's configuration.
func (c *PublisherConfig) check() (engine.Config, error) {
	var f fields
	if c.Name == "" {
		c.Name = randomName()
	}
	f.add("Name", heartbeat.ValidateName(c.Name))
	checkEndpoints(&f, "Bind", c.Bind, false)
	checkEndpoints(&f, "Connect", c.Connect, true)
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Second
	}
	if c.Heartbeat > 0 && (c.Heartbeat < heartbeat.MinInterval || c.Heartbeat > heartbeat.MaxInterval) {
		f.bad("Heartbeat", c.Heartbeat, "want 1ms to 24h, 0 for 1s, or a negative value for none")
	}
	beat := heartbeat.Beat{Name: "x", Incarnation: 1, Interval: time.Second, Endpoints: c.Advertise}
	f.add("Advertise", beat.Validate())
	if c.Linger == 0 {
		c.Linger = time.Second
	}
	if c.TopicCache < 0 {
		f.bad("TopicCache", c.TopicCache, "want a number of topics, or 0 for 65,536")
	}
	if c.TopicCache == 0 {
		c.TopicCache = defaultTopicCache
	}
	c.Queue = c.Queue.check(&f, "Queue", DropNewest)
	c.Keep = c.Keep.check(&f)
	c.Retain = c.Retain.check(&f)
	c.Limits = c.Limits.check(&f, 64<<10)
	backoff := c.Reconnect.check(&f)
	c.Logger = loggerOr(c.Logger)
	return engine.Config{
		Type:             "PUB",
		Limits:           c.Limits.zmtp(),
		Queue:            c.Queue.limit(),
		ReadSize:         512, // subscriptions are short, and idle peers many
		MaxPeers:         c.Limits.Connections,
		MaxHandshakes:    c.Limits.Handshakes,
		HandshakeTimeout: c.Limits.HandshakeTimeout,
		Backoff:          backoff,
		Network:          engine.Network(c.Network),
	}, f.error("PublisherConfig")
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

func randomName() string {
	host, _ := os.Hostname()
	host = notInName.ReplaceAllString(host, "-")
	if len(host) > 60 {
		host = host[:60]
	}
	var b [4]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}
