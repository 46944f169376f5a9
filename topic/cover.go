package topic

import (
	"slices"
	"strings"
)

// Cover returns the smallest sorted set of prefixes such that whatever f accepts
// begins with one of them: what to subscribe to at a ZeroMQ publisher. No
// element begins with another. Everything gives one empty prefix; a filter that
// is bad or plainly accepts nothing gives none.
//
// The cover also holds for MatchFramed as long as frames begin with their
// topics.
//
// The set is as tight as prefixes can be for atoms, for Any, and for All of
// those. What is excepted only shrinks it where it takes away all that a part of
// the filter accepts, and in a filter so large that looking for that would take
// more than some 10 ms the rest of the search is left out.
func (f Filter) Cover() []string { return minimal(f.cover(nil)) }

// Cover returns the cover of Any(fs...), without the limits on the size of one
// filter. Bad filters among fs add nothing to it.
func Cover(fs ...Filter) []string {
	var all []string
	for _, f := range fs {
		all = f.cover(all)
	}
	return minimal(all)
}

func (f Filter) cover(dst []string) []string {
	budget := 1 << 20
	return f.node().cover(dst, nil, &budget)
}

// minimal sorts ps in place and drops those that begin with another.
func minimal(ps []string) []string {
	slices.Sort(ps)
	kept := ps[:0]
	for _, p := range ps {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// common returns the prefixes of what begins with one of a and with one of b,
// both minimal.
func common(a, b []string) []string {
	var out []string
	for len(a) > 0 && len(b) > 0 {
		switch {
		case strings.HasPrefix(a[0], b[0]):
			out = append(out, a[0])
			a = a[1:]
		case strings.HasPrefix(b[0], a[0]):
			out = append(out, b[0])
			b = b[1:]
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return out
}

// cover appends prefixes that together cover n.
//
// root is the outermost kindAll above n, or nil. An atom can add only topics of
// its own region to what root accepts; if root accepts none of that region, the
// atom is left out.
func (n *node) cover(dst []string, root *node, budget *int) []string {
	switch n.kind {
	case kindExact, kindPrefix, kindPattern:
		r := n.region()
		if root != nil && root.judge(r, budget) == never {
			return dst
		}
		return append(dst, r.text)
	case kindAny:
		for _, kid := range n.kids {
			dst = kid.cover(dst, root, budget)
		}
	case kindAll:
		if root == nil {
			root = n
		}
		if len(n.kids) == 0 {
			return append(dst, "")
		}
		cover := minimal(n.kids[0].cover(nil, root, budget))
		for _, kid := range n.kids[1:] {
			cover = common(cover, minimal(kid.cover(nil, root, budget)))
		}
		return append(dst, cover...)
	}
	return dst
}

// region is a set of topics in their frames, each frame beginning with its
// topic: by kind, those whose topic is text, whose frame begins with text, or
// whose topic begins with text.
type region struct {
	kind kind
	text string
}

// region returns the smallest region that holds all that the atom n accepts.
func (n *node) region() region {
	if n.kind == kindPattern {
		return region{n.kind, n.text[:wildcard(n.text)]}
	}
	return region{n.kind, n.text}
}

// verdict is what a filter accepts of a region: nothing, all of it, or maybe
// some.
type verdict int8

const (
	never verdict = iota - 1
	maybe
	always
)

// whether is always or never.
func whether(accepted bool) verdict {
	if accepted {
		return always
	}
	return never
}

// judge says what n accepts of r. It takes 1 from the budget for each node that
// it looks at, and says maybe once that is used up.
func (n *node) judge(r region, budget *int) verdict {
	if *budget--; *budget < 0 {
		return maybe
	}
	switch n.kind {
	case kindExact, kindPattern:
		switch {
		case r.kind == kindExact:
			return whether(n.match(r.text, ""))
		case r.kind == kindPrefix:
			// The topic is any beginning of the frame.
			return min(maybe, meet(n.region().text, r.text))
		case n.kind == kindExact:
			return min(maybe, whether(strings.HasPrefix(n.text, r.text)))
		}
		return judgePattern(n.text, r.text)
	case kindPrefix:
		return meet(n.text, r.text)
	case kindAny:
		v := never
		for _, kid := range n.kids {
			if v = max(v, kid.judge(r, budget)); v == always {
				break
			}
		}
		return v
	case kindAll:
		v := always
		if n.not != nil {
			v = -n.not.judge(r, budget)
		}
		for _, kid := range n.kids {
			if v == never {
				break
			}
			v = min(v, kid.judge(r, budget))
		}
		return v
	}
	return never
}

// meet says how many of the frames that begin with text also begin with prefix.
func meet(prefix, text string) verdict {
	switch {
	case strings.HasPrefix(text, prefix):
		return always
	case strings.HasPrefix(prefix, text):
		return maybe
	}
	return never
}

// judgePattern says how many of the topics that begin with text the pattern
// accepts.
func judgePattern(pattern, text string) verdict {
	for {
		if pattern == ">" {
			return always
		}
		want, patternRest, patternGoesOn := strings.Cut(pattern, ".")
		have, textRest, textGoesOn := strings.Cut(text, ".")
		if !textGoesOn {
			if want == "*" {
				return maybe
			}
			return min(maybe, whether(strings.HasPrefix(want, have)))
		}
		if want != "*" && want != have || !patternGoesOn {
			return never
		}
		pattern, text = patternRest, textRest
	}
}
