package queue_test

import (
	"encoding/binary"
	"testing"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// poison makes bytes that are read after their block was released show.
func poison(t *testing.T) {
	block.Poison(true)
	t.Cleanup(func() { block.Poison(false) })
}

// message encodes an event that tells who sent it and as which, with a payload of
// size bytes that depends on both.
func message(from uint32, seq uint64, size int) []byte {
	id := binary.BigEndian.AppendUint32(nil, from)
	id = binary.BigEndian.AppendUint64(id, seq)
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(uint64(from)*31 + seq*7 + uint64(i))
	}
	return zmtp.AppendMessage(nil, id, payload)
}

// identify reads from the start of p who sent the event there and as which, and
// its length. When there is none it fails and returns the length of all of p.
func identify(t *testing.T, p []byte) (from uint32, seq uint64, n int) {
	t.Helper()
	n = zmtp.Skip(p)
	if n == 0 || p[1] != 12 {
		t.Errorf("no event begins with % x", p[:min(len(p), 16)])
		return 0, 0, len(p)
	}
	return binary.BigEndian.Uint32(p[2:]), binary.BigEndian.Uint64(p[6:]), n
}

// publisher encodes messages into a log, as bus.Publisher does.
type publisher struct {
	log queue.Log
	// held are the blocks it has written to, if they are to be kept and their
	// references counted in the end.
	held map[*block.Block]bool
}

// encode puts a message into the log.
func (p *publisher) encode(msg []byte) (b *block.Block, lo, hi int) {
	b, lo = p.log.Reserve(len(msg))
	copy(b.B[lo:], msg)
	p.hold(b)
	return b, lo, lo + len(msg)
}

func (p *publisher) hold(b *block.Block) {
	if p.held != nil && !p.held[b] {
		b.Retain()
		p.held[b] = true
	}
}

func (p *publisher) push(q *queue.Queue, msg []byte) queue.Outcome {
	return q.Push(p.encode(msg))
}

// released fails unless nobody but the test has a reference on a block any more.
func (p *publisher) released(t *testing.T) {
	t.Helper()
	p.log.Close()
	for b := range p.held {
		if !b.Sole() {
			t.Errorf("a block of %d bytes is still referred to", len(b.B))
		}
		b.Release()
	}
}

// bytesOf are the messages of spans, one after the other.
func bytesOf(spans []queue.Span) []byte {
	var p []byte
	for _, s := range spans {
		p = append(p, s.Bytes()...)
	}
	return p
}
