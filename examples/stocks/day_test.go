package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/topic"
)

// A day of half a second.
func TestDay(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := day{rate: 4000, length: 500 * time.Millisecond, filter: wanted}
	if err := d.run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	inOrder(t, out.String(),
		"lse         lists 120 symbols at tcp://127.0.0.1:",
		"subscriber  wants stock.tse.1301 or stock.lse.* or (stock.nyse.* except stock.nyse.A)\n",
		`subscriber  asks for the prefixes ["stock.lse." "stock.nyse." "stock.tse.1301"]`,
		" is ready",
		" has said goodbye",
		" ticks of 240 symbols in ",
		"risen most",
		"lse              2000       2000       2000\n",
		"nyse             2000       2000",
		"tse              2000",
		"every tick that was wanted came, and no other",
	)
}

// What is not wanted does not come, and what only begins like it does.
func TestWanted(t *testing.T) {
	for key, want := range map[string]bool{
		"nyse.A": false, "nyse.AA": true, "nyse.AAAA": true, "lse.AAA": true,
		"tse.1301": true, "tse.13010": false, "tse.1338": false, "nyse.A.B": false,
	} {
		if got := wanted.MatchString(Ticks.Key(key)); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

func TestDayInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	d := day{rate: 4000, length: time.Hour, filter: wanted}
	err := d.run(ctx, writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte(" is ready")) {
			interrupt(errors.New("interrupt"))
		}
		return out.Write(p)
	}))
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, out.String(), "ends early: interrupt", " symbols in ")
}

// The audit sees a tick that is missing and one that should not be there.
func TestAudit(t *testing.T) {
	e := &exchange{name: "nyse", symbols: []symbol{
		{last: Tick{Exchange: "nyse", Symbol: "A", Price: 1}, ticks: 3},
		{last: Tick{Exchange: "nyse", Symbol: "AA", Price: 1}, ticks: 2},
	}}
	b := newBoard()
	d := day{filter: topic.Exact("stock.nyse.AA")}
	b.add(e.symbols[1].last)
	b.add(e.symbols[1].last)
	if got := d.audit([]*exchange{e}, b); len(got) > 0 {
		t.Errorf("all is right, but: %v", got)
	}
	b.add(e.symbols[0].last)
	b.add(e.symbols[1].last)
	got := errors.Join(d.audit([]*exchange{e}, b)...)
	const want = "nyse.A: 1 ticks came, want 0 of 3\nnyse.AA: 3 ticks came, want 2 of 2"
	if got == nil || got.Error() != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestSymbols(t *testing.T) {
	for _, exchange := range exchangeNames {
		seen := make(map[string]bool)
		for i := range listed {
			name := symbolName(exchange, i)
			if seen[name] {
				t.Errorf("%s lists %s twice", exchange, name)
			}
			seen[name] = true
			if err := (Tick{exchange, name, 1, 1}).check(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTickCheck(t *testing.T) {
	for _, tick := range []Tick{
		{"nyse", "A", 0, 1},
		{"nyse", "A", -1, 1},
		{"", "A", 1, 1},
		{"nyse", "\x1b[2J", 1, 1},
	} {
		if tick.check() == nil {
			t.Errorf("%+v is accepted", tick)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// inOrder checks that the text has all parts, one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("%q is missing, or not in its place, in\n%s", part, text)
		}
		rest = after
	}
}
