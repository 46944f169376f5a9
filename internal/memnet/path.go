package memnet

import "time"

// Conditions are the state of a Path. In all fields, zero or negative means that
// there is no such thing.
type Conditions struct {
	// Latency is how long everything takes from one end to the other.
	Latency time.Duration

	// Jitter is added to the latency, at random between zero and this for what
	// each Write has sent. It never changes the order.
	Jitter time.Duration

	// Bandwidth is how many bytes per second each single connection carries.
	// They arrive in portions of 10 ms.
	Bandwidth int64

	// Split makes each Read return at most a random number of bytes, from 1 to
	// this: 1 delivers single bytes.
	Split int

	// Stalled keeps everything from arriving, without an error.
	Stalled bool
}

// and are the conditions of two cables in series.
func (c Conditions) and(d Conditions) Conditions {
	return Conditions{
		Latency:   max(c.Latency, 0) + max(d.Latency, 0),
		Jitter:    max(c.Jitter, 0) + max(d.Jitter, 0),
		Bandwidth: narrower(c.Bandwidth, d.Bandwidth),
		Split:     narrower(c.Split, d.Split),
		Stalled:   c.Stalled || d.Stalled,
	}
}

// narrower is the smaller of two limits, of which none is zero or negative.
func narrower[T int | int64](a, b T) T {
	switch {
	case a <= 0:
		return max(b, 0)
	case b <= 0:
		return a
	}
	return min(a, b)
}

// way is one way between two places. A place is the name of a host, an address,
// or "*" for everywhere.
type way struct{ from, to string }

func (w way) covers(l *lane) bool { return l.from.isAt(w.from) && l.to.isAt(w.to) }

func (a addr) isAt(place string) bool {
	return place == "*" || place == a.text || place == a.host.name
}

// Path names the streams that run between two places, whichever end dialled,
// and those of future connections. It is a mere name: a Path made again from the
// same places is the same.
type Path struct {
	n    *Network
	ways []way
}

// Path is the way from one place to another. A place is the name of a host, an
// address ("host:port", or a text on unix and inproc), or "*" for everywhere.
func (n *Network) Path(from, to string) Path {
	return Path{n, []way{{from, to}}}
}

// Link is both ways between two places.
func (n *Network) Link(a, b string) Path {
	return Path{n, []way{{a, b}, {b, a}}}
}

// Set replaces the conditions of a Path. What is on its way starts again, under
// the new conditions, as if it had just been sent.
func (p Path) Set(c Conditions) {
	p.change(func(old *Conditions) { *old = c })
}

// Stall sets Stalled, and leaves the other conditions.
func (p Path) Stall() {
	p.change(func(c *Conditions) { c.Stalled = true })
}

// Heal ends what Stall of the same Path has begun: what was held up arrives, in
// order, after the usual latency.
func (p Path) Heal() {
	p.change(func(c *Conditions) { c.Stalled = false })
}

func (p Path) change(f func(*Conditions)) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for _, w := range p.ways {
		c := p.n.cables[w]
		f(&c)
		p.n.cables[w] = c
	}
	p.n.apply()
}

// Heal ends the stalls of all Paths. It does not thaw hosts.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w, c := range n.cables {
		c.Stalled = false
		n.cables[w] = c
	}
	n.apply()
}

// apply brings the cables' conditions to all lanes.
func (n *Network) apply() {
	for _, l := range n.lanes() {
		if c := n.conditions(l); c != l.state {
			l.state = c
			l.replan()
		}
	}
}

// conditions are those of all cables that the lane goes through.
func (n *Network) conditions(l *lane) Conditions {
	var sum Conditions
	for w, c := range n.cables {
		if w.covers(l) {
			sum = sum.and(c)
		}
	}
	return sum
}

// Cut resets all connections that have a stream on the Path: both ends see
// syscall.ECONNRESET at once, and what was not yet read is lost.
func (p Path) Cut() {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for _, l := range p.n.lanes() {
		if p.covers(l) {
			l.link.reset(nil)
		}
	}
}

// CutAfter resets, once, the first connection of which a stream on the Path
// delivers its byte number offset, counted from 1 for the first byte of the
// stream; 0 is before any, and a negative number never comes. The reader of that
// stream still gets exactly these bytes. The other end sees syscall.ECONNRESET as
// soon as they have arrived, and what was sent to it and not read is lost. A
// stream that stands at the offset now is cut now, one that is past it is left
// alone.
func (p Path) CutAfter(offset int64) {
	p.trap(&trap{path: p, offset: offset, cut: true})
}

// Corrupt flips, once, a bit (0 to 7, of which 0 is the lowest; others are
// counted modulo 8) of the byte at offset, counted from 0, in the first stream
// on the Path that delivers it. A negative offset never comes. A stream that is
// past the offset already is left alone.
func (p Path) Corrupt(offset int64, bit int) {
	p.trap(&trap{path: p, offset: offset, mask: 1 << (bit & 7)})
}

func (p Path) covers(l *lane) bool {
	for _, w := range p.ways {
		if w.covers(l) {
			return true
		}
	}
	return false
}

// trap waits for a byte to pass.
type trap struct {
	path   Path
	offset int64
	cut    bool
	mask   byte // if not cut
}

// trap sets a trap, which goes off at once where a stream stands at its offset.
func (p Path) trap(t *trap) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	p.n.traps = append(p.n.traps, t)
	for _, l := range p.n.lanes() {
		l.arrive(0)
	}
}
