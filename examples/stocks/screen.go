package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
)

// screen shows a board: as a table that is redrawn in place where out is a terminal,
// else as a line each second. It is not safe for concurrent use.
type screen struct {
	out   io.Writer
	start time.Time
	board *board
	size  func() (width, height int) // of the terminal; nil: there is none

	live  bool      // between begin and end on a terminal
	drawn time.Time // the last picture, and how many ticks were on the board
	ticks int
	news  []string // the last lines that were said
}

func newScreen(out io.Writer, b *board) *screen {
	now := time.Now()
	s := &screen{out: out, start: now, board: b, drawn: now}
	if f, ok := out.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if _, _, ok := terminalSize(f); ok {
			s.size = func() (int, int) { // asked each time: windows are resized
				width, height, _ := terminalSize(f)
				return width, height
			}
		}
	}
	return s
}

// keptNews is how many lines of news stand under the table.
const keptNews = 4

// Control sequences of terminals: ECMA-48, and xterm's for those with a question mark.
const (
	enter     = "\x1b[?1049h\x1b[?25l" // another screen, no cursor
	leave     = "\x1b[?25h\x1b[?1049l"
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// begin gives the terminal over to the table, and end takes it back.
func (s *screen) begin() {
	if s.size != nil {
		s.live = true
		io.WriteString(s.out, enter)
		s.draw()
	}
}

func (s *screen) end() {
	if s.live {
		s.live = false
		io.WriteString(s.out, leave+strings.Join(s.news, ""))
	}
}

// say prints a line: when, who, what.
func (s *screen) say(who, format string, args ...any) {
	line := fmt.Sprintf("%6.2fs  %-10s  %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
	if !s.live {
		io.WriteString(s.out, line)
		return
	}
	s.news = append(s.news, line)
	s.news = s.news[max(0, len(s.news)-keptNews):]
	s.draw()
}

// status tells what a status says of itself.
func (s *screen) status(st bus.Status) { s.say("subscriber", "%v", st) }

// refresh draws the board anew if it is time.
func (s *screen) refresh() {
	every := time.Second
	if s.live {
		every /= 10
	}
	if time.Since(s.drawn) >= every {
		s.draw()
	}
}

func (s *screen) draw() {
	rate := float64(s.board.ticks-s.ticks) / time.Since(s.drawn).Seconds()
	s.drawn, s.ticks = time.Now(), s.board.ticks
	if s.live {
		s.page(rate)
	} else {
		s.line(rate)
	}
}

// line tells of the market in one line.
func (s *screen) line(rate float64) {
	movers := s.board.movers()
	if len(movers) == 0 {
		return
	}
	up, down := movers[0], movers[len(movers)-1]
	s.say("ticks", "%d, %.0f/s; %s %v (%+.2f%%), %s %v (%+.2f%%)",
		s.board.ticks, rate, up.key, up.last, up.change(), down.key, down.last, down.change())
}

// page draws the table over the one before. It is written in one piece, or it would
// flicker.
func (s *screen) page(rate float64) {
	width, height := s.size()
	table, shown := s.board.table(width, height-keptNews-3)
	lines := []string{cut(fmt.Sprintf("%.1f s  %d ticks  %.0f/s  %d of %d symbols",
		time.Since(s.start).Seconds(), s.board.ticks, rate, shown, len(s.board.keys)), width), ""}
	lines = append(append(lines, table...), "")
	for _, line := range s.news {
		lines = append(lines, cut(strings.TrimSuffix(line, "\n"), width))
	}
	lines = lines[:min(len(lines), max(height, 0))] // or the terminal would scroll
	io.WriteString(s.out, home+clearLine+strings.Join(lines, "\n"+clearLine)+clearRest)
}

// cut shortens a line to the width of the terminal: a longer one would be broken
// and push up all others. It counts characters, as all that is shown here is of
// single width.
func cut(line string, width int) string {
	r := []rune(line)
	return string(r[:min(len(r), max(width, 0))])
}
