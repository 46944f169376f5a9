package docs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func keeping() (*bus.Publisher, error) {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Bind:   []string{"inproc://localhost:5556"},
		Keep:   bus.Keep{Messages: 100_000, Age: 10 * time.Minute},
		Retain: bus.Retain{Prefixes: []string{"weather."}},
	})
	return pub, err
}

func recovering() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Recover: true,
	})
	return sub, err
}

// The queue is far too small for what is published at once.
func Example_recovering() {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Bind:  []string{"inproc://localhost:5556"},
		Queue: bus.Queue{Messages: 10},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, err := recovering()
	if err != nil {
		fmt.Println(err)
		return
	}
	const n = 5000
	run(func(ctx context.Context) error {
		if err := sub.Ready(ctx); err != nil {
			return err
		}
		for range n {
			if err := pub.Publish(ctx, "tick", nil); err != nil {
				return err
			}
		}
		seq := uint64(0)
		for ev, err := range sub.Events(ctx) {
			if err != nil {
				return err
			}
			switch ev := ev.(type) {
			case *bus.Message:
				if seq++; ev.Seq != seq {
					return fmt.Errorf("%d came where %d should have", ev.Seq, seq)
				}
				if seq == n {
					return nil
				}
			case *bus.Gap:
				return fmt.Errorf("%v", ev)
			}
		}
		return nil
	})
	fmt.Println("everything came once and in order:", pub.Stats().Messages == n)
	sub.Close()
	pub.Close()
	// Output:
	// everything came once and in order: true
}

func retained() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources:  []bus.Source{bus.From("inproc://localhost:5556")},
		Retained: true,
	})
	return sub, err
}

func Example_retained() {
	pub, err := keeping()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		for _, ev := range []struct{ topic, payload string }{
			{"weather.eu.paris", "21.5"}, {"weather.eu.paris", "21.6"}, {"alerts", "storm"},
		} {
			if err := pub.Publish(ctx, ev.topic, []byte(ev.payload)); err != nil {
				return err
			}
		}
		sub, err := retained()
		if err != nil {
			return err
		}
		defer sub.Close()
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s, retained: %t\n", m.Topic, m.Payload, m.Retained)
			if !m.Retained {
				break
			}
			if err := pub.Publish(ctx, "weather.eu.paris", []byte("21.7")); err != nil {
				return err
			}
		}
		return nil
	})
	pub.Close()
	// Output:
	// weather.eu.paris: 21.6, retained: true
	// weather.eu.paris: 21.7, retained: false
}

func redundant() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.Redundant("inproc://prices-a:5556", "inproc://prices-b:5556")},
	})
	return sub, err
}

func identify(ctx context.Context, pub *bus.Publisher, n int, payload []byte) error {
	id := bus.Header{Key: bus.HeaderID, Value: fmt.Sprintf("prices-%d", n)}
	if err := pub.PublishHeaders(ctx, "price.AAPL", payload, id); err != nil {
		return err
	}
	return nil
}

func Example_redundant() {
	a, endA := publishing(bus.PublisherConfig{Name: "a", Bind: []string{"inproc://prices-a:5556"}})
	b, endB := publishing(bus.PublisherConfig{Name: "b", Bind: []string{"inproc://prices-b:5556"}})
	sub, err := redundant()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		for _, pub := range []*bus.Publisher{a, b} {
			if err := pub.WaitSubscribers(ctx, "price.AAPL", 1); err != nil {
				return err
			}
		}
		for n, price := range []string{"227.1", "227.2"} {
			for _, pub := range []*bus.Publisher{a, b} {
				if err := identify(ctx, pub, n, []byte(price)); err != nil {
					return err
				}
			}
		}
		if err := identify(ctx, b, 2, []byte("end")); err != nil {
			return err
		}
		came := map[string]int{}
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				return err
			}
			if came[string(m.Payload)]++; len(came) == 3 {
				break
			}
		}
		fmt.Println(came)
		return nil
	})
	sub.Close()
	endA()
	endB()
	// Output:
	// map[227.1:1 227.2:1 end:1]
}

func punctual() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources:   []bus.Source{bus.From("inproc://localhost:5556")},
		Deadlines: []bus.Deadline{{Filter: topic.Prefix("tick."), Within: limit}},
		Lifespan:  time.Minute,
	})
	return sub, err
}

func Example_punctual() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}}, "tick.1", "")
	sub, err := punctual()
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		for ev, err := range sub.Events(ctx) {
			if err != nil {
				return err
			}
			if st, ok := ev.(*bus.Overdue); ok {
				fmt.Println(st.Topic, "is overdue")
				return nil
			}
		}
		return nil
	})
	sub.Close()
	end()
	// Output:
	// tick.1 is overdue
}

func newest() (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Queue:   bus.Queue{Messages: 1000, Overflow: bus.Conflate},
	})
	return sub, err
}

func Example_newest() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}}, "price.AAPL", "227.1")
	sub, err := newest()
	if err != nil {
		fmt.Println(err)
		return
	}
	for m := range sub.Borrow(context.Background()) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		break
	}
	sub.Close()
	end()
	// Output:
	// price.AAPL: 227.1
}
