package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
)

func keepUp() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Queue:   bus.Queue{Messages: 10, Overflow: bus.DropOldest},
	})
	return sub, err
}

func Example_keepUp() {
	pub, end := publishing(bus.PublisherConfig{Name: "ticker", Bind: []string{"inproc://localhost:5556"}})
	sub, err := keepUp()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		if err := sub.Ready(ctx); err != nil {
			return err
		}
		for range 100 {
			if err := pub.Publish(ctx, "tick", []byte("…")); err != nil {
				return err
			}
		}
		return pub.Drain(ctx)
	})
	var first, last uint64
	for ev := range sub.Events(context.Background()) {
		switch ev := ev.(type) {
		case *bus.Message:
			if first == 0 {
				first = ev.Seq
			}
			last = ev.Seq
		case *bus.Gap:
			fmt.Println(ev.Missed, "missed")
		}
		if _, gone := ev.(*bus.Gone); gone {
			break
		}
	}
	fmt.Println(first, "to", last, "received")
	sub.Close()
	end()
	// Output:
	// 90 missed
	// 91 to 100 received
}

func patient() (*bus.Publisher, error) {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Bind:  []string{"inproc://localhost:5556"},
		Queue: bus.Queue{Messages: 1000, Overflow: bus.Block},
	})
	return pub, err
}

func publishInTime(ctx context.Context, pub *bus.Publisher, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := pub.Publish(ctx, "orders.new", payload); err != nil {
		return err // nobody has got it
	}
	return nil
}

func Example_patient() {
	pub, err := patient()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, end := printing(at("inproc://localhost:5556"), 1)
	run(func(ctx context.Context) error {
		if err := pub.WaitSubscribers(ctx, "orders.new", 1); err != nil {
			return err
		}
		return publishInTime(ctx, pub, []byte("1 crate of apples"))
	})
	end()
	pub.Close()
	// Output:
	// orders.new: 1 crate of apples
}

func small() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Limits:  bus.Limits{FrameBytes: 64 << 10, MessageBytes: 128 << 10},
	})
	return sub, err
}

func Example_small() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	sub, err := small()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		if err := sub.Ready(ctx); err != nil {
			return err
		}
		if err := pub.Publish(ctx, "picture", bytes.Repeat([]byte{0}, 65<<10)); err != nil {
			return err
		}
		for ev, err := range sub.Events(ctx) {
			if err != nil {
				return err
			}
			if st, ok := ev.(*bus.Disconnected); ok {
				fmt.Println(strings.Contains(st.Err.Error(), "frame of 66560 bytes"))
				return nil
			}
		}
		return nil
	})
	sub.Close()
	end()
	// Output:
	// true
}
