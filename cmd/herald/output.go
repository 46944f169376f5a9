package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// output writes lines in large pieces, and none of them late: what comes after a
// pause is written at once, what comes then gathers for a millisecond or until it
// is worth a call. One goroutine adds lines, another one, its own, writes them.
type output struct {
	w     io.Writer
	ctx   context.Context
	fail  context.CancelCauseFunc // told why nothing can be written any more
	wake  chan struct{}           // capacity 1: something waits
	hurry chan struct{}           // capacity 1: it is much, or the end
	room  chan struct{}           // capacity 1: what waited is being written
	done  chan struct{}           // closed when the writer has ended

	mu     sync.Mutex
	buf    []byte // what waits
	closed bool
	err    error
}

const (
	outputPause = time.Millisecond
	outputMuch  = 64 << 10
	outputMost  = 256 << 10 // with more than that waiting, adding waits
)

// newOutput starts the writer. fail is called with the error when a write fails.
// When ctx ends, add no longer waits for the writer.
func newOutput(ctx context.Context, w io.Writer, fail context.CancelCauseFunc) *output {
	o := &output{
		w: w, ctx: ctx, fail: fail,
		wake:  make(chan struct{}, 1),
		hurry: make(chan struct{}, 1),
		room:  make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	go o.write()
	return o
}

// begin returns a buffer to append lines to, for end.
func (o *output) begin() []byte {
	o.mu.Lock()
	return o.buf
}

// end takes the buffer of begin back, with more in it. It waits while too much
// waits to be written.
func (o *output) end(b []byte) {
	before := len(o.buf)
	o.buf = b
	if o.err != nil {
		o.buf = b[:0]
	}
	o.mu.Unlock()
	if before == 0 {
		signalTo(o.wake)
	}
	if before < outputMuch && len(b) >= outputMuch {
		signalTo(o.hurry)
	}
	if len(b) >= outputMost {
		o.waitRoom()
	}
}

func (o *output) waitRoom() {
	for {
		o.mu.Lock()
		n := len(o.buf)
		o.mu.Unlock()
		if n < outputMost {
			return
		}
		select {
		case <-o.room:
		case <-o.ctx.Done():
			return
		}
	}
}

func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (o *output) write() {
	defer close(o.done)
	var spare []byte
	pause := time.NewTimer(0)
	for {
		<-o.wake
		o.mu.Lock()
		b, closed := o.buf, o.closed
		o.buf = spare[:0]
		o.mu.Unlock()
		signalTo(o.room)
		if len(b) > 0 {
			if _, err := o.w.Write(b); err != nil {
				o.mu.Lock()
				o.err = err
				o.mu.Unlock()
				o.fail(fmt.Errorf("stdout: %w", err))
				return
			}
		}
		spare = b
		if closed {
			return
		}
		pause.Reset(outputPause)
		select {
		case <-pause.C:
		case <-o.hurry:
		}
	}
}

// close writes what waits. When ctx ends before that, it gives up soon: whoever
// reads does not.
func (o *output) close(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	signalTo(o.wake)
	signalTo(o.hurry)
	select {
	case <-o.done:
	case <-ctx.Done():
		select {
		case <-o.done:
		case <-time.After(500 * time.Millisecond):
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
