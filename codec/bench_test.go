package codec_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/heraldbus/herald/codec"
)

// flat is an event as most are: a few fields, no pointers but strings.
type flat struct {
	Station  string  `json:"station"`
	Celsius  float64 `json:"celsius"`
	Humidity int     `json:"humidity"`
	OK       bool    `json:"ok"`
}

// rich has a bit of everything.
type rich struct {
	flat
	At    time.Time         `json:"at"`
	Tags  []string          `json:"tags"`
	Attrs map[string]string `json:"attrs"`
}

var (
	aFlat = flat{"paris-montsouris", 21.5, 61, true}
	aRich = rich{aFlat, time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		[]string{"eu", "roof", "calibrated"}, map[string]string{"vendor": "acme", "model": "x100"}}
)

func TestAllocations(t *testing.T) {
	j, s, b := codec.JSON[flat](), codec.Text(), codec.Bytes()
	payload, _ := json.Marshal(aFlat)
	dst := make([]byte, 0, 1024)
	var v flat
	for _, tt := range []struct {
		name string
		want float64
		f    func()
	}{
		{"JSON Append", 0, func() { dst, _ = j.Append(dst[:0], aFlat) }},
		{"JSON Decode", 1, func() { v, _ = j.Decode(payload) }}, // the string
		{"Text Append", 0, func() { dst, _ = s.Append(dst[:0], "text") }},
		{"Bytes Append", 0, func() { dst, _ = b.Append(dst[:0], payload) }},
		{"Bytes Decode", 1, func() { _, _ = b.Decode(payload) }},
	} {
		// A collection during the run empties the pool, so the mean may be
		// a little above: AllocsPerRun rounds it down.
		if got := testing.AllocsPerRun(200, tt.f); got > tt.want && !raceEnabled {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
	if v != aFlat {
		t.Errorf("decoded %+v", v)
	}
}

func BenchmarkAppend(b *testing.B) {
	b.Run("flat", func(b *testing.B) { benchmarkAppend(b, aFlat) })
	b.Run("rich", func(b *testing.B) { benchmarkAppend(b, aRich) })
}

func benchmarkAppend[T any](b *testing.B, v T) {
	b.Run("codec", func(b *testing.B) {
		c, dst := codec.JSON[T](), make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = c.Append(dst[:0], v)
		}
		b.SetBytes(int64(len(dst)))
	})
	b.Run("codec to nil", func(b *testing.B) {
		c := codec.JSON[T]()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Append(nil, v)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			out, _ = json.Marshal(v)
		}
		b.SetBytes(int64(len(out)))
	})
}

func BenchmarkDecode(b *testing.B) {
	b.Run("flat", func(b *testing.B) { benchmarkDecode(b, aFlat) })
	b.Run("rich", func(b *testing.B) { benchmarkDecode(b, aRich) })
	b.Run("any", func(b *testing.B) { benchmarkDecode[any](b, aRich) })
}

func benchmarkDecode[T any](b *testing.B, v T) {
	data, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("codec", func(b *testing.B) {
		c := codec.JSON[T]()
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			_, _ = c.Decode(data)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var v T
			_ = json.Unmarshal(data, &v)
		}
	})
}
