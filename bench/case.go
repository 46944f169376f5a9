package main

// A Measure is what is measured in a case.
type Measure string

const (
	measureFlow  Measure = "flow"  // delivered events per second
	measureCost  Measure = "cost"  // time per event published that nobody wants
	measureTrip  Measure = "trip"  // round-trip times
	measureFirst Measure = "first" // from subscribing to the first event
	measureIdle  Measure = "idle"  // memory per connection
)

// A Metric is one figure of a measure; a measure's first is its main one.
type Metric struct {
	Name  string
	Unit  string
	Lower bool // less is better
}

// metrics lists what a measure yields.
func (m Measure) metrics() []Metric {
	switch m {
	case measureCost:
		return []Metric{{"time per event", "ns", true}}
	case measureTrip:
		return []Metric{{"p50", "µs", true}, {"p99", "µs", true}, {"p99.9", "µs", true}}
	case measureFirst:
		return []Metric{{"p50", "µs", true}, {"slowest", "µs", true}}
	case measureIdle:
		return []Metric{{"publisher side", "KiB", true}, {"subscriber side", "KiB", true}}
	default:
		return []Metric{{"delivered", "events/s", false}}
	}
}

// A Case is one comparison between all systems.
type Case struct {
	Group   string // the table it goes to
	Name    string // its name in there
	Measure Measure

	Transport string
	Size      int // bytes of payload
	Pubs      int
	Subs      int
	Topics    int
	Cold      int  // subscriptions that match nothing, besides the one that does
	Half      bool // round trips under half the load that the system can carry

	Quick bool // in the short run too
}

// ID is what -cases matches.
func (c *Case) ID() string { return c.Group + "/" + c.Name }

// window is how many events may be under way in a system that cannot hold its
// publisher back: at most what the system asks for, and few enough that no
// queue grows past 32 MiB (a broker's limit for a slow client is 64).
func (c *Case) window(most int) int {
	return max(32, min(most, 32<<20/(c.Subs*(c.Size+64))))
}

// halfLoad is the flow whose rate the round trips under load take half of.
var halfLoad = &Case{Group: "payload, tcp", Name: "64 B", Measure: measureFlow,
	Transport: "tcp", Size: 64, Pubs: 1, Subs: 1, Topics: 1, Quick: true}

// groupNote says above a table what it shows.
var groupNote = map[string]string{
	"payload, tcp":      "One publisher to one subscriber in another process, over 127.0.0.1.",
	"payload, ipc":      "The same over a Unix socket.",
	"payload, inproc":   "Publisher and subscriber in one process, on two threads or goroutines.",
	"fan-out, tcp":      "One publisher, N subscribers with a connection each in one other process, 64 B. The sum over all subscribers.",
	"fan-in, tcp":       "Eight publishers in one process, one subscriber connected to all of them in another, 64 B.",
	"topics, tcp":       "64 B, published over N topics in no order; one prefix subscribes to all of them.",
	"subscriptions":     "64 B over 1,000 topics which the subscriber wants, while it holds N subscriptions in all; the others match nothing.",
	"nobody subscribed": "64 B over 1,000 topics that nobody subscribed to, while N subscriptions to others are in force. Wall-clock time per event until the publisher has worked it off: one event in 4,096 (in fewer where a system is slow) goes through to the subscriber, and at most four of those are under way.",
	"round trip":        "64 B, publish to publish: there through one publisher, back through another process's. Idle: the next ping leaves when the last is back. Half load: one ping each ms in a flow of half the system's own rate (" + halfLoad.Group + ", " + halfLoad.Name + ", same round) through the same publisher.",
	"first event":       "From the call that opens a subscriber to its first event, in a running process, from a publisher that is up and publishes every 100 µs.",
	"idle memory":       "Growth of resident memory per connected subscriber with one subscription, after a forced collection, in the process that publishes (with a broker: the broker) and in the one that subscribes. The kernel's socket buffers are not in it.",
}

// A sweep is a value of what a group varies; quick ones are in the short run.
type sweep struct {
	name  string
	n     int
	quick bool
}

// cases lists all, or those of the short run, in the order they run: flows
// before the round trips that need their rates.
func cases(quick bool) []*Case {
	var all []*Case
	add := func(c Case) {
		if c.Quick || !quick {
			all = append(all, &c)
		}
	}
	idle, idleName := 5000, "5,000 subscribers"
	if quick {
		idle, idleName = 500, "500 subscribers"
	}

	for _, transport := range []string{"tcp", "ipc", "inproc"} {
		for _, s := range []sweep{{"16 B", 16, false}, {"64 B", 64, true}, {"256 B", 256, false}, {"1 KiB", 1 << 10, false}, {"16 KiB", 16 << 10, false}} {
			add(Case{Group: "payload, " + transport, Name: s.name, Measure: measureFlow, Transport: transport,
				Size: s.n, Pubs: 1, Subs: 1, Topics: 1, Quick: s.quick || transport == "tcp"})
		}
	}
	for _, s := range []sweep{{"8 subscribers", 8, true}, {"64 subscribers", 64, true}, {"1,000 subscribers", 1000, false}} {
		add(Case{Group: "fan-out, tcp", Name: s.name, Measure: measureFlow, Transport: "tcp",
			Size: 64, Pubs: 1, Subs: s.n, Topics: 1, Quick: s.quick})
	}
	add(Case{Group: "fan-in, tcp", Name: "8 publishers", Measure: measureFlow, Transport: "tcp",
		Size: 64, Pubs: maxPubs, Subs: 1, Topics: 1, Quick: true})
	for _, s := range []sweep{{"1 topic", 1, false}, {"1,000 topics", 1000, true}, {"100,000 topics", 100_000, false}} {
		add(Case{Group: "topics, tcp", Name: s.name, Measure: measureFlow, Transport: "tcp",
			Size: 64, Pubs: 1, Subs: 1, Topics: s.n, Quick: s.quick})
	}
	for _, s := range []sweep{{"1 subscription", 1, false}, {"1,000 subscriptions", 1000, true}, {"100,000 subscriptions", 100_000, false}} {
		add(Case{Group: "subscriptions", Name: s.name, Measure: measureFlow, Transport: "tcp",
			Size: 64, Pubs: 1, Subs: 1, Topics: 1000, Cold: s.n - 1, Quick: s.quick})
	}
	for _, s := range []sweep{{"1 subscription", 1, true}, {"1,000 subscriptions", 1000, true}, {"100,000 subscriptions", 100_000, false}} {
		add(Case{Group: "nobody subscribed", Name: s.name, Measure: measureCost, Transport: "tcp",
			Size: 64, Pubs: 1, Subs: 1, Topics: 1000, Cold: s.n - 1, Quick: s.quick})
	}
	trip := Case{Group: "round trip", Name: "idle", Measure: measureTrip, Transport: "tcp",
		Size: 64, Pubs: 1, Subs: 1, Topics: 1, Quick: true}
	add(trip)
	trip.Name, trip.Half = "half load", true
	add(trip)
	add(Case{Group: "first event", Name: "tcp", Measure: measureFirst, Transport: "tcp",
		Size: 64, Pubs: 1, Subs: 1, Topics: 1, Quick: true})
	add(Case{Group: "idle memory", Name: idleName, Measure: measureIdle, Transport: "tcp",
		Size: 64, Pubs: 1, Subs: idle, Topics: 1, Quick: true})
	return all
}
