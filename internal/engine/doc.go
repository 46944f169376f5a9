// Package engine moves bytes between ZeroMQ peers: it listens and dials, guards
// the handshake, reads messages out of each connection and writes the queue of
// each peer. It knows connections and frames, and nothing of topics, events or
// codecs: those belong to the role that stands on it (a publisher, a subscriber,
// one of the other ZeroMQ patterns), which takes part as a [Handler].
//
// Goroutines: one for each listener, one for each [Dialer], one for each
// connection while it is shaken hands with and then read from, and one for each
// peer with something to write, only while there is something. Their number goes
// with peers, never with messages. [Engine.Close] ends all of them and waits.
//
// Peers are not trusted. A handshake has a deadline and runs beside all others; when
// there are too many, or no file descriptors, the oldest makes way. Memory goes with
// what has been received, not with what was announced. Messages that cannot be read
// or go beyond the limits end their connection, and nothing else.
//
// Locks: Engine.mu guards the lists of what is open. It is a leaf: nothing is
// called and nothing waited for while it is held.
package engine
