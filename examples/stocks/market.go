package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/codec"
	"github.com/heraldbus/herald/topic"
)

// Tick is a trade. It travels as JSON on the topic stock.EXCHANGE.SYMBOL.
type Tick struct {
	Exchange string `json:"exchange"`
	Symbol   string `json:"symbol"`
	Price    Cents  `json:"price"`
	Volume   int    `json:"volume"`
}

// Ticks is the family of topics that both sides share.
var Ticks = bus.NewTopic("stock", codec.JSON[Tick]())

// Key is what names the tick's topic within Ticks.
func (t Tick) Key() string { return t.Exchange + "." + t.Symbol }

// check refuses what the JSON of a tick can hold and a tick cannot. Whoever can
// connect can publish, and names go to the terminal.
func (t Tick) check() error {
	if t.Price <= 0 {
		return fmt.Errorf("the price is %v", t.Price)
	}
	return topic.Validate(Ticks.Key(t.Key()))
}

// Cents is an amount of money. Sums of money are counted, not measured: a float64
// could not hold most prices exactly.
type Cents int64

func (c Cents) String() string { return fmt.Sprintf("%d.%02d", c/100, c%100) }

// listed is how many symbols each exchange has.
const listed = 120

var exchangeNames = []string{"lse", "nyse", "tse"}

// exchange makes up trades of its symbols and publishes them.
type exchange struct {
	name    string
	rng     *rand.Rand
	symbols []symbol
}

type symbol struct {
	last  Tick
	topic *bus.TypedTopic[Tick] // prepared: it is published on often
	ticks int
}

// newExchange makes an exchange that publishes through pub. What happens on it
// depends on its name alone.
func newExchange(name string, pub *bus.Publisher) (*exchange, error) {
	seed := uint64(0)
	for _, c := range name {
		seed = seed<<8 | uint64(c)
	}
	e := &exchange{name: name, rng: rand.New(rand.NewPCG(seed, 0))}
	for i := range listed {
		t := Tick{Exchange: name, Symbol: symbolName(name, i), Price: Cents(500 + e.rng.IntN(50_000))}
		prepared, err := Ticks.Prepare(pub, t.Key())
		if err != nil {
			return nil, err
		}
		e.symbols = append(e.symbols, symbol{last: t, topic: prepared})
	}
	return e, nil
}

// symbolName names the symbols of one exchange A, AA, AAA, AAAA, AAAB … and those
// of the other two AAA, ABH, ACO … and 1301, 1338 …
func symbolName(exchange string, i int) string {
	letters := func(n, i int) string {
		s := make([]byte, n)
		for k := n - 1; k >= 0; k-- {
			s[k], i = 'A'+byte(i%26), i/26
		}
		return string(s)
	}
	switch {
	case exchange == "tse":
		return fmt.Sprint(1301 + 37*i)
	case exchange == "lse":
		return letters(3, 33*i)
	case i < 3:
		return letters(i+1, 0)
	}
	return letters(4, i-3)
}

// trade publishes total ticks, rate of them a second; for ever if total is 0.
// It returns the context's error when that ends before.
func (e *exchange) trade(ctx context.Context, rate float64, total int) error {
	if total == 0 {
		total = math.MaxInt
	}
	// Ticks are published as they fall due, some at a time: no timer is fine
	// enough for one tick of thousands a second.
	timer := time.NewTicker(5 * time.Millisecond)
	defer timer.Stop()
	start := time.Now()
	for sent := 0; ; {
		due := min(total, int(time.Since(start).Seconds()*rate))
		for ; sent < due; sent++ {
			if err := e.tick(ctx); err != nil {
				return err
			}
		}
		if sent == total {
			return nil
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tick moves one price by about a thousandth and publishes that.
func (e *exchange) tick(ctx context.Context) error {
	s := &e.symbols[e.rng.IntN(len(e.symbols))]
	price := float64(s.last.Price) * math.Exp(0.001*e.rng.NormFloat64())
	s.last.Price = max(1, Cents(math.Round(price)))
	s.last.Volume = 100 * (1 + e.rng.IntN(20))
	if err := s.topic.Publish(ctx, s.last); err != nil {
		return err
	}
	s.ticks++
	return nil
}
