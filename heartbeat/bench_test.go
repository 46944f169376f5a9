package heartbeat_test

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/heraldbus/herald/heartbeat"
)

func TestMonitorIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(heartbeat.Monitor{}); size > 300 {
		t.Errorf("a Monitor has %d bytes", size)
	}
}

func TestMonitorAllocatesNothing(t *testing.T) {
	for _, cfg := range []heartbeat.Config{{}, {Phi: 8}} {
		m, _ := heartbeat.NewMonitor(cfg)
		now := time.Now()
		b := aBeat()
		if n := testing.AllocsPerRun(100, func() {
			now = now.Add(sec)
			m.Beat(now, b)
			m.Seen(now)
			m.Pause(now)
			m.Resume(now)
			m.Check(m.Deadline(), time.Time{})
		}); n != 0 {
			t.Errorf("%+v: %v allocations", cfg, n)
		}
	}
}

func BenchmarkMonitor(b *testing.B) {
	b.Run("Seen", func(b *testing.B) {
		m, _ := heartbeat.NewMonitor(heartbeat.Config{})
		now := time.Now()
		m.Beat(now, aBeat())
		for b.Loop() {
			now = now.Add(ms)
			m.Seen(now)
		}
	})
	for _, cfg := range []heartbeat.Config{{}, {Phi: 8}} {
		b.Run(fmt.Sprintf("Beat phi %v", cfg.Phi), func(b *testing.B) {
			m, _ := heartbeat.NewMonitor(cfg)
			now, beat := time.Now(), aBeat()
			for b.Loop() {
				now = now.Add(sec)
				m.Beat(now, beat)
			}
		})
	}
}

func BenchmarkBeat(b *testing.B) {
	beat := aBeat()
	data := beat.Append(nil)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data = beat.Append(data[:0])
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = heartbeat.Decode(data)
		}
	})
}
