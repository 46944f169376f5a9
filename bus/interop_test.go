package bus_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// A plain subscriber of libzmq gets [topic, payload, meta], and the meta is what
// docs/wire.md says it is.
func TestPyzmqReceives(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	py.do("sub = socket('SUB'); sub.connect(%q); sub.subscribe(b'weather.')", pub.Endpoints()[0])
	subscribed(t, pub, "weather.eu", 1)
	before := time.Now()
	send(t, pub, "weather.eu", "21.5") // seq 1
	send(t, pub, "stock.A", "no")      // seq 2
	send(t, pub, "weather.us", "")     // seq 3
	err := pub.PublishHeaders(t.Context(), "weather.eu", []byte("21.7"),
		bus.Header{Key: "content-type", Value: "text/plain"}, bus.Header{Key: "empty", Value: ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		topic, payload string
		seq, prev      uint64
		headers        string // as encoded
	}{
		{"weather.eu", "21.5", 1, 0, ""},
		{"weather.us", "", 3, 0, ""},
		{"weather.eu", "21.7", 4, 1, "\x02\x0ccontent-type\x0atext/plain\x05empty\x00"},
	} {
		got := py.frames("sub.recv_multipart()")
		if len(got) != 3 || got[0] != want.topic || got[1] != want.payload || len(got[2]) < 36 {
			t.Fatalf("libzmq received %q, want %+v", got, want)
		}
		m := []byte(got[2])
		flags := byte(0)
		if want.headers != "" {
			flags = 1 << 2
		}
		at := time.Unix(0, int64(binary.BigEndian.Uint64(m[28:])))
		if string(m[:3]) != "HB\x01" || m[3] != flags ||
			binary.BigEndian.Uint64(m[4:]) != uint64(pub.Incarnation()) ||
			binary.BigEndian.Uint64(m[12:]) != want.seq ||
			binary.BigEndian.Uint64(m[20:]) != want.prev ||
			at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) ||
			string(m[36:]) != want.headers {
			t.Errorf("meta % x of %+v, source %v, now %v", m, want, pub.Incarnation(), before)
		}
	}
}

// Messages of every shape that libzmq sends are events.
func TestPyzmqPublishes(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("pub = socket('XPUB'); url = bind(pub)")
	sub := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.text("url"))}})
	for got := ""; got != "\x01"; { // an XPUB sees the subscription to everything
		got = py.frames("pub.recv_multipart()")[0]
	}
	many := make([]string, 64)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, frames := range [][]string{
		{"alone"},
		{"two", "frames"},
		{"three", "frames", "more"},
		many,
		{"\xff\xfe\x00", "topic of any bytes"},
		{"empty payload", ""},
		{"", "empty topic"},
		{""},
		{"", "", "", ""},
		{"other version", "x", "HB\x02" + strings.Repeat("\x00", 33)},
		{"short meta", "x", "HB\x01\x00"},
		{"$bus", "not quite reserved"},
		{"large", strings.Repeat("x", 1<<20)},
	} {
		py.do("pub.send_multipart(%s)", pylist(frames...))
		m := sub.message()
		want := &bus.Message{Topic: frames[0], Origin: bus.Origin{Endpoint: py.text("url")}}
		payload := ""
		if len(frames) > 1 {
			payload = frames[1]
		}
		if len(frames) > 2 {
			for _, f := range frames[2:] {
				want.Extra = append(want.Extra, []byte(f))
			}
		}
		if string(m.Payload) != payload {
			t.Errorf("payload %.40q, want %.40q", m.Payload, payload)
		}
		m.Payload = nil
		if fmt.Sprint(m) != fmt.Sprint(want) {
			t.Errorf("%.200q came as %+v", frames, m)
		}
	}

	// Reserved topics are Herald's own, known ones and others.
	py.do("pub.send_multipart([b'$bus.future', b'x']); pub.send_multipart([b'$bus.heartbeat.x', b'no JSON'])")
	py.do("pub.send_multipart([b'after', b''])")
	sub.expect("after=")
	if n := sub.Stats().Malformed; n != 1 {
		t.Errorf("%d malformed messages counted, want 1", n)
	}

	// One frame too many ends the connection, which comes back.
	py.do("pub.send_multipart([b'x'] * 65)")
	if st := sub.status("disconnected").(*bus.Disconnected); !strings.Contains(fmt.Sprint(st.Err), "64 frames") {
		t.Errorf("disconnected for %v", st.Err)
	}
	sub.probe(func() { py.do("pub.send_multipart([b'probe'])") })
}

// One collector with a known address, to which programs of any kind connect.
func TestPyzmqConnectsToSubscriber(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	sub := openListener(t, bus.SubscriberConfig{
		Bind:   []string{"tcp://127.0.0.1:0"},
		Filter: topic.Any(topic.Prefix("a"), topic.Exact(probe)),
	})
	py.do("pubs = [socket('PUB') for i in range(3)]\nfor p in pubs: p.connect(%q)", sub.Endpoints()[0])
	for i := range 3 {
		sub.probe(func() { py.do("pubs[%d].send(b'probe')", i) })
		py.do("pubs[%d].send_multipart([b'b', b'no']); pubs[%d].send_multipart([b'a', b'from %d'])", i, i, i)
		m := sub.message()
		if string(m.Payload) != fmt.Sprint("from ", i) || m.Endpoint != sub.Endpoints()[0] {
			t.Errorf("received %+v", m)
		}
	}
	if n := sub.Stats().Connections; n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestPublisherConnectsToPyzmq(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("subs = [socket('SUB') for i in range(2)]\nfor s in subs: s.subscribe(b'a')")
	pub := openPublisher(t, bus.PublisherConfig{
		Connect: []string{py.text("bind(subs[0])"), py.text("bind(subs[1])")},
	})
	py.meanwhile("len(zmq.select(subs, [], [], 15))", func() {
		subscribed(t, pub, "a", 2)
		send(t, pub, "b", "no")
		send(t, pub, "a", "yes")
	})
	for i := range 2 {
		if got := py.frames("subs[%d].recv_multipart()", i); len(got) != 3 || got[0] != "a" || got[1] != "yes" {
			t.Errorf("subscriber %d received %q", i, got)
		}
	}
}

// What our subscriber says to a publisher: heartbeats first, its prefixes, then the
// question; cancels last, and only when the last of several equal filters is gone.
func TestPyzmqXPUBSeesSubscriptions(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("pub = socket('XPUB'); url = bind(pub)")
	sub := openListener(t, bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(py.text("url"))},
		Filter:  topic.Any(topic.Prefix("weather."), topic.Exact("alerts")),
	})
	hello := ""
	// sees checks what the XPUB is told; HELLO stands for a new question, OLD for
	// the one before.
	sees := func(want ...string) {
		t.Helper()
		for _, w := range want {
			got := py.frames("[pub.recv()]")[0]
			switch {
			case w == "+HELLO":
				nonce, ok := strings.CutPrefix(got, "\x01$bus.hello.")
				if !ok || len(nonce) < 16 {
					t.Fatalf("got %q, want a hello", got)
				}
				hello = got[1:]
			case w == "-OLD" && got[0] == 0 && strings.HasPrefix(got[1:], "$bus.hello.") && got[1:] != hello:
			case w[0] == '+' && got == "\x01"+w[1:]:
			case w[0] == '-' && got == "\x00"+w[1:]:
			default:
				t.Fatalf("got %q, want %s", got, w)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sees("+$bus.heartbeat.", "+alerts", "+weather.", "+HELLO")
	must(sub.Add(topic.Prefix("b")))
	sees("+b", "+HELLO", "-OLD")
	must(sub.Add(topic.Prefix("b")))
	must(sub.Remove(topic.Prefix("b"))) // one is left
	must(sub.Add(topic.Prefix("c")))
	sees("+c", "+HELLO", "-OLD")
	must(sub.Remove(topic.Prefix("b")))
	sees("-b") // fewer need no new answer

	// Answered like this, the question is taken back.
	py.do(`pub.send_multipart([%s, b'{"v":1,"name":"py","source":"00000000000000ff","seq":7,"interval_ms":1000}'])`, pybytes(hello))
	if st := sub.status("ready").(*bus.Ready); st.Publisher != "py" || st.Incarnation != 0xff {
		t.Errorf("ready came as %+v", st)
	}
	sees("-" + hello)
	sub.ready()
}

// An XSUB sends its subscriptions by hand, and other messages, which say nothing to
// a publisher.
func TestPyzmqXSUB(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	py.do("sub = socket('XSUB'); sub.connect(%q)", pub.Endpoints()[0])
	// say sends what it is told and then subscribes to mark: when that is in force,
	// so is all before it.
	say := func(mark string, messages ...string) {
		t.Helper()
		for _, m := range append(messages, "\x01"+mark) {
			py.do("sub.send(%s)", pybytes(m))
		}
		subscribed(t, pub, mark, 1)
		send(t, pub, "a", "to "+mark)
		send(t, pub, mark, "")
	}
	receives := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := py.frames("sub.recv_multipart()"); got[0]+"="+got[1] != w {
				t.Fatalf("received %q, want %s", got, w)
			}
		}
	}
	say("one", "\x01a")
	receives("a=to one", "one=")
	say("two", "\x00a", "\x00never")
	receives("two=")
	py.do("sub.send_multipart([b'\\x01no', b'subscription'])")
	say("three", "\x01a", "\x01a", "\x00a", "\x02", "words", "")
	receives("a=to three", "three=")
	if st := pub.Stats(); st.Subscriptions != 4 || st.RefusedSubscriptions != 0 {
		t.Errorf("%+v, want 4 subscriptions", st)
	}
}

// A SUB of libzmq tells every subscription, but of equal ones only the last cancel.
func TestPyzmqUnsubscribes(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	py.do("sub = socket('SUB'); sub.connect(%q)", pub.Endpoints()[0])
	py.do("for p in (b'a', b'b', b'b', b'one'): sub.subscribe(p)")
	subscribed(t, pub, "one", 1)
	py.do("sub.unsubscribe(b'a'); sub.unsubscribe(b'b'); sub.subscribe(b'two')")
	subscribed(t, pub, "two", 1)
	if n := pub.Stats().Subscriptions; n != 3 {
		t.Errorf("%d subscriptions, want those to b, one and two", n)
	}
	for _, name := range []string{"a", "b", "two"} {
		send(t, pub, name, "")
	}
	for _, want := range []string{"b", "two"} {
		if got := py.frames("sub.recv_multipart()")[0]; got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestPyzmqManySubscriptions(t *testing.T) {
	t.Parallel()
	const n = 10_000
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	// By default libzmq drops the subscriptions for which its queue has no room.
	py.do("sub = socket('SUB', SNDHWM=0, RCVHWM=0); sub.connect(%q)\nfor i in range(%d): sub.subscribe(b'%%d.' %% i)", pub.Endpoints()[0], n)
	subscribed(t, pub, fmt.Sprint(n-1, ".x"), 1)
	if got := pub.Stats().Subscriptions; got != n {
		t.Errorf("%d subscriptions, want %d", got, n)
	}
	for i := range n + 1 {
		send(t, pub, fmt.Sprint(n-i, ".x"), "") // nobody wants the first
	}
	got := py.frames("[sub.recv_multipart()[0] for i in range(%d)]", n)
	for i, name := range got {
		if name != fmt.Sprint(n-1-i, ".x") {
			t.Fatalf("event %d is %q", i, name)
		}
	}
	py.do("for i in range(%d): sub.unsubscribe(b'%%d.' %% i)\nsub.subscribe(b'end')", n)
	subscribed(t, pub, "end", 1)
	if got := pub.Stats().Subscriptions; got != 1 {
		t.Errorf("%d subscriptions are left, want 1", got)
	}
}

// The tutorials' messages of one frame, as they are and taken apart.
func TestPyzmqTextMessages(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("pub = socket('PUB'); url = bind(pub)")
	url := py.text("url")
	stocks := topic.Any(topic.Prefix("weather_data"), topic.Prefix("stock_update AAPL"))
	listeners := map[*listener][]string{
		openListener(t, bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(url)},
			Filter:  topic.Any(stocks, topic.Exact(probe)),
		}): {"weather_database 2=", "weather_data 12 45=", "stock_update AAPL 189.5="},
		openListener(t, bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(url).Framed(bus.TextFraming)},
			Filter:  topic.Any(stocks, topic.Exact(probe)),
		}): {"weather_database=2", "weather_data=12 45", "stock_update=AAPL 189.5"},
		openListener(t, bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(url).Framed(bus.TextFraming)},
			Filter:  topic.Any(topic.Exact("weather_data"), topic.Exact(probe)),
		}): {"weather_data=12 45"},
		openListener(t, bus.SubscriberConfig{
			Sources: []bus.Source{bus.From(url)},
			Filter:  topic.Any(topic.Prefix("1"), topic.Exact(probe)),
		}): {"1-Update! 7=", "1-Update! 9="},
	}
	for l := range listeners {
		l.probe(func() { py.do("pub.send(b'probe')") })
	}
	for _, text := range []string{
		"weather 1", "weather_database 2", "weather_data 12 45", "stock_update MSFT 400", "stock_update AAPL 189.5",
		"1-Update! 7", "2-Update! 8", "1-Update! 9",
	} {
		py.do("pub.send(%s)", pybytes(text))
	}
	for l, want := range listeners {
		l.expect(want...)
	}
}

// Both sides understand each other's endpoints, and how they print them.
func TestPyzmqTransports(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	dir := t.TempDir()
	// Where ours binds, and where libzmq does.
	endpoints := [][2]string{
		{"tcp://*:0", "tcp://*:*"},
		{"tcp://localhost:*", "tcp://127.0.0.1:*"},
		{"ipc://" + filepath.Join(dir, "a"), "ipc://" + filepath.Join(dir, "b")},
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		endpoints = append(endpoints, [2]string{"tcp://[::1]:0", "tcp://[::1]:*"})
	} else {
		t.Logf("IPv6 is not tested: %v", err)
	}
	if runtime.GOOS == "linux" {
		name := fmt.Sprintf("ipc://@herald-%d-", py.cmd.Process.Pid)
		endpoints = append(endpoints, [2]string{name + "a", name + "b"})
	}
	for _, e := range endpoints {
		pub := openPublisher(t, bus.PublisherConfig{Bind: e[:1]})
		py.do("sub = socket('SUB', IPV6=1); sub.connect(%q); sub.subscribe(b'a')", pub.Endpoints()[0])
		subscribed(t, pub, "a", 1)
		send(t, pub, "a", "to libzmq")
		if got := py.frames("sub.recv_multipart()"); got[1] != "to libzmq" {
			t.Errorf("%s: received %q", e[0], got)
		}
		py.do("pub = socket('XPUB', IPV6=%d); url = bind(pub, %q)", strings.Count(e[1], "["), e[1])
		sub := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.text("url"))}})
		sub.probe(func() { py.do("pub.send(b'probe')") })
		py.do("pub.send_multipart([b'a', b'from libzmq'])")
		sub.expect("a=from libzmq")
	}
}
