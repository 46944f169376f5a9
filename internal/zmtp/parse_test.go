package zmtp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/heraldbus/herald/internal/zmtp"
)

// result is all that one call of Parse says, in a form that can be compared.
type result struct {
	n, need int
	kind    string // of the error
	message string
	between string
}

func kind(err error) string {
	switch {
	case errors.Is(err, zmtp.ErrMalformed):
		return "malformed"
	case errors.Is(err, zmtp.ErrTooLarge):
		return "too large"
	case err != nil:
		return "other: " + err.Error()
	}
	return ""
}

func show(m *zmtp.Message) string {
	return fmt.Sprintf("%v %q %q", m.Command, m.Name, m.Frames)
}

func run(l zmtp.Limits, b []byte, m *zmtp.Message) result {
	n, need, err := l.Parse(b, m)
	r := result{n: n, need: need, kind: kind(err)}
	if n > 0 {
		r.message = show(m)
	}
	for i := range m.Between {
		r.between += show(&m.Between[i]) + ";"
	}
	return r
}

// naive says what Parse should say, one frame at a time and without its paths for
// speed. All limits are set.
func naive(l zmtp.Limits, b []byte) result {
	var m zmtp.Message
	var r result
	total := 0
	for off := 0; ; {
		if off == len(b) {
			r.need = off + 2
			return r
		}
		flags := b[off]
		more, long, command := flags&1 != 0, flags&2 != 0, flags&4 != 0
		if flags > 7 || command && more {
			r.kind = "malformed"
			return r
		}
		count := len(m.Frames) + len(m.Between) + 1
		if count > l.Frames || count == l.Frames && more {
			r.kind = "too large"
			return r
		}
		header, size := 2, uint64(0)
		if long {
			header = 9
		}
		if len(b) < off+header {
			r.need = off + header
			return r
		}
		if long {
			size = binary.BigEndian.Uint64(b[off+1:])
		} else {
			size = uint64(b[off+1])
		}
		if size > uint64(l.Frame) || uint64(total)+size > uint64(l.Message) {
			r.kind = "too large"
			return r
		}
		end := off + header + int(size)
		if len(b) < end {
			r.need = end
			if more || command && off > 0 {
				r.need += 2
			}
			return r
		}
		body := b[off+header : end]
		alone := off == 0
		off, total = end, total+int(size)
		if command {
			if len(body) < 2 || body[0] == 0 || int(body[0]) > len(body)-1 {
				r.kind = "malformed"
				return r
			}
			c := zmtp.Message{Command: true, Name: body[1 : 1+body[0]], Frames: [][]byte{body[1+body[0]:]}}
			if alone {
				r.n, r.message = off, show(&c)
				return r
			}
			m.Between = append(m.Between, c)
			r.between += show(&c) + ";"
			continue
		}
		m.Frames = append(m.Frames, body)
		if !more {
			r.n, r.message = off, show(&m)
			return r
		}
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want result
	}{
		{"nothing", "", result{need: 2}},
		{"half a header", "00", result{need: 2}},
		{"half a long header", "02 00000000", result{need: 9}},
		{"half a body", "00 05 6162", result{need: 7}},
		{"half a body, more to come", "01 05 6162", result{need: 9}},
		{"half a long body", "03 0000000000000100 00", result{need: 9 + 256 + 2}},
		{"one frame", "00 01 61", result{n: 3, message: `false "" ["a"]`}},
		{"an empty frame", "00 00", result{n: 2, message: `false "" [""]`}},
		{"what follows stays", "00 01 61 ff", result{n: 3, message: `false "" ["a"]`}},
		{"two frames", "01 01 61 00 00", result{n: 5, message: `false "" ["a" ""]`}},
		{"the second is missing", "01 01 61", result{need: 5}},
		{"long form of a short frame", "02 0000000000000001 61", result{n: 10, message: `false "" ["a"]`}},
		{"command", "04 03 01 41 62", result{n: 5, message: `true "A" ["b"]`}},
		{"command without data", "04 02 01 41", result{n: 4, message: `true "A" [""]`}},
		{"command in long form", "06 0000000000000002 01 41", result{n: 11, message: `true "A" [""]`}},
		{"empty command", "04 00", result{kind: "malformed"}},
		{"command without a name", "04 01 00", result{kind: "malformed"}},
		{"name longer than its command", "04 02 02 41", result{kind: "malformed"}},
		{"command with more", "05", result{kind: "malformed"}},
		{"reserved flag", "08", result{kind: "malformed"}},
		{"reserved flag in the second frame", "01 00 80", result{kind: "malformed"}},
		{"2^62 bytes", "02 4000000000000000", result{kind: "too large"}},
		{"2^64-1 bytes", "02 ffffffffffffffff", result{kind: "too large"}},
		{"2^63 bytes as second frame", "01 00 02 8000000000000000", result{kind: "too large"}},
		{"command between", "01 01 61 04 02 01 41 00 01 62", result{n: 10, message: `false "" ["a" "b"]`, between: `true "A" [""];`}},
		{"command between, then nothing", "01 01 61 04 02 01 41", result{need: 9, between: `true "A" [""];`}},
		{"half a command between", "01 01 61 04 02 01", result{need: 9}},
		{"bad command between", "01 01 61 04 00", result{kind: "malformed"}},
		{"bad command between after a good one", "01 01 61 04 02 01 41 04 00", result{kind: "malformed", between: `true "A" [""];`}},
	}
	var m zmtp.Message // one for all: nothing of one call may show in the next
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			if got := run(zmtp.Limits{}, in, &m); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if got := naive(zmtp.Limits{}.WithDefaults(), in); got != tt.want {
				t.Errorf("naive: got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	frame := func(n int) []byte { return make([]byte, n) }
	m := zmtp.AppendMessage(nil, frame(3), frame(300), frame(3))
	tests := []struct {
		name   string
		limits zmtp.Limits
		in     []byte
		want   string
	}{
		{"all just enough", zmtp.Limits{Frame: 300, Frames: 3, Message: 306}, m, ""},
		{"frame", zmtp.Limits{Frame: 299}, m, "too large"},
		{"short frame", zmtp.Limits{Frame: 2}, m, "too large"},
		{"frames", zmtp.Limits{Frames: 2}, m, "too large"},
		{"message", zmtp.Limits{Message: 305}, m, "too large"},
		{"a frame is too much before it has come", zmtp.Limits{Frame: 299}, m[:14], "too large"},
		{"a message is too much before it has come", zmtp.Limits{Message: 302}, m[:14], "too large"},
		{"a second frame is announced", zmtp.Limits{Frames: 1}, m[:1], "too large"},
		{"command", zmtp.Limits{Frame: 5}, zmtp.AppendPong(nil, []byte{1}), "too large"},
		{"commands between count as frames", zmtp.Limits{Frames: 2}, unhex(t, "01 00 04 02 01 41 00 00"), "too large"},
		{"commands between count as bytes", zmtp.Limits{Message: 3}, unhex(t, "01 02 6161 04 02 01 41 00 00"), "too large"},
		{"huge limits", zmtp.Limits{Frame: math.MaxInt / 2, Message: math.MaxInt / 2}, unhex(t, "02 3000000000000000"), ""},
		{"below zero is nothing", zmtp.Limits{Frame: -1, Message: -1}, unhex(t, "00 01 61"), "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m zmtp.Message
			_, need, err := tt.limits.Parse(tt.in, &m)
			if kind(err) != tt.want || need < 0 {
				t.Errorf("got %v, need %d; want %q", err, need, tt.want)
			}
		})
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := (zmtp.Limits{}).Validate(); err != nil {
		t.Error(err)
	}
	err := zmtp.Limits{Frame: -1, Frames: math.MaxInt, Message: -3}.Validate()
	for _, want := range []string{"Limits.Frame is -1", "Limits.Frames is 9", "Limits.Message is -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	want := zmtp.Limits{Frame: 7, Frames: zmtp.DefaultFrames, Message: zmtp.DefaultMessage}
	if got := (zmtp.Limits{Frame: 7}).WithDefaults(); got != want {
		t.Errorf("WithDefaults: got %+v, want %+v", got, want)
	}
}

// A stream of all kinds of messages, cut at every place, is read the same, and a
// reader that always waits for need bytes gets through it.
func TestParseEverySplit(t *testing.T) {
	stream := zmtp.AppendMessage(nil, []byte("topic"), make([]byte, 64), make([]byte, 36))
	stream = zmtp.AppendPing(stream, 0, []byte("ctx"))
	stream = zmtp.AppendMessage(stream, nil)
	stream = zmtp.AppendSubscribe(stream, []byte("a."))
	stream = zmtp.AppendMessage(stream, []byte("t"), make([]byte, 300), nil)
	stream = append(stream, unhex(t, "01 01 61 04 07 04 50494e47 0000 03 0000000000000001 62 04 02 01 41 00 01 63")...)
	stream = zmtp.AppendCommand(stream, "LONG", make([]byte, 300))

	read := func(chunks ...[]byte) (out []string) {
		var buf []byte
		var m zmtp.Message
		var l zmtp.Limits
		for _, c := range chunks {
			buf = append(buf, c...)
			for {
				r := run(l, buf, &m)
				if r.kind != "" {
					t.Fatal(r.kind)
				}
				if r.n == 0 {
					if r.need <= len(buf) {
						t.Fatalf("%d bytes are there and %d are needed", len(buf), r.need)
					}
					break
				}
				out = append(out, r.message+r.between)
				buf = buf[r.n:]
			}
		}
		return out
	}
	want := read(stream)
	if len(want) != 7 {
		t.Fatalf("%d messages: %q", len(want), want)
	}
	for i := range stream {
		if got := read(stream[:i], stream[i:]); !slices.Equal(got, want) {
			t.Fatalf("cut at %d: got %q", i, got)
		}
	}
	if got := read(slices.Collect(slices.Chunk(stream, 1))...); !slices.Equal(got, want) {
		t.Fatalf("byte by byte: got %q", got)
	}

	var m zmtp.Message
	var l zmtp.Limits
	for rest, messages := stream, 0; ; {
		have := 0
		for {
			n, need, err := l.Parse(rest[:have], &m)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				if n != have {
					t.Fatalf("%d bytes were asked for, %d used", have, n)
				}
				rest = rest[n:]
				messages++
				break
			}
			have = need
		}
		if len(rest) == 0 {
			if messages != len(want) {
				t.Fatalf("%d messages, want %d", messages, len(want))
			}
			break
		}
	}
}

// What libzmq 4.3.4 put on the wire for send_multipart([b"topic", 300 kB, 300 kB,
// 300 kB]) on a PUB with HEARTBEAT_IVL of 50 ms, to a reader that was slow: in 5
// such messages it placed 9 PINGs between frames. Here with shorter bodies.
func TestLibzmqPingWithinMessage(t *testing.T) {
	payload := func(c byte) []byte { return bytes.Repeat([]byte{c}, 300) }
	stream := zmtp.AppendFrame(nil, zmtp.FlagMore, []byte("topic"))
	stream = zmtp.AppendFrame(stream, zmtp.FlagMore, payload('x'))
	stream = append(stream, unhex(t, libzmqPingNoTTL)...)
	afterFirst := len(stream)
	stream = zmtp.AppendFrame(stream, zmtp.FlagMore, payload('y'))
	stream = append(stream, unhex(t, libzmqPingNoTTL)...)
	afterSecond := len(stream)
	stream = zmtp.AppendFrame(stream, 0, payload('z'))

	var m zmtp.Message
	var l zmtp.Limits
	for i := range stream {
		n, _, err := l.Parse(stream[:i], &m)
		if n != 0 || err != nil || len(m.Frames) != 0 {
			t.Fatalf("%d of %d bytes: n = %d, %v, %d frames", i, len(stream), n, err, len(m.Frames))
		}
		want := 0
		if i >= afterFirst {
			want++
		}
		if i >= afterSecond {
			want++
		}
		if len(m.Between) != want {
			t.Fatalf("%d of %d bytes: %d commands between, want %d", i, len(stream), len(m.Between), want)
		}
		for i := range m.Between {
			if _, _, ok := zmtp.ParsePing(&m.Between[i]); !ok {
				t.Fatalf("no PING: %s", show(&m.Between[i]))
			}
		}
	}
	n, _, err := l.Parse(stream, &m)
	if n != len(stream) || err != nil || len(m.Frames) != 4 || len(m.Between) != 2 {
		t.Fatalf("n = %d, %v, %d frames, %d between", n, err, len(m.Frames), len(m.Between))
	}
	if !bytes.Equal(m.Frames[3], payload('z')) {
		t.Error("the last frame differs")
	}
}

// Appending to a frame must not write over the next one.
func TestParseFramesHaveNoSpareCapacity(t *testing.T) {
	for _, in := range [][]byte{
		zmtp.AppendMessage(nil, []byte("a"), make([]byte, 300), []byte("c")),
		zmtp.AppendCommand(nil, "NAME", []byte("data")),
	} {
		b := append(in, "next"...)
		var m zmtp.Message
		var l zmtp.Limits
		if _, _, err := l.Parse(b, &m); err != nil {
			t.Fatal(err)
		}
		for _, f := range append(m.Frames, m.Name) {
			if len(f) != cap(f) {
				t.Errorf("%.8q has %d bytes of spare capacity", f, cap(f)-len(f))
			}
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var m zmtp.Message
	var l zmtp.Limits
	for name, b := range map[string][]byte{
		"event":     zmtp.AppendMessage(nil, make([]byte, 16), make([]byte, 64), make([]byte, 36)),
		"long":      zmtp.AppendMessage(nil, make([]byte, 16), make([]byte, 1024), make([]byte, 36)),
		"ping":      zmtp.AppendPing(nil, 0, nil),
		"subscribe": zmtp.AppendSubscribe(nil, []byte("a")),
		"between":   unhex(t, "01 01 61 04 07 04 50494e47 0000 00 01 62"),
	} {
		if n := testing.AllocsPerRun(100, func() {
			if n, _, err := l.Parse(b, &m); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
			zmtp.ParseSub(&m)
			zmtp.ParsePing(&m)
			if n, _, err := l.Parse(b[:len(b)-1], &m); n != 0 || err != nil {
				t.Fatal(n, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzParse holds Parse against the naive parser, for what is read, for what is
// still needed, and for the promises about need.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		libzmqSubscribe, libzmqSubscribe31, libzmqCancel31, libzmqUser, libzmqPing, libzmqEvent,
		"01 01 61 04 02 01 41 00 01 62", "02 ffffffffffffffff", "05 00", "03 0000000000000100 00",
	} {
		f.Add(unhex(f, s), uint16(0), uint16(0), uint16(0))
		f.Add(unhex(f, s), uint16(3), uint16(2), uint16(5))
	}
	var m zmtp.Message
	f.Fuzz(func(t *testing.T, b []byte, frame, frames, message uint16) {
		l := zmtp.Limits{Frame: int(frame), Frames: int(frames), Message: int(message)}
		full := l.WithDefaults()
		got, want := run(l, b, &m), naive(full, b)
		if got != want {
			t.Fatalf("%x with %+v:\ngot  %+v\nwant %+v", b, l, got, want)
		}
		switch {
		case got.kind != "":
			return
		case got.n > 0:
			// Shorter by a byte it must be incomplete, and need no more than all.
			if r := run(l, b[:got.n-1], &m); r.n != 0 || r.kind != "" || r.need > got.n {
				t.Fatalf("%x without its last byte: %+v", b[:got.n], r)
			}
			if got.between == "" && zmtp.Skip(b) != got.n {
				t.Fatalf("%x: Skip = %d, Parse = %d", b, zmtp.Skip(b), got.n)
			}
		case got.need <= len(b) || got.need > full.Message+full.Frames*zmtp.MaxHeader:
			t.Fatalf("%x: %d bytes needed of %d", b, got.need, len(b))
		}
	})
}

func ExampleLimits_Parse() {
	buf := zmtp.AppendMessage(nil, []byte("weather.eu"), []byte("21.5"))
	buf = zmtp.AppendPing(buf, 0, nil)
	buf = append(buf, 0) // and the first byte of a third

	l := zmtp.Limits{Frame: 1 << 20}
	var m zmtp.Message
	for {
		n, need, err := l.Parse(buf, &m)
		if err != nil {
			fmt.Println(err)
			return
		}
		if n == 0 {
			fmt.Printf("%d bytes left, at least %d needed\n", len(buf), need)
			return
		}
		if m.Command {
			fmt.Printf("command %s %q\n", m.Name, m.Frames)
		} else {
			fmt.Printf("message %q\n", m.Frames)
		}
		buf = buf[n:]
	}
	// Output:
	// message ["weather.eu" "21.5"]
	// command PING ["\x00\x00"]
	// 1 bytes left, at least 2 needed
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{64, 1024} {
		msg := zmtp.AppendMessage(nil, make([]byte, 16), make([]byte, size), make([]byte, 36))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var m zmtp.Message
			var l zmtp.Limits
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if n, _, err := l.Parse(msg, &m); n != len(msg) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
