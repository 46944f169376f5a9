package bus

import (
	"context"
	"encoding/binary"
	"fmt"
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

// waits reports whether a loop would find something.
func waits(in *inbox) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.head < len(in.batches) || in.front != nil || in.back != nil || in.cur != nil && in.pos < len(in.cur.items)
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
