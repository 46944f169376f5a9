package main

import (
	"context"
	"time"
)

// pacer spaces events evenly. Timers wake late, and what became due meanwhile
// follows at once; but only up to patience, so that a pause of the input is not
// made up for by a burst.
type pacer struct {
	rate float64 // events a second; 0: it never waits
	next time.Time
}

const patience = 5 * time.Millisecond

// wait returns when the next event is due, or with an error when ctx ends.
func (p *pacer) wait(ctx context.Context) error {
	if p.rate == 0 {
		return nil
	}
	now := time.Now()
	if p.next.IsZero() {
		p.next = now
	}
	if earliest := now.Add(-patience); p.next.Before(earliest) {
		p.next = earliest
	}
	due := p.next
	p.next = due.Add(time.Duration(float64(time.Second) / p.rate))
	if !due.After(now) {
		return ctx.Err()
	}
	t := time.NewTimer(due.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
