package heartbeat_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

// series feeds a Monitor beats with the given gaps, calling Check at every
// deadline that comes before the next beat. It returns when the last beat came
// and how often the publisher was taken for stale or suspected.
func series(m *heartbeat.Monitor, now time.Time, gaps []time.Duration) (last time.Time, suspicions, alarms int) {
	beat(A)(m, now)
	for _, gap := range gaps {
		next := now.Add(gap)
		for d := m.Deadline(); !d.IsZero() && d.Before(next); d = m.Deadline() {
			switch m.Check(d, time.Time{}).Kind {
			case heartbeat.Suspected:
				suspicions++
			case heartbeat.WentStale:
				alarms++
			}
		}
		now = next
		beat(A)(m, now)
	}
	return now, suspicions, alarms
}

// untilStale lets time pass without beats.
func untilStale(m *heartbeat.Monitor, last time.Time) (suspect, stale time.Duration) {
	d := m.Deadline()
	m.Check(d, time.Time{})
	suspect = d.Sub(last)
	d = m.Deadline()
	m.Check(d, time.Time{})
	return suspect, d.Sub(last)
}

func repeat(n int, f func(i int) time.Duration) []time.Duration {
	gaps := make([]time.Duration, n)
	for i := range gaps {
		gaps[i] = f(i)
	}
	return gaps
}

func TestPhi(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	uniform := func(low, high time.Duration) time.Duration { return low + rand.N(high-low) }
	tests := []struct {
		name string
		gaps []time.Duration
		// How soon after the last beat it must be suspected and stale.
		suspect, stale time.Duration
	}{
		{"first beat only", nil, 1930 * ms, 2404 * ms},
		{"steady", repeat(500, func(int) time.Duration { return sec }), 1930 * ms, 2404 * ms},
		{"each gap off by up to 40 %", repeat(5000, func(int) time.Duration { return uniform(600*ms, 1400*ms) }), 2 * sec, 2600 * ms},
		{"each beat off by up to 40 %", repeat(5000, func() func(int) time.Duration {
			off := time.Duration(0) // beats are due every second, and come early or late
			return func(int) time.Duration {
				before := off
				off = time.Duration(rng.IntN(801)-400) * ms
				return sec + off - before
			}
		}()), 2500 * ms, 3200 * ms},
		{"steady, then jittery", append(repeat(500, func(int) time.Duration { return sec }),
			repeat(500, func(int) time.Duration { return uniform(600*ms, 1400*ms) })...), 2 * sec, 2600 * ms},
		{"pairs", repeat(500, func(i int) time.Duration { return time.Duration(i%2) * 1900 * ms }), 5 * sec, 7 * sec},
		{"too often", repeat(500, func(int) time.Duration { return 100 * ms }), 1930 * ms, 2404 * ms},
		{"a steady delay between beats", repeat(500, func(int) time.Duration { return 1500 * ms }), 2500 * ms, 3 * sec},
	}
	for _, tt := range tests {
		m, err := heartbeat.NewMonitor(heartbeat.Config{Phi: 8})
		if err != nil {
			t.Fatal(err)
		}
		last, suspicions, alarms := series(m, time.Now(), tt.gaps)
		if suspicions != 0 || alarms != 0 {
			t.Errorf("%s: %d suspicions and %d alarms", tt.name, suspicions, alarms)
		}
		suspect, stale := untilStale(m, last)
		if suspect < 1900*ms || suspect > tt.suspect || stale < 2400*ms || stale > tt.stale {
			t.Errorf("%s: suspect after %v and stale after %v, want at most %v and %v", tt.name, suspect, stale, tt.suspect, tt.stale)
		}
	}
}

// TestPhiLearns: a rhythm unlike the announced one is an alarm at first, and no
// more when it has been learned.
func TestPhiLearns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		gap   func(i int) time.Duration
		learn int // gaps
		alarm time.Duration
	}{
		{"bursts of ten every ten seconds", func(i int) time.Duration {
			if i%10 == 0 {
				return 10 * sec
			}
			return 0
		}, 100, 30 * sec},
		{"four times slower", func(int) time.Duration { return 4 * sec }, 10, 15 * sec},
	} {
		m, _ := heartbeat.NewMonitor(heartbeat.Config{Phi: 8})
		last, _, alarms := series(m, time.Now(), repeat(tt.learn, tt.gap))
		if alarms == 0 {
			t.Errorf("%s: no alarm before it was learned", tt.name)
		}
		last, _, alarms = series(m, last, repeat(500, tt.gap))
		if alarms != 0 {
			t.Errorf("%s: %d alarms after it was learned", tt.name, alarms)
		}
		if _, stale := untilStale(m, last); stale > tt.alarm {
			t.Errorf("%s: stale after %v", tt.name, stale)
		}
	}
}

// TestPhiOutage: one long outage does not make the detector blind.
func TestPhiOutage(t *testing.T) {
	m, _ := heartbeat.NewMonitor(heartbeat.Config{Phi: 8})
	last, _, _ := series(m, time.Now(), repeat(200, func(int) time.Duration { return sec }))
	last, _, alarms := series(m, last, []time.Duration{time.Hour, sec, sec})
	if alarms != 1 {
		t.Errorf("%d alarms in an outage", alarms)
	}
	if _, stale := untilStale(m, last); stale > 2500*ms {
		t.Errorf("after an outage stale only after %v", stale)
	}
}

// TestPhiForgets: another source or interval starts a new window, and time that
// was not watched is no sample.
func TestPhiForgets(t *testing.T) {
	slow := repeat(200, func(int) time.Duration { return 2 * sec })
	learned := func() (*heartbeat.Monitor, time.Time) {
		m, _ := heartbeat.NewMonitor(heartbeat.Config{Phi: 8})
		last, _, _ := series(m, time.Now(), slow)
		return m, last
	}
	limit := func(m *heartbeat.Monitor, last time.Time) time.Duration {
		_, stale := untilStale(m, last)
		return stale.Round(10 * ms)
	}
	if m, last := learned(); limit(m, last) < 3*sec {
		t.Error("nothing was learned")
	}
	m, last := learned()
	beat(B)(m, last)
	if got := limit(m, last); got != 2400*ms {
		t.Errorf("after a restart: %v", got)
	}
	m, last = learned()
	beatEvery(A, 100*ms)(m, last)
	if got := limit(m, last); got != 240*ms {
		t.Errorf("after a change of the interval: %v", got)
	}
	m, _ = heartbeat.NewMonitor(heartbeat.Config{Phi: 8})
	now := time.Now()
	for i := range 200 {
		beat(A)(m, now)
		if i%2 == 0 {
			m.Pause(now)
			now = now.Add(10 * sec)
			m.Resume(now)
		} else {
			now = now.Add(sec)
		}
	}
	beat(A)(m, now)
	if got := limit(m, now); got != 2400*ms {
		t.Errorf("after pauses: %v", got)
	}
}

// TestPhiFormula computes the suspicion level of the paper, section 4.2, at the
// deadlines: phi = -log10(1 - F(t)), F normal with mean and deviation of the
// gaps.
func TestPhiFormula(t *testing.T) {
	for _, phi := range []float64{1, 3, 8, 16, 100} {
		gaps := []time.Duration{800 * ms, 2200 * ms, 600 * ms, 1800 * ms, 1600 * ms}
		m, _ := heartbeat.NewMonitor(heartbeat.Config{Phi: phi})
		now := time.Now()
		var mean, square float64
		beat(A)(m, now)
		for _, gap := range gaps {
			// Without a Check nothing is suspected, but each gap counts only
			// up to the limit of that moment: keep below it.
			gap = min(gap, m.Deadline().Sub(now))
			now = now.Add(gap)
			beat(A)(m, now)
			mean += gap.Seconds() / float64(len(gaps))
			square += gap.Seconds() * gap.Seconds() / float64(len(gaps))
		}
		mean, deviation := max(mean, 1), max(math.Sqrt(square-mean*mean), 0.25)
		level := func(after time.Duration) float64 {
			return -math.Log10(math.Erfc((after.Seconds()-mean)/deviation/math.Sqrt2) / 2)
		}
		suspect, stale := untilStale(m, now)
		if got := level(suspect); math.Abs(got-phi/2) > 0.001*phi {
			t.Errorf("phi %v: suspected at %v", phi, got)
		}
		if got := level(stale); math.Abs(got-phi) > 0.001*phi {
			t.Errorf("phi %v: stale at %v", phi, got)
		}
	}
}
