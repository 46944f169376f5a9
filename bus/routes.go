package bus

import (
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/subtrie"
	"github.com/heraldbus/herald/internal/zmtp"
	"github.com/heraldbus/herald/topic"
)

// route is what a publisher knows of one topic.
type route struct {
	name    string
	frame   []byte         // the topic's frame as it goes on the wire
	peers   []*engine.Peer // who wants it
	version uint64         // of the subscriptions that peers was made from
	last    uint64         // seq of its last event, 0 when none is known

	retained bool // its last value is kept
}

// size is how long an event on the topic is on the wire.
func (r *route) size(payload, headers []byte) int {
	meta := metaSize + len(headers)
	return len(r.frame) + zmtp.HeaderLen(len(payload)) + len(payload) + zmtp.HeaderLen(meta) + meta
}

// routes is the publisher's table of topics; its owner's lock guards it. A topic
// that the table has forgotten has lost nothing but its last seq: its next event
// says prev 0, "no longer known", which cannot look like a gap.
type routes struct {
	version uint64
	table   *topic.Table[struct{}, *route]
	pinned  map[string]*route
	retain  *Retain
}

func newRoutes(size int, retain *Retain) *routes {
	return &routes{
		version: 1,
		table:   topic.NewTable[struct{}, *route](size),
		pinned:  make(map[string]*route),
		retain:  retain,
	}
}

// get returns the route of a topic that an application may publish on.
func (t *routes) get(name string) (*route, error) {
	e := t.table.LookupString(nil, name)
	if e.State != nil {
		return e.State, nil
	}
	r, ok := t.pinned[name]
	if !ok {
		if err := topic.Validate(name); err != nil {
			return nil, err
		}
		r = &route{name: name, frame: zmtp.AppendFrame(nil, zmtp.FlagMore, []byte(name)), retained: t.retain.accepts(name)}
	}
	e.State = r
	return r, nil
}

// pin returns the route of a topic that is never forgotten.
func (t *routes) pin(name string) (*route, error) {
	r, err := t.get(name)
	if err != nil {
		return nil, err
	}
	t.pinned[r.name] = r
	return r, nil
}

// invalidate makes every route ask anew who wants its topic, when next used.
func (t *routes) invalidate() { t.version++ }

// resolve fills in who wants the topic.
func (t *routes) resolve(r *route, trie *subtrie.Trie[*engine.Peer]) {
	if r.version != t.version {
		clear(r.peers) // what is gone must not be kept alive
		r.peers = trie.MatchString(r.name, r.peers[:0])
		r.version = t.version
	}
}
