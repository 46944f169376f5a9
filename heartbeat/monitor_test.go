package heartbeat_test

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/heraldbus/herald/heartbeat"
)

func TestMonitor(t *testing.T) {
	const (
		unknown = heartbeat.Unknown
		alive   = heartbeat.Alive
		suspect = heartbeat.Suspect
		stale   = heartbeat.Stale
		gone    = heartbeat.Gone
	)
	first := step{0, beat(A), change(heartbeat.BecameAlive, 0, none, A), alive, 2250 * ms}
	toSuspect := step{2250 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 3250 * ms}
	toStale := step{3250 * ms, check, change(heartbeat.WentStale, 3250*ms, A, A), stale, never}
	goodbye := step{500 * ms, bye(A), change(heartbeat.Left, 500*ms, A, A), gone, never}
	tests := []struct {
		name  string
		cfg   heartbeat.Config
		steps []step
	}{
		{"regular beats", heartbeat.Config{}, []step{
			first,
			{1 * sec, beat(A), nothing, alive, 3250 * ms},
			{2 * sec, beat(A), nothing, alive, 4250 * ms},
			{2250 * ms, check, nothing, alive, 4250 * ms},
		}},
		{"silence", heartbeat.Config{}, []step{
			first,
			{2249 * ms, check, nothing, alive, 2250 * ms},
			toSuspect,
			{3249 * ms, check, nothing, suspect, 3250 * ms},
			toStale,
			{time.Hour, check, nothing, stale, never},
		}},
		{"suspicion cleared by a beat", heartbeat.Config{}, []step{
			first, toSuspect,
			{2500 * ms, beat(A), change(heartbeat.Cleared, 2500*ms, A, A), alive, 4750 * ms},
		}},
		{"suspicion cleared by traffic", heartbeat.Config{}, []step{
			first, toSuspect,
			{2500 * ms, seen, change(heartbeat.Cleared, 2500*ms, A, A), alive, 4750 * ms},
		}},
		{"recovered by a beat", heartbeat.Config{}, []step{
			first, toSuspect, toStale,
			{10 * sec, beat(A), change(heartbeat.Recovered, 10*sec, A, A), alive, 12250 * ms},
		}},
		{"recovered by traffic", heartbeat.Config{}, []step{
			first, toSuspect, toStale,
			{10 * sec, seen, change(heartbeat.Recovered, 10*sec, A, A), alive, 12250 * ms},
			{11 * sec, beat(A), nothing, alive, 13250 * ms},
		}},
		{"traffic is a sign of life", heartbeat.Config{}, []step{
			first,
			{1500 * ms, seen, nothing, alive, 3750 * ms},
			{3 * sec, seen, nothing, alive, 5250 * ms},
			{5250 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 6250 * ms},
		}},
		{"noted traffic", heartbeat.Config{}, []step{
			first,
			{2250 * ms, noted(250 * ms), nothing, alive, 4250 * ms},
			{4250 * ms, noted(2250 * ms), change(heartbeat.Suspected, 2250*ms, A, A), suspect, 5250 * ms},
			{5250 * ms, noted(1 * ms), change(heartbeat.Cleared, 3249*ms, A, A), alive, 7499 * ms},
		}},
		{"noted traffic before the last", heartbeat.Config{}, []step{
			first,
			{1 * sec, beat(A), nothing, alive, 3250 * ms},
			{2 * sec, noted(1500 * ms), nothing, alive, 3250 * ms},
		}},
		{"traffic before the first beat", heartbeat.Config{}, []step{
			{0, seen, nothing, unknown, never},
			{5 * sec, check, nothing, unknown, never},
			{6 * sec, beat(A), change(heartbeat.BecameAlive, 0, none, A), alive, 8250 * ms},
		}},
		{"another rhythm", heartbeat.Config{}, []step{
			first,
			{100 * ms, beatEvery(A, 100*ms), nothing, alive, 325 * ms},
			{325 * ms, check, change(heartbeat.Suspected, 225*ms, A, A), suspect, 425 * ms},
			{425 * ms, check, change(heartbeat.WentStale, 325*ms, A, A), stale, never},
		}},
		{"long intervals have no more slack", heartbeat.Config{}, []step{
			{0, beatEvery(A, time.Hour), change(heartbeat.BecameAlive, 0, none, A), alive, 2*time.Hour + 250*ms},
		}},
		{"numbers of one's own", heartbeat.Config{Suspect: 4, Stale: 9}, []step{
			{0, beat(A), change(heartbeat.BecameAlive, 0, none, A), alive, 4250 * ms},
			{4250 * ms, check, change(heartbeat.Suspected, 4250*ms, A, A), suspect, 9250 * ms},
			{9250 * ms, check, change(heartbeat.WentStale, 9250*ms, A, A), stale, never},
		}},
		{"no suspicion", heartbeat.Config{Stale: 2}, []step{
			first,
			{2250 * ms, check, change(heartbeat.WentStale, 2250*ms, A, A), stale, never},
		}},

		{"restart", heartbeat.Config{}, []step{
			first,
			{500 * ms, beat(B), change(heartbeat.Restarted, 500*ms, A, B), alive, 2750 * ms},
		}},
		{"restart of a suspect", heartbeat.Config{}, []step{
			first, toSuspect,
			{3 * sec, beat(B), change(heartbeat.Restarted, 3*sec, A, B), alive, 5250 * ms},
		}},
		{"restart of a stale one", heartbeat.Config{}, []step{
			first, toSuspect, toStale,
			{10 * sec, beat(B), change(heartbeat.Restarted, 10*sec, A, B), alive, 12250 * ms},
		}},
		{"goodbye", heartbeat.Config{}, []step{
			first, goodbye,
			{time.Hour, check, nothing, gone, never},
		}},
		{"restart after a goodbye", heartbeat.Config{}, []step{
			first, goodbye,
			{10 * sec, beat(B), change(heartbeat.Restarted, 9500*ms, A, B), alive, 12250 * ms},
		}},
		{"goodbye first", heartbeat.Config{}, []step{
			{0, bye(A), change(heartbeat.Left, 0, none, A), gone, never},
		}},
		{"goodbye of a stale one", heartbeat.Config{}, []step{
			first, toSuspect, toStale,
			{10 * sec, bye(A), change(heartbeat.Left, 10*sec, A, A), gone, never},
		}},
		{"goodbye of an unseen source", heartbeat.Config{}, []step{
			first,
			{500 * ms, bye(B), change(heartbeat.Left, 500*ms, A, B), gone, never},
		}},
		{"nothing resurrects the gone", heartbeat.Config{}, []step{
			first, goodbye,
			{600 * ms, bye(A), nothing, gone, never},
			{700 * ms, beat(A), nothing, gone, never},
			{800 * ms, seen, nothing, gone, never},
			{900 * ms, noted(10 * ms), nothing, gone, never},
			{time.Hour, beat(A), nothing, gone, never},
		}},
		{"late beats of the source before", heartbeat.Config{}, []step{
			first,
			{500 * ms, beat(B), change(heartbeat.Restarted, 500*ms, A, B), alive, 2750 * ms},
			{600 * ms, beat(A), nothing, alive, 2750 * ms},
			{700 * ms, bye(A), nothing, alive, 2750 * ms},
			{1500 * ms, beat(B), nothing, alive, 3750 * ms},
			{1600 * ms, beat(A), nothing, alive, 3750 * ms},
		}},
		{"late beat of the source before after a goodbye", heartbeat.Config{}, []step{
			first,
			{500 * ms, beat(B), change(heartbeat.Restarted, 500*ms, A, B), alive, 2750 * ms},
			{600 * ms, bye(B), change(heartbeat.Left, 100*ms, B, B), gone, never},
			{700 * ms, beat(A), nothing, gone, never},
		}},
		{"the new source was the late one", heartbeat.Config{}, []step{
			{0, beat(B), change(heartbeat.BecameAlive, 0, none, B), alive, 2250 * ms},
			{500 * ms, beat(A), change(heartbeat.Restarted, 500*ms, B, A), alive, 2750 * ms}, // late
			{1 * sec, beat(B), nothing, alive, 2750 * ms},
			{2 * sec, beat(B), nothing, alive, 2750 * ms},
			{2750 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 3750 * ms},
			{3 * sec, beat(B), nothing, suspect, 3750 * ms},
			{3750 * ms, check, change(heartbeat.WentStale, 3250*ms, A, A), stale, never},
			{4 * sec, beat(B), change(heartbeat.Restarted, 3500*ms, A, B), alive, 6250 * ms},
			{4100 * ms, beat(A), nothing, alive, 6250 * ms},
		}},
		{"the new source was the late one, with traffic", heartbeat.Config{}, []step{
			{0, beat(B), change(heartbeat.BecameAlive, 0, none, B), alive, 2250 * ms},
			{500 * ms, beat(A), change(heartbeat.Restarted, 500*ms, B, A), alive, 2750 * ms}, // late
			{1 * sec, beat(B), nothing, alive, 2750 * ms},
			{2 * sec, seen, nothing, alive, 4250 * ms},
			{3500 * ms, seen, nothing, alive, 5750 * ms},
			{4 * sec, beat(B), change(heartbeat.Restarted, 500*ms, A, B), alive, 6250 * ms},
		}},
		{"four sources are remembered", heartbeat.Config{}, []step{
			{0, beat(A), change(heartbeat.BecameAlive, 0, none, A), alive, 2250 * ms},
			{1 * ms, beat(B), change(heartbeat.Restarted, 1*ms, A, B), alive, 2251 * ms},
			{2 * ms, beat(C), change(heartbeat.Restarted, 1*ms, B, C), alive, 2252 * ms},
			{3 * ms, beat(D), change(heartbeat.Restarted, 1*ms, C, D), alive, 2253 * ms},
			{4 * ms, beat(E), change(heartbeat.Restarted, 1*ms, D, E), alive, 2254 * ms},
			{5 * ms, beat(A), nothing, alive, 2254 * ms},
			{6 * ms, beat(F), change(heartbeat.Restarted, 2*ms, E, F), alive, 2256 * ms},
			{7 * ms, beat(B), nothing, alive, 2256 * ms},
			{8 * ms, beat(A), change(heartbeat.Restarted, 2*ms, F, A), alive, 2258 * ms},
		}},

		{"foreign publisher", heartbeat.Config{Silence: 5 * sec}, []step{
			{0, check, nothing, unknown, never},
			{1 * sec, seen, change(heartbeat.BecameAlive, 0, none, none), alive, 6 * sec},
			{2 * sec, seen, nothing, alive, 7 * sec},
			{7 * sec, check, change(heartbeat.WentStale, 5*sec, none, none), stale, never},
			{9 * sec, seen, change(heartbeat.Recovered, 7*sec, none, none), alive, 14 * sec},
		}},
		{"foreign publisher that turns out to beat", heartbeat.Config{Silence: 5 * sec}, []step{
			{0, seen, change(heartbeat.BecameAlive, 0, none, none), alive, 5 * sec},
			{1 * sec, beat(A), nothing, alive, 3250 * ms},
			{2 * sec, beat(B), change(heartbeat.Restarted, 1*sec, A, B), alive, 4250 * ms},
		}},
		{"stale foreign publisher that turns out to beat", heartbeat.Config{Silence: 5 * sec}, []step{
			{0, seen, change(heartbeat.BecameAlive, 0, none, none), alive, 5 * sec},
			{5 * sec, check, change(heartbeat.WentStale, 5*sec, none, none), stale, never},
			{6 * sec, beat(A), change(heartbeat.Recovered, 6*sec, none, A), alive, 8250 * ms},
		}},

		{"a little late is no freeze", heartbeat.Config{}, []step{
			first,
			{2500 * ms, check, change(heartbeat.Suspected, 2500*ms, A, A), suspect, 3500 * ms},
			{3750 * ms, check, change(heartbeat.WentStale, 3500*ms, A, A), stale, never},
		}},
		{"late beyond both limits", heartbeat.Config{}, []step{
			{0, beatEvery(A, 100*ms), change(heartbeat.BecameAlive, 0, none, A), alive, 225 * ms},
			{450 * ms, check, change(heartbeat.Suspected, 450*ms, A, A), suspect, 550 * ms},
			{550 * ms, check, change(heartbeat.WentStale, 325*ms, A, A), stale, never},
		}},
		{"freeze", heartbeat.Config{}, []step{
			first,
			{2501 * ms, check, nothing, alive, 4751 * ms},
			{4751 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 5751 * ms},
			{5751 * ms, check, change(heartbeat.WentStale, 3250*ms, A, A), stale, never},
		}},
		{"freeze of a night", heartbeat.Config{}, []step{
			first, toSuspect,
			{8 * time.Hour, check, nothing, suspect, 8*time.Hour + 3250*ms},
			{8*time.Hour + 100*ms, beat(A), change(heartbeat.Cleared, 100*ms, A, A), alive, 8*time.Hour + 2350*ms},
		}},
		{"freeze that ends with a beat", heartbeat.Config{}, []step{
			first, toSuspect,
			{time.Hour, beat(A), change(heartbeat.Cleared, 0, A, A), alive, time.Hour + 2250*ms},
		}},
		{"freeze that ends with another source", heartbeat.Config{}, []step{
			first,
			{time.Hour, beat(B), change(heartbeat.Restarted, 0, A, B), alive, time.Hour + 2250*ms},
		}},
		{"freeze after noted traffic", heartbeat.Config{}, []step{
			first,
			{10 * sec, noted(9500 * ms), nothing, alive, 12250 * ms},
			{12250 * ms, noted(11750 * ms), change(heartbeat.Suspected, 2250*ms, A, A), suspect, 13250 * ms},
		}},
		{"tolerance of one's own", heartbeat.Config{Tolerance: 10 * sec}, []step{
			first,
			{12 * sec, check, change(heartbeat.Suspected, 12*sec, A, A), suspect, 13 * sec},
		}},

		{"pause", heartbeat.Config{}, []step{
			first,
			{1 * sec, pause, nothing, alive, never},
			{10 * sec, check, nothing, alive, never},
			{11 * sec, pause, nothing, alive, never},
			{21 * sec, resume, nothing, alive, 22250 * ms},
			{22250 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 23250 * ms},
			{22300 * ms, pause, nothing, suspect, never},
			{30300 * ms, resume, nothing, suspect, 31250 * ms},
			{31250 * ms, check, change(heartbeat.WentStale, 3250*ms, A, A), stale, never},
			{32 * sec, resume, nothing, stale, never},
		}},
		{"beats in a pause", heartbeat.Config{}, []step{
			first,
			{1 * sec, pause, nothing, alive, never},
			{5 * sec, beat(A), nothing, alive, never},
			{6 * sec, resume, nothing, alive, 8250 * ms},
		}},
		{"traffic noted before a pause", heartbeat.Config{}, []step{
			first,
			{1 * sec, pause, nothing, alive, never},
			{5 * sec, noted(4100 * ms), nothing, alive, never},
			{5 * sec, resume, nothing, alive, 7150 * ms},
		}},
		{"resume without a pause", heartbeat.Config{}, []step{
			first,
			{1 * sec, resume, nothing, alive, 2250 * ms},
		}},
		{"pause of the unknown", heartbeat.Config{Silence: sec}, []step{
			{0, pause, nothing, unknown, never},
			{1 * sec, resume, nothing, unknown, never},
			{2 * sec, forgive(sec), nothing, unknown, never},
			{3 * sec, seen, change(heartbeat.BecameAlive, 0, none, none), alive, 4 * sec},
		}},
		{"forgiven", heartbeat.Config{}, []step{
			first,
			{2 * sec, forgive(500 * ms), nothing, alive, 2750 * ms},
			{2 * sec, forgive(0), nothing, alive, 2750 * ms},
			{2 * sec, forgive(-time.Hour), nothing, alive, 2750 * ms},
			{2 * sec, forgive(time.Hour), nothing, alive, 4250 * ms},
			{3 * sec, beat(A), nothing, alive, 5250 * ms},
		}},
		{"adoption waits longer when time was forgiven", heartbeat.Config{}, []step{
			first,
			{100 * ms, beat(B), change(heartbeat.Restarted, 100*ms, A, B), alive, 2350 * ms},
			{2 * sec, forgive(sec), nothing, alive, 3350 * ms},
			{3350 * ms, check, change(heartbeat.Suspected, 2250*ms, B, B), suspect, 4350 * ms},
			{4 * sec, beat(A), nothing, suspect, 4350 * ms},
			{4350 * ms, beat(A), change(heartbeat.Restarted, 3250*ms, B, A), alive, 6600 * ms},
		}},
		{"times that go backwards", heartbeat.Config{}, []step{
			{10 * sec, beat(A), change(heartbeat.BecameAlive, 0, none, A), alive, 12250 * ms},
			{5 * sec, check, nothing, alive, 12250 * ms},
			{5 * sec, seen, nothing, alive, 12250 * ms},
			{5 * sec, forgive(sec), nothing, alive, 12250 * ms},
			{12250 * ms, check, change(heartbeat.Suspected, 2250*ms, A, A), suspect, 13250 * ms},
			{11 * sec, seen, change(heartbeat.Cleared, 1*sec, A, A), alive, 13250 * ms},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := heartbeat.NewMonitor(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for i, s := range tt.steps {
				now := start.Add(s.at)
				if got := s.do(m, now); got != s.want {
					t.Errorf("step %d at %v: %v, want %v", i, s.at, show(got), show(s.want))
				}
				deadline := never
				if d := m.Deadline(); !d.IsZero() {
					deadline = d.Sub(start)
				}
				if m.State() != s.state || deadline != s.deadline {
					t.Errorf("step %d at %v: %v until %v, want %v until %v", i, s.at, m.State(), deadline, s.state, s.deadline)
				}
			}
		})
	}
}

// TestStaleWithinThreeIntervals is the promise to users: with the defaults,
// staleness is known within 3 intervals and half a second.
func TestStaleWithinThreeIntervals(t *testing.T) {
	for _, interval := range []time.Duration{ms, 10 * ms, 500 * ms, sec, time.Minute, 24 * time.Hour} {
		m, _ := heartbeat.NewMonitor(heartbeat.Config{})
		start := time.Now()
		beatEvery(A, interval)(m, start)
		now := start
		for m.State() != heartbeat.Stale {
			now = m.Deadline()
			m.Check(now, time.Time{})
		}
		if got := now.Sub(start); got <= 3*interval || got > 3*interval+500*ms {
			t.Errorf("interval %v: stale after %v", interval, got)
		}
	}
}

// TestWallClockJump moves the wall clock of the times by a year there and back,
// which a step of the system's clock does, and leaves the monotonic clock.
func TestWallClockJump(t *testing.T) {
	start := time.Now()
	jump := func(after, by time.Duration) time.Time {
		moved := start.Add(after)
		// The layout of time.Time: 33 bits of seconds above 30 bits of
		// nanoseconds in the first word. What is made is looked at below.
		word := (*uint64)(unsafe.Pointer(&moved))
		*word += uint64(by/sec) << 30
		if moved.Sub(start) != after || moved.Round(0).Sub(start.Round(0)) != after+by {
			t.Skip("time.Time has another layout")
		}
		return moved
	}
	const year = 365 * 24 * time.Hour
	m, _ := heartbeat.NewMonitor(heartbeat.Config{})
	beat(A)(m, start)
	for i, step := range []struct {
		now  time.Time
		do   do
		want heartbeat.Kind
	}{
		{jump(1*sec, year), beat(A), heartbeat.None},
		{jump(2*sec, -year), beat(A), heartbeat.None},
		{jump(4*sec, year), check, heartbeat.None},
		{jump(4250*ms, -year), check, heartbeat.Suspected},
		{jump(5249*ms, year), check, heartbeat.None},
		{jump(5250*ms, 0), check, heartbeat.WentStale},
		{jump(6*sec, -year), beat(A), heartbeat.Recovered},
	} {
		if c := step.do(m, step.now); c.Kind != step.want {
			t.Errorf("step %d: %v, want %v", i, c.Kind, step.want)
		}
	}
}

// TestJitter: beats that come up to 40 % early or late raise no suspicion.
func TestJitter(t *testing.T) {
	m, _ := heartbeat.NewMonitor(heartbeat.Config{})
	now := time.Now()
	beat(A)(m, now)
	for i := range 1000 {
		due := now.Add(sec)
		arrives := due.Add(time.Duration(i*7919%801-400) * ms)
		if d := m.Deadline(); d.Before(arrives) {
			t.Fatalf("beat %d: the deadline is %v before it", i, arrives.Sub(d))
		}
		if c := beat(A)(m, arrives); c != nothing {
			t.Fatalf("beat %d: %v", i, show(c))
		}
		now = due
	}
}

func TestStrings(t *testing.T) {
	var got []string
	for s := range heartbeat.Gone + 2 {
		got = append(got, s.String())
	}
	for k := range heartbeat.Left + 2 {
		got = append(got, k.String())
	}
	want := "[unknown alive suspect stale gone State(5) none became alive suspected cleared went stale recovered restarted left Kind(8)]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v", got)
	}
}

func ExampleMonitor() {
	m, err := heartbeat.NewMonitor(heartbeat.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Now()
	tell := func(now time.Time, c heartbeat.Change) {
		if c.Kind != heartbeat.None {
			fmt.Printf("%v: %v after %v\n", now.Sub(start), c.Kind, c.Silence)
		}
	}

	beat := heartbeat.Beat{Name: "weather", Incarnation: 1, Interval: time.Second}
	tell(start, m.Beat(start, beat))
	for !m.Deadline().IsZero() { // no more beats arrive
		now := m.Deadline() // the owner sleeps until then
		tell(now, m.Check(now, time.Time{}))
	}
	now := start.Add(time.Minute)
	beat.Incarnation = 2
	tell(now, m.Beat(now, beat))
	// Output:
	// 0s: became alive after 0s
	// 2.25s: suspected after 2.25s
	// 3.25s: went stale after 3.25s
	// 1m0s: restarted after 1m0s
}
