package queue_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

const everything = math.MaxInt

// seqs are the numbers of the events in spans, in order.
func seqs(t *testing.T, spans []queue.Span) []uint64 {
	t.Helper()
	var out []uint64
	for _, s := range spans {
		count := 0
		for p := s.Bytes(); len(p) > 0; count++ {
			_, seq, n := identify(t, p)
			out = append(out, seq)
			p = p[n:]
		}
		if count != s.Count {
			t.Errorf("a span of %d messages has Count %d", count, s.Count)
		}
	}
	return out
}

// TestOverflow pushes events of given sizes into a queue whose claim is held by
// somebody who does not read.
func TestOverflow(t *testing.T) {
	const head = 2 + 12 + 2 // of what message makes around a short payload
	for _, tt := range []struct {
		name  string
		limit queue.Limit
		sizes []int // as encoded
		want  []queue.Outcome
		left  []uint64
		lost  int
	}{
		{
			"newest by messages", queue.Limit{Messages: 2, Bytes: 1000, Overflow: queue.DropNewest},
			[]int{20, 20, 20, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Dropped, queue.Dropped},
			[]uint64{0, 1}, 2,
		}, {
			"newest by bytes", queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.DropNewest},
			[]int{40, 60, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Dropped},
			[]uint64{0, 1}, 1,
		}, {
			"newest, a smaller one still fits", queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.DropNewest},
			[]int{60, 60, 40},
			[]queue.Outcome{queue.Claimed, queue.Dropped, queue.Queued},
			[]uint64{0, 2}, 1,
		}, {
			"larger than the limit, alone", queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.DropNewest},
			[]int{200, 20},
			[]queue.Outcome{queue.Claimed, queue.Dropped},
			[]uint64{0}, 1,
		}, {
			"oldest by messages", queue.Limit{Messages: 2, Bytes: 1000, Overflow: queue.DropOldest},
			[]int{20, 20, 20, 20, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Queued, queue.Queued, queue.Queued},
			[]uint64{3, 4}, 3,
		}, {
			"oldest by bytes, several for one", queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.DropOldest},
			[]int{20, 20, 20, 40, 50},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Queued, queue.Queued, queue.Queued},
			[]uint64{3, 4}, 3,
		}, {
			"oldest, larger than the limit", queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.DropOldest},
			[]int{20, 20, 200, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Queued, queue.Queued},
			[]uint64{3}, 3,
		}, {
			"block", queue.Limit{Messages: 2, Bytes: 1000, Overflow: queue.Block},
			[]int{20, 20, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Full},
			[]uint64{0, 1}, 0,
		}, {
			"disconnect tells once", queue.Limit{Messages: 2, Bytes: 1000, Overflow: queue.Disconnect},
			[]int{20, 20, 20, 20},
			[]queue.Outcome{queue.Claimed, queue.Queued, queue.Overrun, queue.Dropped},
			[]uint64{0, 1}, 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			poison(t)
			p := publisher{held: map[*block.Block]bool{}}
			q := queue.New(tt.limit, zmtp.Skip)
			total := 0
			for i, size := range tt.sizes {
				if got := p.push(q, message(0, uint64(i), size-head)); got != tt.want[i] {
					t.Errorf("push %d: outcome %d, want %d", i, got, tt.want[i])
				}
				if tt.want[i] != queue.Full {
					total += size
				}
			}
			s := q.Stats()
			if s.Messages != len(tt.left) || s.DroppedMessages != uint64(tt.lost) || s.Bytes+int(s.DroppedBytes) != total {
				t.Errorf("%+v, want %d messages, %d dropped, %d bytes of both", s, len(tt.left), tt.lost, total)
			}
			spans := q.Take(nil, everything)
			if got := seqs(t, spans); !slices.Equal(got, tt.left) {
				t.Errorf("left are %v, want %v", got, tt.left)
			}
			q.Done(spans, true)
			if s := q.Stats(); s.SentMessages != uint64(len(tt.left)) || s.Messages != 0 || s.Bytes != 0 {
				t.Errorf("after Done: %+v", s)
			}
			if spans = q.Take(nil, everything); len(spans) != 0 {
				t.Error("something is left")
			}
			p.released(t)
		})
	}
}

// TestClaim follows the claim from hand to hand.
func TestClaim(t *testing.T) {
	poison(t)
	p := publisher{held: map[*block.Block]bool{}}
	q := queue.New(wide, zmtp.Skip)
	if closed(q.Idle()) != true {
		t.Error("a new queue is not idle")
	}
	want := func(got, want queue.Outcome) {
		t.Helper()
		if got != want {
			t.Errorf("outcome %d, want %d", got, want)
		}
	}
	want(p.push(q, message(0, 0, 10)), queue.Claimed)
	want(p.push(q, message(0, 1, 10)), queue.Queued)
	idle := q.Idle()
	spans := q.Take(nil, everything)
	// What was taken is on its way: the queue is empty but not idle.
	want(p.push(q, message(0, 2, 10)), queue.Queued)
	q.Done(spans, true)
	spans = q.Take(spans[:0], everything)
	if got := seqs(t, spans); !slices.Equal(got, []uint64{2}) {
		t.Errorf("took %v, want what came meanwhile", got)
	}
	q.Done(spans, false)
	if closed(idle) {
		t.Error("idle while the claim is held")
	}
	if spans = q.Take(spans[:0], everything); len(spans) != 0 {
		t.Error("took something out of an empty queue")
	}
	if !closed(idle) {
		t.Error("not idle when the claim is back")
	}
	want(q.PushControl(p.encode(message(0, 3, 10))), queue.Claimed)
	want(p.push(q, message(0, 4, 10)), queue.Queued)
	q.Done(q.Take(nil, everything), true)
	if s := q.Stats(); s.SentMessages != 3 || s.DroppedMessages != 1 {
		t.Errorf("%+v, want 3 sent and 1 dropped", s)
	}
	p.released(t)
}

// TestTakeLimit: at least one span comes out, whatever the limit, as nothing means
// that the claim is given back.
func TestTakeLimit(t *testing.T) {
	for _, tt := range []struct{ limit, spans int }{
		{math.MinInt, 1}, {0, 1}, {1, 1}, {8000, 1}, {8001, 2}, {16000, 2}, {16001, 3}, {everything, 3},
	} {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			var p publisher
			q := queue.New(wide, zmtp.Skip)
			for range 3 {
				p.push(q, make([]byte, 8000))
			}
			spans := q.Take(nil, tt.limit)
			if len(spans) != tt.spans {
				t.Errorf("took %d spans, want %d", len(spans), tt.spans)
			}
			if s := q.Stats(); s.Messages != 3-tt.spans || s.Bytes != 8000*(3-tt.spans) {
				t.Errorf("%+v after %d of 3 were taken", s, tt.spans)
			}
			q.Done(spans, true)
			q.Close()
			p.released(t)
		})
	}
}

func TestClose(t *testing.T) {
	for _, overflow := range []queue.Overflow{queue.DropNewest, queue.DropOldest, queue.Block, queue.Disconnect} {
		poison(t)
		p := publisher{held: map[*block.Block]bool{}}
		q := queue.New(queue.Limit{Messages: 3, Bytes: 1 << 20, Overflow: overflow}, zmtp.Skip)
		p.push(q, message(0, 0, 10))
		spans := q.Take(nil, everything)
		p.push(q, message(0, 1, 10))
		p.push(q, message(0, 2, 5000))
		p.push(q, message(0, 3, 10))
		q.PushControl(p.encode(message(0, 4, 10)))
		room, idle := q.Room(), q.Idle()
		q.Close()
		q.Close()
		if !closed(room) || !closed(q.Room()) || !q.HasRoom(1<<30) {
			t.Error("Close does not wake who waits for room")
		}
		if closed(idle) || closed(q.Idle()) {
			t.Error("idle while the claim is held")
		}
		if got := p.push(q, message(0, 5, 10)); got != queue.Dropped {
			t.Errorf("Push after Close: outcome %d, want Dropped", got)
		}
		if got := q.PushControl(p.encode(message(0, 6, 10))); got != queue.Dropped {
			t.Errorf("PushControl after Close: outcome %d, want Dropped", got)
		}
		if got := seqs(t, spans); !slices.Equal(got, []uint64{0}) {
			t.Errorf("Close changed what was taken to %v", got)
		}
		q.Done(spans, true)
		if spans = q.Take(nil, everything); len(spans) != 0 {
			t.Error("took something out of a closed queue")
		}
		if !closed(idle) || !closed(q.Idle()) {
			t.Error("not idle when the claim is back")
		}
		if s := q.Stats(); s.Messages != 0 || s.Bytes != 0 || s.SentMessages != 1 || s.DroppedMessages != 4 {
			t.Errorf("%+v, want 1 sent and 4 dropped", s)
		}
		p.released(t)
	}
}

func TestRoom(t *testing.T) {
	var p publisher
	q := queue.New(queue.Limit{Messages: 9, Bytes: 100, Overflow: queue.Block}, zmtp.Skip)
	if !q.HasRoom(1000) {
		t.Error("an empty queue has no room for a message larger than the limit")
	}
	p.push(q, make([]byte, 60))
	if q.HasRoom(41) || !q.HasRoom(40) {
		t.Error("room for 41 bytes beside 60 of 100, or none for 40")
	}
	room := q.Room()
	if room != q.Room() {
		t.Error("two who wait get different channels")
	}
	if closed(room) {
		t.Error("woken before anything was taken")
	}
	q.Done(q.Take(nil, everything), true)
	if !closed(room) {
		t.Error("not woken by Take")
	}
	if closed(q.Room()) {
		t.Error("the next one is woken by the Take before")
	}
	p.released(t)
}

// TestControl: control messages get through where events do not, keep their place
// among them, and are bounded by themselves.
func TestControl(t *testing.T) {
	poison(t)
	p := publisher{held: map[*block.Block]bool{}}
	q := queue.New(queue.Limit{Messages: 3, Bytes: 1 << 20, Overflow: queue.DropOldest}, zmtp.Skip)
	control := func(seq uint64) queue.Outcome { return q.PushControl(p.encode(message(1, seq, 10))) }
	event := func(seq uint64, size int) { p.push(q, message(0, seq, size)) }
	control(0)
	event(1, 10)
	control(2)
	event(3, 5000)
	event(4, 10)
	control(5)
	for seq := uint64(6); seq < 8; seq++ { // drops 1 and 3
		event(seq, 10)
	}
	spans := q.Take(nil, everything)
	if got, want := seqs(t, spans), []uint64{0, 2, 4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	q.Done(spans, true)
	if s := q.Stats(); s.SentMessages != 3 || s.DroppedMessages != 2 {
		t.Errorf("%+v, want 3 sent and 2 dropped: control messages are not counted", s)
	}

	n := 0
	for control(uint64(n)) == queue.Queued {
		n++
	}
	if n != 256 {
		t.Errorf("%d control messages let in, want 256", n)
	}
	q.Done(q.Take(nil, 1), true)
	if control(0) != queue.Queued {
		t.Error("no control message is let in though one was taken")
	}
	q.Close()
	p.released(t)
}

// TestSpans tells how many spans there are, and whether they are in the memory of
// the publisher.
func TestSpans(t *testing.T) {
	var (
		wanted  = func(size int) func(*publisher, *queue.Queue) { return pushSome(1, size, 0) }
		control = func(p *publisher, q *queue.Queue) { q.PushControl(p.encode(make([]byte, 30))) }
	)
	for _, tt := range []struct {
		name   string
		do     []func(*publisher, *queue.Queue)
		shared string // for each span, whether it is in the publisher's memory
	}{
		{"neighbours", []func(*publisher, *queue.Queue){pushSome(30, 100, 0)}, "y"},
		{"a log of several blocks", []func(*publisher, *queue.Queue){pushSome(1000, 100, 0)}, "yyy"},
		{"one of two", []func(*publisher, *queue.Queue){pushSome(30, 100, 100)}, "yn"},
		{"large ones", []func(*publisher, *queue.Queue){pushSome(3, 4096, 100)}, "yyy"},
		{"large and small", []func(*publisher, *queue.Queue){wanted(100), wanted(5000), wanted(100), wanted(5000), wanted(100)}, "yynyn"},
		{"control", []func(*publisher, *queue.Queue){wanted(100), control, wanted(100), control}, "ynnn"},
		// After 16 KiB of neighbours they are referred to again.
		{"a gap in a backlog", []func(*publisher, *queue.Queue){
			pushSome(800, 100, 0), skipSome(100), pushSome(163, 100, 0),
		}, "yyn"},
		{"a gap and a long run", []func(*publisher, *queue.Queue){
			pushSome(800, 100, 0), skipSome(100), pushSome(164, 100, 0),
		}, "yyny"},
		{"control in a backlog", []func(*publisher, *queue.Queue){
			pushSome(800, 100, 0), control, pushSome(10, 100, 0),
		}, "yyyy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &publisher{held: map[*block.Block]bool{}}
			for range 1250 { // until the log's blocks have their full size, and are about half full
				p.encode(make([]byte, 128))
			}
			q := queue.New(wide, zmtp.Skip)
			for _, do := range tt.do {
				do(p, q)
			}
			spans := q.Take(nil, everything)
			got := ""
			for _, s := range spans {
				if p.held[s.Block] {
					got += "y"
				} else {
					got += "n"
				}
			}
			if got != tt.shared {
				t.Errorf("shared: %s, want %s", got, tt.shared)
			}
			q.Done(spans, true)
			p.released(t)
		})
	}
}

// pushSome pushes n messages of size bytes, with gap bytes in between that are
// others'.
func pushSome(n, size, gap int) func(*publisher, *queue.Queue) {
	return func(p *publisher, q *queue.Queue) {
		for range n {
			p.push(q, make([]byte, size))
			if gap > 0 {
				p.encode(make([]byte, gap))
			}
		}
	}
}

// skipSome is a message for others.
func skipSome(size int) func(*publisher, *queue.Queue) {
	return func(p *publisher, _ *queue.Queue) { p.encode(make([]byte, size)) }
}

// TestKeptAlive: what a stalled peer keeps alive is bounded by what waits for it,
// however little of the publisher's events it gets.
func TestKeptAlive(t *testing.T) {
	for _, tt := range []struct{ size, run, gap int }{
		{100, 1, 1}, {100, 1, 100}, {100, 10, 600}, {100, 42, 613}, {100, 170, 485},
		{100, 328, 327}, {3000, 1, 20}, {3000, 6, 15}, {1000, 1, 64}, {4096, 1, 1}, {4097, 2, 9}, {100, 1 << 20, 0},
	} {
		t.Run(fmt.Sprintf("%d bytes %d of %d", tt.size, tt.run, tt.run+tt.gap), func(t *testing.T) {
			var p publisher
			q := queue.New(wide, zmtp.Skip)
			// The pattern begins at the start of a block, and with some sizes that
			// is where it begins each time.
			for b := new(block.Block); tt.size < 4<<10 && len(b.B) < 64<<10; {
				b, _, _ = p.encode(make([]byte, tt.size))
			}
			for i := 1; i < 4<<20/tt.size; i++ {
				if b, lo, hi := p.encode(make([]byte, tt.size)); i%(tt.run+tt.gap) < tt.run {
					q.Push(b, lo, hi)
				}
			}
			waiting := q.Stats().Bytes
			spans := q.Take(nil, everything)
			kept := 0
			blocks := map[*block.Block]bool{}
			for _, s := range spans {
				if !blocks[s.Block] {
					blocks[s.Block] = true
					kept += len(s.Block.B)
				}
			}
			// The first message of an idle queue is referred to wherever it is,
			// and one block at either end is in use in part.
			if bound := 5*waiting + 2*64<<10; kept > bound {
				t.Errorf("%d bytes waiting keep %d alive, want no more than %d", waiting, kept, bound)
			}
			q.Done(spans, true)
			p.released(t)
		})
	}
}

// TestDropOldestSkip: a span is dropped from message by message.
func TestDropOldestSkip(t *testing.T) {
	poison(t)
	p := publisher{held: map[*block.Block]bool{}}
	q := queue.New(queue.Limit{Messages: 5, Bytes: 1 << 20, Overflow: queue.DropOldest}, zmtp.Skip)
	var all [][]byte
	for i := range 300 {
		m := zmtp.AppendMessage(nil, []byte("topic"), make([]byte, i), []byte{byte(i)})
		all = append(all, m)
		p.push(q, m)
	}
	spans := q.Take(nil, everything)
	if want := bytes.Join(all[295:], nil); !bytes.Equal(bytesOf(spans), want) {
		t.Errorf("left are % x, want % x", bytesOf(spans), want)
	}
	q.Done(spans, true)
	p.released(t)
}

// TestIdle: a queue that is idle keeps nothing from the garbage collector.
func TestIdle(t *testing.T) {
	q := queue.New(wide, zmtp.Skip)
	b := block.Get(2 << 20) // too large to be recycled
	gone := weak.Make(b)
	q.Push(b, 0, 100)
	b.Release()
	q.Done(q.Take(nil, everything), true)
	q.Take(nil, everything)
	b = nil
	runtime.GC()
	if gone.Value() != nil {
		t.Error("a block is still there though nobody has a reference")
	}
	runtime.KeepAlive(q)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
