package main

import (
	"errors"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 60, time.FixedZone("", 3600))

func TestPrintMessage(t *testing.T) {
	origin := bus.Origin{Publisher: "eu", Incarnation: 0xabc, Endpoint: "tcp://h:1"}
	for _, c := range []struct {
		m          bus.Message
		text, json string
	}{
		{
			bus.Message{Topic: "w.paris", Payload: []byte(`21.5 "C"`), Origin: origin, Seq: 7, Time: at},
			"w.paris\t21.5 \"C\"\n",
			`{"topic":"w.paris","payload":"21.5 \"C\"","publisher":"eu","source":"0000000000000abc","seq":7,"time":"2026-01-02T02:04:05.00000006Z","endpoint":"tcp://h:1"}` + "\n",
		},
		{
			bus.Message{Topic: "t", Payload: []byte{0xff, '\n'}, Origin: origin, Seq: 1, Time: at, Replayed: true, Retained: true},
			"t\t\\xff\\n\n",
			`{"topic":"t","payload_base64":"/wo=","publisher":"eu","source":"0000000000000abc","seq":1,"time":"2026-01-02T02:04:05.00000006Z","endpoint":"tcp://h:1","replayed":true,"retained":true}` + "\n",
		},
		{
			bus.Message{Topic: "a\tb\xff", Origin: bus.Origin{Endpoint: "ipc:///x"}, Extra: [][]byte{{1}, {}}},
			"a\\tb\\xff\t\n",
			`{"topic":"a\tb\ufffd","topic_base64":"YQli/w==","payload":"","extra_base64":["AQ==",""],"endpoint":"ipc:///x"}` + "\n",
		},
	} {
		if got := string((&printer{}).message(nil, &c.m)); got != c.text {
			t.Errorf("text:\n%q, want\n%q", got, c.text)
		}
		p := printer{json: true}
		for range 2 { // the second time with what is remembered of the origin
			if got := string(p.message(nil, &c.m)); got != c.json {
				t.Errorf("json:\n%s, want\n%s", got, c.json)
			}
		}
	}
}

func TestPrintStatus(t *testing.T) {
	c := bus.Change{Origin: bus.Origin{Publisher: "eu", Incarnation: 1, Endpoint: "tcp://h:1"}, Time: at}
	conn := bus.Change{Origin: bus.Origin{Endpoint: "tcp://h:1"}, Time: at}
	const (
		who  = `"publisher":"eu","source":"0000000000000001","endpoint":"tcp://h:1","time":"2026-01-02T02:04:05.00000006Z"`
		link = `"endpoint":"tcp://h:1","time":"2026-01-02T02:04:05.00000006Z"`
	)
	for _, x := range []struct {
		st         bus.Status
		text, json string
	}{
		{&bus.Connected{Change: conn, Remote: "1.2.3.4:5"}, "connected to tcp://h:1", `{"status":"connected",` + link + `,"remote":"1.2.3.4:5"}`},
		{&bus.Ready{Change: c}, "ready: eu at tcp://h:1 is ready", `{"status":"ready",` + who + `}`},
		{&bus.Disconnected{Change: conn, Err: errors.New("reset")}, "disconnected from tcp://h:1: reset", `{"status":"disconnected",` + link + `,"error":"reset"}`},
		{&bus.Stale{Change: c, Silence: 3250 * time.Millisecond}, "stale: eu at tcp://h:1 is stale: silent for 3.25s", `{"status":"stale",` + who + `,"silence_ms":3250}`},
		{&bus.Recovered{Change: c, Silence: time.Second}, "recovered: eu at tcp://h:1 has recovered after 1s of silence", `{"status":"recovered",` + who + `,"silence_ms":1000}`},
		{&bus.Restarted{Change: c, Was: 2}, "restarted: eu at tcp://h:1 has restarted: incarnation 0000000000000001, was 0000000000000002", `{"status":"restarted",` + who + `,"was":"0000000000000002"}`},
		{&bus.Gone{Change: c}, "gone: eu at tcp://h:1 has said goodbye", `{"status":"gone",` + who + `}`},
		{&bus.Switched{Change: conn, From: "tcp://g:1", To: "tcp://h:1"}, "failover from tcp://g:1 to tcp://h:1", `{"status":"failover",` + link + `,"from":"tcp://g:1","to":"tcp://h:1"}`},
		{&bus.Gap{Change: c, Topic: "t", Missed: 3, Exact: true, After: 4, Before: 8}, `gap: 3 events on "t" of eu at tcp://h:1 missed, after 4, before 8`, `{"status":"gap",` + who + `,"missed":3,"exact":true,"topic":"t","after":4,"before":8}`},
		{&bus.Gap{Change: c, Missed: 1}, "gap: at least 1 events of eu at tcp://h:1 missed, after 0, before 0", `{"status":"gap",` + who + `,"missed":1}`},
	} {
		if got := string((&printer{}).status(nil, x.st)); got != x.text+"\n" {
			t.Errorf("text:\n%s, want\n%s", got, x.text)
		}
		if got := string((&printer{json: true}).status(nil, x.st)); got != x.json+"\n" {
			t.Errorf("json:\n%s, want\n%s", got, x.json)
		}
	}
}

func sample() *bus.Message {
	return &bus.Message{
		Topic: "weather.eu.paris", Payload: []byte(`{"t":1234567,"celsius":21.5,"humidity":40,"station":"paris"}`),
		Origin: bus.Origin{Publisher: "weather-eu", Incarnation: 0x33260f26f65cf982, Endpoint: "tcp://127.0.0.1:5556"},
		Seq:    1234567, Time: at,
	}
}

func TestPrintAllocs(t *testing.T) {
	buf := make([]byte, 0, 4096)
	m := sample()
	for _, asJSON := range []bool{false, true} {
		p := printer{json: asJSON}
		if n := testing.AllocsPerRun(100, func() { p.message(buf, m) }); n > 0 {
			t.Errorf("json %v: %v allocations for an event", asJSON, n)
		}
	}
}

func BenchmarkPrint(b *testing.B) {
	for _, mode := range []string{"text", "json"} {
		b.Run(mode, func(b *testing.B) {
			p := printer{json: mode == "json"}
			m := sample()
			buf := p.message(nil, m)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = p.message(buf[:0], m)
			}
		})
	}
}
