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
	lost   bool   // the status is a gap of what the inbox itself has dropped
}

func (it *item) status() Status {
	if it.rare == nil {
		return nil
	}
	return it.rare.status
}

func (it *item) size() int {
	n := len(it.topic) + len(it.payload) + len(it.meta)
	if it.rare != nil {
		for _, f := range it.rare.extra {
			n += len(f)
		}
	}
	return n
}

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
	b.items = append(b.items, item{topic, payload, m, origin, r})
	b.messages++
	b.bytes += b.items[len(b.items)-1].size()
}

func (b *batch) addStatus(s Status) { b.items = append(b.items, item{rare: &rare{status: s}}) }

// refer makes the batch keep the blocks that its items are in. One of which it
// needs little is not kept: a single event that passes the filter would keep the
// memory of a whole read, and a bounded queue of such would be none.
func (b *batch) refer(one *block.Block, more []*block.Block) {
	if one != nil && len(more) == 0 && sparse*b.bytes < len(one.B) {
		b.own()
		return
	}
	if one != nil {
		one.Retain()
		b.block = one
	}
	for _, other := range more {
		other.Retain()
	}
	b.more = append(b.more, more...)
}

// sparse is how many times more memory a batch may keep than it needs.
const sparse = 4

// own copies the bytes of the items into a block of the batch's own.
func (b *batch) own() {
	b.block = block.Get(b.bytes)
	used := 0
	keep := func(p []byte) []byte {
		if len(p) == 0 {
			return p
		}
		lo := used
		used += copy(b.block.B[lo:], p)
		return b.block.B[lo:used:used]
	}
	for i := range b.items {
		it := &b.items[i]
		if it.status() != nil {
			continue
		}
		it.payload = keep(it.payload)
		if it.meta != nil {
			it.meta = keep(it.meta)
		}
		if it.rare != nil {
			r := &rare{extra: make([][]byte, len(it.rare.extra))} // others may have the same
			for k, f := range it.rare.extra {
				r.extra[k] = keep(f)
			}
			it.rare = r
		}
	}
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
