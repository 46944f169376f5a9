package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func subscribe(ctx context.Context) error {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Filter:  topic.Pattern("weather.eu.>"),
	})
	if err != nil {
		return err
	}
	defer sub.Close()

	for ev, err := range sub.Events(ctx) {
		if err != nil {
			return err // ctx has ended
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Printf("%s: %s\n", ev.Topic, ev.Payload)
		case *bus.Gone:
			return nil // this subscriber is done when its publisher is
		case bus.Status:
			log.Print(ev)
		}
	}
	return nil
}

func Example_subscribe() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}},
		"weather.eu.paris", "21.5", "weather.us.nyc", "28.0", "weather.eu.rome", "24.1")
	go end()
	run(subscribe)
	// Output:
	// weather.eu.paris: 21.5
	// weather.eu.rome: 24.1
}

// ask is the question before the answer may be missed.
func ask(ctx context.Context, sub *bus.Subscriber, request func() error) error {
	if err := sub.Ready(ctx); err != nil {
		return err
	}
	if err := request(); err != nil { // whatever is published in answer is received
		return err
	}
	return nil
}

func Example_ask() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	sub, err := bus.NewSubscriber(at("inproc://localhost:5556"))
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		return ask(ctx, sub, func() error { return pub.Publish(ctx, "answer", []byte("42")) })
	})
	for m := range sub.Borrow(context.Background()) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		break
	}
	sub.Close()
	end()
	// Output:
	// answer: 42
}

func messages(ctx context.Context) error {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources:  []bus.Source{bus.From("inproc://localhost:5556")},
		OnStatus: func(st bus.Status) { log.Print(st) },
	})
	if err != nil {
		return err
	}
	defer sub.Close()

	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		break
	}
	return nil
}

func Example_messages() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}}, "weather.eu.paris", "21.5")
	run(messages)
	end()
	// Output:
	// weather.eu.paris: 21.5
}

func filter() (topic.Filter, error) {
	f := topic.Any(
		topic.Pattern("weather.eu.>"),
		topic.Exact("alerts"),
	).Except(topic.Prefix("weather.eu.test."))
	return f, f.Err()
}

func parse() (topic.Filter, error) {
	f, err := topic.Parse("weather.eu.> or alerts except prefix weather.eu.test.")
	return f, err
}

func Example_filter() {
	built, err := filter()
	fmt.Println(built, err)
	parsed, err := parse()
	fmt.Println(parsed.Equal(built), err)
	fmt.Printf("%q\n", built.Cover())
	// Output:
	// (alerts or weather.eu.>) except prefix weather.eu.test. <nil>
	// true <nil>
	// ["alerts" "weather.eu."]
}

func readLine(text string) error {
	f, err := topic.Parse(text)
	if err != nil {
		return err
	}
	fmt.Println(f.MatchString("weather.eu.paris"), f.Cover())
	return nil
}

func Example_readLine() {
	for _, text := range []string{"weather.*.paris", "weather.par*"} {
		if err := readLine(text); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// true [weather.]
	// topic: invalid filter: column 1, at "weather.par*": pattern "weather.par*": segment 2 is "par*", but * and > stand for whole segments (use Prefix for a part of one, Exact for a topic that has the character in its name)
}

func addAndRemove(ctx context.Context, sub *bus.Subscriber) error {
	rome := topic.Prefix("weather.eu.rome")
	if err := sub.Add(rome); err != nil {
		return err
	}
	if err := sub.Ready(ctx); err != nil { // optional: from here on nothing of it is missed
		return err
	}
	return sub.Remove(rome)
}

func Example_addAndRemove() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	cfg := at("inproc://localhost:5556")
	cfg.Filter = topic.None()
	sub, err := bus.NewSubscriber(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error { return addAndRemove(ctx, sub) })
	fmt.Println(sub.Stats().Subscriptions)
	sub.Close()
	end()
	// Output:
	// []
}

func receiveTyped(ctx context.Context) error {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://localhost:5556")},
		Filter:  topic.Any(Readings.Filter("eu.>"), topic.Exact("alerts")),
	})
	if err != nil {
		return err
	}
	defer sub.Close()

	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return err
		}
		if m.Topic == "alerts" {
			fmt.Printf("alert: %s\n", m.Payload)
			break
		}
		r, err := Readings.Decode(m)
		if err != nil {
			log.Print(err) // of one message; the next may be good
			continue
		}
		fmt.Printf("%s: %.1f °C\n", m.Topic, r.Celsius)
	}
	return nil
}

func Example_receiveTyped() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}},
		"weather.eu.paris", `{"celsius":21.5}`, "weather.eu.rome", "warm", "alerts", "storm")
	run(receiveTyped)
	end()
	// Output:
	// weather.eu.paris: 21.5 °C
	// alert: storm
}

func handle(sub *bus.Subscriber) (stop func(), err error) {
	stop, err = sub.Handle(topic.Exact("alerts"), func(ctx context.Context, m *bus.Message) error {
		fmt.Printf("alert: %s\n", m.Payload)
		return nil
	})
	return stop, err
}

func Example_handle() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From("inproc://localhost:5556")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop, err := handle(sub)
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error {
		if err := sub.Ready(ctx); err != nil {
			return err
		}
		return pub.Publish(ctx, "alerts", []byte("storm"))
	})
	end()
	run(sub.Drain)
	stop()
	// Output:
	// alert: storm
}

func borrow(ctx context.Context, sub *bus.Subscriber) error {
	var last *bus.Message
	total := 0
	for m := range sub.Borrow(ctx) {
		total += len(m.Payload)
		if bytes.Equal(m.Payload, []byte("end")) {
			last = m.Clone() // m is not valid after the loop
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Println(total, "bytes, the last on", last.Topic)
	return nil
}

func Example_borrow() {
	_, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}}, "a", "12345", "b", "end")
	sub, err := bus.NewSubscriber(at("inproc://localhost:5556"))
	if err != nil {
		fmt.Println(err)
		return
	}
	run(func(ctx context.Context) error { return borrow(ctx, sub) })
	sub.Close()
	end()
	// Output:
	// 8 bytes, the last on b
}

func fanIn(ctx context.Context) error {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{
			bus.From("inproc://sensors-north:5556"),
			bus.From("inproc://main:5556", "inproc://spare:5556").ReturnAfter(30 * time.Second),
		},
	})
	if err != nil {
		return err
	}
	defer sub.Close()

	n := 0
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			return err
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Printf("%s from %s\n", ev.Payload, ev.Publisher)
			n++
		case *bus.Switched:
			fmt.Println("now from", ev.To)
			n++
		}
		if n == 4 {
			return nil
		}
	}
	return nil
}

func Example_fanIn() {
	_, endNorth := publishing(bus.PublisherConfig{Name: "north", Bind: []string{"inproc://sensors-north:5556"}}, "weather", "19.0")
	_, endSpare := publishing(bus.PublisherConfig{Name: "spare", Bind: []string{"inproc://spare:5556"}}, "weather", "21.6")
	_, endMain := publishing(bus.PublisherConfig{Name: "main", Bind: []string{"inproc://main:5556"}}, "weather", "21.5")
	go endMain()
	run(fanIn)
	endSpare()
	endNorth()
	// Unordered output:
	// 19.0 from north
	// 21.5 from main
	// now from inproc://spare:5556
	// 21.6 from spare
}

func collect(ctx context.Context) error {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Bind: []string{"inproc://localhost:5557"},
	})
	if err != nil {
		return err
	}
	defer sub.Close()

	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Name:    "sensor-17",
		Connect: []string{"inproc://localhost:5557"},
	})
	if err != nil {
		return err
	}
	defer pub.Close()

	if err := pub.WaitSubscribers(ctx, "weather.eu.paris", 1); err != nil {
		return err
	}
	if err := pub.Publish(ctx, "weather.eu.paris", []byte("21.5")); err != nil {
		return err
	}
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", m.Publisher, m.Payload)
		break
	}
	return nil
}

func Example_collect() {
	run(collect)
	// Output:
	// sensor-17: 21.5
}

func bindTwice() (*bus.Publisher, error) {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Bind: []string{"inproc://127.0.0.1:0", "inproc://weather"},
	})
	return pub, err
}

func Example_bindTwice() {
	pub, err := bindTwice()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pub.Close()
	_, end := printing(at(pub.Endpoints()...), 1)
	run(func(ctx context.Context) error {
		if err := pub.WaitSubscribers(ctx, "weather", 2); err != nil {
			return err
		}
		return pub.Publish(ctx, "weather", []byte("over two endpoints, given once"))
	})
	end()
	// Output:
	// weather: over two endpoints, given once
}
