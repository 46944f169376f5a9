package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"
)

// Counters is the memory that parent and children share: a file mapped by all
// of them, in slots of 128 bytes so that no two writers meet in a cache line
// or in a pair that is fetched together. libzmq/peer.c knows the same layout.
// Each count has one writer.
type Counters struct {
	*header
	subs   []subSlot
	memory []byte
}

const (
	slotSize = 128
	maxPubs  = 8
)

type header struct {
	stop atomic.Uint64 // set by the parent: publishers come to an end
	_    [slotSize - 8]byte
	pubs [maxPubs]pubSlot
}

type pubSlot struct {
	published atomic.Uint64
	_         [slotSize - 8]byte
}

type subSlot struct {
	delivered atomic.Uint64
	seen      atomic.Uint64 // bit i: an event of publisher i has come through
	broken    atomic.Uint64 // events that were not the next in their sequence
	syncs     atomic.Uint64 // of roleCost
	_         [slotSize - 4*8]byte
}

// createCounters makes a file for so many subscribers, all zero: in memory
// where the system has a place for that, so that no disk slows the counting.
func createCounters(subs int) (path string, err error) {
	f, err := os.CreateTemp("/dev/shm", "herald-bench-")
	if err != nil {
		f, err = os.CreateTemp("", "herald-bench-")
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.Name(), f.Truncate(int64(slotSize * (1 + maxPubs + subs)))
}

// openCounters maps the file.
func openCounters(path string) (*Counters, error) {
	memory, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("bench: map the counters: %w", err)
	}
	n := len(memory)/slotSize - 1 - maxPubs
	if n < 1 {
		return nil, fmt.Errorf("bench: %s holds no counters: %d bytes", path, len(memory))
	}
	return &Counters{
		header: (*header)(unsafe.Pointer(&memory[0])),
		subs:   unsafe.Slice((*subSlot)(unsafe.Pointer(&memory[slotSize*(1+maxPubs)])), n),
		memory: memory,
	}, nil
}

// Close unmaps the memory.
func (c *Counters) Close() error { return unmap(c.memory) }

// Published is the number of events published by all.
func (c *Counters) Published() (n uint64) {
	for i := range c.pubs {
		n += c.pubs[i].published.Load()
	}
	return n
}

// Delivered is the number of events delivered to the first n subscribers, and
// to the one of them that has got the fewest.
func (c *Counters) Delivered(n int) (sum, least uint64) {
	least = ^uint64(0)
	for i := range c.subs[:n] {
		n := c.subs[i].delivered.Load()
		sum += n
		least = min(least, n)
	}
	return sum, least
}

// Ready reports whether every subscriber has had an event of every publisher.
func (c *Counters) Ready(pubs int) bool {
	all := uint64(1)<<pubs - 1
	for i := range c.subs {
		if c.subs[i].seen.Load() != all {
			return false
		}
	}
	return true
}

// Broken is the number of events that were not the next in their sequence.
func (c *Counters) Broken() (n uint64) {
	for i := range c.subs {
		n += c.subs[i].broken.Load()
	}
	return n
}

// A payload begins with a little-endian number: in a flow event the publisher
// (bits 56 to 62) and its sequence, from 1 on; in a control event bit 63, the
// publisher, the kind (bits 48 to 55) and nothing else. Control events are
// counted by nobody; bytes 8 to 15 belong to them.
const (
	controlBit = 1 << 63

	controlProbe = 1 << 48 // are you there? Sent until every subscriber is
	controlEnd   = 2 << 48 // the flow is over, its last sequence in bytes 8 to 15
	controlSync  = 3 << 48 // roleCost: counted in syncs
	controlPing  = 4 << 48 // a round trip, begun at the time in bytes 8 to 15
	controlKind  = 0xff << 48
)

// controlPayload makes a control event's payload.
func controlPayload(size, publisher int, kind, value uint64) []byte {
	p := make([]byte, size)
	binary.LittleEndian.PutUint64(p, controlBit|uint64(publisher)<<56|kind)
	binary.LittleEndian.PutUint64(p[8:], value)
	return p
}

// A Source says what one publisher publishes next. A driver's loop is
//
//	for src.Next() { publish(topics[src.Topic], src.Payload) }
//
// It is for one goroutine.
type Source struct {
	Topic   int    // index of the topic
	Payload []byte // valid until the next call of Next

	seq, limit uint64 // of the next event but for the publisher's bits; where to look up
	topics     uint64
	quota      uint64 // stop here; the zero value: nowhere
	window     uint64
	chunk      uint64
	id         uint64
	subs       int
	counters   *Counters
}

// newSource is the source of the publisher with that index.
func newSource(spec *Spec, c *Counters, publisher int) *Source {
	return &Source{
		Payload: make([]byte, spec.Size),
		topics:  uint64(spec.Topics),
		window:  uint64(spec.Window),
		// How many events go between two looks at the stop flag: few where each
		// goes to many.
		chunk:    uint64(max(1, min(64, 4096/spec.Subs))),
		id:       uint64(publisher) << 56,
		subs:     spec.Subs,
		counters: c,
	}
}

// Next prepares the next event and reports whether there is one. It waits
// where the system's window is full.
func (s *Source) Next() bool {
	if s.seq == s.limit && !s.more() {
		return false
	}
	s.seq++
	binary.LittleEndian.PutUint64(s.Payload, s.id|s.seq)
	if s.topics > 1 {
		// Knuth's multiplicative hash: the topics in no order, each as often.
		s.Topic = int(uint64(uint32(s.seq*2654435761)) * s.topics >> 32)
	}
	return true
}

func (s *Source) more() bool {
	s.counters.pubs[s.id>>56].published.Store(s.seq)
	room := s.chunk
	if s.quota > 0 {
		room = min(room, s.quota-s.seq)
	}
	for {
		if room == 0 || s.counters.stop.Load() != 0 {
			return false
		}
		if s.window == 0 {
			break
		}
		_, least := s.counters.Delivered(s.subs)
		if way := s.counters.Published() - least; way < s.window {
			room = min(room, s.window-way)
			break
		}
		nap(50 * time.Microsecond)
	}
	s.limit += room
	return true
}

// A Sink takes what one subscriber gets. It is for one goroutine at a time.
type Sink struct {
	// OnControl, if set, sees probes and pings. The payload is the driver's.
	OnControl func(kind uint64, payload []byte)

	next [maxPubs]uint64 // the number that the next event of each publisher bears
	got  uint64
	mask uint64
	slot *subSlot
}

// newSink is the sink of the subscriber with that slot.
func newSink(spec *Spec, c *Counters, slot int) *Sink {
	s := &Sink{slot: &c.subs[slot]}
	for i := range s.next {
		s.next[i] = uint64(i)<<56 | 1
	}
	// How often the count is stored: seldom enough to cost nothing, often
	// enough that a window over many slow subscribers is exact.
	switch {
	case spec.Subs <= 8:
		s.mask = 63
	case spec.Subs <= 64:
		s.mask = 7
	}
	return s
}

// Event counts an event and checks that it is the next of its publisher.
func (s *Sink) Event(payload []byte) {
	number := binary.LittleEndian.Uint64(payload)
	next := &s.next[number>>56&(maxPubs-1)]
	if number != *next {
		s.other(number, next, payload)
		return
	}
	*next++
	s.got++
	if s.got&s.mask == 0 {
		s.slot.delivered.Store(s.got)
	}
}

// other takes control events, and events out of sequence.
func (s *Sink) other(number uint64, next *uint64, payload []byte) {
	if number&controlBit == 0 {
		s.slot.broken.Add(1)
		s.got++
		*next = number + 1
		return
	}
	kind := number & controlKind
	switch kind {
	case controlProbe:
		s.slot.seen.Or(1 << (number >> 56 & (maxPubs - 1)))
	case controlEnd:
		if last := binary.LittleEndian.Uint64(payload[8:]); *next&(1<<56-1) != last+1 {
			s.slot.broken.Add(1)
		}
		s.slot.delivered.Store(s.got)
	case controlSync:
		s.slot.syncs.Add(1)
	}
	if s.OnControl != nil {
		s.OnControl(kind, payload)
	}
}

// Add counts n events at once, unseen.
func (s *Sink) Add(n int) {
	s.got += uint64(n)
	s.slot.delivered.Store(s.got)
}

// Connected says that every publisher reaches this subscriber. It is for
// systems that have no single events to probe with.
func (s *Sink) Connected(pubs int) { s.slot.seen.Store(1<<pubs - 1) }
