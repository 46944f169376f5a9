package pipe

import (
	"sync"
	"time"
)

// deadline is the deadline of one side of a Stream, guarded by the Stream's lock.
//
// Its timer is armed only by a call that has to wait. So an owner that sets a
// deadline before each write, as is usual, pays for one only when it blocks.
type deadline struct {
	at    time.Time // with a monotonic reading; zero: none
	timer *time.Timer
}

// set replaces the deadline. The caller wakes whoever waits, who then arms the
// timer anew.
func (d *deadline) set(t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at = t
	if !t.IsZero() {
		// A deadline computed from the wall clock becomes a monotonic one here,
		// so that a timer can never fire before it.
		now := time.Now()
		d.at = now.Add(t.Sub(now))
	}
}

func (d *deadline) passed() bool {
	return !d.at.IsZero() && time.Until(d.at) <= 0
}

// wait waits for c, and at most until the deadline. The caller holds c.L and
// looks again at what it waits for, for it may be woken without cause.
func (d *deadline) wait(c *sync.Cond) {
	if !d.at.IsZero() {
		left := time.Until(d.at)
		if d.timer == nil {
			d.timer = time.AfterFunc(left, func() {
				// With the lock, so that the waiter is in its Wait by now.
				c.L.Lock()
				c.Broadcast()
				c.L.Unlock()
			})
		} else {
			d.timer.Reset(left)
		}
	}
	c.Wait()
}
