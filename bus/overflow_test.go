package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/topic"
)

func TestInboxOverflow(t *testing.T) {
	type step struct {
		push []int // sizes; nil: take
		take int
		want string
	}
	push := func(sizes ...int) step { return step{push: sizes} }
	wide := func(o Overflow) Queue { return Queue{Messages: 3, Bytes: 1 << 20, Overflow: o} }
	heavy := func(o Overflow) Queue { return Queue{Messages: 100, Bytes: 3 * (oneBytes + 100), Overflow: o} }
	for _, tt := range []struct {
		name  string
		limit Queue
		steps []step
	}{
		{"newest: the gap follows what was kept of the batch", wide(DropNewest), []step{
			push(0, 0, 0, 0, 0), {take: -1, want: "1 2 3 gap(2: 3..6)"},
		}},
		{"newest: one gap for many batches", wide(DropNewest), []step{
			push(0, 0), push(0, 0), push(0), push(0, 0), {take: -1, want: "1 2 3 gap(4: 3..8)"},
		}},
		{"newest: the gap stands before what comes next", wide(DropNewest), []step{
			push(0, 0, 0), push(0, 0), {take: 3, want: "1 2 3"}, push(0, 0, 0, 0), push(0),
			{take: -1, want: "gap(2: 3..6) 6 7 8 gap(2: 8..11)"},
		}},
		{"newest: statuses keep their place", wide(DropNewest), []step{
			push(-1, 0, 0, -1, 0, 0, -1, 0, -1), push(-1), push(0),
			{take: -1, want: "mark 1 2 mark 3 gap(1: 3..5) mark gap(1: 4..6) mark mark gap(1: 5..7)"},
		}},
		{"newest: a smaller one may still fit", heavy(DropNewest), []step{
			push(100, 100, 200, 0, 100), {take: -1, want: "1 2 gap(1: 2..4) 4 gap(1: 4..6)"},
		}},
		{"newest: an empty queue takes a message larger than the limit", heavy(DropNewest), []step{
			push(5000), {take: 1, want: "1"}, push(5000, 0, 5000), {take: -1, want: "2 gap(2: 2..5)"},
		}},
		{"oldest", wide(DropOldest), []step{
			push(0, 0), push(0, 0), push(0, 0), {take: -1, want: "gap(3: 0..4) 4 5 6"},
		}},
		{"oldest: a batch larger than the queue", wide(DropOldest), []step{
			push(0), push(0, 0, 0, 0, 0), {take: -1, want: "gap(3: 0..4) 4 5 6"},
		}},
		{"oldest: statuses keep their place", wide(DropOldest), []step{
			push(-1, 0, -1, 0, 0), push(-1, 0), push(0), push(-1, 0),
			{take: -1, want: "mark gap(1: 0..2) mark gap(2: 1..4) mark 4 5 mark 6"},
		}},
		{"oldest: what the loop has in hand is not dropped", wide(DropOldest), []step{
			push(0, 0, 0), {take: 1, want: "1"}, push(0, 0, 0), push(0, 0), {take: -1, want: "2 3 gap(2: 3..6) 6 7 8"},
		}},
		{"oldest: as many as the new one needs", heavy(DropOldest), []step{
			push(100, 0, 100), push(100, 100), {take: -1, want: "gap(2: 0..3) 3 4 5"},
		}},
		{"oldest: an empty queue takes a message larger than the limit", heavy(DropOldest), []step{
			push(100), push(5000), {take: 2, want: "gap(1: 0..2) 2"}, push(0, 5000, 0), {take: -1, want: "gap(2: 2..5) 5"},
		}},
		{"disconnect: as newest", wide(Disconnect), []step{
			push(0, 0, 0), push(0, 0), {take: -1, want: "1 2 3 gap(2: 3..6)"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newInbox(tt.limit, topic.Everything())
			f := newFeeder("p")
			for i, s := range tt.steps {
				if s.push == nil {
					if got := take(t, in, s.take); got != s.want {
						t.Errorf("step %d:\n got %s\nwant %s", i, got, s.want)
					}
					continue
				}
				before := in.queueStats().DroppedMessages
				ok := in.push(f.batch(s.push...), nil)
				if lost := in.queueStats().DroppedMessages > before; ok == (lost && tt.limit.Overflow == Disconnect) {
					t.Errorf("step %d: push answered %v", i, ok)
				}
			}
		})
	}
}

// Of each topic the newest stays, and what was dropped is told as one.
func TestInboxConflate(t *testing.T) {
	in := newInbox(Queue{Messages: 6, Bytes: 1 << 20, Overflow: Conflate}, topic.Everything())
	f := newFeeder("p")
	for _, names := range []string{"aab", "bca", "-d", "ea", "f"} {
		b := f.batch(slices.Repeat([]int{0}, len(names))...)
		for i, name := range names {
			if b.items[i].topic = string(name); name == '-' {
				b.items[i] = item{rare: &rare{status: &mark{}}}
				b.messages--
				b.bytes -= oneBytes
			}
		}
		in.push(b, nil)
	}
	// The seventh, d, leaves one of each of four topics, of which the oldest goes too,
	// since they are more than half of what there is room for.
	if got, want := take(t, in, -1), "gap(4: 0..5) 5 6 mark 8 9 10 11"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if s := in.queueStats(); s.DroppedMessages != 4 {
		t.Errorf("%+v", s)
	}
}

// Gaps of several publishers are told apart, and there is one of each.
func TestInboxOverflowOfMany(t *testing.T) {
	for _, tt := range []struct {
		overflow Overflow
		want     string
	}{
		{DropNewest, "a1 b1 gap a 3 gap b 2"},
		{DropOldest, "gap a 3 gap b 2 b3 a4"},
	} {
		in := newInbox(Queue{Messages: 2, Bytes: 1 << 20, Overflow: tt.overflow}, topic.Everything())
		a, b := newFeeder("a"), newFeeder("b")
		for _, f := range []*feeder{a, b, a, a, b, b, a} {
			in.push(f.ones(1), nil)
		}
		in.end()
		var words []string
		in.loop(context.Background(), func(it *item) bool {
			if g, ok := it.status().(*Gap); ok {
				words = append(words, fmt.Sprintf("gap %s %d", g.Publisher, g.Missed))
			} else {
				words = append(words, fmt.Sprint(it.origin.Publisher, it.meta.seq()))
			}
			return true
		})
		if got := strings.Join(words, " "); got != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.overflow, got, tt.want)
		}
	}
}

// ledger checks that what a loop yields of several publishers is all that they
// sent, each message or its loss, in order and in its place.
type ledger struct {
	t        *testing.T
	at       map[string]uint64 // seq that was dealt with
	messages uint64
	missed   uint64
}

func (l *ledger) take(it *item) bool {
	l.t.Helper()
	switch st := it.status().(type) {
	case nil:
		l.next(it.origin.Publisher, it.meta.seq(), 1)
		l.messages++
	case *Gap:
		if st.Before != st.After+st.Missed+1 || !st.Exact {
			l.t.Fatalf("a gap in a series without holes: %+v", st)
		}
		l.next(st.Publisher, st.After+1, st.Missed)
		l.missed += st.Missed
	case *mark:
		if at := l.at[st.Publisher]; at != st.seq {
			l.t.Fatalf("a status of %s from after seq %d stands after %d", st.Publisher, st.seq, at)
		}
	}
	return true
}

func (l *ledger) next(publisher string, seq, n uint64) {
	l.t.Helper()
	if at := l.at[publisher]; seq != at+1 {
		l.t.Fatalf("%s: seq %d after %d", publisher, seq, at)
	}
	l.at[publisher] = seq + n - 1
}

// Whatever is pushed and taken, each message is given or its loss is told, in its
// place, also between statuses, and the bounds hold.
func TestInboxRandom(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		limit := Queue{
			Messages: 1 + rnd.IntN(20), Bytes: 200 + rnd.IntN(2000),
			Overflow: []Overflow{DropNewest, DropOldest, Disconnect}[rnd.IntN(3)],
		}
		in := newInbox(limit, topic.Everything())
		feeders := []*feeder{newFeeder("a"), newFeeder("b"), newFeeder("c")}
		l := &ledger{t: t, at: make(map[string]uint64)}
		for range 200 {
			if rnd.IntN(3) > 0 {
				var sizes []int
				for range rnd.IntN(12) {
					sizes = append(sizes, rnd.IntN(120)-20)
				}
				in.push(feeders[rnd.IntN(3)].batch(sizes...), nil)
			} else if n := rnd.IntN(30); waits(in) {
				in.loop(context.Background(), func(it *item) bool {
					l.take(it)
					n--
					return n > 0 && waits(in)
				})
			}
			if s := in.queueStats(); s.QueuedMessages > limit.Messages+20 || s.QueuedBytes > limit.Bytes && s.QueuedMessages > 1 {
				// What a loop that broke off has left, up to a batch, is in no limit.
				t.Fatalf("seed %d: beyond %+v: %+v", seed, limit, s)
			}
		}
		in.end()
		if err := in.loop(context.Background(), l.take); err != nil {
			t.Fatal(err)
		}
		var sent uint64
		for _, f := range feeders {
			sent += f.seq
			if l.at[f.origin.Publisher] != f.seq {
				t.Fatalf("seed %d: %s ends at %d, sent were %d", seed, f.origin.Publisher, l.at[f.origin.Publisher], f.seq)
			}
		}
		s := in.queueStats()
		if sent != l.messages+l.missed || s.Messages != sent || s.DroppedMessages != l.missed || s.QueuedMessages != 0 || s.QueuedBytes != 0 {
			t.Fatalf("seed %d: sent %d, taken %d, missed %d; %+v", seed, sent, l.messages, l.missed, s)
		}
		if t.Failed() {
			t.Fatalf("seed %d, %+v", seed, limit)
		}
	}
}

// A loop that never comes costs no more than the limit, however long.
func TestInboxThatNobodyTakes(t *testing.T) {
	for _, o := range []Overflow{DropNewest, DropOldest, Disconnect, Conflate} {
		in := newInbox(Queue{Messages: 10, Bytes: 1 << 20, Overflow: o}, topic.Everything())
		f := newFeeder("p")
		held := 0
		var blocks []*block.Block
		for range 10_000 {
			b := f.ones(3)
			b.block.Retain()
			blocks = append(blocks, b.block)
			in.push(b, nil)
			s := newBatch()
			s.addStatus(&mark{})
			in.push(s, nil)
		}
		for _, b := range blocks {
			if !b.Sole() {
				held++
			}
			b.Release()
		}
		// Under DropOldest the batches at both ends of the limit may be partly there.
		if held > 5 {
			t.Errorf("%v: %d blocks are held for 10 messages", o, held)
		}
		n := 0
		for _, b := range in.batches[in.head:] {
			n += len(b.items)
		}
		if in.front != nil {
			n += len(in.front.items)
		}
		if n > 3*maxStatuses || cap(in.batches) > 8*maxStatuses {
			t.Errorf("%v: %d items in %d batches", o, n, cap(in.batches))
		}
		in.close()
		if s := in.queueStats(); s.Messages != 30_000 || s.DroppedMessages != 30_000 || s.QueuedMessages != 0 {
			t.Errorf("%v: after close %+v", o, s)
		}
	}
}

// Statuses are bounded too where the first that waits is a message.
func TestInboxForgetsOldStatuses(t *testing.T) {
	in := newInbox(Queue{Messages: 10, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
	f := newFeeder("p")
	in.push(f.ones(1), nil)
	for i := range 3 * maxStatuses {
		b := newBatch()
		b.addStatus(&mark{seq: uint64(i)})
		in.push(b, nil)
	}
	in.end()
	n, last := 0, uint64(0)
	in.loop(context.Background(), func(it *item) bool {
		if st, ok := it.status().(*mark); ok {
			n++
			last = st.seq
		} else if n > 0 {
			t.Error("the message is no more in its place")
		}
		return true
	})
	if n > maxStatuses+1 || n < maxStatuses/2 || last != 3*maxStatuses-1 {
		t.Errorf("%d statuses were kept, the last is number %d", n, last)
	}
}

// Frames after the payload count, too.
func TestInboxCountsExtraFrames(t *testing.T) {
	in := newInbox(Queue{Messages: 10, Bytes: 1000, Overflow: DropNewest}, topic.Everything())
	for range 5 {
		b := newBatch()
		b.add("t", nil, nil, newFeeder("p").origin, &rare{extra: [][]byte{make([]byte, 300), make([]byte, 100)}})
		in.push(b, nil)
	}
	if s := in.queueStats(); s.QueuedMessages != 2 || s.QueuedBytes != 2*401 || s.DroppedMessages != 3 {
		t.Errorf("%+v", s)
	}
}
