package engine

import (
	"fmt"
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/zmtp"
)

// reads plays a reader: it feeds wire into the window in pieces of n bytes, as far
// as they fit, and returns how many messages came out, how many bytes had to be
// copied, and the largest block. keep holds on to the blocks of the last messages.
func reads(t *testing.T, w *window, limits zmtp.Limits, wire []byte, n int, keep int) (messages, copied, largest int) {
	t.Helper()
	var m zmtp.Message
	var kept []*block.Block
	defer func() {
		for _, b := range kept {
			b.Release()
		}
	}()
	for len(wire) > 0 {
		if w.hi >= len(w.b.B) {
			t.Fatal("no room to read into")
		}
		got := copy(w.b.B[w.hi:min(w.hi+n, len(w.b.B))], wire)
		wire = wire[got:]
		w.hi += got
		need := 0
		for w.lo < w.hi {
			used, want, err := limits.Parse(w.b.B[w.lo:w.hi], &m)
			if err != nil {
				t.Fatal(err)
			}
			if used == 0 {
				need = want
				break
			}
			w.lo += used
			w.largest = max(w.largest, used)
			messages++
			if keep > 0 {
				w.b.Retain()
				kept = append(kept, w.b)
			}
		}
		for len(kept) > keep {
			kept[0].Release()
			kept = kept[1:]
		}
		b, lo, rest := w.b, w.lo, w.hi-w.lo
		w.room(got, need)
		if w.hi-w.lo != rest {
			t.Fatalf("%d bytes of %d are left", w.hi-w.lo, rest)
		}
		if w.b != b || w.lo != lo {
			copied += rest
		}
		largest = max(largest, len(w.b.B))
	}
	return messages, copied, largest
}

// bulk is messages of the given number of frames, each of size bytes.
func bulk(messages, frames, size int) []byte {
	var body [][]byte
	for range frames {
		body = append(body, make([]byte, size))
	}
	var wire []byte
	for range messages {
		wire = zmtp.AppendMessage(wire, body...)
	}
	return wire
}

// Whatever the sizes of reads, messages and frames, copying does not cost more than
// a few times what comes in, and memory is in proportion to the messages.
func TestWindowCost(t *testing.T) {
	for _, tt := range []struct {
		messages, frames, size int
		read                   int
	}{
		{5000, 3, 20, 1 << 30},
		{500, 3, 20, 1},
		{5000, 3, 20, 700},
		{500, 1, 1000, 999},
		{50, 3, 12_000, 1 << 30},
		{50, 3, 12_000, 1460},
		{5, 1, 200_000, 1 << 30},
		{5, 1, 200_000, 1000},
		{2, 1, 2 << 20, 4096},
		{2, 1000, 2 << 10, 2000},
		{2, 1000, 2 << 10, 10_000},
		{2, 60, 32 << 10, 1 << 30},
	} {
		for _, keep := range []int{0, 1, 100} {
			t.Run(fmt.Sprintf("%+v keep %d", tt, keep), func(t *testing.T) {
				wire := bulk(tt.messages, tt.frames, tt.size)
				w := newWindow(512, zmtp.Limits{})
				messages, copied, largest := reads(t, w, zmtp.Limits{}, wire, tt.read, keep)
				if messages != tt.messages {
					t.Errorf("%d messages, want %d", messages, tt.messages)
				}
				if copied > 3*len(wire) {
					t.Errorf("%d bytes copied of %d read", copied, len(wire))
				}
				if most := max(2*len(wire)/tt.messages, 512*growth); largest > most {
					t.Errorf("a block of %d bytes, want at most %d", largest, most)
				}
				w.b.Release()
			})
		}
	}
}

// A length that was only announced gets no more memory than what has come, unless
// as much came before.
func TestWindowDoesNotBelieve(t *testing.T) {
	huge := zmtp.AppendHeader(nil, 0, 60<<20)
	w := newWindow(512, zmtp.Limits{})
	for range 3000 {
		if _, _, largest := reads(t, w, zmtp.Limits{}, huge, 1<<30, 0); largest > 32<<10 {
			t.Fatalf("a block of %d bytes for %d that came", largest, w.hi)
		}
		huge = []byte{1}
	}
	for len(w.b.B) < 1<<20 {
		before := w.hi - w.lo
		reads(t, w, zmtp.Limits{}, make([]byte, 1000), 1<<30, 0)
		if len(w.b.B) > max(512*growth, 2*(before+1000)) {
			t.Fatalf("a block of %d bytes for %d that came", len(w.b.B), before+1000)
		}
	}
	w.b.Release()

	w = newWindow(512, zmtp.Limits{})
	_, _, largest := reads(t, w, zmtp.Limits{}, append(bulk(1, 1, 3<<20), zmtp.AppendHeader(nil, 0, 60<<20)...), 1<<30, 1)
	if largest > 4<<20 {
		t.Errorf("a block of %d bytes", largest)
	}
	if len(w.b.B) > 4<<20 {
		t.Errorf("%d bytes are held for a header", len(w.b.B))
	}
	w.b.Release()

	// Limits bound it too, whatever was known before.
	limits := zmtp.Limits{Frame: 1 << 20, Frames: 2, Message: 1 << 20}
	w = newWindow(512, limits)
	_, _, largest = reads(t, w, limits, bulk(1, 1, 1<<20), 1000, 0)
	if largest > 1<<20+2*zmtp.MaxHeader {
		t.Errorf("a block of %d bytes where no message has more than %d", largest, 1<<20)
	}
	w.b.Release()
}

// Blocks grow with traffic and become small again behind it, and behind a large message.
func TestWindowFollowsTraffic(t *testing.T) {
	w := newWindow(512, zmtp.Limits{})
	feed := func(wire []byte, n int) { reads(t, w, zmtp.Limits{}, wire, n, 0) }
	size := func(what string, want int) {
		t.Helper()
		if got := len(w.b.B); got != want {
			t.Errorf("%s: a block of %d bytes, want %d", what, got, want)
		}
	}
	ping := zmtp.AppendPing(nil, 0, nil)
	feed(ping, 1<<30)
	size("at first", 512)
	feed(bulk(2000, 1, 100), 1<<30)
	size("under load", 512*growth)
	for range 8 * smallReads {
		feed(ping, 1<<30)
	}
	size("when there is little", 512)
	feed(bulk(1, 1, 4<<20), 1000)
	feed(ping, 1<<30)
	if len(w.b.B) > 512*growth {
		t.Errorf("behind a large message: a block of %d bytes", len(w.b.B))
	}
	w.b.Release()
}
