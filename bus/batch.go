package bus

import (
	"sync"
	"time"

	"github.com/heraldbus/herald/internal/block"
)

// item is a received message before it becomes a [Message], or a status. It is
// kept small: many of them are written and read once for every event.
type item struct {
	topic   string
	payload []byte
	meta    meta // nil for a foreign message
	origin  *Origin
	rare    *rare
}

// rare is what few items have.
type rare struct {
	extra  [][]byte
	status Status // if not nil, the item is a status and nothing else
}

func (it *item) status() Status {
	if it.rare == nil {
		return nil
	}
	return it.rare.status
}

func (it *item) size() int { return len(it.topic) + len(it.payload) + len(it.meta) }

// fill makes a Message of it, which borrows the item's bytes.
func (it *item) fill(m *Message) {
	m.Topic = it.topic
	m.Payload = it.payload
	m.Origin = *it.origin
	m.Extra = nil
	if it.rare != nil {
		m.Extra = it.rare.extra
	}
	if it.meta == nil {
		m.Seq, m.Time, m.Replayed, m.Retained, m.headers = 0, time.Time{}, false, false, nil
		return
	}
	m.Seq = it.meta.seq()
	m.Time = time.Unix(0, it.meta.time())
	flags := it.meta.flags()
	m.Replayed = flags&flagReplayed != 0
	m.Retained = flags&flagRetained != 0
	m.headers = it.meta.headers()
}

// batch is what one read brought for one inbox, in order.
type batch struct {
	block    *block.Block   // that the items' bytes are in; may be nil
	more     []*block.Block // others that they are in; rare
	items    []item
	messages int // items that are no statuses
	bytes    int // of them
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch { return batches.Get().(*batch) }

func (b *batch) add(topic string, payload []byte, m meta, origin *Origin, r *rare) {
	b.messages++
	b.bytes += len(topic) + len(payload) + len(m)
	b.items = append(b.items, item{topic, payload, m, origin, r})
}

func (b *batch) addStatus(s Status) { b.items = append(b.items, item{rare: &rare{status: s}}) }

// topics are those of the messages, in order.
func (b *batch) topics() []string {
	names := make([]string, 0, b.messages)
	for i := range b.items {
		if it := &b.items[i]; it.status() == nil {
			names = append(names, it.topic)
		}
	}
	return names
}

// refer makes the batch keep the blocks that its items are in.
func (b *batch) refer(one *block.Block, more []*block.Block) {
	if one != nil {
		one.Retain()
		b.block = one
	}
	for _, other := range more {
		other.Retain()
	}
	b.more = append(b.more, more...)
}

// release gives the batch and its bytes back.
func (b *batch) release() {
	if b.block != nil {
		b.block.Release()
	}
	for _, other := range b.more {
		other.Release()
	}
	clear(b.items)
	*b = batch{items: b.items[:0]}
	if cap(b.items) <= 8192 {
		batches.Put(b)
	}
}
