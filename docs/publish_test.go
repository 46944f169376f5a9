package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/codec"
)

func publish(ctx context.Context) error {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Name: "weather-eu",
		Bind: []string{"inproc://localhost:5556"},
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
	return nil
}

func Example_publish() {
	_, stop := printing(at("inproc://localhost:5556"), 1)
	run(publish)
	stop()
	// Output:
	// weather.eu.paris: 21.5
}

func prepare(ctx context.Context, pub *bus.Publisher) error {
	paris, err := pub.Topic("weather.eu.paris", bus.Header{Key: "unit", Value: "°C"})
	if err != nil {
		return err
	}
	for _, celsius := range []string{"21.5", "21.6", "21.7"} {
		if err := paris.Publish(ctx, []byte(celsius)); err != nil {
			return err
		}
	}
	return nil
}

func Example_prepare() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	_, stop := printing(at("inproc://localhost:5556"), 3)
	run(func(ctx context.Context) error {
		if err := pub.WaitSubscribers(ctx, "weather.eu.paris", 1); err != nil {
			return err
		}
		return prepare(ctx, pub)
	})
	stop()
	end()
	// Output:
	// weather.eu.paris: 21.5
	// weather.eu.paris: 21.6
	// weather.eu.paris: 21.7
}

// Reading is what a weather station says.
type Reading struct {
	Celsius  float64 `json:"celsius"`
	Humidity float64 `json:"humidity"`
}

// Readings are published on weather.REGION.CITY.
var Readings = bus.NewTopic("weather", codec.JSON[Reading]())

func publishTyped(ctx context.Context, pub *bus.Publisher) error {
	if err := Readings.Publish(ctx, pub, "eu.paris", Reading{Celsius: 21.5, Humidity: 48}); err != nil {
		return err
	}
	return nil
}

func Example_publishTyped() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}})
	_, stop := printing(at("inproc://localhost:5556"), 1)
	run(func(ctx context.Context) error {
		if err := pub.WaitSubscribers(ctx, Readings.Key("eu.paris"), 1); err != nil {
			return err
		}
		return publishTyped(ctx, pub)
	})
	stop()
	end()
	// Output:
	// weather.eu.paris: {"celsius":21.5,"humidity":48}
}

func statistics(pub *bus.Publisher) {
	for _, peer := range pub.Stats().Peers {
		if peer.DroppedMessages > 0 {
			log.Printf("%s is too slow: %d events sent, %d dropped", peer.Remote, peer.SentMessages, peer.DroppedMessages)
		}
	}
}

func drain(ctx context.Context, pub *bus.Publisher) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := pub.Drain(ctx); err != nil {
		return fmt.Errorf("some subscribers did not get everything: %w", err)
	}
	return nil
}

func Example_drain() {
	pub, end := publishing(bus.PublisherConfig{Bind: []string{"inproc://localhost:5556"}}, "a", "1", "b", "2")
	wait, stop := printing(at("inproc://localhost:5556"), 2)
	wait()
	run(func(ctx context.Context) error {
		statistics(pub)
		return drain(ctx, pub)
	})
	end()
	stop()
	fmt.Println(errors.Is(pub.Publish(context.Background(), "c", nil), bus.ErrClosed))
	// Output:
	// a: 1
	// b: 2
	// true
}
