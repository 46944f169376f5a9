package zmtp_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/heraldbus/herald/internal/zmtp"
)

// unhex decodes hex, in which spaces may separate the fields.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppend(t *testing.T) {
	long := bytes.Repeat([]byte{'x'}, 256)
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"empty frame", zmtp.AppendFrame(nil, 0, nil), "00 00"},
		{"short frame", zmtp.AppendFrame(nil, zmtp.FlagMore, []byte("ab")), "01 02 6162"},
		{"longest short frame", zmtp.AppendFrame(nil, 0, long[:255]), "00 ff" + strings.Repeat("78", 255)},
		{"shortest long frame", zmtp.AppendFrame(nil, zmtp.FlagMore, long), "03 0000000000000100" + strings.Repeat("78", 256)},
		{"long flag follows the size", zmtp.AppendHeader(nil, zmtp.FlagLong, 3), "00 03"},
		{"header of a large frame", zmtp.AppendHeader(nil, zmtp.FlagCommand, 1<<32+5), "06 0000000100000005"},
		{"appends", zmtp.AppendFrame([]byte{9}, 0, []byte{1}), "09 00 01 01"},
		{"message", zmtp.AppendMessage(nil, []byte("a"), nil, []byte("b")), "01 01 61 01 00 00 01 62"},
		{"no message", zmtp.AppendMessage(nil), ""},
		{"command", zmtp.AppendCommand(nil, "READY", []byte{7}), "04 07 05 5245414459 07"},
		{"long command", zmtp.AppendCommand(nil, "A", long[:254]), "06 0000000000000100 01 41" + strings.Repeat("78", 254)},
		{"subscribe", zmtp.AppendSubscribe(nil, []byte("ab")), "00 03 01 6162"},
		{"subscribe to all", zmtp.AppendSubscribe(nil, nil), "00 01 01"},
		{"cancel", zmtp.AppendCancel(nil, []byte("ab")), "00 03 00 6162"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
				t.Errorf("got %x, want %x", tt.got, want)
			}
		})
	}
}

func TestHeaderLen(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 1 << 40} {
		if got, want := zmtp.HeaderLen(n), len(zmtp.AppendHeader(nil, 0, n)); got != want {
			t.Errorf("HeaderLen(%d) = %d, AppendHeader wrote %d", n, got, want)
		}
	}
}

func TestAppendCommandPanicsOnBadName(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("A", 256)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a name of %d bytes did not panic", len(name))
				}
			}()
			zmtp.AppendCommand(nil, name, nil)
		}()
	}
}

func TestSkip(t *testing.T) {
	m := zmtp.AppendMessage(nil, []byte("topic"), make([]byte, 300), nil)
	c := zmtp.AppendPong(nil, []byte("ctx"))
	stream := append(append(bytes.Clone(m), c...), 0xff)
	if got := zmtp.Skip(stream); got != len(m) {
		t.Errorf("Skip of a message = %d, want %d", got, len(m))
	}
	if got := zmtp.Skip(stream[len(m):]); got != len(c) {
		t.Errorf("Skip of a command = %d, want %d", got, len(c))
	}
	for i := range m {
		if got := zmtp.Skip(m[:i]); got != 0 {
			t.Errorf("Skip of the first %d of %d bytes = %d, want 0", i, len(m), got)
		}
	}
	if got := zmtp.Skip(unhex(t, "02 ffffffffffffffff 00")); got != 0 {
		t.Errorf("Skip of an impossible length = %d, want 0", got)
	}
}

func ExampleSkip() {
	queue := zmtp.AppendMessage(nil, []byte("a"), []byte("oldest"))
	queue = zmtp.AppendMessage(queue, []byte("b"), []byte("newest"))
	queue = queue[zmtp.Skip(queue):]
	fmt.Printf("%q\n", queue)
	// Output: "\x01\x01b\x00\x06newest"
}

func BenchmarkAppendMessage(b *testing.B) {
	topic, payload, meta := make([]byte, 16), make([]byte, 64), make([]byte, 36)
	var dst []byte
	for b.Loop() {
		dst = zmtp.AppendMessage(dst[:0], topic, payload, meta)
	}
}

func BenchmarkSkip(b *testing.B) {
	m := zmtp.AppendMessage(nil, make([]byte, 16), make([]byte, 64), make([]byte, 36))
	for b.Loop() {
		if zmtp.Skip(m) != len(m) {
			b.Fatal("not skipped")
		}
	}
}
