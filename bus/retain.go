package bus

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Retain says of which topics a publisher keeps the last value, for subscribers
// that come later and ask for it (SubscriberConfig.Retained).
type Retain struct {
	// Prefixes begin the topics. Without one no last values are kept; the empty
	// prefix begins all.
	Prefixes []string
	// Topics bounds how many last values are kept; that of the topic whose last
	// event is oldest goes. 0: 10,000.
	Topics int
	// Bytes bounds their size together. 0: 64 MiB.
	Bytes int
	// Lifespan is how long a value counts as the last one. 0: for ever.
	Lifespan time.Duration
}

func (c Retain) check(f *fields) Retain {
	if c.Topics < 0 {
		f.bad("Retain.Topics", c.Topics, "want a number of topics, or 0 for 10,000")
	}
	if c.Bytes < 0 {
		f.bad("Retain.Bytes", c.Bytes, "want a number of bytes, or 0 for 64 MiB")
	}
	if c.Lifespan < 0 {
		f.bad("Retain.Lifespan", c.Lifespan, "want a duration, or 0 for ever")
	}
	if c.Topics == 0 {
		c.Topics = 10_000
	}
	if c.Bytes == 0 {
		c.Bytes = 64 << 20
	}
	return c
}

func (c *Retain) accepts(name string) bool {
	for _, p := range c.Prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// lastValues holds the last event of each retained topic as it went on the wire.
// The publisher's lock guards it.
type lastValues struct {
	cfg   Retain
	lru   *simplelru.LRU[string, *lastValue]
	bytes int
}

type lastValue struct {
	msg []byte
	at  time.Duration // when it was published, by the engine's clock
}

func newLastValues(cfg Retain) *lastValues {
	v := &lastValues{cfg: cfg}
	lru, err := simplelru.NewLRU(cfg.Topics, func(_ string, old *lastValue) { v.bytes -= len(old.msg) })
	if err != nil {
		panic(err) // the size was checked
	}
	v.lru = lru
	return v
}

// set makes a message the last value of its topic.
func (v *lastValues) set(name string, msg []byte, at time.Duration) {
	last, ok := v.lru.Get(name)
	if !ok {
		last = new(lastValue)
		v.lru.Add(name, last)
	}
	v.bytes += len(msg) - len(last.msg)
	last.msg = append(last.msg[:0], msg...)
	last.at = at
	for v.bytes > v.cfg.Bytes && v.lru.Len() > 0 {
		v.lru.RemoveOldest()
	}
}

// names are the topics with a last value that begin with one of the prefixes, the one
// with the oldest value first.
func (v *lastValues) names(prefixes []string) []string {
	return slices.DeleteFunc(v.lru.Keys(), func(name string) bool { return !begins(prefixes, name) })
}

// get returns a last value, nil if there is none or it no longer counts as one.
func (v *lastValues) get(name string, now time.Duration) []byte {
	last, ok := v.lru.Peek(name)
	if !ok || v.cfg.Lifespan > 0 && now-last.at > v.cfg.Lifespan {
		return nil
	}
	return last.msg
}
