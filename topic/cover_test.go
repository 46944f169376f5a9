package topic_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/heraldbus/herald/topic"
)

func TestCover(t *testing.T) {
	for text, want := range map[string][]string{
		`>`:                   {""},
		`not >`:               nil,
		`prefix a.b`:          {"a.b"},
		`a.b`:                 {"a.b"},
		`""`:                  {""},
		`a.b.*.c`:             {"a.b."},
		`a.>`:                 {"a."},
		`*.a`:                 {""},
		`a or b or prefix ab`: {"a", "b"},
		`b or a.b.* or a.>`:   {"a.", "b"},
		`a or *.b`:            {""},
		`not a`:               {""},
		`a or not b`:          {""},
		// Intersections.
		`prefix a and prefix a.b`: {"a.b"},
		`prefix a and prefix b`:   nil,
		`a.b and prefix a`:        {"a.b"},
		`a and prefix b`:          nil,
		`a and b`:                 nil,
		`a.b.c and a.*.d`:         nil,
		`a.b.c and a.*.c`:         {"a.b.c"},
		`a.*.c and a.b.*`:         {"a.b."},
		`(prefix a or prefix c) and (prefix ab or prefix b)`:    {"ab"},
		`(a.> or b.> or d) and (prefix b. or prefix a.x. or d)`: {"a.x.", "b.", "d"},
		`(a.> or c.>) except (b or d)`:                          {"a.", "c."},
		// What is excepted.
		`weather.eu.> except weather.eu.test.>`:   {"weather.eu."},
		`prefix a except prefix ab`:               {"a"},
		`prefix ab except prefix a`:               nil,
		`(prefix ab or prefix b) except prefix a`: {"b"},
		`(a or b or c) except (b or c or d)`:      {"a"},
		`(a.b or a.c.d) except a.*`:               {"a.c.d"},
		`(a.b.> or c.>) except a.>`:               {"c."},
		`a.b.* except a.*.>`:                      nil,
		`a.> except a.b.>`:                        {"a."},
		`a.b.> except a.b.c`:                      {"a.b."},
		`a.b.> except a`:                          {"a.b."},
		`a.b.> except *.b.*`:                      {"a.b."},
		`a.b.* except (a.> except a.b.c)`:         {"a.b."},
		`(a.b.> or c) except (a.> except d)`:      {"c"},
		`a.x except (not a.x)`:                    {"a.x"},
		// Framed, the topic may be a part of what a prefix is held against.
		`a and prefix "a b"`:                      {"a b"},
		`prefix a.b. except a.>`:                  {"a.b."},
		`prefix a.b except a.b`:                   {"a.b"},
		`prefix a.b except a.c`:                   {"a.b"},
		`(prefix ab or c) except (not (ab or c))`: {"ab", "c"},
	} {
		f, err := topic.Parse(text)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
		}
		if got := f.Cover(); !slices.Equal(got, want) {
			t.Errorf("%s: Cover() = %q, want %q", text, got, want)
		}
		if got := topic.Cover(f, topic.None(), topic.Pattern(""), f); !slices.Equal(got, want) {
			t.Errorf("Cover(%s) = %q, want %q", text, got, want)
		}
		if got := topic.NewRoutes[int]().With(f, 0).With(f, 1).Cover(); !slices.Equal(got, want) {
			t.Errorf("%s: Routes.Cover = %q, want %q", text, got, want)
		}
	}
	if got := topic.Cover(); len(got) != 0 {
		t.Errorf("Cover() = %q", got)
	}
	got := topic.Cover(topic.Exact("b"), topic.Prefix("a"), topic.Exact("ab"), topic.Exact("bc"))
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("Cover = %q, want %q", got, want)
	}
}

// A filter that would take quadratic time to judge gets a wider cover in time.
func TestCoverBudget(t *testing.T) {
	var some, others []topic.Filter
	for i := range 20_000 {
		some = append(some, topic.Exact(fmt.Sprintf("a.%05d", i)))
		others = append(others, topic.Exact(fmt.Sprintf("b.%05d", i)))
	}
	f := topic.Any(some...).Except(others...)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	if got := f.Cover(); len(got) != len(some) {
		t.Errorf("the cover has %d prefixes, want %d", len(got), len(some))
	}
	if got := topic.Any(some...).Except(some...).Cover(); len(got) != 0 {
		t.Errorf("the cover of nothing has %d prefixes", len(got))
	}
}
