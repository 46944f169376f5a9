package subtrie

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"unsafe"
)

// Trie holds the subscriptions of peers. The zero Trie is empty and ready to use.
// It must not be copied after first use.
type Trie[P comparable] struct {
	root  node
	len   int // prefixes
	ids   map[P]id
	peers []peer[P] // by id
	free  []id      // of peers
	round uint64    // of Match
}

// id is a peer's place in Trie.peers. Nodes hold ids in place of peers to be
// small, and to be of no interest to the garbage collector.
type id uint32

type peer[P comparable] struct {
	peer  P
	nodes []*node // where it subscribes, in no order
	bytes int     // of their prefixes
	round uint64  // of the last Match that appended it
}

// node is a prefix that somebody subscribes to, or at which longer ones part, or
// the root.
//
// It has a copy of its whole prefix, where other radix trees keep what it adds to
// its parent's. So a node is put between two others, and taken out again, without
// copying what may be another peer's long prefix, and shares no memory with one
// that has gone. The copies at the nodes where prefixes part are at most as many
// bytes as the prefixes: there are fewer of them, and each can be paired with a
// longer prefix below it.
type node struct {
	prefix string
	subs   []sub  // by id
	edges  []edge // by the byte; those without subs, but for the root, have two or more
}

type edge struct {
	first byte // of what node adds to the prefix
	node  *node
}

type sub struct {
	peer  id
	index uint32 // of the node in peer.nodes
	count uint32 // subscriptions to be cancelled, 1 or more
}

// Add subscribes p to the prefix, once more if it already is, and reports whether
// it is the first subscription of any peer to exactly this prefix. It keeps
// nothing of prefix. At 2^32-1 the count stays where it is.
func (t *Trie[P]) Add(prefix []byte, p P) (first bool) {
	n := t.insert(prefix)
	first = len(n.subs) == 0
	if first {
		t.len++
	}
	who, ok := t.ids[p]
	if ok {
		if i, ok := n.find(who); ok {
			if n.subs[i].count < math.MaxUint32 {
				n.subs[i].count++
			}
			return false
		}
	} else {
		who = t.enter(p)
	}
	i, _ := n.find(who)
	peer := &t.peers[who]
	n.subs = slices.Insert(n.subs, i, sub{who, uint32(len(peer.nodes)), 1})
	peer.nodes = append(peer.nodes, n)
	peer.bytes += len(prefix)
	return first
}

// Remove cancels one subscription of p to the prefix. It reports whether no peer
// subscribes to exactly this prefix any longer, and whether p did so before: if
// not, nothing changes.
func (t *Trie[P]) Remove(prefix []byte, p P) (last, ok bool) {
	who, ok := t.ids[p]
	if !ok {
		return false, false
	}
	n := t.lookup(view(prefix))
	if n == nil {
		return false, false
	}
	i, ok := n.find(who)
	if !ok {
		return false, false
	}
	if n.subs[i].count--; n.subs[i].count > 0 {
		return false, true
	}
	last = t.drop(n, i)
	if len(t.peers[who].nodes) == 0 {
		t.leave(who)
	}
	return last, true
}

// RemoveAll cancels all subscriptions of p, in time that goes with what p has. If
// last is not nil it is called with each prefix to which no peer subscribes any
// longer; it must not use the trie.
func (t *Trie[P]) RemoveAll(p P, last func(prefix string)) {
	who, ok := t.ids[p]
	if !ok {
		return
	}
	for peer := &t.peers[who]; len(peer.nodes) > 0; {
		n := peer.nodes[len(peer.nodes)-1]
		i, _ := n.find(who)
		if t.drop(n, i) && last != nil {
			last(n.prefix)
		}
	}
	t.leave(who)
}

// Match appends to dst each peer that subscribes to a prefix of the topic, once,
// and returns it. It allocates only when dst has no room, and keeps nothing of
// topic.
func (t *Trie[P]) Match(topic []byte, dst []P) []P { return t.MatchString(view(topic), dst) }

// MatchString is Match for a string.
func (t *Trie[P]) MatchString(topic string, dst []P) []P {
	t.round++
	for n := &t.root; ; {
		for i := range n.subs {
			if p := &t.peers[n.subs[i].peer]; p.round != t.round {
				p.round = t.round
				dst = append(dst, p.peer)
			}
		}
		next := n.next(topic)
		if next == nil || len(next.prefix) > len(topic) || next.prefix[len(n.prefix):] != topic[len(n.prefix):len(next.prefix)] {
			return dst
		}
		n = next
	}
}

// Count returns how many prefixes p subscribes to, and how many bytes they have
// together. Repeated subscriptions count once.
func (t *Trie[P]) Count(p P) (prefixes, bytes int) {
	who, ok := t.ids[p]
	if !ok {
		return 0, 0
	}
	return len(t.peers[who].nodes), t.peers[who].bytes
}

// Len returns how many prefixes are subscribed to, each counted once.
func (t *Trie[P]) Len() int { return t.len }

// Prefixes yields each prefix that is subscribed to once, in byte order. The trie
// must not change meanwhile.
func (t *Trie[P]) Prefixes() iter.Seq[string] {
	return func(yield func(string) bool) {
		stack := []*node{&t.root}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if len(n.subs) > 0 && !yield(n.prefix) {
				return
			}
			for _, e := range slices.Backward(n.edges) {
				stack = append(stack, e.node)
			}
		}
	}
}

// enter gives p an id.
func (t *Trie[P]) enter(p P) id {
	var who id
	if last := len(t.free) - 1; last >= 0 {
		who = t.free[last]
		t.free = t.free[:last]
	} else {
		who = id(len(t.peers))
		t.peers = append(t.peers, peer[P]{})
	}
	t.peers[who] = peer[P]{peer: p}
	if t.ids == nil {
		t.ids = make(map[P]id)
	}
	t.ids[p] = who
	return who
}

// leave takes back the id of a peer that has no subscriptions left.
func (t *Trie[P]) leave(who id) {
	delete(t.ids, t.peers[who].peer)
	t.peers[who] = peer[P]{}
	t.free = append(t.free, who)
	if len(t.ids) == 0 {
		t.ids, t.peers, t.free = nil, nil, nil
	}
}

// drop removes n.subs[i], and n too if nobody is left there.
func (t *Trie[P]) drop(n *node, i int) (last bool) {
	s := n.subs[i]
	peer := &t.peers[s.peer]
	end := len(peer.nodes) - 1
	if moved := peer.nodes[end]; moved != n {
		peer.nodes[s.index] = moved
		j, _ := moved.find(s.peer)
		moved.subs[j].index = s.index
	}
	peer.nodes[end] = nil
	peer.nodes = fit(peer.nodes[:end])
	peer.bytes -= len(n.prefix)

	n.subs = fit(slices.Delete(n.subs, i, i+1))
	if len(n.subs) > 0 {
		return false
	}
	t.len--
	t.remove(n.prefix)
	return true
}

// lookup returns the node of the prefix, or nil.
func (t *Trie[P]) lookup(prefix string) *node {
	n := &t.root
	for len(n.prefix) < len(prefix) {
		if n = n.next(prefix); n == nil {
			return nil
		}
	}
	if n.prefix != prefix {
		return nil
	}
	return n
}

// insert returns the node of the prefix, a new one if need be.
func (t *Trie[P]) insert(prefix []byte) *node {
	n := &t.root
	for len(n.prefix) < len(prefix) {
		i, ok := n.edge(prefix[len(n.prefix)])
		if !ok {
			leaf := &node{prefix: string(prefix)}
			n.edges = slices.Insert(n.edges, i, edge{prefix[len(n.prefix)], leaf})
			return leaf
		}
		next := n.edges[i].node
		same := len(n.prefix) + 1
		for same < len(prefix) && same < len(next.prefix) && prefix[same] == next.prefix[same] {
			same++
		}
		if same < len(next.prefix) {
			parting := &node{prefix: string(prefix[:same]), edges: []edge{{next.prefix[same], next}}}
			n.edges[i].node = parting
			next = parting
		}
		n = next
	}
	return n
}

// remove takes out the node of the prefix, which has no subs, and its parent if
// that was kept only to part it from another.
func (t *Trie[P]) remove(prefix string) {
	var above, parent *node
	n := &t.root
	for len(n.prefix) < len(prefix) {
		above, parent, n = parent, n, n.next(prefix)
	}
	if len(n.edges) == 0 && parent != nil {
		i, _ := parent.edge(prefix[len(parent.prefix)])
		parent.edges = fit(slices.Delete(parent.edges, i, i+1))
		parent, n = above, parent
	}
	if len(n.edges) == 1 && len(n.subs) == 0 && parent != nil {
		i, _ := parent.edge(n.prefix[len(parent.prefix)])
		parent.edges[i].node = n.edges[0].node
	}
}

// next returns the node below n towards s, of which the first byte that it adds
// is known to be right, or nil.
func (n *node) next(s string) *node {
	if len(s) == len(n.prefix) {
		return nil
	}
	if i, ok := n.edge(s[len(n.prefix)]); ok {
		return n.edges[i].node
	}
	return nil
}

// edge returns where the edge for b is, or belongs.
func (n *node) edge(b byte) (int, bool) {
	low, high := 0, len(n.edges)
	for low < high {
		mid := (low + high) / 2
		if n.edges[mid].first < b {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(n.edges) && n.edges[low].first == b
}

// find returns where the sub of the peer is, or belongs.
func (n *node) find(who id) (int, bool) {
	return slices.BinarySearchFunc(n.subs, who, func(s sub, who id) int { return cmp.Compare(s.peer, who) })
}

// fit gives back the memory of a slice that has become much smaller.
func fit[E any](s []E) []E {
	if len(s) > cap(s)/4 {
		return s
	}
	return append([]E(nil), s...)
}

// view lends b as a string to a call that does not keep it. The caller's bytes do
// not change before that call returns, which is all that a string asks.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
