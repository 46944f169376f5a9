package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/topic"
)

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
