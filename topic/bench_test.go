package topic_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/heraldbus/herald/topic"
)

func topics(n int) [][]byte {
	names := make([][]byte, n)
	for i := range names {
		names[i] = fmt.Appendf(nil, "weather.eu.city-%d.temperature", i)
	}
	return names
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 2, 10, 100, 1000, 4000, 10_000} {
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			names := topics(n)
			routes := topic.NewRoutes[int]().With(topic.Filter{}, 1)
			table := topic.NewTable[int, int](20_000)
			for range 2 {
				for _, name := range names {
					table.Lookup(routes, name)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Lookup(routes, names[i]).State++
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

func BenchmarkLookupString(b *testing.B) {
	routes := topic.NewRoutes[int]().With(topic.Filter{}, 1)
	table := topic.NewTable[int, int](0)
	name := "weather.eu.city-1.temperature"
	for b.Loop() {
		table.LookupString(routes, name).State++
	}
}

// BenchmarkLookupNew never finds its topic and evicts another.
func BenchmarkLookupNew(b *testing.B) {
	names := topics(5000)
	routes := topic.NewRoutes[int]().With(topic.Filter{}, 1)
	table := topic.NewTable[int, int](1000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Lookup(routes, names[i])
		if i++; i == len(names) {
			i = 0
		}
	}
}

// BenchmarkTableMemory reports what a table takes for each topic.
func BenchmarkTableMemory(b *testing.B) {
	for _, n := range []int{0, 1, 2, 100, 4000} {
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			names := topics(n)
			routes := topic.NewRoutes[int]().With(topic.Filter{}, 1)
			const tables = 100
			var kept []*topic.Table[int, int]
			for b.Loop() {
				kept = nil
				before := heap()
				for range tables {
					table := topic.NewTable[int, int](0)
					for range 2 {
						for _, name := range names {
							table.Lookup(routes, name)
						}
					}
					kept = append(kept, table)
				}
				b.ReportMetric(float64(heap()-before)/tables, "B/table")
			}
			runtime.KeepAlive(kept)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func BenchmarkMatch(b *testing.B) {
	var many []topic.Filter
	for i := range 1000 {
		many = append(many, topic.Exact(fmt.Sprintf("weather.eu.city-%d.temperature", i)))
	}
	for _, test := range []struct {
		name   string
		filter topic.Filter
	}{
		{"prefix", topic.Prefix("weather.eu.")},
		{"exact", topic.Exact("weather.eu.city-500.temperature")},
		{"pattern", topic.Pattern("weather.*.*.temperature")},
		{"except", topic.Pattern("weather.>").Except(topic.Pattern("weather.eu.test.>"))},
		{"any=1000", topic.Any(many...)},
	} {
		b.Run(test.name, func(b *testing.B) {
			name := []byte("weather.eu.city-500.temperature")
			b.ReportAllocs()
			for b.Loop() {
				if !test.filter.Match(name) {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkCover(b *testing.B) {
	var fs []topic.Filter
	for i := range 10_000 {
		fs = append(fs, topic.Pattern(fmt.Sprintf("weather.eu.city-%d.*", i*7%10_000)))
	}
	for b.Loop() {
		if n := len(topic.Cover(fs...)); n != len(fs) {
			b.Fatal(n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topic.Parse("weather.eu.> or alerts except weather.eu.test.>"); err != nil {
			b.Fatal(err)
		}
	}
}
