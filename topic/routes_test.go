package topic_test

import (
	"slices"
	"testing"

	"github.com/heraldbus/herald/topic"
)

func TestRoutes(t *testing.T) {
	match := func(r *topic.Routes[string], name string) []string {
		return r.Match([]byte(name), []byte(name), nil)
	}
	var none *topic.Routes[string]
	if match(none, "a") != nil || none.Len() != 0 || none.Cover() != nil || none.Without(nil) != nil {
		t.Error("nil Routes have routes")
	}
	one := none.With(topic.Prefix("a"), "one")
	two := one.With(topic.Pattern("*.b"), "two")
	bad := two.With(topic.Pattern(""), "bad")
	other := two.With(topic.Filter{}, "one")
	for _, test := range []struct {
		routes *topic.Routes[string]
		name   string
		want   []string
	}{
		{topic.NewRoutes[string](), "a", nil},
		{one, "a.b", []string{"one"}},
		{two, "a.b", []string{"one", "two"}},
		{two, "b.b", []string{"two"}},
		{bad, "a.b", []string{"one", "two"}},
		{other, "a.b", []string{"one", "two", "one"}},
		{other, "c", []string{"one"}},
		{other.Without(func(f topic.Filter, h string) bool { return h == "one" }), "a.b", []string{"two"}},
		{other.Without(func(f topic.Filter, h string) bool { return f.Equal(topic.Prefix("a")) }), "a.b", []string{"two", "one"}},
		{other.Without(func(topic.Filter, string) bool { return true }), "a.b", nil},
	} {
		if got := match(test.routes, test.name); !slices.Equal(got, test.want) {
			t.Errorf("Match(%q) = %q, want %q", test.name, got, test.want)
		}
	}
	if got := other.Match([]byte("x"), []byte("a x"), []string{"zero"}); !slices.Equal(got, []string{"zero", "one", "one"}) {
		t.Errorf("framed Match = %q", got)
	}
	if other.Without(func(topic.Filter, string) bool { return false }) != other {
		t.Error("Without nothing is another Routes")
	}
	if one.Len() != 1 || other.Len() != 3 {
		t.Errorf("Len() = %d and %d", one.Len(), other.Len())
	}
	if got := bad.Cover(); !slices.Equal(got, []string{""}) {
		t.Errorf("Cover() = %q", got)
	}
	name, dst := []byte("a.b"), make([]string, 0, 4)
	if n := testing.AllocsPerRun(100, func() { dst = other.Match(name, name, dst[:0]) }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}
