package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-zeromq/zmq4"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Receiver takes the messages of one peer. Its methods are called by the peer's
// goroutine only.
type Receiver interface {
	// Message is called for each message. The frames are valid until Flush
	// returns, and beyond it for as long as a reference to b is held. An error
	// ends the connection. At a publisher, a subscription that came as a command
	// of ZMTP 3.1 is given as the message that it would have been in 3.0.
	Message(b *block.Block, frames [][]byte) error
	// Flush ends a run of messages, those out of one read, of which there may be
	// none. It may wait: nothing more is read meanwhile, so that the transport
	// holds the sender back.
	Flush(b *block.Block)
}

var errEOF = errors.New("the peer closed the connection")

// read reads from the peer until it ends, and says why it did.
func (p *Peer) read(recv Receiver) error {
	w := newWindow(p.e.cfg.ReadSize, p.e.cfg.Limits)
	defer func() { w.b.Release() }()
	var (
		m   zmtp.Message
		cut = cutter{p: p, recv: recv}
	)
	for {
		n, err := p.conn.Read(w.b.B[w.hi:])
		if n > 0 {
			p.received.Add(uint64(n))
			w.hi += n
			need, bad := cut.messages(w, &m)
			recv.Flush(w.b)
			if bad != nil {
				return bad
			}
			w.room(n, need)
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return err
		case w.hi > w.lo:
			return fmt.Errorf("%w in the middle of a message", errEOF)
		default:
			return errEOF
		}
	}
}

// cutter cuts messages out of a window and hands them over.
type cutter struct {
	p     *Peer
	recv  Receiver
	pings int // commands between the frames of an unfinished message that were dealt with
}

// messages deals with the messages that are in the window whole, and returns how
// long the rest has to become at least to be one, 0 when there is no rest.
func (c *cutter) messages(w *window, m *zmtp.Message) (int, error) {
	limits := &c.p.e.cfg.Limits
	for w.lo < w.hi {
		used, need, err := limits.Parse(w.b.B[w.lo:w.hi], m)
		if err != nil {
			return 0, err
		}
		// libzmq sends PINGs in the middle of a message, and wants its answer
		// before a slow message has come to its end.
		for ; c.pings < len(m.Between); c.pings++ {
			if err := c.command(&m.Between[c.pings], w.b); err != nil {
				return 0, err
			}
		}
		if used == 0 {
			return need, nil
		}
		c.pings = 0
		w.lo += used
		w.largest = max(w.largest, used)
		if m.Command {
			err = c.command(m, w.b)
		} else {
			err = c.recv.Message(w.b, m.Frames)
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// command deals with a ZMTP command. Those that are of no concern here are
// ignored, as libzmq ignores them.
func (c *cutter) command(m *zmtp.Message, b *block.Block) error {
	if _, context, ok := zmtp.ParsePing(m); ok {
		c.p.SendControl(zmtp.AppendPong(nil, context))
		return nil
	}
	if sub, ok := zmtp.ParseSub(m); ok && publishes(c.p.e.cfg.Type) {
		// ZMTP 3.1 says with a command what 3.0 says with a message.
		kind := byte(1)
		if sub.Cancel {
			kind = 0
		}
		return c.recv.Message(b, [][]byte{append([]byte{kind}, sub.Prefix...)})
	}
	if e, ok := zmtp.ParseError(m); ok {
		return e
	}
	return nil
}

// publishes reports whether peers of a socket of this type subscribe. From others
// SUBSCRIBE is no command that says anything, and least of all a message.
func publishes(t zmq4.SocketType) bool { return t == zmq4.Pub || t == zmq4.XPub }
