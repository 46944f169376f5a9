package zmtp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
	"github.com/go-zeromq/zmq4/security/plain"

	"github.com/heraldbus/herald/internal/zmtp"
)

// loopback returns the two ends of a TCP connection.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return client, server
}

// both runs the handshake from both ends, and returns what each has learnt.
func both(t *testing.T, a, b zmq4.Security, typeA, typeB zmq4.SocketType) (ofB, ofA zmtp.Ready, errA, errB error) {
	t.Helper()
	client, server := loopback(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ofA, errB = zmtp.Handshake(server, b, zmtp.GuardConfig{Socket: typeB, Authenticate: allowAlice}, []byte("server"), true)
		if errB != nil {
			server.Close()
		}
	}()
	ofB, errA = zmtp.Handshake(client, a, zmtp.GuardConfig{Socket: typeA}, []byte("client"), false)
	if errA != nil {
		client.Close()
	}
	<-done
	return ofB, ofA, errA, errB
}

func cause(err error) zmtp.Cause {
	var he *zmtp.HandshakeError
	if errors.As(err, &he) {
		return he.Cause
	}
	return ""
}

func TestHandshakeBothEnds(t *testing.T) {
	for _, mech := range []zmq4.SecurityType{zmq4.NullSecurity, zmq4.PlainSecurity} {
		for _, a := range socketTypes {
			for _, b := range socketTypes {
				if !zmtp.Compatible(a, b) {
					continue
				}
				ofB, ofA, errA, errB := both(t, security(mech), security(mech), a, b)
				if errA != nil || errB != nil {
					t.Fatalf("%s %s-%s: %v, %v", mech, a, b, errA, errB)
				}
				if ofA.Socket != a || ofB.Socket != b || ofA.Identity != "client" || ofB.Identity != "server" {
					t.Errorf("%s %s-%s: %+v, %+v", mech, a, b, ofA, ofB)
				}
			}
		}
	}
}

func TestHandshakeBothEndsRefuse(t *testing.T) {
	tests := []struct {
		name           string
		a, b           zmq4.Security
		typeA, typeB   zmq4.SocketType
		causeA, causeB zmtp.Cause
	}{
		{"mechanism", security(zmq4.NullSecurity), security(zmq4.PlainSecurity), zmq4.Sub, zmq4.Pub, zmtp.CauseMechanism, zmtp.CauseMechanism},
		{"socket type", null.Security(), null.Security(), zmq4.Pub, zmq4.Pub, zmtp.CauseSocketType, zmtp.CauseSocketType},
		{"password", plain.Security("alice", "wrong"), security(zmq4.PlainSecurity), zmq4.Sub, zmq4.Pub, zmtp.CausePeerError, zmtp.CauseAuth},
		{"socket type in PLAIN", security(zmq4.PlainSecurity), security(zmq4.PlainSecurity), zmq4.Push, zmq4.Pub, zmtp.CausePeerError, zmtp.CauseSocketType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, errA, errB := both(t, tt.a, tt.b, tt.typeA, tt.typeB)
			if cause(errA) != tt.causeA || cause(errB) != tt.causeB {
				t.Errorf("got %v and %v, want %s and %s", errA, errB, tt.causeA, tt.causeB)
			}
		})
	}
}

// A peer that is silent, or stops half-way, costs a deadline and no more.
func TestHandshakeDeadline(t *testing.T) {
	for _, sends := range [][]byte{nil, hello[:30], hello, then(hello, "READY", socketType("SUB"))[:70]} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			go theirs.Write(sends)
			start := time.Now()
			ours.SetDeadline(start.Add(5 * time.Second))
			_, err := zmtp.Handshake(ours, null.Security(), zmtp.GuardConfig{Socket: zmq4.Pub}, nil, true)
			if cause(err) != zmtp.CauseTimeout || time.Since(start) != 5*time.Second {
				t.Errorf("after %d bytes: %v, %v", len(sends), err, time.Since(start))
			}
			ours.Close()
			theirs.Close()
		})
	}
}

// A peer of another protocol is known by its first bytes, without a deadline.
func TestHandshakeForeignPeerAtOnce(t *testing.T) {
	client, server := loopback(t)
	if _, err := client.Write([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_, err := zmtp.Handshake(server, null.Security(), zmtp.GuardConfig{Socket: zmq4.Pub}, nil, true)
	if cause(err) != zmtp.CauseNotZMTP {
		t.Errorf("got %v", err)
	}
}

// mechanism is a security mechanism whose handshake is a function.
type mechanism struct {
	zmq4.Security
	name      zmq4.SecurityType
	handshake func(c *zmq4.Conn) error
}

func (m *mechanism) Type() zmq4.SecurityType                   { return m.name }
func (m *mechanism) Handshake(c *zmq4.Conn, server bool) error { return m.handshake(c) }

// sealed is one that encrypts its metadata: here by turning it round.
type sealed struct {
	mechanism
	guard *zmtp.Guard
}

func (s *sealed) Attach(g *zmtp.Guard) { s.guard = g }

func TestHandshakeSealed(t *testing.T) {
	reverse := func(s string) string {
		b := []byte(s)
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return string(b)
	}
	run := func(metadata string, report bool) (zmtp.Ready, error) {
		sec := &sealed{mechanism: mechanism{Security: null.Security(), name: zmq4.CurveSecurity}}
		sec.handshake = func(c *zmq4.Conn) error {
			if _, err := c.RecvCmd(); err != nil {
				return err
			}
			cmd, err := c.RecvCmd()
			if err != nil {
				return err
			}
			body := []byte(reverse(string(cmd.Body[24:])))
			if report {
				if err := sec.guard.Metadata(body); err != nil {
					return err
				}
			}
			return c.Peer.Meta.UnmarshalZMTP(body)
		}
		in := then(greeting(3, 1, "CURVE", 0), "WELCOME", strings.Repeat("w", 160))
		in = then(in, "READY", strings.Repeat("n", 24)+reverse(metadata))
		return zmtp.Handshake(&script{in: in}, sec, zmtp.GuardConfig{Socket: zmq4.Sub}, nil, false)
	}
	r, err := run(property("socket-type", "PUB", -1)+property("X-A", "b", -1), true)
	if err != nil || r.Socket != zmq4.Pub || fmt.Sprint(r.Properties) != "[{X-A b}]" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := run(socketType("DISH"), true); cause(err) != zmtp.CauseSocketType {
		t.Errorf("bad metadata: %v", err)
	}
	// zmq4 panics here, because nothing has looked at the metadata.
	if _, err := run(socketType("DISH"), false); cause(err) != zmtp.CauseMalformed || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a panic of zmq4: %v", err)
	}
	if _, err := run(socketType("PUB"), false); cause(err) != zmtp.CauseMalformed {
		t.Errorf("metadata that the guard never saw: %v", err)
	}
}

func TestHandshakeMisuse(t *testing.T) {
	cfg := zmtp.GuardConfig{Socket: zmq4.Sub}
	mech := func(name zmq4.SecurityType, f func(*zmq4.Conn) error) zmq4.Security {
		return &mechanism{Security: null.Security(), name: name, handshake: f}
	}
	ready := then(hello, "READY", socketType("PUB"))
	own := &zmtp.HandshakeError{Cause: zmtp.CauseAuth, Detail: "key not allowed"}
	tests := []struct {
		name     string
		conn     net.Conn
		sec      zmq4.Security
		cfg      zmtp.GuardConfig
		identity string
		cause    zmtp.Cause
		detail   string
	}{
		{"no connection", nil, null.Security(), cfg, "", zmtp.CauseConfig, "nil"},
		{"no mechanism", &script{}, nil, cfg, "", zmtp.CauseConfig, "nil"},
		{"no socket type", &script{}, null.Security(), zmtp.GuardConfig{}, "", zmtp.CauseConfig, "Socket"},
		{"our identity is too long", &script{}, null.Security(), cfg, strings.Repeat("x", 256), zmtp.CauseConfig, "256"},
		{"CURVE that cannot show its metadata", &script{}, mech("CURVE", nil), cfg, "", zmtp.CauseConfig, "Sealed"},
		{"mechanism that panics", &script{in: ready}, mech("NULL", func(*zmq4.Conn) error { panic("oops") }), cfg, "", zmtp.CauseMalformed, "oops"},
		{"mechanism that reads nothing", &script{in: ready}, mech("NULL", func(c *zmq4.Conn) error {
			c.Peer.Meta["Socket-Type"] = "PUB"
			return nil
		}), cfg, "", zmtp.CauseMalformed, "ended the handshake before"},
		{"mechanism that gives its own cause", &script{in: ready}, mech("NULL", func(*zmq4.Conn) error { return own }), cfg, "", zmtp.CauseAuth, "key not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := zmtp.Handshake(tt.conn, tt.sec, tt.cfg, []byte(tt.identity), false)
			if cause(err) != tt.cause || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("got %v, want %s with %q", err, tt.cause, tt.detail)
			}
			if c, ok := tt.conn.(*script); ok && tt.cause == zmtp.CauseConfig && c.out.Len() > 0 {
				t.Errorf("%q was sent all the same", c.out.Bytes())
			}
		})
	}
}

func TestHandshakeWriteFails(t *testing.T) {
	ours, theirs := net.Pipe()
	theirs.Close()
	if _, err := zmtp.Handshake(ours, null.Security(), zmtp.GuardConfig{Socket: zmq4.Sub}, nil, false); cause(err) != zmtp.CauseClosed {
		t.Errorf("got %v", err)
	}
}

func ExampleHandshake() {
	// A peer that speaks something else.
	ours, theirs := net.Pipe()
	go io.Copy(io.Discard, theirs)
	go theirs.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))

	ours.SetDeadline(time.Now().Add(5 * time.Second))
	defer ours.Close()
	_, err := zmtp.Handshake(ours, null.Security(), zmtp.GuardConfig{Socket: zmq4.Sub}, nil, false)
	fmt.Println(err)
	// Output: zmtp: handshake failed (not-zmtp): the peer speaks a text protocol such as HTTP: its first bytes are "SSH-2.0-OpenSSH_"
}

func BenchmarkHandshake(b *testing.B) {
	in := then(hello, "READY", socketType("SUB"))
	cfg := zmtp.GuardConfig{Socket: zmq4.Pub}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := zmtp.Handshake(&script{in: in}, null.Security(), cfg, nil, true); err != nil {
			b.Fatal(err)
		}
	}
}
