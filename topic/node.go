package topic

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	// MaxText is the longest text of a filter, in bytes. A filter whose text
	// could be longer is bad, so that Parse reads whatever String prints.
	MaxText = 1 << 20

	// MaxDepth is how deep parentheses nest in the text of a filter, and how
	// deep filters nest in each other.
	MaxDepth = 64
)

type kind uint8

// The order of the kinds is the order in which the parts of a filter are sorted;
// node.match relies on exact names and prefixes being first.
const (
	kindExact kind = iota
	kindPrefix
	kindPattern
	kindAll
	kindAny
	kindBad
)

// node is a filter in canonical form, immutable once made. Negation has one
// place only, the not of a kindAll; x or not y is kept as not (y except x):
//
//   - kindAll: its kids are atoms and kindAny. It has a single kid only beside a
//     not, and no kid and no not is everything.
//   - not, and a kid of kindAny: an atom or a kindAll that has kids; a not can
//     also be a kindAny.
//   - kindAny: none or at least two kids; none is nothing. No prefix among them
//     begins with another.
//   - kids are sorted and distinct.
//
// Nodes are shared, never copied, so a filter is a graph that can be far smaller
// in memory than as text. size and depth bound the text, and by it the time that
// walking the graph takes.
type node struct {
	kind     kind
	depth    uint8
	size     int32 // upper bound of the length of its text
	exacts   int32 // kids[:exacts] are kindExact
	prefixes int32 // and the next so many are kindPrefix
	text     string
	kids     []*node
	not      *node
	err      error // kindBad: a list
}

var (
	everything = (&node{kind: kindAll}).measured()
	nothing    = (&node{kind: kindAny}).measured()
)

// list is the errors of a bad node.
type list []error

func (l list) Error() string { return fmt.Sprint([]error(l)) }

func spoiled(errs ...error) *node { return &node{kind: kindBad, depth: 1, err: list(errs)} }

func (n *node) faults() []error {
	l, _ := n.err.(list)
	return l
}

// gather merges the bad ones among ns into one, or returns nil if all are good.
// Errors that read the same are kept once: a bad filter used many times over
// says once what is wrong.
func gather(ns ...[]*node) *node {
	var errs []error
	var seen map[string]bool
	for _, ns := range ns {
		for _, n := range ns {
			for _, err := range n.faults() {
				if seen == nil {
					seen = map[string]bool{}
				}
				if text := err.Error(); !seen[text] {
					seen[text] = true
					errs = append(errs, err)
				}
			}
		}
	}
	if errs == nil {
		return nil
	}
	return spoiled(errs...)
}

func atom(k kind, text string) *node {
	n := &node{kind: k, text: text, depth: 1}
	size := len(text)
	if size <= MaxText {
		size = len(n.append(nil, false))
	}
	if size > MaxText {
		return spoiled(tooLong(size))
	}
	n.size = int32(size)
	return n
}

func tooLong(size int) error {
	return fmt.Errorf("%w filter: its text would have up to %d bytes, at most %d are allowed, use several filters", ErrInvalid, size, MaxText)
}

// measured sets what is derived from the parts of a new kindAll or kindAny, or
// returns a bad node if they are too much.
func (n *node) measured() *node {
	const parens, and, except = 2, len(" and "), len(" except ")
	size, depth := parens+except, 0
	add := func(part *node) {
		size += int(part.size) + and
		depth = max(depth, int(part.depth))
	}
	for _, kid := range n.kids {
		add(kid)
		switch kid.kind {
		case kindExact:
			n.exacts++
		case kindPrefix:
			n.prefixes++
		}
	}
	if n.not != nil {
		add(n.not)
	}
	if size > MaxText {
		return spoiled(tooLong(size))
	}
	if depth >= MaxDepth {
		return spoiled(fmt.Errorf("%w filter: filters are nested more than %d deep", ErrInvalid, MaxDepth))
	}
	n.size, n.depth = int32(size), uint8(depth+1)
	return n
}

// inverted reports whether n is "not" of something, and of what.
func (n *node) inverted() (*node, bool) {
	if n.kind != kindAll || len(n.kids) > 0 {
		return nil, false
	}
	if n.not == nil {
		return nothing, true
	}
	return n.not, true
}

func complement(n *node) *node { return intersect(nil, []*node{n}) }

// union is what at least one of ns accepts.
func union(ns []*node) *node {
	if bad := gather(ns); bad != nil {
		return bad
	}
	kids := make([]*node, 0, len(ns))
	var inverses []*node
	for _, n := range ns {
		if inverse, ok := n.inverted(); ok {
			inverses = append(inverses, inverse)
		} else if n.kind == kindAny {
			kids = append(kids, n.kids...)
		} else {
			kids = append(kids, n)
		}
	}
	if inverses != nil {
		return complement(intersect(inverses, kids))
	}
	kids = sorted(kids)
	// A prefix stands right before all that begin with it.
	var last *node
	kids = slices.DeleteFunc(kids, func(n *node) bool {
		if n.kind != kindPrefix {
			return false
		}
		if last != nil && strings.HasPrefix(n.text, last.text) {
			return true
		}
		last = n
		return false
	})
	switch len(kids) {
	case 0:
		return nothing
	case 1:
		return kids[0]
	}
	return (&node{kind: kindAny, kids: slices.Clip(kids)}).measured()
}

// intersect is what each of ns accepts and none of nots does.
func intersect(ns, nots []*node) *node {
	if bad := gather(ns, nots); bad != nil {
		return bad
	}
	kids := make([]*node, 0, len(ns))
	var out []*node // what not becomes the union of
	add := func(n *node) {
		if n.kind != kindAll {
			kids = append(kids, n)
			return
		}
		kids = append(kids, n.kids...)
		if n.not != nil {
			out = append(out, n.not)
		}
	}
	for _, n := range ns {
		add(n)
	}
	for _, n := range nots {
		if inverse, ok := n.inverted(); ok {
			add(inverse)
		} else {
			out = append(out, n)
		}
	}
	not := union(out)
	if not.kind == kindBad {
		return not
	}
	kids = sorted(kids)
	for _, n := range kids {
		if n == nothing || n.within(not) {
			return nothing
		}
	}
	if not == nothing {
		not = nil
		if len(kids) == 0 {
			return everything
		}
		if len(kids) == 1 {
			return kids[0]
		}
	}
	return (&node{kind: kindAll, kids: slices.Clip(kids), not: not}).measured()
}

// sorted sorts ns in place and drops repetitions.
func sorted(ns []*node) []*node {
	slices.SortFunc(ns, compare)
	return slices.CompactFunc(ns, func(a, b *node) bool { return compare(a, b) == 0 })
}

// compare orders nodes by kind, text and parts; 0 means the same filter.
func compare(a, b *node) int {
	if a == b {
		return 0
	}
	if c := cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.text, b.text)); c != 0 {
		return c
	}
	if c := slices.CompareFunc(a.kids, b.kids, compare); c != 0 {
		return c
	}
	switch {
	case a.kind == kindBad:
		return cmp.Compare(a.err.Error(), b.err.Error())
	case a.not == nil && b.not == nil:
		return 0
	case a.not == nil:
		return -1
	case b.not == nil:
		return +1
	}
	return compare(a.not, b.not)
}

// within reports whether it is plain that other accepts all that n does: no
// means that it is not plain.
func (n *node) within(other *node) bool {
	if n.kind == kindAny {
		for _, kid := range n.kids {
			if !kid.within(other) {
				return false
			}
		}
		return true
	}
	if other.kind != kindAny {
		return compare(n, other) == 0 || n.kind == kindPrefix && other.kind == kindPrefix && strings.HasPrefix(n.text, other.text)
	}
	if n.kind == kindPrefix {
		return begun(other.kids[other.exacts:][:other.prefixes], n.text)
	}
	_, found := slices.BinarySearchFunc(other.kids, n, compare)
	return found
}

// begun reports whether s begins with one of prefixes, which are sorted and of
// which none begins with another: only the last one that is not greater than s
// can be it.
func begun(prefixes []*node, s string) bool {
	i := sort.Search(len(prefixes), func(i int) bool { return prefixes[i].text > s })
	return i > 0 && strings.HasPrefix(s, prefixes[i-1].text)
}

// match reports whether n accepts the topic that came in frame.
func (n *node) match(topic, frame string) bool {
	switch n.kind {
	case kindExact:
		return topic == n.text
	case kindPrefix:
		return strings.HasPrefix(frame, n.text)
	case kindPattern:
		return matchPattern(n.text, topic)
	case kindAll:
		for _, kid := range n.kids {
			if !kid.match(topic, frame) {
				return false
			}
		}
		return n.not == nil || !n.not.match(topic, frame)
	case kindAny:
		exacts, kids := n.kids[:n.exacts], n.kids[n.exacts:]
		i := sort.Search(len(exacts), func(i int) bool { return exacts[i].text >= topic })
		if i < len(exacts) && exacts[i].text == topic || begun(kids[:n.prefixes], frame) {
			return true
		}
		for _, kid := range kids[n.prefixes:] {
			if kid.match(topic, frame) {
				return true
			}
		}
	}
	return false
}

// matchPattern reports whether the pattern accepts s. The pattern is valid, so a
// wildcard at the beginning of a segment is the whole of it.
func matchPattern(pattern, s string) bool {
	for {
		switch pattern[0] {
		case '>':
			return true
		case '*':
			dot := strings.IndexByte(s, '.')
			if len(pattern) == 1 || dot < 0 {
				return len(pattern) == 1 && dot < 0
			}
			pattern, s = pattern[2:], s[dot+1:]
		default:
			n := strings.IndexByte(pattern, '.') + 1
			if n == 0 {
				return pattern == s
			}
			if !strings.HasPrefix(s, pattern[:n]) {
				return false
			}
			pattern, s = pattern[n:], s[n:]
		}
	}
}

// wildcard returns where the first wildcard of a valid pattern is, or -1.
func wildcard(pattern string) int { return strings.IndexAny(pattern, "*>") }
