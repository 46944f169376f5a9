package bus

import (
	"bytes"
	"fmt"
	"strings"
	"time"

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
	// Steps that are made at once, questions that are open, and that one peer may have.
	replaysAtOnce  = 4
	replaysWaiting = 1024
	replaysOfPeer  = 8
	// How long a peer may take for a step. Who asked has given up before that.
	replayPatience = 2 * recoverPatience
)

// replays bounds the work on questions. The publisher's lock guards the counts.
type replays struct {
	slots   chan struct{} // one taken for each step that is made now
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

// answer sends what was asked for, step by step, and the closing message. No more is
// in memory than one step, and nothing is held while a peer is slow to take it.
func (p *Publisher) answer(peer *engine.Peer, name string, q question) {
	head := zmtp.AppendFrame(nil, zmtp.FlagMore, []byte(name))
	step := p.past(peer, head, q)
	if q.Retained {
		step = p.lastValues(peer, head, q)
	}
	for p.awaitRoom(peer) {
		select {
		case p.replays.slots <- struct{}{}:
		case <-p.life.stopping:
			return
		}
		msgs, n := step()
		<-p.replays.slots
		if msgs == nil {
			return
		}
		if n > 0 {
			p.sendAgain(peer, msgs, n)
		}
	}
}

// past returns a function that makes the next step of the answer to a question for
// past events. Instead of one after the last it sends the closing message, and
// returns nil.
func (p *Publisher) past(peer *engine.Peer, head []byte, q question) func() ([]byte, uint64) {
	from := uint64(0)
	limits := zmtp.Limits{}.WithDefaults()
	var past []kept
	return func() ([]byte, uint64) {
		p.mu.Lock()
		if p.draining {
			p.mu.Unlock()
			return nil, 0
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
			return nil, 0
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
		return msgs, n
	}
}

// lastValues does the same for last values. Those that are published meanwhile reach
// the subscriber live: what it is given twice it recognises by its seq.
func (p *Publisher) lastValues(peer *engine.Peer, head []byte, q question) func() ([]byte, uint64) {
	limits := zmtp.Limits{}.WithDefaults()
	p.mu.Lock()
	names, to := p.last.names(q.Prefixes), p.seq
	p.mu.Unlock()
	return func() ([]byte, uint64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(names) == 0 {
			p.finishAnswer(peer, head, answered{To: to})
			return nil, 0
		}
		msgs := make([]byte, 0, replayStep)
		n := uint64(0)
		for len(names) > 0 && len(msgs) < replayStep {
			if msg := p.last.get(names[0], p.eng.Now()); msg != nil {
				if m, ok := again(msgs, head, msg, flagRetained, &limits, q.Prefixes); ok {
					msgs = m
					n++
				}
			}
			names = names[1:]
		}
		return msgs, n
	}
}

// awaitRoom waits until no control message waits for a peer. It reports false when
// that takes too long, or will never be.
func (p *Publisher) awaitRoom(peer *engine.Peer) bool {
	if peer.Out.Stats().Control == 0 {
		return true
	}
	timeout := time.NewTimer(replayPatience)
	defer timeout.Stop()
	for {
		room := peer.Out.Room()
		if peer.Out.Stats().Control == 0 {
			return true
		}
		select {
		case <-room:
		case <-timeout.C:
			return false
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

func begins[T string | []byte](prefixes []string, name T) bool {
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
