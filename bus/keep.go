package bus

import (
	"sort"
	"time"

	"github.com/heraldbus/herald/internal/block"
)

// Keep bounds the past events that a publisher keeps, for subscribers that missed
// some (see SubscriberConfig.Recover). Whichever bound is reached first counts; the
// oldest go. Events from before the first subscriber are not kept: nobody can have
// missed them.
type Keep struct {
	Messages int           // 0: 10,000; negative: none are kept
	Bytes    int           // of topic, payload and framing; 0: 64 MiB
	Age      time.Duration // 0: no limit
}

func (k Keep) check(f *fields) Keep {
	if k.Bytes < 0 {
		f.bad("Keep.Bytes", k.Bytes, "want a number of bytes, or 0 for 64 MiB")
	}
	if k.Age < 0 {
		f.bad("Keep.Age", k.Age, "want a duration, or 0 for no limit")
	}
	if k.Messages == 0 {
		k.Messages = 10_000
	}
	if k.Bytes == 0 {
		k.Bytes = 64 << 20
	}
	return k
}

// ring is the past events of a publisher, oldest first, without a hole in their
// seqs. It refers to the bytes that were sent. The publisher's lock guards it.
type ring struct {
	keep  Keep
	past  []kept // circular
	head  int    // of the oldest
	n     int
	bytes int
}

// kept is one event as it went on the wire.
type kept struct {
	block  *block.Block // referred to once for a run of events in the same one
	lo, hi int
	seq    uint64
	at     time.Duration // when it was published, by the engine's clock
}

func (k kept) bytes() []byte { return k.block.B[k.lo:k.hi] }

func (r *ring) at(i int) *kept { return &r.past[(r.head+i)%len(r.past)] }

// add keeps an event, which is the next one after the newest.
func (r *ring) add(k kept) {
	size := k.hi - k.lo
	for r.n > 0 && (r.n >= r.keep.Messages || r.bytes+size > r.keep.Bytes) {
		r.drop()
	}
	if size > r.keep.Bytes {
		return
	}
	if r.n == len(r.past) {
		grown := make([]kept, min(max(256, 2*len(r.past)), r.keep.Messages))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.past, r.head = grown, 0
	}
	if r.n == 0 || r.at(r.n-1).block != k.block {
		k.block.Retain()
	}
	i := r.head + r.n
	if i >= len(r.past) {
		i -= len(r.past)
	}
	r.past[i] = k
	r.n++
	r.bytes += size
}

// drop forgets the oldest event.
func (r *ring) drop() {
	old := r.at(0)
	if r.n == 1 || r.at(1).block != old.block {
		old.block.Release()
	}
	r.bytes -= old.hi - old.lo
	*old = kept{}
	if r.head++; r.head == len(r.past) {
		r.head = 0
	}
	r.n--
}

// expire forgets what is too old.
func (r *ring) expire(now time.Duration) {
	for r.keep.Age > 0 && r.n > 0 && now-r.at(0).at > r.keep.Age {
		r.drop()
	}
}

// oldest is the seq of the oldest event that is kept, 0 when there is none.
func (r *ring) oldest() uint64 {
	if r.n == 0 {
		return 0
	}
	return r.at(0).seq
}

// after appends up to most bytes of the events that follow seq to dst, at least
// one if there is one, each with a reference of its own.
func (r *ring) after(seq uint64, most int, dst []kept) []kept {
	i := sort.Search(r.n, func(i int) bool { return r.at(i).seq > seq })
	for ; i < r.n && most > 0; i++ {
		k := *r.at(i)
		k.block.Retain()
		dst = append(dst, k)
		most -= k.hi - k.lo
	}
	return dst
}

// close forgets everything.
func (r *ring) close() {
	for r.n > 0 {
		r.drop()
	}
}
