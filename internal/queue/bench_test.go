package queue_test

import (
	"strconv"
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

var wide = queue.Limit{Messages: 1 << 40, Bytes: 1 << 60}

const eventSize = 128

// pusher pushes events of one publisher, which lie one behind the other in
// blocks of 64 KiB, every stride-th of them: with 1 they are neighbours.
type pusher struct {
	b      *block.Block
	lo     int
	stride int
}

func newPusher(b *testing.B, stride int) *pusher {
	p := &pusher{b: block.Get(64 << 10), stride: stride}
	b.Cleanup(func() { p.b.Release() })
	return p
}

// next moves on to the next event, now and then in another block, and returns
// where it begins.
func (p *pusher) next() int {
	lo := p.lo
	if lo+eventSize > len(p.b.B) {
		p.b.Release()
		p.b, lo = block.Get(64<<10), 0
	}
	p.lo = lo + p.stride*eventSize
	return lo
}

func drain(q *queue.Queue, spans []queue.Span) []queue.Span {
	for {
		spans = q.Take(spans[:0], 256<<10)
		if len(spans) == 0 {
			return spans
		}
		q.Done(spans, true)
	}
}

// BenchmarkPush is one event for one peer: the queue is emptied every 512 events,
// which costs next to nothing of the figure.
func BenchmarkPush(b *testing.B) {
	for _, bb := range []struct {
		name   string
		stride int
	}{{"Adjacent", 1}, {"Copied", 2}} {
		b.Run(bb.name, func(b *testing.B) {
			p, q := newPusher(b, bb.stride), queue.New(wide, zmtp.Skip)
			spans := make([]queue.Span, 0, 64)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				lo := p.next()
				q.Push(p.b, lo, lo+eventSize)
				if i++; i&511 == 0 {
					spans = drain(q, spans)
				}
			}
			b.StopTimer()
			drain(q, spans)
		})
	}
}

// BenchmarkPush64 is one event for 64 peers that get everything.
func BenchmarkPush64(b *testing.B) {
	for _, bb := range []struct {
		name  string
		every int // events between two emptyings
	}{{"Taken", 64}, {"Backlog", 4096}} {
		b.Run(bb.name, func(b *testing.B) {
			p := newPusher(b, 1)
			var peers [64]*queue.Queue
			for i := range peers {
				peers[i] = queue.New(wide, zmtp.Skip)
			}
			spans := make([]queue.Span, 0, 64)
			all := func() {
				for _, q := range peers {
					spans = drain(q, spans)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				lo := p.next()
				for _, q := range peers {
					q.Push(p.b, lo, lo+eventSize)
				}
				if i++; i%bb.every == 0 {
					all()
				}
			}
			b.StopTimer()
			all()
		})
	}
}

// BenchmarkDropOldest is one event for a peer that has stopped reading: each
// drops one.
func BenchmarkDropOldest(b *testing.B) {
	p := newPusher(b, 1)
	q := queue.New(queue.Limit{Messages: 1000, Bytes: 1 << 60, Overflow: queue.DropOldest}, zmtp.Skip)
	b.ReportAllocs()
	for b.Loop() {
		lo := p.next()
		n := len(zmtp.AppendHeader(p.b.B[lo:lo], 0, eventSize-2))
		q.Push(p.b, lo, lo+n+eventSize-2)
	}
	b.StopTimer()
	q.Close()
}

// BenchmarkBatch is the way of a batch of neighbours, from the first Push, which
// gets the claim, until Take gives it back. With one it is what an idle peer costs.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			p, q := newPusher(b, 1), queue.New(wide, zmtp.Skip)
			spans := make([]queue.Span, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					lo := p.next()
					q.Push(p.b, lo, lo+eventSize)
				}
				spans = drain(q, spans)
			}
		})
	}
}
