package heartbeat_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

func TestConfigValidate(t *testing.T) {
	valid := []heartbeat.Config{
		{},
		{Suspect: 1}, {Suspect: 3}, {Stale: 1}, {Stale: 2}, {Suspect: 5, Stale: 5}, {Stale: 1000},
		{Phi: 1}, {Phi: 100}, {Phi: 8, Silence: time.Second, Tolerance: 1},
		{Silence: 1, Tolerance: time.Hour}, {StaleAfter: 1, Tolerance: 1},
	}
	for _, c := range valid {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if m, err := heartbeat.NewMonitor(c); m == nil || err != nil {
			t.Errorf("%+v: %v, %v", c, m, err)
		}
	}
	invalid := []struct {
		c    heartbeat.Config
		want []string // all of them
	}{
		{heartbeat.Config{Suspect: -1}, []string{"Suspect -1"}},
		{heartbeat.Config{Suspect: 4}, []string{"Suspect 4", "Stale, which is 3"}},
		{heartbeat.Config{Suspect: 3, Stale: 2}, []string{"Suspect 3", "Stale, which is 2"}},
		{heartbeat.Config{Stale: -2}, []string{"Stale -2"}},
		{heartbeat.Config{Stale: 1001}, []string{"Stale 1001"}},
		{heartbeat.Config{Phi: -1}, []string{"Phi -1"}},
		{heartbeat.Config{Phi: 0.5}, []string{"Phi 0.5"}},
		{heartbeat.Config{Phi: 101}, []string{"Phi 101"}},
		{heartbeat.Config{Phi: math.NaN()}, []string{"Phi NaN"}},
		{heartbeat.Config{Phi: math.Inf(1)}, []string{"Phi +Inf"}},
		{heartbeat.Config{Phi: 8, Stale: 4}, []string{"Phi 8", "Stale 4"}},
		{heartbeat.Config{Phi: 8, Suspect: 1}, []string{"Phi 8", "Suspect 1"}},
		{heartbeat.Config{StaleAfter: -1}, []string{"StaleAfter -1ns"}},
		{heartbeat.Config{StaleAfter: 1, Stale: 3}, []string{"StaleAfter 1ns"}},
		{heartbeat.Config{StaleAfter: 1, Silence: 1}, []string{"StaleAfter 1ns"}},
		{heartbeat.Config{Suspect: -1, Stale: -1, Phi: -1, Silence: -1, Tolerance: -1},
			[]string{"Suspect -1", "Stale -1", "Phi -1", "Silence -1ns", "Tolerance -1ns"}},
	}
	for _, tt := range invalid {
		err := tt.c.Validate()
		if err == nil {
			t.Errorf("%+v is accepted", tt.c)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v does not say %q", tt.c, err, want)
			}
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "heartbeat: Config.") {
				t.Errorf("%+v: error %q", tt.c, line)
			}
		}
		if m, newErr := heartbeat.NewMonitor(tt.c); m != nil || newErr == nil {
			t.Errorf("%+v: a Monitor of an invalid Config", tt.c)
		}
	}
}

// StaleAfter holds for publishers with and without heartbeats.
func TestStaleAfter(t *testing.T) {
	now := time.Now()
	for _, beats := range []bool{false, true} {
		m, err := heartbeat.NewMonitor(heartbeat.Config{StaleAfter: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if beats {
			m.Beat(now, heartbeat.Beat{Name: "p", Incarnation: 1, Interval: time.Hour})
		} else {
			m.Seen(now)
		}
		if got := m.Deadline(); !got.Equal(now.Add(time.Second)) {
			t.Errorf("beats %v: the deadline is in %v", beats, got.Sub(now))
		}
		if c := m.Check(now.Add(time.Second), time.Time{}); c.Kind != heartbeat.WentStale {
			t.Errorf("beats %v: %v", beats, c.Kind)
		}
	}
}
