package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/topic"
)

// bad holds an error against the names of the fields that it must tell of.
func bad(t *testing.T, err error, typ string, names ...string) {
	t.Helper()
	var ce *ConfigError
	if !errors.As(err, &ce) || ce.Type != typ {
		t.Fatalf("error %v", err)
	}
	if len(ce.Fields) != len(names) {
		t.Errorf("%d fields are bad, want %d:\n%v", len(ce.Fields), len(names), err)
	}
	for _, name := range names {
		n := 0
		for _, e := range ce.Fields {
			if strings.HasPrefix(e.Error(), name+" ") || strings.HasPrefix(e.Error(), name+":") {
				n++
			}
		}
		if n != 1 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is named %d times in\n%v", name, n, err)
		}
	}
}

var badLimits = Limits{
	FrameBytes: -1, Frames: -2, MessageBytes: -3, Connections: -4, Handshakes: -5,
	HandshakeTimeout: -6, Subscriptions: -7, SubscriptionBytes: -8,
}

var limitNames = []string{
	"Limits.FrameBytes", "Limits.Frames", "Limits.MessageBytes", "Limits.Connections", "Limits.Handshakes",
	"Limits.HandshakeTimeout", "Limits.Subscriptions", "Limits.SubscriptionBytes",
}

// Everything that is wrong is named at once.
func TestPublisherConfigNamesAllThatIsBad(t *testing.T) {
	_, err := NewPublisher(PublisherConfig{
		Name:       "with space",
		Bind:       []string{"tcp://127.0.0.1:0", "localhost:1"},
		Connect:    []string{"udp://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0"},
		Advertise:  []string{""},
		Heartbeat:  time.Microsecond,
		Queue:      Queue{Messages: -1, Bytes: -1, Overflow: 99, Patience: -1},
		Keep:       Keep{Bytes: -1, Age: -1},
		Retain:     Retain{Topics: -1, Bytes: -1, Lifespan: -1},
		TopicCache: -1,
		Limits:     badLimits,
		Reconnect:  Reconnect{Min: -1, Max: -2},
	})
	bad(t, err, "PublisherConfig", append([]string{
		"Name", "Bind[1]", "Connect[0]", "Connect[2]", "Advertise", "Heartbeat", "Queue.Messages", "Queue.Bytes", "Queue.Overflow", "Queue.Patience",
		"Keep.Bytes", "Keep.Age", "Retain.Topics", "Retain.Bytes", "Retain.Lifespan", "TopicCache", "Reconnect.Min", "Reconnect.Max",
	}, limitNames...)...)
	if !errors.Is(err, heartbeat.ErrInvalid) {
		t.Error("the cause of one of them is not wrapped")
	}
}

func TestSubscriberConfigNamesAllThatIsBad(t *testing.T) {
	_, err := NewSubscriber(SubscriberConfig{
		Sources: []Source{
			From("tcp://127.0.0.1:1", "nonsense").ReturnAfter(-1), From(), Redundant("tcp://127.0.0.1:1").Window(0),
		},
		Bind:   []string{"ipc://"},
		Filter: topic.Pattern("a..b"),
		// Its own check names what is bad in it.
		Liveness:   heartbeat.Config{Stale: -1, Silence: -1},
		Deadlines:  []Deadline{{Filter: topic.Exact("a"), Within: time.Second}, {Filter: topic.Exact("a"), Topics: []string{"b"}}},
		Lifespan:   -1,
		Queue:      Queue{Messages: -1, Bytes: -1, Overflow: -1, Patience: time.Second},
		TopicCache: -1,
		Limits:     badLimits,
		Reconnect:  Reconnect{Min: 2 * time.Second, Max: time.Second},
	})
	bad(t, err, "SubscriberConfig", append([]string{
		"Sources[0][1]", "Sources[0].ReturnAfter", "Sources[1]", "Sources[2].Window", "Bind[0]", "Filter", "Liveness",
		"Deadlines[1].Within", "Deadlines[1].Topics", "Lifespan",
		"Queue.Messages", "Queue.Bytes", "Queue.Overflow", "Queue.Patience", "TopicCache", "Reconnect.Max",
	}, limitNames...)...)
	if !errors.Is(err, topic.ErrInvalid) {
		t.Error("the cause of one of them is not wrapped")
	}
}

// The defaults are those that the fields' comments name.
func TestConfigDefaults(t *testing.T) {
	var p PublisherConfig
	pe, err := p.check()
	if err != nil {
		t.Fatal(err)
	}
	var s SubscriberConfig
	se, err := s.check()
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{
		FrameBytes: 64 << 10, Frames: 64, MessageBytes: 128 << 10, Connections: 65_536, Handshakes: 1024,
		HandshakeTimeout: 5 * time.Second, Subscriptions: 1_000_000, SubscriptionBytes: 64 << 20,
	}
	for _, x := range []struct {
		name      string
		got, want any
	}{
		{"Heartbeat", p.Heartbeat, time.Second},
		{"Linger", p.Linger, time.Second},
		{"TopicCache", p.TopicCache, 65_536},
		{"Queue", p.Queue, Queue{Messages: 100_000, Bytes: 64 << 20, Overflow: DropNewest}},
		{"Keep", p.Keep, Keep{Messages: 10_000, Bytes: 64 << 20}},
		{"Limits", p.Limits, limits},
		{"Reconnect.Min", pe.Backoff.Min, 100 * time.Millisecond},
		{"Reconnect.Max", pe.Backoff.Max, 5 * time.Second},
		{"subscriber's TopicCache", s.TopicCache, 65_536},
		{"subscriber's Queue", s.Queue, Queue{Messages: 100_000, Bytes: 64 << 20, Overflow: Block}},
		{"subscriber's Filter", s.Filter.Equal(topic.Everything()), true},
		{"subscriber's FrameBytes", s.Limits.FrameBytes, 64 << 20},
		{"subscriber's MessageBytes", s.Limits.MessageBytes, 64<<20 + 64<<10},
		{"subscriber's Reconnect", se.Backoff, pe.Backoff},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s is %+v, want %+v", x.name, x.got, x.want)
		}
	}
	// A name is made up, and never twice the same.
	var q PublisherConfig
	if _, err := q.check(); err != nil || q.Name == p.Name || !regexp.MustCompile(`^[A-Za-z0-9_-]+-\d+-[0-9a-f]{8}$`).MatchString(p.Name) {
		t.Errorf("names %q and %q, %v", p.Name, q.Name, err)
	}
	// Max follows Min where that is more.
	r := PublisherConfig{Reconnect: Reconnect{Min: time.Minute}}
	if re, err := r.check(); err != nil || re.Backoff.Max != time.Minute {
		t.Errorf("%+v, %v", re.Backoff, err)
	}
	// What is set stays as it is.
	x := PublisherConfig{Heartbeat: -1, Linger: -1, Queue: Queue{Messages: 1, Bytes: 1, Overflow: Block}, TopicCache: 1, Limits: Limits{MessageBytes: 5}}
	if _, err := x.check(); err != nil || x.Heartbeat >= 0 || x.Linger >= 0 || x.Queue.Messages != 1 || x.Queue.Overflow != Block || x.TopicCache != 1 || x.Limits.MessageBytes != 5 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestOverflowNames(t *testing.T) {
	for o := OverflowDefault; int(o) < len(overflowNames); o++ {
		if got, err := ParseOverflow(o.String()); got != o || err != nil {
			t.Errorf("%v is read as %v, %v", o, got, err)
		}
	}
	if _, err := ParseOverflow("drop"); err == nil || !strings.Contains(err.Error(), `"drop"`) || !strings.Contains(err.Error(), "drop-oldest") {
		t.Errorf("error %v", err)
	}
	if s := Overflow(99).String(); s != "Overflow(99)" {
		t.Error(s)
	}
}

// A configuration is copied: what its owner does with it later is of no matter, and
// it stays as it was.
func TestConfigIsCopied(t *testing.T) {
	pc := PublisherConfig{
		Name: "p", Bind: []string{"tcp://127.0.0.1:0"}, Advertise: []string{"tcp://a:1"}, Heartbeat: time.Millisecond,
		Retain: Retain{Prefixes: []string{"r."}},
	}
	p, err := NewPublisher(pc)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	sc := SubscriberConfig{
		Bind: []string{"tcp://127.0.0.1:0"}, Sources: []Source{From(p.Endpoints()...)},
		Deadlines: []Deadline{{Filter: topic.Exact("d"), Within: time.Hour, Topics: []string{"d"}}},
	}
	s, err := NewSubscriber(sc)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if pc.Bind[0] != "tcp://127.0.0.1:0" || sc.Bind[0] != "tcp://127.0.0.1:0" {
		t.Error("the caller's own slices were written to")
	}
	// The race detector sees who still reads them.
	pc.Bind[0], pc.Advertise[0], pc.Retain.Prefixes[0] = "x", "x", "x"
	sc.Bind[0], sc.Sources[0], sc.Deadlines[0].Topics[0] = "x", Source{}, "x"
	p.Endpoints()[0] = "x"
	s.Endpoints()[0] = "x"
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, err := range s.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Publishers()) > 0 {
			break // it has sent heartbeats
		}
	}
	if e := p.Endpoints()[0]; e == "x" || s.Endpoints()[0] == "x" {
		t.Error("endpoints were overwritten")
	}
	if err := p.Publish(ctx, "r.1", nil); err != nil {
		t.Error(err)
	}
	for _, info := range s.Publishers() {
		if len(info.Advertise) != 1 || info.Advertise[0] != "tcp://a:1" {
			t.Errorf("advertised are %q", info.Advertise)
		}
	}
}

func TestBindFails(t *testing.T) {
	p, err := NewPublisher(PublisherConfig{Bind: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	taken := p.Endpoints()[0]
	check := func(err error) {
		t.Helper()
		var ep *EndpointError
		if !errors.As(err, &ep) || ep.Op != "bind" || ep.Endpoint != taken || !strings.HasPrefix(err.Error(), "bus: bind "+taken) {
			t.Errorf("error %v", err)
		}
	}
	_, err = NewPublisher(PublisherConfig{Bind: []string{"tcp://127.0.0.1:0", taken}, Connect: []string{"tcp://127.0.0.1:1"}})
	check(err)
	_, err = NewSubscriber(SubscriberConfig{Bind: []string{"tcp://127.0.0.1:0", taken}})
	check(err)
}

// What an inbox dropped, and every other status, reaches the logger.
func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	s := &Subscriber{log: log, cfg: SubscriberConfig{}, main: newInbox(Queue{Messages: 1, Bytes: 1000, Overflow: DropNewest}, topic.Everything())}
	s.life.init()
	s.main.push(newFeeder("p").ones(3), nil)
	s.main.end()
	n := 0
	for _, err := range s.Messages(context.Background()) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); n != 1 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "status=gap") || !strings.Contains(got, "2 events of p") {
		t.Errorf("%d messages, logged is %s", n, got)
	}
}

func TestStatusText(t *testing.T) {
	o := Origin{Publisher: "p", Incarnation: 0xabc, Endpoint: "tcp://h:1"}
	c := Change{Origin: o}
	for _, tt := range []struct {
		status Status
		kind   string
		text   string
	}{
		{&Connected{c, "1.2.3.4:5"}, "connected", "connected to tcp://h:1"},
		{&Ready{c}, "ready", "p at tcp://h:1 is ready"},
		{&Ready{Change{Origin: Origin{Endpoint: "tcp://h:1"}}}, "ready", "tcp://h:1 is ready"},
		{&Disconnected{c, ErrStale}, "disconnected", "disconnected from tcp://h:1: bus: no sign of life"},
		{&Stale{c, 3250400 * time.Microsecond}, "stale", "p at tcp://h:1 is stale: silent for 3.25s"},
		{&Recovered{c, time.Minute}, "recovered", "p at tcp://h:1 has recovered after 1m0s of silence"},
		{&Restarted{c, 0x1}, "restarted", "p at tcp://h:1 has restarted: incarnation 0000000000000abc, was 0000000000000001"},
		{&Gone{c}, "gone", "p at tcp://h:1 has said goodbye"},
		{&Switched{c, "tcp://h:1", "tcp://h:2"}, "failover", "failover from tcp://h:1 to tcp://h:2"},
		{&Gap{c, "", 3, true, 4, 8}, "gap", "gap: 3 events of p at tcp://h:1 missed, after 4, before 8"},
		{&Gap{c, "t", 1, false, 0, 8}, "gap", `gap: at least 1 events on "t" of p at tcp://h:1 missed, after 0, before 8`},
		{&Overdue{c, "t", time.Second}, "overdue", `no event on "t" for 1s`},
	} {
		if tt.status.Kind() != tt.kind || tt.status.String() != tt.text {
			t.Errorf("%s: %s\nwant %s", tt.status.Kind(), tt.status, tt.text)
		}
		if got, _ := tt.status.About(); got.Endpoint != "tcp://h:1" {
			t.Errorf("%s is about %v", tt.kind, got)
		}
		var ev Event = tt.status
		if _, ok := ev.(fmt.Stringer); !ok {
			t.Errorf("%s does not print", tt.kind)
		}
	}
}
