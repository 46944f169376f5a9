package heartbeat

import (
	"math"
	"time"
)

// window is the number of times between beats that history keeps: two minutes
// at the usual interval. The paper used 1000 at 100 ms.
const window = 128

// history is the sampling window of the phi accrual detector and what follows
// from it.
type history struct {
	zSuspect, zStale float64 // thresholds, in standard deviations above the mean
	suspect, stale   time.Duration

	gaps [window]float32 // seconds
	n    int             // how many of gaps are filled
	next int             // where the next gap goes
}

// quantile returns how many standard deviations above its mean a normally
// distributed value lies that is exceeded with the probability 10^-phi. It is
// found by bisection, because math.Erfcinv loses all digits near 10^-16.
func quantile(phi float64) float64 {
	low, high := 0.0, 38.0 // where the probability is 0.5 and 10^-315
	for range 60 {
		if z := (low + high) / 2; -math.Log10(math.Erfc(z/math.Sqrt2)/2) < phi {
			low = z
		} else {
			high = z
		}
	}
	return high
}

func newHistory(phi float64) *history {
	return &history{zSuspect: quantile(phi / 2), zStale: quantile(phi)}
}

// reset forgets the gaps, for a new source or rhythm.
func (h *history) reset(interval time.Duration) {
	h.n, h.next = 0, 0
	h.update(interval)
}

// add takes a gap between two beats into the window, cut off at the present
// limit for staleness.
func (h *history) add(gap, interval time.Duration) {
	h.gaps[h.next] = float32(min(gap, h.stale).Seconds())
	h.next = (h.next + 1) % window
	h.n = min(h.n+1, window)
	h.update(interval)
}

// update computes the limits. Beats are rare, so the sums are made afresh each
// time and no rounding error can build up.
func (h *history) update(interval time.Duration) {
	var sum, squares float64
	for _, g := range h.gaps[:h.n] {
		sum += float64(g)
		squares += float64(g) * float64(g)
	}
	mean, deviation := 0.0, 0.0
	if h.n > 0 {
		mean = sum / float64(h.n)
		deviation = math.Sqrt(max(0, squares/float64(h.n)-mean*mean))
	}
	mean = max(mean, interval.Seconds())
	deviation = max(deviation, interval.Seconds()/4)
	limit := func(z float64) time.Duration {
		return time.Duration((mean + z*deviation) * float64(time.Second))
	}
	h.suspect, h.stale = limit(h.zSuspect), limit(h.zStale)
}
