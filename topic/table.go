package topic

import (
	"hash/maphash"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// DefaultSize is how many topics a Table remembers unless told otherwise.
	DefaultSize = 4096

	// minSlots and maxSlots bound the front of a table: powers of two.
	minSlots, maxSlots = 16, 4096

	// minRoom is how many bytes of names even a tiny table may hold.
	minRoom = 64 << 10
)

var seed = maphash.MakeSeed()

// Entry is what a Table knows of one topic.
type Entry[H, S any] struct {
	// Name is the topic. It can be kept for good.
	Name string

	// Handlers are those that accept the topic, in the order of the routes. It is
	// not written to: when routes change the entry gets a new slice.
	Handlers []H

	// State is the user's, zero in a new entry. It survives a change of routes
	// and is lost when the entry is evicted.
	State S

	version uint64 // of the Routes that Handlers come from
	hash    uint32 // of Name
	used    bool   // found in front since the LRU last saw it
}

// Table remembers for each topic the handlers that accept it and a state of its
// user's: what a reader needs to know of each message, found with one lookup. It
// has one owner at a time: it is not safe for concurrent use.
//
// It is bounded by a number of topics, and by 256 bytes of names for each of
// them: so a publisher of long foreign topics cannot fill the memory, and
// Herald's own names never meet that limit. Past either bound a topic goes that
// was not looked up for long.
//
// A user that resolves topics by something else than filters keeps what it finds
// in State, and looks up with nil Routes.
type Table[H, S any] struct {
	// The LRU costs a hash, a map and a list for each look. Before it stand the
	// entry looked up last and front, a direct-mapped table: a topic has one
	// slot, and the last of those that share a slot is in it.
	//
	// A lookup that ends in front does not tell the LRU, in which the busiest
	// topics would seem the oldest, and would lose their State when other topics
	// come and go. So it sets used, and what is used counts as looked up when it
	// leaves its slot for another and when its turn for eviction comes: see
	// place and evict. Only entries in front can be used, and one from before
	// there was a front, so evict skips few, each of which was looked up since.
	// The order among those is lost: if all topics of a table were used since the
	// last eviction, the next one takes any of them.
	last    *Entry[H, S]
	front   []*Entry[H, S] // its length a power of two, or nil for up to one topic
	lru     *simplelru.LRU[string, *Entry[H, S]]
	size    int
	room    int // bytes of names
	bytes   int // of room
	evicted func(*Entry[H, S])
	scratch []H
}

// NewTable returns an empty table that remembers up to size topics; 0 or less
// stands for DefaultSize. An empty table takes some 300 bytes.
func NewTable[H, S any](size int) *Table[H, S] {
	if size <= 0 {
		size = DefaultSize
	}
	// It fails only for a size that is not positive.
	lru, _ := simplelru.NewLRU[string, *Entry[H, S]](size, nil)
	return &Table[H, S]{lru: lru, size: size, room: max(minRoom, size*(MaxLen+1))}
}

// OnEvict sets what is called with each entry that the table forgets, from
// within the lookup that needs its place. It must not use the table.
func (t *Table[H, S]) OnEvict(f func(*Entry[H, S])) { t.evicted = f }

// Len returns how many topics the table remembers.
func (t *Table[H, S]) Len() int { return t.lru.Len() }

// Lookup returns the entry of the topic, with the handlers that r has for it. A
// topic that is not remembered gets a new entry, in which Name is a copy; other
// lookups do not allocate, but for the first of each entry after a change of
// routes.
//
// The entry is the table's, and whoever keeps it for longer than until the next
// lookup has to expect its eviction. An entry that goes unused keeps the handlers
// of old routes alive.
//
// Handlers are found for the topic as a whole frame. Where frames have more than
// the topic (see Filter.MatchFramed) they depend on the rest too: take Name and
// State from here, with nil Routes, and the handlers from Routes.Match.
func (t *Table[H, S]) Lookup(r *Routes[H], name []byte) *Entry[H, S] {
	return t.lookup(r, view(name), true)
}

// LookupString is Lookup for a string, which a new entry keeps as its Name.
func (t *Table[H, S]) LookupString(r *Routes[H], name string) *Entry[H, S] {
	return t.lookup(r, name, false)
}

// lookup is Lookup; borrowed means that name is valid during the call only.
func (t *Table[H, S]) lookup(r *Routes[H], name string, borrowed bool) *Entry[H, S] {
	e := t.last
	if e != nil && e.Name == name {
		e.used = true
	} else {
		e = t.find(name, borrowed)
	}
	var version uint64
	if r != nil {
		version = r.version
	}
	if e.version != version {
		t.resolve(e, r, version)
	}
	return e
}

// resolve finds the handlers of e anew.
func (t *Table[H, S]) resolve(e *Entry[H, S], r *Routes[H], version uint64) {
	t.scratch = r.match(e.Name, e.Name, t.scratch[:0])
	e.Handlers = append([]H(nil), t.scratch...)
	e.version = version
	clear(t.scratch)
}

// find returns the entry of name, a new one if need be, and makes it the last.
func (t *Table[H, S]) find(name string, borrowed bool) *Entry[H, S] {
	hash := uint32(maphash.String(seed, name))
	if t.front != nil {
		if e := t.front[int(hash)&(len(t.front)-1)]; e != nil && e.Name == name {
			e.used = true
			t.last = e
			return e
		}
	}
	e, ok := t.lru.Get(name)
	if !ok {
		if borrowed {
			name = strings.Clone(name)
		}
		e = &Entry[H, S]{Name: name, hash: hash}
		if len(name) > t.room {
			return e
		}
		for t.lru.Len() >= t.size || t.bytes+len(name) > t.room {
			t.evict()
		}
		t.lru.Add(name, e)
		t.bytes += len(name)
	}
	t.place(e)
	return e
}

// place puts e, which the LRU has just seen, in front.
func (t *Table[H, S]) place(e *Entry[H, S]) {
	t.last = e
	if n := t.lru.Len(); n > 1 && 8*n > len(t.front) && len(t.front) < maxSlots {
		// What shared no slot shares none in a table twice as large.
		old := t.front
		t.front = make([]*Entry[H, S], max(minSlots, 2*len(old)))
		for _, e := range old {
			if e != nil {
				*t.slot(e) = e
			}
		}
	}
	if t.front == nil {
		return
	}
	slot := t.slot(e)
	if old := *slot; old != nil && old.used {
		t.lru.Get(old.Name)
		old.used = false
	}
	*slot = e
}

func (t *Table[H, S]) slot(e *Entry[H, S]) **Entry[H, S] {
	return &t.front[int(e.hash)&(len(t.front)-1)]
}

// evict forgets the oldest entry that is not used, and leaves no trace of it in
// front: its topic would otherwise have two entries when it comes back. It may be
// the last entry, of which the one that needs its place takes the place too.
func (t *Table[H, S]) evict() {
	for {
		name, e, _ := t.lru.GetOldest()
		if e.used {
			e.used = false
			t.lru.Get(name)
			continue
		}
		t.lru.Remove(name)
		t.bytes -= len(name)
		if t.front != nil {
			if slot := t.slot(e); *slot == e {
				*slot = nil
			}
		}
		if t.evicted != nil {
			t.evicted(e)
		}
		return
	}
}
