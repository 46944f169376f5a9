package heartbeat

import (
	"fmt"
	"time"
)

// State is what is known about a publisher.
type State uint8

const (
	// Unknown: no beat has come yet. A publisher that sends none stays so
	// unless Config.Silence is set.
	Unknown State = iota
	// Alive: it was heard lately.
	Alive
	// Suspect: it is quiet for longer than it should be, but not yet stale.
	Suspect
	// Stale: it has been silent for too long.
	Stale
	// Gone: it said goodbye. Only another source ends this.
	Gone
)

// String returns "unknown", "alive", "suspect", "stale" or "gone".
func (s State) String() string {
	names := [...]string{"unknown", "alive", "suspect", "stale", "gone"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("State(%d)", s)
}

// Kind is the kind of a Change.
type Kind uint8

const (
	// None: nothing that anybody must be told.
	None Kind = iota
	// BecameAlive: the first sign of life.
	BecameAlive
	// Suspected: quiet for longer than it should be.
	Suspected
	// Cleared: the end of a suspicion, without having been stale.
	Cleared
	// WentStale: silent for too long.
	WentStale
	// Recovered: a stale publisher is back, and is the same source as far as
	// is known.
	Recovered
	// Restarted: another source under the same name, whatever was before.
	Restarted
	// Left: a clean goodbye. If New is not Old, a source that was never heard
	// before came and left unseen.
	Left
)

// String returns "none", "became alive", "suspected", "cleared", "went stale",
// "recovered", "restarted" or "left".
func (k Kind) String() string {
	names := [...]string{"none", "became alive", "suspected", "cleared", "went stale", "recovered", "restarted", "left"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Change is what a call to a Monitor brought about.
type Change struct {
	Kind Kind

	// Silence is the time without any sign of life up to the change, less
	// the time in which the watcher did not look. 0 for BecameAlive.
	Silence time.Duration

	// Old and New are the sources before and after the change, 0 for one
	// that is not known. They differ for Restarted, and for the first beat of
	// a publisher; for Left, if the source that left had not been heard.
	Old, New Incarnation
}
