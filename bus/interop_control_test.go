package bus_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// A program of pyzmq asks by hand whether its subscriptions are in force. The
// answer is for it alone.
func TestPyzmqHello(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{Name: "weather-eu", Advertise: []string{"tcp://spare:5556"}})
	send(t, pub, "weather.eu", "before")
	py.do(`
everything = socket('SUB'); everything.connect(%[1]q); everything.subscribe(b'')
sub = socket('SUB')
sub.connect(%[1]q)
sub.subscribe(b'weather.')
sub.subscribe(b'$bus.hello.0123456789abcdef')
answer = sub.recv_multipart()`, pub.Endpoints()[0])
	send(t, pub, "weather.eu", "after") // cannot be missed
	answer := py.frames("answer")
	var beat map[string]any
	if len(answer) != 2 || answer[0] != "$bus.hello.0123456789abcdef" || json.Unmarshal([]byte(answer[1]), &beat) != nil {
		t.Fatalf("the answer is %q", answer)
	}
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(beat["started"])); err != nil {
		t.Error(err)
	}
	delete(beat, "started")
	want := map[string]any{
		"v": 1.0, "name": "weather-eu", "source": pub.Incarnation().String(), "seq": 1.0,
		"interval_ms": 1000.0, "endpoints": []any{"tcp://spare:5556"}, "bye": false,
	}
	if !reflect.DeepEqual(beat, want) {
		t.Errorf("the answer says %v, want %v", beat, want)
	}
	if got := py.frames("sub.recv_multipart()"); got[1] != "after" {
		t.Errorf("received %q", got)
	}
	subscribed(t, pub, "weather.eu", 2)
	send(t, pub, "end", "")
	for got := ""; got != "end"; {
		got = py.frames("everything.recv_multipart()")[0]
		if strings.HasPrefix(got, "$bus.hello.") {
			t.Errorf("another subscriber received the answer %q", got)
		}
	}

	// What is no question is not answered.
	py.do("for s in (b'', b'short', b'0123456789abcdefg', b'0' * 65): sub.subscribe(b'$bus.hello.' + s)")
	py.do("sub.subscribe(b'$bus.hello.' + b'F' * 64)")
	if got := py.frames("sub.recv_multipart()")[0]; got != "$bus.hello."+strings.Repeat("F", 64) {
		t.Errorf("answered %q", got)
	}
}

// A forwarder asks for all who are connected to it. Each question is answered, also
// where they come faster than the answers can be sent.
func TestPyzmqManyHellos(t *testing.T) {
	t.Parallel()
	const n = 5000
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	py.do(`
sub = socket('XSUB', SNDHWM=0, RCVHWM=0); sub.connect(%q)
asked = [b'$bus.hello.%%016x' %% i for i in range(%d)]
for topic in asked: sub.send(b'\x01' + topic)
answered = [sub.recv_multipart()[0] for topic in asked]`, pub.Endpoints()[0], n)
	if py.number("int(asked == answered)") != 1 {
		t.Error("others were answered than had been asked")
	}
}

// Who subscribes to everything receives heartbeats as ordinary messages.
func TestPyzmqSeesHeartbeats(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{Heartbeat: 20 * time.Millisecond})
	py.do("sub = socket('SUB'); sub.connect(%q); sub.subscribe(b'')", pub.Endpoints()[0])
	for range 3 {
		if got := py.frames("sub.recv_multipart()"); len(got) != 2 || got[0] != "$bus.heartbeat.p" {
			t.Fatalf("received %q", got)
		}
	}
	send(t, pub, "a", "")
	send(t, pub, "b", "")
	if err := pub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for bye := false; !bye; {
		got := py.frames("sub.recv_multipart()")
		if len(got) == 3 {
			seen++
			continue
		}
		var beat struct {
			Seq uint64
			Bye bool
		}
		if err := json.Unmarshal([]byte(got[1]), &beat); err != nil {
			t.Fatal(err)
		}
		bye = beat.Bye
		if bye && (beat.Seq != 2 || seen != 2) {
			t.Errorf("%+v after %d events", beat, seen)
		}
	}
}

// A program of pyzmq asks for past events and for last values.
func TestPyzmqReplay(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{Keep: bus.Keep{Messages: 4}, Retain: bus.Retain{Prefixes: []string{"a."}}})
	py.do(`
import json
def asks(nonce, **question):
    """Asks, and returns the answer up to its closing message."""
    topic = b'$bus.replay.' + nonce
    sub.subscribe(topic)
    sub.subscribe(topic + b'\0' + json.dumps(question).encode())
    answer = []
    while not answer or len(answer[-1]) > 2:
        answer.append(sub.recv_multipart())
        assert answer[-1].pop(0) == topic
    sub.unsubscribe(topic)
    return answer
sub = socket('SUB'); sub.connect(%q); sub.subscribe(b'z')`, pub.Endpoints()[0])
	subscribed(t, pub, "z", 1) // what is published before anybody subscribes is not kept
	for i := range 6 {
		send(t, pub, fmt.Sprint("a.", i%2), fmt.Sprint(i))
	}
	check := func(expr string, flag byte, closing string, want ...string) {
		t.Helper()
		py.do("answer = %s; done = answer.pop()", expr)
		for _, w := range want {
			got := py.frames("answer.pop(0)")
			if len(got) != 3 || got[2]+"="+got[0] != w || len(got[1]) != 36 || got[1][3] != flag {
				t.Fatalf("%s: received %q, want %s", expr, got, w)
			}
		}
		if n := py.number("len(answer)"); n != 0 {
			t.Errorf("%s: %d more events", expr, n)
		}
		var done, wanted map[string]any
		if err := json.Unmarshal([]byte(py.frames("done")[0]), &done); err != nil {
			t.Fatal(err)
		}
		delete(done, "source")
		if err := json.Unmarshal([]byte(closing), &wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(done, wanted) {
			t.Errorf("%s: closed with %v, want %v", expr, done, wanted)
		}
	}
	source := pub.Incarnation().String()
	check(fmt.Sprintf("asks(b'0123456789abcdef', source=%q, after=1, prefixes=['a.1', 'b'])", source),
		1, `{"done":true,"from":3,"to":6,"oldest":3}`, "a.1=3", "a.1=5")
	check(fmt.Sprintf("asks(b'0123456789abcdee', source=%q, after=6, prefixes=[''])", source),
		1, `{"done":true,"from":7,"to":6,"oldest":3}`)
	check("asks(b'0123456789abcded', retained=True, prefixes=[''])",
		2, `{"done":true,"from":0,"to":6,"oldest":3}`, "a.0=4", "a.1=5")
	if st := pub.Stats(); st.Replays != 3 || st.Replayed != 4 {
		t.Errorf("%+v", st)
	}
}

// Programs that ask for past events and last values, and then take nothing, don't
// keep others from theirs.
func TestPyzmqReplayNotTaken(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{Retain: bus.Retain{Prefixes: []string{""}}})
	url := pub.Endpoints()[0]
	py.do("first = socket('SUB'); first.connect(%q); first.subscribe(b'z')", url)
	subscribed(t, pub, "z", 1)
	for i := range 300 {
		send(t, pub, fmt.Sprint("a.", i), strings.Repeat("x", 64<<10))
	}
	py.do(`
def ask(s, nonce, question):
    topic = b'$bus.replay.%%016x' %% nonce
    s.send(b'\x01' + topic)
    s.send(b'\x01' + topic + b'\0' + question)
past = b'{"source":"%s","after":%%d,"prefixes":[""]}'
idle = [socket('XSUB', RCVHWM=1, RCVBUF=4096) for i in range(6)]
for i, s in enumerate(idle):
    s.connect(%q)
    for k in range(8): ask(s, k, past %% 0 if k %% 2 else b'{"retained":true,"prefixes":[""]}')
    s.send(b'\x01idle')
busy = socket('XSUB', RCVHWM=0)
busy.connect(%q)`, pub.Incarnation(), url, url)
	subscribed(t, pub, "idle", 6)
	py.do(`
ask(busy, 1, past %% 298)
ask(busy, 2, b'{"retained":true,"prefixes":["a.29"]}')
answers = [busy.recv_multipart() for i in range(3 + 12)]`) // of 299 and 300, of a.29, a.290 to a.299, and two ends
	if got := py.number("len([a for a in answers if len(a) == 2])"); got != 2 {
		t.Errorf("%d answers came to their end", got)
	}
	if st := pub.Stats(); st.Replays != 6*8+2 || st.RefusedReplays != 0 {
		t.Errorf("%+v", st)
	}
}
