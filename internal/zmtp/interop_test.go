package zmtp_test

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
	"github.com/go-zeromq/zmq4/security/plain"

	"github.com/heraldbus/herald/internal/zmtp"
)

// peers of libzmq: a PUB that beats, a PLAIN PUB that knows alice, and a SUB that
// connects to the port in its argument and prints what it gets.
const libzmqPeers = `
import sys, zmq
from zmq.auth.thread import ThreadAuthenticator
ctx = zmq.Context()
auth = ThreadAuthenticator(ctx); auth.start()
auth.configure_plain(domain='*', passwords={'alice': 's3cret'})
pub = ctx.socket(zmq.XPUB); pub.setsockopt(zmq.HEARTBEAT_IVL, 50); pub.setsockopt(zmq.HEARTBEAT_TTL, 3000)
plain = ctx.socket(zmq.XPUB); plain.plain_server = True
sub = ctx.socket(zmq.SUB); sub.subscribe(b'weather.')
sub.connect('tcp://127.0.0.1:' + sys.argv[1])
print(pub.bind_to_random_port('tcp://127.0.0.1'), plain.bind_to_random_port('tcp://127.0.0.1'), flush=True)
for s in (pub, plain):
    assert s.recv() == b'\x01weather.'
    s.send_multipart([b'weather.eu', b'21.5' * 100, b''])
print(sub.recv_multipart(), flush=True)
sys.stdin.read()
auth.stop(); ctx.destroy(0)
`

func TestLibzmq(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import zmq").Run(); err != nil {
		t.Skipf("SKIPPED: no interoperability with libzmq was tested, %s cannot import zmq: %v (Debian: apt install python3-zmq)", python, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.Command(python, "-c", libzmqPeers, port)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python: %v\n%s", err, stderr.String())
		}
	}()
	lines := bufio.NewReader(stdout)
	var beating, guarded int
	if _, err := fmt.Fscan(lines, &beating, &guarded); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}

	dial := func(port int, sec zmq4.Security) (net.Conn, zmtp.Ready, error) {
		t.Helper()
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		r, err := zmtp.Handshake(c, sec, zmtp.GuardConfig{Socket: zmq4.Sub}, nil, false)
		return c, r, err
	}
	// receive reads messages and commands until one is what the caller wants.
	receive := func(c net.Conn, wanted func(*zmtp.Message) bool) {
		t.Helper()
		var l zmtp.Limits
		var m zmtp.Message
		var buf []byte
		chunk := make([]byte, 4096)
		for {
			n, _, err := l.Parse(buf, &m)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				if wanted(&m) {
					return
				}
				buf = buf[n:]
				continue
			}
			k, err := c.Read(chunk)
			if err != nil {
				t.Fatal(err)
			}
			buf = append(buf, chunk[:k]...)
		}
	}
	isEvent := func(m *zmtp.Message) bool {
		return !m.Command && len(m.Frames) == 3 && string(m.Frames[0]) == "weather.eu" && len(m.Frames[1]) == 400
	}

	// NULL: a subscription goes out, an event and a PING come in.
	c, r, err := dial(beating, null.Security())
	if err != nil || r.Socket != zmq4.XPub || r.Major != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := c.Write(zmtp.AppendSubscribe(nil, []byte("weather."))); err != nil {
		t.Fatal(err)
	}
	event, beat := false, false
	receive(c, func(m *zmtp.Message) bool {
		event = event || isEvent(m)
		if ttl, context, ok := zmtp.ParsePing(m); ok {
			beat = true
			if ttl != 3*time.Second {
				t.Errorf("PING with a ttl of %v", ttl)
			}
			if _, err := c.Write(zmtp.AppendPong(nil, context)); err != nil {
				t.Fatal(err)
			}
		}
		return event && beat
	})

	// PLAIN: a wrong password is refused, the right one is not.
	if _, _, err := dial(guarded, plain.Security("alice", "wrong")); cause(err) != zmtp.CausePeerError || !strings.Contains(err.Error(), `"400"`) {
		t.Errorf("wrong password: %v", err)
	}
	c, _, err = dial(guarded, plain.Security("alice", "s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(zmtp.AppendSubscribe(nil, []byte("weather."))); err != nil {
		t.Fatal(err)
	}
	receive(c, isEvent)

	// A SUB of libzmq connects to us.
	l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	c, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if r, err = zmtp.Handshake(c, null.Security(), zmtp.GuardConfig{Socket: zmq4.Pub}, nil, true); err != nil || r.Socket != zmq4.Sub {
		t.Fatalf("%+v, %v", r, err)
	}
	receive(c, func(m *zmtp.Message) bool {
		s, ok := zmtp.ParseSub(m)
		return ok && !s.Cancel && string(s.Prefix) == "weather."
	})
	if _, err := c.Write(zmtp.AppendMessage(nil, []byte("weather.eu"), []byte("21.5"))); err != nil {
		t.Fatal(err)
	}
	lines.ReadString('\n') // the rest of the line with the ports
	if got, err := lines.ReadString('\n'); got != "[b'weather.eu', b'21.5']\n" {
		t.Errorf("libzmq received %s, %v", got, err)
	}
}
