package main

import (
	"syscall"
	"time"
)

// nap sleeps a short while. The runtime's own timers wake an idle process
// only on whole milliseconds, which is too coarse for a pace of 100 µs.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil) // waking early by a signal does no harm
}
