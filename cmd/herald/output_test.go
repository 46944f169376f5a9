package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pieces is a stdout that records what each write brought, and when.
type pieces struct {
	began  time.Time
	sizes  []int
	at     []time.Duration
	fails  error
	blocks chan struct{} // if not nil, a write waits for it
}

func (w *pieces) Write(p []byte) (int, error) {
	if w.blocks != nil {
		<-w.blocks
	}
	w.sizes = append(w.sizes, len(p))
	w.at = append(w.at, time.Since(w.began))
	return len(p), w.fails
}

func add(o *output, n int) { o.end(append(o.begin(), strings.Repeat("x", n)...)) }

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &pieces{began: time.Now()}
		o := newOutput(t.Context(), w, nil)
		check := func(what string, n int, at time.Duration) {
			t.Helper()
			synctest.Wait()
			if len(w.sizes) != 1 || w.sizes[0] != n || w.at[0] != at {
				t.Errorf("%s: written %v at %v, want %d at %v", what, w.sizes, w.at, n, at)
			}
			w.sizes, w.at = nil, nil
		}
		add(o, 10)
		check("after a pause, at once", 10, 0)
		add(o, 10)
		add(o, 10)
		time.Sleep(outputPause)
		check("then together", 20, outputPause)
		add(o, outputMuch)
		check("and much at once", outputMuch, outputPause)
		time.Sleep(time.Second)
		add(o, 5)
		check("after a pause, at once", 5, time.Second+outputPause)
		add(o, 5)
		if err := o.close(context.Background()); err != nil {
			t.Error(err)
		}
		check("at the end, at once", 5, time.Second+outputPause)
	})
}

func TestOutputFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		full := errors.New("disk full")
		o := newOutput(ctx, &pieces{fails: full}, cancel)
		add(o, 10)
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, full) {
			t.Error(err)
		}
		for range 10 { // nothing gathers, nothing waits
			add(o, outputMost)
		}
		if err := o.close(t.Context()); !errors.Is(err, full) {
			t.Error(err)
		}
	})
}

// TestOutputBlocked: who adds waits for who reads, until it is told to stop.
func TestOutputBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &pieces{blocks: make(chan struct{})}
		o := newOutput(ctx, w, nil)
		added := make(chan int, 100)
		go func() {
			for i := range 6 {
				add(o, outputMost/2)
				added <- i
			}
			close(added)
		}()
		time.Sleep(time.Hour)
		if n := len(added); n < 2 || n > 3 {
			t.Errorf("%d were added", n)
		}
		w.blocks <- struct{}{}
		time.Sleep(time.Hour)
		if n := len(added); n < 4 || n > 5 {
			t.Errorf("%d were added", n)
		}
		cancel()
		for range added {
		}
		began := time.Now()
		o.close(ctx)
		if d := time.Since(began); d == 0 || d > time.Second {
			t.Errorf("it waited for %v", d)
		}
		close(w.blocks)
		<-o.done
	})
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := pacer{rate: 1000}
		tick := func(n int) {
			for range n {
				if err := p.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		tick(1)
		if d := time.Since(began); d != 0 {
			t.Errorf("the first waits for %v", d)
		}
		tick(1000)
		if d := time.Since(began); d != time.Second {
			t.Errorf("1000 take %v", d)
		}
		// A pause is not made up for, but for what its last moments would have had.
		time.Sleep(time.Minute)
		began = time.Now()
		tick(100)
		if d, want := time.Since(began), 99*time.Millisecond-patience; d != want {
			t.Errorf("after a pause 100 take %v, want %v", d, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.wait(ctx) == nil {
			t.Error("it does not end with its context")
		}
		began = time.Now()
		p = pacer{}
		tick(1000)
		if d := time.Since(began); d != 0 {
			t.Errorf("without a rate it waits for %v", d)
		}
	})
}
