// Package block holds the bytes of Herald while they are on their way: pieces
// of memory of a power of two in size, counted by reference and recycled.
//
// A publisher encodes each event once into a block; the queues of all peers
// that want it, and the ring of past events, hold references into the same
// bytes. A subscriber reads from its connection into a block and hands out
// slices of it. Recycling is what makes both fast: a fresh block must be zeroed
// by the runtime and collected again, which costs more than the copy into it.
//
// A block is written only by the one who got it from [Get], and only beyond
// what has already been handed out; what has been handed out is never changed
// until the last reference is released. Retain and Release are safe for
// concurrent use; everything else about a block belongs to its writer.
package block
