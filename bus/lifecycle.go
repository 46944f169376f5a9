package bus

import (
	"context"
	"sync"
)

// lifecycle is how publishers and subscribers end: stop begins the end in a
// goroutine and wakes who waits, cut hastens it, wait tells that it is over.
type lifecycle struct {
	once     sync.Once
	wg       sync.WaitGroup // goroutines that end when stopping is closed
	stopping chan struct{}  // closed when the end begins
	done     chan struct{}  // closed when everything has ended
	err      error          // of the end, once done is closed
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

func (l *lifecycle) init() {
	l.stopping = make(chan struct{})
	l.done = make(chan struct{})
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
}

// goes runs f in a goroutine that is waited for. f returns when stopping is closed.
func (l *lifecycle) goes(f func()) { l.wg.Go(f) }

// stop begins the end, once: f is called with a context that cut ends, and returns
// what could not be done before that.
func (l *lifecycle) stop(f func(ctx context.Context) error) {
	l.once.Do(func() {
		close(l.stopping)
		go func() {
			l.wg.Wait()
			l.err = f(l.ctx)
			l.cancel(ErrClosed)
			close(l.done)
		}()
	})
}

// wait waits for the end that stop has begun, and hastens it when ctx ends. All who
// wait are told the same, whoever was in a hurry.
func (l *lifecycle) wait(ctx context.Context) error {
	select {
	case <-l.done:
	case <-ctx.Done():
		l.cut(context.Cause(ctx))
		<-l.done
	}
	return l.err
}

// cut ends all waiting of the end that stop has begun.
func (l *lifecycle) cut(cause error) { l.cancel(cause) }

// refusal is the error for a call that came after stop.
func (l *lifecycle) refusal() error {
	if l.ctx.Err() != nil {
		return ErrClosed
	}
	return ErrDraining
}

// alive is nil until stop.
func (l *lifecycle) alive() error {
	select {
	case <-l.stopping:
		return l.refusal()
	default:
		return nil
	}
}
