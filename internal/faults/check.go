package faults

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/heraldbus/herald/bus"
)

// Rule is one of the promises that [Check] holds a view against.
type Rule string

const (
	// Forged: a message that nobody published, or not like this.
	Forged Rule = "forged"
	// Double: the same event twice.
	Double Rule = "double"
	// Order: an event after a later one of its topic; where everything is subscribed
	// to, of its source.
	Order Rule = "order"
	// Unwanted: a message that never passed the filter.
	Unwanted Rule = "unwanted"
	// Silent: an event that was owed and is neither given nor inside a gap.
	Silent Rule = "silent loss"
	// Place: a gap that tells of a loss too early or too late: not between the events
	// of the topic that are before and after what is missing.
	Place Rule = "gap out of place"
	// Count: a gap that tells of more than is missing within its bounds, or, when it
	// says that its count is exact, of less.
	Count Rule = "gap count"
	// Kept: in recover mode, a loss of what the publisher still kept.
	Kept Rule = "lost though kept"
)

// Violation is a promise that was not kept.
type Violation struct {
	Rule   Rule
	Source bus.Incarnation
	Seq    uint64 // of the event, 0 where it is a gap
	At     int    // in View.Events; -1: nowhere
	What   string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s: %s", v.Rule, v.What) }

// Report is the outcome of [Check].
type Report struct {
	Owed       uint64 // events that the sources owed to this subscriber
	Given      uint64 // messages it was given, of these and others that passed
	Missing    uint64 // of the owed ones, those it was not given
	Reported   uint64 // the sum of all gaps
	Gaps       int
	Violations []*Violation // the first [MaxViolations] of each source, and all of no source
}

// MaxViolations is how many violations are listed for one source: one cause makes
// many.
const MaxViolations = 20

// ForgedPerBit is how many messages that nobody published one flipped bit may bring.
// Two are common: the parts of an event whose frames no longer hang together. More are
// seen where what follows is read from a wrong place on, until it makes no sense and
// the connection ends: the zeros of a meta read as a row of empty messages.
const ForgedPerBit = 32

// Err is nil where there is no violation, and names them all otherwise.
func (r *Report) Err() error {
	var errs []error
	for _, v := range r.Violations {
		errs = append(errs, v)
	}
	return errors.Join(errs...)
}

// Has reports whether a rule was violated.
func (r *Report) Has(rule Rule) bool {
	for _, v := range r.Violations {
		if v.Rule == rule {
			return true
		}
	}
	return false
}

func (r *Report) String() string {
	return fmt.Sprintf("owed %d, given %d, missing %d, reported %d in %d gaps", r.Owed, r.Given, r.Missing, r.Reported, r.Gaps)
}

// Check holds what a subscriber saw against what was published. It reads only, and
// takes time in proportion to the events and the bounds of the gaps.
func Check(runs []*Run, v *View) *Report {
	c := &check{view: v, report: new(Report), ids: make(map[string]int), everything: v.everything()}
	c.bySource = c.everything && v.Damage == 0
	c.sources = make(map[bus.Incarnation]*source, len(runs))
	var order []*source
	for _, r := range runs {
		s := newSource(r)
		c.sources[r.Source] = s
		order = append(order, s)
	}
	for at, ev := range v.Events {
		switch ev := ev.(type) {
		case *bus.Message:
			c.message(at, ev)
		case *bus.Gap:
			c.report.Gaps++
			c.report.Reported += ev.Missed
			if s := c.sources[ev.Incarnation]; s != nil {
				s.gaps = append(s.gaps, placed{Gap: ev, at: at})
			} else if v.Damage == 0 {
				c.violate(nil, Count, 0, at, "a gap of a source that nobody knows: %s", Word(ev))
			}
		}
	}
	if c.forged > ForgedPerBit*v.Damage {
		c.violate(nil, Forged, 0, c.lastForged, "%d messages that nobody published, with %d bits flipped; the last:\n%s", c.forged, v.Damage, v.describe(c.lastForged, 3))
	}
	for _, s := range order {
		c.account(s)
	}
	return c.report
}

// check is the state of one Check.
type check struct {
	view       *View
	report     *Report
	everything bool
	bySource   bool // the order holds for a source, and not only for each topic
	sources    map[bus.Incarnation]*source
	ids        map[string]int // where each ID was given
	forged     int
	lastForged int
}

// source is what is known of a run while it is held against a view. Slices are by
// seq; index 0 is not used.
type source struct {
	*Run
	given    []int32 // at which place the event was given, plus 1; 0: it was not
	damaged  []bool  // something was given under the event's name
	covered  []cover
	low      []int // place of the event before on its topic that was given, -1: none
	high     []int // of the one after
	last     int   // seq given last
	lastOn   map[string]uint64
	names    map[string][]uint64
	gaps     []placed
	violated int
}

// placed is a gap and where it stands.
type placed struct {
	*bus.Gap
	at     int
	shared bool // another gap may tell of the same events
}

// cover says how well an event that is missing is accounted for.
type cover uint8

const (
	uncovered cover = iota
	misplaced       // inside a gap, but not where the event should have come
	told
)

func newSource(r *Run) *source {
	n := len(r.Events) + 1
	return &source{
		Run: r, given: make([]int32, n), damaged: make([]bool, n), covered: make([]cover, n),
		low: make([]int, n), high: make([]int, n),
		lastOn: make(map[string]uint64), names: r.byName(),
	}
}

func (c *check) violate(s *source, rule Rule, seq uint64, at int, format string, args ...any) {
	v := &Violation{Rule: rule, Seq: seq, At: at, What: fmt.Sprintf(format, args...)}
	if s != nil {
		v.Source = s.Source
		if s.violated++; s.violated > MaxViolations {
			return
		}
	}
	c.report.Violations = append(c.report.Violations, v)
}

// message takes what was given at a place.
func (c *check) message(at int, m *bus.Message) {
	c.report.Given++
	s := c.sources[m.Incarnation]
	if s == nil || m.Seq == 0 || m.Seq > uint64(len(s.Events)) {
		c.forged, c.lastForged = c.forged+1, at
		return
	}
	p := &s.Events[m.Seq-1]
	if m.Topic != p.Topic || string(m.Payload) != p.Payload {
		// Perhaps it is this event, damaged, perhaps another one that says so.
		c.forged, c.lastForged = c.forged+1, at
		s.damaged[m.Seq] = true
		return
	}
	if !c.view.passes(m.Topic) {
		c.violate(s, Unwanted, m.Seq, at, "%s passes no filter", Word(m))
	}
	if was := s.given[m.Seq]; was > 0 {
		c.violate(s, Double, m.Seq, at, "%s was given at %d already:\n%s", Word(m), was-1, c.view.describe(at, 3))
		return
	}
	s.given[m.Seq] = int32(at + 1)
	if c.view.Redundant && p.ID != "" {
		if was, again := c.ids[p.Topic+"\x00"+p.ID]; again {
			c.violate(s, Double, m.Seq, at, "%s with the id %q was given at %d already: %s", Word(m), p.ID, was, Word(c.view.Events[was]))
		}
		c.ids[p.Topic+"\x00"+p.ID] = at
	}
	before := s.lastOn[m.Topic]
	if c.bySource {
		before = uint64(s.last)
	}
	if m.Seq < before {
		c.violate(s, Order, m.Seq, at, "%s was given after %d:\n%s", Word(m), before, c.view.describe(at, 3))
	}
	s.last = max(s.last, int(m.Seq))
	s.lastOn[m.Topic] = max(s.lastOn[m.Topic], m.Seq)
}

// account holds what a source has published against what was given and told.
func (c *check) account(s *source) {
	for _, name := range sortedNames(s.names) {
		s.neighbours(s.names[name])
	}
	absent := s.absent(c.view)
	s.overlaps()
	for i := range s.gaps {
		c.gap(s, &s.gaps[i], absent)
	}
	horizon := c.horizon(s)
	for _, name := range sortedNames(s.names) {
		after, ok := c.view.owed(s.Source, name)
		if !ok {
			continue
		}
		upto := horizon(name)
		for _, seq := range s.names[name] {
			if seq > after && seq <= upto {
				c.owed(s, seq)
			}
		}
	}
}

// owed looks whether an event that was owed was given, or told to be missing.
func (c *check) owed(s *source, seq uint64) {
	c.report.Owed++
	if s.given[seq] > 0 || s.damaged[seq] {
		return
	}
	p := &s.Events[seq-1]
	if _, brought := c.ids[p.Topic+"\x00"+p.ID]; brought && p.ID != "" {
		return
	}
	c.report.Missing++
	switch s.covered[seq] {
	case uncovered:
		at := min(s.high[seq], len(c.view.Events)-1)
		c.violate(s, Silent, seq, at, "%v/%d on %s, published %s, was not given, and no gap tells of it. What was given around it:\n%s",
			s.Source, seq, p.Topic, clock(p.At), c.view.describe(at, 6))
	case misplaced:
		c.violate(s, Place, seq, -1, "%v/%d on %s is missing between the events at %d and %d of the view, and no gap stands there",
			s.Source, seq, p.Topic, s.low[seq], s.high[seq])
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000000") }

// neighbours fills in low and high for the events of one topic.
func (s *source) neighbours(seqs []uint64) {
	place := -1
	for _, seq := range seqs {
		s.low[seq] = place
		if at := s.given[seq]; at > 0 {
			place = int(at) - 1
		}
	}
	place = math.MaxInt
	for i := len(seqs) - 1; i >= 0; i-- {
		s.high[seqs[i]] = place
		if at := s.given[seqs[i]]; at > 0 {
			place = int(at) - 1
		}
	}
}

// absent counts, up to each seq, the events that pass the filter and were not given.
func (s *source) absent(v *View) []uint64 {
	passes := make(map[string]bool, len(s.names))
	for name := range s.names {
		passes[name] = v.passes(name)
	}
	sum := make([]uint64, len(s.given))
	for i := range s.Events {
		seq := i + 1
		sum[seq] = sum[seq-1]
		if s.given[seq] == 0 && passes[s.Events[i].Topic] {
			sum[seq]++
		}
	}
	return sum
}

// gap takes what a gap tells.
func (c *check) gap(s *source, g *placed, absent []uint64) {
	most := uint64(len(s.Events))
	first, last := min(g.After, most)+1, min(max(g.Before, 1)-1, most)
	if g.Before == 0 {
		last = most
	}
	var missing uint64
	for seq := first; seq <= last; seq++ {
		if s.given[seq] > 0 || g.Topic != "" && s.Events[seq-1].Topic != g.Topic {
			continue
		}
		if g.Topic != "" {
			missing += absent[seq] - absent[seq-1]
		}
		if s.low[seq] > g.at || s.high[seq] < g.at {
			s.covered[seq] = max(s.covered[seq], misplaced)
			continue
		}
		s.covered[seq] = told
		if c.view.Recover && c.view.Damage == 0 && c.view.passes(s.Events[seq-1].Topic) && s.kept(seq, g.Time) {
			c.violate(s, Kept, seq, g.at, "%v/%d on %s, published %s, is told to be missing at %s, when it was kept: %s",
				s.Source, seq, s.Events[seq-1].Topic, clock(s.Events[seq-1].At), clock(g.Time), Word(g.Gap))
		}
	}
	if g.Topic == "" && first <= last {
		missing = absent[last] - absent[first-1]
	}
	if c.view.Damage > 0 {
		return
	}
	if g.Missed > missing || g.Exact && !g.shared && !c.view.Redundant && g.Missed < missing {
		c.violate(s, Count, 0, g.at, "%d are missing within the bounds of: %s\n%s", missing, Word(g.Gap), c.view.describe(g.at, 3))
	}
}

// overlaps marks the gaps that share their bounds with others: none of them alone
// has to tell of all that is missing there.
func (s *source) overlaps() {
	groups := make(map[string][]*placed)
	for i := range s.gaps {
		g := &s.gaps[i]
		groups[g.Topic] = append(groups[g.Topic], g)
	}
	for name, group := range groups {
		if name != "" {
			group = slices.Concat(group, groups[""])
		}
		slices.SortFunc(group, func(a, b *placed) int { return cmp.Compare(a.After, b.After) })
		var far *placed // the one that reaches furthest so far
		for _, g := range group {
			if far != nil && far.Before > g.After+1 {
				far.shared, g.shared = true, true
			}
			if far == nil || g.Before > far.Before {
				far = g
			}
		}
	}
}

// horizon is up to which seq the events on a topic must be accounted for.
func (c *check) horizon(s *source) func(name string) uint64 {
	if upto, ok := c.view.Upto[s.Source]; ok {
		return func(string) uint64 { return upto }
	}
	if c.everything {
		heard := uint64(s.last)
		return func(string) uint64 { return heard }
	}
	return func(name string) uint64 { return s.lastOn[name] }
}
