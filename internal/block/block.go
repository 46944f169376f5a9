package block

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	minBits = 9  // 512 bytes: what an idle publisher's peer needs to be heard
	maxBits = 20 // 1 MiB: larger ones are too rare to be worth keeping
)

// Block is a piece of memory with a count of its users.
type Block struct {
	// B has its full length at all times; its writer keeps track of how much of
	// it is in use.
	B    []byte
	refs atomic.Int32
}

// pools has one pool for each power of two, so that a block is at most twice as
// large as what was asked for.
var pools [maxBits - minBits + 1]sync.Pool

// poison makes Release overwrite what it recycles, so that whoever still reads
// it sees garbage at once and not some other event a moment later.
var poison atomic.Bool

// Poison turns the overwriting of recycled blocks on or off. It is meant for
// tests that look for borrowed bytes kept too long; it costs a pass over every
// block.
func Poison(on bool) { poison.Store(on) }

// Get returns a block of at least n bytes with one reference, its caller's.
// Its content is arbitrary.
func Get(n int) *Block {
	class := minBits
	if n > 1<<minBits {
		class = bits.Len(uint(n - 1))
	}
	if class > maxBits {
		b := &Block{B: make([]byte, n)}
		b.refs.Store(1)
		return b
	}
	b, _ := pools[class-minBits].Get().(*Block)
	if b == nil {
		b = &Block{B: make([]byte, 1<<class)}
	}
	b.refs.Store(1)
	return b
}

// Retain adds a reference. The caller must hold one already.
func (b *Block) Retain() { b.refs.Add(1) }

// Release gives a reference back. With the last one the block is recycled, and
// nobody may look at its bytes any more.
func (b *Block) Release() {
	switch n := b.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("block: released more often than retained")
	}
	if poison.Load() {
		for i := range b.B {
			b.B[i] = 0xDB
		}
	}
	if class := bits.Len(uint(len(b.B) - 1)); class <= maxBits && len(b.B) == 1<<class {
		pools[class-minBits].Put(b)
	}
}

// Sole reports whether the caller's reference is the only one, so that the
// caller may use the whole block anew.
func (b *Block) Sole() bool { return b.refs.Load() == 1 }
