package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestAppendText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain text, 21.5 °C \"quoted\" C:\\new 😀", "plain text, 21.5 °C \"quoted\" C:\\new 😀"},
		{"a\tb\nc\r\x00\x1b[31m\x7f", `a\tb\nc\r\x00\x1b[31m\x7f`},
		{"\xff\xfeab\xc3", `\xff\xfeab\xc3`},
		{"\u0085\u2028\u2029x", `\u0085\u2028\u2029x`},
		{"\ufffd", "\ufffd"},
	} {
		if got := string(appendText(nil, c.in)); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
		if got := string(appendText(nil, []byte(c.in))); got != c.want {
			t.Errorf("bytes %q: %s, want %s", c.in, got, c.want)
		}
	}
}

// lineEnds are what Python's str.splitlines, the widest notion there is, ends a
// line at.
const lineEnds = "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029"

func FuzzAppendText(f *testing.F) {
	f.Add("weather\x00\xff\u2028\té")
	f.Fuzz(func(t *testing.T, s string) {
		got := string(appendText(nil, s))
		if !utf8.ValidString(got) || strings.ContainsAny(got, lineEnds) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q: %q", s, got)
		}
		// Character by character, it is either what %q says or as it was.
		want := ""
		for i := 0; i < len(s); {
			r, n := utf8.DecodeRuneInString(s[i:])
			c := s[i : i+n]
			if r == utf8.RuneError && n == 1 || unicode.IsControl(r) || strings.ContainsRune(lineEnds, r) {
				c = strings.Trim(strconv.Quote(c), `"`)
			}
			want += c
			i += n
		}
		if got != want {
			t.Fatalf("%q: %q, want %q", s, got, want)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("weather\x00\xff\u2028\t\"é\\")
	f.Fuzz(func(t *testing.T, s string) {
		got := appendJSON(nil, s)
		if string(got) != string(appendJSON(nil, []byte(s))) {
			t.Fatal("a string and its bytes differ")
		}
		if strings.ContainsAny(string(got), lineEnds) {
			t.Fatalf("%q: a line ends in %q", s, got)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %s: %v", s, got, err)
		}
		if want := string([]rune(s)); back != want {
			t.Fatalf("%q: %q", want, back)
		}
		if valid(s) != utf8.ValidString(s) || valid([]byte(s)) != utf8.ValidString(s) {
			t.Fatalf("valid(%q) is %v", s, valid(s))
		}
	})
}
