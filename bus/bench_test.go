package bus

import (
	"context"
	"fmt"
	"testing"

	"github.com/heraldbus/herald/topic"
)

// BenchmarkPublish is the way of an event up to a connection that takes everything:
// numbered, encoded, routed, queued and written.
func BenchmarkPublish(b *testing.B) {
	ctx := context.Background()
	payload := make([]byte, 64)
	for _, peers := range []int{0, 1, 8, 64} {
		p := cannedPublisher(b, peers, []string{""}, true, PublisherConfig{})
		prepared, err := p.Topic("topic.1")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("prepared/peers=%d", peers), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				prepared.Publish(ctx, payload)
			}
		})
		b.Run(fmt.Sprintf("plain/peers=%d", peers), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				p.Publish(ctx, "topic.1", payload)
			}
		})
		p.Close()
	}
}

// BenchmarkPublishSubscriptions has many subscriptions that are not for the topic.
func BenchmarkPublishSubscriptions(b *testing.B) {
	ctx := context.Background()
	payload := make([]byte, 64)
	for _, n := range []int{1, 1000, 100_000} {
		prefixes := make([]string, n)
		for i := range prefixes {
			prefixes[i] = fmt.Sprintf("topic.%06d", i)
		}
		p := cannedPublisher(b, 1, prefixes, true, PublisherConfig{})
		b.Run(fmt.Sprintf("one topic/subscriptions=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Publish(ctx, "topic.000000", payload)
			}
		})
		b.Run(fmt.Sprintf("new topics/subscriptions=%d", n), func(b *testing.B) {
			names := make([]string, 1<<17) // more than are remembered
			for i := range names {
				names[i] = fmt.Sprintf("topic.%06d", i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p.Publish(ctx, names[i&(1<<17-1)], payload)
				i++
			}
		})
		p.Close()
	}
}

// BenchmarkPublishTopics publishes on many topics in turn, of which the publisher
// remembers 65,536.
func BenchmarkPublishTopics(b *testing.B) {
	ctx := context.Background()
	payload := make([]byte, 64)
	for _, n := range []int{1, 1000, 100_000} {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("topic.%06d", i)
		}
		p := cannedPublisher(b, 1, []string{""}, true, PublisherConfig{})
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == n {
					i = 0
				}
				p.Publish(ctx, names[i], payload)
			}
		})
		p.Close()
	}
}

// BenchmarkReceive is the way of an event from the bytes of a connection to the loop.
func BenchmarkReceive(b *testing.B) {
	ctx := context.Background()
	for _, kind := range []struct {
		name   string
		size   int
		filter topic.Filter
	}{
		{"everything", 64, topic.Everything()},
		{"pattern", 64, topic.Pattern("topic.*")},
		{"large", 1024, topic.Everything()},
	} {
		for _, topics := range []int{1, 1000, 100_000} {
			run := func(name string, loop func(b *testing.B, s *Subscriber)) {
				b.Run(fmt.Sprintf("%s/%s/topics=%d", name, kind.name, topics), func(b *testing.B) {
					// At least as many events as topics, so that each is met anew.
					s := cannedSubscriber(b, newReel(max(1000, topics), topics, kind.size), SubscriberConfig{
						Filter: kind.filter, Queue: Queue{Messages: 10_000},
					})
					b.SetBytes(int64(kind.size))
					b.ReportAllocs()
					loop(b, s)
					s.Close()
				})
			}
			run("borrowing", func(b *testing.B, s *Subscriber) {
				for range s.Borrow(ctx) {
					if !b.Loop() {
						break
					}
				}
			})
			run("owning", func(b *testing.B, s *Subscriber) {
				for range s.Messages(ctx) {
					if !b.Loop() {
						break
					}
				}
			})
		}
	}
}
