package bus

import (
	"context"
	"fmt"
	"slices"

	"github.com/heraldbus/herald/topic"
)

// Handle calls fn for each message that passes the filter, one after the other, on
// a goroutine of its own, until stop is called or the subscriber is closed. Each
// handler has its own queue, so a slow one does not hold up the others before its
// queue is full. An error that fn returns is logged and counted, nothing more; a
// panic is not caught. ctx ends with the subscriber. The message belongs to fn.
//
// Handlers and Events are independent: a message that passes both filters is
// given to both. But a subscriber that has handlers and no Filter in its
// configuration has no messages for Events: they would only fill its queue.
// Statuses then go to SubscriberConfig.OnStatus, as does, in any case and from the
// handler's goroutine, a [Gap] for what its queue has dropped.
//
// A handler gets what comes after Handle; wait for Ready after it.
//
// After stop no further message is given to fn; a call that is running goes on.
// Close and Drain, which ends once fn has been given what was received, work in
// the same way.
func (s *Subscriber) Handle(f topic.Filter, fn func(ctx context.Context, m *Message) error) (stop func(), err error) {
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("bus: handle: %w", err)
	}
	in := newInbox(s.cfg.Queue, f)
	in.lifespan = s.cfg.Lifespan
	if err := s.addHandler(in); err != nil {
		return nil, err
	}
	go func() {
		in.loop(s.life.ctx, func(it *item) bool {
			if st := s.statusOfItem(it); st != nil {
				s.onStatus(st) // what its queue has dropped
				return true
			}
			m := in.arena.own(it)
			if err := fn(s.life.ctx, m); err != nil {
				s.handlerErrors.Add(1)
				s.log.Error("handler failed", "topic", m.Topic, "publisher", m.Publisher, "seq", m.Seq, "error", err)
			}
			return true
		})
	}()
	return func() { s.dropHandler(in) }, nil
}

// HandleInline calls fn for each message that passes the filter on the goroutine that
// reads the connection: for those to whom a few microseconds matter, and who know
// what they do. There is no queue: while fn runs, nothing is read from this
// connection, so it must be quick. It is called by several goroutines at once where
// there are several connections. The message is borrowed, as with
// [Subscriber.Borrow]: it is valid until fn returns. fn must not call Close, Drain or
// stop. After stop no call begins.
func (s *Subscriber) HandleInline(f topic.Filter, fn func(m *Message)) (stop func(), err error) {
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("bus: handle: %w", err)
	}
	in := newInbox(s.cfg.Queue, f)
	in.inline = fn
	if err := s.addHandler(in); err != nil {
		return nil, err
	}
	return func() { s.dropHandler(in) }, nil
}

// addHandler puts an inbox among those that take messages.
func (s *Subscriber) addHandler(in *inbox) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.alive(); err != nil {
		return err
	}
	// Where nobody is to take the subscriber's own stream, its statuses go to OnStatus.
	unused := s.cfg.Filter.Equal(topic.Everything()) ||
		s.cfg.Filter.Equal(topic.None()) && s.cfg.OnStatus != nil
	if !s.only && unused && !s.main.busy.Load() && len(s.filters) == 1 {
		s.only = true
		go s.main.loop(s.life.ctx, func(it *item) bool {
			if st := s.statusOfItem(it); st != nil {
				s.onStatus(st)
			} else {
				s.main.discard() // it came before there was a handler
			}
			return true
		})
	}
	s.handlers = append(s.handlers, in)
	s.refilter()
	return nil
}

// dropHandler takes it out again.
func (s *Subscriber) dropHandler(in *inbox) {
	s.mu.Lock()
	s.handlers = slices.DeleteFunc(s.handlers, func(h *inbox) bool { return h == in })
	s.refilter()
	s.mu.Unlock()
	in.close()
}

// call gives the messages of a batch to an inline handler, with m to put them in.
func (in *inbox) call(b *batch, m *Message) {
	in.mu.Lock()
	in.stats.Messages += uint64(b.messages)
	in.stats.Bytes += uint64(b.bytes)
	in.mu.Unlock()
	for i := range b.items {
		if in.closed.Load() {
			break
		}
		b.items[i].fill(m)
		in.inline(m)
	}
	b.release()
}
