package zmtp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/internal/zmtp"
)

// parse reads the one message that b holds.
func parse(t testing.TB, b []byte) *zmtp.Message {
	t.Helper()
	var m zmtp.Message
	var l zmtp.Limits
	if n, _, err := l.Parse(b, &m); n != len(b) || err != nil {
		t.Fatalf("Parse(%x) = %d, %v; want all %d bytes", b, n, err, len(b))
	}
	return &m
}

// Bytes that libzmq 4.3.4 sent, read off a plain TCP socket to which pyzmq 24.0.1
// connected (or the other way round), after a greeting of ZMTP 3.0 and a READY had
// been sent to it; where it says 3.1, the greeting said that.
const (
	libzmqSubscribe   = "00 09 01 776561746865722e"                          // SUB: subscribe(b"weather.")
	libzmqCancel      = "00 09 00 776561746865722e"                          // SUB: unsubscribe(b"weather.")
	libzmqAll         = "00 01 01"                                           // SUB: subscribe(b"")
	libzmqSubscribe31 = "04 12 09 535542534352494245 776561746865722e"       // SUB and XSUB to a peer of 3.1
	libzmqCancel31    = "04 0f 06 43414e43454c 776561746865722e"             // SUB to a peer of 3.1; XSUB sends libzmqCancel
	libzmqUser        = "01 04 75736572 00 03 6d7367"                        // XSUB: send_multipart([b"user", b"msg"])
	libzmqPing        = "04 07 04 50494e47 0032"                             // HEARTBEAT_IVL set, HEARTBEAT_TTL 5 s
	libzmqPingNoTTL   = "04 07 04 50494e47 0000"                             // HEARTBEAT_IVL set
	libzmqPong        = "04 15 04 504f4e47 6162636465666768696a6b6c6d6e6f70" // to a PING with context a…z
	libzmqEvent       = "01 0a 776561746865722e6575 01 04 32312e35 00 00"    // PUB: send_multipart([b"weather.eu", b"21.5", b""])
)

func TestLibzmqTraffic(t *testing.T) {
	sub := func(s string) string {
		s2, ok := zmtp.ParseSub(parse(t, unhex(t, s)))
		return fmt.Sprintf("%v %q %v", s2.Cancel, s2.Prefix, ok)
	}
	ping := func(s string) string {
		ttl, context, ok := zmtp.ParsePing(parse(t, unhex(t, s)))
		return fmt.Sprintf("%v %q %v", ttl, context, ok)
	}
	message := func(s string) string { return fmt.Sprintf("%q", parse(t, unhex(t, s)).Frames) }
	for _, tt := range []struct{ name, got, want string }{
		{"subscribe", sub(libzmqSubscribe), `false "weather." true`},
		{"cancel", sub(libzmqCancel), `true "weather." true`},
		{"all", sub(libzmqAll), `false "" true`},
		{"subscribe 3.1", sub(libzmqSubscribe31), `false "weather." true`},
		{"cancel 3.1", sub(libzmqCancel31), `true "weather." true`},
		{"user message of XSUB", sub(libzmqUser), `false "" false`},
		{"event", message(libzmqEvent), `["weather.eu" "21.5" ""]`},
		{"ping", ping(libzmqPing), `5s "" true`},
		{"ping without ttl", ping(libzmqPingNoTTL), `0s "" true`},
		{"pong is no ping", ping(libzmqPong), `0s "" false`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	// We write the same bytes as libzmq.
	alphabet := []byte("abcdefghijklmnopqrstuvwxyz")
	for _, tt := range []struct {
		name, want string
		got        []byte
	}{
		{"subscribe", libzmqSubscribe, zmtp.AppendSubscribe(nil, []byte("weather."))},
		{"cancel", libzmqCancel, zmtp.AppendCancel(nil, []byte("weather."))},
		{"event", libzmqEvent, zmtp.AppendMessage(nil, []byte("weather.eu"), []byte("21.5"), nil)},
		{"ping", libzmqPing, zmtp.AppendPing(nil, 5*time.Second, nil)},
		{"pong", libzmqPong, zmtp.AppendPong(nil, alphabet)},
	} {
		if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s: got %x, want %x", tt.name, tt.got, want)
		}
	}
}

func TestPing(t *testing.T) {
	for _, tt := range []struct {
		ttl, want time.Duration
		context   string
	}{
		{0, 0, ""},
		{-time.Second, 0, "c"},
		{time.Nanosecond, 100 * time.Millisecond, "0123456789abcdef"},
		{100 * time.Millisecond, 100 * time.Millisecond, ""},
		{101 * time.Millisecond, 200 * time.Millisecond, ""},
		{6553500 * time.Millisecond, 6553500 * time.Millisecond, ""},
		{1<<63 - 1, 6553500 * time.Millisecond, ""},
	} {
		ttl, context, ok := zmtp.ParsePing(parse(t, zmtp.AppendPing(nil, tt.ttl, []byte(tt.context))))
		if ttl != tt.want || string(context) != tt.context || !ok {
			t.Errorf("ttl %v, context %q: got %v, %q, %v", tt.ttl, tt.context, ttl, context, ok)
		}
	}
	// libzmq too cuts a context that is too long, and a PING needs its ttl.
	m := parse(t, zmtp.AppendCommand(nil, "PING", []byte("\x00\x01"+strings.Repeat("x", 40))))
	if _, context, ok := zmtp.ParsePing(m); len(context) != zmtp.MaxContext || !ok {
		t.Errorf("long context: got %d bytes, %v", len(context), ok)
	}
	if _, _, ok := zmtp.ParsePing(parse(t, zmtp.AppendCommand(nil, "PING", []byte{1}))); ok {
		t.Error("a PING of one byte was accepted")
	}
	if _, _, ok := zmtp.ParsePing(parse(t, zmtp.AppendMessage(nil, []byte("PING")))); ok {
		t.Error("a message was taken for a PING")
	}
}

func TestParseSubRejects(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty message":   zmtp.AppendMessage(nil, nil),
		"other first":     zmtp.AppendMessage(nil, []byte("\x02abc")),
		"two frames":      zmtp.AppendMessage(nil, []byte("\x01abc"), nil),
		"another command": zmtp.AppendCommand(nil, "JOIN", []byte("abc")),
		"lower case":      zmtp.AppendCommand(nil, "subscribe", []byte("abc")),
	} {
		if s, ok := zmtp.ParseSub(parse(t, b)); ok {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestParseError(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{"\x03400", "400"},
		{"\x00", ""},
		{"", ""},
		{"\x03400 and more", "400"},
		{"invalid", "invalid"}, // zmq4 leaves the length out
		{"\x04a\n\x1b\xff", "a???"},
		{"\xff" + strings.Repeat("y", 500), strings.Repeat("y", 255)},
		{strings.Repeat("y", 100), strings.Repeat("y", 100)},
	} {
		e, ok := zmtp.ParseError(parse(t, zmtp.AppendCommand(nil, "ERROR", []byte(tt.data))))
		if !ok || e.Reason != tt.want {
			t.Errorf("%.20q: got %+v, %v; want %.20q", tt.data, e, ok, tt.want)
		}
	}
	if _, ok := zmtp.ParseError(parse(t, zmtp.AppendPong(nil, nil))); ok {
		t.Error("a PONG was taken for an ERROR")
	}
}

func ExampleParsePing() {
	var l zmtp.Limits
	var m zmtp.Message
	in := zmtp.AppendPing(nil, 2*time.Second, []byte("ctx"))
	if n, _, err := l.Parse(in, &m); n == 0 || err != nil {
		return
	}
	if ttl, context, ok := zmtp.ParsePing(&m); ok {
		fmt.Println(ttl)
		fmt.Printf("%q\n", zmtp.AppendPong(nil, context))
	}
	// Output:
	// 2s
	// "\x04\b\x04PONGctx"
}
