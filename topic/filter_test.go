package topic_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heraldbus/herald/topic"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		filter topic.Filter
		yes    []string
		no     []string
	}{
		{topic.Filter{}, []string{"", "a", "\xff\x00"}, nil},
		{topic.Everything(), []string{"", "a"}, nil},
		{topic.None(), nil, []string{"", "a"}},
		{topic.Prefix(""), []string{"", "a"}, nil},
		{topic.Prefix("a.b"), []string{"a.b", "a.bc", "a.b.c"}, []string{"", "a", "a.", "b", "A.b"}},
		{topic.Prefix("\xff*"), []string{"\xff*", "\xff*>"}, []string{"\xff", "\xffa"}},
		{topic.Exact("a.b"), []string{"a.b"}, []string{"", "a", "a.b.c", "a.bc"}},
		{topic.Exact(""), []string{""}, []string{"a"}},
		{topic.Exact("a.*"), []string{"a.*"}, []string{"a.b"}},
		{topic.Pattern(">"), []string{"", "a", "a.b", ".."}, nil},
		{topic.Pattern("*"), []string{"a", "abc", ""}, []string{"a.b", "."}},
		{topic.Pattern("a.b"), []string{"a.b"}, []string{"a", "a.b.c"}},
		{topic.Pattern("a.*"), []string{"a.b", "a.*", "a."}, []string{"a", "a.b.c", "b.a", "a.b."}},
		{topic.Pattern("a.>"), []string{"a.b", "a.b.c", "a."}, []string{"a", "ab", "b.a"}},
		{topic.Pattern("*.>"), []string{"a.b", "a.b.c"}, []string{"a", ""}},
		{topic.Pattern("a.*.c"), []string{"a.b.c", "a..c"}, []string{"a.c", "a.b.b.c", "a.b", "a.b.c.d", "a.b.cd"}},
		{topic.Pattern("*.*.c.>"), []string{"a.b.c.d", "a.b.c.d.e"}, []string{"a.b.c", "a.b.d.d", "c.d"}},
		{topic.Pattern("$bus.heartbeat.*"), []string{"$bus.heartbeat.x"}, []string{"$bus.hello.x"}},
		{topic.All(), []string{"", "a"}, nil},
		{topic.Any(), nil, []string{"", "a"}},
		{topic.All(topic.Pattern("*.b"), topic.Prefix("a")), []string{"a.b", "aa.b"}, []string{"b.b", "a.c"}},
		{topic.Any(topic.Exact("x"), topic.Prefix("a"), topic.Pattern("b.*")), []string{"x", "ab", "b.c"}, []string{"xx", "b", "b.c.d"}},
		{topic.Not(topic.Prefix("a")), []string{"", "b"}, []string{"a", "ab"}},
		{topic.Prefix("a").Except(), []string{"a"}, []string{"b"}},
		{topic.Prefix("a").Except(topic.Exact("ab"), topic.Prefix("ac")), []string{"a", "abc"}, []string{"ab", "ac", "acd", "b"}},
		{topic.Everything().Except(topic.Everything()), nil, []string{"", "a"}},
		{topic.Pattern("a.>").Except(topic.Pattern("a.b.>").Except(topic.Exact("a.b.c"))), []string{"a.a", "a.b", "a.b.c"}, []string{"a", "a.b.d"}},
		{topic.Any(topic.Not(topic.Prefix("a")), topic.Exact("ab")), []string{"b", "ab"}, []string{"a", "ac"}},
	}
	for _, test := range tests {
		if err := test.filter.Err(); err != nil {
			t.Errorf("%v: %v", test.filter, err)
		}
		check := func(name string, want bool) {
			if got := test.filter.MatchString(name); got != want {
				t.Errorf("%v: MatchString(%q) = %v", test.filter, name, got)
			}
			if got := test.filter.Match([]byte(name)); got != want {
				t.Errorf("%v: Match(%q) = %v", test.filter, name, got)
			}
			if got := topic.Not(test.filter).MatchString(name); got == want {
				t.Errorf("Not %v: MatchString(%q) = %v", test.filter, name, got)
			}
		}
		for _, name := range test.yes {
			check(name, true)
		}
		for _, name := range test.no {
			check(name, false)
		}
	}
}

// A union of many finds exact names and prefixes by search, in any order.
func TestMatchMany(t *testing.T) {
	var fs []topic.Filter
	for i := range 500 {
		fs = append(fs, topic.Exact(fmt.Sprintf("exact.%d", i*7%500*2)), topic.Prefix(fmt.Sprintf("prefix.%03d", i*7%500*2)))
	}
	f := topic.Any(fs...)
	for i := range 1000 {
		for _, name := range []string{fmt.Sprintf("exact.%d", i), fmt.Sprintf("prefix.%03d", i), fmt.Sprintf("prefix.%03d.x", i)} {
			if got, want := f.MatchString(name), i%2 == 0; got != want {
				t.Fatalf("MatchString(%q) = %v", name, got)
			}
		}
	}
}

func TestMatchFramed(t *testing.T) {
	tests := []struct {
		filter       topic.Filter
		topic, frame string
		want         bool
	}{
		{topic.Exact("a"), "a", "a payload", true},
		{topic.Exact("a payload"), "a", "a payload", false},
		{topic.Pattern("*.b"), "a.b", "a.b x.y", true},
		{topic.Prefix("a pay"), "a", "a payload", true},
		{topic.Prefix("b"), "b", "[b]", false},
		{topic.Prefix("a").Except(topic.Prefix("a pay")), "a", "a payload", false},
		{topic.All(topic.Exact("a"), topic.Prefix("a p")), "a", "a payload", true},
		{topic.Filter{}, "a", "", true},
	}
	for _, test := range tests {
		if got := test.filter.MatchFramed([]byte(test.topic), []byte(test.frame)); got != test.want {
			t.Errorf("%v: MatchFramed(%q, %q) = %v", test.filter, test.topic, test.frame, got)
		}
	}
}

func TestMatchAllocs(t *testing.T) {
	f := topic.Any(topic.Pattern("weather.*.paris"), topic.Exact("alerts"), topic.Prefix("log.")).
		Except(topic.Prefix("log.debug"), topic.Pattern("weather.test.>"))
	name := []byte("weather.eu.paris")
	if n := testing.AllocsPerRun(100, func() {
		f.Match(name)
		f.MatchString("alerts")
		f.MatchFramed(name, name)
	}); n != 0 {
		t.Errorf("matching allocates %v times", n)
	}
}

func TestBad(t *testing.T) {
	good := topic.Prefix("a")
	one, two := topic.Pattern("a..b"), topic.Pattern("a.>.b")
	for _, f := range []topic.Filter{
		one, topic.Not(one), topic.Any(good, one), topic.All(good, one), good.Except(one), one.Except(good),
		topic.Any(topic.Everything(), topic.Not(two)), topic.Not(topic.Not(two)), topic.All(two, topic.None()),
	} {
		if !errors.Is(f.Err(), topic.ErrInvalid) {
			t.Errorf("%v: Err() = %v", f, f.Err())
		}
		if f.MatchString("a") || f.MatchString("a..b") || f.MatchFramed(nil, nil) || len(f.Cover()) > 0 {
			t.Errorf("%v accepts something", f)
		}
		if g, err := topic.Parse(f.String()); err == nil || g.MatchString("a") {
			t.Errorf("Parse(%q) = %v, %v", f, g, err)
		}
		if text, err := f.MarshalText(); err == nil {
			t.Errorf("MarshalText = %s", text)
		}
	}
	err := topic.Any(one, good, topic.Not(topic.All(two, one))).Except(two).Err()
	want := `topic: invalid pattern "a..b": segment 2 is empty
topic: invalid pattern "a.>.b": segment 2 is >, which can only be the last`
	if err == nil || err.Error() != want {
		t.Errorf("Err() = %v, want %v", err, want)
	}
	for pattern, want := range map[string]string{
		"":                              "it is empty",
		"a.b*":                          `segment 2 is "b*", but * and > stand for whole segments`,
		"a.**":                          `segment 2 is "**"`,
		"a.\x00":                        "control character",
		"\xff":                          "not UTF-8",
		strings.Repeat("a", 256):        "256 bytes",
		strings.Repeat("*.", 128) + ">": "257 bytes",
	} {
		if err := topic.Pattern(pattern).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Pattern(%q).Err() = %v, want %q", pattern, err, want)
		}
	}
	if !one.Equal(topic.Not(one)) || one.Equal(two) {
		t.Error("bad filters are equal if they have the same faults")
	}
}

func TestCanonical(t *testing.T) {
	a, b, c, d := topic.Exact("a"), topic.Prefix("b"), topic.Pattern("c.*"), topic.Exact("d")
	any, all, not := topic.Any, topic.All, topic.Not
	tests := []struct {
		f, g topic.Filter
		text string
	}{
		{any(a, b), any(b, a, b, any(a)), `a or prefix b`},
		{all(a, b), all(all(b), a), `a and prefix b`},
		{any(any(a, c), b), any(a, any(b, c)), `a or prefix b or c.*`},
		{not(not(a)), a, `a`},
		{not(any(a, b)), all(not(a), not(b)), `not (a or prefix b)`},
		{not(all(a, b)), any(not(a), not(b)), `not (a and prefix b)`},
		{any(a, not(b)), not(b.Except(a)), `not (prefix b except a)`},
		{a.Except(b, c), a.Except(b).Except(c), `a except (prefix b or c.*)`},
		{all(a, not(b), not(c)), a.Except(any(c, b)), `a except (prefix b or c.*)`},
		{a.Except(not(b)), all(a, b), `a and prefix b`},
		{a.Except(b.Except(c)), all(a, any(not(b), c)), `a except (prefix b except c.*)`},
		{all(any(a, b), any(c, d)), all(any(d, c), any(b, a)), `(a or prefix b) and (d or c.*)`},
		{any(all(a, b), c.Except(d)), any(c.Except(d), all(b, a)), `(a and prefix b) or (c.* except d)`},
		{any(a, b).Except(c, d), any(b, a).Except(any(d, c)), `(a or prefix b) except (d or c.*)`},
		{any(), topic.None(), `not >`},
		{all(), topic.Everything(), `>`},
		{not(topic.None()), topic.Filter{}, `>`},
		{not(topic.Filter{}), topic.None(), `not >`},
		{any(a, topic.Filter{}), topic.Filter{}, `>`},
		{all(a, topic.None()), topic.None(), `not >`},
		{any(a, topic.None()), a, `a`},
		{all(a, topic.Filter{}), a, `a`},
		{a.Except(topic.Filter{}), topic.None(), `not >`},
		{a.Except(a), topic.None(), `not >`},
		{any(a, not(a)), topic.Filter{}, `>`},
		{any(a, b).Except(b, a, c), topic.None(), `not >`},
		{any(topic.Prefix("ab"), topic.Prefix("a"), topic.Prefix("b")), any(topic.Prefix("a"), topic.Prefix("b")), `prefix a or prefix b`},
		{topic.Prefix("ab").Except(topic.Prefix("a")), topic.None(), `not >`},
		{topic.Prefix("ab").Except(topic.Prefix("a"), c), topic.None(), `not >`},
		{topic.Pattern("a.b"), topic.Exact("a.b"), `a.b`},
		{topic.Prefix(""), topic.Pattern(">"), `>`},
	}
	for _, test := range tests {
		if !test.f.Equal(test.g) || !test.g.Equal(test.f) || test.f.String() != test.g.String() {
			t.Errorf("%q and %q are not equal", test.f, test.g)
		}
		if test.f.String() != test.text {
			t.Errorf("String() = %q, want %q", test.f, test.text)
		}
	}
	for i, f := range tests {
		for _, g := range tests[:i] {
			if f.f.Equal(g.f) != (f.text == g.text) {
				t.Errorf("%q and %q: Equal is %v", f.f, g.f, f.f.Equal(g.f))
			}
		}
	}
	if topic.All(topic.Prefix("")) != (topic.Filter{}) {
		t.Error("everything is not the zero Filter")
	}
}

// Filters made from themselves many times over stay small or become bad.
func TestLimits(t *testing.T) {
	f := topic.Exact("a")
	for i := range 100 {
		f = topic.Any(topic.All(f, topic.Exact(fmt.Sprint("x", i))), topic.All(f, topic.Exact(fmt.Sprint("y", i))))
	}
	if err := f.Err(); err == nil || !strings.Contains(err.Error(), "its text would have") {
		t.Errorf("doubled: Err() = %.100q", fmt.Sprint(err))
	}
	f = topic.Exact("a")
	for i := range 2 * topic.MaxDepth {
		f = topic.Not(topic.All(f, topic.Exact(fmt.Sprint("x", i))))
	}
	if err := f.Err(); err == nil || !strings.Contains(err.Error(), "nested more than 64 deep") {
		t.Errorf("nested: Err() = %.100q", fmt.Sprint(err))
	}
	if err := topic.Prefix(strings.Repeat("a", topic.MaxText+1)).Err(); !errors.Is(err, topic.ErrInvalid) || len(err.Error()) > 200 {
		t.Errorf("long: Err() = %.100q", fmt.Sprint(err))
	}
	if err := topic.Exact(strings.Repeat("\xff", topic.MaxText/3)).Err(); !errors.Is(err, topic.ErrInvalid) {
		t.Errorf("long when quoted: Err() = %v", err)
	}
	// What is just within the limits reads back.
	deep := topic.Exact("a")
	for i := 0; ; i++ {
		deeper := topic.Not(topic.All(deep, topic.Exact(fmt.Sprint("x", i))))
		if deeper.Err() != nil {
			break
		}
		deep = deeper
	}
	var many []topic.Filter
	for i := range topic.MaxText / 110 {
		many = append(many, topic.Exact(fmt.Sprintf("n.%0100d", i)))
	}
	for _, f := range []topic.Filter{deep, topic.Any(many...), topic.Exact(strings.Repeat("a", topic.MaxText-2))} {
		if err := f.Err(); err != nil {
			t.Fatalf("%.100q", fmt.Sprint(err))
		}
		if g, err := topic.Parse(f.String()); err != nil || !g.Equal(f) {
			t.Errorf("Parse(%.100q…): %v", f, err)
		}
	}
}
