package bus

import (
	"hash/maphash"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/heraldbus/herald/internal/engine"
)

// upstream is an endpoint of a subscriber: one that is dialled, with at most one
// session at a time, or one that is bound, with any number. Subscriber.mu guards
// it.
type upstream struct {
	endpoint   string
	framing    Framing
	group      *group // nil for a bound one
	dialer     *engine.Dialer
	sessions   map[*session]struct{}
	publishers map[string]*publisher // by name; "" stands for a foreign one
	tried      bool                  // the first attempt to connect is over
	healthy    time.Time             // since when it is usable; zero: it is not
}

// group is the upstreams of one source. In order of preference: only the active one
// has the subscriber's subscriptions. Or redundant: all have them, and seen is what
// has come. Subscriber.mu guards it, but not seen, which has its own lock.
type group struct {
	ups     []*upstream
	active  int
	returns time.Duration
	seen    *lru.Cache[eventID, struct{}] // nil: not redundant

	// turn belongs to the reader of a redundant source from the first message of a
	// read until all of them are handed over: what one reader has seen first must not
	// be overtaken by what another has seen after it. It is the one lock that is held
	// while its holder waits for room in an inbox; the others would wait too.
	turn sync.Mutex
}

// eventID stands for an event of a redundant source: a hash of its topic and the id
// that the application gave it, of 128 bits, so that no two meet by chance.
type eventID [2]uint64

var eventSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// idOf reports false for an event without an id.
func idOf(name string, m meta) (id eventID, ok bool) {
	for k, v := range eachHeader(m.headers()) {
		if string(k) != HeaderID {
			continue
		}
		for i, seed := range eventSeeds {
			var h maphash.Hash
			h.SetSeed(seed)
			h.WriteString(name)
			h.WriteByte(0)
			h.Write(v)
			id[i] = h.Sum64()
		}
		return id, true
	}
	return id, false
}

// wanted reports whether an upstream has the subscriptions.
func (up *upstream) wanted() bool {
	return up.group == nil || up.group.seen != nil || up.group.ups[up.group.active] == up
}

// usable reports whether events can be expected of the upstream: it is connected,
// and of the publishers known there one at least is neither stale nor gone.
func (up *upstream) usable() bool {
	if len(up.sessions) == 0 {
		return false
	}
	for _, p := range up.publishers {
		if p.alive() {
			return true
		}
	}
	return len(up.publishers) == 0
}

// evaluate chooses the group's active upstream anew, and returns the time at which
// it must be done again; zero when nothing is due. Held: mu.
func (s *Subscriber) evaluate(g *group, now time.Time) (again time.Time) {
	if g.seen != nil {
		return time.Time{}
	}
	for _, up := range g.ups {
		switch ok := up.usable(); {
		case !ok:
			up.healthy = time.Time{}
		case up.healthy.IsZero():
			up.healthy = now
		}
	}
	if cur := g.ups[g.active]; cur.healthy.IsZero() {
		if !cur.tried {
			return time.Time{}
		}
		for i, up := range g.ups {
			if !up.healthy.IsZero() {
				s.switchTo(g, i)
				break
			}
		}
	}
	if g.returns <= 0 {
		return time.Time{}
	}
	for i, up := range g.ups[:g.active] {
		if up.healthy.IsZero() {
			continue
		}
		if due := up.healthy.Add(g.returns); now.Before(due) {
			again = earliest(again, due)
			continue
		}
		s.switchTo(g, i)
		break
	}
	return again
}

// switchTo makes another upstream the active one. The new one subscribes before
// the old one cancels. Held: mu.
func (s *Subscriber) switchTo(g *group, i int) {
	from, to := g.ups[g.active], g.ups[i]
	g.active = i
	s.status(&Switched{Change: s.change(Origin{Endpoint: to.endpoint}), From: from.endpoint, To: to.endpoint})
	for _, up := range []*upstream{to, from} {
		for sess := range up.sessions {
			s.subscribe(sess)
		}
	}
	// What the old one publishes while it is not subscribed to is not missed. But
	// where both are ways to the same publisher, the chain goes on.
	for _, p := range from.publishers {
		if !to.knows(p.origin.Incarnation) {
			s.forget(p.origin.Incarnation)
		}
	}
}

func (up *upstream) knows(inc Incarnation) bool {
	for _, p := range up.publishers {
		if p.origin.Incarnation == inc {
			return true
		}
	}
	return false
}

// earliest is the earlier of two times, of which the zero one means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
