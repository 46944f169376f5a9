package topic

import (
	"errors"
	"fmt"
	"unsafe"
)

// Filter accepts some topics and not others. The zero Filter accepts
// everything. It is an immutable value: copy it freely, use it from any
// goroutine.
//
// Constructors do not fail: a filter made from something invalid, or from a bad
// filter, is bad itself. A bad filter accepts nothing and Err says all that is
// wrong with it.
//
// Filters are kept in a canonical form, so that those that differ only in the
// order, nesting, repetition or negation of their parts are Equal and print
// alike.
type Filter struct {
	n *node // nil: everything
}

// wrap makes a Filter of n. Everything is always the zero Filter.
func wrap(n *node) Filter {
	if n.kind == kindAll && len(n.kids) == 0 && n.not == nil {
		return Filter{}
	}
	return Filter{n}
}

func (f Filter) node() *node {
	if f.n == nil {
		return everything
	}
	return f.n
}

func nodes(fs []Filter) []*node {
	ns := make([]*node, len(fs))
	for i, f := range fs {
		ns[i] = f.node()
	}
	return ns
}

// Everything accepts every topic, as the zero Filter does.
func Everything() Filter { return Filter{} }

// None accepts no topic.
func None() Filter { return Filter{nothing} }

// Prefix accepts what begins with the bytes of p, as a ZeroMQ subscription
// does: dots have no meaning to it. An empty p accepts everything.
func Prefix(p string) Filter {
	if p == "" {
		return Filter{}
	}
	return wrap(atom(kindPrefix, p))
}

// Exact accepts the topic that consists of the bytes of name and no other. The
// name is taken as it is: it may be foreign, reserved, or contain wildcards that
// mean nothing here.
func Exact(name string) Filter { return wrap(atom(kindExact, name)) }

// Pattern accepts the topics that p describes: segments separated by dots,
// where * stands for one whole segment and a last > for one or more. So "a.*"
// accepts a.b and not a.b.c, "a.>" accepts both, and neither accepts a. A
// pattern without wildcards is Exact, ">" is Everything. The rules for names
// hold for p, except that it can be reserved; one that breaks them, or that has a
// wildcard as a part of a segment, makes a bad filter.
func Pattern(p string) Filter {
	if problem := fault(p, true); problem != "" {
		return wrap(spoiled(fmt.Errorf("%w pattern %s: %s", ErrInvalid, show(p), problem)))
	}
	switch {
	case p == ">":
		return Filter{}
	case wildcard(p) < 0:
		return Exact(p)
	}
	return wrap(atom(kindPattern, p))
}

// All accepts what each of fs accepts; everything if there are none.
func All(fs ...Filter) Filter { return wrap(intersect(nodes(fs), nil)) }

// Any accepts what at least one of fs accepts; nothing if there are none.
func Any(fs ...Filter) Filter { return wrap(union(nodes(fs))) }

// Not accepts what f does not. Not of a bad filter is bad and accepts nothing.
func Not(f Filter) Filter { return wrap(complement(f.node())) }

// Except accepts what f accepts and none of fs does.
func (f Filter) Except(fs ...Filter) Filter {
	return wrap(intersect([]*node{f.node()}, nodes(fs)))
}

// Err returns nil for a good filter. For a bad one it joins one error for each
// thing that is wrong, each of which wraps ErrInvalid.
func (f Filter) Err() error {
	if f.n == nil {
		return nil
	}
	return errors.Join(f.n.faults()...)
}

// Match reports whether f accepts the topic. It does not allocate, and keeps
// nothing of name.
func (f Filter) Match(name []byte) bool { return f.MatchString(view(name)) }

// MatchString is Match for a string.
func (f Filter) MatchString(name string) bool { return f.n == nil || f.n.match(name, name) }

// MatchFramed is Match for framings in which the topic is only a part of the
// message's first frame, as in "topic payload" sent as one frame. A Prefix is
// held against the frame, since it speaks of what a publisher compares on the
// wire; an Exact or a Pattern is held against the topic.
func (f Filter) MatchFramed(topic, frame []byte) bool {
	return f.n == nil || f.n.match(view(topic), view(frame))
}

// Equal reports whether f and g have the same canonical form, which is to say
// the same String. Equal filters accept the same topics; not all filters that
// accept the same topics are equal.
func (f Filter) Equal(g Filter) bool { return compare(f.node(), g.node()) == 0 }

// view lends b as a string to a call that does not keep it. The caller's bytes
// do not change before that call returns, which is all that a string asks.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
