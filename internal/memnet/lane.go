package memnet

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/heraldbus/herald/internal/pipe"
)

// lane is one direction of a link: what travels on it, in order.
type lane struct {
	n        *Network
	link     *link
	from, to addr
	stream   *pipe.Stream // a gate lets out what has arrived

	state     Conditions
	items     []item
	free      time.Time // when the last item planned has left the sender
	timer     *time.Timer
	delivered int64
	read      int64
	flips     map[int64]byte // what Corrupt has done to bytes not yet read
	dead      bool           // nothing travels any more

	// Two, because writer and reader draw at the same time.
	jitter, split *rand.Rand
}

// item is something on its way.
type item struct {
	kind  kind
	n     int           // of bytes: how many
	do    func()        // of others: what happens on arrival
	start time.Time     // when its first byte leaves the sender, given the bandwidth
	delay time.Duration // from leaving to arriving
}

// kind says who has to be alive for an item to pass.
type kind int

const (
	reply kind = iota // sent and received by kernels
	open              // sent by a process, received by a kernel
	data              // sent and received by processes
)

func (n *Network) newLane(k *link, from, to addr, dir uint64) *lane {
	l := &lane{n: n, link: k, from: from, to: to}
	l.jitter = rand.New(rand.NewPCG(n.seed, k.id<<2|dir))
	l.split = rand.New(rand.NewPCG(n.seed, k.id<<2|2|dir))
	l.stream = pipe.NewStream(n.buffer, func(size int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		l.send(item{kind: data, n: size})
	})
	l.state = n.conditions(l)
	return l
}

// send puts something on its way.
func (l *lane) send(it item) {
	if l.dead {
		return
	}
	l.plan(&it)
	l.items = append(l.items, it)
	l.run()
}

// plan says when an item travels, as of now.
func (l *lane) plan(it *item) {
	it.start = time.Now()
	if l.free.After(it.start) {
		it.start = l.free
	}
	it.delay = l.state.Latency
	if l.state.Jitter > 0 {
		it.delay += time.Duration(l.jitter.Int64N(int64(l.state.Jitter)))
	}
	l.free = it.start.Add(l.takes(it.n))
}

// takes is how long the sender is busy with n bytes.
func (l *lane) takes(n int) time.Duration {
	if l.state.Bandwidth <= 0 {
		return 0
	}
	return time.Duration(int64(n) * int64(time.Second) / l.state.Bandwidth)
}

// replan starts everything again, when the conditions have changed.
func (l *lane) replan() {
	l.free = time.Time{}
	for i := range l.items {
		l.plan(&l.items[i])
	}
	l.run()
}

// held reports whether an item cannot arrive, whatever the time.
func (l *lane) held(it *item) bool {
	return l.state.Stalled ||
		it.kind >= open && l.from.host.frozen ||
		it.kind >= data && l.to.host.frozen
}

// run lets everything arrive that is due, and sets the timer for the next. Bytes
// that are due together arrive together, so that a reader on another processor
// does not see how they were sent.
func (l *lane) run() {
	due := 0
	for len(l.items) > 0 && !l.held(&l.items[0]) {
		it := &l.items[0]
		part := it.n
		if bw := l.state.Bandwidth; bw > 0 {
			part = int(min(int64(part), max(1, bw/100)))
		}
		takes := l.takes(part)
		if wait := time.Until(it.start.Add(takes + it.delay)); wait > 0 {
			l.wake(wait)
			break
		}
		if do := it.do; do != nil {
			l.pop()
			l.arrive(due)
			due = 0
			if !l.dead {
				do() // it may come back to this lane, to send more or to end it
			}
			continue
		}
		due += part
		if it.n -= part; it.n > 0 {
			it.start = it.start.Add(takes)
		} else {
			l.pop()
		}
	}
	l.arrive(due)
}

func (l *lane) pop() {
	l.items[0] = item{}
	if len(l.items) == 1 {
		l.items = l.items[:0] // to be filled again from its beginning
	} else {
		l.items = l.items[1:]
	}
}

func (l *lane) wake(after time.Duration) {
	if l.timer != nil {
		l.timer.Reset(after)
		return
	}
	l.timer = time.AfterFunc(after, func() {
		l.n.mu.Lock()
		defer l.n.mu.Unlock()
		l.run()
	})
}

// arrive delivers n more bytes, or as many as there are before a cut.
func (l *lane) arrive(n int) {
	if !l.link.open || l.dead {
		return // no bytes have travelled yet, or none do any more
	}
	var cut *trap
	for _, t := range l.n.traps {
		if t.cut && t.path.covers(l) && t.offset >= l.delivered && t.offset <= l.delivered+int64(n) {
			cut = t
			n = int(t.offset - l.delivered)
		}
	}
	l.n.traps = slices.DeleteFunc(l.n.traps, func(t *trap) bool {
		if t.cut || !t.path.covers(l) || t.offset < l.delivered || t.offset >= l.delivered+int64(n) {
			return t == cut
		}
		if l.flips == nil {
			l.flips = make(map[int64]byte)
		}
		l.flips[t.offset] ^= t.mask
		return true
	})
	l.delivered += int64(n)
	l.stream.Release(n)
	if cut != nil {
		l.link.reset(l)
	}
}

// end stops all that travels.
func (l *lane) end() {
	l.dead = true
	l.items = nil
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *lane) traffic() Traffic {
	return Traffic{Written: l.stream.Written(), Delivered: l.delivered, Read: l.read}
}
