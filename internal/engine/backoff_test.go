package engine

import (
	"math"
	"testing"
	"time"
)

// The pause doubles from Min to Max and no further, and is drawn from the upper
// half of that; no number of failures and no durations overflow.
func TestBackoffDelay(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	for _, tt := range []struct {
		b        Backoff
		failures int
		most     time.Duration
	}{
		{Backoff{100 * time.Millisecond, 5 * time.Second}, 0, 100 * time.Millisecond},
		{Backoff{100 * time.Millisecond, 5 * time.Second}, 1, 200 * time.Millisecond},
		{Backoff{100 * time.Millisecond, 5 * time.Second}, 5, 3200 * time.Millisecond},
		{Backoff{100 * time.Millisecond, 5 * time.Second}, 6, 5 * time.Second},
		{Backoff{100 * time.Millisecond, 5 * time.Second}, 1 << 40, 5 * time.Second},
		{Backoff{time.Hour, 24 * time.Hour}, 25, 24 * time.Hour},
		{Backoff{1, forever}, 62, 1 << 62},
		{Backoff{1, forever}, 63, forever},
		{Backoff{time.Second, time.Second}, 3, time.Second},
		{Backoff{1, 1}, 9, 1},
	} {
		var low, high int
		for range 200 {
			d := tt.b.delay(tt.failures)
			if d < tt.most/2 || d > tt.most {
				t.Fatalf("%+v after %d failures: %v, want %v to %v", tt.b, tt.failures, d, tt.most/2, tt.most)
			}
			if d < tt.most/4*3 {
				low++
			} else {
				high++
			}
		}
		if tt.most > 4 && (low < 50 || high < 50) {
			t.Errorf("%+v after %d failures: %d in the lower part and %d in the upper of 200", tt.b, tt.failures, low, high)
		}
	}
}
