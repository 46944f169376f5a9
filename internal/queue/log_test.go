package queue_test

import (
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
)

func TestLog(t *testing.T) {
	poison(t)
	var l queue.Log
	reserve := func(n, wantLo int) *block.Block {
		t.Helper()
		b, lo := l.Reserve(n)
		if lo != wantLo || lo+n > len(b.B) {
			t.Errorf("%d bytes at %d of %d, want them at %d", n, lo, len(b.B), wantLo)
		}
		return b
	}
	first := reserve(100, 0)
	if len(first.B) != 4<<10 {
		t.Errorf("the first block has %d bytes, want 4 KiB", len(first.B))
	}
	if reserve(50, 100) != first {
		t.Error("neighbours are not in the same block")
	}
	large := reserve(5000, 0)
	large.Retain()
	if b := reserve(4<<10, 0); b == first || len(b.B) != 4<<10 {
		t.Error("a message of 4 KiB has no block to itself")
	}
	if reserve(0, 150) != first || reserve(4<<10-150, 150) != first {
		t.Error("a large message ends the block of the small ones")
	}
	if !large.Sole() {
		t.Error("the log refers to a large message after the next Reserve")
	}
	large.Release()

	// The next ones are twice as large each, up to 64 KiB.
	first.Retain()
	for _, size := range []int{8 << 10, 16 << 10, 32 << 10, 64 << 10, 64 << 10} {
		for lo := 0; lo+4000 <= size; lo += 4000 {
			if b := reserve(4000, lo); len(b.B) != size {
				t.Errorf("a block of %d bytes, want %d", len(b.B), size)
			}
		}
	}
	if !first.Sole() {
		t.Error("the log refers to a block that is full")
	}
	first.Release()

	small := reserve(1, 64000)
	large = reserve(2<<20, 0)
	small.Retain()
	large.Retain()
	l.Close()
	l.Close()
	if !small.Sole() || !large.Sole() {
		t.Error("the log refers to something after Close")
	}
	small.Release()
	large.Release()
	if b := reserve(10, 0); len(b.B) != 4<<10 {
		t.Errorf("the first block after Close has %d bytes, want 4 KiB", len(b.B))
	}
	l.Close()
}
