package bus_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// wirePub is docs/wire.py as a publisher.
type wirePub struct {
	*program
	url string
}

func startWirePub(t *testing.T, name, how, url, interval string) wirePub {
	t.Helper()
	p := startPython(t, "../docs/wire.py", "pub", name, how, url, interval)
	return wirePub{p, p.line()}
}

func (p wirePub) write(lines string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, lines); err != nil {
		p.t.Fatal(err)
	}
}

// The page of Python in the documentation publishes what a subscriber of ours takes
// for one of its own kind.
func TestWirePagePublishes(t *testing.T) {
	t.Parallel()
	py := startWirePub(t, "page", "--bind", "tcp://127.0.0.1:*", "0.1")
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.url)}, Filter: topic.Prefix("weather.")}).ready()
	py.write("weather.eu 21.5\nstock.A 1\nweather.eu 21.7\nweather.us\n")
	for i, want := range []struct {
		text string
		seq  uint64
	}{{"weather.eu=21.5", 1}, {"weather.eu=21.7", 3}, {"weather.us=", 4}} {
		m := l.message()
		if m.Topic+"="+string(m.Payload) != want.text || m.Seq != want.seq || m.Publisher != "page" || m.Incarnation == 0 || m.Time.IsZero() {
			t.Errorf("event %d came as %+v", i, m)
		}
	}
	py.in.Close()
	if st := l.status("gone").(*bus.Gone); st.Publisher != "page" {
		t.Errorf("gone: %+v", st)
	}
	if st := l.Stats(); st.Missed != 0 || st.Malformed != 0 {
		t.Errorf("%+v", st)
	}
}

// And it reads what ours publish.
func TestWirePageSubscribes(t *testing.T) {
	t.Parallel()
	pub := openPublisher(t, bus.PublisherConfig{Name: "p"})
	url := pub.Endpoints()[0]
	py := startPython(t, "../docs/wire.py", "sub", url, "weather.", "alerts")
	prints := func(want ...string) {
		t.Helper()
		for _, w := range want {
			for got := ""; got != w; {
				// Who is alive is told when a heartbeat comes, at any time.
				if got = py.line(); got != w && !strings.HasPrefix(got, "alive ") {
					t.Fatalf("it printed %q, want %q", got, w)
				}
			}
		}
	}
	prints("ready p")
	for _, name := range []string{"weather.eu", "stock.A", "alerts"} {
		send(t, pub, name, "x") // none can be missed
	}
	prints("event weather.eu x 1", "event alerts x 3")
	pub.Close()
	prints("gone p")
	pub = openPublisher(t, bus.PublisherConfig{Name: "p", Bind: []string{url}})
	prints("ready p")
	send(t, pub, "alerts", "y")
	prints("event alerts y 1")
}

// It finds what is missing by the chains of prev.
func TestWirePageChecksChains(t *testing.T) {
	t.Parallel()
	peer := startPyzmq(t)
	peer.do("import struct; pub = socket('XPUB'); url = bind(pub)")
	py := startPython(t, "../docs/wire.py", "sub", peer.text("url"), "a", "b", "c", "d")
	hello := ""
	for hello == "" {
		if got := peer.frames("[pub.recv()]")[0]; strings.HasPrefix(got, "\x01$bus.hello.") {
			hello = got[1:]
		}
	}
	beat := func(topic string, source, ms int) {
		peer.do(`pub.send_multipart([%s, b'{"v":1,"name":"x","source":"%016x","seq":10,"interval_ms":%d,"bye":false}'])`, pybytes(topic), source, ms)
	}
	event := func(topic string, seq, prev int) {
		peer.do("pub.send_multipart([%s, b'', struct.pack('>2sBBQQQq', b'HB', 1, 0, 1, %d, %d, 0)])", pybytes(topic), seq, prev)
	}
	beat(hello, 1, 60_000)
	event("a", 11, 0)
	event("a", 15, 13)
	event("b", 16, 12)
	event("c", 17, 9) // from before the subscription
	event("a", 15, 13)
	event("a", 18, 15)
	peer.do("pub.send_multipart([b'd', b'foreign'])")
	beat("$bus.heartbeat.x", 2, 60_000)
	beat("$bus.heartbeat.x", 2, 1) // and then no more
	for _, want := range []string{
		"ready x", "alive x",
		"event a  11", "missed a 11 15", "event a  15", "missed b 10 16", "event b  16", "event c  17",
		"event a  18", "event d foreign None", "restarted x", "stale x",
	} {
		if got := py.line(); got != want {
			t.Fatalf("it printed %q, want %q", got, want)
		}
	}
	beat("$bus.heartbeat.x", 2, 60_000)
	if got := py.line(); got != "recovered x" {
		t.Fatalf("it printed %q", got)
	}
}

// Both sides of the page, through a forwarder.
func TestWirePageMeetsItself(t *testing.T) {
	t.Parallel()
	_, front, back := forwarder(t)
	pub := startWirePub(t, "page", "--connect", front, "0.02")
	sub := startPython(t, "../docs/wire.py", "sub", back)
	for got := ""; got != "ready page"; {
		got = sub.line()
	}
	pub.write(strings.Repeat("a 1\n", 100))
	for i := range 100 {
		got := sub.line()
		if got == "alive page" {
			got = sub.line()
		}
		if got != fmt.Sprintf("event a 1 %d", i+1) {
			t.Fatalf("it printed %q", got)
		}
	}
	pub.in.Close()
	if got := sub.line(); got != "gone page" {
		t.Fatalf("it printed %q", got)
	}
}

// The Python in docs/wire.md does what the text says.
func TestWireDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```python\n")[1:]
	if len(blocks) != 3 {
		t.Fatalf("wire.md has %d blocks of Python, this test knows 3", len(blocks))
	}
	for i := range blocks {
		blocks[i], _, _ = strings.Cut(blocks[i], "```")
	}
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	for _, i := range []int{0, 2} {
		code := strings.ReplaceAll(blocks[i], "tcp://localhost:5556", pub.Endpoints()[0])
		py.ask("do", "%s", []any{code})
		if i == 0 {
			subscribed(t, pub, "weather.eu.paris", 1)
			send(t, pub, "weather.eu.paris", "21.5")
		}
		py.answer()
		if i == 0 {
			if got := py.frames("[topic, payload]"); got[0] != "weather.eu.paris" || got[1] != "21.5" {
				t.Errorf("the subscriber received %q", got)
			}
			continue
		}
		send(t, pub, "weather.eu.paris", "21.6")
		if got := py.frames("[answer, *sub.recv_multipart()]"); !strings.Contains(got[0], `"seq":1,`) || got[2] != "21.6" {
			t.Errorf("the subscriber received %q", got)
		}
	}
	// A port of its own.
	py.do("%s", strings.ReplaceAll(blocks[1], "tcp://*:5557", "tcp://127.0.0.1:*"))
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.text("pub.last_endpoint.rstrip(b'\\0').decode()"))}})
	l.probe(func() { py.do("pub.send(b'probe')") })
	lines := strings.Split(strings.TrimSpace(blocks[1]), "\n")
	py.do("%s", lines[len(lines)-1])
	l.expect("weather.eu.paris=21.5")
}
