package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// narrator turns events into lines that a person can follow: each status is one,
// readings are gathered into one line a second. It is not safe for concurrent use.
type narrator struct {
	out   io.Writer
	start time.Time
	names map[string]string // of endpoints, for better reading; may be nil

	stations  map[string]*summary // by station
	statuses  map[string]int      // by kind
	unread    int                 // messages that are no readings
	since     map[string]int      // readings by publisher since the last line
	last      map[string]Reading  // by station, since the last line
	nextCount time.Time
}

// summary is what is remembered of a station's readings.
type summary struct {
	readings              int
	temperature, humidity float64 // sums
	coldest, warmest      float64
}

func newNarrator(out io.Writer) *narrator {
	now := time.Now()
	return &narrator{
		out: out, start: now, nextCount: now.Add(time.Second),
		stations: make(map[string]*summary),
		statuses: make(map[string]int),
		since:    make(map[string]int),
		last:     make(map[string]Reading),
	}
}

// say prints a line: when, who, what.
func (n *narrator) say(who, format string, args ...any) {
	fmt.Fprintf(n.out, "%6.2fs  %-11s  %s\n", time.Since(n.start).Seconds(), who, fmt.Sprintf(format, args...))
}

// hear takes note of an event.
func (n *narrator) hear(ev bus.Event) {
	switch ev := ev.(type) {
	case *bus.Message:
		n.count(ev)
	case bus.Status:
		n.statuses[ev.Kind()]++
		origin, _ := ev.About()
		n.say(cmp.Or(origin.Publisher, n.name(origin.Endpoint)), "%s", n.describe(ev))
	}
	if time.Now().After(n.nextCount) {
		n.flush()
	}
}

// describe tells what a status means for the publisher at the start of the line.
// Every status can also say this by itself, see String.
func (n *narrator) describe(st bus.Status) string {
	const precision = time.Millisecond
	switch st := st.(type) {
	case *bus.Connected:
		return "connected"
	case *bus.Disconnected:
		return fmt.Sprintf("disconnected: %v", st.Err)
	case *bus.Ready:
		return "ready: nothing that it publishes from now on is missed"
	case *bus.Stale:
		return fmt.Sprintf("stale: silent for %v", st.Silence.Round(precision))
	case *bus.Recovered:
		return fmt.Sprintf("recovered after %v of silence", st.Silence.Round(precision))
	case *bus.Restarted:
		return fmt.Sprintf("restarted: incarnation %v, was %v", st.Incarnation, st.Was)
	case *bus.Gone:
		return "gone: it said goodbye"
	case *bus.Switched:
		return fmt.Sprintf("failover: takes over from %s", n.name(st.From))
	}
	return st.String()
}

func (n *narrator) name(endpoint string) string { return cmp.Or(n.names[endpoint], endpoint) }

func (n *narrator) count(m *bus.Message) {
	r, err := Readings.Decode(m)
	if err == nil {
		err = topic.Validate(Readings.Key(r.Station)) // it goes to the terminal
	}
	if err != nil {
		// Whoever can connect can publish: a strange message is no reason to end.
		n.unread++
		n.say(n.name(m.Endpoint), "sent what is no reading: %v", err)
		return
	}
	s := n.stations[r.Station]
	if s == nil {
		s = &summary{coldest: r.Temperature, warmest: r.Temperature}
		n.stations[r.Station] = s
	}
	s.readings++
	s.temperature += r.Temperature
	s.humidity += r.Humidity
	s.coldest = min(s.coldest, r.Temperature)
	s.warmest = max(s.warmest, r.Temperature)
	n.since[cmp.Or(m.Publisher, n.name(m.Endpoint))]++
	n.last[r.Station] = r
}

// flush prints the line about the readings since the one before.
func (n *narrator) flush() {
	n.nextCount = time.Now().Add(time.Second)
	if len(n.last) == 0 {
		return
	}
	var from []string
	for _, publisher := range slices.Sorted(maps.Keys(n.since)) {
		from = append(from, fmt.Sprintf("%d from %s", n.since[publisher], publisher))
	}
	byTemperature := slices.SortedFunc(maps.Values(n.last), func(a, b Reading) int {
		return cmp.Or(cmp.Compare(a.Temperature, b.Temperature), cmp.Compare(a.Station, b.Station))
	})
	coldest, warmest := byTemperature[0], byTemperature[len(byTemperature)-1]
	n.say("readings", "%s; now %.1f °C at %s to %.1f °C at %s", strings.Join(from, ", "),
		coldest.Temperature, coldest.Station, warmest.Temperature, warmest.Station)
	clear(n.since)
	clear(n.last)
}

// finish prints what all of it came to.
func (n *narrator) finish() {
	n.flush()
	fmt.Fprintf(n.out, "\n%-18s %9s  %8s  %17s  %8s\n", "station", "readings", "mean", "range", "humidity")
	total := 0
	for _, name := range slices.Sorted(maps.Keys(n.stations)) {
		s := n.stations[name]
		count := float64(s.readings)
		total += s.readings
		fmt.Fprintf(n.out, "%-18s %9d  %5.1f °C  %5.1f to %5.1f °C  %6.0f %%\n",
			name, s.readings, s.temperature/count, s.coldest, s.warmest, s.humidity/count)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(n.statuses)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", n.statuses[kind], kind))
	}
	fmt.Fprintf(n.out, "\n%d readings of %d stations in %.1f s; statuses: %s\n",
		total, len(n.stations), time.Since(n.start).Seconds(), cmp.Or(strings.Join(kinds, ", "), "none"))
	if n.unread > 0 {
		fmt.Fprintf(n.out, "%d messages were no readings\n", n.unread)
	}
}
