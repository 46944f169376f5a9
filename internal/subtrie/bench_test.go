package subtrie_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/heraldbus/herald/internal/subtrie"
)

// prefixes are as a service with many rooms has them.
func prefixes(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Appendf(nil, "chat.region-%d.room-%d.", i*7919%n%10, i*7919%n)
	}
	return all
}

var sizes = []int{1, 100, 10_000, 100_000}

func BenchmarkMatch(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			var trie subtrie.Trie[*int]
			peers := make([]int, 100)
			all := prefixes(n)
			for i, p := range all {
				trie.Add(p, &peers[i%len(peers)])
			}
			var topics [][]byte
			for i := range 1000 {
				topics = append(topics, append(all[i*31%n], "message"...))
			}
			dst := make([]*int, 0, 10)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if dst = trie.Match(topics[i], dst[:0]); len(dst) != 1 {
					b.Fatal(len(dst))
				}
				if i++; i == len(topics) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkMatchPeers has many peers at one prefix.
func BenchmarkMatchPeers(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			var trie subtrie.Trie[*int]
			peers := make([]int, n)
			for i := range peers {
				trie.Add([]byte("weather."), &peers[i])
			}
			dst := make([]*int, 0, n)
			for b.Loop() {
				dst = trie.MatchString("weather.eu.paris", dst[:0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/peer")
		})
	}
}

// BenchmarkAddRemove adds one subscription to n others and cancels it.
func BenchmarkAddRemove(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			var trie subtrie.Trie[int]
			for i, p := range prefixes(n) {
				trie.Add(p, i%100)
			}
			prefix := []byte("chat.region-1.lobby")
			b.ReportAllocs()
			for b.Loop() {
				trie.Add(prefix, 1)
				trie.Remove(prefix, 1)
			}
		})
	}
}

// BenchmarkFill empties a trie of n subscriptions peer by peer and fills it again;
// it reports what they take in memory.
func BenchmarkFill(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			all := prefixes(n)
			var length int
			for _, p := range all {
				length += len(p)
			}
			var trie subtrie.Trie[int]
			fill := func() {
				for i, p := range all {
					trie.Add(p, i%100)
				}
			}
			before := heap()
			fill()
			size := heap() - before
			for b.Loop() {
				for p := range 100 {
					trie.RemoveAll(p, nil)
				}
				fill()
			}
			runtime.KeepAlive(&trie)
			b.ReportMetric(float64(size)/float64(n), "B/subscription")
			b.ReportMetric(float64(length)/float64(n), "prefix-B/subscription")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/subscription")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
