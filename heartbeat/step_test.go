package heartbeat_test

import (
	"fmt"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// Sources of the tests.
const (
	none heartbeat.Incarnation = iota
	A
	B
	C
	D
	E
	F
)

// do is one call to a Monitor.
type do func(m *heartbeat.Monitor, now time.Time) heartbeat.Change

func beat(s heartbeat.Incarnation) do { return beatEvery(s, sec) }

func beatEvery(s heartbeat.Incarnation, interval time.Duration) do {
	return func(m *heartbeat.Monitor, now time.Time) heartbeat.Change {
		return m.Beat(now, heartbeat.Beat{Name: "p", Incarnation: s, Interval: interval})
	}
}

func bye(s heartbeat.Incarnation) do {
	return func(m *heartbeat.Monitor, now time.Time) heartbeat.Change {
		return m.Beat(now, heartbeat.Beat{Name: "p", Incarnation: s, Interval: sec, Bye: true})
	}
}

func seen(m *heartbeat.Monitor, now time.Time) heartbeat.Change { return m.Seen(now) }

func check(m *heartbeat.Monitor, now time.Time) heartbeat.Change { return m.Check(now, time.Time{}) }

// noted is a check that hands over traffic which was read that long ago.
func noted(ago time.Duration) do {
	return func(m *heartbeat.Monitor, now time.Time) heartbeat.Change { return m.Check(now, now.Add(-ago)) }
}

func pause(m *heartbeat.Monitor, now time.Time) heartbeat.Change {
	m.Pause(now)
	return heartbeat.Change{}
}

func resume(m *heartbeat.Monitor, now time.Time) heartbeat.Change {
	m.Resume(now)
	return heartbeat.Change{}
}

func forgive(d time.Duration) do {
	return func(m *heartbeat.Monitor, now time.Time) heartbeat.Change {
		m.Forgive(now, d)
		return heartbeat.Change{}
	}
}

// never is the deadline of a Monitor that has none.
const never time.Duration = -1

// step is a call at a time, and what it must bring about. All times are since
// the start of the test.
type step struct {
	at       time.Duration
	do       do
	want     heartbeat.Change
	state    heartbeat.State
	deadline time.Duration
}

func change(k heartbeat.Kind, silence time.Duration, old, now heartbeat.Incarnation) heartbeat.Change {
	return heartbeat.Change{Kind: k, Silence: silence, Old: old, New: now}
}

var nothing heartbeat.Change

func show(c heartbeat.Change) string {
	return fmt.Sprintf("%v after %v (%d to %d)", c.Kind, c.Silence, uint64(c.Old), uint64(c.New))
}
