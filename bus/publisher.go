package bus

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/subtrie"
	"github.com/heraldbus/herald/internal/zmtp"
)

// Publisher sends events to whoever subscribes to their topics. It is safe for
// concurrent use: events are numbered in the order in which Publish took them,
// and every subscriber gets its own in that order.
type Publisher struct {
	cfg     PublisherConfig
	inc     Incarnation
	started time.Time // by the wall clock
	bound   []string
	eng     *engine.Engine
	log     *slog.Logger
	life    lifecycle

	// mu is held for as long as it takes to number, encode and queue one event.
	// The queues' own locks are taken under it.
	mu       sync.Mutex
	draining bool
	seq      uint64
	block    queue.Log
	routes   *routes
	trie     *subtrie.Trie[*engine.Peer]
	changed  chan struct{}           // closed when a subscription comes; nil when nobody waits
	wall     time.Duration           // what to add to the engine's clock for Unix time
	counts   PublisherStats          // of peers that are gone, and of the publisher itself
	peers    map[*engine.Peer]uint64 // those connected, and the how many-th each is
	came     uint64                  // how many there have been
	scratch  []*engine.Peer

	wanted  bool // somebody has subscribed to something: events are kept from then on
	ring    ring
	last    *lastValues
	replays replays

	answering sync.WaitGroup // questions for past events
}

// NewPublisher makes a publisher and binds its endpoints. It fails when an
// endpoint can't be bound; one to connect to is tried for ever instead.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	cfg.Advertise, cfg.Retain.Prefixes = slices.Clone(cfg.Advertise), slices.Clone(cfg.Retain.Prefixes)
	ec, err := cfg.check()
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg:     cfg,
		inc:     newIncarnation(),
		started: time.Now(),
		log:     cfg.Logger.With("publisher", cfg.Name),
		routes:  newRoutes(cfg.TopicCache, &cfg.Retain),
		trie:    new(subtrie.Trie[*engine.Peer]),
		peers:   make(map[*engine.Peer]uint64),
		ring:    ring{keep: cfg.Keep},
		last:    newLastValues(cfg.Retain),
		replays: replays{slots: make(chan struct{}, replaysAtOnce), ofPeer: make(map[*engine.Peer]int)},
	}
	p.life.init()
	ec.Handler = (*publisherPeers)(p)
	p.eng = engine.New(ec)
	p.setWall()
	for _, e := range cfg.Bind {
		bound, err := p.eng.Listen(context.Background(), e)
		if err != nil {
			p.eng.Close()
			return nil, &EndpointError{e, "bind", err}
		}
		p.bound = append(p.bound, bound)
	}
	for _, e := range cfg.Connect {
		if _, err := p.eng.Dial(e, nil); err != nil {
			p.eng.Close()
			return nil, &EndpointError{e, "dial", err}
		}
	}
	p.life.goes(p.beats)
	return p, nil
}

func newIncarnation() Incarnation {
	for {
		var b [8]byte
		crand.Read(b[:])
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return Incarnation(n)
		}
	}
}

// Name is the publisher's name.
func (p *Publisher) Name() string { return p.cfg.Name }

// Incarnation tells this run of the publisher from any other.
func (p *Publisher) Incarnation() Incarnation { return p.inc }

// Endpoints are the endpoints of Bind, with the addresses they got.
func (p *Publisher) Endpoints() []string { return append([]string(nil), p.bound...) }

// Publish sends an event to all who subscribe to its topic now. It returns when
// the event is in their queues, and waits only under the policy [Block], for as
// long as ctx allows; then nobody has got the event. The payload is borrowed for
// the call. The topic is 1 to 255 bytes, see topic.Validate.
func (p *Publisher) Publish(ctx context.Context, topic string, payload []byte) error {
	p.mu.Lock()
	r, err := p.routes.get(topic)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	return p.publish(ctx, r, payload, nil)
}

// PublishHeaders is Publish with headers that travel in the event's meta.
func (p *Publisher) PublishHeaders(ctx context.Context, topic string, payload []byte, headers ...Header) error {
	enc, err := appendHeaders(nil, headers)
	if err != nil {
		return err
	}
	p.mu.Lock()
	r, err := p.routes.get(topic)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	return p.publish(ctx, r, payload, enc)
}

// PreparedTopic is a topic of a publisher that was looked up once, for those who
// publish on it often. It is safe for concurrent use.
type PreparedTopic struct {
	p       *Publisher
	r       *route
	headers []byte // encoded, sent with each event; may be empty
}

// Topic prepares a topic. The headers go with each event that is published
// through it. It costs the publisher's memory until both are gone.
func (p *Publisher) Topic(name string, headers ...Header) (*PreparedTopic, error) {
	var enc []byte
	if len(headers) > 0 {
		var err error
		if enc, err = appendHeaders(nil, headers); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, err := p.routes.pin(name)
	if err != nil {
		return nil, err
	}
	return &PreparedTopic{p, r, enc}, nil
}

// Name is the topic's name.
func (t *PreparedTopic) Name() string { return t.r.name }

// Publish is [Publisher.Publish] on this topic.
func (t *PreparedTopic) Publish(ctx context.Context, payload []byte) error {
	t.p.mu.Lock()
	return t.p.publish(ctx, t.r, payload, t.headers)
}

// inlineMost is how many idle peers the caller of Publish writes itself; with more
// it would be kept from its next event for too long.
const inlineMost = 4

// publish sends one event. It is entered with p.mu held, and releases it.
func (p *Publisher) publish(ctx context.Context, r *route, payload, headers []byte) error {
	if p.draining {
		p.mu.Unlock()
		return p.life.refusal()
	}
	p.routes.resolve(r, p.trie)
	size := r.size(payload, headers)
	if p.cfg.Queue.Overflow == Block && len(r.peers) > 0 {
		if err := p.waitRoom(ctx, r, 1, size); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	p.seq++
	seq, prev := p.seq, r.last
	r.last = seq
	p.counts.Messages++
	p.counts.Bytes += uint64(len(payload))
	keep := p.wanted && p.cfg.Keep.Messages > 0
	if len(r.peers) == 0 && !keep && !r.retained {
		p.mu.Unlock()
		return nil
	}
	now := p.eng.Now()
	b, lo := p.block.Reserve(size)
	p.encode(b.B[lo:lo], r, payload, headers, seq, prev, now)
	if keep {
		p.ring.add(kept{b, lo, lo + size, seq, now})
	}
	if r.retained {
		p.last.set(r.name, b.B[lo:lo+size], now)
	}
	var kick kicks
	for _, peer := range r.peers {
		switch peer.Out.Push(b, lo, lo+size) {
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

// encode appends an event to buf, which has room for it, as it goes on the wire.
// Held: mu.
func (p *Publisher) encode(buf []byte, r *route, payload, headers []byte, seq, prev uint64, now time.Duration) {
	buf = append(buf, r.frame...)
	buf = zmtp.AppendHeader(buf, zmtp.FlagMore, len(payload))
	buf = append(buf, payload...)
	buf = zmtp.AppendHeader(buf, 0, metaSize+len(headers))
	n := len(buf)
	buf = buf[:n+metaSize]
	flags := byte(0)
	if len(headers) > 0 {
		flags = flagHeaders
	}
	putMeta(buf[n:], flags, uint64(p.inc), seq, prev, int64(p.wall+now))
	if len(headers) > 0 {
		_ = append(buf, headers...)
	}
}

// kicks are peers on whose queues the caller got the claim. Few are served after
// the lock is released, by the caller; the others by goroutines.
type kicks struct {
	n     int
	peers [inlineMost]*engine.Peer
}

func (k *kicks) add(peer *engine.Peer) {
	if k.n == len(k.peers) {
		peer.Start()
		return
	}
	k.peers[k.n] = peer
	k.n++
}

func (k *kicks) run(now time.Duration) {
	for _, peer := range k.peers[:k.n] {
		peer.Kick(now)
	}
}

// waitRoom waits until all peers of a route have room for so many messages and
// bytes. It is entered and left
// with p.mu held, and lets it go while it waits.
func (p *Publisher) waitRoom(ctx context.Context, r *route, count, size int) error {
	for {
		var full *engine.Peer
		var room <-chan struct{}
		for _, peer := range r.peers {
			if peer.Out.HasRoomFor(count, size) {
				continue
			}
			room = peer.Out.Room()
			if !peer.Out.HasRoomFor(count, size) { // unless it was made between the two
				full = peer
				break
			}
		}
		if full == nil {
			return nil
		}
		p.mu.Unlock()
		var err error
		var late <-chan time.Time
		if p.cfg.Queue.Patience > 0 {
			late = time.After(p.cfg.Queue.Patience)
		}
		select {
		case <-room:
		case <-late:
			full.Close(ErrSlow)
			<-full.Done() // and then it is no longer among the peers of the route
		case <-ctx.Done():
			err = fmt.Errorf("bus: publish %q: no room in the queue of %s: %w", r.name, full.Remote, context.Cause(ctx))
		case <-p.life.stopping:
			err = p.life.refusal()
		}
		p.mu.Lock()
		if err == nil && p.draining {
			err = p.life.refusal()
		}
		if err != nil {
			return err
		}
		p.routes.resolve(r, p.trie)
	}
}

// WaitSubscribers waits until at least n peers have subscribed to what covers the
// topic. From then on they get what is published on it.
func (p *Publisher) WaitSubscribers(ctx context.Context, topic string, n int) error {
	for {
		p.mu.Lock()
		p.scratch = p.trie.MatchString(topic, p.scratch[:0])
		have := len(p.scratch)
		if have >= n {
			p.mu.Unlock()
			return nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("bus: waiting for %d subscribers of %q at %v, have %d: %w", n, topic, p.bound, have, context.Cause(ctx))
		case <-p.life.stopping:
			return p.life.refusal()
		}
	}
}

// beats sends the heartbeats.
func (p *Publisher) beats() {
	if p.cfg.Heartbeat < 0 {
		return
	}
	t := time.NewTicker(p.cfg.Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.beat(false)
		case <-p.life.stopping:
			return
		}
	}
}

// beat sends a heartbeat to all who want it, the last one with bye set. It writes
// to idle peers itself: a goroutine for each of thousands, all at once, would cost
// their stacks.
func (p *Publisher) beat(bye bool) {
	topic := heartbeat.Topic(p.cfg.Name)
	p.mu.Lock()
	p.setWall()
	p.ring.expire(p.eng.Now())
	p.scratch = p.trie.MatchString(topic, p.scratch[:0])
	claimed := make([]*engine.Peer, 0, len(p.scratch))
	if len(p.scratch) > 0 {
		b, lo, hi := p.control(topic, bye)
		for _, peer := range p.scratch {
			if peer.Out.PushControl(b, lo, hi) == queue.Claimed {
				claimed = append(claimed, peer)
			}
		}
	}
	clear(p.scratch)
	p.mu.Unlock()
	for _, peer := range claimed {
		peer.Kick(p.eng.Now())
	}
}

// control encodes a message [topic, beat]. The seq in it is right for whoever
// pushes it before the lock is released. Held: mu.
func (p *Publisher) control(topic string, bye bool) (b *block.Block, lo, hi int) {
	beat := heartbeat.Beat{
		Name:        p.cfg.Name,
		Incarnation: p.inc,
		Seq:         p.seq,
		Interval:    p.cfg.Heartbeat,
		Started:     p.started,
		Endpoints:   p.cfg.Advertise,
		Bye:         bye,
	}
	if p.cfg.Heartbeat < 0 {
		beat.Interval = heartbeat.MaxInterval // none is to be missed
	}
	msg := zmtp.AppendMessage(nil, []byte(topic), beat.Append(nil))
	b, lo = p.block.Reserve(len(msg))
	copy(b.B[lo:], msg)
	return b, lo, lo + len(msg)
}

// setWall follows the wall clock, which may be set while the publisher runs.
// Held: mu, or not yet shared.
func (p *Publisher) setWall() {
	p.wall = time.Duration(time.Now().UnixNano()) - p.eng.Now()
}

// Drain takes no more events, sends all that are queued, says goodbye and closes.
// When ctx ends before that, the rest is dropped and the error tells how much of
// it for whom. Calls after the first wait for the same end, and get the same error.
func (p *Publisher) Drain(ctx context.Context) error {
	p.life.stop(p.drain)
	return p.life.wait(ctx)
}

// Close is Drain for as long as PublisherConfig.Linger. It returns no error: use
// Drain to know what did not go out.
func (p *Publisher) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), max(p.cfg.Linger, 0))
	defer cancel()
	p.Drain(ctx)
	return nil
}

// drain ends the publisher in order, and at once when ctx ends.
func (p *Publisher) drain(ctx context.Context) error {
	p.mu.Lock()
	p.draining = true
	p.mu.Unlock()
	p.eng.StopListening()
	p.beat(true)
	var wg sync.WaitGroup
	peers := p.eng.Peers()
	dropped := make([]uint64, len(peers)) // before
	for i, peer := range peers {
		dropped[i] = peer.Out.Stats().DroppedMessages
		wg.Go(func() { peer.Shutdown(ctx) })
	}
	wg.Wait()
	cause := context.Cause(ctx)
	p.eng.Close()
	p.answering.Wait()
	p.mu.Lock()
	p.ring.close()
	p.block.Close()
	p.mu.Unlock()
	if cause == nil {
		return nil
	}
	var errs []error
	for i, peer := range peers {
		if n := peer.Out.Stats().DroppedMessages - dropped[i]; n > 0 {
			errs = append(errs, &EndpointError{peer.Endpoint, "drain", fmt.Errorf("%d events not sent to %s: %w", n, peer.Remote, cause)})
		}
	}
	if len(errs) == 0 {
		return fmt.Errorf("bus: drain: %w", cause)
	}
	return errors.Join(errs...)
}
