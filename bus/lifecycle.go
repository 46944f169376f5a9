package bus

import (
	"context"
	"sync"
)

// lifecycle is how publishers and subscribers end: stop begins the end in a
// goroutine and wakes who waits, cut hastens it, done tells that it is over.
type lifecycle struct {
	once     sync.Once
	wg       sync.WaitGroup // goroutines that end when stopping is closed
	stopping chan struct{}  // closed when the end begins
	done     chan struct{}  // closed when everything has ended
	ctx      context.Context
	cancel   context.CancelFunc
}

func (l *lifecycle) init() {
	l.stopping = make(chan struct{})
	l.done = make(chan struct{})
	l.ctx, l.cancel = context.WithCancel(context.Background())
}

// goes runs f in a goroutine that is waited for. f returns when stopping is closed.
func (l *lifecycle) goes(f func()) { l.wg.Go(f) }

// stop begins the end, once: f is called with a context that cut ends.
func (l *lifecycle) stop(f func(ctx context.Context)) {
	l.once.Do(func() {
		close(l.stopping)
		go func() {
			l.wg.Wait()
			f(l.ctx)
			l.cancel()
			close(l.done)
		}()
	})
}

// cut ends all waiting of the end that stop has begun.
func (l *lifecycle) cut() { l.cancel() }

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
