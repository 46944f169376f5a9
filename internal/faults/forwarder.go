package faults

import (
	"context"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/subtrie"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Forwarder is a plain ZeroMQ forwarder, as zmq_proxy makes one of an XSUB and an
// XPUB: it knows nothing of Herald. Each subscription that is new to it goes to all
// publishers, and all subscriptions, in the order of their bytes, to one that is
// connected to anew; what finds no room in the queue of a subscriber is dropped
// without a word. It is there for tests over memnet, where libzmq cannot go.
type Forwarder struct {
	front, back *engine.Engine

	mu      sync.Mutex
	subs    subtrie.Trie[*engine.Peer]
	backs   map[*engine.Peer]struct{} // publishers that have all subscriptions
	dropped uint64                    // for subscribers that are gone
}

// NewForwarder binds the endpoint front for subscribers, and dials the publishers at
// the endpoints back for ever. most is how many messages wait for one subscriber.
func NewForwarder(n bus.Network, most int, front string, back ...string) (*Forwarder, error) {
	f := &Forwarder{backs: make(map[*engine.Peer]struct{})}
	cfg := engine.Config{
		Type:             zmq4.XPub,
		Queue:            queue.Limit{Messages: most, Bytes: 64 << 20, Overflow: queue.DropNewest},
		ReadSize:         4 << 10,
		MaxPeers:         1000,
		MaxHandshakes:    1000,
		HandshakeTimeout: 5 * time.Second,
		Backoff:          engine.Backoff{Min: 100 * time.Millisecond, Max: time.Second},
		Network:          engine.Network(n),
		Handler:          frontPeers{f},
	}
	f.front = engine.New(cfg)
	cfg.Type, cfg.Handler = zmq4.XSub, backPeers{f}
	f.back = engine.New(cfg)
	_, err := f.front.Listen(context.Background(), front)
	for _, e := range back {
		if err == nil {
			_, err = f.back.Dial(e, nil)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close ends all connections, and what waited is lost.
func (f *Forwarder) Close() {
	f.back.Close()
	f.front.Close()
}

// Dropped is how many messages found no room, or were lost with a connection.
func (f *Forwarder) Dropped() uint64 {
	n := uint64(0)
	for _, p := range f.front.Peers() {
		n += p.Out.Stats().DroppedMessages
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return n + f.dropped
}

// tell sends a subscription, or its end, to all publishers. Held: mu, so that they
// get them in the order of their making.
func (f *Forwarder) tell(msg []byte) {
	for p := range f.backs {
		f.send(p, msg)
	}
}

// send sends it to one, which gets all anew where it has no room.
func (f *Forwarder) send(p *engine.Peer, msgs []byte) {
	if p.SendControl(msgs) == queue.Dropped {
		p.Close(bus.ErrSlow)
	}
}

// frontPeers are the subscribers.
type frontPeers struct{ *Forwarder }

func (f frontPeers) Opened(p *engine.Peer) engine.Receiver { return frontPeer{f, p} }

func (f frontPeers) Closed(p *engine.Peer, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped += p.Out.Stats().DroppedMessages
	f.subs.RemoveAll(p, func(prefix string) { f.tell(zmtp.AppendCancel(nil, []byte(prefix))) })
}

func (frontPeers) Failed(*engine.Dialer, *engine.ConnError) {}

// frontPeer takes what a subscriber sends.
type frontPeer struct {
	frontPeers
	peer *engine.Peer
}

func (f frontPeer) Message(_ *block.Block, frames [][]byte) error {
	if len(frames) != 1 || len(frames[0]) == 0 {
		return nil
	}
	prefix := frames[0][1:]
	f.mu.Lock()
	defer f.mu.Unlock()
	switch frames[0][0] {
	case 1:
		if f.subs.Add(prefix, f.peer) {
			f.tell(zmtp.AppendSubscribe(nil, prefix))
		}
	case 0:
		if last, _ := f.subs.Remove(prefix, f.peer); last {
			f.tell(zmtp.AppendCancel(nil, prefix))
		}
	}
	return nil
}

func (frontPeer) Flush(*block.Block) {}

// backPeers are the publishers.
type backPeers struct{ *Forwarder }

func (f backPeers) Opened(p *engine.Peer) engine.Receiver {
	f.mu.Lock()
	defer f.mu.Unlock()
	var msgs []byte
	for prefix := range f.subs.Prefixes() {
		msgs = zmtp.AppendSubscribe(msgs, []byte(prefix))
	}
	if len(msgs) > 0 {
		f.send(p, msgs)
	}
	f.backs[p] = struct{}{}
	return &backPeer{Forwarder: f.Forwarder}
}

func (f backPeers) Closed(p *engine.Peer, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.backs, p)
}

func (backPeers) Failed(*engine.Dialer, *engine.ConnError) {}

// backPeer takes what a publisher sends.
type backPeer struct {
	*Forwarder
	peers []*engine.Peer
}

func (f *backPeer) Message(_ *block.Block, frames [][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers = f.subs.Match(frames[0], f.peers[:0])
	if len(f.peers) == 0 {
		return nil
	}
	msg := zmtp.AppendMessage(nil, frames...)
	b := block.Get(len(msg))
	copy(b.B, msg)
	for _, p := range f.peers {
		if p.Out.Push(b, 0, len(msg)) == queue.Claimed {
			p.Start()
		}
	}
	b.Release()
	return nil
}

func (f *backPeer) Flush(*block.Block) {}
