package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The topics of all cases. Flow events go to hot topics, which every
// subscriber wants. Cold subscriptions match nothing that is ever published;
// their names sort before the hot ones, because libzmq and zmq4 send a new
// connection its subscriptions in byte order: whoever gets a hot event
// therefore has all its subscriptions in force.
const (
	hotPrefix   = "bench."
	backPrefix  = "back." // the way back of a round trip
	quietPrefix = "quiet."
	coldPrefix  = "aside."
)

// A Role is what a child process does.
type Role string

const (
	roleServer    Role = "server"    // runs the broker of a system that needs one
	rolePublish   Role = "publish"   // publishes as fast as it may
	roleBoth      Role = "both"      // rolePublish with its subscribers in the same process
	roleSubscribe Role = "subscribe" // counts what it gets
	roleCost      Role = "cost"      // publishes on topics which nobody subscribed to
	rolePing      Role = "ping"      // measures round trips
	roleEcho      Role = "echo"      // sends pings back
	roleSteady    Role = "steady"    // publishes an event every 100 µs
	roleFirst     Role = "first"     // subscribes again and again, measures the time to the first event
	roleIdle      Role = "idle"      // publishes until all are ready, then nothing
)

// Spec tells a child process what to do. It travels as arguments key=value,
// which the C program reads too.
type Spec struct {
	System    string
	Role      Role
	Transport string // "tcp", "ipc", "inproc"
	Dir       string // where Unix sockets go
	Shared    string // the file of the counters
	Server    string // the broker's endpoint, for a system that has one

	Size   int    // bytes of payload, at least 16
	Frames int    // frames of an event: 2, or 3 with 36 bytes of meta
	Pubs   int    // publishers in the publishing process, at most maxPubs
	Subs   int    // subscribers of the case
	Slot   int    // this process's first subscriber slot in the counters
	Topics int    // how many topics the flow goes over
	Prefix string // flow topics are Prefix + number
	Ask    string // where control events go: a topic that the other side wants
	Filter string // the prefix that this process subscribes to
	Cold   int    // further subscriptions, which match nothing
	Window int    // events under way before the publisher waits; 0: the system holds it back
	Rate   int    // background events per second of rolePing; 0: none, idle

	Warm time.Duration // time before rolePing and roleFirst begin to measure
	Time time.Duration // how long they measure
}

// fields lists the arguments, for writing and for reading.
func (s *Spec) fields() []struct {
	key   string
	value any
} {
	return []struct {
		key   string
		value any
	}{
		{"system", &s.System}, {"role", (*string)(&s.Role)}, {"transport", &s.Transport},
		{"dir", &s.Dir}, {"shared", &s.Shared}, {"server", &s.Server},
		{"size", &s.Size}, {"frames", &s.Frames}, {"pubs", &s.Pubs}, {"subs", &s.Subs},
		{"slot", &s.Slot}, {"topics", &s.Topics}, {"prefix", &s.Prefix}, {"ask", &s.Ask},
		{"filter", &s.Filter}, {"cold", &s.Cold}, {"window", &s.Window}, {"rate", &s.Rate},
		{"warm_ns", (*int64)(&s.Warm)}, {"time_ns", (*int64)(&s.Time)},
	}
}

// Args is the spec as command-line arguments.
func (s *Spec) Args() []string {
	var args []string
	for _, f := range s.fields() {
		var text string
		switch v := f.value.(type) {
		case *string:
			text = *v
		case *int:
			text = strconv.Itoa(*v)
		case *int64:
			text = strconv.FormatInt(*v, 10)
		}
		args = append(args, f.key+"="+text)
	}
	return args
}

// parseSpec reads what Args wrote.
func parseSpec(args []string) (*Spec, error) {
	s := new(Spec)
	fields := s.fields()
	for _, arg := range args {
		key, text, _ := strings.Cut(arg, "=")
		known := false
		for _, f := range fields {
			if f.key != key {
				continue
			}
			known = true
			var err error
			switch v := f.value.(type) {
			case *string:
				*v = text
			case *int:
				*v, err = strconv.Atoi(text)
			case *int64:
				*v, err = strconv.ParseInt(text, 10, 64)
			}
			if err != nil {
				return nil, fmt.Errorf("bench: argument %q: %w", arg, err)
			}
		}
		if !known {
			return nil, fmt.Errorf("bench: unknown argument %q", arg)
		}
	}
	return s, nil
}

// Topic names the flow's i-th topic.
func (s *Spec) Topic(i int) string { return s.Prefix + strconv.Itoa(i) }

// TopicNames lists the flow's topics.
func (s *Spec) TopicNames() []string {
	names := make([]string, s.Topics)
	for i := range names {
		names[i] = s.Topic(i)
	}
	return names
}

// ColdNames lists the subscriptions that match nothing.
func (s *Spec) ColdNames() []string {
	names := make([]string, s.Cold)
	for i := range names {
		names[i] = fmt.Sprintf("%s%06d", coldPrefix, i)
	}
	return names
}
