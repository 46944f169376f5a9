// Package heartbeat knows what a publisher says about itself and when its
// silence means something.
//
// A [Beat] is the message that a publisher sends at every interval, and a last
// time when it closes. A [Monitor] is what a subscriber makes of it: a small
// state machine that takes beats, other traffic and the passing of time, and
// answers with a [Change]: the publisher became alive, fell silent, came back,
// restarted, left.
//
// # Purity
//
// The package starts no goroutine, opens no socket and reads no clock. Every
// method that needs the time takes it as an argument. Only differences between
// these times are used, so with times that carry a monotonic reading, as those
// of time.Now do, a step of the wall clock changes nothing.
//
// A Monitor is not safe for concurrent use: its owner serialises the calls.
// Everything else is made of values and safe for concurrent use.
//
// # What the owner of a Monitor does
//
// It calls [Monitor.Beat] for each decoded beat of the publisher and
// [Monitor.Seen] when other traffic of it arrived, or notes the time of that
// traffic and hands it to [Monitor.Check]. It calls Check when
// [Monitor.Deadline] has come, which moves with every call. It calls
// [Monitor.Pause] and [Monitor.Resume] around the time in which it does not
// read what the publisher sends, because its own consumer is slow. Nothing is
// to be done when a connection is lost and made again: the silence goes on.
//
// A Monitor watches one publisher. A connection that carries several (behind a
// forwarder) needs a Monitor for each name, and a move to another publisher's
// endpoint (failover) a new one.
//
// # Silence that proves nothing
//
// A watcher that was itself suspended hears nothing either. A Check that comes
// later than its deadline by more than [Config].Tolerance shows such a freeze:
// the silence is measured afresh from then on and nothing is reported, so that
// waking a laptop does not declare every publisher dead. A watcher that is
// late every time therefore never reports silence; it has not watched.
package heartbeat
