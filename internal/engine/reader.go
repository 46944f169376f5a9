package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Receiver takes the messages of one peer. Its methods are called by the peer's
// goroutine only.
type Receiver interface {
	// Message is called for each message. The frames are slices of b and are
	// valid until Flush returns, and beyond it for as long as a reference to b is
	// held. An error ends the connection.
	Message(b *block.Block, frames [][]byte) error
	// Flush ends a run of messages, those out of one read. It may wait: nothing
	// more is read meanwhile, so that the transport holds the sender back.
	Flush(b *block.Block)
}

// maxRead bounds the blocks that are read into, but for messages larger than it.
const maxRead = 128 << 10

// read reads from the peer until it ends, and says why it did.
func (p *Peer) read(recv Receiver) error {
	var (
		b      = block.Get(p.e.cfg.ReadSize)
		lo, hi int // b.B[lo:hi] has been read and is not yet a whole message
		pings  int // commands between the frames of that message, dealt with
		m      zmtp.Message
		limits = p.e.cfg.Limits
	)
	defer func() { b.Release() }()
	for {
		n, err := p.conn.Read(b.B[hi:])
		need := 0
		if n > 0 {
			p.received.Add(uint64(n))
			full := hi+n == len(b.B)
			hi += n
			var bad error
			for lo < hi {
				used, want, err := limits.Parse(b.B[lo:hi], &m)
				if err != nil {
					bad = err
					break
				}
				// libzmq sends PINGs in the middle of a message, and wants its
				// answer before a slow message has come to its end.
				for ; pings < len(m.Between) && bad == nil; pings++ {
					bad = p.command(&m.Between[pings], recv, b)
				}
				if used == 0 {
					need = want
					break
				}
				lo += used
				pings = 0
				if bad != nil {
					break
				}
				if m.Command {
					bad = p.command(&m, recv, b)
				} else {
					bad = recv.Message(b, m.Frames)
				}
				if bad != nil {
					break
				}
			}
			recv.Flush(b)
			if bad != nil {
				return bad
			}
			b, lo, hi = room(b, lo, hi, need, full)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				if hi > lo {
					return fmt.Errorf("%w in the middle of a message", errEOF)
				}
				return errEOF
			}
			return err
		}
	}
}

// room sees to it that there is room to read on. need is the length that the
// message begun at lo is known to have at least; full tells that the last read
// filled the block, and so that there may be much more.
func room(b *block.Block, lo, hi, need int, full bool) (*block.Block, int, int) {
	sole := b.Sole()
	size := len(b.B)
	if full && size < maxRead {
		size *= 2
	}
	rest := hi - lo
	switch {
	case sole && size == len(b.B) && need <= size:
		// Nobody looks at what was read: begin again at its start.
		if rest > 0 && lo > 0 && lo+need > size {
			copy(b.B, b.B[lo:hi])
			lo, hi = 0, rest
		} else if rest == 0 {
			lo, hi = 0, 0
		}
		if hi < size {
			return b, lo, hi
		}
	case !full && lo+need <= len(b.B) && len(b.B)-hi >= len(b.B)/4:
		// What was read before is still in use; go on behind it.
		return b, lo, hi
	}
	// A length that was only announced is not believed: memory grows with what
	// has really come.
	size = max(size, min(need, max(2*rest, maxRead)), rest+1)
	next := block.Get(size)
	copy(next.B, b.B[lo:hi])
	b.Release()
	return next, 0, rest
}

// command handles a ZMTP command between messages. Those that are of no concern
// here are ignored, as the specification wants it (RFC 23, "a peer SHALL ignore
// unknown commands").
func (p *Peer) command(m *zmtp.Message, recv Receiver, b *block.Block) error {
	if _, context, ok := zmtp.ParsePing(m); ok {
		p.SendControl(zmtp.AppendPong(nil, context))
		return nil
	}
	if sub, ok := zmtp.ParseSub(m); ok {
		// ZMTP 3.1 says with a command what 3.0 says with a message.
		kind := byte(1)
		if sub.Cancel {
			kind = 0
		}
		return recv.Message(b, [][]byte{append([]byte{kind}, sub.Prefix...)})
	}
	if e, ok := zmtp.ParseError(m); ok {
		return e
	}
	return nil
}
