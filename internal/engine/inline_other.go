//go:build !unix

package engine

import "net"

// rawWrite finds nothing where there is no non-blocking write(2): peers are then
// always written by their goroutine.
func rawWrite(net.Conn) func(p []byte) (int, error) { return nil }
