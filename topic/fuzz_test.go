package topic_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/heraldbus/herald/topic"
)

// oracle is a filter the naive way, a function; the same built by this package;
// and its inverse, built with and for or, or for and.
type oracle struct {
	accepts         func(topic, frame string) bool
	filter, inverse topic.Filter
}

func plain(accepts func(topic, frame string) bool, f topic.Filter) oracle {
	return oracle{accepts, f, topic.Not(f)}
}

func pattern(p string) func(topic, frame string) bool {
	want := strings.Split(p, ".")
	return func(topic, _ string) bool {
		have := strings.Split(topic, ".")
		for i, w := range want {
			if w == ">" {
				return len(have) > i
			}
			if i == len(have) || w != "*" && w != have[i] {
				return false
			}
		}
		return len(have) == len(want)
	}
}

var patterns = []string{"a.*", "*.a", "a.>", "*", "*.>", ">", "a.*.b", "*.*", "b.a.*", "a.b.>", "a.b", "*.b.>", "or.*"}

// program builds an oracle from bytes: a stack machine. It consumes what it
// uses.
func program(code []byte) oracle {
	var stack []oracle
	byteAt := func() byte {
		if len(code) == 0 {
			return 0
		}
		b := code[0]
		code = code[1:]
		return b
	}
	text := func() string {
		n := int(byteAt()) % 5
		var b strings.Builder
		for range n {
			// Few characters, so that filters meet; the odd strange byte.
			if c := byteAt(); c < 240 {
				b.WriteByte("ab..ab.* "[c%9])
			} else {
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	pop := func(n int) []oracle {
		n = min(n, len(stack))
		top := slices.Clone(stack[len(stack)-n:])
		stack = stack[:len(stack)-n]
		return top
	}
	split := func(os []oracle) (filters, inverses []topic.Filter) {
		for _, o := range os {
			filters, inverses = append(filters, o.filter), append(inverses, o.inverse)
		}
		return filters, inverses
	}
	for steps := 0; len(code) > 0 && steps < 60; steps++ {
		op := byteAt()
		var o oracle
		switch op % 9 {
		case 0, 1:
			s := text()
			o = plain(func(t, _ string) bool { return t == s }, topic.Exact(s))
		case 2, 3:
			s := text()
			o = plain(func(_, f string) bool { return strings.HasPrefix(f, s) }, topic.Prefix(s))
		case 4:
			p := patterns[int(byteAt())%len(patterns)]
			o = plain(pattern(p), topic.Pattern(p))
		case 5:
			os := pop(int(op/9)%4 + 1)
			filters, inverses := split(os)
			o = oracle{func(t, f string) bool {
				return !slices.ContainsFunc(os, func(o oracle) bool { return !o.accepts(t, f) })
			}, topic.All(filters...), topic.Any(inverses...)}
		case 6:
			os := pop(int(op/9)%4 + 1)
			filters, inverses := split(os)
			o = oracle{func(t, f string) bool {
				return slices.ContainsFunc(os, func(o oracle) bool { return o.accepts(t, f) })
			}, topic.Any(filters...), topic.All(inverses...)}
		case 7:
			os := pop(1)
			if len(os) == 0 {
				continue
			}
			o = oracle{func(t, f string) bool { return !os[0].accepts(t, f) }, os[0].inverse, os[0].filter}
		case 8:
			os := pop(int(op/9)%3 + 2)
			if len(os) == 0 {
				continue
			}
			filters, _ := split(os)
			o = oracle{func(t, f string) bool {
				return os[0].accepts(t, f) && !slices.ContainsFunc(os[1:], func(o oracle) bool { return o.accepts(t, f) })
			}, filters[0].Except(filters[1:]...), topic.Any(append(filters[1:], os[0].inverse)...)}
		}
		stack = append(stack, o)
	}
	if len(stack) == 0 {
		return plain(func(string, string) bool { return true }, topic.Filter{})
	}
	return stack[len(stack)-1]
}

// names are topics that filters of program tell apart.
var names = []string{
	"", "a", "b", "ab", "a.", "a.a", "a.b", "a.b.a", "a.b.b", "a.a.b", "b.a", "b.a.b", "a..b", ".", "..", "or", "or.a", "*", "a*", "a.*", "a b", "\xff",
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte{0, 1, 0}, "a", "")
	f.Add([]byte{2, 2, 0, 2, 4, 2, 8, 2, 3, 0, 2, 1, 6, 7, 5 + 9}, "a.b", " payload")
	f.Add([]byte{4, 0, 4, 2, 7, 6 + 9, 4, 6, 7, 5 + 9, 0, 2, 0, 1, 8}, "a.a.b", "x")
	f.Fuzz(func(t *testing.T, code []byte, name, rest string) {
		checkFilter(t, program(code), append(names, name), rest)
	})
}

// TestFilters is FuzzFilter with two thousand filters made at random.
func TestFilters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	code := make([]byte, 80)
	for range 2000 {
		for i := range code {
			code[i] = byte(random.Uint32())
		}
		checkFilter(t, program(code[:random.IntN(len(code))]), names, " b")
	}
}

// checkFilter holds the filter of o against what it should accept, for each of
// the names followed by rest in its frame.
func checkFilter(t *testing.T, o oracle, names []string, rest string) {
	t.Helper()
	if err := o.filter.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	text := o.filter.String()
	again, err := topic.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	if again.String() != text || !again.Equal(o.filter) {
		t.Fatalf("Parse(%q) prints %q", text, again)
	}
	inverse := topic.Not(o.filter)
	if !inverse.Equal(o.inverse) || !topic.Not(inverse).Equal(o.filter) {
		t.Fatalf("the inverse of %q is %q, should be %q", text, inverse, o.inverse)
	}
	cover := o.filter.Cover()
	if !slices.IsSorted(cover) {
		t.Fatalf("%q: cover %q is not sorted", text, cover)
	}
	for i := range cover {
		if i > 0 && strings.HasPrefix(cover[i], cover[i-1]) {
			t.Fatalf("%q: cover %q has prefixes of each other", text, cover)
		}
	}
	for _, name := range names {
		for _, frame := range []string{name, name + rest, name + " a", name + ".b"} {
			want := o.accepts(name, frame)
			for _, f := range []topic.Filter{o.filter, again} {
				if got := f.MatchFramed([]byte(name), []byte(frame)); got != want {
					t.Fatalf("%q: MatchFramed(%q, %q) = %v", text, name, frame, got)
				}
				if frame == name && (f.Match([]byte(name)) != want || f.MatchString(name) != want) {
					t.Fatalf("%q: Match(%q) = %v", text, name, !want)
				}
			}
			if inverse.MatchFramed([]byte(name), []byte(frame)) == want {
				t.Fatalf("not %q: MatchFramed(%q, %q) = %v", text, name, frame, want)
			}
			if want && !slices.ContainsFunc(cover, func(p string) bool { return strings.HasPrefix(frame, p) }) {
				t.Fatalf("%q: cover %q loses %q in %q", text, cover, name, frame)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", ">", "not >", "weather.eu.> except weather.eu.test.>", `a|b&not(prefix "\xff" or pattern "a b.*")`, "((a", "a..b", "prefix or", "a\x00", "\xff", `"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := topic.Parse(text)
		if err != nil {
			if msg := err.Error(); !strings.HasPrefix(msg, "topic: invalid filter: ") || len(msg) > 1000 {
				t.Fatalf("Parse(%q): %q", text, msg)
			}
			return
		}
		canonical := g.String()
		h, err := topic.Parse(canonical)
		if err != nil || h.String() != canonical || !h.Equal(g) {
			t.Fatalf("Parse(%q) prints %q, which reads as %q, %v", text, canonical, h, err)
		}
		if g.MatchString(text) != h.MatchString(text) {
			t.Fatalf("%q and %q differ", g, h)
		}
	})
}

// FuzzTable looks up topics in a small table while routes change, and compares
// with matching directly. State counts the lookups since an entry came.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 250, 1, 0, 1, 251, 0, 1, 2, 252, 2}, uint8(2))
	f.Add([]byte(strings.Repeat("\x01\x02\x01\x03\xfa\x05\xfb\xfc", 20)), uint8(20))
	f.Fuzz(func(t *testing.T, ops []byte, size uint8) {
		ops = ops[:min(len(ops), 300)]
		table := topic.NewTable[int, int](int(size))
		limit := int(size)
		if size == 0 {
			limit = topic.DefaultSize
		}
		counts := map[string]int{}
		table.OnEvict(func(e *topic.Entry[int, int]) {
			if counts[e.Name] != e.State {
				t.Fatalf("%q evicted with state %d, want %d", e.Name, e.State, counts[e.Name])
			}
			delete(counts, e.Name)
		})
		routes := topic.NewRoutes[int]()
		for i, op := range ops {
			switch {
			case op >= 252:
				routes = routes.Without(func(_ topic.Filter, h int) bool { return h%3 == int(op)%3 })
			case op >= 240:
				routes = routes.With(program(ops[i+1:]).filter, i)
			default:
				name := names[int(op)%len(names)]
				if op%2 == 0 {
					name += fmt.Sprint(op / 2)
				}
				buffer := []byte(name)
				e := table.Lookup(routes, buffer)
				if op%3 == 0 {
					e = table.LookupString(routes, name)
				}
				clear(buffer)
				if e.Name != name || e.State != counts[name] {
					t.Fatalf("entry %q with state %d for %q, want %d", e.Name, e.State, name, counts[name])
				}
				if want := routes.Match([]byte(name), []byte(name), nil); !slices.Equal(e.Handlers, want) {
					t.Fatalf("%q: handlers %v, want %v", name, e.Handlers, want)
				}
				e.State++
				counts[name]++
			}
			if table.Len() != len(counts) || table.Len() > limit {
				t.Fatalf("Len() = %d, want %d", table.Len(), len(counts))
			}
		}
	})
}
