package subtrie

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// check fails unless t is as it is documented to be.
func check[P comparable](t *testing.T, trie *Trie[P]) {
	t.Helper()
	prefixes, subscriptions := 0, 0
	memory := map[*byte]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if len(n.subs) > 0 {
			prefixes++
		} else if n != &trie.root && len(n.edges) < 2 {
			t.Fatalf("node %q has no subscriptions and %d edges", n.prefix, len(n.edges))
		}
		if at := unsafe.StringData(n.prefix); n != &trie.root && memory[at] {
			t.Fatalf("node %q shares its memory", n.prefix)
		} else {
			memory[at] = true
		}
		for i, s := range n.subs {
			if i > 0 && n.subs[i-1].peer >= s.peer {
				t.Fatalf("node %q: subscriptions are not sorted", n.prefix)
			}
			if s.count == 0 || trie.peers[s.peer].nodes[s.index] != n {
				t.Fatalf("node %q: bad subscription %+v", n.prefix, s)
			}
			subscriptions++
		}
		for i, e := range n.edges {
			if i > 0 && n.edges[i-1].first >= e.first {
				t.Fatalf("node %q: edges are not sorted", n.prefix)
			}
			if len(e.node.prefix) <= len(n.prefix) || !strings.HasPrefix(e.node.prefix, n.prefix) || e.node.prefix[len(n.prefix)] != e.first {
				t.Fatalf("node %q has %q below %q", n.prefix, e.node.prefix, e.first)
			}
			walk(e.node)
		}
		if cap(n.subs) > 4*len(n.subs)+4 || cap(n.edges) > 4*len(n.edges)+4 {
			t.Fatalf("node %q keeps memory that it does not use", n.prefix)
		}
	}
	walk(&trie.root)
	if prefixes != trie.len {
		t.Fatalf("Len is %d with %d prefixes", trie.len, prefixes)
	}
	for p, who := range trie.ids {
		peer := trie.peers[who]
		size := 0
		for _, n := range peer.nodes {
			size += len(n.prefix)
		}
		if peer.peer != p || size != peer.bytes || len(peer.nodes) == 0 {
			t.Fatalf("peer %v: %+v", p, peer)
		}
		subscriptions -= len(peer.nodes)
	}
	if subscriptions != 0 || len(trie.ids)+len(trie.free) != len(trie.peers) {
		t.Fatalf("%d subscriptions of no peer, %d peers, %d free of %d", subscriptions, len(trie.ids), len(trie.free), len(trie.peers))
	}
}

// dump prints all that a trie holds but for the order in which peers came.
func dump[P comparable](trie *Trie[P]) string {
	var b strings.Builder
	var walk func(n *node)
	walk = func(n *node) {
		var subs []string
		for _, s := range n.subs {
			subs = append(subs, fmt.Sprint(trie.peers[s.peer].peer, ":", s.count))
		}
		slices.Sort(subs)
		fmt.Fprintf(&b, "%q%v(", n.prefix, subs)
		for _, e := range n.edges {
			walk(e.node)
		}
		b.WriteString(")")
	}
	walk(&trie.root)
	return b.String()
}

// naive is the oracle: counts by prefix and peer.
type naive map[string]map[int]int

func (o naive) match(topic string) []int {
	var peers []int
	for prefix, counts := range o {
		if strings.HasPrefix(topic, prefix) {
			for p := range counts {
				peers = append(peers, p)
			}
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

// exercise makes a trie and the oracle do the same, which ops say two bytes at a
// time, and compares the two after each.
func exercise(t *testing.T, ops []byte) {
	var trie Trie[int]
	o := naive{}
	names := []string{"", "a", "b", "aa", "ab", "aab", "aaba", "b.c", "b.cd", "\x00", "\xff\xff", strings.Repeat("a", 100), strings.Repeat("a", 99) + "b", "aaa", "abab", "c"}
	for len(ops) >= 2 {
		op, p := ops[0]>>4, int(ops[1]%7)
		prefix := names[ops[0]&15]
		ops = ops[2:]
		before := dump(&trie)
		add := func() {
			want := len(o[prefix]) == 0
			buffer := []byte(prefix)
			if got := trie.Add(buffer, p); got != want {
				t.Fatalf("Add(%q, %d) = %v", prefix, p, got)
			}
			for i := range buffer {
				buffer[i] = '!'
			}
			if want {
				o[prefix] = map[int]int{}
			}
			o[prefix][p]++
		}
		remove := func() {
			wantOK := o[prefix][p] > 0
			if wantOK {
				if o[prefix][p]--; o[prefix][p] == 0 {
					delete(o[prefix], p)
				}
			}
			wantLast := wantOK && len(o[prefix]) == 0
			if wantLast {
				delete(o, prefix)
			}
			if last, ok := trie.Remove([]byte(prefix), p); last != wantLast || ok != wantOK {
				t.Fatalf("Remove(%q, %d) = %v, %v, want %v, %v", prefix, p, last, ok, wantLast, wantOK)
			}
		}
		switch {
		case op < 7:
			add()
		case op < 12:
			remove()
		case op < 15:
			add()
			remove()
			if after := dump(&trie); after != before {
				t.Fatalf("subscribing %d to %q and cancelling made %s of %s", p, prefix, after, before)
			}
		default:
			var want, got []string
			for prefix, counts := range o {
				if delete(counts, p); len(counts) == 0 {
					want = append(want, prefix)
					delete(o, prefix)
				}
			}
			trie.RemoveAll(p, func(prefix string) { got = append(got, prefix) })
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("RemoveAll(%d) gave %q, want %q", p, got, want)
			}
		}
		check(t, &trie)
		for _, topic := range append(names, "aaba.c", "b.cde", strings.Repeat("a", 101)) {
			got := trie.Match([]byte(topic), nil)
			slices.Sort(got)
			if want := o.match(topic); !slices.Equal(got, want) {
				t.Fatalf("Match(%q) = %v, want %v", topic, got, want)
			}
		}
		var prefixes []string
		for prefix := range o {
			prefixes = append(prefixes, prefix)
		}
		slices.Sort(prefixes)
		if got := slices.Collect(trie.Prefixes()); !slices.Equal(got, prefixes) || trie.Len() != len(prefixes) {
			t.Fatalf("Prefixes() = %q, want %q", got, prefixes)
		}
		for p := range 7 {
			n, size := 0, 0
			for prefix, counts := range o {
				if counts[p] > 0 {
					n++
					size += len(prefix)
				}
			}
			if gotN, gotSize := trie.Count(p); gotN != n || gotSize != size {
				t.Fatalf("Count(%d) = %d, %d, want %d, %d", p, gotN, gotSize, n, size)
			}
		}
	}
	for prefix, counts := range o {
		for p, n := range counts {
			for range n {
				trie.Remove([]byte(prefix), p)
			}
		}
	}
	empty(t, &trie)
}

// empty fails unless nothing is left in t.
func empty[P comparable](t *testing.T, trie *Trie[P]) {
	t.Helper()
	check(t, trie)
	if trie.root.subs != nil || trie.root.edges != nil || trie.ids != nil || trie.peers != nil || trie.free != nil || trie.Len() != 0 {
		t.Fatalf("left in an empty trie: %+v", trie)
	}
}

func FuzzTrie(f *testing.F) {
	f.Add([]byte{0x01, 0, 0x02, 0, 0x03, 1, 0x01, 0, 0xf0, 0})
	f.Add([]byte("\x0b\x00\x0c\x00\x0d\x01\xcb\x02\x7b\x00\x7c\x00\xf0\x01"))
	f.Fuzz(func(t *testing.T, ops []byte) { exercise(t, ops[:min(len(ops), 160)]) })
}

func TestRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ops := make([]byte, 200)
	for range 20 {
		for i := range ops {
			ops[i] = byte(random.Uint32())
		}
		exercise(t, ops)
	}
}

func TestTrie(t *testing.T) {
	var trie Trie[string]
	if got := trie.MatchString("a", nil); got != nil {
		t.Errorf("an empty trie matches %q", got)
	}
	trie.RemoveAll("x", nil)
	if last, ok := trie.Remove(nil, "x"); last || ok {
		t.Error("Remove from an empty trie")
	}
	for i, step := range []struct {
		add          bool
		prefix, peer string
		changed, ok  bool
	}{
		{true, "weather.", "x", true, true},
		{true, "weather.", "x", false, true},
		{true, "weather.", "y", false, true},
		{true, "weather.eu", "y", true, true},
		{true, "", "z", true, true},
		{false, "weather", "x", false, false},
		{false, "weather.", "z", false, false},
		{false, "weather.eu.", "y", false, false},
		{false, "weather.", "x", false, true},
		{false, "weather.", "y", false, true},
	} {
		changed, ok := false, true
		if step.add {
			changed = trie.Add([]byte(step.prefix), step.peer)
		} else {
			changed, ok = trie.Remove([]byte(step.prefix), step.peer)
		}
		if changed != step.changed || ok != step.ok {
			t.Errorf("step %d: %v, %v", i, changed, ok)
		}
		check(t, &trie)
	}
	for topic, want := range map[string]string{
		"":               "[z]",
		"weather":        "[z]",
		"weather.":       "[z x]",
		"weather.us":     "[z x]",
		"weather.eu":     "[z x y]",
		"weather.europe": "[z x y]",
		"x":              "[z]",
	} {
		if got := fmt.Sprint(trie.MatchString(topic, nil)); got != want {
			t.Errorf("Match(%q) = %v, want %v", topic, got, want)
		}
	}
	for prefix := range trie.Prefixes() {
		if prefix == "weather." {
			break
		}
	}
	if n, size := trie.Count("y"); n != 1 || size != len("weather.eu") {
		t.Errorf("Count = %d, %d", n, size)
	}
	if n, size := trie.Count("nobody"); n != 0 || size != 0 {
		t.Errorf("Count of nobody = %d, %d", n, size)
	}
	for _, peer := range []string{"x", "y", "z", "nobody"} {
		trie.RemoveAll(peer, nil)
	}
	empty(t, &trie)
}

// A count that is full stays so, and still ends.
func TestCountFull(t *testing.T) {
	var trie Trie[int]
	trie.Add([]byte("a"), 1)
	trie.root.edges[0].node.subs[0].count = math.MaxUint32 - 1
	trie.Add([]byte("a"), 1)
	trie.Add([]byte("a"), 1)
	if n := trie.root.edges[0].node.subs[0].count; n != math.MaxUint32 {
		t.Errorf("the count is %d", n)
	}
	trie.RemoveAll(1, nil)
	empty(t, &trie)
}

// A megabyte-long prefix, and one of each length: no recursion, and nothing
// copied again and again.
func TestHostile(t *testing.T) {
	var trie Trie[int]
	long := bytes.Repeat([]byte("a"), 1<<20)
	trie.Add(long, 1)
	// To split the long one and to join it again costs what the short one does.
	const times = 1000
	before := allocated()
	for range times {
		trie.Add(long[:1], 2)
		trie.Remove(long[:1], 2)
	}
	if n := (allocated() - before) / times; n > 1000 {
		t.Errorf("a prefix of one byte made the trie allocate %d bytes", n)
	}
	for i := range 2000 {
		trie.Add(long[:i], 3)
	}
	if got := trie.Match(long, nil); !slices.Equal(got, []int{3, 1}) {
		t.Errorf("Match = %v", got)
	}
	if n := len(slices.Collect(trie.Prefixes())); n != 2001 {
		t.Errorf("%d prefixes", n)
	}
	trie.RemoveAll(3, nil)
	if len(trie.root.edges) != 1 || trie.Len() != 1 {
		t.Error("the long prefix is not what is left")
	}
	// Many peers at one prefix.
	for p := range 5000 {
		trie.Add(long[:10], p)
	}
	if n := len(trie.Match(long[:10], nil)); n != 5000 {
		t.Errorf("%d peers match", n)
	}
	for p := range 5000 {
		trie.RemoveAll(p, nil)
	}
	empty(t, &trie)
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestMatchAllocs(t *testing.T) {
	var trie Trie[int]
	for p := range 10 {
		trie.Add([]byte("weather"), p)
		trie.Add([]byte("weather.eu"), p)
	}
	topic, dst := []byte("weather.eu.paris"), make([]int, 0, 10)
	if n := testing.AllocsPerRun(100, func() {
		dst = trie.Match(topic, dst[:0])
		dst = trie.MatchString("weather.eu", dst[:0])
	}); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
	if len(dst) != 10 {
		t.Errorf("matched %v", dst)
	}
}
