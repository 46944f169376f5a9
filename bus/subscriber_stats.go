package bus

import (
	"cmp"
	"slices"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

// SubscriberStats counts what a subscriber has received since it was made.
type SubscriberStats struct {
	Queue           InboxStats   // of Events, Messages and Borrow
	Handlers        []InboxStats // in the order of Handle
	HandlerErrors   uint64       // that handlers returned
	Duplicates      uint64       // events that had come before, not given again
	Gaps            uint64       // reports of missing events
	Missed          uint64       // events in them
	Replayed        uint64       // events that publishers sent again when asked
	Malformed       uint64       // control messages and foreign messages that made no sense
	Disconnections  uint64
	FailedConnects  uint64   // dials and handshakes that came to nothing
	Breaches        uint64   // connections closed for what came over them: no ZMTP, or beyond Limits
	Subscriptions   []string // the prefixes that are subscribed to
	Connections     int      // now
	PublishersAlive int      // now
}

// Stats returns the counts as they are now.
func (s *Subscriber) Stats() SubscriberStats {
	st := SubscriberStats{
		HandlerErrors: s.handlerErrors.Load(),
		Duplicates:    s.duplicates.Load(),
		Gaps:          s.gaps.Load(),
		Missed:        s.missed.Load(),
		Replayed:      s.replayed.Load(),
		Malformed:     s.malformed.Load(),
	}
	for i, in := range s.inboxes() {
		if i == 0 {
			st.Queue = in.queueStats()
		} else {
			st.Handlers = append(st.Handlers, in.queueStats())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Disconnections = s.disconnections
	st.FailedConnects = s.failed
	st.Breaches = s.breaches
	st.Subscriptions = slices.Clone(s.cover)
	for _, up := range s.ups {
		st.Connections += len(up.sessions)
		for _, p := range up.publishers {
			if p.alive() {
				st.PublishersAlive++
			}
		}
	}
	return st
}

// PublisherInfo is what a subscriber knows of a publisher.
type PublisherInfo struct {
	Origin
	State     heartbeat.State
	Since     time.Time     // when it was first heard of here
	Heartbeat time.Time     // when its last heartbeat came; zero for a foreign one
	Interval  time.Duration // of its heartbeats, as it announces it
	Seq       uint64        // of its last event, by its last heartbeat
	Restarts  uint64        // new incarnations seen
	Messages  uint64        // received from it
	Bytes     uint64        // of their payloads
	Missed    uint64        // known to be missing
	Advertise []string      // where else its stream can be had, as it says
}

// Publishers lists the publishers that are known, also those that are stale or
// gone, by endpoint and name. One that is reached over two endpoints is listed
// for each.
func (s *Subscriber) Publishers() []PublisherInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []PublisherInfo
	for _, up := range s.ups {
		for _, p := range up.publishers {
			all = append(all, PublisherInfo{
				Origin:    *p.origin,
				State:     p.mon.State(),
				Since:     p.since,
				Heartbeat: p.beatAt,
				Interval:  p.beat.Interval,
				Seq:       p.beat.Seq,
				Restarts:  p.restarts,
				Messages:  p.messages.Load(),
				Bytes:     p.bytes.Load(),
				Missed:    p.missed.Load(),
				Advertise: p.beat.Endpoints,
			})
		}
	}
	slices.SortFunc(all, func(a, b PublisherInfo) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Publisher, b.Publisher))
	})
	return all
}
