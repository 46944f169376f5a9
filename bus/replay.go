package bus

import (
	"bytes"
	"fmt"
	"strings"

	jsoniter "github.com/json-iterator/go"

	"github.com/heraldbus/herald/internal/engine"
	"github.com/heraldbus/herald/internal/zmtp"
	"github.com/heraldbus/herald/topic"
)

// replayPrefix begins the topics of questions for past events, and of their
// answers. A nonce follows; in the question a NUL and the question in JSON.
const replayPrefix = topic.ReservedPrefix + "replay."

// question is what a subscriber asks of a publisher, see docs/wire.md.
type question struct {
	Source   string   `json:"source,omitempty"`
	After    uint64   `json:"after,omitempty"`
	Retained bool     `json:"retained,omitempty"`
	Prefixes []string `json:"prefixes"`
}

// answered closes the answer to a question.
type answered struct {
	Done   bool   `json:"done"`
	Source string `json:"source"`
	From   uint64 `json:"from"`   // the first seq that was looked at
	To     uint64 `json:"to"`     // the last one, after which the live events go on
	Oldest uint64 `json:"oldest"` // that is kept; 0: none
}

var wireJSON = jsoniter.ConfigCompatibleWithStandardLibrary

const (
	maxPrefixes = 10_000
	// replayStep is how much is put into a peer's queue at a time, as one control
	// message, which no policy drops. There is more when that has been taken: a
	// replay must not crowd out what is live.
	replayStep = 64 << 10
	// Questions that are answered at once, that wait, and that one peer may have.
	replaysAtOnce  = 4
	replaysWaiting = 1024
	replaysOfPeer  = 8
)

// replays bounds the work on questions. The publisher's lock guards the counts.
type replays struct {
	slots   chan struct{} // one taken for each that is answered now
	waiting int
	ofPeer  map[*engine.Peer]int
}

// ask takes the question in a subscription, if it is one that this publisher can
// answer. Anything else is no concern of this one: through a forwarder everybody's
// questions come to everybody. Held: mu.
func (p *Publisher) ask(peer *engine.Peer, prefix []byte) {
	head, text, ok := bytes.Cut(prefix, []byte{0})
	name := string(head) // prefix is valid for the call only
	if !ok || !isNonce(name, replayPrefix) {
		return
	}
	var q question
	if err := wireJSON.Unmarshal(text, &q); err != nil || len(q.Prefixes) > maxPrefixes {
		return
	}
	if !q.Retained && q.Source != p.inc.String() || q.Retained && q.Source != "" && q.Source != p.inc.String() {
		return
	}
	r := &p.replays
	if r.waiting >= replaysWaiting || r.ofPeer[peer] >= replaysOfPeer || p.draining {
		p.counts.RefusedReplays++
		return
	}
	r.waiting++
	r.ofPeer[peer]++
	p.counts.Replays++
	p.answering.Add(1)
	go func() {
		defer p.answering.Done()
		p.answer(peer, name, q)
		p.mu.Lock()
		r.waiting--
		if r.ofPeer[peer]--; r.ofPeer[peer] == 0 {
			delete(r.ofPeer, peer)
		}
		p.mu.Unlock()
	}()
}

// answer sends what was asked for, and the closing message.
func (p *Publisher) answer(peer *engine.Peer, name string, q question) {
	select {
	case p.replays.slots <- struct{}{}:
		defer func() { <-p.replays.slots }()
	case <-peer.Done():
		return
	case <-p.life.stopping:
		return
	}
	head := zmtp.AppendFrame(nil, zmtp.FlagMore, []byte(name))
	if q.Retained {
		p.answerRetained(peer, head, q)
		return
	}
	from := uint64(0)
	limits := zmtp.Limits{}.WithDefaults()
	var past []kept
	for p.awaitRoom(peer) {
		p.mu.Lock()
		if p.draining {
			p.mu.Unlock()
			return
		}
		p.ring.expire(p.eng.Now())
		if from == 0 {
			from = max(q.After+1, p.ring.oldest())
		}
		past = p.ring.after(q.After, replayStep, past[:0])
		if len(past) == 0 {
			// All up to the last seq has been sent, and what comes live follows.
			p.finishAnswer(peer, head, answered{From: from})
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		msgs := make([]byte, 0, replayStep)
		n := uint64(0)
		for _, k := range past {
			q.After = k.seq
			if msg, ok := again(msgs, head, k.bytes(), flagReplayed, &limits, q.Prefixes); ok {
				msgs = msg
				n++
			}
			k.block.Release()
		}
		if n > 0 {
			p.sendAgain(peer, msgs, n)
		}
	}
}

// answerRetained sends the last values. Those that are published meanwhile reach
// the subscriber live: what it is given twice it recognises by its seq.
func (p *Publisher) answerRetained(peer *engine.Peer, head []byte, q question) {
	limits := zmtp.Limits{}.WithDefaults()
	var steps [][]byte
	var msgs []byte
	n := uint64(0)
	p.mu.Lock()
	p.last.each(p.eng.Now(), func(_ string, msg []byte) {
		m, ok := again(msgs, head, msg, flagRetained, &limits, q.Prefixes)
		if !ok {
			return
		}
		n++
		if msgs = m; len(msgs) >= replayStep {
			steps = append(steps, msgs)
			msgs = nil
		}
	})
	to := p.seq
	p.mu.Unlock()
	if len(msgs) > 0 {
		steps = append(steps, msgs)
	}
	for _, msgs := range steps {
		if !p.awaitRoom(peer) {
			return
		}
		p.sendAgain(peer, msgs, n)
		n = 0
	}
	if p.awaitRoom(peer) {
		p.mu.Lock()
		p.finishAnswer(peer, head, answered{To: to})
		p.mu.Unlock()
	}
}

// awaitRoom waits until no control message waits for a peer.
func (p *Publisher) awaitRoom(peer *engine.Peer) bool {
	for {
		room := peer.Out.Room()
		if peer.Out.Stats().Control == 0 {
			return true
		}
		select {
		case <-room:
		case <-peer.Done():
			return false
		case <-p.life.stopping:
			return false
		}
	}
}

// sendAgain queues a step of an answer, which has n events.
func (p *Publisher) sendAgain(peer *engine.Peer, msgs []byte, n uint64) {
	peer.SendControl(msgs)
	p.mu.Lock()
	p.counts.Replayed += n
	p.mu.Unlock()
}

// again appends a past event as part of an answer: the nonce's topic, payload,
// meta with a flag, the event's own topic. It reports false where no prefix fits.
func again(dst, head, msg []byte, flag byte, limits *zmtp.Limits, prefixes []string) ([]byte, bool) {
	var m zmtp.Message
	if n, _, err := limits.Parse(msg, &m); err != nil || n == 0 || len(m.Frames) != 3 {
		return dst, false // cannot be: it is our own
	}
	if !begins(prefixes, m.Frames[0]) {
		return dst, false
	}
	dst = append(dst, head...)
	dst = zmtp.AppendFrame(dst, zmtp.FlagMore, m.Frames[1])
	dst = zmtp.AppendFrame(dst, zmtp.FlagMore, m.Frames[2])
	dst[len(dst)-len(m.Frames[2])+3] |= flag
	return zmtp.AppendFrame(dst, 0, m.Frames[0]), true
}

func begins(prefixes []string, name []byte) bool {
	for _, p := range prefixes {
		if len(p) <= len(name) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// finishAnswer sends the closing message. Held: mu.
func (p *Publisher) finishAnswer(peer *engine.Peer, head []byte, a answered) {
	a.Done, a.Source, a.Oldest = true, p.inc.String(), p.ring.oldest()
	if a.To == 0 {
		a.To = p.seq
	}
	text, err := wireJSON.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("bus: encoding %+v: %v", a, err)) // cannot be
	}
	peer.SendControl(append(bytes.Clone(head), zmtp.AppendFrame(nil, 0, text)...))
}

// isNonce reports whether a topic is a prefix and a nonce of 16 to 64 hex digits.
func isNonce(name, prefix string) bool {
	nonce, ok := strings.CutPrefix(name, prefix)
	if !ok || len(nonce) < 16 || len(nonce) > 64 {
		return false
	}
	return !strings.ContainsFunc(nonce, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F')
	})
}
