// Package memnet is a network in memory for tests, with faults that can be
// steered while connections are in use.
//
// # Model
//
// A [Network] has hosts, known by name. Hosts listen and dial; [Host.Dial] and
// [Host.Listen] have the signatures of net.Dialer.DialContext and
// net.ListenConfig.Listen, and [Network.Dial] and [Network.Listen] are those of
// the host 127.0.0.1. A connection has an address at each end and carries two
// streams of bytes, one each way. A stream is a pipe.Stream whose bytes can be
// read only after they have arrived: a written byte takes a place in the
// buffer, travels, arrives, and leaves the buffer when it is read. There is one
// buffer for the whole way (Config.Buffer), so a Write waits when that many
// bytes are travelling or unread, and a long latency limits the throughput as
// it does in TCP.
//
// A [Path] names the streams from one address to another; [Network.Link] names
// those of both ways. What a Path is told holds for all of them, now and in
// future. When several Paths cover a stream they are cables in series: latencies
// add up, the narrowest bandwidth counts, one stall is enough.
//
// The faults are:
//
//   - [Conditions]: latency with jitter, bandwidth, reads in small pieces, and
//     the stall, which is the silent cable. Writes to a stalled stream succeed
//     until the buffer is full, nothing arrives, and nobody is told; a dial
//     waits until its context ends. Stalling both ways is a partition. When it
//     heals, everything arrives in order, as in TCP.
//   - [Path.Cut] and [Path.CutAfter]: a reset, now or at an exact byte.
//   - [Path.Corrupt]: a flipped bit.
//   - [Host.Freeze]: a process that hangs while its kernel lives.
//
// What is not told to anybody is not known to anybody: a Close, a refusal, or a
// half close travels as bytes do, behind those written before, and arrives under
// the same conditions. Only a reset by Cut reaches both sides at once.
//
// # Concurrency and time
//
// Everything is safe for concurrent use. The package starts no goroutine that
// lasts: late bytes are moved by timers, of which each stream has at most one.
// Whatever waits, waits on a sync.Cond, so in a bubble of testing/synctest it is
// durably blocked and the network runs in virtual time; outside of one it runs
// in real time. A Network may be made anywhere, but is used in one bubble only.
//
// Random choices come from Config.Seed and the number of the connection: a test
// that dials in a fixed order sees the same network each time. What remains to
// chance is what two goroutines of the test do at the same instant, such as a
// writer that waits for room and the reader that makes it.
package memnet
