package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// board is what a subscriber knows of the market: the last price of each symbol.
type board struct {
	quotes map[string]*quote // by Tick.Key
	keys   []string          // of quotes, sorted
	ticks  int
}

// quote is what is known of one symbol.
type quote struct {
	key         string
	first, last Cents
	step        Cents // by which the last tick moved it
	ticks       int
}

// change is by how many percent the price has moved since the first tick.
func (q *quote) change() float64 { return 100 * float64(q.last-q.first) / float64(q.first) }

func newBoard() *board { return &board{quotes: make(map[string]*quote)} }

func (b *board) add(t Tick) {
	key := t.Key()
	q := b.quotes[key]
	if q == nil {
		q = &quote{key: key, first: t.Price, last: t.Price}
		b.quotes[key] = q
		i, _ := slices.BinarySearch(b.keys, key)
		b.keys = slices.Insert(b.keys, i, key)
	}
	q.step = t.Price - q.last
	q.last = t.Price
	q.ticks++
	b.ticks++
}

// movers are all quotes, what has risen most first.
func (b *board) movers() []*quote {
	return slices.SortedFunc(maps.Values(b.quotes), func(x, y *quote) int {
		return cmp.Or(-cmp.Compare(x.change(), y.change()), cmp.Compare(x.key, y.key))
	})
}

const (
	cellWidth = 28 // of key, price and change
	gap       = "  "
	green     = "\x1b[32m"
	red       = "\x1b[31m"
	plain     = "\x1b[0m"
)

// table draws the quotes as at most height lines of at most width columns on the
// screen, in alphabetical order down the columns, so that each keeps its place, and
// returns how many it shows. Where not all have room it is each second, third … of
// them. Prices are coloured by their last step.
func (b *board) table(width, height int) (lines []string, shown int) {
	columns := max(1, (width+len(gap))/(cellWidth+len(gap)))
	rows := min(height, (len(b.keys)+columns-1)/columns)
	if rows <= 0 {
		return nil, 0
	}
	shown = min(len(b.keys), rows*columns)
	for row := range rows {
		var line strings.Builder
		for i := row; i < shown; i += rows {
			if i > row {
				line.WriteString(gap)
			}
			b.quotes[b.keys[i*len(b.keys)/shown]].draw(&line, width)
		}
		lines = append(lines, line.String())
	}
	return lines, shown
}

// draw writes a cell of the table, or as much of it as has room.
func (q *quote) draw(to *strings.Builder, width int) {
	text := fmt.Sprintf("%-10.10s %9v %+6.2f%%", q.key, q.last, q.change())
	text = fmt.Sprintf("%-*.*s", min(width, cellWidth), min(width, cellWidth), text)
	switch {
	case q.step > 0:
		to.WriteString(green + text + plain)
	case q.step < 0:
		to.WriteString(red + text + plain)
	default:
		to.WriteString(text)
	}
}

// of counts the ticks of one exchange.
func (b *board) of(exchange string) (ticks int) {
	for key, q := range b.quotes {
		if strings.HasPrefix(key, exchange+".") {
			ticks += q.ticks
		}
	}
	return ticks
}
