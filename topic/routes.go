package topic

import (
	"slices"
	"sync/atomic"
)

// Routes is a list of filters, each with a handler: who wants what. H is
// whatever the user dispatches to. Routes is immutable and safe for concurrent
// use; a nil *Routes has no routes.
type Routes[H any] struct {
	version uint64 // of no other Routes in the process; 0 is a nil *Routes
	routes  []route[H]
}

type route[H any] struct {
	filter  Filter
	handler H
}

var versions atomic.Uint64

// NewRoutes returns Routes without routes.
func NewRoutes[H any]() *Routes[H] { return newRoutes[H](nil) }

func newRoutes[H any](routes []route[H]) *Routes[H] {
	return &Routes[H]{version: versions.Add(1), routes: routes}
}

// With returns r and the route from f to h after all others. The same route can
// be there many times. A bad filter routes nothing; ask f.Err before.
func (r *Routes[H]) With(f Filter, h H) *Routes[H] {
	n := r.Len()
	routes := make([]route[H], n, n+1)
	if r != nil {
		copy(routes, r.routes)
	}
	return newRoutes(append(routes, route[H]{f, h}))
}

// Without returns r without the routes for which drop returns true; drop is
// called for each in order. If it never returns true, Without returns r itself.
func (r *Routes[H]) Without(drop func(f Filter, h H) bool) *Routes[H] {
	if r == nil {
		return nil
	}
	kept := make([]route[H], 0, len(r.routes))
	for _, route := range r.routes {
		if !drop(route.filter, route.handler) {
			kept = append(kept, route)
		}
	}
	if len(kept) == len(r.routes) {
		return r
	}
	return newRoutes(slices.Clip(kept))
}

// Len returns how many routes there are.
func (r *Routes[H]) Len() int {
	if r == nil {
		return 0
	}
	return len(r.routes)
}

// Cover returns the cover of all filters of r: what to subscribe to.
func (r *Routes[H]) Cover() []string {
	var all []string
	if r != nil {
		for _, route := range r.routes {
			all = route.filter.cover(all)
		}
	}
	return minimal(all)
}

// Match appends to dst the handlers of all routes that accept the topic in its
// frame (see Filter.MatchFramed; without a framing the two are the same bytes),
// in the order in which they were added, and returns it. It keeps nothing of
// topic and frame, and allocates only when dst has no room.
func (r *Routes[H]) Match(topic, frame []byte, dst []H) []H {
	return r.match(view(topic), view(frame), dst)
}

func (r *Routes[H]) match(topic, frame string, dst []H) []H {
	if r == nil {
		return dst
	}
	for i := range r.routes {
		if n := r.routes[i].filter.n; n == nil || n.match(topic, frame) {
			dst = append(dst, r.routes[i].handler)
		}
	}
	return dst
}
