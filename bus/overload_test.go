package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/topic"
)

// inNarrowWorld is inWorld where a connection holds no more than 4 KiB, so that
// queues fill up soon.
func inNarrowWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(&world{t, memnet.New(memnet.Config{Seed: 1, Buffer: 4 << 10})})
	})
}

// burst publishes n events of 100 bytes on five topics.
func (w *world) burst(p *bus.Publisher, n int) {
	w.Helper()
	for i := range n {
		if err := p.Publish(context.Background(), fmt.Sprint("t.", i%5), make([]byte, 100)); err != nil {
			w.Fatal(err)
		}
	}
}

// stall stalls the way from a publisher of narrow queues to a host, and publishes
// until its writer is stuck. It returns how many events that took.
func (w *world) stall(p *bus.Publisher, host string) (n int) {
	w.net.Path("p", host).Stall()
	for range 6 {
		w.burst(p, 10)
		synctest.Wait()
		n += 10
	}
	return n
}

// account checks the events of a subscriber to everything of one publisher: each of
// the seqs after one up to another has come, or is in a gap that stands in its place.
// It returns how many came.
func (r *recorder) account(after, last uint64) (received int) {
	r.w.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	at := after
	for _, ev := range r.events {
		switch ev := ev.(type) {
		case *bus.Message:
			if ev.Seq != at+1 {
				r.w.Fatalf("seq %d after %d", ev.Seq, at)
			}
			at = ev.Seq
			received++
		case *bus.Gap:
			if ev.After != at || ev.Before != at+ev.Missed+1 || !ev.Exact || ev.Missed == 0 {
				r.w.Fatalf("after seq %d there is %v", at, ev)
			}
			at = ev.Before - 1
		}
	}
	if at != last {
		r.w.Fatalf("the events end at seq %d, published were %d", at, last)
	}
	return received
}

// What does not fit into the queue of a peer is dropped as the policy says, counted,
// and reported to the subscriber in its place.
func TestOverflowAtThePublisher(t *testing.T) {
	const n = 2000
	for _, o := range []bus.Overflow{bus.OverflowDefault, bus.DropNewest, bus.DropOldest, bus.Disconnect, bus.Conflate} {
		t.Run(o.String(), func(t *testing.T) {
			inNarrowWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: o}})
				s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
				s.take()
				w.burst(p, n-w.stall(p, "sub"))
				synctest.Wait()
				full := p.Stats()
				w.net.Heal()
				w.after(2 * time.Second) // a heartbeat tells of the last ones
				received := len(s.messages())
				if o == bus.Conflate {
					if got := uint64(received) + s.missed(); got != n {
						t.Errorf("received %d, missed %d", received, s.missed())
					}
				} else {
					s.account(0, n)
				}

				st := p.Stats()
				if st.Messages != n || st.Bytes != 100*n {
					t.Errorf("published %d messages, %d bytes", st.Messages, st.Bytes)
				}
				if received < 20 || received > 100 {
					t.Errorf("%d of %d events were received", received, n)
				}
				seqs := make([]uint64, received)
				for i, m := range s.messages() {
					seqs[i] = m.Seq
				}
				switch o {
				case bus.Disconnect:
					if len(st.Peers) != 1 || st.Peers[0].SentMessages != 0 || len(full.Peers) != 0 {
						t.Errorf("the slow peer was not disconnected: %+v", st)
					}
					if got := s.Stats(); got.Disconnections != 1 {
						t.Errorf("%d disconnections", got.Disconnections)
					}
				case bus.DropOldest, bus.Conflate:
					if !slices.Equal(seqs[received-5:], []uint64{n - 4, n - 3, n - 2, n - 1, n}) {
						t.Errorf("the newest that came are %d", seqs[received-5:])
					}
				default:
					if seqs[received-1] != uint64(received) {
						t.Errorf("the oldest were not kept: %d", seqs)
					}
				}
				if o != bus.Disconnect {
					if q := full.Peers[0]; q.QueuedMessages > 20 || q.QueuedMessages < 5 || q.DroppedMessages < n/2 {
						t.Errorf("while it was full: %+v", q)
					}
					peer := st.Peers[0]
					if peer.SentMessages != uint64(received) || peer.DroppedMessages != n-uint64(received) || peer.QueuedMessages != 0 || peer.QueuedBytes != 0 {
						t.Errorf("received %d: %+v", received, peer)
					}
					if st.SentMessages != peer.SentMessages || st.SentBytes != peer.SentBytes || st.DroppedMessages != peer.DroppedMessages || st.DroppedBytes != peer.DroppedBytes {
						t.Errorf("%+v is not what its only peer has, %+v", st, peer)
					}
				}

				// The counts outlive the peer.
				s.Close()
				w.after(time.Second)
				gone := p.Stats()
				if len(gone.Peers) != 0 || gone.SentMessages != st.SentMessages || gone.SentBytes != st.SentBytes || gone.DroppedMessages != st.DroppedMessages || gone.DroppedBytes != st.DroppedBytes {
					t.Errorf("with the peer %+v\nafter it %+v", st, gone)
				}
			})
		})
	}
}

// The bound in bytes counts as that in messages does.
func TestOverflowByBytes(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Bytes: 10_000}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		s.take()
		w.burst(p, 500-w.stall(p, "sub"))
		if q := p.Stats().Peers[0]; q.QueuedBytes > 10_000 || q.QueuedBytes < 9_000 {
			t.Errorf("%+v", q)
		}
		w.publish(p, "large", strings.Repeat("x", 20_000))
		w.net.Heal()
		w.after(2 * time.Second)
		w.publish(p, "large", strings.Repeat("x", 20_000)) // an empty queue takes it
		if n := s.account(0, 502); n < 50 || n > 200 {
			t.Errorf("%d were received", n)
		}
	})
}

// Under filters each topic's own chain tells whether something of it was lost.
func TestOverflowUnderFilters(t *testing.T) {
	for _, o := range []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Disconnect, bus.Conflate} {
		t.Run(o.String(), func(t *testing.T) {
			inNarrowWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: o}})
				s := w.subscriber(bus.SubscriberConfig{
					Sources: []bus.Source{bus.From(at("p"))}, Filter: topic.Any(topic.Prefix("a."), topic.Exact("b")),
				}).record().ready()
				rnd := rand.New(rand.NewPCG(uint64(o), 5))
				sent := make(map[string]int)
				publish := func(name string) {
					w.publish(p, name, strings.Repeat("x", 100))
					sent[name]++
				}
				w.net.Path("p", "sub").Stall()
				for range 1000 {
					name := []string{"a.1", "a.2", "a.3", "b", "bb", "c", "d"}[rnd.IntN(7)]
					if sent["a.3"] > 5 && name == "a.3" {
						continue // few of them, at the beginning
					}
					publish(name)
				}
				w.net.Heal()
				w.after(2 * time.Second)
				for name := range sent {
					publish(name) // what tells
				}
				got, missed := make(map[string]int), make(map[string]uint64)
				for _, m := range s.messages() {
					got[m.Topic]++
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				for _, ev := range s.events {
					if g, ok := ev.(*bus.Gap); ok {
						missed[g.Topic] += g.Missed
					}
				}
				for _, name := range []string{"a.1", "a.2", "a.3", "b"} {
					lost := uint64(sent[name] - got[name])
					if (lost > 0) != (missed[name] > 0) || missed[name] > lost {
						t.Errorf("of %s %d were lost, %d reported", name, lost, missed[name])
					}
					delete(missed, name)
				}
				if len(missed) > 0 || got["c"]+got["d"] > 0 {
					t.Errorf("missed of others: %v, got %v", missed, got)
				}
			})
		})
	}
}

// Under Block, Publish waits for room, for as long as its context allows.
func TestBlockAtThePublisher(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: bus.Block}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		other := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Network: w.network("other"), Filter: topic.Exact("other"),
		}).record().ready()
		s.take()
		w.net.Path("p", "sub").Stall()
		cause := errors.New("no more patience")
		n := 0
		for {
			began := time.Now()
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, cause)
			err := p.Publish(ctx, "t", make([]byte, 100))
			cancel()
			if err != nil {
				if !errors.Is(err, cause) || !strings.Contains(err.Error(), p.Stats().Peers[0].Remote) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took != time.Second {
					t.Errorf("it waited %v", took)
				}
				break
			}
			if took := time.Since(began); took != 0 {
				t.Fatalf("event %d waited %v", n, took)
			}
			n++
		}
		if q := p.Stats().Peers[0]; q.QueuedMessages != 20 || q.DroppedMessages != 0 {
			t.Errorf("%+v", q)
		}
		if got := p.Stats().Messages; got != uint64(n) {
			t.Errorf("%d events are counted, %d were published: nobody gets one that failed", got, n)
		}

		// Topics that the slow one does not want are not held up.
		s.Remove(topic.Everything())
		s.Add(topic.Exact("t"))
		synctest.Wait()
		w.publish(p, "other", "")
		if got := len(other.messages()); got != 1 {
			t.Errorf("%d messages for others", got)
		}

		// Room comes.
		began := time.Now()
		time.AfterFunc(2*time.Second, w.net.Heal)
		w.publish(p, "t", "")
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it waited %v for room", took)
		}
		w.after(2 * time.Second)
		if got := len(s.messages()); got != n+1 || s.missed() != 0 {
			t.Errorf("%d of %d messages, %d missed", got, n+1, s.missed())
		}

		// The peer goes: nobody is waited for.
		w.net.Path("p", "sub").Stall()
		time.AfterFunc(time.Second, w.net.Link("p", "sub").Cut)
		began = time.Now()
		for range 1000 {
			w.publish(p, "t", strings.Repeat("x", 100))
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it waited %v for a peer that was cut after 1s", took)
		}
	})
}

// Several that wait for room all get it.
func TestBlockManyPublishers(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 3, Overflow: bus.Block}})
		s := w.subscriber(bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(at("p"))}, Queue: bus.Queue{Messages: 2},
		}).record().ready()
		s.take()
		var wg sync.WaitGroup
		const each = 300
		for range 6 {
			wg.Go(func() { w.burst(p, each) })
		}
		wg.Wait()
		w.after(time.Second)
		if n := s.account(0, 6*each); n != 6*each {
			t.Errorf("%d messages, want %d", n, 6*each)
		}
	})
}

// A peer that takes nothing holds up no other, and no heartbeat.
func TestStalledPeerHoldsUpNobody(t *testing.T) {
	for _, o := range []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Disconnect, bus.Conflate} {
		t.Run(o.String(), func(t *testing.T) {
			inNarrowWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: o}})
				var subs []*recorder
				for i := range 5 {
					s := w.subscriber(bus.SubscriberConfig{
						Sources: []bus.Source{bus.From(at("p"))}, Network: w.network(fmt.Sprint("s", i)),
					}).record().ready()
					s.take()
					subs = append(subs, s)
				}
				w.net.Path("p", "s2").Stall()
				began := time.Now()
				for range 100 {
					w.burst(p, 10)
					synctest.Wait()
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("publishing was held up for %v", took)
				}
				for i, s := range subs {
					if i != 2 {
						if n := s.account(0, 1000); n != 1000 {
							t.Errorf("subscriber %d got %d", i, n)
						}
					}
				}
			})
		})
	}
}

// Heartbeats are let into a full queue. So when the peer reads again it learns at
// once what it has missed, and that its publisher was alive all the time.
func TestHeartbeatsInAFullQueue(t *testing.T) {
	for _, o := range []bus.Overflow{bus.DropNewest, bus.DropOldest, bus.Conflate} {
		t.Run(o.String(), func(t *testing.T) {
			inNarrowWorld(t, func(w *world) {
				p := w.publisher("p", bus.PublisherConfig{Queue: bus.Queue{Messages: 20, Overflow: o}})
				s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
				began := time.Now()
				w.net.Path("p", "sub").Stall()
				w.burst(p, 1000)
				w.after(2500 * time.Millisecond)
				w.burst(p, 1000)
				if n := s.Publishers()[0].Seq; n != 0 {
					t.Fatalf("seq %d came through a stalled path", n)
				}
				w.net.Heal()
				synctest.Wait() // and no time passes
				info := s.Publishers()[0]
				if info.Seq != 1000 || info.Heartbeat.Sub(began) != 2500*time.Millisecond {
					t.Errorf("the heartbeats from while the queue was full say seq %d", info.Seq)
				}
				if got := uint64(len(s.messages())) + s.missed(); got < 1000 {
					t.Errorf("%d events are accounted for at once", got)
				}
				w.after(time.Second)
				if got := uint64(len(s.messages())) + s.missed(); got != 2000 {
					t.Errorf("%d events are accounted for", got)
				}
			})
		})
	}
}

// A backlog does not make a subscriber that reads slowly take its publisher for dead.
func TestBacklogIsNotDeath(t *testing.T) {
	inNarrowWorld(t, func(w *world) {
		p := w.publisher("p", bus.PublisherConfig{Heartbeat: 100 * time.Millisecond, Queue: bus.Queue{Messages: 1000}})
		s := w.subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(at("p"))}}).record().ready()
		s.take()
		w.net.Path("p", "sub").Set(memnet.Conditions{Bandwidth: 20_000})
		var n uint64
		for range 100 {
			w.burst(p, 100)
			n += 100
			w.after(100 * time.Millisecond)
		}
		w.after(time.Minute)
		if got := s.account(0, n); got < 1000 {
			t.Errorf("%d of %d were received", got, n)
		}
		for _, word := range s.seen() {
			if strings.HasPrefix(word, "stale") || strings.HasPrefix(word, "disconnected") {
				t.Fatal(word)
			}
		}
	})
}
