package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	long := strings.Repeat("v", 300)
	for _, hs := range [][]Header{
		nil,
		{{"content-type", "application/json"}},
		{{"k", ""}, {"k", "twice"}, {"größe", "1 m²"}, {"traceparent", long}, {"bytes", "\x00\xff"}},
	} {
		b, err := appendHeaders([]byte("before"), hs)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := bytes.CutPrefix(b, []byte("before"))
		if !ok {
			t.Fatal("appendHeaders has not appended")
		}
		m := Message{headers: b}
		if got := m.Headers(); !slices.Equal(got, hs) {
			t.Errorf("got %q, want %q", got, hs)
		}
		for _, h := range hs {
			if v, ok := m.Header(h.Key); !ok || h.Key != "k" && v != h.Value {
				t.Errorf("header %q is %q, %v", h.Key, v, ok)
			}
		}
		if _, ok := m.Header("none"); ok {
			t.Error("a header that is not there was found")
		}
		// Cut anywhere, the whole ones before the cut are there.
		for i := range b {
			cut := (&Message{headers: b[:i]}).Headers()
			if len(cut) >= len(hs) && len(hs) > 0 || !slices.Equal(cut, hs[:len(cut)]) {
				t.Errorf("cut after %d of %d bytes: %q", i, len(b), cut)
			}
		}
	}
	if v, _ := (&Message{headers: must(appendHeaders(nil, []Header{{"k", "1"}, {"k", "2"}}))}).Header("k"); v != "1" {
		t.Errorf("of two the first counts, got %q", v)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHeadersRefused(t *testing.T) {
	var many []Header
	for i := range maxHeaders + 1 {
		many = append(many, Header{fmt.Sprint("k", i), ""})
	}
	for _, tt := range []struct {
		headers []Header
		want    string
	}{
		{[]Header{{"", "v"}}, "not empty"},
		{[]Header{{"Content-Type", "v"}}, `"content-type"`},
		{[]Header{{"k\xff", "v"}}, "UTF-8"},
		{many, "at most 64"},
		{[]Header{{"k", strings.Repeat("v", maxHeaderBytes)}}, "16384"},
	} {
		if _, err := appendHeaders(nil, tt.headers); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "bus: ") {
			t.Errorf("%.80q: error %v, want %s in it", tt.headers, err, tt.want)
		}
	}
	if _, err := appendHeaders(nil, many[1:]); err != nil {
		t.Error(err)
	}
}

// What a peer sends costs no more than what it may be.
func TestHeadersHostile(t *testing.T) {
	big := binary.AppendUvarint(nil, math.MaxUint64)
	for _, b := range [][]byte{
		nil, {0x80}, {1}, {1, 0x80}, {1, 1}, {1, 1, 'k'}, {1, 1, 'k', 5, 'v'},
		big, append(slices.Clone(big), big...), append([]byte{1}, big...), append([]byte{1, 1, 'k'}, big...),
		bytes.Repeat([]byte{0xff}, 100),
	} {
		if got := (&Message{headers: b}).Headers(); got != nil {
			t.Errorf("%x has headers %q", b, got)
		}
	}
	empty := append(slices.Clone(big), make([]byte, 1<<20)...)
	if n := len((&Message{headers: empty}).Headers()); n != maxHeaders {
		t.Errorf("%d headers were read out of 1 MiB of nothing, want no more than %d", n, maxHeaders)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add(must(appendHeaders(nil, []Header{{HeaderContentType, "text/plain"}, {"k", ""}})))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		hs := (&Message{headers: b}).Headers()
		size := 0
		for _, h := range hs {
			size += len(h.Key) + len(h.Value) + 2
		}
		if len(hs) > maxHeaders || size > len(b) {
			t.Fatalf("%d headers of %d bytes out of %d", len(hs), size, len(b))
		}
		enc, err := appendHeaders(nil, hs)
		if err != nil {
			return // keys that Herald would not send
		}
		if again := (&Message{headers: enc}).Headers(); !slices.Equal(again, hs) {
			t.Errorf("%q comes back as %q", hs, again)
		}
	})
}
