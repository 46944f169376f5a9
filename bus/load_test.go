package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// A busy topic does not starve the heartbeats: under full load none is late by more
// than half an interval. Real time and a real socket, so the interval is long.
func TestHeartbeatsUnderFullLoad(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes 3 s, and measures time")
	}
	t.Parallel()
	const interval = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := bus.NewPublisher(bus.PublisherConfig{
		Bind: []string{"tcp://127.0.0.1:0"}, Heartbeat: interval, Queue: bus.Queue{Overflow: bus.Block},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(p.Endpoints()[0])}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	loaded, stop := context.WithTimeout(ctx, 3*interval+interval/5)
	defer stop()
	busy, err := p.Topic("busy")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		payload := make([]byte, 64)
		for loaded.Err() == nil {
			for range 100 {
				if busy.Publish(loaded, payload) != nil {
					return
				}
			}
		}
	}()
	last := s.Publishers()[0].Heartbeat
	beats, worst, n := 0, time.Duration(0), 0
	for range s.Borrow(loaded) {
		if n++; n%256 != 0 {
			continue
		}
		if at := s.Publishers()[0].Heartbeat; at.After(last) {
			if beats > 0 { // the first interval is not a whole one
				worst = max(worst, at.Sub(last))
			}
			last = at
			beats++
		}
	}
	t.Logf("%d events, %d heartbeats, at most %v apart", n, beats, worst)
	if beats < 3 || worst > interval+interval/2 {
		t.Errorf("%d heartbeats, at most %v apart: want 3, %v", beats, worst, interval+interval/2)
	}
}
