package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/codec"
	"github.com/heraldbus/herald/topic"
)

// One publisher, one subscriber, in one process. Between processes the endpoints
// are tcp://host:port or ipc:///path, and nothing else changes.
func Example() {
	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Name: "weather-eu", Bind: []string{"inproc://example"}})
	if err != nil {
		log.Fatal(err)
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://example")},
		Filter:  topic.Pattern("weather.>"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil { // nothing that is published from here on is missed
		log.Fatal(err)
	}
	for _, celsius := range []string{"21.5", "21.7"} {
		if err := pub.Publish(ctx, "weather.paris", []byte(celsius)); err != nil {
			log.Fatal(err)
		}
	}
	if err := pub.Drain(ctx); err != nil { // everything is sent, and a goodbye
		log.Fatal(err)
	}
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Printf("%d %s %s\n", ev.Seq, ev.Topic, ev.Payload)
		case *bus.Ready:
			fmt.Println(ev.Publisher, "is ready")
		case *bus.Gone:
			fmt.Println(ev.Publisher, "is gone")
			return
		}
	}
	// Output:
	// weather-eu is ready
	// 1 weather.paris 21.5
	// 2 weather.paris 21.7
	// weather-eu is gone
}

// A publisher that starts before its subscribers waits for them instead of
// sleeping. What it sent, and what it had to drop, is counted for each of them.
func ExamplePublisher() {
	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://example-publisher"}})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Close()

	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(pub.Endpoints()...)}})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()

	if err := pub.WaitSubscribers(ctx, "weather.paris", 1); err != nil {
		log.Fatal(err)
	}
	paris, err := pub.Topic("weather.paris", bus.Header{Key: "unit", Value: "°C"}) // looked up once
	if err != nil {
		log.Fatal(err)
	}
	for range 1000 {
		if err := paris.Publish(ctx, []byte("21.5")); err != nil {
			log.Fatal(err)
		}
	}
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		unit, _ := m.Header("unit")
		fmt.Printf("%s: %s %s\n", m.Topic, m.Payload, unit)
		break
	}
	st := pub.Stats()
	fmt.Println(st.Messages, "published,", st.DroppedMessages, "dropped,", len(st.Peers), "subscriber")
	// Output:
	// weather.paris: 21.5 °C
	// 1000 published, 0 dropped, 1 subscriber
}

// All that is wrong with a configuration is told at once.
func ExampleConfigError() {
	_, err := bus.NewPublisher(bus.PublisherConfig{
		Name:  "weather eu",
		Bind:  []string{"localhost:5556"},
		Queue: bus.Queue{Messages: -1},
	})
	var bad *bus.ConfigError
	if errors.As(err, &bad) {
		for _, field := range bad.Fields {
			fmt.Println(field)
		}
	}
	// Output:
	// Name: heartbeat: invalid name "weather eu": byte 7 is ' ', use letters, digits, '-' and '_'
	// Bind[0]: endpoint "localhost:5556": want a transport and an address, as in tcp://127.0.0.1:5556
	// Queue.Messages is -1: want a number of events, or 0 for 100,000
}

// Three publishers, one subscriber with a filter over all of them.
func ExampleSubscriber_Events() {
	ctx := context.Background()
	var sources []bus.Source
	var pubs []*bus.Publisher
	for _, name := range []string{"north", "south", "west"} {
		pub, err := bus.NewPublisher(bus.PublisherConfig{Name: name, Bind: []string{"inproc://events-" + name}})
		if err != nil {
			log.Fatal(err)
		}
		pubs = append(pubs, pub)
		sources = append(sources, bus.From(pub.Endpoints()...))
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: sources,
		Filter: topic.Any(
			topic.Pattern("weather.*.temp"),
			topic.Exact("alerts"),
		).Except(topic.Prefix("weather.test")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	for _, pub := range pubs {
		for _, name := range []string{"weather.paris.temp", "weather.paris.wind", "weather.test7.temp", "alerts"} {
			if err := pub.Publish(ctx, name, []byte("…")); err != nil {
				log.Fatal(err)
			}
		}
		if err := pub.Drain(ctx); err != nil {
			log.Fatal(err)
		}
	}
	gone := 0
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Println(ev.Publisher, ev.Topic)
		case *bus.Gone:
			if gone++; gone == len(pubs) {
				return
			}
		}
	}
	// Unordered output:
	// north weather.paris.temp
	// north alerts
	// south weather.paris.temp
	// south alerts
	// west weather.paris.temp
	// west alerts
}

// A message that is borrowed is valid until the loop moves on: for loops that
// must not allocate.
func ExampleSubscriber_Borrow() {
	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://borrow"}})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Close()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From("inproc://borrow")}})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	for _, word := range []string{"a", "bus", "without", "a", "broker"} {
		if err := pub.Publish(ctx, "words", []byte(word)); err != nil {
			log.Fatal(err)
		}
	}
	var longest *bus.Message
	n := 0
	for m := range sub.Borrow(ctx) {
		if longest == nil || len(m.Payload) > len(longest.Payload) {
			longest = m.Clone() // m itself must not be kept
		}
		if n++; n == 5 {
			break
		}
	}
	fmt.Printf("%s, number %d\n", longest.Payload, longest.Seq)
	// Output:
	// without, number 3
}

// Handlers are called for what passes their filter, each on a goroutine of its
// own.
func ExampleSubscriber_Handle() {
	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://handle"}})
	if err != nil {
		log.Fatal(err)
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From("inproc://handle")}})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	alerts := 0
	if _, err := sub.Handle(topic.Exact("alerts"), func(ctx context.Context, m *bus.Message) error {
		alerts++
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	prices := map[string]string{}
	if _, err := sub.Handle(topic.Prefix("stock."), func(ctx context.Context, m *bus.Message) error {
		prices[m.Topic] = string(m.Payload)
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	if err := sub.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	for _, ev := range []struct{ topic, payload string }{
		{"stock.AAPL", "227.1"}, {"alerts", "storm"}, {"stock.AAPL", "227.2"}, {"stock.A", "131.0"},
	} {
		if err := pub.Publish(ctx, ev.topic, []byte(ev.payload)); err != nil {
			log.Fatal(err)
		}
	}
	if err := pub.Drain(ctx); err != nil { // all has been received
		log.Fatal(err)
	}
	if err := sub.Drain(ctx); err != nil { // and all handlers have been given theirs
		log.Fatal(err)
	}
	fmt.Println(alerts, prices)
	// Output:
	// 1 map[stock.A:131.0 stock.AAPL:227.2]
}

// Filters come and go while the subscriber runs. They are counted, as
// subscriptions of ZeroMQ are.
func ExampleSubscriber_Add() {
	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://add"}})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Close()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://add")},
		Filter:  topic.Any(topic.Prefix("stock.A"), topic.Exact("end")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	round := func(name string) {
		if err := sub.Ready(ctx); err != nil { // the filters as they are now are in force
			log.Fatal(err)
		}
		for _, name := range []string{"stock.A", "stock.AAPL", "stock.MSFT", "end"} {
			if err := pub.Publish(ctx, name, nil); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Printf("%s: %q\n", name, sub.Stats().Subscriptions)
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			if m.Topic == "end" {
				break
			}
			fmt.Println(" ", m.Topic)
		}
	}
	round("at first")
	if err := sub.Add(topic.Exact("stock.MSFT")); err != nil {
		log.Fatal(err)
	}
	round("added")
	if err := sub.Remove(topic.Exact("stock.MSFT")); err != nil {
		log.Fatal(err)
	}
	round("removed")
	// Output:
	// at first: ["end" "stock.A"]
	//   stock.A
	//   stock.AAPL
	// added: ["end" "stock.A" "stock.MSFT"]
	//   stock.A
	//   stock.AAPL
	//   stock.MSFT
	// removed: ["end" "stock.A"]
	//   stock.A
	//   stock.AAPL
}

// A family of topics with values of one type, usually a package variable that
// both sides share.
func ExampleTopic() {
	type reading struct {
		Celsius  float64 `json:"celsius"`
		Humidity float64 `json:"humidity"`
	}
	readings := bus.NewTopic("weather", codec.JSON[reading]())

	ctx := context.Background()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://topic"}})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Close()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://topic")},
		Filter:  readings.Filter("eu.>"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	if err := readings.Publish(ctx, pub, "us.nyc", reading{28, 70}); err != nil {
		log.Fatal(err)
	}
	if err := readings.Publish(ctx, pub, "eu.paris", reading{21.5, 48}); err != nil {
		log.Fatal(err)
	}
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		r, err := readings.Decode(m)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %.1f °C, from %s\n", m.Topic, r.Celsius, m.Payload)
		break
	}
	// Output:
	// weather.eu.paris: 21.5 °C, from {"celsius":21.5,"humidity":48}
}

// One stream that can be had at two places: the second is used when the first is
// lost.
func ExampleFrom() {
	ctx := context.Background()
	primary, err := bus.NewPublisher(bus.PublisherConfig{Name: "main", Bind: []string{"inproc://from-main"}})
	if err != nil {
		log.Fatal(err)
	}
	spare, err := bus.NewPublisher(bus.PublisherConfig{Name: "spare", Bind: []string{"inproc://from-spare"}})
	if err != nil {
		log.Fatal(err)
	}
	defer spare.Close()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("inproc://from-main", "inproc://from-spare")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	publish := func(payload string) {
		for _, pub := range []*bus.Publisher{primary, spare} {
			if err := pub.Publish(ctx, "weather.paris", []byte(payload)); err != nil && !errors.Is(err, bus.ErrClosed) {
				log.Fatal(err)
			}
		}
	}
	publish("21.5")
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev := ev.(type) {
		case *bus.Message:
			fmt.Printf("%s from %s\n", ev.Payload, ev.Publisher)
			if ev.Publisher == "spare" {
				return
			}
			if err := primary.Drain(ctx); err != nil {
				log.Fatal(err)
			}
		case *bus.Gone, *bus.Switched:
			fmt.Println(ev)
		case *bus.Ready:
			if ev.Publisher == "spare" { // it has our subscriptions now
				publish("21.6")
			}
		}
	}
	// Output:
	// 21.5 from main
	// main at inproc://from-main has said goodbye
	// failover from inproc://from-main to inproc://from-spare
	// 21.6 from spare
}

// Messages of tutorials: topic and payload in one frame.
func ExampleTextFraming() {
	for _, frame := range []string{"weather_data 12 45", "stock_update AAPL 227.1", "quit"} {
		f, ok := bus.TextFraming([][]byte{[]byte(frame)})
		fmt.Printf("%q %q %t\n", f.Topic, f.Payload, ok)
	}
	// Output:
	// "weather_data" "12 45" true
	// "stock_update" "AAPL 227.1" true
	// "quit" "" true
}
