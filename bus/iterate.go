package bus

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"time"
)

// Events yields messages and statuses in the order in which they came. The loop
// ends when the subscriber is closed, or drained and empty; with an error, which
// is the last thing it yields, when ctx ends or another loop runs already. What a
// loop did not get to is there for the next one. Messages belong to the caller.
func (s *Subscriber) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		in := s.main
		err := in.loop(ctx, func(it *item) bool {
			if st := s.statusOfItem(it); st != nil {
				return yield(st, nil)
			}
			return yield(in.arena.own(it), nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// Messages yields messages only; statuses go to SubscriberConfig.OnStatus. It ends
// as [Subscriber.Events] does. Messages belong to the caller.
func (s *Subscriber) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		in := s.main
		err := in.loop(ctx, func(it *item) bool {
			if st := s.statusOfItem(it); st != nil {
				s.onStatus(st)
				return true
			}
			return yield(in.arena.own(it), nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// Borrow is Messages for hot paths: the message, its payload and all else in it
// are valid only until the loop moves on, when their memory is used again.
// [Message.Clone] keeps one. An error ends the loop and is not seen: use it where
// the loop ends with the subscriber, or look at ctx after it.
func (s *Subscriber) Borrow(ctx context.Context) iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for m, err := range s.borrow(ctx) {
			if err != nil || !yield(m) {
				return
			}
		}
	}
}

func (s *Subscriber) borrow(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		var m Message
		err := s.main.loop(ctx, func(it *item) bool {
			if st := s.statusOfItem(it); st != nil {
				s.onStatus(st)
				return true
			}
			it.fill(&m)
			return yield(&m, nil)
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// statusOfItem is item.status. What an inbox has dropped is logged when it is told:
// of all other statuses the logger has heard when they came.
func (s *Subscriber) statusOfItem(it *item) Status {
	st := it.status()
	if st != nil && it.rare.lost {
		s.logStatus(st)
	}
	return st
}

func (s *Subscriber) onStatus(st Status) {
	if s.cfg.OnStatus != nil {
		s.cfg.OnStatus(st)
	}
}

// loop calls take for each item until it reports false. Its error is nil when the
// inbox has ended or take wanted no more.
func (in *inbox) loop(ctx context.Context, take func(*item) bool) error {
	if !in.busy.CompareAndSwap(false, true) {
		return ErrInUse
	}
	in.resume()
	defer in.leave()
	for {
		if in.cur == nil {
			b, err := in.next(ctx)
			if errors.Is(err, errEnded) {
				return nil
			}
			if err != nil {
				return err
			}
			in.cur, in.pos = b, 0
		}
		oldest := int64(math.MinInt64)
		if in.lifespan > 0 {
			oldest = time.Now().Add(-in.lifespan).UnixNano()
		}
		for in.pos < len(in.cur.items) {
			if in.closed.Load() {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			it := &in.cur.items[in.pos]
			in.pos++
			if it.meta != nil && it.meta.time() < oldest {
				in.expire()
				continue
			}
			if !take(it) {
				return nil
			}
		}
		in.finish(in.cur)
		in.cur = nil
	}
}

// arena makes messages that belong to their receiver, several to an allocation.
// Keeping one keeps its neighbours' memory: at most arenaBytes and arenaMessages.
type arena struct {
	messages []Message
	bytes    []byte
}

const (
	arenaMessages = 32
	arenaBytes    = 8 << 10
	arenaLargest  = 1 << 10 // larger payloads get their own allocation
)

// own makes a message of an item that shares nothing with it.
func (a *arena) own(it *item) *Message {
	if len(a.messages) == 0 {
		a.messages = make([]Message, arenaMessages)
	}
	m := &a.messages[0]
	a.messages = a.messages[1:]
	it.fill(m)
	m.Payload = a.copy(m.Payload)
	m.headers = a.copy(m.headers)
	m.Extra = cloneFrames(m.Extra)
	return m
}

func (a *arena) copy(p []byte) []byte {
	n := len(p)
	switch {
	case n == 0:
		return nil
	case n > arenaLargest:
		return bytes.Clone(p)
	case n > len(a.bytes):
		a.bytes = make([]byte, arenaBytes)
	}
	c := a.bytes[:n:n]
	a.bytes = a.bytes[n:]
	copy(c, p)
	return c
}
