package docs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/leaktest"
	"github.com/heraldbus/herald/topic"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// run calls a function that has a snippet in it, and prints its error.
func run(snippet func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := snippet(ctx); err != nil {
		fmt.Println("error:", err)
	}
}

// publishing starts a publisher as the other side of a snippet: it publishes the
// events, which are pairs of topic and payload, as soon as somebody wants the
// first. end drains it.
func publishing(cfg bus.PublisherConfig, events ...string) (pub *bus.Publisher, end func()) {
	pub, err := bus.NewPublisher(cfg)
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if len(events) == 0 {
			return
		}
		if err := pub.WaitSubscribers(ctx, events[0], 1); err != nil {
			fmt.Println("error:", err)
		}
		for i := 0; i < len(events); i += 2 {
			if err := pub.Publish(ctx, events[i], []byte(events[i+1])); err != nil {
				fmt.Println("error:", err)
			}
		}
	}()
	return pub, func() {
		<-done
		pub.Close()
	}
}

// printing starts a subscriber as the other side of a snippet: it prints what the
// filter accepts until n messages have come. wait waits for that, end also closes.
func printing(cfg bus.SubscriberConfig, n int) (wait, end func()) {
	sub, err := bus.NewSubscriber(cfg)
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				fmt.Println("error:", err)
				return
			}
			fmt.Printf("%s: %s\n", m.Topic, m.Payload)
			if n--; n == 0 {
				return
			}
		}
	}()
	wait = func() { <-done }
	return wait, func() {
		wait()
		sub.Close()
	}
}

// at is a subscriber's configuration for everything at some endpoints.
func at(endpoints ...string) bus.SubscriberConfig {
	cfg := bus.SubscriberConfig{Filter: topic.Everything()}
	for _, e := range endpoints {
		cfg.Sources = append(cfg.Sources, bus.From(e))
	}
	return cfg
}
