package bus

import (
	"bytes"
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heraldbus/herald/heartbeat"
	"github.com/heraldbus/herald/internal/block"
	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/topic"
)

// publisherPeers is the publisher as its engine sees it.
type publisherPeers Publisher

// Opened implements [engine.Handler].
func (p *publisherPeers) Opened(peer *engine.Peer) engine.Receiver {
	p.mu.Lock()
	p.came++
	p.peers[peer] = p.came
	p.mu.Unlock()
	p.log.Debug("subscriber connected", "endpoint", peer.Endpoint, "remote", peer.Remote)
	return &subscriptions{p: (*Publisher)(p), peer: peer}
}

// Closed implements [engine.Handler].
func (p *publisherPeers) Closed(peer *engine.Peer, err error) {
	p.mu.Lock()
	if n, _ := p.trie.Count(peer); n > 0 {
		p.trie.RemoveAll(peer, nil)
		p.routes.invalidate()
	}
	delete(p.peers, peer)
	p.counts.addPeer(peer.Out.Stats())
	level := slog.LevelDebug
	if isBreach(err) {
		p.counts.Breaches++
		level = slog.LevelWarn
	}
	p.mu.Unlock()
	p.log.Log(p.life.ctx, level, "subscriber disconnected", "endpoint", peer.Endpoint, "remote", peer.Remote, "reason", err)
}

// Failed implements [engine.Handler].
func (p *publisherPeers) Failed(d *engine.Dialer, err *engine.ConnError) {
	p.mu.Lock()
	p.counts.FailedConnections++
	p.mu.Unlock()
	level := slog.LevelWarn
	if d != nil {
		level = slog.LevelDebug // tried again for ever: it need not be there yet
	}
	p.log.Log(p.life.ctx, level, "connection failed", "op", err.Op, "endpoint", err.Endpoint, "remote", err.Remote, "error", err.Err)
}

// subscriptions takes what one peer sends: its subscriptions.
type subscriptions struct {
	p    *Publisher
	peer *engine.Peer
	warn sync1
}

// sync1 is a warning that is given once.
type sync1 bool

func (s *sync1) first() bool {
	was := *s
	*s = true
	return !bool(was)
}

// Message implements [engine.Receiver].
func (s *subscriptions) Message(_ *block.Block, frames [][]byte) error {
	// RFC 29: a single frame whose first byte is 1 or 0. Anything else is a
	// message of an XSUB to an XPUB, and of no meaning to a publisher.
	if len(frames) != 1 || len(frames[0]) == 0 {
		return nil
	}
	prefix := frames[0][1:]
	switch frames[0][0] {
	case 1:
		s.subscribe(prefix)
	case 0:
		s.cancel(prefix)
	}
	return nil
}

// Flush implements [engine.Receiver].
func (s *subscriptions) Flush(*block.Block) {}

func (s *subscriptions) subscribe(prefix []byte) {
	if topic.Reserved(prefix) {
		s.awaitAnswers()
	}
	p := s.p
	p.mu.Lock()
	have, length := p.trie.Count(s.peer)
	if have >= p.cfg.Limits.Subscriptions || length+len(prefix) > p.cfg.Limits.SubscriptionBytes {
		p.counts.RefusedSubscriptions++
		p.mu.Unlock()
		if s.warn.first() {
			p.log.Warn("subscription refused: the peer has too many (Limits.Subscriptions, Limits.SubscriptionBytes)", "remote", s.peer.Remote, "have", have)
		}
		return
	}
	p.trie.Add(prefix, s.peer)
	now, _ := p.trie.Count(s.peer)
	first := now > have
	answer := ""
	switch {
	case !topic.Reserved(prefix):
		if first {
			p.routes.invalidate()
		}
	case isNonce(string(prefix), helloPrefix):
		answer = string(prefix)
	case strings.HasPrefix(heartbeat.Topic(p.cfg.Name), string(prefix)) && p.cfg.Heartbeat > 0:
		// Whoever watches for heartbeats learns at once who is here.
		answer = heartbeat.Topic(p.cfg.Name)
	}
	if !topic.Reserved(prefix) {
		p.wanted = true
	} else if first && bytes.HasPrefix(prefix, []byte(replayPrefix)) {
		p.ask(s.peer, prefix)
	}
	var kick kicks
	if answer != "" && first {
		b, lo, hi := p.control(answer, p.draining)
		if s.peer.Out.PushControl(b, lo, hi) == queue.Claimed {
			kick.add(s.peer)
		}
	}
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	clock := p.eng.Now()
	p.mu.Unlock()
	kick.run(clock)
}

func (s *subscriptions) cancel(prefix []byte) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.trie.Remove(prefix, s.peer); ok && !topic.Reserved(prefix) {
		p.routes.invalidate()
	}
}

// maxAnswers is how many answers to questions may wait for a peer: half of what the
// queue has room for.
const maxAnswers = 128

// awaitAnswers waits while too many do. A forwarder that is connected anew may ask for
// thousands of subscribers at once, and none of them would ask again. Only this peer
// is not read meanwhile.
func (s *subscriptions) awaitAnswers() {
	for s.peer.Out.Stats().Control >= maxAnswers {
		room := s.peer.Out.Room() // closed, too, when the connection ends
		if s.peer.Out.Stats().Control >= maxAnswers {
			<-room
		}
	}
}

// helloPrefix begins the topic by which a subscriber asks whether its
// subscriptions are in force.
const helloPrefix = topic.ReservedPrefix + "hello."

// PublisherStats counts what a publisher has done since it was made.
type PublisherStats struct {
	Messages, Bytes      uint64 // published; Bytes are of payload
	SentMessages         uint64 // written to a peer's connection, over all peers
	SentBytes            uint64
	DroppedMessages      uint64 // not written: overflow, or lost with a connection
	DroppedBytes         uint64
	RefusedSubscriptions uint64 // beyond Limits
	Replays              uint64 // questions for past events or last values that were answered
	RefusedReplays       uint64 // and that were too many
	Replayed             uint64 // events sent again in answers
	FailedConnections    uint64 // dials and handshakes that came to nothing
	Breaches             uint64 // connections closed for what came over them: no ZMTP, or beyond Limits
	Subscriptions        int    // distinct pairs of prefix and peer now
	Peers                []PeerStats
}

// PeerStats counts what one connected peer was sent.
type PeerStats struct {
	Endpoint                      string // bound or dialled
	Remote                        string // address of the other side
	Since                         time.Time
	Subscriptions                 int // distinct prefixes
	QueuedMessages, QueuedBytes   int
	SentMessages, SentBytes       uint64
	DroppedMessages, DroppedBytes uint64
}

func (s *PublisherStats) addPeer(q queue.Stats) {
	s.SentMessages += q.SentMessages
	s.SentBytes += q.SentBytes
	s.DroppedMessages += q.DroppedMessages
	s.DroppedBytes += q.DroppedBytes
}

// Stats returns the counts as they are now, with the peers that are connected in
// the order in which they came.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.counts
	peers := slices.SortedFunc(maps.Keys(p.peers), func(a, b *engine.Peer) int { return cmp.Compare(p.peers[a], p.peers[b]) })
	for _, peer := range peers {
		q := peer.Out.Stats()
		s.addPeer(q)
		subs, _ := p.trie.Count(peer)
		s.Subscriptions += subs
		s.Peers = append(s.Peers, PeerStats{
			Endpoint: peer.Endpoint, Remote: peer.Remote, Since: peer.Since,
			Subscriptions:  subs,
			QueuedMessages: q.Messages, QueuedBytes: q.Bytes,
			SentMessages: q.SentMessages, SentBytes: q.SentBytes,
			DroppedMessages: q.DroppedMessages, DroppedBytes: q.DroppedBytes,
		})
	}
	return s
}
