// Package zmtp reads and writes the ZeroMQ Message Transport Protocol, ZMTP 3.0
// (RFC 23) with the commands of 3.1 (RFC 37), and guards the handshake that
// github.com/go-zeromq/zmq4 performs.
//
// It has three parts:
//
//   - Append functions and [Skip] write frames, messages and commands, and walk
//     over what they have written.
//   - [Limits.Parse] cuts messages and commands out of received bytes without
//     copying them.
//   - [Guard] stands between a connection and zmq4.Open and shows zmq4 only bytes
//     that it has checked; [Handshake] puts the two together. After the handshake
//     nothing is buffered here, and the connection's bytes belong to the caller.
//
// The package starts no goroutine, opens no socket and reads no clock. Nothing in
// it locks: a [Message] or a [Guard] is used by one goroutine at a time, a
// [Limits] is only read and may be shared. Its user sets deadlines on the
// connection it gives to [Handshake], and closes it when the handshake fails.
//
// Sizes that a peer states are compared with limits as the 64-bit numbers they
// are, before anything is allocated for them. No input makes it panic.
package zmtp
