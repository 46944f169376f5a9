package engine

import (
	"math/rand/v2"
	"time"
)

// Backoff is the pause between attempts to connect: it doubles from Min to Max,
// and each is drawn from the upper half of its value, so that the subscribers of
// a publisher that restarts do not come back all at once. Min is positive, and Max
// not less.
type Backoff struct {
	Min, Max time.Duration
}

// delay is the pause after the given number of failures in a row, from 0.
func (b Backoff) delay(failures int) time.Duration {
	d := b.Max
	if failures < 63 && b.Min <= b.Max>>failures {
		d = b.Min << failures
	}
	return d - rand.N(d/2+1)
}
