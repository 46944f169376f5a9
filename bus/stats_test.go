package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/topic"
)

func TestPublisherStats(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Connect: []string{at("nowhere")}, Bind: []string{at("p")}})
		w.publish(p, "a", "nobody is there")
		subs := make([]*recorder, 3)
		for i, f := range []topic.Filter{topic.Everything(), topic.Any(topic.Prefix("a"), topic.Prefix("b")), topic.None()} {
			subs[i] = w.subscriber(bus.SubscriberConfig{
				Sources: []bus.Source{bus.From(at("p"))}, Filter: f, Network: w.network(fmt.Sprint("s", i)),
			}).record()
			if i < 2 {
				subs[i].ready()
			}
			w.after(time.Second)
		}
		w.publish(p, "a", "12345")
		w.publish(p, "c", "1")
		w.after(time.Second)
		st := p.Stats()
		if st.Messages != 3 || st.Bytes != 21 || st.SentMessages != 3 || st.DroppedMessages != 0 || st.DroppedBytes != 0 {
			t.Errorf("%+v", st)
		}
		if st.FailedConnections < 3 {
			t.Errorf("%d connections have failed, want one for each attempt to reach nowhere", st.FailedConnections)
		}
		if len(st.Peers) != 3 {
			t.Fatalf("%d peers", len(st.Peers))
		}
		var bytes uint64
		for i, peer := range st.Peers {
			// Heartbeats, and what the filter needs; the hello is over.
			if want := []int{2, 3, 1}[i]; peer.Subscriptions != want {
				t.Errorf("peer %d has %d subscriptions, want %d", i, peer.Subscriptions, want)
			}
			if want := []uint64{2, 1, 0}[i]; peer.SentMessages != want {
				t.Errorf("peer %d was sent %d, want %d", i, peer.SentMessages, want)
			}
			if want := fmt.Sprintf("s%d:49152", i); peer.Remote != want || peer.Endpoint != at("p") {
				t.Errorf("peer %d is %s at %s, want %s", i, peer.Remote, peer.Endpoint, want)
			}
			if i > 0 && !peer.Since.After(st.Peers[i-1].Since) {
				t.Errorf("peer %d has come before the one before it", i)
			}
			bytes += peer.SentBytes
		}
		if st.Subscriptions != 6 || st.SentBytes != bytes || bytes < 3*37 {
			t.Errorf("%d subscriptions, %d bytes of %d", st.Subscriptions, st.SentBytes, bytes)
		}
	})
}

func TestRefusedSubscriptions(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Limits: bus.Limits{Subscriptions: 5}})
		greedy := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("greedy"), Filter: topic.None()}).record()
		for i := range 20 {
			if err := greedy.Add(topic.Exact(fmt.Sprintf("t%02d", i))); err != nil {
				t.Fatal(err)
			}
		}
		w.after(time.Second)
		modest := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("modest"), Filter: topic.Exact("t19")}).record().ready()
		w.publish(p, "t00", "")
		w.publish(p, "t19", "")
		st := p.Stats()
		if st.RefusedSubscriptions < 15 || st.Peers[0].Subscriptions > 5 {
			t.Errorf("%+v", st)
		}
		if n := len(modest.messages()); n != 1 {
			t.Errorf("another one got %d messages", n)
		}
	})
}

func TestSubscriberStats(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Bind: []string{"tcp://p:1", "tcp://p:2"}})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From("tcp://p:1"), bus.From("tcp://p:2"), bus.From(at("nowhere"))},
			Filter:  topic.Any(topic.Prefix("a."), topic.Pattern("b.*.c"), topic.Prefix("a.b")),
		}).record()
		if _, err := s.Handle(topic.Exact("b.x.c"), func(context.Context, *bus.Message) error { return errors.New("counted") }); err != nil {
			t.Fatal(err)
		}
		w.after(time.Second)
		for _, name := range []string{"a.1", "b.x.c", "b.x.d", "c"} {
			w.publish(p, name, "123")
		}
		synctest.Wait()
		w.net.Link("tcp://p:1", "*").Cut()
		st := s.Stats()
		if !slices.Equal(st.Subscriptions, []string{"a.", "b."}) || st.Connections != 2 || st.PublishersAlive != 2 || st.Disconnections != 0 {
			t.Errorf("%+v", st)
		}
		if st.FailedConnects < 2 || st.Duplicates != 3 || st.HandlerErrors != 1 || st.Malformed != 0 {
			t.Errorf("%+v", st)
		}
		if q := st.Queue; q.Messages != 2 || q.QueuedMessages != 0 || q.Bytes == 0 {
			t.Errorf("the queue: %+v", q)
		}
		if len(st.Handlers) != 1 || st.Handlers[0].Messages != 1 {
			t.Errorf("the handlers: %+v", st.Handlers)
		}
		w.net.Link("p", "sub").Cut()
		w.publish(p, "a.1", "lost")
		w.after(time.Second)
		w.publish(p, "a.1", "")
		synctest.Wait()
		if st := s.Stats(); st.Disconnections != 2 || st.Gaps != 1 || st.Missed != 1 || st.Connections != 2 {
			t.Errorf("after a cut: %+v", st)
		}
	})
}

func TestPublishers(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.publisher("a", bus.PublisherConfig{Heartbeat: 500 * time.Millisecond, Advertise: []string{"tcp://mirror:1"}})
		b := w.publisher("b", bus.PublisherConfig{Linger: -1})
		w.publisher("c", bus.PublisherConfig{})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("c")), bus.From(at("a")), bus.From(at("b"))}}).record().ready()
		began := time.Now()
		if err := a.PublishHeaders(context.Background(), "t", []byte("12345"), bus.Header{Key: "k", Value: "v"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.net.Path("a", "sub").Cut()
		w.publish(a, "t", "lost")
		w.publish(a, "t", "lost")
		w.after(time.Second)
		w.publish(a, "t", "123")
		w.after(time.Second)
		b.Close()
		w.net.Host("c").Freeze()
		w.after(4 * time.Second)
		b = w.publisher("b", bus.PublisherConfig{})
		w.after(5 * time.Second)

		all := s.Publishers()
		if len(all) != 3 {
			t.Fatalf("%d publishers", len(all))
		}
		for i, want := range []bus.PublisherInfo{
			{Origin: bus.Origin{Publisher: "a", Incarnation: a.Incarnation(), Endpoint: at("a")}, State: heartbeat.Alive, Interval: 500 * time.Millisecond, Seq: 4, Messages: 2, Bytes: 8, Missed: 2},
			{Origin: bus.Origin{Publisher: "b", Incarnation: b.Incarnation(), Endpoint: at("b")}, State: heartbeat.Alive, Interval: time.Second, Restarts: 1},
			{Origin: bus.Origin{Publisher: "c", Incarnation: all[2].Incarnation, Endpoint: at("c")}, State: heartbeat.Stale, Interval: time.Second},
		} {
			got := all[i]
			late := time.Since(got.Heartbeat)
			if got.Since != began || (got.State == heartbeat.Alive) != (late <= got.Interval) {
				t.Errorf("%s is known since %v, the last heartbeat came %v ago", got.Publisher, got.Since, late)
			}
			if i == 0 && !slices.Equal(got.Advertise, []string{"tcp://mirror:1"}) || i > 0 && len(got.Advertise) > 0 {
				t.Errorf("%s advertises %q", got.Publisher, got.Advertise)
			}
			got.Since, got.Heartbeat, got.Advertise = time.Time{}, time.Time{}, nil
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		}
		if n := s.Stats().PublishersAlive; n != 2 {
			t.Errorf("%d are alive", n)
		}
		b.Close()
		synctest.Wait()
		if st := s.Publishers()[1].State; st != heartbeat.Gone {
			t.Errorf("one that has said goodbye is %v", st)
		}
	})
}

// Totals never go back and never count anything twice, whoever comes and goes
// meanwhile.
func TestTotalsAreMonotonic(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{})
		var stop sync.WaitGroup
		done := make(chan struct{})
		stop.Go(func() {
			var last bus.PublisherStats
			for {
				select {
				case <-done:
					return
				default:
				}
				st := p.Stats()
				if st.SentMessages < last.SentMessages || st.SentBytes < last.SentBytes || st.DroppedMessages < last.DroppedMessages || st.SentMessages > 3*st.Messages {
					t.Errorf("%+v after %+v", st, last)
					return
				}
				last = st
				time.Sleep(time.Microsecond)
			}
		})
		for i := range 3 {
			stop.Go(func() {
				for range 20 {
					s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}, Network: w.network(fmt.Sprint("s", i))}).record()
					if err := s.Ready(context.Background()); err != nil {
						t.Error(err)
					}
					s.Close()
					<-s.loopDone
				}
			})
		}
		for range 200 {
			w.publish(p, "a", "1")
			time.Sleep(time.Microsecond)
		}
		close(done)
		stop.Wait()
	})
}
