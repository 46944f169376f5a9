package bus

import (
	"context"

	"github.com/heraldbus/herald/internal/queue"
)

// A batch is put into the queues in runs: what becomes of one event of a run, when
// a queue is full, becomes of all of it.
const (
	runBytes  = 32 << 10
	runEvents = 256
)

// PublishBatch publishes several events, one after the other, as Publish would, but
// with a good part of the work done once for many of them. It returns the number of
// events that were published before an error.
func (t *PreparedTopic) PublishBatch(ctx context.Context, payloads ...[]byte) (int, error) {
	n := 0
	for n < len(payloads) {
		count, size := t.run(payloads[n:])
		t.p.mu.Lock()
		var err error
		if count == 1 {
			err = t.p.publish(ctx, t.r, payloads[n], t.headers)
		} else {
			err = t.p.publishRun(ctx, t.r, payloads[n:n+count], t.headers, size)
		}
		if err != nil {
			return n, err
		}
		n += count
	}
	return n, nil
}

// run is how many of the payloads make a run, and its size on the wire.
func (t *PreparedTopic) run(payloads [][]byte) (count, size int) {
	for count < len(payloads) && count < runEvents {
		n := t.r.size(payloads[count], t.headers)
		if count > 0 && size+n > runBytes {
			break
		}
		size += n
		count++
	}
	return count, size
}

// publishRun sends several events. It is entered with p.mu held, and releases it.
func (p *Publisher) publishRun(ctx context.Context, r *route, payloads [][]byte, headers []byte, size int) error {
	if p.draining {
		p.mu.Unlock()
		return p.life.refusal()
	}
	p.routes.resolve(r, p.trie)
	if p.cfg.Queue.Overflow == Block && len(r.peers) > 0 {
		if err := p.waitRoom(ctx, r, len(payloads), size); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	keep := p.wanted && p.cfg.Keep.Messages > 0
	silent := len(r.peers) == 0 && !keep && !r.retained
	now := p.eng.Now()
	b, lo := p.block.ReserveRun(size)
	at := lo
	for _, payload := range payloads {
		p.seq++
		prev := r.last
		r.last = p.seq
		p.counts.Messages++
		p.counts.Bytes += uint64(len(payload))
		if silent {
			continue
		}
		p.encode(b.B[at:at], r, payload, headers, p.seq, prev, now)
		end := at + r.size(payload, headers)
		if keep {
			p.ring.add(kept{b, at, end, p.seq, now})
		}
		if r.retained {
			p.last.set(r.name, b.B[at:end], now)
		}
		at = end
	}
	var kick kicks
	for _, peer := range r.peers {
		switch peer.Out.PushRun(b, lo, at, len(payloads)) {
		case queue.Claimed:
			kick.add(peer)
		case queue.Overrun:
			go peer.Close(ErrSlow)
		}
	}
	p.mu.Unlock()
	kick.run(now)
	return nil
}
