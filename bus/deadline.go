package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/heraldbus/herald/topic"
)

// Deadline watches topics that should tick: when one that the filter accepts has
// not had an event for Within, an [Overdue] is put into the stream, once until it
// ticks again.
type Deadline struct {
	Filter topic.Filter
	Within time.Duration
	// Topics are watched from the start. Others are from their first event on.
	Topics []string
}

// maxDeadlineTopics bounds the topics that one deadline watches: the one that has
// ticked last longest ago is forgotten beyond.
const maxDeadlineTopics = 65_536

func (d Deadline) check(f *fields, name string) {
	f.add(name+".Filter", d.Filter.Err())
	if d.Within < time.Millisecond {
		f.bad(name+".Within", d.Within, "want at least 1ms")
	}
	for _, t := range d.Topics {
		if !d.Filter.MatchString(t) {
			f.bad(name+".Topics", fmt.Sprintf("%q", t), fmt.Sprintf("the filter %q does not accept it", d.Filter))
		}
	}
}

// Overdue: a topic that should tick does not, see SubscriberConfig.Deadlines. The
// origin is that of its last event, empty if there was none.
type Overdue struct {
	Change
	Topic   string
	Silence time.Duration // since its last event, or since the start
}

// Kind implements [Status].
func (*Overdue) Kind() string { return "overdue" }

func (s *Overdue) String() string {
	return fmt.Sprintf("no event on %q for %v", s.Topic, s.Silence.Round(time.Millisecond))
}

// tick is the last event of a topic.
type tick struct {
	at     time.Time
	origin Origin
	told   bool
}

// watchDeadline follows the topics of one deadline through an inbox of its own. It
// looks eight times in its interval, so an Overdue is late by an eighth at most.
func (s *Subscriber) watchDeadline(d Deadline, in *inbox) {
	topics, err := simplelru.NewLRU[string, *tick](maxDeadlineTopics, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	for _, name := range d.Topics {
		topics.Add(name, &tick{at: time.Now()})
	}
	for {
		ctx, cancel := context.WithTimeout(s.life.ctx, max(d.Within/8, time.Millisecond))
		err := in.loop(ctx, func(it *item) bool {
			if it.status() == nil {
				t, ok := topics.Get(it.topic)
				if !ok {
					t = new(tick)
					topics.Add(it.topic, t)
				}
				*t = tick{at: time.Now(), origin: *it.origin}
			}
			return true
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return // the subscriber ends
		}
		now := time.Now()
		for _, name := range topics.Keys() { // oldest first
			t, _ := topics.Peek(name)
			silence := now.Sub(t.at)
			if silence < d.Within {
				break
			}
			if !t.told {
				t.told = true
				s.mu.Lock()
				s.status(&Overdue{s.change(t.origin), name, silence})
				s.unlock()
			}
		}
	}
}
