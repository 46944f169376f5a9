package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	readings, err := load("")
	if err != nil {
		t.Fatal(err)
	}
	stations := make(map[string]int)
	for i, r := range readings {
		stations[r.Station]++
		if i > 0 && r.Time.Before(readings[i-1].Time) {
			t.Errorf("reading %d, of %v, comes after one of %v", i, r.Time, readings[i-1].Time)
		}
	}
	if len(readings) != 216 || len(stations) != 9 {
		t.Fatalf("%d readings of %d stations, want 216 of 9", len(readings), len(stations))
	}
	for station, n := range stations {
		if n != 24 {
			t.Errorf("%s has %d readings, want 24", station, n)
		}
	}
}

func TestParse(t *testing.T) {
	readings, err := parse("f", strings.NewReader("station,time,temperature,humidity\r\n\"a b\",2026-01-02T03:04:05+01:00,-1.5e1,100\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := readings[0]
	if len(readings) != 1 || r.Station != "a b" || !r.Time.Equal(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)) ||
		math.Abs(r.Temperature+15) > 1e-9 || r.Humidity != 100 {
		t.Fatalf("got %+v", readings)
	}
}

func TestParseProblems(t *testing.T) {
	const header = "station,time,temperature,humidity\n"
	const good = "a,2026-01-02T03:04:05Z,1,2\n"
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", []string{"f:1:1: the file is empty"}},
		{"station,time,humidity,temperature\n", []string{"f:1:1: the header is"}},
		{"a,b\n", []string{"f:1:", "want 4 fields"}},
		{header, []string{"f:2:1: there is no reading"}},
		{header + good + "a,2026-01-02T03:04:05Z,warm,2\n", []string{"f:3:24: temperature: ", `"warm"`}},
		{header + "a,2026-01-02T03:04:05Z,NaN,2\n", []string{"f:2:24: temperature: NaN is not within -100 to 70"}},
		{header + "a,2026-01-02T03:04:05Z,71,101\n", []string{"f:2:24: temperature: 71", "\nf:2:27: humidity: 101"}},
		{header + "a,yesterday,1,2\n", []string{"f:2:3: time: ", `"yesterday"`}},
		{header + "a..b,2026-01-02T03:04:05Z,1,2\n", []string{"f:2:1: station: topic: "}},
		{header + ",2026-01-02T03:04:05Z,1,2\n", []string{"f:2:1: station: "}},
		// One mistake does not hide the next.
		{header + "a,b,c\n" + good + "a,now,1,2\n", []string{"f:2:1: want 4 fields", "\nf:4:3: time: "}},
		{header + "a,\"b,1,2\n" + good, []string{"f:", "quote"}},
		{header + strings.Repeat("a,b,c,d\n", 1000), []string{"f:2:3: time: "}},
	} {
		readings, err := parse("f", strings.NewReader(c.in))
		if err == nil {
			t.Errorf("%.80q: no error, got %v", c.in, readings)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.80q: got %v, want %q in it", c.in, err, want)
			}
		}
		if n := strings.Count(err.Error(), "\n"); n > maxProblems+len(columns) {
			t.Errorf("%.80q: %d lines of errors", c.in, n)
		}
	}
}
