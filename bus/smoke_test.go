package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pub, err := bus.NewPublisher(bus.PublisherConfig{Name: "p", Bind: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(pub.Endpoints()[0])},
		Filter:  topic.Pattern("a.*"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	go func() {
		for i := range n {
			pub.Publish(ctx, fmt.Sprintf("a.%d", i%10), []byte("x"))
		}
		pub.Drain(ctx)
	}()
	got := 0
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		switch ev := ev.(type) {
		case *bus.Message:
			got++
		case bus.Status:
			t.Log(ev)
			if ev.Kind() == "gone" {
				if got != n {
					t.Fatalf("got %d", got)
				}
				return
			}
		}
	}
}
