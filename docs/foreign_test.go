package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func readText(endpoint string) (*bus.Subscriber, error) {
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(endpoint).Framed(bus.TextFraming)},
		Filter:  topic.Any(topic.Exact("weather_data"), topic.Prefix("stock_update AAPL")),
	})
	return sub, err
}

func readKeyed(endpoint string) (*bus.Subscriber, error) {
	keyed := func(frames [][]byte) (bus.Framed, bool) {
		key, value, ok := bytes.Cut(frames[0], []byte("="))
		return bus.Framed{Topic: key, Payload: value}, ok
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(endpoint).Framed(keyed)},
	})
	return sub, err
}

// foreign prints what a subscriber makes of messages of one frame, which another
// ZeroMQ program sends.
func foreign(subscribe func(endpoint string) (*bus.Subscriber, error), n int, messages ...string) {
	run(func(ctx context.Context) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		go publishText(l, messages)
		sub, err := subscribe("tcp://" + l.Addr().String())
		if err != nil {
			return err
		}
		defer sub.Close()
		for m, err := range sub.Messages(ctx) {
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s\n", m.Topic, m.Payload)
			if n--; n == 0 {
				break
			}
		}
		return nil
	})
}

// publishText is a publisher of ZMTP 3.0 for one connection. It does not look at
// subscriptions: everything that it says is for everybody.
func publishText(l net.Listener, messages []string) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	greeting := make([]byte, 64)
	copy(greeting, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL")
	out := append(greeting, "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"...)
	for _, m := range messages {
		out = append(out, 0, byte(len(m)))
		out = append(out, m...)
	}
	conn.Write(out)
	io.Copy(io.Discard, conn) // until the subscriber has closed
}

func Example_readText() {
	foreign(readText, 1, "stock_update A 131.0", "stock_update AAPL 227.1")
	foreign(readText, 1, "weather_data2 1 2", "weather_data 12 45")
	// Output:
	// stock_update: AAPL 227.1
	// weather_data: 12 45
}

func Example_readKeyed() {
	foreign(readKeyed, 1, "no key", "paris=21.5")
	// Output:
	// paris: 21.5
}
