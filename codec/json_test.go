//lint:file-ignore SA5008 what odd tags do is what is tested here

package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/codec"
)

type inner struct {
	A int
	B string `json:"b,omitempty"`
}

type Outer struct {
	A int
	C int
}

type embedded struct {
	inner
	Outer
	D int
}

type embeddedPointer struct {
	*Outer
	D int
}

type tagged struct {
	Zero  int             `json:",omitempty"`
	None  [0]int          `json:",omitempty"`
	Array [2]int          `json:",omitempty"`
	Ptr   *int            `json:",omitempty"`
	Map   map[string]int  `json:",omitempty"`
	Slice []int           `json:",omitempty"`
	Time  time.Time       `json:",omitempty"`
	Empty struct{}        `json:",omitempty"`
	Any   any             `json:",omitempty"`
	Raw   json.RawMessage `json:",omitempty"`
	Num   json.Number     `json:",omitempty"`
	Skip  int             `json:"-"`
	Dash  int             `json:"-,"`
	When  time.Time       `json:"when,omitzero"`
	Addr  netip.Addr      `json:"addr,omitzero"`
	Odd   even            `json:"odd,omitzero"`
	PtrZ  *even           `json:"ptrz,omitzero"`
	Iface isZeroer        `json:"iface,omitzero"`
	Both  []int           `json:"both,omitzero,omitempty"`
	Only  []int           `json:"only,omitzero"`
	PtrR  pointerZero     `json:"ptrr,omitzero"`
}

type isZeroer interface{ IsZero() bool }

// even is zero when it is even.
type even int

func (e even) IsZero() bool { return e%2 == 0 }

type pointerZero struct{ N int }

func (p *pointerZero) IsZero() bool { return p.N == 7 }

type quoted struct {
	I int       `json:",string"`
	S string    `json:",string"`
	B bool      `json:",string"`
	F float64   `json:",string"`
	P *int      `json:",string"`
	L []string  `json:",string"` // the option is ignored from here on
	T time.Time `json:",string"`
	O Outer     `json:"o,string"`
	M millis    `json:",string"`
}

// millis writes itself, though its kind is a number.
type millis int

func (m millis) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%dms"`, int(m)), nil }

// literal writes its own text.
type literal struct{ Text string }

func (l literal) MarshalJSON() ([]byte, error) { return []byte(l.Text), nil }

// shouting has its methods on the pointer.
type shouting struct{ S string }

func (s *shouting) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(s.S)), nil }
func (s *shouting) UnmarshalText(b []byte) error { s.S = strings.ToLower(string(b)); return nil }

type number struct{ N json.Number }
type raw struct{ R json.RawMessage }
type escaped struct {
	A int `json:"é"`
	B int `json:"a-b/c"`
}

// TestJSONWritesLikeStandard holds JSON[any] against json.Marshal.
func TestJSONWritesLikeStandard(t *testing.T) {
	five := 5
	full := tagged{1, [0]int{}, [2]int{1, 2}, &five, map[string]int{"a": 1}, []int{1}, time.Unix(1, 5).UTC(), struct{}{},
		1, json.RawMessage("1"), "1", 2, 3, time.Unix(0, 0).UTC(), netip.MustParseAddr("::1"), 3, new(even(2)), even(1), []int{}, []int{}, pointerZero{7}}
	values := []any{
		nil, true, 1, int8(-3), uint64(math.MaxUint64), 1.5, 1e20, 1e21, 1e-6, float32(3.4e38), float32(0.1), math.Copysign(0, -1),
		math.MaxFloat64, math.SmallestNonzeroFloat64, uintptr(3), time.Second, &five,
		math.NaN(), math.Inf(1), float32(math.Inf(-1)),
		"", "a<b>&c", "\u2028\u2029", "\xff\xfe a", "\x00\x01\x7f\t\r\n\"\\/", "\U0001F600", "\xed\xa0\x80",
		[]byte("hi"), []byte(nil), []byte{}, []int(nil), []int{}, [3]byte{1, 2, 3}, []any{1, "a", nil, map[string]any{"z": 1, "a": []any{}}},
		map[string]int{"b": 1, "a": 2, "<": 3, "\xff": 4}, map[int]string{10: "a", 9: "b", -1: "c"}, map[string]int(nil),
		map[[2]int]int{{1, 2}: 1}, map[netip.Addr]int{netip.MustParseAddr("1.2.3.4"): 1},
		embedded{inner{1, "x"}, Outer{2, 3}, 4}, embeddedPointer{nil, 3}, embeddedPointer{&Outer{1, 2}, 3},
		&tagged{}, &full, &tagged{Odd: 2, Iface: (*even)(nil)}, &tagged{Odd: 2, PtrZ: new(even(1)), Iface: even(2), Only: []int{1}},
		quoted{P: &five, L: []string{"a"}, S: `x"`, F: 1.5},
		number{""}, number{"12"}, number{"1e400"}, number{"-0.5e+7"}, number{"abc"}, number{"01"}, number{"true"}, number{`"1"`}, number{"1 "},
		raw{nil}, raw{json.RawMessage(`{"a":1}`)}, raw{json.RawMessage(`{bad`)}, raw{json.RawMessage(`1 2`)}, raw{json.RawMessage{}},
		json.RawMessage(`{}x`), json.RawMessage(nil), []json.RawMessage{[]byte("1"), []byte("")},
		literal{`{"a":1}`}, literal{`{bad`}, literal{``}, literal{`1 2`}, []literal{{"1"}, {""}}, map[string]literal{"a": {"]"}},
		time.Unix(0, 0).UTC(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), big.NewInt(1 << 60), netip.MustParseAddr("1.2.3.4"),
		make(chan int), func() {}, complex(1, 1), struct{ C chan int }{}, struct{ a int }{1}, struct{ X **int }{},
		escaped{1, 2}, struct{ Ünï int }{3}, &shouting{"a"}, []shouting{{"b"}}, (*shouting)(nil), []any{make(chan int)},
	}
	c := codec.JSON[any]()
	for _, v := range values {
		want, wantErr := json.Marshal(v)
		got, err := c.Append([]byte("head"), v)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%T %+v: error %v, encoding/json says %v", v, v, err, wantErr)
		} else if string(got) != "head"+string(want) {
			t.Errorf("%T %+v: %s, encoding/json writes %s", v, v, got, want)
		}
	}
}

// TestJSONWritesDifferently pins the differences that the documentation names.
func TestJSONWritesDifferently(t *testing.T) {
	tests := []struct {
		name      string
		v         any
		std, ours string
	}{
		{"small float", 1e-7, `1e-7`, `1e-07`},
		{"backspace", "\b\f", `"\b\f"`, `"\u0008\u000c"`},
		{"pointer method in a map", map[string]shouting{"a": {"b"}}, `{"a":{"S":"b"}}`, `{"a":"B"}`},
		{"spaces of MarshalJSON", literal{`{ "<" : 1 }`}, `{"\u003c":1}`, `{ "<" : 1 }`},
		{"spaces of RawMessage", raw{[]byte(`[ 1 ]`)}, `{"R":[1]}`, `{"R":[ 1 ]}`},
		{"name of a field", struct {
			A int `json:"a<b"`
		}{1}, `{"a\u003cb":1}`, `{"a<b":1}`},
		{"quoted nil", struct {
			P *int `json:",string"`
		}{}, `{"P":null}`, `{"P":"null"}`},
		{"float key", map[float64]int{1: 1}, "", `{"1":1}`},
		{"bool key", map[bool]int{true: 1}, "", `{"true":1}`},
		{"any key", map[any]int{"a": 1}, "", `{"a":1}`},
		{"text key", map[loud]int{"a": 1}, `{"a":1}`, `{"A":1}`},
	}
	c := codec.JSON[any]()
	for _, tt := range tests {
		std, _ := json.Marshal(tt.v)
		ours, err := c.Append(nil, tt.v)
		if string(std) != tt.std || string(ours) != tt.ours || err != nil {
			t.Errorf("%s: encoding/json %s, ours %s (%v); want %s and %s", tt.name, std, ours, err, tt.std, tt.ours)
		}
	}
	// The codec's own value counts as addressable.
	if b, err := codec.JSON[shouting]().Append(nil, shouting{"a"}); string(b) != `"A"` || err != nil {
		t.Errorf("pointer method of the value: %s, %v", b, err)
	}
}

// TestJSONOfEveryKind writes and reads types of every shape, also those that are
// one pointer in memory, which json-iterator treats apart.
func TestJSONOfEveryKind(t *testing.T) {
	five := 5
	roundTrip(t, 5, `5`)
	roundTrip(t, "s", `"s"`)
	roundTrip(t, &five, `5`)
	roundTrip(t, (*int)(nil), `null`)
	roundTrip(t, []int{1}, `[1]`)
	roundTrip(t, [1]*int{&five}, `[5]`)
	roundTrip(t, [2]int{1, 2}, `[1,2]`)
	roundTrip(t, map[string]int{"a": 1}, `{"a":1}`)
	roundTrip(t, map[string]int(nil), `null`)
	roundTrip(t, any(1.5), `1.5`)
	roundTrip(t, any(nil), `null`)
	roundTrip(t, struct{}{}, `{}`)
	roundTrip(t, struct{ P *int }{&five}, `{"P":5}`)
	roundTrip(t, struct{ M map[string]int }{map[string]int{"a": 1}}, `{"M":{"a":1}}`)
	roundTrip(t, time.Unix(0, 0).UTC(), `"1970-01-01T00:00:00Z"`)
	roundTrip(t, netip.MustParseAddr("::1"), `"::1"`)
	roundTrip(t, shouting{"a"}, `"A"`)
	roundTrip(t, &shouting{"a"}, `"A"`)
	roundTrip(t, []shouting{{"a"}}, `["A"]`)
	roundTrip(t, json.RawMessage(`[1]`), `[1]`)
	roundTrip(t, json.Number("12"), `12`)
	roundTrip(t, big.NewInt(7), `7`)
	roundTrip(t, embedded{Outer: Outer{C: 3}, D: 4}, `{"C":3,"D":4}`)
}

func roundTrip[T any](t *testing.T, v T, want string) {
	t.Helper()
	c := codec.JSON[T]()
	for range 2 { // the second time from the pool
		out, err := c.Append(nil, v)
		if string(out) != want || err != nil {
			t.Errorf("%T: wrote %s, %v; want %s", v, out, err, want)
		}
		back, err := c.Decode(out)
		if err != nil || !reflect.DeepEqual(back, v) {
			t.Errorf("%T: read %+v, %v", v, back, err)
		}
	}
}

// loud is a string that writes itself as text.
type loud string

func (l loud) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(l))), nil }

// document has a field of every sort.
type document struct {
	A  int             `json:"a"`
	U  uint8           `json:"u"`
	F  float64         `json:"f"`
	F3 float32         `json:"f3"`
	S  string          `json:"s"`
	B  bool            `json:"b"`
	P  *int            `json:"p"`
	L  []int           `json:"l"`
	Y  []byte          `json:"y"`
	Ar [2]int          `json:"ar"`
	M  map[string]int  `json:"m"`
	I  map[int]int     `json:"i"`
	X  any             `json:"x"`
	T  time.Time       `json:"t"`
	N  json.Number     `json:"n"`
	R  json.RawMessage `json:"r"`
	St int             `json:"st,string"`
	E  struct{ Z int } `json:"e"`
	D  *document       `json:"d"`
	Sh shouting        `json:"sh"`
}

// documents are accepted, refused and read as encoding/json does it.
var documents = []string{
	``, ` `, `null`, `{}`, `[]`, `{"a":1}`, `{"a":1}x`, `{"a":1} `, `{"a":1}{}`, `{"a":1,}`, `{,}`, `[1,]`, `{"A":2}`, `{"a":1,"a":2}`, `{"a":null}`,
	`{"a":1.0}`, `{"a":1.5}`, `{"a":1e2}`, `{"a":"1"}`, `{"a":01}`, `{"a":-0}`, `{"a":-}`, `{"a":+1}`, `{"a":99999999999999999999}`, `{"u":256}`, `{"u":-1}`,
	`{"f":1.}`, `{"f":.5}`, `{"f":1e}`, `{"f":1e400}`, `{"f":-01}`, `{"f":1e+}`, `{"f":1_0}`, `{"f":0x1}`, `{"f":-0}`, `{"f":NaN}`, `{"f":Infinity}`, `{"f":--1}`, `{"f":1.5.5}`, `{"f":00.5}`, `{"f":1+1}`,
	`{"f3":1e39}`, `{"f3":0.1}`, `{"f":0.1234567890123456789}`, `{"f":12345678901234567890}`,
	"{\"s\":\"a\x01b\"}", "{\"s\":\"a\\n\x01b\"}", "{\"s\":\"a\nb\"}", "{\"s\":\"\\ta\nb\"}", `{"s":"\ud800"}`, `{"s":"\ud800\u0041"}`, `{"s":"\ud83d\ude00"}`, `{"s":"\udc00\ud800"}`,
	`{"s":"\x"}`, `{"s":"\u12"}`, `{"s":"\u12G4"}`, "{\"s\":\"\xff\xfe\"}", "{\"\xff\":\"\xff\"}", `{"s":'a'}`, `{"s":"\ud800\n"}`,
	`{"s":1}`, `{"s":null}`, `{"s":true}`, `{"b":1}`, `{"b":tru}`, `{"b":truex}`, `{"b":null}`, `{"s":nulx}`, `{"a":nul}`,
	`{"p":null}`, `{"p":3}`, `{"l":null}`, `{"l":[]}`, `{"l":[1,null]}`, `{"l":{}}`, `{"l":1}`, `{"l":[1,2],"l":[3]}`, `{"y":"aGk="}`, `{"y":"aGk"}`, `{"y":"!!"}`, `{"y":[1,2]}`, `{"y":""}`, `{"y":null}`, `{"y":"aG\nk="}`,
	`{"ar":[1]}`, `{"ar":[1,2,3]}`, `{"ar":null}`, `{"m":{"a":1,"a":2}}`, `{"m":{"\u0061":1}}`, `{"m":{a:1}}`, `{"m":null}`, `{"m":{"a":null}}`, `{"i":{"1":2}}`, `{"i":{"x":2}}`, `{null:1}`,
	`{"x":1}`, `{"x":[1,"a",{"b":null}]}`, `{"x":1e400}`, `{"x":-}`, `{"x":01}`, `{"x":1.}`, `{"x":[1 2]}`, `{"x":{"a" 1}}`, `{"x":tru}`, `{"x":"\ud800"}`, "{\"x\":\"\xff\"}", `{"x":[}`, `{"x":{"a":1,}}`, `{"x":[,]}`, `{"x":1 ,"a":3}`,
	`{"t":"2024-01-01T00:00:00Z"}`, `{"t":"x"}`, `{"t":null}`, `{"t":1}`, `{"n":1}`, `{"n":"1"}`, `{"n":1.}`, `{"n":1-1}`, `{"n":null}`, `{"r": {"a" : 1} }`, `{"r":01}`, `{"r":[1,}`, "{\"r\":\"\\n\x01\"}", `{"r":1e}`,
	`{"st":"1"}`, `{"st":1}`, `{"st":"x"}`, `{"e":{"z":1}}`, `{"e":null}`, `{"e":[]}`, `{"\u0061":4}`, `{"sh":"AB"}`, `{"sh":1}`, `{"d":{"d":{"a":1}}}`,
	`{"zz":01}`, `{"zz":1.}`, `{"zz":-}`, "{\"zz\":\"\\n\x01\"}", "{\"z\\n\x01\":1}", `{"zz":1e+-5}`, `{"zz":tru}`, `{"zz":[1,]}`, `{"zz":1-2}`, `{"zz":-01}`, `{"zz":"\ud800"}`, `{"zz":"\x"}`, `{"zz":[{"a":[null,true,"\u00e9",1.5e3]}]}`,
	"\ufeff{}", "{\"a\":1\x00}", "{\"a\":1}\x00", "{\"a\":1}\x00{}", "{\u00a0}", `{"a":1/*c*/}`, "\v{}", "[1]\r\n\t ", `{"a":1,,"u":2}`, `{"a"::1}`, `{"a":}`, `{"a"}`, `{a:1}`, `{1:1}`, `"x"`, `1`, `true`, `-1`, `01`, `1.`,
	`"`, `"\`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `[`, `[1`, `[1,`, `t`, `n`, `nul`, `nulll`, `truefalse`, `1 2`, `"a""b"`,
	strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	strings.Repeat(`{"d":`, 9000) + "null" + strings.Repeat("}", 9000), strings.Repeat(`{"d":`, 10001) + "null" + strings.Repeat("}", 10001),
	`{"zz":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, `{"r":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`,
}

func TestJSONReadsLikeStandard(t *testing.T) {
	for _, doc := range documents {
		sameReading[any](t, doc)
		sameReading[document](t, doc)
		sameReading[*document](t, doc)
	}
}

// sameReading fails the test unless JSON[T] and json.Unmarshal agree on doc.
func sameReading[T any](t *testing.T, doc string) {
	t.Helper()
	var want T
	wantErr := json.Unmarshal([]byte(doc), &want)
	got, err := codec.JSON[T]().Decode([]byte(doc))
	switch {
	case (err == nil) != (wantErr == nil):
		t.Errorf("%T from %.80q: error %v, encoding/json says %v", want, doc, err, wantErr)
	case err != nil && !reflect.ValueOf(&got).Elem().IsZero():
		t.Errorf("%T from %.80q: a value %+v beside the error %v", want, doc, got, err)
	case err == nil && !reflect.DeepEqual(got, want):
		t.Errorf("%T from %.80q: %+v, encoding/json reads %+v", want, doc, got, want)
	}
}

// TestJSONReadsDifferently pins the differences that the documentation names.
func TestJSONReadsDifferently(t *testing.T) {
	tests := []struct {
		name, doc string
		std, ours any // error: any error
	}{
		{"byte that is not UTF-8 in a RawMessage", "{\"r\":\"\xff\"}", document{R: []byte("\"\xff\"")}, document{R: []byte("\"\ufffd\"")}},
		{"lone surrogate before a pair", `{"s":"\ud800\ud83d\ude00"}`, document{S: "\ufffd\U0001F600"}, document{S: "\ufffd\ufffd\ufffd"}},
		{"long s", `{"ſ":"x"}`, document{S: "x"}, document{}},
		{"huge number in no field", `{"zz":1e999}`, document{}, errors.New("")},
		{"json.Number in quotes", `{"n":"x"}`, errors.New(""), document{N: "x"}},
		{"null in a RawMessage", `{"r":null}`, document{R: []byte("null")}, document{}},
		{"integer key", `{"i":{"01":2}}`, document{I: map[int]int{1: 2}}, errors.New("")},
	}
	for _, tt := range tests {
		var std document
		stdErr := json.Unmarshal([]byte(tt.doc), &std)
		ours, err := codec.JSON[document]().Decode([]byte(tt.doc))
		if !outcome(std, stdErr, tt.std) {
			t.Errorf("%s: encoding/json reads %+v, %v", tt.name, std, stdErr)
		}
		if !outcome(ours, err, tt.ours) {
			t.Errorf("%s: we read %+v, %v", tt.name, ours, err)
		}
	}
}

func outcome(got document, err error, want any) bool {
	if _, failed := want.(error); failed {
		return err != nil
	}
	return err == nil && reflect.DeepEqual(got, want)
}

func TestJSONKeepsNothing(t *testing.T) {
	doc := `{"s":"text","y":"aGk=","r":{"a":"b"},"n":123,"x":{"k":["v"]},"m":{"key":1},"sh":"ABC"}`
	c := codec.JSON[document]()
	data := []byte(doc)
	got, err := c.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = '#'
	}
	var want document
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after data was overwritten the value is %+v", got)
	}
	// Nothing of one value shows in the next.
	next, err := c.Decode([]byte(`{}`))
	if err != nil || !reflect.DeepEqual(next, document{}) {
		t.Errorf("second value %+v, %v", next, err)
	}
}

func TestJSONErrors(t *testing.T) {
	c := codec.JSON[document]()
	for _, tt := range []struct{ doc, want string }{
		{`{"a":}`, "codec: decode codec_test.document: invalid character '}' looking for beginning of value at offset 6"},
		{``, "codec: decode codec_test.document: unexpected end of JSON input at offset 0"},
		{`{"a":"x"}`, "codec: decode codec_test.document: "},
	} {
		_, err := c.Decode([]byte(tt.doc))
		var e *codec.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), tt.want) || errors.Unwrap(e) == nil {
			t.Errorf("%q: error %v, want %s", tt.doc, err, tt.want)
		}
	}
	var syntax *json.SyntaxError
	if _, err := c.Decode([]byte(`{"a":}`)); !errors.As(err, &syntax) || syntax.Offset != 6 {
		t.Errorf("no *json.SyntaxError in %v", err)
	}
	// A failed Append leaves dst as it was, and the next one is whole.
	failing := codec.JSON[any]()
	dst := append(make([]byte, 0, 64), "head"...)
	out, err := failing.Append(dst, []any{1, math.NaN()})
	if string(out) != "head" || err == nil || !strings.HasPrefix(err.Error(), "codec: encode interface {}: ") {
		t.Errorf("Append of NaN: %q, %v", out, err)
	}
	if out, err = failing.Append(dst, 1); string(out) != "head1" || err != nil {
		t.Errorf("Append after an error: %q, %v", out, err)
	}
}

// TestJSONConcurrent runs one codec from several goroutines, for -race.
func TestJSONConcurrent(t *testing.T) {
	c := codec.JSON[map[string]int]()
	done := make(chan error)
	for g := range 4 {
		go func() {
			for i := range 200 {
				b, err := c.Append(nil, map[string]int{"g": g, "i": i})
				if err == nil {
					var v map[string]int
					if v, err = c.Decode(b); err == nil && (v["g"] != g || v["i"] != i) {
						err = fmt.Errorf("%d %d became %v", g, i, v)
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
