package codec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/heraldbus/herald/codec"
)

func TestText(t *testing.T) {
	c := codec.Text()
	if got := c.ContentType(); got != "text/plain; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	for _, s := range []string{"", "plain", "grüße \x00 ☃ \U0001F600", "\ufffd"} {
		out, err := c.Append([]byte("head"), s)
		if string(out) != "head"+s || err != nil {
			t.Errorf("Append(%q) = %q, %v", s, out, err)
		}
		back, err := c.Decode([]byte(s))
		if back != s || err != nil {
			t.Errorf("Decode(%q) = %q, %v", s, back, err)
		}
	}
	for _, tt := range []struct{ bad, want string }{
		{"\xff", "byte 0xff at offset 0"},
		{"ok \xed\xa0\x80", "byte 0xed at offset 3"},
		{"\ufffd\xc3", "byte 0xc3 at offset 3"},
	} {
		out, err := c.Append([]byte("head"), tt.bad)
		var e *codec.Error
		if string(out) != "head" || !errors.As(err, &e) || !strings.Contains(err.Error(), "codec: encode string: "+tt.want) {
			t.Errorf("Append(%q) = %q, %v", tt.bad, out, err)
		}
		back, err := c.Decode([]byte(tt.bad))
		if back != "" || !errors.As(err, &e) || !strings.Contains(err.Error(), "codec: decode string: "+tt.want) {
			t.Errorf("Decode(%q) = %q, %v", tt.bad, back, err)
		}
	}
}

func TestTextKeepsNothing(t *testing.T) {
	data := []byte("text")
	got, err := codec.Text().Decode(data)
	data[0] = '#'
	if got != "text" || err != nil {
		t.Errorf("after data was overwritten: %q, %v", got, err)
	}
}

// FuzzText: a text is refused exactly if it is not UTF-8, and else comes back.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "☃", "\xff", "a\xed\xa0\x80"} {
		f.Add(s)
	}
	c := codec.Text()
	f.Fuzz(func(t *testing.T, s string) {
		out, err := c.Append(nil, s)
		if (err == nil) != utf8.ValidString(s) {
			t.Fatalf("Append(%q): %v", s, err)
		}
		back, decodeErr := c.Decode([]byte(s))
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("Append(%q): %v, Decode: %v", s, err, decodeErr)
		}
		if err == nil && (string(out) != s || back != s) {
			t.Fatalf("%q became %q and %q", s, out, back)
		}
	})
}

func TestBytes(t *testing.T) {
	c := codec.Bytes()
	if got := c.ContentType(); got != "application/octet-stream" {
		t.Errorf("content type %q", got)
	}
	data := []byte("a\xff\x00b")
	out, err := c.Append([]byte("head"), data)
	if string(out) != "heada\xff\x00b" || err != nil {
		t.Errorf("Append = %q, %v", out, err)
	}
	got, err := c.Decode(data)
	data[0] = '#'
	if !bytes.Equal(got, []byte("a\xff\x00b")) || err != nil {
		t.Errorf("Decode = %q, %v", got, err)
	}
	if empty, err := c.Decode(nil); empty == nil || len(empty) != 0 || err != nil {
		t.Errorf("Decode(nil) = %#v, %v", empty, err)
	}
}
