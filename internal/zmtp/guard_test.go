package zmtp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
	"github.com/go-zeromq/zmq4/security/plain"

	"github.com/heraldbus/herald/internal/zmtp"
)

// allowAlice is the Authenticate of the tests.
func allowAlice(user, password []byte) error {
	if string(user) != "alice" || string(password) != "s3cret" {
		return errWrong
	}
	return nil
}

var errWrong = errors.New("wrong user or password")

// security makes the mechanism of zmq4 that a test names.
func security(mechanism zmq4.SecurityType) zmq4.Security {
	if mechanism == zmq4.PlainSecurity {
		return plain.Security("alice", "s3cret")
	}
	return null.Security()
}

// bare runs zmq4.Open without a guard, and says what came of it.
func bare(in []byte, mechanism zmq4.SecurityType, server bool) (outcome string) {
	defer func() {
		if p := recover(); p != nil {
			outcome = "panics"
		}
	}()
	_, err := zmq4.Open(&script{in: in}, security(mechanism), zmq4.Pub, nil, server, nil)
	if err != nil {
		return "fails"
	}
	return "accepts"
}

// Every way known to harm zmq4 v0.17.0 through its handshake, and every other way
// to break the rules, with what the guard makes of it and what zmq4.Open does
// when it stands alone. Outcomes with a star are not tried, because the test
// would not survive them.
func TestGuardRefuses(t *testing.T) {
	const (
		fatal     = "fatal*"  // out of memory, which recover does not catch
		unbounded = "no end*" // collects frames until memory ends
		fails     = "fails"   // returns an error, though often not a telling one
		panics    = "panics"  // and takes the process along, if nobody recovers
		accepts   = "accepts" // as if all were well
		NULL      = zmq4.NullSecurity
		PLAIN     = zmq4.PlainSecurity
	)
	user := "\x05alice\x06s3cret"
	many := ""
	for i := range 40 {
		many += property(fmt.Sprintf("X-%d", i), "", -1)
	}
	raw := func(b []byte, hex string) []byte { return append(bytes.Clone(b), unhex(t, hex)...) }
	set := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }

	tests := []struct {
		name    string
		in      []byte
		mech    zmq4.SecurityType
		server  bool
		cause   zmtp.Cause
		detail  string
		without string
	}{
		// Greetings.
		{"silence", nil, NULL, true, zmtp.CauseClosed, "greeting", fails},
		{"half a greeting", hello[:40], NULL, true, zmtp.CauseClosed, "greeting", fails},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), NULL, true, zmtp.CauseNotZMTP, "HTTP", fails},
		{"TLS", unhex(t, "16030100f8010000f40303"), NULL, true, zmtp.CauseNotZMTP, "TLS", fails},
		{"noise", unhex(t, "8badf00d"), NULL, true, zmtp.CauseNotZMTP, "no ZeroMQ peer", fails},
		{"wrong footer", set(hello, 9, 0x7e), NULL, true, zmtp.CauseNotZMTP, "signature", fails},
		{"ZMTP 1", unhex(t, "0100"), NULL, true, zmtp.CauseVersion, "ZMTP 1", fails},
		{"ZMTP 1 with identity", unhex(t, "06006162636465"), NULL, true, zmtp.CauseVersion, "ZMTP 1", fails},
		{"ZMTP 2", unhex(t, "ff00000000000000017f 01 02"), NULL, true, zmtp.CauseVersion, "ZMTP 2", fails},
		{"other mechanism", greeting(3, 1, "CURVE", 0), NULL, true, zmtp.CauseMechanism, `"CURVE"`, fails},
		{"no mechanism", greeting(3, 1, "", 0), NULL, true, zmtp.CauseMechanism, `""`, fails},
		{"bytes after the mechanism", then(greeting(3, 0, "NULL\x00x", 0), "READY", socketType("SUB")), NULL, true, zmtp.CauseMalformed, `NULL\x00x`, accepts},
		{"as-server of 2", greeting(3, 0, "NULL", 2), NULL, true, zmtp.CauseMalformed, "as-server", fails},

		// Frames.
		{"nothing after the greeting", hello, NULL, true, zmtp.CauseClosed, "READY", fails},
		{"2^62 bytes", raw(hello, "06 4000000000000000"), NULL, true, zmtp.CauseOversize, "4611686018427387904", panics},
		{"1 TiB", raw(hello, "06 0000010000000000"), NULL, true, zmtp.CauseOversize, "1099511627776", fatal},
		{"2^63 bytes", raw(hello, "06 8000000000000000"), NULL, true, zmtp.CauseOversize, "9223372036854775808", fails},
		{"a byte above the limit", raw(hello, "06 0000000000002001"), NULL, true, zmtp.CauseOversize, "8193", fails},
		{"frames without end", raw(hello, "05 00 05 00 05 00"), NULL, true, zmtp.CauseMalformed, "flags 0x05", unbounded},
		{"message for a command", raw(hello, "00 00"), NULL, true, zmtp.CauseMalformed, "flags 0x00", fails},
		{"reserved flag", set(then(hello, "READY", socketType("SUB")), 64, 0x84), NULL, true, zmtp.CauseMalformed, "flags 0x84", accepts},
		{"half a command", then(hello, "READY", socketType("SUB"))[:80], NULL, true, zmtp.CauseClosed, "READY", fails},
		{"half a long header", raw(hello, "06 00000000"), NULL, true, zmtp.CauseClosed, "READY", fails},
		{"empty command", raw(hello, "04 00"), NULL, true, zmtp.CauseMalformed, "proper name", fails},
		{"no name", raw(hello, "04 01 00"), NULL, true, zmtp.CauseMalformed, "proper name", fails},
		{"name beyond its frame", raw(hello, "04 02 ff 41"), NULL, true, zmtp.CauseMalformed, "proper name", fails},
		{"name with a space", then(hello, "READY ", ""), NULL, true, zmtp.CauseMalformed, "proper name", fails},
		{"other command", then(hello, "PING", "\x00\x00"), NULL, true, zmtp.CauseMalformed, `"PING" where READY`, fails},

		// Metadata.
		{"READY 01", then(hello, "READY", "\x01"), NULL, true, zmtp.CauseMalformed, "ends within", panics},
		{"READY 00", then(hello, "READY", "\x00"), NULL, true, zmtp.CauseMalformed, "empty name", panics},
		{"READY without metadata", then(hello, "READY", ""), NULL, true, zmtp.CauseSocketType, "without Socket-Type", panics},
		{"no Socket-Type", then(hello, "READY", property("Identity", "x", -1)), NULL, true, zmtp.CauseSocketType, "without Socket-Type", panics},
		{"Socket-Type DISH", then(hello, "READY", socketType("DISH")), NULL, true, zmtp.CauseSocketType, `"DISH"`, panics},
		{"Socket-Type empty", then(hello, "READY", socketType("")), NULL, true, zmtp.CauseSocketType, `""`, panics},
		{"Socket-Type in lower case", then(hello, "READY", socketType("sub")), NULL, true, zmtp.CauseSocketType, `"sub"`, panics},
		{"Socket-Type that does not fit", then(hello, "READY", socketType("PULL")), NULL, true, zmtp.CauseSocketType, "a PUB talks to [SUB XSUB]", fails},
		{"Socket-Type twice", then(hello, "READY", socketType("SUB")+property("socket-type", "SUB", -1)), NULL, true, zmtp.CauseMalformed, "twice", accepts},
		{"Identity twice", then(hello, "READY", socketType("SUB")+strings.Repeat(property("Identity", "", -1), 2)), NULL, true, zmtp.CauseMalformed, "twice", accepts},
		{"Identity too long", then(hello, "READY", socketType("SUB")+"\x08Identity\x00\x00\x01\x00"+strings.Repeat("x", 256)), NULL, true, zmtp.CauseOversize, "256", accepts},
		{"too many properties", then(hello, "READY", many+socketType("SUB")), NULL, true, zmtp.CauseOversize, "32 properties", accepts},
		{"bad property name", then(hello, "READY", socketType("SUB")+property("X Y", "", -1)), NULL, true, zmtp.CauseMalformed, `"X Y"`, accepts},
		{"name without value", then(hello, "READY", "\x01X"), NULL, true, zmtp.CauseMalformed, "ends within", panics},
		{"value beyond the end", then(hello, "READY", property("X", "a", 2)), NULL, true, zmtp.CauseMalformed, "of 2 bytes where 1", fails},
		{"value of 4 GiB", then(hello, "READY", "\x01X\xff\xff\xff\xff"), NULL, true, zmtp.CauseMalformed, "4294967295", fails},

		// ERROR.
		{"ERROR", then(hello, "ERROR", "\x03400"), NULL, true, zmtp.CausePeerError, `"400"`, fails},
		{"ERROR for WELCOME", then(helloP, "ERROR", "\x03400"), PLAIN, false, zmtp.CausePeerError, `"400"`, fails},
		{"ERROR of libzmq 4.3.4's PLAIN server", raw(helloP, "04 09 5e52524f52 03 343030"), PLAIN, false, zmtp.CausePeerError, `"400"`, fails},

		// PLAIN.
		{"PLAIN wrong password", then(then(helloP, "HELLO", "\x05alice\x05wrong"), "INITIATE", socketType("SUB")), PLAIN, true, zmtp.CauseAuth, `user "alice"`, accepts},
		{"PLAIN no password", then(then(helloP, "HELLO", "\x05alice"), "INITIATE", socketType("SUB")), PLAIN, true, zmtp.CauseMalformed, "HELLO", accepts},
		{"PLAIN more than a password", then(then(helloP, "HELLO", user+"x"), "INITIATE", socketType("SUB")), PLAIN, true, zmtp.CauseMalformed, "HELLO", accepts},
		{"PLAIN password beyond the end", then(then(helloP, "HELLO", "\x05alice\xff"), "INITIATE", socketType("SUB")), PLAIN, true, zmtp.CauseMalformed, "HELLO", accepts},
		{"PLAIN no HELLO", then(helloP, "INITIATE", socketType("SUB")), PLAIN, true, zmtp.CauseMalformed, `"INITIATE" where HELLO`, fails},
		{"PLAIN anything for INITIATE", then(then(helloP, "HELLO", user), "PING", socketType("SUB")), PLAIN, true, zmtp.CauseMalformed, `"PING" where INITIATE`, accepts},
		{"PLAIN INITIATE 01", then(then(helloP, "HELLO", user), "INITIATE", "\x01"), PLAIN, true, zmtp.CauseMalformed, "INITIATE", fails},
		{"PLAIN INITIATE with PULL", then(then(helloP, "HELLO", user), "INITIATE", socketType("PULL")), PLAIN, true, zmtp.CauseSocketType, `"PULL"`, fails},
		{"PLAIN WELCOME with data", then(then(helloP, "WELCOME", "x"), "READY", socketType("SUB")), PLAIN, false, zmtp.CauseMalformed, "WELCOME", accepts},
		{"PLAIN READY 00", then(then(helloP, "WELCOME", ""), "READY", "\x00"), PLAIN, false, zmtp.CauseMalformed, "READY", fails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunk := range []int{0, 1} {
				c := &script{in: tt.in, chunk: chunk}
				cfg := zmtp.GuardConfig{Socket: zmq4.Pub, Authenticate: allowAlice}
				_, err := zmtp.Handshake(c, security(tt.mech), cfg, nil, tt.server)
				var he *zmtp.HandshakeError
				if !errors.As(err, &he) || he.Cause != tt.cause || !strings.Contains(err.Error(), tt.detail) {
					t.Fatalf("got %v; want %s with %q", err, tt.cause, tt.detail)
				}
				if c.largest > zmtp.DefaultCommand {
					t.Errorf("a buffer of %d bytes", c.largest)
				}
			}
			if strings.HasSuffix(tt.without, "*") {
				return
			}
			if got := bare(tt.in, tt.mech, tt.server); got != tt.without {
				t.Errorf("without the guard zmq4 %s, expected that it %s", got, tt.without)
			}
		})
	}
}

// What a guard lets through reaches zmq4 as it was, the handshake succeeds, and
// what comes after it is still there.
func TestGuardAccepts(t *testing.T) {
	user := "\x05alice\x06s3cret"
	long := func(b []byte, data string) []byte { // READY in a long frame, which ZMTP allows for any size
		b = append(bytes.Clone(b), zmtp.FlagCommand|zmtp.FlagLong, 0, 0, 0, 0, 0, 0, 0, byte(6+len(data)))
		return append(append(b, "\x05READY"...), data...)
	}
	identity := strings.Repeat("i", 255)
	tests := []struct {
		name   string
		in     []byte
		socket zmq4.SocketType
		mech   zmq4.SecurityType
		server bool
		want   zmtp.Ready
	}{
		{"libzmq SUB", append(unhex(t, libzmqGreeting), unhex(t, libzmqReadySub)...), zmq4.Pub, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Minor: 1, Socket: zmq4.Sub}},
		{"libzmq PUB", append(unhex(t, libzmqGreeting), unhex(t, libzmqReadyPub)...), zmq4.Sub, zmq4.NullSecurity, false,
			zmtp.Ready{Major: 3, Minor: 1, Socket: zmq4.Pub}},
		{"libzmq DEALER", append(unhex(t, libzmqGreeting), unhex(t, libzmqReadyDealer)...), zmq4.Router, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Minor: 1, Socket: zmq4.Dealer, Identity: "worker-1", Properties: []zmtp.Property{{"X-Site", "north"}}}},
		{"libzmq PLAIN client", append(append(unhex(t, libzmqGreetingPlain), unhex(t, libzmqPlainHello)...), unhex(t, libzmqPlainInitiate)...), zmq4.XPub, zmq4.PlainSecurity, true,
			zmtp.Ready{Major: 3, Minor: 1, Socket: zmq4.Sub}},
		{"libzmq PLAIN server", append(append(unhex(t, libzmqGreetingPlain), unhex(t, libzmqPlainWelcome)...), unhex(t, libzmqReadyPub)...), zmq4.Sub, zmq4.PlainSecurity, false,
			zmtp.Ready{Major: 3, Minor: 1, Socket: zmq4.Pub}},
		{"a version to come", then(greeting(4, 7, "NULL", 1), "READY", socketType("XSUB")), zmq4.Pub, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 4, Minor: 7, Server: true, Socket: zmq4.XSub}},
		{"filler that is used", func() []byte { b := then(hello, "READY", socketType("SUB")); b[63] = 1; return b }(), zmq4.Pub, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Socket: zmq4.Sub}},
		// RFC 23: case is not significant. zmq4 alone panics, for it looks for Socket-Type only.
		{"names in capitals", then(hello, "READY", property("SOCKET-TYPE", "SUB", -1)+property("IDENTITY", "me", -1)), zmq4.Pub, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Socket: zmq4.Sub, Identity: "me"}},
		{"long frame", long(hello, socketType("SUB")), zmq4.Pub, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Socket: zmq4.Sub}},
		{"longest identity", then(hello, "READY", "\x08Identity\x00\x00\x00\xff"+identity+socketType("REQ")), zmq4.Router, zmq4.NullSecurity, true,
			zmtp.Ready{Major: 3, Socket: zmq4.Req, Identity: identity}},
		{"PLAIN", then(then(helloP, "HELLO", user), "INITIATE", socketType("SUB")), zmq4.Pub, zmq4.PlainSecurity, true,
			zmtp.Ready{Major: 3, Socket: zmq4.Sub}},
	}
	const after = "\x00\x05\x01rest"
	for _, tt := range tests {
		tt.want.Mechanism = tt.mech
		t.Run(tt.name, func(t *testing.T) {
			for _, chunk := range []int{0, 1, 7} {
				c := &script{in: append(bytes.Clone(tt.in), after...), chunk: chunk}
				cfg := zmtp.GuardConfig{Socket: tt.socket, Authenticate: allowAlice}
				got, err := zmtp.Handshake(c, security(tt.mech), cfg, nil, tt.server)
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
				if string(c.in) != after {
					t.Errorf("left %q of the %q after the handshake", c.in, after)
				}
			}
		})
	}
}

// More of what libzmq 4.3.4 sent, by pyzmq 24.0.1 (see libzmqSubscribe).
const (
	libzmqGreeting      = "ff00000000000000017f 0301 4e554c4c00000000000000000000000000000000 00 00000000000000000000000000000000000000000000000000000000000000"
	libzmqGreetingPlain = "ff00000000000000017f 0301 504c41494e000000000000000000000000000000 00 00000000000000000000000000000000000000000000000000000000000000"
	libzmqReadySub      = "04 19 055245414459 0b536f636b65742d54797065 00000003 535542"
	libzmqReadyPub      = "04 19 055245414459 0b536f636b65742d54797065 00000003 505542"
	// IDENTITY worker-1, METADATA X-Site:north
	libzmqReadyDealer   = "04 41 055245414459 0b536f636b65742d54797065 00000006 4445414c4552 084964656e74697479 00000008 776f726b65722d31 06582d53697465 00000005 6e6f727468"
	libzmqPlainHello    = "04 13 0548454c4c4f 05616c696365 06733363726574"
	libzmqPlainWelcome  = "04 08 0757454c434f4d45"
	libzmqPlainInitiate = "04 1c 08494e495449415445 0b536f636b65742d54797065 00000003 535542"
)

// A PLAIN server tells a client that it refuses; nobody else gets an answer.
func TestGuardAnswersRefusal(t *testing.T) {
	user := "\x05alice\x06s3cret"
	tests := []struct {
		name   string
		in     []byte
		mech   zmq4.SecurityType
		server bool
		want   string
	}{
		{"credentials", then(helloP, "HELLO", "\x05alice\x05wrong"), zmq4.PlainSecurity, true, "\x04\x0a\x05ERROR\x03400"},
		{"socket type", then(then(helloP, "HELLO", user), "INITIATE", socketType("PULL")), zmq4.PlainSecurity, true, "\x04\x12\x05ERROR\x0bSocket-Type"},
		{"malformed", then(helloP, "HELLO", ""), zmq4.PlainSecurity, true, ""},
		{"NULL", then(hello, "READY", socketType("PULL")), zmq4.NullSecurity, true, ""},
		{"client", then(then(helloP, "WELCOME", ""), "READY", socketType("PULL")), zmq4.PlainSecurity, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &script{in: tt.in}
			cfg := zmtp.GuardConfig{Socket: zmq4.Pub, Authenticate: allowAlice}
			if _, err := zmtp.Handshake(c, security(tt.mech), cfg, nil, tt.server); err == nil {
				t.Fatal("no error")
			}
			out := c.out.String()
			if got := strings.Contains(out, "ERROR"); got != (tt.want != "") || !strings.HasSuffix(out, tt.want) {
				t.Errorf("answered %q, want it to end with %q", out, tt.want)
			}
		})
	}
}

func TestGuardErrors(t *testing.T) {
	valid := zmtp.GuardConfig{Mechanism: zmq4.NullSecurity, Socket: zmq4.Sub}

	t.Run("config", func(t *testing.T) {
		c := &script{}
		g := zmtp.NewGuard(c, zmtp.GuardConfig{Mechanism: "GSSAPI", Socket: "DISH", MaxCommand: -1, MaxProperties: -2})
		for _, want := range []string{"config", `"GSSAPI"`, `"DISH"`, "MaxCommand is -1", "MaxProperties is -2"} {
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it to say %q", err, want)
			}
		}
		if _, err := g.Read(make([]byte, 1)); err != g.Err() {
			t.Errorf("Read: %v", err)
		}
		g = zmtp.NewGuard(c, zmtp.GuardConfig{Mechanism: zmq4.PlainSecurity, Socket: zmq4.Pub, Server: true})
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), "Authenticate") {
			t.Errorf("PLAIN server without Authenticate: %v", err)
		}
	})
	t.Run("past the end", func(t *testing.T) {
		in := then(hello, "READY", socketType("PUB"))
		g := zmtp.NewGuard(&script{in: append(bytes.Clone(in), 1, 2, 3)}, valid)
		got, err := io.ReadAll(g)
		if !bytes.Equal(got, in) || err == nil || !strings.Contains(err.Error(), "past the end") {
			t.Errorf("read %d of %d bytes, then %v", len(got), len(in), err)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		g := zmtp.NewGuard(&script{in: hello, end: os.ErrDeadlineExceeded}, valid)
		_, err := io.ReadAll(g)
		var he *zmtp.HandshakeError
		if !errors.As(err, &he) || he.Cause != zmtp.CauseTimeout || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing read, nothing wrong", func(t *testing.T) {
		g := zmtp.NewGuard(&script{}, valid)
		if n, err := g.Read(nil); n != 0 || err != nil || g.Err() != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
	})
	t.Run("cause and error beneath", func(t *testing.T) {
		cfg := zmtp.GuardConfig{Socket: zmq4.Pub, Authenticate: allowAlice}
		_, err := zmtp.Handshake(&script{in: then(helloP, "HELLO", "\x01x\x01y")}, security(zmq4.PlainSecurity), cfg, nil, true)
		if !errors.Is(err, errWrong) {
			t.Errorf("got %v, want it to wrap the error of Authenticate", err)
		}
		_, err = zmtp.Handshake(&script{in: then(hello, "ERROR", "\x04busy")}, null.Security(), cfg, nil, true)
		var pe *zmtp.PeerError
		if !errors.As(err, &pe) || pe.Reason != "busy" {
			t.Errorf("got %v, want it to wrap a PeerError", err)
		}
	})
}

// The sizes that RFC 26 gives, for what libzmq 4.3.4 sends and for a byte less.
func TestGuardCurveSizes(t *testing.T) {
	helloC := greeting(3, 1, "CURVE", 0)
	data := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name   string
		in     []byte
		server bool
		ok     bool
	}{
		{"HELLO", then(helloC, "HELLO", data(194)), true, true},
		{"HELLO short", then(helloC, "HELLO", data(193)), true, false},
		{"HELLO long", then(helloC, "HELLO", data(195)), true, false},
		{"INITIATE", then(then(helloC, "HELLO", data(194)), "INITIATE", data(248)), true, true},
		{"INITIATE of libzmq", then(then(helloC, "HELLO", data(194)), "INITIATE", data(0x114-9)), true, true},
		{"INITIATE short", then(then(helloC, "HELLO", data(194)), "INITIATE", data(247)), true, false},
		{"WELCOME", then(helloC, "WELCOME", data(160)), false, true},
		{"WELCOME short", then(helloC, "WELCOME", data(159)), false, false},
		{"READY of libzmq", then(then(helloC, "WELCOME", data(160)), "READY", data(0x31-6)), false, true},
		{"READY short", then(then(helloC, "WELCOME", data(160)), "READY", data(23)), false, false},
		{"ERROR", then(helloC, "ERROR", "\x00"), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := zmtp.GuardConfig{Mechanism: zmq4.CurveSecurity, Socket: zmq4.Sub, Server: tt.server}
			g := zmtp.NewGuard(&script{in: tt.in}, cfg)
			got := make([]byte, len(tt.in))
			_, err := io.ReadFull(g, got)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if tt.ok && !bytes.Equal(got, tt.in) {
				t.Error("the bytes were changed")
			}
		})
	}
}

// FuzzGuard runs zmq4.Open, without recover, on whatever the guard lets through.
// Neither of them may panic, or ask for more memory than a command may have; and
// a handshake that succeeds has used whole commands only, and left the rest.
func FuzzGuard(f *testing.F) {
	user := "\x05alice\x06s3cret"
	for _, in := range [][]byte{
		append(unhex(f, libzmqGreeting), unhex(f, libzmqReadySub)...),
		append(unhex(f, libzmqGreeting), unhex(f, libzmqReadyDealer)...),
		then(then(helloP, "HELLO", user), "INITIATE", socketType("SUB")),
		then(then(helloP, "WELCOME", ""), "READY", socketType("SUB")),
		then(hello, "READY", "\x01"), then(hello, "READY", "\x00"), then(hello, "READY", socketType("DISH")),
		append(bytes.Clone(hello), unhex(f, "06 4000000000000000")...),
		append(bytes.Clone(hello), unhex(f, "05 00 05 00")...),
		append(bytes.Clone(helloP), unhex(f, "04 09 5e52524f52 03 343030")...),
	} {
		f.Add(in, false, false, byte(0))
		f.Add(in, true, true, byte(3))
		f.Add(in, true, false, byte(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, usePlain, server bool, chunk byte) {
		mech := zmq4.NullSecurity
		if usePlain {
			mech = zmq4.PlainSecurity
		}
		c := &script{in: in, chunk: int(chunk)}
		g := zmtp.NewGuard(c, zmtp.GuardConfig{Mechanism: mech, Server: server, Socket: zmq4.Router, MaxCommand: 400, Authenticate: allowAlice})
		watch := &largest{Conn: g}
		_, err := zmq4.Open(watch, security(mech), zmq4.Router, nil, server, nil)
		if watch.n > 400 || c.largest > 400 {
			t.Fatalf("a buffer of %d bytes in zmq4, %d in the guard", watch.n, c.largest)
		}
		if err != nil {
			return
		}
		if g.Err() != nil || !zmtp.Compatible(zmq4.Router, g.Peer().Socket) {
			t.Fatalf("zmq4 is content with %+v, the guard says %v", g.Peer(), g.Err())
		}
		used := in[64 : len(in)-len(c.in)]
		commands := 0
		var m zmtp.Message
		for l := (zmtp.Limits{}); len(used) > 0; commands++ {
			n, _, err := l.Parse(used, &m)
			if n == 0 || err != nil || !m.Command {
				t.Fatalf("the handshake used %x", used)
			}
			used = used[n:]
		}
		want := 1
		if usePlain {
			want = 2
		}
		if commands != want {
			t.Fatalf("%d commands, want %d", commands, want)
		}
	})
}

// largest notes the largest buffer that is to be filled.
type largest struct {
	net.Conn
	n int
}

func (l *largest) Read(p []byte) (int, error) {
	l.n = max(l.n, len(p))
	return l.Conn.Read(p)
}
