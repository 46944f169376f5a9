package topic_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/heraldbus/herald/topic"
)

func TestTable(t *testing.T) {
	table := topic.NewTable[string, int](0)
	routes := topic.NewRoutes[string]().With(topic.Prefix("a"), "a")
	buffer := []byte("a.b")
	e := table.Lookup(routes, buffer)
	clear(buffer)
	e.State = 7
	if e.Name != "a.b" || !slices.Equal(e.Handlers, []string{"a"}) {
		t.Errorf("entry %+v", e)
	}
	kept := e.Handlers
	routes = routes.With(topic.Exact("a.b"), "b")
	if again := table.LookupString(routes, "a.b"); again != e || e.State != 7 || !slices.Equal(e.Handlers, []string{"a", "b"}) {
		t.Errorf("after a change of routes: %+v", again)
	}
	if !slices.Equal(kept, []string{"a"}) {
		t.Errorf("the old handlers became %q", kept)
	}
	if again := table.LookupString(nil, "a.b"); again != e || len(e.Handlers) != 0 || e.State != 7 {
		t.Errorf("without routes: %+v", again)
	}
	name := strings.Clone("own")
	if e := table.LookupString(routes, name); unsafe.StringData(e.Name) != unsafe.StringData(name) || len(e.Handlers) != 0 {
		t.Errorf("LookupString made %+v", e)
	}
	if e := table.Lookup(routes, nil); e.Name != "" || table.Lookup(routes, []byte{}) != e {
		t.Errorf("the empty topic has %+v", e)
	}
	if table.Len() != 3 {
		t.Errorf("Len() = %d", table.Len())
	}
}

// What is looked up often keeps its state while thousands of others come and go,
// although the LRU is not asked about it.
func TestTableKeepsHot(t *testing.T) {
	for _, hot := range []int{1, 2, 10, 60} {
		table := topic.NewTable[int, int](100)
		evicted := 0
		table.OnEvict(func(e *topic.Entry[int, int]) {
			evicted++
			if strings.HasPrefix(e.Name, "hot") {
				t.Errorf("of %d: %s evicted", hot, e.Name)
			}
		})
		for i := range 300 {
			for h := range hot {
				e := table.LookupString(nil, fmt.Sprint("hot", h))
				if e.State++; e.State != i+1 {
					t.Fatalf("of %d: %s has state %d, want %d", hot, e.Name, e.State, i+1)
				}
			}
			for c := range 10 {
				table.LookupString(nil, fmt.Sprint("cold", i, ".", c))
			}
		}
		if want := 3000 + hot - 100; evicted != want || table.Len() != 100 {
			t.Errorf("of %d: %d evicted, want %d; %d remembered", hot, evicted, want, table.Len())
		}
	}
}

// Long foreign topics take the room of many.
func TestTableRoom(t *testing.T) {
	table := topic.NewTable[int, int](1000)
	room := 1000 * (topic.MaxLen + 1)
	bytes := 0
	table.OnEvict(func(e *topic.Entry[int, int]) { bytes -= len(e.Name) })
	for i := range 100 {
		name := strings.Repeat("x", 10_000+i)
		bytes += len(name)
		table.LookupString(nil, name).State = i
		if bytes > room {
			t.Fatalf("%d bytes of names, at most %d are allowed", bytes, room)
		}
	}
	if n := table.Len(); n != 25 {
		t.Errorf("Len() = %d, want 25", n)
	}
	if e := table.LookupString(nil, strings.Repeat("x", 10_099)); e.State != 99 {
		t.Errorf("the last has state %d", e.State)
	}
	huge := []byte(strings.Repeat("y", room+1))
	routes := topic.NewRoutes[int]().With(topic.Prefix("y"), 1)
	if e := table.Lookup(routes, huge); e.Name != string(huge) || len(e.Handlers) != 1 {
		t.Errorf("a huge topic has handlers %v", e.Handlers)
	}
	if n := table.Len(); n != 25 {
		t.Errorf("a huge topic took the place of others: Len() = %d", n)
	}
}

func TestTableAllocs(t *testing.T) {
	var names [][]byte
	var texts []string
	for i := range 3000 {
		texts = append(texts, fmt.Sprintf("weather.a-rather-long-name-of-a-region.city-%d", i))
		names = append(names, []byte(texts[i]))
	}
	routes := topic.NewRoutes[int]().With(topic.Filter{}, 1)
	table := topic.NewTable[int, int](4000)
	for range 3 {
		for _, name := range names {
			table.Lookup(routes, name)
		}
	}
	if n := testing.AllocsPerRun(3, func() {
		for i := range names {
			table.Lookup(routes, names[i])
			table.LookupString(routes, texts[i])
		}
	}); n != 0 {
		t.Errorf("lookups allocate %v times", n)
	}
}
