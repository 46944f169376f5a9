package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/memnet"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// role is a Handler that keeps what it is told. The zero role is ready.
type role struct {
	opened func(p *engine.Peer) // called by Opened; nil: nothing
	flush  func()               // called by Flush; nil: nothing
	keep   bool                 // to keep messages by reference to their block

	mu       sync.Mutex
	peers    []*engine.Peer // those opened, in order
	ends     []error        // of those closed
	failures []failure
	messages []message
}

type failure struct {
	err *engine.ConnError
	at  time.Time
}

// message is one that was received. Of one that is kept, the frames are where they
// were read into.
type message struct {
	frames [][]byte
	block  *block.Block // nil for a copy
}

// String is the frames, with bars between them.
func (m message) String() string { return string(bytes.Join(m.frames, []byte("|"))) }

func (r *role) Opened(p *engine.Peer) engine.Receiver {
	r.mu.Lock()
	r.peers = append(r.peers, p)
	r.mu.Unlock()
	if r.opened != nil {
		r.opened(p)
	}
	return &receiver{r: r}
}

func (r *role) Closed(_ *engine.Peer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, err)
}

func (r *role) Failed(_ *engine.Dialer, err *engine.ConnError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, failure{err, time.Now()})
}

// receiver looks at frames as late as it may: when Flush is called.
type receiver struct {
	r   *role
	run []message
}

func (x *receiver) Message(b *block.Block, frames [][]byte) error {
	x.run = append(x.run, message{slices.Clone(frames), b})
	return nil
}

func (x *receiver) Flush(b *block.Block) {
	if x.r.flush != nil {
		x.r.flush()
	}
	x.r.mu.Lock()
	defer x.r.mu.Unlock()
	for _, m := range x.run {
		if m.block != b {
			panic("a run of messages out of two blocks")
		}
		if x.r.keep {
			b.Retain()
		} else {
			m.block = nil
			for i, f := range m.frames {
				m.frames[i] = bytes.Clone(f)
			}
		}
		x.r.messages = append(x.r.messages, m)
	}
	x.run = x.run[:0]
}

// config is that of an engine of a type, on the real network.
func (r *role) config(t zmq4.SocketType) engine.Config {
	return engine.Config{
		Type:             t,
		Queue:            queue.Limit{Messages: 1 << 20, Bytes: 1 << 30},
		ReadSize:         512,
		MaxPeers:         1000,
		MaxHandshakes:    1000,
		HandshakeTimeout: 5 * time.Second,
		Backoff:          engine.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second},
		Handler:          r,
	}
}

func (r *role) got() (words []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		words = append(words, m.String())
	}
	return words
}

// causes are what the failures were, briefly.
func (r *role) causes() (words []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.failures {
		words = append(words, f.err.Op+": "+f.err.Err.Error())
	}
	return words
}

// endings are the errors with which peers were closed.
func (r *role) endings() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ends)
}

func (r *role) peerList() []*engine.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.peers)
}

func (r *role) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := r.got(); !slices.Equal(got, want) {
		t.Fatalf("got %.200q, want %.200q", got, want)
	}
}

// eventually waits for something outside of a bubble.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func (r *role) waitPeers(t *testing.T, n int) []*engine.Peer {
	t.Helper()
	eventually(t, "peers", func() bool { return len(r.peerList()) >= n })
	return r.peerList()
}

func (r *role) waitMessages(t *testing.T, n int) {
	t.Helper()
	eventually(t, "messages", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.messages) >= n
	})
}

// send pushes a message, and sees to it that it is written.
func send(e *engine.Engine, p *engine.Peer, frames ...string) queue.Outcome {
	var bs [][]byte
	for _, f := range frames {
		bs = append(bs, []byte(f))
	}
	msg := zmtp.AppendMessage(nil, bs...)
	b := block.Get(len(msg))
	defer b.Release()
	out := p.Out.Push(b, 0, copy(b.B, msg))
	if out == queue.Claimed {
		p.Kick(e.Now())
	}
	return out
}

// bubble runs a test in virtual time, with a network in memory.
func bubble(t *testing.T, f func(t *testing.T, n *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, memnet.New(memnet.Config{Seed: 1})) })
}

// start makes an engine on a host of the network.
func start(t *testing.T, n *memnet.Network, host string, cfg engine.Config) *engine.Engine {
	t.Helper()
	h := n.Host(host)
	cfg.Network = engine.Network{Dial: h.Dial, Listen: h.Listen}
	e := engine.New(cfg)
	t.Cleanup(e.Close)
	return e
}

// listen binds tcp://HOST:5556.
func listen(t *testing.T, e *engine.Engine, endpoint string) {
	t.Helper()
	if _, err := e.Listen(context.Background(), endpoint); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, e *engine.Engine, endpoint string) *engine.Dialer {
	t.Helper()
	d, err := e.Dial(endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const srv = "tcp://srv:5556"

// raw is a peer that is written by hand.
type raw struct {
	net.Conn
	t *testing.T
}

// connect dials from a host to the server, and says nothing.
func connect(t *testing.T, n *memnet.Network, host string) raw {
	t.Helper()
	c, err := n.Host(host).Dial(context.Background(), "tcp", "srv:5556")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return raw{c, t}
}

// hello is what a peer of a type says in its handshake.
func hello(socket string) []byte {
	b := make([]byte, 64)
	b[0], b[9], b[10], b[11] = 0xff, 0x7f, 3, 1
	copy(b[12:], "NULL")
	ready := "\x0bSocket-Type\x00\x00\x00" + string(rune(len(socket))) + socket
	return zmtp.AppendCommand(b, "READY", []byte(ready))
}

// shake does the handshake.
func (r raw) shake(socket string) raw {
	r.t.Helper()
	r.send(hello(socket))
	r.answer()
	return r
}

// answer reads the other side's part of the handshake.
func (r raw) answer() {
	r.t.Helper()
	r.read(64)
	r.frame()
}

func (r raw) send(p []byte) {
	r.t.Helper()
	if _, err := r.Write(p); err != nil {
		r.t.Fatal(err)
	}
}

func (r raw) read(n int) []byte {
	r.t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// frame reads one frame, and returns its flags and body.
func (r raw) frame() (flags byte, body []byte) {
	r.t.Helper()
	flags, body, err := frame(r)
	if err != nil {
		r.t.Fatal(err)
	}
	return flags, body
}

func frame(r io.Reader) (flags byte, body []byte, err error) {
	var h [zmtp.MaxHeader]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(h[1])
	if h[0]&zmtp.FlagLong != 0 {
		if _, err := io.ReadFull(r, h[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(h[1:])
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return h[0], body, err
}

// closed waits until the other side ends the connection, and reports how many
// bytes it sent before.
func (r raw) closed() int64 {
	n, _ := io.Copy(io.Discard, r)
	return n
}

// words are n different messages.
func words(n int) (all []string) {
	for i := range n {
		all = append(all, strings.Repeat(string(rune('a'+i%26)), 1+i*7%300))
	}
	return all
}
