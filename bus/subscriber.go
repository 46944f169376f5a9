package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/topic"
)

// Subscriber takes events from publishers. It is safe for concurrent use, but
// only one loop at a time can take its events.
type Subscriber struct {
	cfg  SubscriberConfig
	eng  *engine.Engine
	log  *slog.Logger
	life lifecycle
	main *inbox // of Events, Messages and Borrow

	watches  []*inbox // of deadlines
	watching sync.WaitGroup

	routes     atomic.Pointer[topic.Routes[*inbox]]
	duplicates atomic.Uint64
	malformed  atomic.Uint64
	gaps       atomic.Uint64
	missed     atomic.Uint64

	replayed   atomic.Uint64
	recoveries recoveries

	handlerErrors atomic.Uint64
	watch         chan struct{} // wakes the watcher; capacity 1

	// mu guards what follows, and upstreams, groups, sessions' subscriptions and
	// publishers. Locks of streams and inboxes are taken under it.
	mu             sync.Mutex
	groups         []*group
	ups            []*upstream
	filters        map[string]*counted // of the main inbox, by canonical form
	handlers       []*inbox
	only           bool     // handlers only: the main inbox takes statuses
	cover          []string // the prefixes that the filters need
	version        uint64   // of cover, from 1
	streams        *simplelru.LRU[Incarnation, *stream]
	changed        chan struct{} // closed when a session gets ready or ends; nil when nobody waits
	failed         uint64
	refused        map[string]error // last failure by endpoint
	disconnections uint64
	breaches       uint64
	later          []Status // to be logged once mu is released, see unlock
	notes          []*engine.ConnError
}

type counted struct {
	filter topic.Filter
	n      int
}

// maxUnion is how many filters of ordinary size make one.
const maxUnion = 1000

// maxStreams bounds the incarnations whose chains are remembered.
const maxStreams = 16_384

// NewSubscriber makes a subscriber, binds its endpoints and begins to connect to
// its sources. It fails when an endpoint can't be bound.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	cfg.Sources, cfg.Bind = slices.Clone(cfg.Sources), slices.Clone(cfg.Bind)
	cfg.Deadlines = slices.Clone(cfg.Deadlines)
	for i := range cfg.Deadlines {
		cfg.Deadlines[i].Topics = slices.Clone(cfg.Deadlines[i].Topics)
	}
	ec, err := cfg.check()
	if err != nil {
		return nil, err
	}
	streams, err := simplelru.NewLRU[Incarnation, *stream](maxStreams, nil)
	if err != nil {
		return nil, err
	}
	s := &Subscriber{
		cfg:     cfg,
		log:     cfg.Logger,
		main:    newInbox(cfg.Queue, topic.None()),
		watch:   make(chan struct{}, 1),
		filters: map[string]*counted{cfg.Filter.String(): {cfg.Filter, 1}},
		streams: streams,
		refused: make(map[string]error),
	}
	s.main.lifespan = cfg.Lifespan
	s.recoveries.streams = make(map[*stream]struct{})
	s.life.init()
	ec.Handler = (*subscriberPeers)(s)
	s.eng = engine.New(ec)
	for _, d := range cfg.Deadlines {
		// What it loses when it is slow is of no matter.
		limit := Queue{Messages: 10_000, Bytes: 1 << 20, Overflow: DropOldest}
		s.watches = append(s.watches, newInbox(limit, d.Filter))
	}
	s.mu.Lock()
	s.refilter()
	err = s.open()
	s.mu.Unlock()
	if err != nil {
		s.eng.Close()
		return nil, err
	}
	s.life.goes(s.watcher)
	for i, d := range cfg.Deadlines {
		s.watching.Go(func() { s.watchDeadline(d, s.watches[i]) })
	}
	return s, nil
}

// open binds and begins to dial. Held: mu.
func (s *Subscriber) open() error {
	add := func(endpoint string, f Framing, g *group) *upstream {
		up := &upstream{
			endpoint: endpoint, framing: f, group: g,
			sessions:   make(map[*session]struct{}),
			publishers: make(map[string]*publisher),
		}
		s.ups = append(s.ups, up)
		return up
	}
	for i, e := range s.cfg.Bind {
		bound, err := s.eng.Listen(context.Background(), e)
		if err != nil {
			return &EndpointError{e, "bind", err}
		}
		// A peer that comes in is found by the endpoint it came to.
		add(bound, s.cfg.BindFraming, nil)
		s.cfg.Bind[i] = bound
	}
	for _, src := range s.cfg.Sources {
		g := &group{returns: src.returns}
		if src.redundant {
			seen, err := lru.New[eventID, struct{}](src.window)
			if err != nil {
				return err
			}
			g.seen = seen
		}
		s.groups = append(s.groups, g)
		for _, e := range src.endpoints {
			up := add(e, src.framing, g)
			g.ups = append(g.ups, up)
			d, err := s.eng.Dial(e, up)
			if err != nil {
				return &EndpointError{e, "dial", err}
			}
			up.dialer = d
		}
	}
	return nil
}

// Endpoints are the endpoints of Bind, with the addresses they got.
func (s *Subscriber) Endpoints() []string { return slices.Clone(s.cfg.Bind) }

// Add adds filters: Events yields what passes any of the filters that were given,
// by SubscriberConfig.Filter or by Add. They are counted: what was added twice is
// removed by two calls of Remove. When Add returns, the subscriptions are on their
// way; wait for Ready to know that they are in force. Many filters are best added
// in one call. On an error none is added.
func (s *Subscriber) Add(filters ...topic.Filter) error {
	for _, f := range filters {
		if err := f.Err(); err != nil {
			return fmt.Errorf("bus: add filter: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.alive(); err != nil {
		return err
	}
	fresh := false
	for _, f := range filters {
		key := f.String()
		if c, ok := s.filters[key]; ok {
			c.n++
			continue
		}
		s.filters[key] = &counted{f, 1}
		fresh = true
	}
	if fresh {
		s.refilter()
	}
	return nil
}

// Remove takes back one Add of each filter, or SubscriberConfig.Filter. What is in
// the queue already is still yielded. On an error, which names a filter that is not
// among the subscriber's, none is removed.
func (s *Subscriber) Remove(filters ...topic.Filter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.alive(); err != nil {
		return err
	}
	less := make(map[string]int, len(filters))
	for _, f := range filters {
		key := f.String()
		less[key]++
		if c, ok := s.filters[key]; !ok || c.n < less[key] {
			return fmt.Errorf("bus: remove filter: %q is not among this subscriber's filters, or not so often", key)
		}
	}
	gone := false
	for key, n := range less {
		c := s.filters[key]
		if c.n -= n; c.n == 0 {
			delete(s.filters, key)
			gone = true
		}
	}
	if gone {
		s.refilter()
	}
	return nil
}

// refilter puts the filters of all inboxes in force. Held: mu.
func (s *Subscriber) refilter() {
	routes := topic.NewRoutes[*inbox]()
	var all []topic.Filter
	if !s.only {
		for _, key := range slices.Sorted(maps.Keys(s.filters)) {
			all = append(all, s.filters[key].filter)
		}
		// A filter is bounded in size; so many are several routes to the main inbox,
		// next to each other: see session.give.
		for chunk := range slices.Chunk(all, maxUnion) {
			if union := topic.Any(chunk...); union.Err() == nil {
				routes = routes.With(union, s.main)
				continue
			}
			for _, f := range chunk {
				routes = routes.With(f, s.main)
			}
		}
	}
	all = append(all, topic.None())
	for _, in := range slices.Concat(s.handlers, s.watches) {
		routes = routes.With(in.filter, in)
		all = append(all, in.filter)
	}
	s.routes.Store(routes)
	cover := topic.Cover(all...)
	if s.version > 0 && slices.Equal(cover, s.cover) {
		return
	}
	narrower := s.version > 0 && within(cover, s.cover)
	s.cover = cover
	s.version++
	for _, st := range s.streams.Values() {
		st.mu.Lock()
		st.change(s.version, cover)
		st.mu.Unlock()
	}
	for _, up := range s.ups {
		for sess := range up.sessions {
			if narrower && sess.asked == s.version-1 {
				// The answer for the wider subscriptions is good for these.
				sess.asked = s.version
				if sess.ready == s.version-1 {
					sess.ready = s.version
				}
			}
			s.subscribe(sess)
		}
	}
}

// stream returns that of an incarnation, new if need be. Held: mu.
func (s *Subscriber) stream(inc Incarnation) *stream {
	st, ok := s.streams.Get(inc)
	if !ok {
		st = newStream(inc, s.cfg.TopicCache, s.version, s.cover)
		s.streams.Add(inc, st)
	}
	return st
}

// forget cuts the chains of an incarnation. Held: mu.
func (s *Subscriber) forget(inc Incarnation) {
	if st, ok := s.streams.Peek(inc); ok {
		st.mu.Lock()
		st.forget(s.version, s.cover)
		st.mu.Unlock()
	}
}

// Ready waits until every source has a publisher that has answered for the
// subscriptions made so far: whatever it publishes from then on on their topics
// reaches this subscriber, or is reported. Where publishers connect to Bind, one
// must have answered. A foreign publisher never answers, and is waited for until
// ctx ends.
func (s *Subscriber) Ready(ctx context.Context) error {
	for {
		s.mu.Lock()
		if err := s.life.alive(); err != nil {
			s.mu.Unlock()
			return err
		}
		waiting := s.unready()
		if len(waiting) == 0 {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.life.stopping:
			return s.life.refusal()
		case <-ctx.Done():
			return fmt.Errorf("bus: no answer yet from %s: %w", strings.Join(waiting, ", "), context.Cause(ctx))
		}
	}
}

// unready lists what Ready waits for. Held: mu.
func (s *Subscriber) unready() []string {
	var waiting []string
	ready := func(up *upstream) bool {
		for sess := range up.sessions {
			if sess.ready == s.version {
				return true
			}
		}
		return false
	}
	check := func(up *upstream) {
		if ready(up) {
			return
		}
		why := up.endpoint
		if err := s.refused[up.endpoint]; err != nil && len(up.sessions) == 0 {
			why += " (" + err.Error() + ")"
		}
		waiting = append(waiting, why)
	}
	for _, g := range s.groups {
		if g.seen == nil || !slices.ContainsFunc(g.ups, ready) {
			check(g.ups[g.active])
		}
	}
	for _, up := range s.ups {
		if up.group == nil {
			check(up)
		}
	}
	return waiting
}

// wakeReady lets those who wait in Ready look again. Held: mu.
func (s *Subscriber) wakeReady() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// change begins a status.
func (s *Subscriber) change(o Origin) Change { return Change{o, time.Now()} }

// status puts a status at the end of the stream. Held: mu.
func (s *Subscriber) status(st Status) {
	b := newBatch()
	b.addStatus(st)
	s.main.push(b, nil)
	s.later = append(s.later, st)
}

func (s *Subscriber) logStatus(st Status) {
	o, _ := st.About()
	level := slog.LevelInfo
	switch st.(type) {
	case *Stale, *Gap:
		level = slog.LevelWarn
	}
	s.log.Log(s.life.ctx, level, st.String(), "status", st.Kind(), "publisher", o.Publisher, "endpoint", o.Endpoint)
}

// Drain receives no more, and lets the loop over the events, and the handlers,
// take what has been received. It returns when they have, or when ctx ends, and
// then drops the rest. Calls after the first wait for the same end, and get the
// same error.
func (s *Subscriber) Drain(ctx context.Context) error {
	s.life.stop(s.drain)
	return s.life.wait(ctx)
}

// Close ends the subscriber at once: loops over its events end, what has not been
// taken is dropped.
func (s *Subscriber) Close() error {
	s.life.stop(s.drain)
	s.life.cut(ErrClosed)
	<-s.life.done
	return nil
}

func (s *Subscriber) inboxes() []*inbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*inbox{s.main}, s.handlers...)
}

// drain ends the subscriber in order, and at once when ctx ends.
func (s *Subscriber) drain(ctx context.Context) error {
	s.eng.Close()
	for _, in := range s.watches {
		in.close()
	}
	s.watching.Wait()
	for _, in := range s.inboxes() {
		in.end()
	}
	n := 0
	for _, in := range s.inboxes() {
		select {
		case <-in.drained:
		case <-ctx.Done():
			n += in.queueStats().QueuedMessages
		}
		in.close()
	}
	if n > 0 {
		return fmt.Errorf("bus: drain: %d received events not taken: %w", n, context.Cause(ctx))
	}
	return nil
}

// subscriberPeers is the subscriber as its engine sees it.
type subscriberPeers Subscriber

// Opened implements [engine.Handler].
func (h *subscriberPeers) Opened(peer *engine.Peer) engine.Receiver {
	s := (*Subscriber)(h)
	s.mu.Lock()
	defer s.unlock()
	up := s.upstreamOf(peer)
	x := newSession(s, up, peer)
	up.sessions[x] = struct{}{}
	up.tried = true
	delete(s.refused, up.endpoint)
	s.subscribe(x)
	s.expect(x)
	s.status(&Connected{s.change(Origin{Endpoint: up.endpoint}), peer.Remote})
	s.reconsider(up)
	return x
}

// Closed implements [engine.Handler].
func (h *subscriberPeers) Closed(peer *engine.Peer, err error) {
	s := (*Subscriber)(h)
	s.mu.Lock()
	defer s.unlock()
	up := s.upstreamOf(peer)
	for x := range up.sessions {
		if x.peer == peer {
			delete(up.sessions, x)
		}
	}
	if errors.Is(err, engine.ErrClosed) {
		return
	}
	s.disconnections++
	if isBreach(err) {
		s.breaches++
	}
	s.status(&Disconnected{s.change(Origin{Endpoint: up.endpoint}), err})
	s.reconsider(up)
	s.wakeReady()
}

// Failed implements [engine.Handler].
func (h *subscriberPeers) Failed(d *engine.Dialer, err *engine.ConnError) {
	s := (*Subscriber)(h)
	s.mu.Lock()
	defer s.unlock()
	s.failed++
	first := s.refused[err.Endpoint] == nil
	s.refused[err.Endpoint] = err
	if first {
		s.notes = append(s.notes, err)
	}
	if d == nil {
		return
	}
	up := d.Tag.(*upstream)
	up.tried = true
	s.reconsider(up)
}

// upstreamOf finds where a peer belongs. Held: mu.
func (s *Subscriber) upstreamOf(peer *engine.Peer) *upstream {
	if peer.Dialer != nil {
		return peer.Dialer.Tag.(*upstream)
	}
	for _, up := range s.ups {
		if up.group == nil && up.endpoint == peer.Endpoint {
			return up
		}
	}
	panic("bus: a peer came in at an endpoint that was not bound: " + peer.Endpoint)
}

// reconsider looks at the group of an upstream after something has changed there.
// Held: mu.
func (s *Subscriber) reconsider(up *upstream) {
	if up.group != nil {
		s.evaluate(up.group, time.Now())
	}
	s.wakeWatcher()
}

// unlock releases mu and does what must not be done under it: it tells the logger.
func (s *Subscriber) unlock() {
	later, notes := s.later, s.notes
	s.later, s.notes = nil, nil
	s.mu.Unlock()
	for _, st := range later {
		s.logStatus(st)
	}
	for _, err := range notes {
		s.log.Warn("connection failed, trying on", "op", err.Op, "endpoint", err.Endpoint, "remote", err.Remote, "error", err.Err)
	}
}
