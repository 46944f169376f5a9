package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/topic"
)

// feeder makes the batches of one publisher, with seqs that have no holes.
type feeder struct {
	origin *Origin
	seq    uint64
}

func newFeeder(name string) *feeder {
	return &feeder{origin: &Origin{Publisher: name, Incarnation: 1, Endpoint: "tcp://" + name}}
}

// mark is a status that knows how many messages its publisher had sent before it.
type mark struct {
	Change
	seq uint64
}

func (*mark) Kind() string   { return "mark" }
func (*mark) String() string { return "mark" }

// batch makes one of so many messages, with payloads of the given sizes; a
// negative size stands for a status.
func (f *feeder) batch(sizes ...int) *batch {
	b := newBatch()
	room := 0
	for _, n := range sizes {
		room += max(n, 0) + metaSize
	}
	blk := block.Get(room)
	at := 0
	cut := func(n int) []byte {
		at += n
		return blk.B[at-n : at : at]
	}
	for _, n := range sizes {
		if n < 0 {
			b.addStatus(&mark{Change{Origin: *f.origin}, f.seq})
			continue
		}
		f.seq++
		payload := cut(n)
		if n >= 8 {
			binary.BigEndian.PutUint64(payload, f.seq)
		}
		m := meta(cut(metaSize))
		putMeta(m, 0, 1, f.seq, 0, 0)
		b.add("t", payload, m, f.origin, nil)
	}
	if b.messages > 0 {
		b.block = blk
	} else {
		blk.Release()
	}
	return b
}

// ones are n messages without payload: 37 bytes each.
func (f *feeder) ones(n int) *batch { return f.batch(make([]int, n)...) }

const oneBytes = 1 + metaSize

// take loops until it has n items, or for n < 0 until nothing waits, and returns
// them as words.
func take(t *testing.T, in *inbox, n int) string {
	t.Helper()
	var words []string
	if n < 0 {
		in.end()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := in.loop(ctx, func(it *item) bool {
		words = append(words, wordOf(it))
		return len(words) != n
	})
	if err != nil {
		t.Fatalf("after %q: %v", words, err)
	}
	return strings.Join(words, " ")
}

func wordOf(it *item) string {
	switch st := it.status().(type) {
	case nil:
		return fmt.Sprint(it.meta.seq())
	case *Gap:
		return fmt.Sprintf("gap(%d: %d..%d)", st.Missed, st.After, st.Before)
	default:
		return st.Kind()
	}
}

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

// waits reports whether a loop would find something.
func waits(in *inbox) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.head < len(in.batches) || in.front != nil || in.back != nil || in.cur != nil && in.pos < len(in.cur.items)
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

// Under Block, readers get room in the order in which they asked, however small
// what comes after them.
func TestInboxFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox(Queue{Messages: 10, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		busy, big := newFeeder("busy"), newFeeder("big")
		for range 9 {
			in.push(busy.ones(1), nil)
		}
		var wg sync.WaitGroup
		wg.Go(func() { in.push(big.ones(10), nil) })
		synctest.Wait()
		n := 0
		err := in.loop(t.Context(), func(it *item) bool {
			if it.origin.Publisher == "big" {
				return false
			}
			if n++; n > 9 {
				t.Error("small batches overtake the one that waits for room")
				return false
			}
			b := busy.ones(1)
			wg.Go(func() { in.push(b, nil) })
			synctest.Wait() // whoever can push does
			return true
		})
		if err != nil {
			t.Error(err)
		}
		in.close()
		wg.Wait()
	})
}

// Several busy publishers share a small queue, none is kept out for long.
func TestInboxFairnessOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox(Queue{Messages: 4, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		var wg sync.WaitGroup
		const publishers, batches = 5, 40
		for i := range publishers {
			wg.Go(func() {
				f := newFeeder(fmt.Sprint(i))
				for range batches {
					in.push(f.ones(1+i%3), nil)
				}
			})
		}
		go func() { wg.Wait(); in.end() }()
		l := &ledger{t: t, at: make(map[string]uint64)}
		since := make(map[string]int)
		total := 0
		for i := range publishers {
			total += batches * (1 + i%3)
		}
		in.loop(t.Context(), func(it *item) bool {
			synctest.Wait()
			l.take(it)
			since[it.origin.Publisher] = 0
			for p := range since {
				if l.at[p] < uint64(batches*(1+int(p[0]-'0')%3)) {
					if since[p]++; since[p] > 25 { // 4 in the queue, 5 waiters of up to 3, twice
						t.Fatalf("%s was kept out for %d messages", p, since[p])
					}
				}
			}
			return true
		})
		if l.messages != uint64(total) {
			t.Errorf("%d of %d messages", l.messages, total)
		}
	})
}

// A batch larger than the queue is taken once nothing else waits; when the
// subscriber ends, what has been read is taken at once.
func TestInboxBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox(Queue{Messages: 2, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		f, stop := newFeeder("p"), make(chan struct{})
		in.push(f.ones(5), stop)
		pushed := make(chan bool, 2)
		go func() {
			in.push(f.ones(5), stop)
			pushed <- true
			in.push(f.ones(1), stop)
			pushed <- true
		}()
		synctest.Wait()
		if len(pushed) != 0 {
			t.Fatal("there was no room")
		}
		if got := take(t, in, 1); got != "1" {
			t.Fatal(got)
		}
		synctest.Wait()
		if len(pushed) != 1 {
			t.Fatal("there was room when the first batch had been taken out")
		}
		close(stop)
		synctest.Wait()
		if len(pushed) != 2 {
			t.Fatal("stop did not end the wait")
		}
		if got := take(t, in, -1); got != "2 3 4 5 6 7 8 9 10 11" {
			t.Error(got)
		}
	})
}

// A waiter that gives up passes its turn on.
func TestInboxWaiterGivesUp(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			in := newInbox(Queue{Messages: 1, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
			stop := make(chan struct{})
			in.push(newFeeder("a").ones(1), nil)
			go in.push(newFeeder("b").ones(1), stop)
			synctest.Wait()
			go in.push(newFeeder("c").ones(1), nil)
			synctest.Wait()
			// The turn and the end come at once.
			b, _ := in.next(t.Context())
			close(stop)
			in.finish(b)
			synctest.Wait()
			if got := take(t, in, 1); got != "1" {
				t.Fatal(got)
			}
			synctest.Wait()
			if got := take(t, in, 1); got != "1" {
				t.Fatal(got)
			}
			// The bubble fails if a waiter is left.
		})
	}
}

// A loop that breaks off loses nothing, wherever it does.
func TestInboxBreakOff(t *testing.T) {
	in := newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
	f := newFeeder("p")
	in.push(f.ones(3), nil)
	in.push(f.ones(2), nil)
	for i, want := range []string{"1", "2", "3", "4 5"} {
		if got := take(t, in, len(strings.Fields(want))); got != want {
			t.Fatalf("loop %d got %s, want %s", i, got, want)
		}
	}
	in.push(f.ones(3), nil)
	if got := take(t, in, 1); got != "6" {
		t.Fatal(got)
	}
	if s := in.queueStats(); s.QueuedMessages != 2 {
		t.Errorf("%d messages wait, want the 2 that the loop left", s.QueuedMessages)
	}
	func() {
		defer func() { recover() }()
		in.loop(context.Background(), func(it *item) bool { panic("in the loop's body") })
	}()
	if got := take(t, in, 1); got != "8" {
		t.Fatal(got)
	}
}

// drained is closed when the last message was given, not when another loop comes.
func TestInboxDrained(t *testing.T) {
	is := func(in *inbox) bool {
		select {
		case <-in.drained:
			return true
		default:
			return false
		}
	}
	in := newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
	f := newFeeder("p")
	in.push(f.batch(0, 0, -1), nil)
	if is(in) {
		t.Error("drained before its end")
	}
	in.end()
	if is(in) {
		t.Error("drained with two messages")
	}
	take(t, in, 1)
	if is(in) {
		t.Error("drained with one message")
	}
	err := in.loop(context.Background(), func(*item) bool {
		if is(in) {
			t.Error("drained while the loop deals with the last one")
		}
		return false
	})
	if err != nil || !is(in) {
		t.Error("not drained after the last one", err)
	}
	if got := take(t, in, -1); got != "mark" {
		t.Errorf("the status after it: %q", got)
	}

	in = newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
	in.push(f.ones(1), nil)
	in.end()
	in.close()
	if !is(in) {
		t.Error("who waits for what a closed queue has waits for ever")
	}
}

func TestInboxInUse(t *testing.T) {
	in := newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
	in.push(newFeeder("p").ones(2), nil)
	in.end()
	n := 0
	err := in.loop(context.Background(), func(*item) bool {
		n++
		if err := in.loop(context.Background(), func(*item) bool { t.Error("two loops at a time"); return false }); !errors.Is(err, ErrInUse) {
			t.Errorf("a loop within a loop: %v", err)
		}
		return true
	})
	if n != 2 || err != nil {
		t.Errorf("the first loop was disturbed: %d messages, %v", n, err)
	}
}

func TestInboxContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		f := newFeeder("p")
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())

		in.push(f.ones(3), nil)
		n := 0
		err := in.loop(ctx, func(*item) bool {
			n++
			cancel(cause)
			return true
		})
		if n != 1 || err != cause {
			t.Errorf("%d messages after ctx ended with the first, error %v", n, err)
		}
		if err := in.loop(ctx, func(*item) bool { t.Error("given to a loop whose ctx had ended"); return false }); err != cause {
			t.Error(err)
		}
		if got := take(t, in, 2); got != "2 3" {
			t.Errorf("%q is there for the next loop", got)
		}

		// While the loop waits, and with a push at the same time.
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			go func() {
				time.Sleep(time.Second)
				in.push(f.ones(1), nil)
			}()
			got := 0
			err := in.loop(ctx, func(*item) bool { got++; return true })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			synctest.Wait()
			if got == 0 {
				take(t, in, 1)
			}
			cancel()
		}
		if waits(in) {
			t.Error("something is left over")
		}
	})
}

// close ends a loop at once, whatever it is doing, and whoever waits.
func TestInboxClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox(Queue{Messages: 3, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		f := newFeeder("p")
		in.push(f.ones(3), nil)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { in.push(f.ones(1), nil) })
			synctest.Wait()
		}
		n := 0
		err := in.loop(t.Context(), func(*item) bool {
			n++
			in.close()
			in.close()
			return true
		})
		if n != 1 || err != nil {
			t.Errorf("%d messages after close with the first, %v", n, err)
		}
		wg.Wait()
		in.push(f.ones(1), nil)
		if err := in.loop(t.Context(), func(*item) bool { t.Error("a closed queue has messages"); return false }); err != nil {
			t.Error(err)
		}
		if s := in.queueStats(); s.Messages != 7 || s.DroppedMessages != 6 || s.QueuedMessages != 0 {
			t.Errorf("%+v", s)
		}

		// A loop that waits.
		in = newInbox(Queue{Messages: 3, Bytes: 1 << 20, Overflow: Block}, topic.Everything())
		wg.Go(func() {
			if err := in.loop(t.Context(), func(*item) bool { return true }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		in.close()
		wg.Wait()
	})
}

// What Events yields belongs to its receiver; what Borrow yields is used again as
// soon as the loop moves on.
func TestOwnership(t *testing.T) {
	block.Poison(true)
	defer block.Poison(false)
	s := &Subscriber{main: newInbox(Queue{Messages: 100, Bytes: 1 << 20, Overflow: Block}, topic.Everything())}
	push := func() {
		f := newFeeder("p")
		for range 3 {
			b := newBatch()
			blk := block.Get(512)
			headers, _ := appendHeaders(nil, []Header{{"k", "v"}})
			at := copy(blk.B, "payloadextra")
			copy(blk.B[at+metaSize:], headers)
			m := meta(blk.B[at : at+metaSize+len(headers)])
			putMeta(m, flagHeaders, 1, 1, 0, 0)
			b.add("t", blk.B[:7], m, f.origin, nil)
			b.add("t", blk.B[:7], nil, f.origin, &rare{extra: [][]byte{blk.B[7:12]}})
			b.block = blk
			s.main.push(b, nil)
		}
	}
	check := func(m *Message) string {
		k, _ := m.Header("k")
		return fmt.Sprintf("%s %q %q", m.Payload, m.Extra, k)
	}
	first, second := `payload [] "v"`, `payload ["extra"] ""`
	push()
	var kept []*Message
	for ev, err := range s.Events(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, ev.(*Message))
		if len(kept) == 6 {
			break
		}
	}
	push() // into the same blocks
	for m, err := range s.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, m)
		if len(kept) == 12 {
			break
		}
	}
	push()
	n := 0
	var borrowed []Message
	for m := range s.Borrow(context.Background()) {
		kept = append(kept, m.Clone())
		borrowed = append(borrowed, *m)
		if n++; n == 6 {
			break
		}
	}
	for i, m := range kept {
		if got, want := check(m), []string{first, second}[i%2]; got != want {
			t.Errorf("message %d has become %s", i, got)
		}
	}
	for _, m := range borrowed[:4] {
		if string(m.Payload) == "payload" || len(m.Payload) != 7 || m.Payload[0] != 0xDB {
			t.Errorf("borrowed bytes were not used again: %q", m.Payload)
		}
	}
	// A message of many must not be overwritten through its neighbour.
	_ = append(kept[0].Payload, "xxxxxxxx"...)
	if got := check(kept[1]); got != second {
		t.Errorf("appending to a message's payload has changed the next one: %s", got)
	}
}

func TestArenaLarge(t *testing.T) {
	var a arena
	o := &Origin{}
	for _, n := range []int{0, 1, arenaLargest, arenaLargest + 1, arenaBytes, arenaBytes + 1, 1 << 20} {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i)
		}
		m := a.own(&item{payload: p, origin: o})
		q := slices.Clone(p)
		clear(p)
		if !slices.Equal(m.Payload, q) || cap(m.Payload) > 2*n+1024 {
			t.Errorf("%d bytes: got %d with room for %d", n, len(m.Payload), cap(m.Payload))
		}
	}
}
