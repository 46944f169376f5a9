//go:build race

package bus_test

// raceEnabled: the race detector multiplies memory and time.
const raceEnabled = true
