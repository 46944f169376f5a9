package queue

import "github.com/heraldbus/herald/internal/block"

const (
	logFirst = 4 << 10  // of a publisher that says little
	logBlock = 64 << 10 // of a busy one
)

// Log hands out the memory into which a publisher encodes its messages, one
// after the other, so that neighbours in time are neighbours in a block. It is
// not safe for concurrent use: the publisher's lock guards it. The zero Log is
// ready.
type Log struct {
	cur  *block.Block // of small messages; nil before the first
	used int          // bytes of cur
	own  *block.Block // of the last message, if that was a large one
}

// Reserve returns a block and the offset at which the caller may write n bytes.
// They are the caller's for good; the reference on the block is the log's, and
// holds until the next Reserve or Close. A large message gets a block to itself,
// see shareMin.
func (l *Log) Reserve(n int) (b *block.Block, lo int) {
	if l.own != nil {
		l.own.Release()
		l.own = nil
	}
	if n >= shareMin {
		l.own = block.Get(n)
		return l.own, 0
	}
	return l.shared(n)
}

// ReserveRun is Reserve for several small messages, which stand next to each other
// and next to those before and after them. n is at most 32 KiB.
func (l *Log) ReserveRun(n int) (b *block.Block, lo int) {
	if l.own != nil {
		l.own.Release()
		l.own = nil
	}
	return l.shared(n)
}

// shared reserves n bytes of the block for small messages.
func (l *Log) shared(n int) (b *block.Block, lo int) {
	if l.cur == nil || l.used+n > len(l.cur.B) {
		size := logFirst
		if l.cur != nil {
			size = min(2*len(l.cur.B), logBlock)
			l.cur.Release()
		}
		l.cur, l.used = block.Get(max(size, n)), 0
	}
	lo = l.used
	l.used += n
	return l.cur, lo
}

// Close gives back what the log holds. It may be used again afterwards.
func (l *Log) Close() {
	for _, b := range []*block.Block{l.cur, l.own} {
		if b != nil {
			b.Release()
		}
	}
	*l = Log{}
}
