package bus

import "time"

// What an inbox drops it tells at once in the stream, as a [Gap] in the place of
// what is missing: in front of what it still has when that was the oldest, behind
// it, until something else comes, when that was the newest.

// dropNewest appends b without the messages that find no room, and reports whether
// there were any. An empty queue takes one that is larger than the limit. Held: mu.
func (in *inbox) dropNewest(b *batch) (dropped bool) {
	messages, bytes := in.messages, in.bytes
	kept := b.items[:0]
	for _, it := range b.items {
		if it.status() == nil {
			n := it.size()
			if messages >= in.limit.Messages || bytes+n > in.limit.Bytes && messages > 0 {
				b.messages--
				b.bytes -= n
				in.lose(&in.back, &it)
				dropped = true
				continue
			}
			messages++
			bytes += n
		}
		if gaps := in.back; gaps != nil {
			in.back = nil
			if len(kept) == 0 {
				in.append(gaps)
			} else { // they are of items of b: there is room for them
				kept = append(kept, gaps.items...)
				gaps.release()
			}
		}
		kept = append(kept, it)
	}
	clear(b.items[len(kept):])
	b.items = kept
	in.append(b)
	return dropped
}

// dropOldest drops waiting messages until so many messages and bytes are left. The
// newest stays, even if it alone is larger than that. Held: mu.
func (in *inbox) dropOldest(messages, bytes int) {
	for in.messages > max(messages, 1) || in.bytes > bytes && in.messages > 1 {
		b := in.batches[in.head]
		if it := &b.items[0]; it.status() == nil {
			n := it.size()
			b.messages--
			b.bytes -= n
			in.messages--
			in.bytes -= n
			in.lose(&in.front, it)
		} else {
			in.statuses--
			if in.front == nil {
				in.front = newBatch()
			}
			if in.front.items = append(in.front.items, *it); len(in.front.items) > maxStatuses {
				in.front.items = in.front.items[1:] // nobody takes them
			}
		}
		b.items[0] = item{}
		if b.items = b.items[1:]; len(b.items) == 0 {
			in.shift().release()
		}
	}
}

// conflate drops each waiting message that a later one of the same topic has made
// old; and the oldest, where that does not free half of the queue, so that the work
// is spread over many messages. Held: mu.
func (in *inbox) conflate() {
	newest := make(map[string]*item)
	for _, b := range in.batches[in.head:] {
		for i := range b.items {
			if it := &b.items[i]; it.status() == nil {
				newest[it.topic] = it
			}
		}
	}
	for _, b := range in.batches[in.head:] {
		kept := b.items[:0]
		for i := range b.items {
			it := &b.items[i]
			if it.status() == nil && newest[it.topic] != it {
				n := it.size()
				b.messages--
				b.bytes -= n
				in.messages--
				in.bytes -= n
				in.lose(&in.front, it)
				continue
			}
			if newest[it.topic] == it {
				newest[it.topic] = &b.items[len(kept)] // it moves there
			}
			kept = append(kept, *it)
		}
		clear(b.items[len(kept):])
		b.items = kept
	}
	left := in.batches[:0]
	for _, b := range in.batches[in.head:] {
		if len(b.items) > 0 {
			left = append(left, b)
		} else {
			b.release()
		}
	}
	clear(in.batches[len(left):])
	in.batches, in.head = left, 0
	in.dropOldest(in.limit.Messages/2, in.limit.Bytes/2)
}

// lose counts a message that is dropped, and notes it in the gaps at the end of a
// batch of statuses: in that of its publisher if there is one. Held: mu.
func (in *inbox) lose(gaps **batch, it *item) {
	in.stats.DroppedMessages++
	var seq uint64
	if it.meta != nil {
		seq = it.meta.seq()
	}
	if *gaps == nil {
		*gaps = newBatch()
	}
	items := (*gaps).items
	for i := len(items) - 1; i >= 0 && items[i].rare.lost; i-- {
		if g := items[i].rare.status.(*Gap); g.Origin == *it.origin {
			g.Missed++
			if seq > 0 { // in any order under Conflate
				g.After, g.Before = min(g.After, seq-1), max(g.Before, seq+1)
			}
			return
		}
	}
	g := &Gap{Change: Change{*it.origin, time.Now()}, Missed: 1, Exact: true}
	if seq > 0 {
		g.After, g.Before = seq-1, seq+1
	}
	(*gaps).items = append(items, item{rare: &rare{status: g, lost: true}})
}
