package main

import (
	"fmt"
	"io"
)

// A Go channel between two goroutines, one event at a time and in batches:
// what a bus within a process is measured against. Payloads are copied once,
// into memory that is used again, as any bus must copy what it does not own.
var (
	goChannel = &System{
		Name: "go-channel", Kind: kindBound, Frames: 2,
		About:    "a Go channel of 4,096 events, one at a time, payload copied once",
		Lossless: "a full channel blocks",
		Driver:   &channelDriver{batch: 1},
		Cannot:   channelCannot,
	}
	goChannelBatch = &System{
		Name: "go-channel-256", Kind: kindBound, Frames: 2,
		About:    "a Go channel of 16 batches of 256 events, payload copied once",
		Lossless: "a full channel blocks",
		Driver:   &channelDriver{batch: 256},
		Cannot:   channelCannot,
	}
)

func channelCannot(c *Case) string {
	if c.Transport != "inproc" {
		return "a channel stays in its process"
	}
	return ""
}

// channelEvent is what a subscriber gets.
type channelEvent struct {
	topic   string
	payload []byte
}

// channelDriver has one publisher and one subscriber in a process.
type channelDriver struct {
	batch  int
	single chan channelEvent
	many   chan []channelEvent
}

func (d *channelDriver) Publisher(spec *Spec, i int) (Publisher, error) {
	if i > 0 {
		return nil, fmt.Errorf("a channel has one publisher here")
	}
	const depth = 4096
	d.single = make(chan channelEvent, depth)
	d.many = make(chan []channelEvent, depth/256)
	// One slot more than the channel holds is with each side.
	return &channelPublisher{channelDriver: d, topics: spec.TopicNames(), size: spec.Size,
		ring: make([]byte, (depth+2*d.batch)*spec.Size), events: make([]channelEvent, depth+2*d.batch)}, nil
}

type channelPublisher struct {
	*channelDriver
	topics []string
	size   int
	ring   []byte         // payloads, used again in turn
	events []channelEvent // the batches' events, likewise
	slot   int
}

func (p *channelPublisher) Endpoint() string { return "inproc" }

// take puts an event into the next slot of the ring.
func (p *channelPublisher) take(topic string, payload []byte) *channelEvent {
	if p.slot == len(p.events) {
		p.slot = 0
	}
	kept := p.ring[p.slot*p.size:][:p.size]
	copy(kept, payload)
	ev := &p.events[p.slot]
	ev.topic, ev.payload = topic, kept
	p.slot++
	return ev
}

func (p *channelPublisher) Run(src *Source) error {
	if p.batch == 1 {
		for src.Next() {
			p.single <- *p.take(p.topics[src.Topic], src.Payload)
		}
		return nil
	}
	from := p.align()
	for src.Next() {
		p.take(p.topics[src.Topic], src.Payload)
		if p.slot-from == p.batch {
			p.many <- p.events[from:p.slot]
			from = p.align()
		}
	}
	if p.slot > from {
		p.many <- p.events[from:p.slot]
		p.slot = from + p.batch
	}
	return nil
}

// align is where the next batch begins.
func (p *channelPublisher) align() int {
	if p.slot == len(p.events) {
		p.slot = 0
	}
	return p.slot
}

func (p *channelPublisher) Publish(topic string, payload []byte) error {
	if p.batch == 1 {
		p.single <- *p.take(topic, payload)
		return nil
	}
	from := p.align()
	p.take(topic, payload)
	p.many <- p.events[from:p.slot]
	p.slot = from + p.batch // every batch has slots of its own
	return nil
}

func (p *channelPublisher) Close() error { return nil }

func (d *channelDriver) Subscribe(_ *Spec, _ []string, sink *Sink, _ func(error)) (io.Closer, error) {
	go func() {
		if d.batch == 1 {
			for ev := range d.single {
				sink.Event(ev.payload)
			}
			return
		}
		for batch := range d.many {
			for i := range batch {
				sink.Event(batch[i].payload)
			}
		}
	}()
	return io.NopCloser(nil), nil
}
