package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLines(t *testing.T) {
	const most = 300 << 10 // more than the reader's buffer
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"a\n", "\n", "b"}, []string{"a", "", "b"}},
		{[]string{x(most) + "\n", "b\n"}, []string{x(most), "b"}},
		{[]string{x(most)}, []string{x(most)}},
		{[]string{x(most+1) + "\n", "b\n"}, []string{"long", "b"}},
		{[]string{x(most + 1)}, []string{"long"}},
		{[]string{x(10*most) + "\n", x(most-1) + "\n", x(most+1) + "\n", "b"}, []string{"long", x(most - 1), "long", "b"}},
	} {
		text := strings.Join(c.in, "")
		for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
			l := newLines(r, most)
			for i, want := range c.want {
				line, err := l.next()
				got := string(line)
				if errors.Is(err, errLongLine) {
					got = "long"
				} else if err != nil {
					t.Fatal(err)
				}
				if got != want || l.n != i+1 {
					t.Errorf("line %d (%d): %d bytes, want %d", i+1, l.n, len(got), len(want))
				}
				if cap(l.long) > 3*most {
					t.Errorf("%d bytes are kept of a long line", cap(l.long))
				}
			}
			if line, err := l.next(); err != io.EOF {
				t.Errorf("%.20q, %v, want io.EOF", line, err)
			}
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add("a b")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseEvent([]byte(s))
		i := strings.IndexAny(s, " \t")
		if (err == nil) != (i >= 0) {
			t.Fatal(err)
		}
		if err == nil && (e.topic != s[:i] || string(e.payload) != s[i+1:]) {
			t.Fatalf("%q", e)
		}
	})
}
