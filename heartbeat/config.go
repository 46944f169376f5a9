package heartbeat

import (
	"errors"
	"fmt"
	"time"
)

// Config says how long a silence a Monitor takes for what. The zero Config has
// the defaults.
//
// A silence is judged by one of three rules. By default it is counted in the
// intervals that the publisher itself announces (Suspect, Stale). With Phi it
// is compared with how regularly its beats really arrive. A publisher that has
// never sent a beat (any plain ZeroMQ one) is held to Silence.
type Config struct {
	// Suspect is the number of missed beats after which a publisher is
	// suspected; 0: 2, or Stale if that is less. Equal to Stale: publishers
	// are never suspected, but stale at once. Negative is an error.
	Suspect int

	// Stale is the number of missed beats after which a publisher is stale;
	// 0: 3. At most 1000; negative is an error.
	//
	// Both count from the last sign of life, and both limits have a slack for
	// jitter on top: a quarter of the announced interval, but no more than
	// 250 ms. With the defaults and an interval of 1 s a publisher is
	// suspected after 2.25 s and stale after 3.25 s.
	Stale int

	// Phi, if it is not 0, replaces Suspect and Stale, which must then be 0, by the
	// phi accrual failure detector of Hayashibara, Défago, Yared and
	// Katayama, "The φ Accrual Failure Detector", SRDS 2004, section 4: the
	// times between the last 128 beats are taken for a normal distribution,
	// and a publisher is stale when the probability that a beat comes yet
	// later has fallen to 10^-Phi. It is suspected at half of Phi. 8 is a
	// good threshold on a local network (the default of Akka and Cassandra);
	// a higher one takes longer and errs less. 1 to 100.
	//
	// Two floors keep a steady series from making the detector nervous: the
	// mean is never taken for less than the announced interval, and the
	// standard deviation never for less than a quarter of it (Akka has a
	// floor of the same kind, min-std-deviation). So Phi 8 waits for 2.4
	// intervals at least. A pause counts in the distribution only up to the
	// limit that held when it began: one outage does not make the detector
	// blind, a slower rhythm is learned in a few steps.
	//
	// 0: off. Anything else is an error.
	Phi float64

	// Silence is the longest pause in the traffic of a publisher that has
	// never announced an interval; after it the publisher is stale, without
	// having been suspected. 0: no limit, such a publisher stays Unknown.
	// Negative is an error. Call Seen when the connection is made if a
	// publisher that never says anything is to become stale too.
	Silence time.Duration

	// StaleAfter above 0 is one limit for all publishers, whatever interval they
	// announce, in place of the other rules, which must then be 0. Nobody is
	// suspected. It should be well above the intervals of the publishers: one
	// that beats less often is stale between its beats. Negative is an error.
	StaleAfter time.Duration

	// Tolerance is how late a Check may come after its deadline before the
	// lateness is taken for a freeze of the watcher; 0: 250 ms. Negative is
	// an error.
	Tolerance time.Duration
}

const (
	defaultSuspect   = 2
	defaultStale     = 3
	defaultTolerance = 250 * time.Millisecond
	maxSlack         = 250 * time.Millisecond
	maxStale         = 1000
	maxPhi           = 100
)

// Validate returns nil, or an error that names every bad field.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("heartbeat: Config."+format, args...))
	}
	filled := c.withDefaults()
	if c.Suspect < 0 {
		bad("Suspect %d: use a number of missed beats, or 0 for the default", c.Suspect)
	}
	if c.Stale < 0 || c.Stale > maxStale {
		bad("Stale %d: use 1 to %d missed beats, or 0 for %d", c.Stale, maxStale, defaultStale)
	} else if filled.Suspect > filled.Stale {
		bad("Suspect %d: it must not be above Stale, which is %d", c.Suspect, filled.Stale)
	}
	if c.Phi != 0 && !(c.Phi >= 1 && c.Phi <= maxPhi) {
		bad("Phi %v: use a threshold of 1 to %d, such as 8, or 0 to turn it off", c.Phi, maxPhi)
	} else if c.Phi > 0 && (c.Suspect != 0 || c.Stale != 0) {
		bad("Phi %v: it replaces Suspect %d and Stale %d, set one or the others", c.Phi, c.Suspect, c.Stale)
	}
	if c.Silence < 0 {
		bad("Silence %v: use a positive limit, or 0 for none", c.Silence)
	}
	if c.StaleAfter < 0 {
		bad("StaleAfter %v: use a positive limit, or 0 for none", c.StaleAfter)
	} else if c.StaleAfter > 0 && (c.Suspect != 0 || c.Stale != 0 || c.Phi != 0 || c.Silence != 0) {
		bad("StaleAfter %v: it replaces Suspect, Stale, Phi and Silence, set it or the others", c.StaleAfter)
	}
	if c.Tolerance < 0 {
		bad("Tolerance %v: use a positive time, or 0 for %v", c.Tolerance, defaultTolerance)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Stale == 0 {
		c.Stale = defaultStale
	}
	if c.Suspect == 0 {
		c.Suspect = min(defaultSuspect, c.Stale)
	}
	if c.Tolerance == 0 {
		c.Tolerance = defaultTolerance
	}
	return c
}

// limits returns the silences after which a publisher that announced the
// interval is suspected and stale, by the missed beats.
func (c *Config) limits(interval time.Duration) (suspect, stale time.Duration) {
	slack := min(interval/4, maxSlack)
	return time.Duration(c.Suspect)*interval + slack, time.Duration(c.Stale)*interval + slack
}
