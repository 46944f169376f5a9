package bus_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// patience is how long the tests with real sockets wait for what must come. What
// must not come is not waited for: they send something after it instead.
const patience = 20 * time.Second

const python = "/usr/bin/python3"

var pyzmqMissing = sync.OnceValue(func() error {
	out, err := exec.Command(python, "-c", "import zmq; print(zmq.__version__, zmq.zmq_version())").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s cannot import zmq: %v: %s", python, err, out)
	}
	return nil
})

// needPyzmq skips a test where there is no libzmq to test with, or fails it where
// there has to be one.
func needPyzmq(t *testing.T) {
	t.Helper()
	err := pyzmqMissing()
	if err == nil {
		return
	}
	const help = "(Debian: apt install python3-zmq)"
	if os.Getenv("HERALD_REQUIRE_INTEROP") == "1" {
		t.Fatalf("HERALD_REQUIRE_INTEROP is set, and %v %s", err, help)
	}
	t.Skipf("SKIPPED, NO INTEROPERABILITY WITH LIBZMQ WAS TESTED: %v %s", err, help)
}

// program is a Python process. It ends when its input does.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
	end    func()
}

func startPython(t *testing.T, args ...string) *program {
	t.Helper()
	needPyzmq(t)
	p := &program{t: t, cmd: exec.Command(python, append([]string{"-u"}, args...)...)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// One that hangs is ended, and the test fails with what it has said.
	watchdog := time.AfterFunc(2*patience, func() { p.cmd.Process.Kill() })
	p.end = sync.OnceFunc(func() {
		p.cmd.Wait()
		watchdog.Stop()
	})
	t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		p.end()
	})
	return p
}

// line returns the next line of the program's output.
func (p *program) line() string {
	p.t.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		p.end()
		p.t.Fatalf("%s: %v\n%s", p.cmd, err, p.stderr.String())
	}
	return strings.TrimSuffix(s, "\n")
}

// kill ends the program as kill -9 does, and waits for it.
func (p *program) kill() {
	p.cmd.Process.Kill()
	p.end()
}

// pyzmq is a program that runs the Python it is given, with pyzmq and the functions
// of testdata/interop/peer.py at hand.
type pyzmq struct{ *program }

func startPyzmq(t *testing.T) pyzmq {
	t.Helper()
	return pyzmq{startPython(t, "testdata/interop/peer.py")}
}

// ask lets the program run code, and answer waits until it has.
func (p pyzmq) ask(mode, code string, args []any) {
	p.t.Helper()
	request, err := json.Marshal([]string{mode, fmt.Sprintf(code, args...)})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		p.t.Fatal(err)
	}
}

func (p pyzmq) answer() json.RawMessage {
	p.t.Helper()
	answer := p.line()
	var failed struct{ Error string }
	if json.Unmarshal([]byte(answer), &failed) == nil && failed.Error != "" {
		p.t.Fatalf("python: %s", failed.Error)
	}
	return json.RawMessage(answer)
}

// meanwhile runs f while the program waits for the value of an expression, and then
// for that value. A socket of libzmq that is bound sends its subscriptions to a new
// connection only once its owner calls it.
func (p pyzmq) meanwhile(expr string, f func()) {
	p.t.Helper()
	p.ask("get", expr, nil)
	f()
	p.answer()
}

// do runs statements, into which args are put as fmt.Sprintf does.
func (p pyzmq) do(code string, args ...any) {
	p.t.Helper()
	p.ask("do", code, args)
	p.answer()
}

func (p pyzmq) get(v any, code string, args []any) {
	p.t.Helper()
	p.ask("get", code, args)
	answer := p.answer()
	if err := json.Unmarshal(answer, v); err != nil {
		p.t.Fatalf("python: %s\n gave %s: %v", fmt.Sprintf(code, args...), answer, err)
	}
}

// text returns the value of an expression that is a str.
func (p pyzmq) text(code string, args ...any) (s string) {
	p.t.Helper()
	p.get(&s, code, args)
	return s
}

// number returns the value of an expression that is an int.
func (p pyzmq) number(code string, args ...any) (n int) {
	p.t.Helper()
	p.get(&n, code, args)
	return n
}

// frames returns the value of an expression that is a list of bytes.
func (p pyzmq) frames(code string, args ...any) []string {
	p.t.Helper()
	var list []string
	p.get(&list, code, args)
	for i, s := range list {
		b, err := hex.DecodeString(s)
		if err != nil {
			p.t.Fatalf("python: %s\n gave %q: %v", code, s, err)
		}
		list[i] = string(b)
	}
	return list
}

// pybytes is a literal of Python for any bytes.
func pybytes(s string) string {
	return "bytes.fromhex('" + hex.EncodeToString([]byte(s)) + "')"
}

// pylist is a literal of Python for a list of bytes.
func pylist(frames ...string) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString(pybytes(f) + ", ")
	}
	return "[" + b.String() + "]"
}

// openPublisher makes a publisher that binds a port of its own, unless the
// configuration has endpoints.
func openPublisher(t *testing.T, cfg bus.PublisherConfig) *bus.Publisher {
	t.Helper()
	if cfg.Bind == nil && cfg.Connect == nil {
		cfg.Bind = []string{"tcp://127.0.0.1:0"}
	}
	if cfg.Name == "" {
		cfg.Name = "p"
	}
	cfg.Reconnect = bus.Reconnect{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	p, err := bus.NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func send(t *testing.T, p *bus.Publisher, topic, payload string) {
	t.Helper()
	if err := p.Publish(t.Context(), topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// subscribed waits until n peers have subscribed to the topic.
func subscribed(t *testing.T, p *bus.Publisher, topic string, n int) {
	t.Helper()
	ctx, cancel := contextWithPatience(t)
	defer cancel()
	if err := p.WaitSubscribers(ctx, topic, n); err != nil {
		t.Fatal(err)
	}
}

// listener takes the events of a subscriber, one when it is asked for.
type listener struct {
	*bus.Subscriber
	t      *testing.T
	events chan bus.Event
	seen   []string // the last ones, to be told when the test fails
}

func openListener(t *testing.T, cfg bus.SubscriberConfig) *listener {
	t.Helper()
	cfg.Reconnect = bus.Reconnect{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	s, err := bus.NewSubscriber(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Subscriber: s, t: t, events: make(chan bus.Event, 1024)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range s.Events(t.Context()) {
			if err != nil {
				return
			}
			select {
			case l.events <- ev:
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { // after t.Context has ended
		s.Close()
		<-done
	})
	return l
}

// ready waits for [bus.Subscriber.Ready].
func (l *listener) ready() *listener {
	l.t.Helper()
	ctx, cancel := contextWithPatience(l.t)
	defer cancel()
	if err := l.Ready(ctx); err != nil {
		l.t.Fatal(err)
	}
	return l
}

// next returns the next event, or nil if it does not come in time.
func (l *listener) next(d time.Duration) bus.Event {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case ev := <-l.events:
		switch ev := ev.(type) {
		case *bus.Message:
			l.seen = append(l.seen, fmt.Sprintf("%.40q=%.40q", ev.Topic, ev.Payload))
		case bus.Status:
			l.seen = append(l.seen, ev.String())
		}
		if len(l.seen) > 50 {
			l.seen = l.seen[1:]
		}
		return ev
	case <-timeout.C:
		return nil
	}
}

// message returns the next message that is no probe, whatever statuses come first.
func (l *listener) message() *bus.Message {
	l.t.Helper()
	for {
		ev := l.next(patience)
		if ev == nil {
			l.t.Fatalf("no message came, after\n%s", strings.Join(l.seen, "\n"))
		}
		if m, ok := ev.(*bus.Message); ok && m.Topic != probe {
			return m
		}
	}
}

// expect takes messages and fails unless they are these, each "topic=payload".
func (l *listener) expect(want ...string) {
	l.t.Helper()
	for _, w := range want {
		m := l.message()
		if got := m.Topic + "=" + string(m.Payload); got != w {
			l.t.Fatalf("received %q, want %q, after\n%s", got, w, strings.Join(l.seen, "\n"))
		}
	}
}

// status returns the next status of a kind, whatever comes first.
func (l *listener) status(kind string) bus.Status {
	l.t.Helper()
	for {
		ev := l.next(patience)
		if ev == nil {
			l.t.Fatalf("no status %q came, after\n%s", kind, strings.Join(l.seen, "\n"))
		}
		if st, ok := ev.(bus.Status); ok && st.Kind() == kind {
			return st
		}
	}
}

// probe is the topic of messages that are sent until one arrives, where there is no
// other way to know that a plain PUB has the subscriptions.
const probe = "probe"

// probe calls send again and again until a message on the topic probe arrives.
func (l *listener) probe(send func()) {
	l.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		send()
		if m, ok := l.next(10 * time.Millisecond).(*bus.Message); ok && m.Topic == probe {
			return
		}
	}
	l.t.Fatalf("no probe arrived, only\n%s", strings.Join(l.seen, "\n"))
}

func contextWithPatience(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}
