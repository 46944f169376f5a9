package engine

import (
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/zmtp"
)

// window is what has been read from a peer: b.B[lo:hi] is not yet a whole message.
// The bytes before it may be in use by receivers, those behind it are free, at
// least one, to be read into.
//
// Its block follows the traffic. Reads that fill it make it larger, many small
// ones smaller again; a message that is larger gets a block of its own, which is
// given up behind it. A length that was only announced is not believed: a block
// is at most twice as large as what has come of the message, or as a message that
// did come over this connection.
type window struct {
	b      *block.Block
	lo, hi int

	least, most int // sizes for ordinary traffic
	size        int // the one in use, from least to most
	small       int // reads in a row that used little of it

	largest int // bytes of the largest message so far
	limit   int // bytes that no message exceeds
}

const (
	// growth is how much larger than the first block one for ordinary traffic may
	// become.
	growth = 32
	// smallReads is how many reads in a row make a block smaller that would have
	// fitted into an eighth of it.
	smallReads = 32
)

func newWindow(size int, limits zmtp.Limits) *window {
	limits = limits.WithDefaults()
	w := &window{b: block.Get(size), limit: limits.Message + limits.Frames*zmtp.MaxHeader}
	w.least = len(w.b.B)
	w.size = w.least
	w.most = growth * w.least
	return w
}

// room makes room to read on, after n bytes have been read and what is whole has
// been dealt with. need is the length that the message begun at lo is known to
// have at least; 0 when none is begun.
func (w *window) room(n, need int) {
	w.follow(n)
	have, rest := len(w.b.B), w.hi-w.lo
	free := have - w.hi
	sole := w.b.Sole()
	if rest == 0 && sole && have == w.size {
		// Nobody looks at what was read: begin again at its start.
		w.lo, w.hi = 0, 0
		return
	}
	// Going on in another place costs a copy of the rest. It must not be done with
	// each read: either the block is full, and the next one is half again as large
	// or has a message to its end, or the rest is less than what came before it.
	switch {
	case free == 0:
	case rest == 0 && have != w.size:
	case free >= have/4 || rest > 0 && w.lo < have/2:
		return
	}
	size := w.size
	if need > size {
		size = max(size, rest+rest/2, min(need, max(2*rest, w.largest)))
		size = min(size, max(w.size, w.limit))
	}
	if sole && size <= have && have < 2*size {
		copy(w.b.B, w.b.B[w.lo:w.hi])
	} else {
		next := block.Get(size)
		copy(next.B, w.b.B[w.lo:w.hi])
		w.b.Release()
		w.b = next
	}
	w.lo, w.hi = 0, rest
}

// follow fits the size of blocks to the traffic.
func (w *window) follow(n int) {
	if n > w.size/8 {
		w.small = 0
	} else {
		w.small++
	}
	switch {
	case w.hi == len(w.b.B) && n >= w.size/2:
		w.size = min(2*w.size, w.most)
	case w.small >= smallReads:
		w.size = max(w.size/2, w.least)
		w.small = 0
	}
}
