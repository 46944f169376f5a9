package heartbeat_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

// oracle is a naive Monitor: it knows no times, only counters that go up by one
// with each millisecond.
type oracle struct {
	suspectAfter, staleAfter, silenceAfter, tolerance int

	state    heartbeat.State
	source   heartbeat.Incarnation
	former   []heartbeat.Incarnation
	interval int
	paused   bool

	silent     int // counted ms since the last sign of life
	real       int // all ms since then
	beatSilent int // counted ms since the last beat of source
}

func (o *oracle) tick() {
	o.real++
	if !o.paused {
		o.silent++
		o.beatSilent++
	}
}

// limits are in ms, 0 for none.
func (o *oracle) limits() (suspect, stale int) {
	if o.interval == 0 {
		return o.silenceAfter, o.silenceAfter
	}
	slack := min(o.interval/4, 250)
	return o.suspectAfter*o.interval + slack, o.staleAfter*o.interval + slack
}

// limit of the present state; 0 if time changes nothing.
func (o *oracle) limit() int {
	suspect, stale := o.limits()
	switch o.state {
	case heartbeat.Alive:
		return suspect
	case heartbeat.Suspect:
		return stale
	}
	return 0
}

// left is the time until the deadline, and whether there is one.
func (o *oracle) left() (int, bool) {
	return o.limit() - o.silent, o.limit() > 0 && !o.paused
}

func (o *oracle) forgive(d int) {
	o.silent -= min(d, o.silent)
	o.beatSilent -= min(d, o.beatSilent)
}

func (o *oracle) freeze() {
	if left, ok := o.left(); ok && -left > o.tolerance {
		o.forgive(o.silent)
	}
}

func (o *oracle) change(k heartbeat.Kind, silence int, old heartbeat.Incarnation) heartbeat.Change {
	return change(k, time.Duration(silence)*ms, old, o.source)
}

func (o *oracle) beat(s heartbeat.Incarnation, interval int, bye bool) heartbeat.Change {
	o.freeze()
	_, stale := o.limits()
	if s == o.source && o.state == heartbeat.Gone {
		return nothing
	}
	if s != o.source && slices.Contains(o.former, s) && o.beatSilent < stale {
		return nothing
	}
	old, before, silence := o.source, o.state, o.silent
	if old != 0 && s != old && !slices.Contains(o.former, old) {
		o.former = append([]heartbeat.Incarnation{old}, o.former...)
		o.former = o.former[:min(4, len(o.former))]
	}
	o.source, o.interval = s, interval
	o.silent, o.real, o.beatSilent = 0, 0, 0
	o.state = heartbeat.Alive
	if before == heartbeat.Unknown {
		silence = 0
	}
	switch {
	case bye:
		o.state = heartbeat.Gone
		return o.change(heartbeat.Left, silence, old)
	case old != 0 && old != s:
		return o.change(heartbeat.Restarted, silence, old)
	case before == heartbeat.Unknown:
		return o.change(heartbeat.BecameAlive, 0, old)
	case before == heartbeat.Suspect:
		return o.change(heartbeat.Cleared, silence, old)
	case before == heartbeat.Stale:
		return o.change(heartbeat.Recovered, silence, old)
	}
	return nothing
}

// check is told how long ago traffic was read, or a negative number for never.
func (o *oracle) check(ago int) heartbeat.Change {
	o.freeze()
	if ago >= 0 && ago < o.real && o.state != heartbeat.Gone {
		forgiven := o.real - o.silent
		silence := max(0, o.real-ago-forgiven)
		o.real = ago
		o.silent = ago - min(forgiven, ago)
		before := o.state
		switch {
		case before == heartbeat.Unknown && o.silenceAfter > 0:
			o.state = heartbeat.Alive
			return o.change(heartbeat.BecameAlive, 0, o.source)
		case before == heartbeat.Suspect:
			o.state = heartbeat.Alive
			return o.change(heartbeat.Cleared, silence, o.source)
		case before == heartbeat.Stale:
			o.state = heartbeat.Alive
			return o.change(heartbeat.Recovered, silence, o.source)
		}
	}
	if left, ok := o.left(); ok && left <= 0 {
		suspect, stale := o.limits()
		if o.state == heartbeat.Alive && suspect < stale {
			o.state = heartbeat.Suspect
			c := o.change(heartbeat.Suspected, o.silent, o.source)
			o.silent = suspect
			return c
		}
		o.state = heartbeat.Stale
		return o.change(heartbeat.WentStale, o.silent, o.source)
	}
	return nothing
}

// TestMonitorAgainstOracle plays random lives of publishers and watchers.
func TestMonitorAgainstOracle(t *testing.T) {
	kinds := map[heartbeat.Kind]int{}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		cfg := heartbeat.Config{
			Stale:     1 + rng.IntN(4),
			Tolerance: time.Duration(1+rng.IntN(100)) * ms,
		}
		cfg.Suspect = 1 + rng.IntN(cfg.Stale)
		if rng.IntN(2) == 0 {
			cfg.Silence = time.Duration(50+rng.IntN(500)) * ms
		}
		m, err := heartbeat.NewMonitor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{suspectAfter: cfg.Suspect, staleAfter: cfg.Stale,
			silenceAfter: int(cfg.Silence / ms), tolerance: int(cfg.Tolerance / ms), silent: 1 << 40, real: 1 << 40}
		now := time.Now()
		interval, current := 4*(1+rng.IntN(100)), heartbeat.Incarnation(1)
		for step := range 400 {
			wait := rng.IntN(interval * 3 / 2)
			switch left, ok := o.left(); {
			case ok && left >= 0 && rng.IntN(3) == 0:
				wait = left + max(0, rng.IntN(6)-3) // a Check at its deadline or a bit later
			case rng.IntN(20) == 0:
				wait = rng.IntN(interval * 8) // a freeze, or a long silence
			}
			for range wait {
				o.tick()
			}
			now = now.Add(time.Duration(wait) * ms)
			var got, want heartbeat.Change
			switch n := rng.IntN(100); {
			case n < 30:
				got, want = check(m, now), o.check(-1)
			case n < 45:
				ago := rng.IntN(interval * 3)
				got, want = noted(time.Duration(ago)*ms)(m, now), o.check(ago)
			case n < 60:
				got, want = seen(m, now), o.check(0)
			case n < 68:
				d := rng.IntN(interval * 2)
				m.Forgive(now, time.Duration(d)*ms)
				o.forgive(d)
			case n < 74:
				m.Pause(now)
				o.freeze()
				o.paused = true
			case n < 80:
				m.Resume(now)
				o.freeze()
				o.paused = false
			default:
				s := current
				switch n := rng.IntN(20); {
				case n == 0: // restart
					current++
					s = current
				case n < 4: // late
					s = max(1, current-heartbeat.Incarnation(rng.IntN(6)))
				}
				farewell := rng.IntN(25) == 0
				b := heartbeat.Beat{Name: "p", Incarnation: s, Interval: time.Duration(interval) * ms, Bye: farewell}
				got, want = m.Beat(now, b), o.beat(s, interval, farewell)
			}
			kinds[got.Kind]++
			if got != want || m.State() != o.state || m.Incarnation() != o.source {
				t.Fatalf("seed %d, step %d: %v, now %v; the oracle says %v, now %v",
					seed, step, show(got), m.State(), show(want), o.state)
			}
			left, ok := o.left()
			if d := m.Deadline(); d.IsZero() == ok || ok && d.Sub(now) != time.Duration(left)*ms {
				t.Fatalf("seed %d, step %d: %v until the deadline, the oracle says %d ms (%v)",
					seed, step, d.Sub(now), left, ok)
			}
		}
	}
	for k := heartbeat.None; k <= heartbeat.Left; k++ {
		if kinds[k] < 50 {
			t.Errorf("%v came only %d times", k, kinds[k])
		}
	}
}
