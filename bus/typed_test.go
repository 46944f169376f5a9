package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/codec"
	"github.com/heraldbus/herald/topic"
)

type reading struct {
	Celsius float64 `json:"celsius"`
}

var readings = bus.NewTopic("weather", codec.JSON[reading]())

func TestTypedTopicNames(t *testing.T) {
	for key, want := range map[string]string{"": "weather", "paris": "weather.paris", "eu.paris": "weather.eu.paris"} {
		if got := readings.Key(key); got != want {
			t.Errorf("Key(%q) is %q", key, got)
		}
	}
	for name, want := range map[string][2]bool{ // of All and of Filter("eu.>")
		"weather": {true, false}, "weather.eu": {true, false}, "weather.eu.paris": {true, true}, "weather.us.nyc": {true, false},
		"weatherman": {false, false}, "weathe": {false, false},
	} {
		if got := [2]bool{readings.All().MatchString(name), readings.Filter("eu.>").MatchString(name)}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	if !readings.Filter("").Equal(topic.Exact("weather")) || readings.Name() != "weather" {
		t.Error("the empty pattern is not the name alone")
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, topic.ErrInvalid) {
			t.Errorf("NewTopic with a bad name: %v", err)
		}
	}()
	bus.NewTopic("a..b", codec.Text())
}

func TestTypedTopics(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := context.Background()
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Any(readings.All(), topic.Exact("other"))}).ready()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(readings.Publish(ctx, p, "paris", reading{21.5}))
		w.publish(p, "other", "passed over")
		must(readings.Publish(ctx, p, "", reading{-1}))
		rome, err := readings.Prepare(p, "rome")
		must(err)
		must(rome.Publish(ctx, reading{30}))
		must(rome.Publish(ctx, reading{31}))
		w.publish(p, "weather.bare", `{"celsius":4}`) // no content type: taken to be the family's
		w.publish(p, "weather.broken", `{"celsius":`)
		must(p.PublishHeaders(ctx, "weather.other", []byte("21.5"), bus.Header{Key: bus.HeaderContentType, Value: "text/plain"}))
		must(readings.Publish(ctx, p, "end", reading{99}))

		var got []string
		for r, err := range readings.Receive(ctx, s.Subscriber) {
			var decode *codec.Error
			switch {
			case errors.As(err, &decode):
				if !strings.Contains(err.Error(), `"weather.broken"`) {
					t.Error(err)
				}
				got = append(got, "broken")
			case err != nil:
				if !strings.Contains(err.Error(), `"weather.other"`) || !strings.Contains(err.Error(), `"text/plain", want "application/json"`) {
					t.Error(err)
				}
				got = append(got, "mismatch")
			default:
				got = append(got, fmt.Sprint(r.Celsius))
			}
			if r.Celsius == 99 {
				break
			}
		}
		if want := []string{"21.5", "-1", "30", "31", "4", "broken", "mismatch", "99"}; !slices.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}

		// Decode of what Events yields.
		must(rome.Publish(ctx, reading{32}))
		for m, err := range s.Messages(ctx) {
			must(err)
			r, err := readings.Decode(m)
			must(err)
			if ct, _ := m.Header(bus.HeaderContentType); r.Celsius != 32 || m.Topic != "weather.rome" || ct != "application/json" {
				t.Errorf("%v of %+v", r, m)
			}
			break
		}
	})
}

func TestTypedTopicErrors(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := context.Background()
		p := w.publisher("p", bus.PublisherConfig{})
		if err := readings.Publish(ctx, p, "bad..key", reading{}); !errors.Is(err, topic.ErrInvalid) {
			t.Errorf("a bad key: %v", err)
		}
		if _, err := readings.Prepare(p, "bad..key"); !errors.Is(err, topic.ErrInvalid) {
			t.Errorf("a bad key: %v", err)
		}
		text := bus.NewTopic("text", codec.Text())
		var ce *codec.Error
		if err := text.Publish(ctx, p, "", "\xff"); !errors.As(err, &ce) || !strings.Contains(err.Error(), `"text"`) {
			t.Errorf("a value that cannot be encoded: %v", err)
		}
		if st := p.Stats(); st.Messages != 0 {
			t.Errorf("%d events were published all the same", st.Messages)
		}

		// The loop's own end.
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).ready()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		n := 0
		for r, err := range readings.Receive(short, s.Subscriber) {
			if n++; !errors.Is(err, context.DeadlineExceeded) || r != (reading{}) {
				t.Errorf("%v, %v", r, err)
			}
		}
		if n != 1 {
			t.Errorf("%d errors, want one, which ends the loop", n)
		}
		time.AfterFunc(time.Second, func() { s.Close() })
		for r, err := range readings.Receive(ctx, s.Subscriber) {
			t.Errorf("Close ends the loop without an error, got %v, %v", r, err)
		}
	})
}

// Statuses go to OnStatus, in order with the values.
func TestTypedTopicStatuses(t *testing.T) {
	inWorld(t, func(w *world) {
		var got []string
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, OnStatus: func(st bus.Status) { got = append(got, st.Kind()) },
		}).ready()
		if err := readings.Publish(context.Background(), p, "paris", reading{1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.Close()
		w.after(time.Second)
		time.AfterFunc(0, func() { s.Drain(context.Background()) })
		for r, err := range readings.Receive(context.Background(), s.Subscriber) {
			got = append(got, fmt.Sprint(r.Celsius, err))
		}
		if want := []string{"connected", "ready", "1 <nil>", "gone", "disconnected"}; !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}
