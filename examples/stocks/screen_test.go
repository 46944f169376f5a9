package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var control = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// Whatever the size of the terminal, a page fits into it.
func TestPageFits(t *testing.T) {
	b := newBoard()
	for i := range 100 {
		b.add(Tick{"x", fmt.Sprint(i), Cents(100 * (i + 1)), 1})
		b.add(Tick{"x", fmt.Sprint(i), Cents(100*(i+1) + i%3 - 1), 1})
	}
	for _, width := range []int{1, 10, 27, 28, 29, 57, 58, 59, 80, 200, 1000} {
		for _, height := range []int{1, 2, 5, 8, 24, 200} {
			var out bytes.Buffer
			s := newScreen(&out, b)
			s.size = func() (int, int) { return width, height }
			s.begin()
			s.say("somebody", "says something long: %s", strings.Repeat("ü", 200))
			pages := strings.Split(out.String(), home)
			lines := strings.Split(control.ReplaceAllString(pages[len(pages)-1], ""), "\n")
			if len(lines) > height {
				t.Errorf("%d x %d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%d x %d: a line of %d: %q", width, height, n, line)
				}
			}
		}
	}
}

func TestTable(t *testing.T) {
	b := newBoard()
	for _, tick := range []Tick{
		{"x", "D", 1000, 1}, {"x", "A", 20000, 1}, {"x", "C", 5, 1}, {"x", "B", 100, 1},
		{"x", "A", 20100, 1}, {"x", "B", 99, 1},
	} {
		b.add(tick)
	}
	lines, shown := b.table(60, 10)
	want := []string{
		green + "x.A           201.00  +0.50%" + plain + gap + "x.C             0.05  +0.00%",
		red + "x.B             0.99  -1.00%" + plain + gap + "x.D            10.00  +0.00%",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") || shown != 4 {
		t.Errorf("got %d in\n%s\nwant 4 in\n%s", shown, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if lines, shown = b.table(30, 2); shown != 2 || len(lines) != 2 || !strings.Contains(lines[1], "x.C") {
		t.Errorf("with room for two: %d in %q", shown, lines)
	}
	if lines, shown = b.table(30, -1); len(lines) > 0 || shown != 0 {
		t.Errorf("without room: %q", lines)
	}
}

// The terminal is given back as it was, and the last news stay readable.
func TestScreenEnds(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, newBoard())
	s.size = func() (int, int) { return 80, 24 }
	s.say("early", "a line")
	s.begin()
	for i := range 10 {
		s.say("somebody", "news %d.", i)
	}
	s.end()
	s.end()
	s.say("late", "a line")
	before, rest, _ := strings.Cut(out.String(), enter)
	_, after, _ := strings.Cut(rest, leave)
	inOrder(t, before, "early")
	inOrder(t, after, "news 6.\n", "news 7.\n", "news 8.\n", "news 9.\n", "late")
	if strings.Contains(after, "\x1b") || strings.Contains(after, "news 5.") {
		t.Errorf("after the table: %q", after)
	}
}
