package heartbeat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/heartbeat"
)

func aBeat() heartbeat.Beat {
	return heartbeat.Beat{
		Name:        "weather-eu",
		Incarnation: 0x0123456789abcdef,
		Seq:         42,
		Interval:    time.Second,
		Started:     time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		Endpoints:   []string{"tcp://main:5556", "ipc:///run/<weather>.sock"},
	}
}

const aBeatJSON = `{"v":1,"name":"weather-eu","source":"0123456789abcdef","seq":42,"interval_ms":1000,` +
	`"started":"2024-05-01T12:00:00Z","endpoints":["tcp://main:5556","ipc:///run/<weather>.sock"],"bye":false}`

func ExampleBeat() {
	b := heartbeat.Beat{
		Name:        "weather-eu",
		Incarnation: 0x0123456789abcdef,
		Seq:         42,
		Interval:    500 * time.Millisecond,
		Started:     time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		Bye:         true,
	}
	payload := b.Append(nil)
	fmt.Println(heartbeat.Topic(b.Name))
	fmt.Println(string(payload))

	got, err := heartbeat.Decode(payload)
	fmt.Println(got.Incarnation, got.Interval, got.Bye, err)
	// Output:
	// $bus.heartbeat.weather-eu
	// {"v":1,"name":"weather-eu","source":"0123456789abcdef","seq":42,"interval_ms":500,"started":"2024-05-01T12:00:00Z","endpoints":[],"bye":true}
	// 0123456789abcdef 500ms true <nil>
}

func TestBeatAppend(t *testing.T) {
	b := aBeat()
	if got := string(b.Append([]byte("head"))); got != "head"+aBeatJSON {
		t.Errorf("got  %s\nwant head%s", got, aBeatJSON)
	}
	if !json.Valid(b.Append(nil)) {
		t.Error("not JSON")
	}
	b.Started, b.Endpoints, b.Interval = time.Time{}, nil, 1500500*time.Microsecond
	want := `{"v":1,"name":"weather-eu","source":"0123456789abcdef","seq":42,"interval_ms":1501,"endpoints":[],"bye":false}`
	if got := string(b.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecode(t *testing.T) {
	const head = `{"v":1,"name":"a","source":"00000000000000ff","interval_ms":1000`
	least := heartbeat.Beat{Name: "a", Incarnation: 255, Interval: time.Second}
	with := func(change func(*heartbeat.Beat)) heartbeat.Beat {
		b := least
		change(&b)
		return b
	}
	tests := []struct {
		name, data string
		want       heartbeat.Beat
	}{
		{"all fields", aBeatJSON, aBeat()},
		{"required fields", head + "}", least},
		{"unknown fields", head + `,"load":[1,{"a":null}],"V":7,"BYE":true}`, least},
		{"spaces", " " + strings.ReplaceAll(head, ",", " ,\n\t") + "}\n", least},
		{"nulls", head + `,"seq":null,"started":null,"endpoints":null,"bye":null}`, least},
		{"upper case source", `{"v":1.0,"name":"a","source":"00000000000000FF","interval_ms":1e3}`, least},
		{"fraction", `{"v":1,"name":"a","source":"00000000000000ff","interval_ms":999.5}`, least},
		{"greatest", `{"v":1,"name":"a","source":"ffffffffffffffff","interval_ms":86400000,"seq":18446744073709551615}`,
			heartbeat.Beat{Name: "a", Incarnation: 1<<64 - 1, Interval: 24 * time.Hour, Seq: 1<<64 - 1}},
		{"local time", head + `,"started":"2024-05-01T14:00:00.25+02:00"}`,
			with(func(b *heartbeat.Beat) { b.Started = time.Date(2024, 5, 1, 12, 0, 0, 25e7, time.UTC) })},
		{"bye", head + `,"bye":true}`, with(func(b *heartbeat.Beat) { b.Bye = true })},
		{"last of two", head + `,"seq":1,"seq":2}`, with(func(b *heartbeat.Beat) { b.Seq = 2 })},
	}
	for _, tt := range tests {
		got, err := heartbeat.Decode([]byte(tt.data))
		got.Started = got.Started.UTC()
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(aBeatJSON, old) {
			t.Fatalf("%s is not in the beat", old)
		}
		return strings.Replace(aBeatJSON, old, new, 1)
	}
	many := `"endpoints":["x"` + strings.Repeat(`,"x"`, heartbeat.MaxEndpoints) + `]`
	list := `"endpoints":["tcp://main:5556","ipc:///run/<weather>.sock"]`
	tests := []struct {
		data string
		want []string // all of them
	}{
		{"", []string{"not JSON"}},
		{aBeatJSON + "x", []string{"not JSON"}},
		{aBeatJSON + "\x00x", []string{"not JSON"}},
		{"[]", []string{"invalid beat"}},
		{"null", []string{"v is missing"}},
		{"{}", []string{"v is missing"}},
		{strings.Repeat(" ", heartbeat.MaxSize) + aBeatJSON, []string{"65536"}},
		{replace(`"v":1`, `"v":0`), []string{"v is missing"}},
		{replace(`"v":1`, `"v":"1"`), []string{"invalid beat"}},
		{`{"v":1}`, []string{"name", "source", "interval_ms 0"}},
		{replace(`"weather-eu"`, `""`), []string{"name of 0 bytes"}},
		{replace(`"weather-eu"`, `"a.b"`), []string{`name "a.b"`, `'.'`}},
		{replace(`"weather-eu"`, `7`), []string{"invalid beat"}},
		{replace(`"weather-eu"`, `"`+strings.Repeat("a", 101)+`"`), []string{"name of 101 bytes"}},
		{replace("0123456789abcdef", "123456789abcdef"), []string{`source "123456789abcdef"`}},
		{replace("0123456789abcdef", "0000000000000000"), []string{"source", "not all zero"}},
		{replace("0123456789abcdef", "+123456789abcdef"), []string{"source"}},
		{replace(`"0123456789abcdef"`, `81985529216486895`), []string{"invalid beat"}},
		{replace(`"seq":42`, `"seq":-1`), []string{"invalid beat"}},
		{replace(`"seq":42`, `"seq":18446744073709551616`), []string{"invalid beat"}},
		{replace(`"seq":42`, `"seq":1.5`), []string{"invalid beat"}},
		{replace("1000", "0"), []string{"interval_ms 0"}},
		{replace("1000", "-5"), []string{"interval_ms -5"}},
		{replace("1000", "0.4"), []string{"interval_ms 0.4"}},
		{replace("1000", "86400001"), []string{"interval_ms 8.6400001e+07"}},
		{replace("1000", "1e300"), []string{"interval_ms 1e+300"}},
		{replace("2024-05-01T12:00:00Z", "yesterday"), []string{`started "yesterday"`}},
		{replace("2024-05-01T12:00:00Z", "9999-12-31T23:59:59-01:00"), []string{"started: year 10000"}},
		{replace(list, many), []string{"endpoints: 65 are too many"}},
		{replace("tcp://main:5556", ""), []string{"endpoints: number 0"}},
		{replace("tcp://main:5556", "a\\nb"), []string{`endpoints: number 0, "a\nb"`}},
		{replace("tcp://main:5556", "a\xffb"), []string{"endpoints: number 0"}},
		{replace("tcp://main:5556", "\x7f"), []string{"endpoints: number 0"}},
		{replace("tcp://main:5556", strings.Repeat("e", 401)), []string{"endpoints: number 0"}},
		{replace(list, `"endpoints":{}`), []string{"invalid beat"}},
		{replace(`"bye":false`, `"bye":1`), []string{"invalid beat"}},
		{strings.Replace(replace(`"weather-eu"`, `"é"`), "1000", "0", 1), []string{"name", "interval_ms"}},
	}
	for _, tt := range tests {
		b, err := heartbeat.Decode([]byte(tt.data))
		if !errors.Is(err, heartbeat.ErrInvalid) || errors.Is(err, heartbeat.ErrVersion) || !reflect.DeepEqual(b, heartbeat.Beat{}) {
			t.Errorf("%.80q: %+v, %v", tt.data, b, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "heartbeat: ") || len(err.Error()) > 1000 {
			t.Errorf("%.80q: error %v", tt.data, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.80q: error %v does not say %q", tt.data, err, want)
			}
		}
	}
	for _, other := range []string{`{"v":2}`, `{"v":2,"name":{},"interval_ms":"1s"}`, `{"v":-1}`, `{"v":1.5}`} {
		if _, err := heartbeat.Decode([]byte(other)); !errors.Is(err, heartbeat.ErrVersion) || errors.Is(err, heartbeat.ErrInvalid) {
			t.Errorf("%s: %v", other, err)
		}
	}
}

func TestDecodeKeepsNothing(t *testing.T) {
	data := []byte(aBeatJSON)
	b, err := heartbeat.Decode(data)
	for i := range data {
		data[i] = '#'
	}
	if err != nil || !reflect.DeepEqual(b, aBeat()) {
		t.Errorf("after data was overwritten: %+v, %v", b, err)
	}
}

func TestBeatValidate(t *testing.T) {
	b := aBeat()
	if err := b.Validate(); err != nil {
		t.Error(err)
	}
	b = heartbeat.Beat{
		Started:   time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		Endpoints: make([]string, 65),
	}
	err := b.Validate()
	if !errors.Is(err, heartbeat.ErrInvalid) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"name", "source", "interval_ms", "started", "endpoints"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// TestBeatMaxSize encodes the largest valid beat.
func TestBeatMaxSize(t *testing.T) {
	b := heartbeat.Beat{
		Name:        strings.Repeat("n", heartbeat.MaxName),
		Incarnation: 1<<64 - 1,
		Seq:         1<<64 - 1,
		Interval:    heartbeat.MaxInterval,
		Started:     time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		Endpoints:   make([]string, heartbeat.MaxEndpoints),
	}
	for i := range b.Endpoints {
		b.Endpoints[i] = strings.Repeat(`"`, heartbeat.MaxEndpoint)
	}
	data := b.Append(nil)
	if err := b.Validate(); err != nil || len(data) > heartbeat.MaxSize {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if got, err := heartbeat.Decode(data); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzDecode: whatever is accepted is valid and comes back from its encoding.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{aBeatJSON, "{}", `{"v":1}`, `{"v":2}`,
		`{"v":1,"name":"a","source":"00000000000000FF","interval_ms":1.5,"started":"2024-05-01T14:00:00.25+02:00","endpoints":["\"\u2028<"],"bye":true,"x":[{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := heartbeat.Decode(data)
		if err != nil {
			if !errors.Is(err, heartbeat.ErrInvalid) && !errors.Is(err, heartbeat.ErrVersion) {
				t.Fatalf("error without a sentinel: %v", err)
			}
			return
		}
		if err := b.Validate(); err != nil {
			t.Fatalf("decoded %+v: %v", b, err)
		}
		out := b.Append(nil)
		again, err := heartbeat.Decode(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !again.Started.Equal(b.Started) {
			t.Fatalf("started %v became %v", b.Started, again.Started)
		}
		again.Started = b.Started
		if len(b.Endpoints) == 0 {
			b.Endpoints, again.Endpoints = nil, nil
		}
		if !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v became %+v", b, again)
		}
	})
}

func TestSource(t *testing.T) {
	for _, s := range []heartbeat.Incarnation{1, 0xdeadbeef, 1<<64 - 1} {
		text, err := s.MarshalText()
		if err != nil || string(text) != s.String() || s.String() != fmt.Sprintf("%016x", uint64(s)) {
			t.Errorf("%d prints as %s and %s, %v", uint64(s), s, text, err)
		}
		var back heartbeat.Incarnation
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%s became %s, %v", s, back, err)
		}
	}
	for _, bad := range []string{"", "0", "0000000000000000", "000000000000000g", "0x00000000000001", "00000000000000001", "-000000000000001"} {
		s := heartbeat.Incarnation(7)
		if err := s.UnmarshalText([]byte(bad)); !errors.Is(err, heartbeat.ErrInvalid) || s != 7 {
			t.Errorf("%q: %s, %v", bad, s, err)
		}
	}
}

func TestTopic(t *testing.T) {
	long := strings.Repeat("x", heartbeat.MaxName)
	for _, name := range []string{"a", "Z-9_", long} {
		if got, ok := heartbeat.NameOf(heartbeat.Topic(name)); got != name || !ok {
			t.Errorf("%q became %q, %v", name, got, ok)
		}
	}
	for _, topic := range []string{"", "$bus.heartbeat.", "$bus.heartbeat.a.b", "$bus.heartbeat.a b", "$bus.heartbeat.é",
		"$bus.heartbeat." + long + "x", "$bus.hello.a", "x$bus.heartbeat.a", "$bus.heartbeat"} {
		if name, ok := heartbeat.NameOf(topic); name != "" || ok {
			t.Errorf("%q has the name %q", topic, name)
		}
	}
}
