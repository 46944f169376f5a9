package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

func TestPublishFilterReceive(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))},
			Filter:  topic.Any(topic.Pattern("weather.eu.>"), topic.Exact("stock.A")).Except(topic.Prefix("weather.eu.test.")),
		}).record().ready()
		s.expect("connected p", "ready p")
		for _, name := range []string{"weather.eu.paris", "weather.eu.test.x", "weather.us.nyc", "stock.A", "stock.AAPL"} {
			w.publish(p, name, "1")
		}
		s.expect("weather.eu.paris=1", "stock.A=1")

		m := &bus.Message{}
		w.publish(p, "stock.A", "2")
		for _, m = range s.messages() {
		}
		if m.Publisher != "p" || m.Incarnation != p.Incarnation() || m.Seq != 6 || m.Endpoint != at("p") || !m.Time.Equal(time.Now()) {
			t.Errorf("the message came as %+v", m)
		}
	})
}

// Subscribers may be there long before the publisher.
func TestConnectBeforeThePublisherExists(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record()
		w.after(10 * time.Minute)
		s.expect()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready without a publisher: %v", err)
		}
		p := w.publisher("p", bus.PublisherConfig{})
		w.after(5 * time.Second) // the longest pause between attempts
		s.expect("connected p", "ready p")
		w.publish(p, "a", "1")
		s.expect("a=1")
	})
}

func TestGoodbye(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		s.take()
		w.publish(p, "a", "1")
		if err := p.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.after(time.Minute) // and it is never called stale
		s.expect("a=1", "gone p", "disconnected p")
	})
}

func TestRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Linger: -1})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		w.publish(p, "a", "1")
		s.take()
		w.net.Link("p", "*").Cut() // as a process that is killed
		w.net.Link("p", "*").Stall()
		p.Close()
		w.net.Heal()
		p = w.publisher("p", bus.PublisherConfig{})
		w.after(time.Second)
		s.expect("disconnected p", "connected p", "restarted p", "ready p")
		w.publish(p, "a", "2") // subscriptions are in force without help, and a new chain is no gap
		s.expect("a=2")
	})
}

// A publisher that hangs while its connection stands.
func TestFrozenPublisherIsStaleAndRecovers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.publisher("p", bus.PublisherConfig{Heartbeat: 500 * time.Millisecond})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		w.after(2100 * time.Millisecond)
		s.take()
		w.net.Host("p").Freeze()
		w.after(1300 * time.Millisecond)
		s.expect() // the last beat came 100 ms before
		w.after(700 * time.Millisecond)
		s.expect("stale p", "disconnected p")
		w.after(time.Minute)
		s.expect() // told once
		w.net.Host("p").Thaw()
		w.after(5 * time.Second)
		s.expect("connected p", "recovered p", "ready p")
	})
}

// A cable that goes silent without a word, and comes back.
func TestSilentPath(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		s.take()
		w.net.Path("p", "sub").Stall()
		w.after(4 * time.Second)
		s.expect("stale p", "disconnected p")
		w.publish(p, "a", "1")
		w.after(time.Minute)
		w.net.Heal()
		w.after(10 * time.Second)
		w.publish(p, "a", "2")
		s.expect("connected p", "recovered p", "gap p  1 0..2", "ready p", "a=2")
	})
}

func TestFailover(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.publisher("a", bus.PublisherConfig{})
		b := w.publisher("b", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("a"), at("b")).ReturnAfter(30 * time.Second)},
		}).record().ready()
		w.after(time.Second)
		s.take()
		both := func(payload string) {
			w.publish(a, "x", payload)
			w.publish(b, "x", payload)
		}
		both("1")
		s.expect("x=1") // one is used at a time
		w.net.Host("a").Freeze()
		w.after(4 * time.Second)
		s.expectAnyOrder("stale a", "failover a b", "ready b", "disconnected a")
		both("2")
		s.expect("x=2")
		w.net.Host("a").Thaw()
		w.after(10 * time.Second)
		s.expect("connected a", "recovered a")
		both("3")
		s.expect("x=3")
		w.after(30 * time.Second)
		s.expect("failover b a", "ready a")
		both("4")
		s.expect("x=4")
		w.after(time.Minute)
		s.expect()
		// Lost rather than silent.
		a.Close()
		w.after(time.Second)
		both2 := func(payload string) { w.publish(b, "x", payload) }
		both2("5")
		s.expectAnyOrder("gone a", "failover a b", "ready b", "disconnected a", "x=5")
	})
}

// A source whose first endpoint was never there uses the second at once.
func TestFailoverAtTheStart(t *testing.T) {
	inWorld(t, func(w *world) {
		b := w.publisher("b", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("a"), at("b"))}}).record().ready()
		w.publish(b, "x", "1")
		if got := s.take(); got[len(got)-1] != "x=1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestFanInToABindingSubscriber(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.subscriber(bus.SubscriberConfig{Bind: []string{at("sub")}}).record()
		var ps []*bus.Publisher
		for i := range 3 {
			ps = append(ps, w.publisher(fmt.Sprint("p", i), bus.PublisherConfig{Connect: []string{at("sub")}}))
		}
		w.after(time.Second)
		s.ready().take()
		for _, p := range ps {
			w.publish(p, "a", p.Name())
		}
		if n := len(s.messages()); n != 3 {
			t.Errorf("%d messages, want 3", n)
		}
		s.take()
		w.net.Link("p1", "sub").Cut()
		w.after(time.Second)
		w.publish(ps[1], "a", "again")
		s.expect("disconnected sub", "connected sub", "ready p1", "a=again")
	})
}

// What a cut loses is reported, exactly, when everything is subscribed to.
func TestGapAfterACut(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		w.publish(p, "a", "1")
		s.take()
		w.net.Link("p", "sub").Cut()
		for range 5 {
			w.publish(p, "a", "lost")
		}
		w.after(time.Second)
		s.expect("disconnected p", "connected p", "gap p  5 1..7", "ready p")
		w.publish(p, "b", "2")
		s.expect("b=2")
	})
}

// With filters, the chain of each topic tells; other topics are no matter.
func TestGapUnderFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Prefix("a."),
		}).record().ready()
		w.publish(p, "a.1", "")
		w.publish(p, "a.2", "")
		for range 7 {
			w.publish(p, "b", "")
		}
		w.publish(p, "a.1", "")
		s.take()
		w.net.Link("p", "sub").Cut()
		w.publish(p, "a.1", "lost")
		w.publish(p, "a.3", "lost")
		w.after(time.Second)
		w.publish(p, "a.1", "")
		w.publish(p, "a.2", "")
		w.publish(p, "a.3", "")
		s.expect("disconnected p", "connected p", "ready p",
			"gap p a.1 1+ 10..13", "a.1=", "a.2=", "gap p a.3 1+ 0..15", "a.3=")
	})
}

func TestFiltersWhileRunning(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Prefix("a"),
		}).record().ready()
		s.take()
		all := func(payload string) {
			for _, name := range []string{"a", "b", "c"} {
				w.publish(p, name, payload)
			}
			synctest.Wait()
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			s.ready()
		}
		all("1")
		must(s.Add(topic.Prefix("b")))
		must(s.Add(topic.Prefix("b")))
		all("2")
		must(s.Remove(topic.Prefix("b")))
		all("3") // it was added twice
		must(s.Remove(topic.Prefix("b")))
		all("4")
		must(s.Add(topic.Everything()))
		all("5") // what had not been subscribed to is no gap
		must(s.Remove(topic.Everything()))
		all("6")
		must(s.Add(topic.Prefix("b")))
		all("7")
		s.expect("a=1", "ready p", "a=2", "b=2", "a=3", "b=3", "a=4", "ready p", "a=5", "b=5", "c=5", "a=6", "ready p", "a=7", "b=7")
		if err := s.Remove(topic.Prefix("x")); err == nil {
			t.Error("removing a filter that was not added is no error")
		}
	})
}

// One publisher over two endpoints: each event is given once.
func TestSamePublisherTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Bind: []string{"tcp://p:1", "tcp://p:2"}})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From("tcp://p:1"), bus.From("tcp://p:2")},
		}).record().ready()
		s.take()
		for i := range 3 {
			w.publish(p, "a", fmt.Sprint(i))
		}
		s.expect("a=0", "a=1", "a=2")
		if n := s.Stats().Duplicates; n != 3 {
			t.Errorf("%d duplicates counted, want 3", n)
		}
	})
}

func TestHandlers(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}})
		var got []string
		stop, err := s.Handle(topic.Prefix("a"), func(_ context.Context, m *bus.Message) error {
			got = append(got, word(m))
			return errors.New("counted")
		})
		if err != nil {
			t.Fatal(err)
		}
		s.ready()
		w.publish(p, "a", "1")
		w.publish(p, "b", "1")
		synctest.Wait()
		stop()
		w.publish(p, "a", "2")
		synctest.Wait()
		if len(got) != 1 || got[0] != "a=1" {
			t.Errorf("the handler got %q", got)
		}
		if st := s.Stats(); st.HandlerErrors != 1 || st.Queue.Messages != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Silence that is the subscriber's own doing is not the publisher's.
func TestSlowConsumerDoesNotMakePublishersStale(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 1},
		}).ready()
		for i := range 5 {
			w.publish(p, "a", fmt.Sprint(i))
			synctest.Wait()
		}
		w.after(time.Minute)
		s.record()
		w.after(time.Minute)
		s.expect("connected p", "ready p", "a=0", "a=1", "a=2", "a=3", "a=4")
	})
}
