package docs_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/heartbeat"
)

func watch(ctx context.Context, sub events) error {
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			return err
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Printf("%s: %s\n", ev.Topic, ev.Payload)
		case *bus.Stale:
			fmt.Printf("%s is silent: mark its values as old\n", ev.Publisher)
		case *bus.Recovered:
			fmt.Printf("%s is back: its values are good again\n", ev.Publisher)
		case *bus.Restarted:
			fmt.Printf("%s is a new process: forget the state of the old one\n", ev.Publisher)
		case *bus.Gap:
			fmt.Printf("%d events of %s are missing: fetch the state anew\n", ev.Missed, ev.Publisher)
		case *bus.Gone:
			fmt.Printf("%s has ended by intention\n", ev.Publisher)
		case bus.Status:
			log.Print(ev) // connected, ready, disconnected, failover, overdue
		}
	}
	return nil
}

// events is a subscriber, or one whose events end.
type events interface {
	Events(ctx context.Context) iter.Seq2[bus.Event, error]
}

// untilGone ends with the nth goodbye.
type untilGone struct {
	*bus.Subscriber
	n int
}

func (u untilGone) Events(ctx context.Context) iter.Seq2[bus.Event, error] {
	return func(yield func(bus.Event, error) bool) {
		for ev, err := range u.Subscriber.Events(ctx) {
			if !yield(ev, err) {
				return
			}
			if _, ok := ev.(*bus.Gone); ok {
				if u.n--; u.n == 0 {
					return
				}
			}
		}
	}
}

func Example_watch() {
	cfg := bus.PublisherConfig{Name: "weather-eu", Bind: []string{"inproc://localhost:5556"}}
	_, end := publishing(cfg, "weather.eu.paris", "21.5")
	sub, err := bus.NewSubscriber(at("inproc://localhost:5556"))
	if err != nil {
		fmt.Println(err)
		return
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		run(func(ctx context.Context) error { return watch(ctx, untilGone{sub, 2}) })
	}()
	end()
	_, end = publishing(cfg, "weather.eu.paris", "21.7")
	end()
	<-watched
	sub.Close()
	// Output:
	// weather.eu.paris: 21.5
	// weather-eu has ended by intention
	// weather-eu is a new process: forget the state of the old one
	// weather.eu.paris: 21.7
	// weather-eu has ended by intention
}

// limit is short, for the sake of the test.
const limit = 50 * time.Millisecond

func patience() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources:  []bus.Source{bus.From("inproc://localhost:5556")},
		Liveness: heartbeat.Config{StaleAfter: limit},
	})
	return sub, err
}

func Example_patience() {
	_, end := publishing(bus.PublisherConfig{Name: "weather-eu", Heartbeat: time.Hour, Bind: []string{"inproc://localhost:5556"}})
	sub, err := patience()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		for ev, err := range sub.Events(ctx) {
			if err != nil {
				return err
			}
			if st, ok := ev.(*bus.Stale); ok {
				fmt.Println(st.Publisher, "is stale:", st.Silence >= limit)
				return nil
			}
		}
		return nil
	})
	sub.Close()
	end()
	// Output:
	// weather-eu is stale: true
}

func inspect(sub *bus.Subscriber) {
	for _, p := range sub.Publishers() {
		fmt.Printf("%s at %s is %v: %d messages, %d missed\n",
			p.Publisher, p.Endpoint, p.State, p.Messages, p.Missed)
	}
}

func Example_inspect() {
	_, end := publishing(bus.PublisherConfig{Name: "weather-eu", Bind: []string{"inproc://weather-eu"}}, "weather", "21.5")
	sub, err := bus.NewSubscriber(at("inproc://weather-eu"))
	if err != nil {
		fmt.Println(err)
		return
	}
	run(sub.Ready)
	for range sub.Borrow(context.Background()) {
		break
	}
	inspect(sub)
	sub.Close()
	end()
	// Output:
	// weather-eu at inproc://weather-eu is alive: 1 messages, 0 missed
}
