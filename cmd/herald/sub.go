package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/heartbeat"
)

var subCommand = &command{
	name:    "sub",
	summary: "prints events as they come",
	usage:   "--connect URL | --bind URL [flags]",
	about: `Prints each event on a line: TOPIC, a tab, PAYLOAD. Control characters in them, and what is not UTF-8, are escaped as in Go (\n, \x00); all else is as it came. With --json each is an object on a line instead, from which the exact bytes can be had.

Without a filter it prints everything. Several --connect are used all at once. It runs until --count or --timeout ends it, or a signal. How many events were missed is told on stderr at the end.`,
	example: "herald sub --connect tcp://localhost:5556 --match 'weather.*.paris' --count 10 --json",
	setup:   func(f *flag.FlagSet) action { return newSub(f).run },
}

// sub is the flags of the command.
type sub struct {
	endpoints
	filters
	queueing
	logging
	failover     bool
	returnAfter  time.Duration
	framing      bus.Framing
	staleAfter   time.Duration
	count        int
	timeout      time.Duration
	json, status bool
}

func newSub(f *flag.FlagSet) *sub {
	o := &sub{}
	o.queueing.queue.Overflow = bus.Block
	o.endpoints.register(f, "publishers")
	o.filters.register(f)
	o.queueing.register(f, "to be printed")
	o.logging.register(f)
	f.BoolVar(&o.failover, "failover", false, "the endpoints of --connect are places where the same stream can be had, in order of preference: use one at a time, and the next when it is lost or stale")
	f.Var(span{&o.returnAfter, 0}, "return-after", "with --failover, go back to a preferred endpoint once it has been well for `D` (default: stay)")
	f.Func("framing", "how messages are laid out: `FORM` is native (topic and payload in frames of their own) or text (\"topic payload\" in one frame) (default native)", o.setFraming)
	f.Var(span{&o.staleAfter, time.Millisecond}, "stale-after", "a publisher is stale after a silence of `D` (default: three of the heartbeats that it announces and a little more; never without heartbeats)")
	f.Var(number{&o.count, 1}, "count", "end after `N` events")
	f.Var(span{&o.timeout, time.Nanosecond}, "timeout", "end after `D`, with exit code 3 if --count events have not come by then")
	f.BoolVar(&o.json, "json", false, "print JSON objects")
	f.BoolVar(&o.status, "status", false, "also tell of connections and publishers that come, fall silent, recover, restart and go, and of gaps: on stdout with --json, else on stderr")
	return o
}

func (o *sub) setFraming(s string) error {
	switch s {
	case "native":
		o.framing = nil
	case "text":
		o.framing = bus.TextFraming
	default:
		return errors.New("want native or text")
	}
	return nil
}

// config is what the flags come to.
func (o *sub) config() (bus.SubscriberConfig, error) {
	cfg := bus.SubscriberConfig{
		Bind:        slices.Clone(o.bind),
		BindFraming: o.framing,
		Queue:       o.queue,
		Liveness:    heartbeat.Config{StaleAfter: o.staleAfter},
	}
	if err := o.endpoints.check(); err != nil {
		return cfg, err
	}
	switch {
	case o.failover && len(o.connect) < 2:
		return cfg, usagef("--failover: give --connect two endpoints or more")
	case o.failover:
		cfg.Sources = append(cfg.Sources, bus.From(o.connect...).ReturnAfter(o.returnAfter).Framed(o.framing))
	case o.returnAfter > 0:
		return cfg, usagef("--return-after is of use with --failover only")
	default:
		for _, e := range o.connect {
			cfg.Sources = append(cfg.Sources, bus.From(e).Framed(o.framing))
		}
	}
	var err error
	cfg.Filter, err = o.filter()
	return cfg, err
}

func (o *sub) run(ctx context.Context, _ []string, c console) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	signals := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.timeout, errTimeout)
		defer stop()
	}
	var out *output
	print := printer{json: o.json}
	if o.status {
		cfg.OnStatus = func(st bus.Status) {
			if o.json {
				out.end(print.status(out.begin(), st))
			} else {
				c.err.Write(print.status(nil, st))
			}
		}
	}
	cfg.Logger = o.logger(c.err)
	s, err := bus.NewSubscriber(cfg)
	if err != nil {
		return configError(err)
	}
	defer s.Close()
	announce(c.err, o.bind, s.Endpoints())
	out = newOutput(ctx, c.out, cancel)
	n := 0
	for m := range s.Borrow(ctx) {
		out.end(print.message(out.begin(), m))
		if n++; n == o.count {
			break
		}
	}
	why := context.Cause(ctx)
	if err := quiet(out.close(signals)); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	o.warn(s, c.err)
	if errors.Is(why, errTimeout) && n < o.count {
		return fmt.Errorf("%w: %d of %d events came within %v%s", errTimeout, n, o.count, o.timeout, reason(s))
	}
	return nil
}

// warn tells what did not come.
func (o *sub) warn(s *bus.Subscriber, stderr io.Writer) {
	st := s.Stats()
	if n := st.Missed; n > 0 {
		fmt.Fprintf(stderr, "herald sub: warning: %s missed, dropped by a publisher or lost with a connection; --status tells where\n", events(n))
	}
	if n := st.Queue.DroppedMessages; n > 0 {
		fmt.Fprintf(stderr, "herald sub: warning: %s dropped here, because they could not be printed fast enough\n", events(n))
	}
}

// reason is why nothing comes, if that is known: nobody is there.
func reason(s *bus.Subscriber) string {
	if s.Stats().Connections > 0 {
		return ""
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("not connected"))
	err := s.Ready(ctx)
	if err == nil {
		return ""
	}
	return ": " + strings.TrimPrefix(err.Error(), "bus: ")
}
