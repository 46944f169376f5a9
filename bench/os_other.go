//go:build !linux && !darwin

package main

import "errors"

var errSystem = errors.New("bench: the comparison runs on Linux and macOS only: it counts in shared memory")

func mapFile(string) ([]byte, error)   { return nil, errSystem }
func unmap([]byte) error               { return errSystem }
func raiseFiles() uint64               { return 0 }
func residentBytes(int) (int64, error) { return 0, errSystem }
