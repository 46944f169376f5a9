package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// day is a trading day: three exchanges and one subscriber.
type day struct {
	rate   float64       // ticks a second of each exchange
	length time.Duration // of trading
	filter topic.Filter
}

// overtime is how long after the close the last ticks may come.
const overtime = 10 * time.Second

// run plays the day and shows it. Its error tells what did not come, or should
// not have.
func (d day) run(ctx context.Context, out io.Writer) error {
	board := newBoard()
	screen := newScreen(out, board)

	var pubs []*bus.Publisher
	var exchanges []*exchange
	var sources []bus.Source
	for _, name := range exchangeNames {
		pub, err := bus.NewPublisher(bus.PublisherConfig{Name: name, Bind: []string{"tcp://127.0.0.1:0"}})
		if err != nil {
			return err
		}
		defer pub.Close()
		e, err := newExchange(name, pub)
		if err != nil {
			return err
		}
		pubs, exchanges = append(pubs, pub), append(exchanges, e)
		sources = append(sources, bus.From(pub.Endpoints()[0]))
		screen.say(name, "lists %d symbols at %s", listed, pub.Endpoints()[0])
	}

	// The day is over when all exchanges have said goodbye: nothing comes after it.
	watching, over := context.WithTimeoutCause(ctx, d.length+overtime, errors.New("not all exchanges have closed in time"))
	defer over()
	open := len(pubs)
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: sources,
		Filter:  d.filter,
		OnStatus: func(st bus.Status) {
			screen.status(st)
			if _, gone := st.(*bus.Gone); gone {
				if open--; open == 0 {
					over()
				}
			}
		},
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	screen.say("subscriber", "wants %v", d.filter)
	screen.say("subscriber", "asks for the prefixes %q, and picks from what they bring", d.filter.Cover())
	if err := sub.Ready(watching); err != nil && ctx.Err() == nil {
		return err
	}

	screen.begin()
	defer screen.end()
	began := time.Now()
	var trading sync.WaitGroup
	failed := make([]error, len(exchanges))
	for i, e := range exchanges {
		trading.Go(func() {
			err := e.trade(ctx, d.rate, int(d.rate*d.length.Seconds()))
			if err == nil {
				err = pubs[i].Drain(ctx) // sends what is queued, then the goodbye
			}
			if err != nil {
				over()
			}
			failed[i] = err
		})
	}
	unread := watch(watching, sub, board, screen)
	took := time.Since(began)
	trading.Wait()
	screen.end()

	if ctx.Err() != nil {
		screen.say("stocks", "ends early: %v", context.Cause(ctx))
	}
	summary(out, board, took)
	if ctx.Err() != nil {
		return nil
	}
	fmt.Fprintf(out, "\n%-10s %10s %10s %10s\n", "exchange", "published", "sent", "received")
	for i, e := range exchanges {
		stats := pubs[i].Stats()
		fmt.Fprintf(out, "%-10s %10d %10d %10d\n", e.name, stats.Messages, stats.SentMessages, board.of(e.name))
	}
	if open > 0 && errors.Join(failed...) == nil {
		failed = append(failed, context.Cause(watching))
	}
	if unread > 0 {
		failed = append(failed, fmt.Errorf("%d messages were no ticks", unread))
	}
	if err := errors.Join(append(failed, d.audit(exchanges, board)...)...); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nevery tick that was wanted came, and no other")
	return nil
}

// watch puts on the board what the subscriber receives, until ctx ends. It returns
// how many messages could not be read: whoever can connect can publish, so that is
// no reason to end.
func watch(ctx context.Context, sub *bus.Subscriber, b *board, s *screen) (unread int) {
	for tick, err := range Ticks.Receive(ctx, sub) {
		switch {
		case ctx.Err() != nil:
			return unread
		case err != nil || tick.check() != nil:
			unread++
		default:
			b.add(tick)
		}
		s.refresh()
	}
	return unread
}

// audit compares what was published with what came.
func (d day) audit(exchanges []*exchange, b *board) (problems []error) {
	for _, e := range exchanges {
		for _, s := range e.symbols {
			want, got := 0, 0
			if d.filter.MatchString(Ticks.Key(s.last.Key())) {
				want = s.ticks
			}
			if q := b.quotes[s.last.Key()]; q != nil {
				got = q.ticks
			}
			if got != want {
				problems = append(problems, fmt.Errorf("%s: %d ticks came, want %d of %d", s.last.Key(), got, want, s.ticks))
			}
		}
	}
	return problems
}

// summary tells what has come.
func summary(out io.Writer, b *board, took time.Duration) {
	fmt.Fprintf(out, "\n%d ticks of %d symbols in %.1f s: %.0f ticks/s\n",
		b.ticks, len(b.keys), took.Seconds(), float64(b.ticks)/took.Seconds())
	movers := b.movers()
	const most = 5
	if len(movers) < 2*most {
		return
	}
	fmt.Fprintf(out, "\n%-34s  %s\n", "risen most", "fallen most")
	for i := range most {
		up, down := movers[i], movers[len(movers)-1-i]
		fmt.Fprintf(out, "%-10s %12v %+8.2f%%   %-10s %12v %+8.2f%%\n",
			up.key, up.last, up.change(), down.key, down.last, down.change())
	}
}
