package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "weather:", err)
		os.Exit(1)
	}
}

const usage = `Weather tells a story of publishers that fail and a subscriber that copes.

  weather                              the story, in some ten seconds
  weather -publish ADDR… [options]     publish readings until Ctrl-C
  weather -subscribe ADDR… [options]   print what is published until Ctrl-C

ADDR is an endpoint such as tcp://*:5556 or tcp://host:5556. Options:
`

// run does what the command line asks for. It ends early, without an error, when
// ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	var publishers, subscribers []string
	flags := flag.NewFlagSet("weather", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned, and told once
	flags.Func("publish", "publish at `ADDR`; can be repeated", list(&publishers))
	flags.Func("subscribe", "subscribe to `ADDR`; can be repeated", list(&subscribers))
	var p publishing
	flags.StringVar(&p.data, "data", "", "publish the readings of this CSV `FILE` (default: a day in nine cities)")
	flags.Float64Var(&p.rate, "rate", 10, "publish this many readings a second")
	flags.BoolVar(&p.once, "once", false, "publish the data once, as soon as its first station has a subscriber, and end")
	flags.StringVar(&p.name, "name", "weather", "`NAME` of the publisher, the same after a restart")
	flags.DurationVar(&p.heartbeat, "heartbeat", time.Second, "interval of the publisher's heartbeats")
	var s subscribing
	flags.TextVar(&s.filter, "filter", Readings.Filter(">"), "subscribe to these `TOPICS` only, such as \"weather.north.* except weather.north.oslo\"")
	flags.BoolVar(&s.failover, "failover", false, "subscribe to one ADDR at a time: to the first that is alive")

	// Options may follow addresses.
	var more []string
	for err := flags.Parse(args); ; err = flags.Parse(args) {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w; -h lists the options", err)
		}
		if flags.NArg() == 0 {
			break
		}
		more, args = append(more, flags.Arg(0)), flags.Args()[1:]
	}
	switch {
	case len(publishers) > 0 && len(subscribers) > 0:
		return errors.New("use either -publish or -subscribe")
	case len(publishers) > 0:
		p.endpoints = append(publishers, more...)
		return p.run(ctx, out)
	case len(subscribers) > 0:
		s.endpoints = append(subscribers, more...)
		return s.run(ctx, out)
	case flags.NFlag() > 0 || len(more) > 0:
		return errors.New("options and addresses go with -publish or -subscribe; -h lists them")
	}
	return tell(ctx, out, 300*time.Millisecond)
}

func list(to *[]string) func(string) error {
	return func(s string) error {
		*to = append(*to, s)
		return nil
	}
}

// publishing is the half that publishes.
type publishing struct {
	endpoints []string
	data      string
	rate      float64 // readings a second
	once      bool
	name      string
	heartbeat time.Duration
}

func (p publishing) run(ctx context.Context, out io.Writer) error {
	if !(p.rate >= 0.001 && p.rate <= 1e6) {
		return fmt.Errorf("-rate %v: want 0.001 to 1,000,000 readings a second", p.rate)
	}
	readings, err := load(p.data)
	if err != nil {
		return err
	}
	pub, err := bus.NewPublisher(bus.PublisherConfig{Name: p.name, Bind: p.endpoints, Heartbeat: p.heartbeat})
	if err != nil {
		return err
	}
	// Close sends what is queued and says goodbye, so that subscribers know that
	// this is an end and not a failure.
	defer pub.Close()
	for _, e := range pub.Endpoints() {
		fmt.Fprintf(out, "%s publishes %d readings at %s\n", p.name, len(readings), e)
	}

	every := time.Duration(float64(time.Second) / p.rate)
	if p.once {
		// Instead of a sleep: what is published to nobody is lost.
		err := pub.WaitSubscribers(ctx, Readings.Key(readings[0].Station), 1)
		if err == nil {
			err = publish(ctx, readings, every, pub)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	for !p.once && ctx.Err() == nil {
		if err := publish(ctx, readings, every, pub); err != nil && ctx.Err() == nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s has published %d readings\n", p.name, pub.Stats().Messages)
	return nil
}

// publish publishes readings in their order, each by all publishers, one every so
// often, and returns early when ctx ends.
func publish(ctx context.Context, readings []Reading, every time.Duration, pubs ...*bus.Publisher) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for _, r := range readings {
		for _, pub := range pubs {
			if err := Readings.Publish(ctx, pub, r.Station, r); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// subscribing is the half that subscribes.
type subscribing struct {
	endpoints []string
	filter    topic.Filter
	failover  bool
}

func (s subscribing) run(ctx context.Context, out io.Writer) error {
	var sources []bus.Source
	if s.failover {
		sources = []bus.Source{bus.From(s.endpoints...)} // one stream, in order of preference
	} else {
		for _, e := range s.endpoints {
			sources = append(sources, bus.From(e)) // all of them at once
		}
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: sources, Filter: s.filter})
	if err != nil {
		return err
	}
	defer sub.Close()
	fmt.Fprintf(out, "subscribes to %v\n", s.filter)

	n := newNarrator(out)
	for ev, err := range sub.Events(ctx) {
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err != nil {
			break // Ctrl-C
		}
		n.hear(ev)
	}
	n.finish()
	return nil
}
