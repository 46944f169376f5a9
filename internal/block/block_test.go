package block

import (
	"sync"
	"testing"
)

func TestGetSizes(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 4096, 4097, 1 << 20, 1<<20 + 1, 5 << 20} {
		b := Get(n)
		if len(b.B) < n {
			t.Errorf("Get(%d) has %d bytes", n, len(b.B))
		}
		if n > 512 && n <= 1<<20 && len(b.B) >= 2*n {
			t.Errorf("Get(%d) has %d bytes, twice what was asked for", n, len(b.B))
		}
		if !b.Sole() {
			t.Errorf("Get(%d): the caller is not the only user", n)
		}
		b.Release()
	}
}

func TestReleaseTooOften(t *testing.T) {
	b := &Block{B: make([]byte, 512)}
	b.refs.Store(0)
	defer func() {
		if recover() == nil {
			t.Error("releasing a block that nobody holds went unnoticed")
		}
	}()
	b.Release()
}

func TestPoison(t *testing.T) {
	Poison(true)
	defer Poison(false)
	b := Get(600)
	b.B[0] = 'x'
	borrowed := b.B[:1]
	b.Retain()
	b.Release()
	if borrowed[0] != 'x' {
		t.Fatal("overwritten while still in use")
	}
	b.Release()
	if borrowed[0] != 0xDB {
		t.Errorf("recycled bytes read %#x, want the poison", borrowed[0])
	}
}

func TestConcurrentRelease(t *testing.T) {
	const users = 64
	b := Get(512)
	for range users {
		b.Retain()
	}
	var wg sync.WaitGroup
	for range users {
		wg.Go(b.Release)
	}
	wg.Wait()
	if !b.Sole() {
		t.Error("references are left over")
	}
}

func BenchmarkGetRelease(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Get(64 << 10).Release()
	}
}
