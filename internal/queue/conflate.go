package queue

// conflate drops each waiting event that a later one of the same topic has made
// old. Where topics are so many that this does not free half of the queue, the
// oldest go as well, so that the work is spread over many events. So many more
// messages and bytes have room afterwards. Held: mu.
func (q *Queue) conflate(count, n int) {
	newest := make(map[string]int)
	i := 0
	q.each(func(msg []byte) {
		newest[string(q.limit.Topic(msg))] = i
		i++
	})
	old := q.spans[q.head:]
	q.spans = make([]Span, 0, len(old))
	q.head = 0
	i = 0
	for _, s := range old {
		if s.control {
			q.spans = append(q.spans, s)
			continue
		}
		for lo := s.Lo; lo < s.Hi; i++ {
			msg := s.Block.B[lo:s.Hi]
			msg = msg[:q.skip(msg)]
			if newest[string(q.limit.Topic(msg))] == i {
				q.keep(s, lo, lo+len(msg))
			} else {
				q.stats.Messages--
				q.stats.Bytes -= len(msg)
				q.drop(1, len(msg))
			}
			lo += len(msg)
		}
		s.Block.Release()
	}
	for (q.stats.Messages > q.limit.Messages/2 || q.stats.Bytes > q.limit.Bytes/2 || q.full(count, n)) && q.dropOldest() {
	}
}

// keep puts a message of a span back, next to its neighbour if that was kept too.
// Held: mu.
func (q *Queue) keep(s Span, lo, hi int) {
	if len(q.spans) > 0 && q.extend(s.Block, lo, hi, 1, false) {
		return
	}
	s.Block.Retain()
	q.spans = append(q.spans, Span{Block: s.Block, Lo: lo, Hi: hi, Count: 1})
}

// each calls f for every event that waits, oldest first. Held: mu.
func (q *Queue) each(f func(msg []byte)) {
	for _, s := range q.spans[q.head:] {
		if s.control {
			continue
		}
		for p := s.Bytes(); len(p) > 0; {
			n := q.skip(p)
			f(p[:n])
			p = p[n:]
		}
	}
}
