package heartbeat

import (
	"slices"
	"time"
)

// Monitor is the liveness of one publisher as a subscriber sees it. Make it
// with NewMonitor; the zero Monitor does not work. It is not safe for
// concurrent use.
//
// The rules, beside those of [Config]:
//
//   - Any traffic of the publisher is a sign of life, not only its beats.
//   - A beat of a new source is a restart, whatever the state was.
//   - After a goodbye nothing becomes stale, and neither beats of the same
//     source nor other traffic (late copies through a forwarder) bring the
//     publisher back.
//   - The last four sources are remembered. A beat of one of them, late through
//     a forwarder after the restart, is ignored, unless the present source
//     itself has sent no beat for the limit of staleness: then it is the
//     present one that was a late copy, or two publishers share a name and one
//     of them ended. Two publishers of one name do not flip-flop.
//   - Times must not go backwards. One that does brings no silence about.
type Monitor struct {
	cfg     Config
	history *history // nil: not adaptive

	state    State
	source   Incarnation
	former   [4]Incarnation // earlier sources, the latest first
	interval time.Duration

	sign watch // since the last sign of life
	beat watch // since the last beat of source

	paused   bool
	pausedAt time.Time // or up to when the pause was forgiven
}

// watch measures a silence.
type watch struct {
	since    time.Time
	forgiven time.Duration // of the time after since
}

func (w *watch) silence(now time.Time) time.Duration {
	return max(0, now.Sub(w.since)-w.forgiven)
}

func (w *watch) forgive(now time.Time, d time.Duration) {
	w.forgiven += min(d, w.silence(now))
}

// NewMonitor returns a Monitor that knows nothing yet, or the error of
// [Config.Validate].
func NewMonitor(cfg Config) (*Monitor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Monitor{cfg: cfg.withDefaults()}
	if cfg.Phi > 0 {
		m.history = newHistory(cfg.Phi)
	}
	return m, nil
}

// State returns the present state, as of the last call.
func (m *Monitor) State() State { return m.state }

// Incarnation returns the present incarnation, 0 if no beat has come yet.
func (m *Monitor) Incarnation() Incarnation { return m.source }

// Deadline returns when Check must be called next, or the zero time if time
// alone changes nothing. Every other method may move it.
func (m *Monitor) Deadline() time.Time {
	suspect, stale := m.limits()
	switch {
	case m.paused || stale == 0:
	case m.state == Alive:
		return m.sign.since.Add(m.sign.forgiven + suspect)
	case m.state == Suspect:
		return m.sign.since.Add(m.sign.forgiven + stale)
	}
	return time.Time{}
}

// limits returns the silences that end Alive and Suspect, 0 for none.
func (m *Monitor) limits() (suspect, stale time.Duration) {
	switch {
	case m.cfg.StaleAfter > 0:
		return m.cfg.StaleAfter, m.cfg.StaleAfter
	case m.interval <= 0:
		return m.cfg.Silence, m.cfg.Silence
	case m.history != nil:
		return m.history.suspect, m.history.stale
	}
	return m.cfg.limits(m.interval)
}

// Beat takes a beat of the publisher that has arrived at now. It must be valid,
// as Decode returns it, and carry the name of this publisher.
func (m *Monitor) Beat(now time.Time, b Beat) Change {
	m.excuse(now)
	old := m.source
	if b.Incarnation == old {
		if m.state == Gone {
			return Change{}
		}
	} else if m.isLate(now, b.Incarnation) {
		return Change{}
	}
	m.learn(now, b)
	c := m.heard(now, now)
	c.Old = old
	switch {
	case b.Bye:
		m.state = Gone
		c.Kind = Left
	case b.Incarnation != old && old != 0:
		m.state = Alive
		c.Kind = Restarted
	case c.Kind == None:
		return Change{}
	}
	return c
}

// isLate reports whether a beat of another source than the present one is old:
// of a source that was there before, while the present one still beats.
func (m *Monitor) isLate(now time.Time, source Incarnation) bool {
	_, stale := m.limits()
	return slices.Contains(m.former[:], source) && m.beat.silence(now) < stale
}

// learn takes over what a beat says.
func (m *Monitor) learn(now time.Time, b Beat) {
	same := b.Incarnation == m.source && b.Interval == m.interval
	if m.source != 0 && b.Incarnation != m.source && !slices.Contains(m.former[:], m.source) {
		copy(m.former[1:], m.former[:])
		m.former[0] = m.source
	}
	if h := m.history; h != nil {
		if !same {
			h.reset(b.Interval)
		} else if m.beat.forgiven == 0 {
			h.add(m.beat.silence(now), b.Interval)
		}
	}
	m.source, m.interval = b.Incarnation, b.Interval
	m.beat = watch{since: now}
}

// Seen takes a sign of life other than a beat that has arrived at now. It is
// Check(now, now).
func (m *Monitor) Seen(now time.Time) Change { return m.Check(now, now) }

// Check looks whether a deadline has come. It may be called at any time, and
// must be when Deadline says so. seen is when traffic of the publisher was last
// read, if the owner notes that instead of calling Seen; it may be the zero
// time, or one that was handed over before.
func (m *Monitor) Check(now, seen time.Time) Change {
	m.excuse(now)
	if seen.After(m.sign.since) && m.state != Gone {
		if c := m.heard(now, seen); c.Kind != None {
			return c
		}
	}
	due := m.Deadline()
	if due.IsZero() || now.Before(due) {
		return Change{}
	}
	c := Change{Kind: Suspected, Silence: m.sign.silence(now), Old: m.source, New: m.source}
	if suspect, stale := m.limits(); m.state == Alive && suspect < stale {
		m.state = Suspect
		// A little late is no freeze, but must not shorten the last chance.
		m.sign.forgiven += now.Sub(due)
	} else {
		m.state = Stale
		c.Kind = WentStale
	}
	return c
}

// heard takes, at now, a sign of life that arrived at the other time. What has
// been forgiven may have been before it or after it: it counts as after, so
// that no silence is overstated.
func (m *Monitor) heard(now, at time.Time) Change {
	c := Change{Old: m.source, New: m.source}
	if m.state != Unknown {
		c.Silence = m.sign.silence(at)
	}
	if at.After(m.sign.since) {
		m.sign = watch{since: at, forgiven: max(0, min(m.sign.forgiven, now.Sub(at)))}
	}
	switch m.state {
	case Unknown:
		if _, stale := m.limits(); m.source == 0 && stale == 0 {
			return c
		}
		c.Kind = BecameAlive
	case Suspect:
		c.Kind = Cleared
	case Stale:
		c.Kind = Recovered
	}
	m.state = Alive
	return c
}

// excuse forgives the time up to now in which the owner did not watch: because
// it was paused, or because it was frozen and so missed the deadline.
func (m *Monitor) excuse(now time.Time) {
	if m.paused {
		m.Forgive(now, now.Sub(m.pausedAt))
		m.pausedAt = now
		return
	}
	if due := m.Deadline(); !due.IsZero() && now.Sub(due) > m.cfg.Tolerance {
		m.Forgive(now, m.sign.silence(now))
	}
}

// Forgive says that for d, some time before now, the owner did not read what
// the publisher sent: that much silence does not count, and the deadline moves
// by as much. More than the whole silence so far is not forgiven; d of 0 or
// less changes nothing. It says the same as Pause and Resume, for an owner that
// adds up such times.
func (m *Monitor) Forgive(now time.Time, d time.Duration) {
	if d > 0 {
		m.sign.forgive(now, d)
		m.beat.forgive(now, d)
	}
}

// Pause says that from now on the owner does not read what the publisher sends:
// the silence stands still and there is no deadline. Pausing twice is pausing
// once.
func (m *Monitor) Pause(now time.Time) {
	m.excuse(now)
	m.paused, m.pausedAt = true, now
}

// Resume ends what Pause began. Without a Pause it changes nothing.
func (m *Monitor) Resume(now time.Time) {
	m.excuse(now)
	m.paused = false
}
