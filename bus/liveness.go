package bus

import (
	"sync/atomic"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

// publisher is a publisher as a subscriber knows it, at one upstream. What is not
// atomic is guarded by Subscriber.mu.
type publisher struct {
	origin   *Origin // a new one when it changes: readers hold it without a lock
	mon      *heartbeat.Monitor
	session  *session // that brought its last heartbeat
	beat     heartbeat.Beat
	beatAt   time.Time
	since    time.Time
	restarts uint64

	seen            atomic.Int64 // engine time of its last event
	stale           atomic.Bool  // an event is news for the watcher
	messages, bytes atomic.Uint64
	missed          atomic.Uint64
}

func (p *publisher) alive() bool {
	switch p.mon.State() {
	case heartbeat.Stale, heartbeat.Gone:
		return false
	}
	return true
}

// heard takes a heartbeat that came over a session, and returns whose it is.
// Held: mu; called by the session's reader.
func (s *Subscriber) heard(x *session, beat heartbeat.Beat) *publisher {
	now := time.Now()
	up := x.up
	p := up.publishers[beat.Name]
	if p == nil {
		// A publisher that names itself is no foreign one.
		delete(up.publishers, "")
		p = &publisher{mon: s.newMonitor(), since: now}
		p.origin = &Origin{Publisher: beat.Name, Incarnation: beat.Incarnation, Endpoint: up.endpoint}
		if len(up.publishers) < maxContacts {
			up.publishers[beat.Name] = p
		}
	}
	p.session = x
	was := p.origin.Incarnation
	ch := p.mon.Beat(now, beat)
	if p.mon.Incarnation() == beat.Incarnation { // and not a late one of an earlier source
		p.beat, p.beatAt = beat, now
		if was != beat.Incarnation {
			p.origin = &Origin{Publisher: beat.Name, Incarnation: beat.Incarnation, Endpoint: up.endpoint}
		}
	}
	if st := s.statusOf(p, ch); st != nil {
		x.status(st)
	}
	x.changed = true
	return p
}

func (s *Subscriber) newMonitor() *heartbeat.Monitor {
	m, err := heartbeat.NewMonitor(s.cfg.Liveness)
	if err != nil {
		panic(err) // the configuration was checked
	}
	return m
}

// statusOf tells what a change of a monitor means to the user; nil: nothing.
func (s *Subscriber) statusOf(p *publisher, ch heartbeat.Change) Status {
	switch ch.Kind {
	case heartbeat.WentStale:
		return &Stale{s.change(*p.origin), ch.Silence}
	case heartbeat.Recovered:
		return &Recovered{s.change(*p.origin), ch.Silence}
	case heartbeat.Restarted:
		p.restarts++
		return &Restarted{s.change(*p.origin), ch.Old}
	case heartbeat.Left:
		return &Gone{s.change(*p.origin)}
	}
	return nil
}

// expect begins to watch a foreign publisher, where a limit on silence is set: it
// sends no heartbeats, but its traffic can be watched. Held: mu.
func (s *Subscriber) expect(x *session) {
	up := x.up
	if s.cfg.Liveness.Silence+s.cfg.Liveness.StaleAfter > 0 && len(up.publishers) == 0 {
		now := time.Now()
		p := &publisher{mon: s.newMonitor(), since: now, origin: &Origin{Endpoint: up.endpoint}}
		p.mon.Seen(now) // one that never says anything is to become stale too
		up.publishers[""] = p
	}
	if p := up.publishers[""]; p != nil {
		p.session = x
		x.foreign.pub = p
	}
}

// watcher looks after the silence of publishers, and after what is due in groups.
// It is one goroutine for all of them.
func (s *Subscriber) watcher() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.watch:
		case <-s.life.stopping:
			return
		}
		s.mu.Lock()
		now := time.Now()
		next := s.inspect(now)
		for _, g := range s.groups {
			next = earliest(next, s.evaluate(g, now))
		}
		next = earliest(next, s.inspectRecoveries(now))
		s.unlock()
		// With thousands of publishers a look takes a while, and there are as many
		// heartbeats that ask for one: most of the time is for other work.
		if rest := 9 * time.Since(now); rest > time.Millisecond {
			timer.Reset(rest)
			select {
			case <-timer.C:
			case <-s.life.stopping:
				return
			}
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(time.Until(next), 0)
		}
		timer.Reset(wait)
	}
}

// wakeWatcher makes the watcher look now, and reckon anew when to look next.
func (s *Subscriber) wakeWatcher() {
	select {
	case s.watch <- struct{}{}:
	default:
	}
}

// inspect checks all publishers and sessions, and returns when it must be done
// again. Held: mu.
func (s *Subscriber) inspect(now time.Time) (next time.Time) {
	for _, up := range s.ups {
		for _, p := range up.publishers {
			if ch := p.mon.Check(now, s.lastSign(p, now)); ch.Kind != heartbeat.None {
				s.tell(p, ch)
			}
			p.stale.Store(!p.alive())
			if d := p.mon.Deadline(); !d.IsZero() {
				next = earliest(next, d)
			}
		}
		for x := range up.sessions {
			if due := s.probation(up, x); !due.IsZero() {
				if now.Before(due) {
					next = earliest(next, due)
				} else {
					x.peer.Close(ErrStale)
				}
			}
		}
	}
	return next
}

// lastSign is when a publisher last gave a sign of life other than a heartbeat;
// zero if it never did. A reader that waits for room in the queue reads nothing,
// and a silence that is its own doing counts for nothing.
func (s *Subscriber) lastSign(p *publisher, now time.Time) time.Time {
	if p.session != nil && p.session.blocked.Load() {
		return now
	}
	seen := time.Duration(p.seen.Load())
	if seen == 0 {
		return time.Time{}
	}
	return s.eng.At(seen)
}

// tell reports a change that the watcher found, and drops the connection on which
// nobody is alive any more: it may be dead though it stands. Held: mu.
func (s *Subscriber) tell(p *publisher, ch heartbeat.Change) {
	if st := s.statusOf(p, ch); st != nil {
		s.status(st)
	}
	if ch.Kind != heartbeat.WentStale || p.session == nil {
		return
	}
	x := p.session
	if !s.anyAlive(x) {
		x.peer.Close(ErrStale)
	}
}

// anyAlive reports whether a publisher that was last heard over the session is
// alive. Held: mu.
func (s *Subscriber) anyAlive(x *session) bool {
	for _, p := range x.up.publishers {
		if p.session == x && p.alive() {
			return true
		}
	}
	return false
}

// probation returns when a session is to be given up on which a publisher that is
// stale was to come back and nothing has been read since; zero when it is not so.
// Held: mu.
func (s *Subscriber) probation(up *upstream, x *session) time.Time {
	stale := false
	for _, p := range up.publishers {
		switch p.mon.State() {
		case heartbeat.Stale:
			stale = true
		case heartbeat.Gone:
		default:
			return time.Time{}
		}
	}
	if !stale || x.blocked.Load() {
		return time.Time{}
	}
	return s.eng.At(time.Duration(x.seen.Load())).Add(s.cfg.Limits.HandshakeTimeout)
}
