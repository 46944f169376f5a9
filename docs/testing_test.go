package docs_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
)

// Latest is what a program of somebody else's does: it keeps the last value of
// each topic.
func Latest(ctx context.Context, sub *bus.Subscriber, values map[string]string) error {
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return err
		}
		values[m.Topic] = string(m.Payload)
	}
	return nil
}

func TestLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		sub, err := bus.NewSubscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From("inproc://latest")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		time.Sleep(time.Hour) // takes no time: there is no publisher yet, and no matter

		pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"inproc://latest"}})
		if err != nil {
			t.Fatal(err)
		}
		defer pub.Close()
		if err := sub.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		values := make(map[string]string)
		go Latest(ctx, sub, values) // the function under test

		for _, celsius := range []string{"21.5", "21.6"} {
			if err := pub.Publish(ctx, "weather.eu.paris", []byte(celsius)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // everything has been received and dealt with
		if got := values["weather.eu.paris"]; got != "21.6" {
			t.Errorf("the last value is %q", got)
		}
	})
}

// silent is a connection on which nothing is heard any more once mute is closed.
type silent struct {
	net.Conn
	mute chan struct{}
}

func (c silent) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		select {
		case <-c.mute:
			if err == nil {
				continue
			}
		default:
		}
		return n, err
	}
}

func TestStale(t *testing.T) {
	pub, err := bus.NewPublisher(bus.PublisherConfig{
		Bind:      []string{"tcp://127.0.0.1:0"},
		Heartbeat: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()

	mute := make(chan struct{})
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(pub.Endpoints()[0])},
		Network: bus.Network{
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return silent{conn, mute}, nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(mute)

	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("nobody noticed"))
	defer cancel()
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ev.(*bus.Stale); ok {
			break
		}
	}
}
