package main

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// Herald in three ways of using it, from the fastest to the safe default.
// Everything is as in a zero configuration, heartbeats, sequence, gap detection
// and liveness included, but for the publisher's overflow policy.
var (
	heraldPrepared = newHerald("herald-prepared", "Publisher.Topic once, PreparedTopic.Publish; Subscriber.Borrow", heraldDriver{prepared: true, borrow: true})
	heraldInline   = newHerald("herald-inline", "Publisher.Topic once, PreparedTopic.Publish; Subscriber.HandleInline", heraldDriver{prepared: true, inline: true})
	heraldBorrow   = newHerald("herald-borrow", "Publisher.Publish; Subscriber.Borrow", heraldDriver{borrow: true})
	heraldOwned    = newHerald("herald-owned", "Publisher.Publish; Subscriber.Messages, which belong to the receiver", heraldDriver{})
)

func newHerald(name, use string, d heraldDriver) *System {
	return &System{
		Name: name, Kind: kindHerald, Frames: 3,
		About:    "Herald: " + use,
		Lossless: "Overflow Block: Publish waits while a subscriber's queue is full",
		Driver:   d,
		Cannot: func(c *Case) string {
			if d.inline && c.Pubs > 1 {
				return "an inline handler is called by one goroutine for each connection, which the harness does not count"
			}
			return ""
		},
	}
}

type heraldDriver struct{ prepared, borrow, inline bool }

func (d heraldDriver) Publisher(spec *Spec, i int) (Publisher, error) {
	endpoint := "tcp://127.0.0.1:0"
	switch spec.Transport {
	case "ipc":
		endpoint = "ipc://" + filepath.Join(spec.Dir, string(spec.Role)+strconv.Itoa(i))
	case "inproc":
		endpoint = "inproc://bench-" + strconv.Itoa(i)
	}
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{endpoint}, Queue: bus.Queue{Overflow: bus.Block}})
	if err != nil {
		return nil, err
	}
	p := &heraldPublisher{pub: pub, names: spec.TopicNames()}
	if !d.prepared {
		return p, nil
	}
	p.topics = make([]*bus.PreparedTopic, len(p.names))
	for i, name := range p.names {
		if p.topics[i], err = pub.Topic(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

type heraldPublisher struct {
	pub    *bus.Publisher
	names  []string
	topics []*bus.PreparedTopic // nil: publish by name
}

func (p *heraldPublisher) Endpoint() string { return p.pub.Endpoints()[0] }

func (p *heraldPublisher) Run(src *Source) error {
	ctx := context.Background()
	if p.topics != nil {
		for src.Next() {
			if err := p.topics[src.Topic].Publish(ctx, src.Payload); err != nil {
				return err
			}
		}
		return nil
	}
	for src.Next() {
		if err := p.pub.Publish(ctx, p.names[src.Topic], src.Payload); err != nil {
			return err
		}
	}
	return nil
}

func (p *heraldPublisher) Publish(topic string, payload []byte) error {
	return p.pub.Publish(context.Background(), topic, payload)
}

func (p *heraldPublisher) Close() error { return p.pub.Close() }

func (d heraldDriver) Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error) {
	var sources []bus.Source
	for _, endpoint := range endpoints {
		sources = append(sources, bus.From(endpoint))
	}
	filter := topic.Prefix(spec.Filter)
	if d.inline {
		filter = topic.None()
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Sources: sources, Filter: filter})
	if err != nil {
		return nil, err
	}
	if d.inline {
		if _, err := sub.HandleInline(topic.Prefix(spec.Filter), func(m *bus.Message) { sink.Event(m.Payload) }); err != nil {
			return nil, err
		}
	}
	never := func(context.Context, *bus.Message) error { return nil }
	for chunk := range slices.Chunk(spec.ColdNames(), 10_000) { // a filter is at most 1 MiB of text
		var cold []topic.Filter
		for _, name := range chunk {
			cold = append(cold, topic.Exact(name))
		}
		if _, err := sub.Handle(topic.Any(cold...), never); err != nil {
			return nil, err
		}
	}
	if spec.Cold > 0 {
		// The hot subscription may be the first to be in force: nothing is read
		// before all are.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := sub.Ready(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
	}
	if d.inline {
		return sub, nil
	}
	go func() {
		if d.borrow {
			for m := range sub.Borrow(context.Background()) {
				sink.Event(m.Payload)
			}
			return
		}
		for m, err := range sub.Messages(context.Background()) {
			if err != nil {
				fail(err)
				return
			}
			sink.Event(m.Payload)
		}
	}()
	return sub, nil
}
