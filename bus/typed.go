package bus

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/heraldbus/herald/codec"
	"github.com/heraldbus/herald/topic"
)

// Topic is a family of topics whose payloads are values of one type: all that
// begin with its name. It is usually a package variable that publishers and
// subscribers share. It is safe for concurrent use.
type Topic[T any] struct {
	name    string
	codec   codec.Codec[T]
	headers []byte // encoded: the content type
	buffers sync.Pool
}

// NewTopic makes a family of topics. It panics when name is no valid topic, which
// is a mistake in the program.
func NewTopic[T any](name string, c codec.Codec[T]) *Topic[T] {
	if err := topic.Validate(name); err != nil {
		panic(err)
	}
	headers, err := appendHeaders(nil, []Header{{HeaderContentType, c.ContentType()}})
	if err != nil {
		panic(err)
	}
	return &Topic[T]{name: name, codec: c, headers: headers}
}

// Name is the family's name.
func (t *Topic[T]) Name() string { return t.name }

// Key is the topic of one member of the family: its name, a dot and key; the name
// alone for an empty key.
func (t *Topic[T]) Key(key string) string {
	if key == "" {
		return t.name
	}
	return t.name + "." + key
}

// Filter accepts the members of the family that a pattern fits: of "weather",
// Filter("eu.>") is the pattern weather.eu.>. Empty: the name alone.
func (t *Topic[T]) Filter(pattern string) topic.Filter { return topic.Pattern(t.Key(pattern)) }

// All accepts the whole family: its name and everything below it.
func (t *Topic[T]) All() topic.Filter {
	return topic.Any(topic.Exact(t.name), topic.Prefix(t.name+"."))
}

// Publish encodes a value and publishes it on the topic of key, with a header that
// names the encoding.
func (t *Topic[T]) Publish(ctx context.Context, p *Publisher, key string, v T) error {
	return t.publish(v, func(payload []byte) error {
		p.mu.Lock()
		r, err := p.routes.get(t.Key(key))
		if err != nil {
			p.mu.Unlock()
			return err
		}
		return p.publish(ctx, r, payload, t.headers)
	})
}

func (t *Topic[T]) publish(v T, send func([]byte) error) error {
	buf, _ := t.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer t.buffers.Put(buf)
	payload, err := t.codec.Append((*buf)[:0], v)
	if err != nil {
		return fmt.Errorf("bus: topic %q: %w", t.name, err)
	}
	*buf = payload
	return send(payload)
}

// TypedTopic is one topic of a family, prepared for publishing on it often.
type TypedTopic[T any] struct {
	t *Topic[T]
	p *PreparedTopic
}

// Prepare looks the topic of key up once, see [Publisher.Topic].
func (t *Topic[T]) Prepare(p *Publisher, key string) (*TypedTopic[T], error) {
	prepared, err := p.Topic(t.Key(key), Header{HeaderContentType, t.codec.ContentType()})
	if err != nil {
		return nil, err
	}
	return &TypedTopic[T]{t, prepared}, nil
}

// Publish encodes a value and publishes it.
func (t *TypedTopic[T]) Publish(ctx context.Context, v T) error {
	return t.t.publish(v, func(payload []byte) error { return t.p.Publish(ctx, payload) })
}

// Decode reads the value of a message. A message that names another encoding than
// the family's is an error; one that names none, as those of foreign publishers,
// is taken to be in the family's.
func (t *Topic[T]) Decode(m *Message) (T, error) {
	var v T
	if got, ok := m.Header(HeaderContentType); ok && got != t.codec.ContentType() {
		return v, fmt.Errorf("bus: decode %q: the content type is %q, want %q", m.Topic, got, t.codec.ContentType())
	}
	v, err := t.codec.Decode(m.Payload)
	if err != nil {
		return v, fmt.Errorf("bus: decode %q: %w", m.Topic, err)
	}
	return v, nil
}

// Receive yields the values of the family that a subscriber receives; messages on
// other topics are passed over. A value that can't be decoded is yielded as its
// error, and the loop may go on. Statuses go where [Subscriber.Messages] puts them.
func (t *Topic[T]) Receive(ctx context.Context, s *Subscriber) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		all := t.All()
		for m, err := range s.borrow(ctx) {
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			if !all.MatchString(m.Topic) {
				continue
			}
			if !yield(t.Decode(m)) {
				return
			}
		}
	}
}
