package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/topic"
)

var pubCommand = &command{
	name:    "pub",
	args:    []string{"TOPIC", "PAYLOAD"},
	summary: "publishes an event, or one for each line of stdin",
	usage:   "--bind URL | --connect URL [flags] (TOPIC PAYLOAD | --stdin)",
	about: `Publishes one event or, with --stdin, one for each line: TOPIC, a space or a tab, PAYLOAD. A line may have 64 MiB. Empty lines are passed over. One that is no event is told on stderr with its number, the others are published, and the exit code is 1 at the end.

A subscriber that is not there yet gets nothing: use --wait. At the end what is queued is sent, and a goodbye. How many events were dropped, or went to nobody, is told on stderr.`,
	example: `herald sub --connect tcp://localhost:5556 --count 1 &
herald pub --bind tcp://*:5556 --wait 1 weather.paris 21.5`,
	setup: func(f *flag.FlagSet) action { return newPub(f).run },
}

// pub is the flags of the command.
type pub struct {
	endpoints
	queueing
	logging
	name        string
	advertise   list
	heartbeat   time.Duration
	wait        int
	waitTimeout time.Duration
	rate        float64
	linger      time.Duration
	stdin, stay bool
}

func newPub(f *flag.FlagSet) *pub {
	o := &pub{
		heartbeat: time.Second, waitTimeout: 10 * time.Second, linger: time.Second,
		// Input that comes through a pipe can wait, and is not to be lost.
		queueing: queueing{bus.Queue{Overflow: bus.Block}},
	}
	o.endpoints.register(f, "subscribers")
	o.queueing.register(f, "for each subscriber")
	o.logging.register(f)
	f.Func("name", "what subscribers know this publisher by: `NAME` has letters, digits, - and _, and is best the same after a restart (default: host, process number and a random part)", func(s string) error {
		o.name = s
		return heartbeat.ValidateName(s)
	})
	f.Var(&o.advertise, "advertise", "`URL` where the same stream can be had, told to subscribers; a list")
	f.Var(span{&o.heartbeat, 0}, "heartbeat", "time between heartbeats: `D`, or 0 for none")
	f.Var(number{&o.wait, 0}, "wait", "publish only once `N` subscribers are ready for TOPIC, or for that of the first line")
	f.Var(span{&o.waitTimeout, 0}, "wait-timeout", "how long --wait waits before it fails: `D`")
	f.Var((*rate)(&o.rate), "rate", "publish `R` events a second, evenly (default: as fast as possible)")
	f.Var(span{&o.linger, 0}, "linger", "at the end, give up on subscribers that take nothing for `D`")
	f.BoolVar(&o.stdin, "stdin", false, "read events from stdin")
	f.BoolVar(&o.stay, "stay", false, "after the last event go on sending heartbeats until a signal comes")
	return o
}

// config is what the flags come to.
func (o *pub) config(args []string) (bus.PublisherConfig, error) {
	cfg := bus.PublisherConfig{
		Name: o.name, Bind: o.bind, Connect: o.connect, Advertise: o.advertise,
		Heartbeat: o.heartbeat, Queue: o.queue,
	}
	switch {
	case o.stdin && len(args) > 0:
		return cfg, usagef("unexpected argument %q: with --stdin events come from stdin", args[0])
	case !o.stdin && len(args) == 0:
		return cfg, usagef("nothing to publish: give TOPIC and PAYLOAD, or --stdin")
	case len(args) > 0:
		if err := topic.Validate(args[0]); err != nil {
			return cfg, &usageError{err.Error()}
		}
	}
	switch {
	case o.heartbeat == 0:
		cfg.Heartbeat = -1
	case o.heartbeat < heartbeat.MinInterval || o.heartbeat > heartbeat.MaxInterval:
		return cfg, usagef("--heartbeat %v: want %v to %v, or 0 for none", o.heartbeat, heartbeat.MinInterval, heartbeat.MaxInterval)
	}
	return cfg, o.endpoints.check()
}

func (o *pub) run(ctx context.Context, args []string, c console) error {
	cfg, err := o.config(args)
	if err != nil {
		return err
	}
	cfg.Logger = o.logger(c.err)
	p, err := bus.NewPublisher(cfg)
	if err != nil {
		return configError(err)
	}
	announce(c.err, o.bind, p.Endpoints())
	if o.stdin {
		err = o.publishLines(ctx, p, c)
	} else {
		err = o.publishOne(ctx, p, args[0], args[1])
	}
	if err == nil && o.stay {
		<-ctx.Done()
	}
	return errors.Join(err, o.drain(p, c.err))
}

func (o *pub) publishOne(ctx context.Context, p *bus.Publisher, topic, payload string) error {
	if err := o.await(ctx, p, topic); err != nil {
		return err
	}
	return p.Publish(ctx, topic, []byte(payload))
}

// await waits for subscribers, if it is asked to.
func (o *pub) await(ctx context.Context, p *bus.Publisher, topic string) error {
	if o.wait == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.waitTimeout, fmt.Errorf("--wait-timeout %v ran out", o.waitTimeout))
	defer cancel()
	return p.WaitSubscribers(ctx, topic, o.wait)
}

// publishLines publishes what it reads until the input or ctx ends. The reading
// goroutine can't be woken from a read, and is left behind when ctx ends.
func (o *pub) publishLines(ctx context.Context, p *bus.Publisher, c console) error {
	in := &input{o: o, p: p, c: c}
	done := make(chan error, 1)
	go func() { done <- in.publish(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		if in.waiting.Load() {
			err = <-done
		}
	}
	if n := in.bad.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("stdin: bad lines, not published: %d", n))
	}
	return err
}

// input publishes lines.
type input struct {
	o       *pub
	p       *bus.Publisher
	c       console
	waiting atomic.Bool  // for subscribers, and not for input
	bad     atomic.Int64 // lines that could not be published
}

// maxComplaints is how many bad lines are told one by one.
const maxComplaints = 10

func (in *input) publish(ctx context.Context) error {
	lines := newLines(in.c.in, maxLine)
	pace := pacer{rate: in.o.rate}
	waited := false
	for {
		line, err := lines.next()
		if err == io.EOF {
			return nil
		}
		var e event
		if err == nil {
			if len(line) == 0 {
				continue
			}
			e, err = parseEvent(line)
		} else if !errors.Is(err, errLongLine) {
			return fmt.Errorf("stdin: %w", err)
		}
		if err == nil && !waited {
			if err = topic.Validate(e.topic); err == nil {
				in.waiting.Store(true)
				if err := in.o.await(ctx, in.p, e.topic); err != nil {
					return err
				}
				in.waiting.Store(false)
				waited = true
			}
		}
		if err == nil {
			if err := pace.wait(ctx); err != nil {
				return nil // ended from outside
			}
			err = in.p.Publish(ctx, e.topic, e.payload)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, bus.ErrDraining), errors.Is(err, bus.ErrClosed):
			return nil
		default:
			in.complain(lines.n, err)
		}
	}
}

func (in *input) complain(line int, err error) {
	switch n := in.bad.Add(1); {
	case n < maxComplaints:
		fmt.Fprintf(in.c.err, "herald pub: stdin line %d: %v\n", line, err)
	case n == maxComplaints:
		fmt.Fprintf(in.c.err, "herald pub: stdin line %d: %v (further bad lines are only counted)\n", line, err)
	}
}

// drain sends what is queued, for as long as subscribers go on to take it, and
// tells what was lost.
func (o *pub) drain(p *bus.Publisher, stderr io.Writer) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		sent, since := uint64(0), time.Now()
		for {
			if n := p.Stats().SentMessages; n != sent {
				sent, since = n, time.Now()
			}
			left := o.linger - time.Since(since)
			if left <= 0 {
				cancel(fmt.Errorf("no subscriber took anything for %v (--linger)", o.linger))
				return
			}
			select {
			case <-time.After(min(left, 50*time.Millisecond)):
			case <-ctx.Done():
				return
			}
		}
	}()
	dropped := p.Stats().DroppedMessages
	err := p.Drain(ctx)
	st := p.Stats()
	if dropped > 0 {
		fmt.Fprintf(stderr, "herald pub: warning: %s dropped, for subscribers that were too slow or went away; %d sent\n", events(dropped), st.SentMessages)
	}
	if st.Messages > 0 && st.SentMessages+st.DroppedMessages == 0 {
		fmt.Fprintf(stderr, "herald pub: warning: %s went to nobody, for nobody was subscribed; --wait N waits for subscribers\n", events(st.Messages))
	}
	if lost := st.DroppedMessages - dropped; lost > 0 && err != nil {
		return fmt.Errorf("%s not sent: %w", events(lost), err)
	}
	return nil
}

// events is "1 event" or "n events".
func events(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprint(n, " events")
}
