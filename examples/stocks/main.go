package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
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
		fmt.Fprintln(os.Stderr, "stocks:", err)
		os.Exit(1)
	}
}

const usage = `Stocks shows the ticks of three invented stock exchanges.

  stocks [options]                    a trading day of five seconds
  stocks -publish ADDR… [options]     publish ticks until Ctrl-C
  stocks -subscribe ADDR… [options]   show what is published until Ctrl-C

ADDR is an endpoint such as tcp://*:5557 or tcp://host:5557. Options:
`

// wanted composes a filter of others: all of one exchange except one symbol, all of
// another, and of the third a single symbol. That nyse.A is not wanted is no reason
// to miss nyse.AA, though that begins with it.
var wanted = topic.Any(
	Ticks.Filter("nyse.*").Except(Ticks.Filter("nyse.A")),
	Ticks.Filter("lse.*"),
	Ticks.Filter("tse.1301"),
)

// run does what the command line asks for. It ends early, without an error, when
// ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	var publishers, subscribers []string
	d := day{length: 5 * time.Second}
	flags := flag.NewFlagSet("stocks", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned, and told once
	flags.Func("publish", "publish at `ADDR`; can be repeated", list(&publishers))
	flags.Func("subscribe", "subscribe to `ADDR`; can be repeated", list(&subscribers))
	flags.Float64Var(&d.rate, "rate", 5000, "publish this many ticks a second and exchange")
	flags.TextVar(&d.filter, "filter", wanted, "subscribe to these `TOPICS` only")

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
	if !(d.rate >= 1 && d.rate <= 1e6) {
		return fmt.Errorf("-rate %v: want 1 to 1,000,000 ticks a second", d.rate)
	}
	switch {
	case len(publishers) > 0 && len(subscribers) > 0:
		return errors.New("use either -publish or -subscribe")
	case len(publishers) > 0:
		return publish(ctx, out, append(publishers, more...), d.rate)
	case len(subscribers) > 0:
		return subscribe(ctx, out, append(subscribers, more...), d.filter)
	case len(more) > 0:
		return errors.New("addresses go with -publish or -subscribe")
	}
	return d.run(ctx, out)
}

func list(to *[]string) func(string) error {
	return func(s string) error {
		*to = append(*to, s)
		return nil
	}
}

// publish is the half that publishes: all exchanges, through one publisher.
func publish(ctx context.Context, out io.Writer, endpoints []string, rate float64) error {
	pub, err := bus.NewPublisher(bus.PublisherConfig{Name: "stocks", Bind: endpoints})
	if err != nil {
		return err
	}
	// Close sends what is queued and says goodbye, so that subscribers know that
	// this is an end and not a failure.
	defer pub.Close()
	for _, e := range pub.Endpoints() {
		fmt.Fprintf(out, "publishes %d symbols at %s\n", listed*len(exchangeNames), e)
	}
	var exchanges []*exchange
	for _, name := range exchangeNames {
		e, err := newExchange(name, pub)
		if err != nil {
			return err
		}
		exchanges = append(exchanges, e)
	}
	var trading sync.WaitGroup
	failed := make([]error, len(exchanges))
	for i, e := range exchanges {
		trading.Go(func() {
			if err := e.trade(ctx, rate, 0); ctx.Err() == nil {
				failed[i] = err
			}
		})
	}
	trading.Wait()
	fmt.Fprintf(out, "%d ticks published\n", pub.Stats().Messages)
	return errors.Join(failed...)
}

// subscribe is the half that subscribes: to all endpoints at once.
func subscribe(ctx context.Context, out io.Writer, endpoints []string, filter topic.Filter) error {
	board := newBoard()
	screen := newScreen(out, board)
	screen.say("subscriber", "wants %v", filter)
	var sources []bus.Source
	for _, e := range endpoints {
		sources = append(sources, bus.From(e))
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: sources, Filter: filter, OnStatus: screen.status})
	if err != nil {
		return err
	}
	defer sub.Close()
	screen.begin()
	defer screen.end()
	began := time.Now()
	unread := watch(ctx, sub, board, screen)
	screen.end()
	summary(out, board, time.Since(began))
	if unread > 0 {
		fmt.Fprintf(out, "%d messages were no ticks\n", unread)
	}
	return nil
}
