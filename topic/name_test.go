package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/heraldbus/herald/topic"
)

func TestValidate(t *testing.T) {
	long := strings.Repeat("a", topic.MaxLen)
	for _, name := range []string{
		"a", "weather.eu.paris", "Ωμέγα.é", "a b", "a*b.>c", "$bus", "$busy.x", "\uFFFD", long,
	} {
		if err := topic.Validate(name); err != nil {
			t.Errorf("Validate(%q) = %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                 `topic: invalid name "": it is empty`,
		long + "a":         `it has 256 bytes, at most 255`,
		".a":               `topic: invalid name ".a": segment 1 is empty`,
		"a..b":             `segment 2 is empty`,
		"a.":               `segment 2 is empty`,
		".":                `segment 1 is empty`,
		"a.*.c":            `segment 2 is the wildcard *`,
		"a.>":              `segment 2 is the wildcard >`,
		"a\x00b":           `byte 2 is the control character U+0000`,
		"a\n":              `byte 2 is the control character U+000A`,
		"a\u0085":          `byte 2 is the control character U+0085`,
		"ab\xff":           `byte 3 is not UTF-8`,
		"$bus.x":           `names that begin with $bus. belong to Herald`,
		"$bus.":            `segment 2 is empty`,
		long + "\n" + long: `… (511 bytes): it has 511 bytes`,
	} {
		err := topic.Validate(name)
		if !errors.Is(err, topic.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate(%q) = %v, want ErrInvalid and %q", name, err, want)
		}
	}
}

func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{"": false, "$bus": false, "$bus.": true, "$bus.heartbeat.x": true, "a.$bus.": false} {
		if topic.Reserved(name) != want || topic.Reserved([]byte(name)) != want {
			t.Errorf("Reserved(%q) = %v", name, !want)
		}
	}
	name := []byte("$bus.heartbeat.weather-eu")
	if n := testing.AllocsPerRun(100, func() { topic.Reserved(name) }); n != 0 {
		t.Errorf("Reserved allocates %v times", n)
	}
}
