// Package bus is Herald's event bus: publishers that send events by topic, and
// subscribers that receive those that pass their filter, directly from each
// other over ZeroMQ's PUB/SUB wire protocol, without a broker.
//
// There are three things to know. A [Publisher] binds or connects to endpoints
// and publishes. A [Subscriber] takes events from one or many publishers. What it
// yields is an [Event]: a [*Message], or a change in the state of a publisher or
// a connection ([*Stale], [*Restarted], [*Gap] and others), all in one order.
//
//	pub, err := bus.NewPublisher(bus.PublisherConfig{Bind: []string{"tcp://*:5556"}})
//	err = pub.WaitSubscribers(ctx, "weather.paris", 1)
//	err = pub.Publish(ctx, "weather.paris", []byte("21.5"))
//
//	sub, err := bus.NewSubscriber(bus.SubscriberConfig{
//		Sources: []bus.Source{bus.From("tcp://localhost:5556")},
//		Filter:  topic.Pattern("weather.>"),
//	})
//	for ev, err := range sub.Events(ctx) { … }
//
// Any ZeroMQ program can be on the other side; docs/wire.md says what it sees.
//
// All types are safe for concurrent use unless they say otherwise. Payloads
// given to Publish are borrowed for the call only. Payloads received belong to
// the receiver, except with [Subscriber.Borrow], which says so in its name.
package bus
