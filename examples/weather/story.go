package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
)

// tell tells the story. Everything in it takes its time from beat, the interval of
// heartbeats. Its error says what did not happen.
func tell(ctx context.Context, out io.Writer, beat time.Duration) error {
	readings, err := load("")
	if err != nil {
		return err
	}
	s := &stage{beat: beat, patience: 5 * time.Second, narrator: newNarrator(out)}
	s.names = make(map[string]string)
	defer s.close()
	err = s.play(ctx, readings)
	if ctx.Err() != nil {
		s.say("story", "ends early: %v", context.Cause(ctx))
		err = nil
	}
	s.finish()
	if err == nil && ctx.Err() == nil {
		fmt.Fprintln(out, "everything happened as it should")
	}
	return err
}

// play is the story itself.
func (s *stage) play(ctx context.Context, readings []Reading) error {
	// Three services, each with its own socket. The way to two of them can fail.
	// The north has a spare: another publisher of the same readings.
	north, err := s.open("north")
	if err != nil {
		return err
	}
	spare, err := s.open("north-spare")
	if err != nil {
		return err
	}
	west, err := s.open("west")
	if err != nil {
		return err
	}
	south, err := s.open("south")
	if err != nil {
		return err
	}
	northPath, err := s.relay(north)
	if err != nil {
		return err
	}
	southPath, err := s.relay(south)
	if err != nil {
		return err
	}

	// One subscriber for all of them. A filter is composed of others: this one
	// leaves out a station whose thermometer hangs in the sun.
	filter := Readings.Filter(">").Except(Readings.Filter("south.madrid"))
	s.sub, err = bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{
			// The same stream at two places, the first of which is preferred.
			bus.From(northPath.endpoint(), spare.Endpoints()[0]).ReturnAfter(4 * s.beat),
			bus.From(west.Endpoints()[0]),
			bus.From(southPath.endpoint()),
		},
		Filter: filter,
		// For a story it should not take long to notice that somebody is back.
		Reconnect: bus.Reconnect{Min: s.beat / 4, Max: s.beat},
	})
	if err != nil {
		return err
	}
	s.say("subscriber", "wants %v", filter)

	// No sleep: once it is ready nothing is missed of what is published.
	ready, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := s.sub.Ready(ready); err != nil {
		return err
	}
	s.feed(ctx, readings, "north.", north, spare)
	s.feed(ctx, readings, "west.", west)
	southFeed := s.feed(ctx, readings, "south.", south)
	if err := s.readings(ctx, 20, "north", "west", "south"); err != nil {
		return err
	}

	s.scene("north freezes: its connection stays open, but nothing comes any more")
	northPath.freeze()
	if err := s.until(ctx, "north is stale", about[*bus.Stale]("north")); err != nil {
		return err
	}
	if err := s.until(ctx, "north-spare takes over", about[*bus.Switched](spare.Endpoints()[0])); err != nil {
		return err
	}
	if err := s.readings(ctx, 10, "north-spare"); err != nil {
		return err
	}

	s.scene("north comes back")
	northPath.thaw()
	if err := s.until(ctx, "north has recovered", about[*bus.Recovered]("north")); err != nil {
		return err
	}
	if err := s.until(ctx, "north is preferred again", about[*bus.Switched](northPath.endpoint())); err != nil {
		return err
	}
	if err := s.readings(ctx, 10, "north"); err != nil {
		return err
	}

	s.scene("south crashes: no goodbye, its connections break")
	southPath.cut()
	southFeed.stop()
	if err := south.Drain(ctx); err != nil { // nobody is connected to hear it
		return err
	}
	if err := s.until(ctx, "south is disconnected", about[*bus.Disconnected](southPath.endpoint())); err != nil {
		return err
	}
	if south, err = s.open("south"); err != nil { // the same name, a new incarnation
		return err
	}
	southPath.connect(south.Endpoints()[0])
	if err := s.until(ctx, "south has restarted", about[*bus.Restarted]("south")); err != nil {
		return err
	}
	// The subscriptions are in force again without anybody's help.
	if err := s.until(ctx, "south is ready", about[*bus.Ready]("south")); err != nil {
		return err
	}
	s.feed(ctx, readings, "south.", south)
	if err := s.readings(ctx, 10, "south"); err != nil {
		return err
	}

	s.scene("west closes for good")
	if err := west.Drain(ctx); err != nil {
		return err
	}
	if err := s.until(ctx, "west says goodbye", about[*bus.Gone]("west")); err != nil {
		return err
	}
	if err := s.readings(ctx, 10, "north", "south"); err != nil {
		return err
	}
	if got := s.stations["south.madrid"]; got != nil {
		return fmt.Errorf("%d readings of south.madrid came, which the filter leaves out", got.readings)
	}
	return nil
}

// stage is what the story is played on.
type stage struct {
	*narrator
	beat     time.Duration
	patience time.Duration // how long each thing that must happen may take
	sub      *bus.Subscriber
	closes   []func() // called in reverse order at the end
}

func (s *stage) close() {
	if s.sub != nil {
		s.sub.Close() // first, so that the others' ends are no events any more
	}
	for i := range s.closes {
		s.closes[len(s.closes)-1-i]()
	}
}

// scene tells what is done to the publishers, after all that came before.
func (s *stage) scene(what string) {
	s.flush()
	s.say("story", "%s", what)
}

// open makes a publisher on a port of its own.
func (s *stage) open(name string) (*bus.Publisher, error) {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Name:      name,
		Bind:      []string{"tcp://127.0.0.1:0"},
		Heartbeat: s.beat,
	})
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, func() { pub.Close() })
	s.names[pub.Endpoints()[0]] = name
	s.say(name, "opens at %s, incarnation %v", pub.Endpoints()[0], pub.Incarnation())
	return pub, nil
}

// relay puts a relay in front of a publisher.
func (s *stage) relay(pub *bus.Publisher) (*relay, error) {
	r, err := newRelay(pub.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, r.close)
	s.names[r.endpoint()] = pub.Name()
	s.say(pub.Name(), "is reached through a relay at %s", r.endpoint())
	return r, nil
}

// feed is a goroutine that publishes readings.
type feed struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (f *feed) stop() {
	f.cancel()
	<-f.done
}

// feed publishes the readings of the stations whose names begin with area, over
// and over, three each beat, until it is stopped or a publisher is closed.
func (s *stage) feed(ctx context.Context, readings []Reading, area string, pubs ...*bus.Publisher) *feed {
	var own []Reading
	for _, r := range readings {
		if strings.HasPrefix(r.Station, area) {
			own = append(own, r)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{cancel, make(chan struct{})}
	s.closes = append(s.closes, f.stop)
	go func() {
		defer close(f.done)
		for publish(ctx, own, s.beat/3, pubs...) == nil {
		}
	}()
	return f
}

// until takes events until one is what is waited for. What it does not get to is
// there for the next call.
func (s *stage) until(ctx context.Context, what string, arrived func(bus.Event) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.patience, fmt.Errorf("this did not happen within %v: %s", s.patience, what))
	defer cancel()
	for ev, err := range s.sub.Events(ctx) {
		if err != nil {
			return err
		}
		s.hear(ev)
		if arrived(ev) {
			return nil
		}
	}
	return errors.New("the subscriber was closed before this happened: " + what)
}

// readings waits until each of the publishers has sent so many more.
func (s *stage) readings(ctx context.Context, many int, publishers ...string) error {
	want := make(map[string]int)
	for _, p := range publishers {
		want[p] = many
	}
	what := fmt.Sprintf("%d readings each from %s", many, strings.Join(publishers, ", "))
	return s.until(ctx, what, func(ev bus.Event) bool {
		m, ok := ev.(*bus.Message)
		if !ok {
			return false
		}
		if want[m.Publisher]--; want[m.Publisher] <= 0 {
			delete(want, m.Publisher)
		}
		return len(want) == 0
	})
}

// about accepts a status of the type S about a publisher or, where the status is
// about a connection, an endpoint.
func about[S bus.Status](who string) func(bus.Event) bool {
	return func(ev bus.Event) bool {
		st, ok := ev.(S)
		if !ok {
			return false
		}
		origin, _ := st.About()
		return origin.Publisher == who || origin.Endpoint == who
	}
}
