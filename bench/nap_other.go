//go:build !linux

package main

import "time"

// nap sleeps a short while.
func nap(d time.Duration) { time.Sleep(d) }
