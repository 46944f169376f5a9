package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// tap is a network that counts the PINGs it reads and the PONGs it writes, and can
// be made slow.
type tap struct {
	pace <-chan time.Time // nil: as fast as it goes

	pings, pongs atomic.Int64
	read         atomic.Int64 // bytes
	within       atomic.Int64 // PONGs written while read was between the next two
	from, to     atomic.Int64
}

func (n *tap) network() bus.Network {
	return bus.Network{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return &tapConn{Conn: c, tap: n}, err
		},
		Listen: func(ctx context.Context, network, address string) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, network, address)
			return tapListener{l, n}, err
		},
	}
}

type tapListener struct {
	net.Listener
	tap *tap
}

func (l tapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &tapConn{Conn: c, tap: l.tap}, err
}

type tapConn struct {
	net.Conn
	tap  *tap
	some int // bytes read since the last pause
}

// chunk is how much a slow tap reads or writes between two pauses.
const chunk = 1 << 20

func (c *tapConn) Read(p []byte) (int, error) {
	if c.some > chunk && c.tap.pace != nil {
		<-c.tap.pace
		c.some = 0
	}
	n, err := c.Conn.Read(p[:min(len(p), chunk)])
	c.some += n
	c.tap.read.Add(int64(n))
	c.tap.pings.Add(int64(bytes.Count(p[:n], []byte("\x04PING"))))
	return n, err
}

func (c *tapConn) Write(p []byte) (n int, err error) {
	if k := bytes.Count(p, []byte("\x04PONG")); k > 0 {
		c.tap.pongs.Add(int64(k))
		if n := c.tap.read.Load(); c.tap.from.Load() < n && n < c.tap.to.Load() {
			c.tap.within.Add(int64(k))
		}
	}
	for n < len(p) && err == nil {
		var k int
		k, err = c.Conn.Write(p[n:min(len(p), n+chunk)])
		if n += k; n < len(p) && c.tap.pace != nil {
			<-c.tap.pace
		}
	}
	return n, err
}

func every(t *testing.T, d time.Duration) <-chan time.Time {
	ticker := time.NewTicker(d)
	t.Cleanup(ticker.Stop)
	return ticker.C
}

// libzmq asks an idle connection whether it lives, and is answered, both as a
// subscriber and as a publisher.
func TestPyzmqHeartbeatWhileIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for 1.5 s")
	}
	t.Parallel()
	py := startPyzmq(t)
	var of struct{ pub, sub tap }
	pub := openPublisher(t, bus.PublisherConfig{Heartbeat: -1, Network: of.pub.network()})
	py.do(`
beats = dict(HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=1000, HEARTBEAT_TTL=1000)
sub = socket('SUB', **beats); sub.subscribe(b'a')
pub = socket('XPUB', **beats)
ends = [s.get_monitor_socket(zmq.EVENT_DISCONNECTED) for s in (pub, sub)]
url = bind(pub); sub.connect(%q)`, pub.Endpoints()[0])
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.text("url"))}, Network: of.sub.network()})
	l.probe(func() { py.do("pub.send(b'probe')") })
	subscribed(t, pub, "a", 1)
	if n := py.number("len(zmq.select(ends, [], [], 1.5)[0])"); n != 0 {
		t.Fatalf("libzmq gave up %d connections that were idle", n)
	}
	for side, tap := range map[string]*tap{"publisher": &of.pub, "subscriber": &of.sub} {
		// How many come, and how late the last is answered, depends on how busy the
		// machine is.
		if pings, pongs := tap.pings.Load(), tap.pongs.Load(); pings < 5 || pongs < 5 {
			t.Errorf("the %s got %d PINGs and sent %d PONGs", side, pings, pongs)
		}
	}
	send(t, pub, "a", "1")
	py.do("pub.send_multipart([b'a', b'2'])")
	if got := py.frames("sub.recv_multipart()"); got[1] != "1" {
		t.Errorf("received %q", got)
	}
	l.expect("a=2")
	if st := l.Stats(); st.Disconnections != 0 || st.Malformed != 0 {
		t.Errorf("%+v", st)
	}
}

// libzmq puts a PING between the frames of a long message and wants its answer
// before the message is over.
func TestPyzmqHeartbeatWithinMessage(t *testing.T) {
	t.Parallel()
	const frames = 32
	py := startPyzmq(t)
	py.do("pub = socket('XPUB', HEARTBEAT_IVL=20, HEARTBEAT_TIMEOUT=10_000); end = pub.get_monitor_socket(zmq.EVENT_DISCONNECTED); url = bind(pub)")
	slow := tap{pace: every(t, 10*time.Millisecond)}
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(py.text("url"))}, Network: slow.network()})
	l.probe(func() { py.do("pub.send(b'probe')") })
	slow.from.Store(slow.read.Load() + 2<<20)
	slow.to.Store(slow.read.Load() + (frames-2)<<20)
	py.do("pub.send_multipart([b'large'] + [bytes([i]) * (1 << 20) for i in range(%d)])", frames)
	m := l.message()
	if len(m.Extra) != frames-1 || len(m.Payload) != 1<<20 {
		t.Fatalf("received %d frames", len(m.Extra)+2)
	}
	for i, f := range m.Extra {
		if len(f) != 1<<20 || bytes.Count(f, []byte{byte(i + 1)}) != len(f) {
			t.Errorf("frame %d came as %d bytes", i+2, len(f))
		}
	}
	if slow.within.Load() == 0 {
		t.Error("no PING was answered within the message")
	}
	if py.number("end.poll(0)") != 0 || l.Stats().Disconnections != 0 {
		t.Error("libzmq gave up the connection")
	}
}

// A PING that comes while a large event is on its way is answered after it: nothing
// may be put into the middle of a frame.
func TestPyzmqHeartbeatWhileSending(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	slow := tap{pace: every(t, 10*time.Millisecond)}
	pub := openPublisher(t, bus.PublisherConfig{Network: slow.network()})
	py.do(`sub = socket('SUB', HEARTBEAT_IVL=20, HEARTBEAT_TIMEOUT=10_000); sub.subscribe(b'')
end = sub.get_monitor_socket(zmq.EVENT_DISCONNECTED); sub.connect(%q)`, pub.Endpoints()[0])
	subscribed(t, pub, "a", 1)
	payload := strings.Repeat("0123456789abcdef", 2<<20)
	send(t, pub, "a", payload)
	send(t, pub, "b", "after")
	py.do("got = sub.recv_multipart()\nwhile got[0][:1] == b'$': got = sub.recv_multipart()")
	if n := py.number("len(got[1])"); n != len(payload) || py.number("got[1].count(b'0123456789abcdef')") != 2<<20 {
		t.Errorf("received %d bytes, or others", n)
	}
	py.do("got = sub.recv_multipart()\nwhile got[0][:1] == b'$': got = sub.recv_multipart()")
	if got := py.frames("got"); got[1] != "after" {
		t.Errorf("received %q", got)
	}
	if py.number("end.poll(0)") != 0 {
		t.Error("libzmq gave up the connection")
	}
	if slow.pings.Load() == 0 || slow.pongs.Load() == 0 {
		t.Errorf("%d PINGs, %d PONGs", slow.pings.Load(), slow.pongs.Load())
	}
}

// A publisher of libzmq is killed and started again on the same port.
func TestPyzmqPublisherRestarts(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("pub = socket('XPUB'); url = bind(pub)")
	url := py.text("url")
	l := openListener(t, bus.SubscriberConfig{
		Sources: []bus.Source{bus.From(url)},
		Filter:  topic.Any(topic.Prefix("a"), topic.Prefix("b")),
	})
	for i := range 3 {
		got := py.frames("[pub.recv() for i in range(4)]")
		if got[0] != "\x01$bus.heartbeat." || got[1] != "\x01a" || got[2] != "\x01b" || !strings.HasPrefix(got[3], "\x01$bus.hello.") {
			t.Fatalf("run %d is told %q", i, got)
		}
		py.do("pub.send_multipart([b'b', b'%d'])", i)
		l.expect(fmt.Sprintf("b=%d", i))
		py.kill()
		l.status("disconnected")
		py = startPyzmq(t)
		py.do("pub = socket('XPUB'); bind(pub, %q)", url)
		l.status("connected")
	}
}

// A subscriber of libzmq to which our publisher connects is killed and started
// again on the same port.
func TestPyzmqSubscriberRestarts(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	py.do("sub = socket('SUB'); sub.subscribe(b'a'); url = bind(sub)")
	url := py.text("url")
	pub := openPublisher(t, bus.PublisherConfig{Connect: []string{url}})
	for i := range 3 {
		name := fmt.Sprint("a", i)
		py.do("sub.subscribe(%s)", pybytes(name)) // which the one before did not have
		py.meanwhile("sub.poll(15_000)", func() {
			subscribed(t, pub, name, 1)
			send(t, pub, name, "")
		})
		if got := py.frames("sub.recv_multipart()"); got[0] != name {
			t.Errorf("run %d received %q", i, got)
		}
		py.kill()
		py = startPyzmq(t)
		py.do("sub = socket('SUB'); bind(sub, %q)", url)
	}
}

// Our publisher restarts under a subscriber of libzmq, and under one of ours.
func TestPublisherRestartsUnderPyzmq(t *testing.T) {
	t.Parallel()
	py := startPyzmq(t)
	pub := openPublisher(t, bus.PublisherConfig{})
	url := pub.Endpoints()[0]
	py.do("sub = socket('SUB', RECONNECT_IVL=10); sub.connect(%q); sub.subscribe(b'a')", url)
	for i := range 3 {
		py.meanwhile("sub.poll(15_000)", func() {
			subscribed(t, pub, "a", 1)
			send(t, pub, "a", fmt.Sprint(i))
		})
		if got := py.frames("sub.recv_multipart()"); got[1] != fmt.Sprint(i) {
			t.Errorf("received %q", got)
		}
		pub.Close()
		pub = openPublisher(t, bus.PublisherConfig{Bind: []string{url}})
	}
}

// forwarder is libzmq's own proxy between an XSUB, to which publishers connect or
// which connects to them, and an XPUB.
func forwarder(t *testing.T, publishers ...string) (py pyzmq, front, back string) {
	t.Helper()
	py = startPyzmq(t)
	py.do("xsub, xpub = socket('XSUB', RECONNECT_IVL=10), socket('XPUB')")
	for _, url := range publishers {
		py.do("xsub.connect(%q)", url)
	}
	front, back = py.text("bind(xsub)"), py.text("bind(xpub)")
	py.do("forward(xsub, xpub)")
	return py, front, back
}

// Several publishers and subscribers of both kinds meet at a forwarder of libzmq.
func TestForwarder(t *testing.T) {
	t.Parallel()
	bound := openPublisher(t, bus.PublisherConfig{Name: "bound", Heartbeat: 100 * time.Millisecond})
	py, front, back := forwarder(t, bound.Endpoints()[0])
	connected := openPublisher(t, bus.PublisherConfig{Name: "connected", Heartbeat: 100 * time.Millisecond, Connect: []string{front}})
	pubs := []*bus.Publisher{bound, connected}
	first := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(back)}, Filter: topic.Prefix("a")}).ready()
	second := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(back)}, Filter: topic.Pattern("a.>")}).ready()
	py.do("sub = socket('SUB'); sub.connect(%q); sub.subscribe(b'a'); sub.subscribe(b'$bus.hello.0123456789abcdef')", back)
	if got := py.frames("sub.recv_multipart()"); got[0] != "$bus.hello.0123456789abcdef" {
		t.Fatalf("received %q", got)
	}
	py.do("sub.unsubscribe(b'$bus.hello.0123456789abcdef')")
	for _, p := range pubs {
		// Ready is the word of one publisher; the other one may be slower.
		subscribed(t, p, "a", 1)
		send(t, p, "b", "no")
		send(t, p, "a.1", p.Name())
		for _, l := range []*listener{first, second} {
			l.expect("a.1=" + p.Name())
		}
		got := py.frames("sub.recv_multipart()")
		for got[0] != "a.1" { // the other's answer
			got = py.frames("sub.recv_multipart()")
		}
		if got[1] != p.Name() || len(got) != 3 {
			t.Errorf("libzmq received %q", got)
		}
	}
	// Each is known by its heartbeats, and says goodbye by one.
	for _, p := range pubs {
		if err := p.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*listener{first, second} {
			gone := l.status("gone").(*bus.Gone)
			if gone.Publisher != p.Name() || gone.Incarnation != p.Incarnation() || gone.Endpoint != back {
				t.Errorf("gone: %+v", gone)
			}
		}
	}
	for _, l := range []*listener{first, second} {
		if st := l.Stats(); st.Disconnections != 0 || st.Missed != 0 || st.Malformed != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// A publisher behind a forwarder dies, which its connection does not show. As long
// as another one lives behind it, the connection is kept.
func TestForwarderPublisherDies(t *testing.T) {
	t.Parallel()
	_, front, back := forwarder(t)
	dying := startWirePub(t, "dying", "--connect", front, "0.05")
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(back)}}).ready()
	dying.write("a 1\n")
	l.expect("a=1")

	dying.kill()
	if st := l.status("stale").(*bus.Stale); st.Publisher != "dying" || st.Silence < 150*time.Millisecond {
		t.Errorf("stale: %+v", st)
	}
	if st := l.status("disconnected").(*bus.Disconnected); !errors.Is(st.Err, bus.ErrStale) {
		t.Errorf("disconnected: %+v", st)
	}
	l.status("connected")

	// It is started again; nobody has to help.
	dying = startWirePub(t, "dying", "--connect", front, "0.05")
	if st := l.status("restarted").(*bus.Restarted); st.Publisher != "dying" || st.Was == 0 || st.Incarnation == st.Was {
		t.Errorf("restarted: %+v", st)
	}
	l.ready()
	dying.write("a 2\n")
	l.expect("a=2")

	living := openPublisher(t, bus.PublisherConfig{Name: "living", Connect: []string{front}})
	subscribed(t, living, "a", 1)
	send(t, living, "a", "3")
	l.expect("a=3")
	for known := false; !known; { // by its first heartbeat
		for _, p := range l.Publishers() {
			known = known || p.Publisher == "living"
		}
		if !known {
			l.next(10 * time.Millisecond)
		}
	}
	before := l.Stats().Disconnections
	dying.kill()
	if st := l.status("stale").(*bus.Stale); st.Publisher != "dying" {
		t.Errorf("stale: %+v", st)
	}
	send(t, living, "a", "4")
	l.expect("a=4")
	if n := l.Stats().Disconnections - before; n != 0 {
		t.Errorf("%d connections were given up though a publisher was alive", n)
	}
}

// A forwarder is killed and started again. What was published meanwhile is asked
// for, through the new one.
func TestForwarderRestarts(t *testing.T) {
	t.Parallel()
	pub := openPublisher(t, bus.PublisherConfig{Name: "p"})
	py, _, back := forwarder(t, pub.Endpoints()[0])
	l := openListener(t, bus.SubscriberConfig{Sources: []bus.Source{bus.From(back)}, Filter: topic.Prefix("a"), Recover: true}).ready()
	send(t, pub, "a.1", "1")
	l.expect("a.1=1")
	py.kill()
	l.status("disconnected")
	for i := range 3 {
		send(t, pub, fmt.Sprint("a.", i), "lost")
		send(t, pub, "b", "no")
	}
	py = startPyzmq(t)
	py.do("xsub, xpub = socket('XSUB'), socket('XPUB'); xsub.connect(%q); bind(xpub, %q); forward(xsub, xpub)", pub.Endpoints()[0], back)
	for i := range 3 {
		m := l.message()
		if m.Topic != fmt.Sprint("a.", i) || string(m.Payload) != "lost" || !m.Replayed || m.Seq != uint64(2+2*i) || m.Publisher != "p" {
			t.Errorf("event %d came as %+v", i, m)
		}
	}
	l.ready()
	send(t, pub, "a.1", "2")
	if m := l.message(); string(m.Payload) != "2" {
		t.Errorf("the next event came as %+v", m)
	}
	if st := l.Stats(); st.Missed != 0 || st.Malformed != 0 {
		t.Errorf("%+v", st)
	}
}
