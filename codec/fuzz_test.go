package codec_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/heraldbus/herald/codec"
)

// fields is what FuzzJSON decodes into: every sort of field but a map with
// integer keys, whose reading differs.
type fields struct {
	A  int             `json:"a"`
	U  *uint8          `json:"u"`
	F  float64         `json:"f"`
	S  string          `json:"s"`
	L  []int           `json:"l"`
	Y  []byte          `json:"y"`
	Ar [2]bool         `json:"ar"`
	M  map[string]int  `json:"m"`
	X  any             `json:"x"`
	R  json.RawMessage `json:"r"`
	St int             `json:"st,string"`
	D  *fields         `json:"d"`
}

var (
	surrogate  = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
	folding    = regexp.MustCompile("[\u017f\u212a]|\\\\u017[fF]|\\\\u212[aA]")
	hugeNumber = regexp.MustCompile(`[eE]\+?[0-9]{3}|[0-9]{300}`)
	rawNull    = regexp.MustCompile(`"([rR]|\\u[0-9a-fA-F]{4})"\s*:\s*null`)
	quotedNull = regexp.MustCompile(`"[^"]*(null|\\u)[^"]*"`)
)

// FuzzJSON holds the reading of any document against encoding/json, and what
// was read is written and read again. The exceptions are those of the
// documentation of JSON.
func FuzzJSON(f *testing.F) {
	for _, doc := range documents {
		if len(doc) < 1000 {
			f.Add([]byte(doc))
		}
	}
	anyCodec, fieldsCodec := codec.JSON[any](), codec.JSON[fields]()
	f.Fuzz(func(t *testing.T, data []byte) {
		// Into any, only the surrogates are read otherwise.
		var want any
		wantErr := json.Unmarshal(data, &want)
		got, err := anyCodec.Decode(data)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("any: %v, encoding/json says %v", err, wantErr)
		}
		if err == nil && !surrogate.Match(data) && !reflect.DeepEqual(got, want) {
			t.Fatalf("any: %#v, encoding/json reads %#v", got, want)
		}
		if err == nil {
			rewrite(t, anyCodec, got)
		}

		var wantFields fields
		wantErr = json.Unmarshal(data, &wantFields)
		gotFields, err := fieldsCodec.Decode(data)
		known := hugeNumber.Match(data) || folding.Match(data) || quotedNull.Match(data)
		if (err == nil) != (wantErr == nil) && !known {
			t.Fatalf("fields: %v, encoding/json says %v", err, wantErr)
		}
		if err == nil && wantErr == nil && !known && !surrogate.Match(data) && utf8.Valid(data) &&
			!rawNull.Match(data) && !reflect.DeepEqual(gotFields, wantFields) {
			t.Fatalf("fields: %+v, encoding/json reads %+v", gotFields, wantFields)
		}
		if err == nil {
			rewrite(t, fieldsCodec, gotFields)
		}
	})
}

// rewrite fails the test unless v comes back from its own encoding, which must
// be valid JSON.
func rewrite[T any](t *testing.T, c codec.Codec[T], v T) {
	t.Helper()
	out, err := c.Append(nil, v)
	if err != nil {
		t.Fatalf("%#v cannot be written: %v", v, err)
	}
	if !json.Valid(out) {
		t.Fatalf("%#v is written as %q, which is not JSON", v, out)
	}
	again, err := c.Decode(out)
	if err != nil {
		t.Fatalf("%q, which we wrote, cannot be read: %v", out, err)
	}
	second, err := c.Append(nil, again)
	if err != nil || string(second) != string(out) {
		t.Fatalf("%q became %q (%v)", out, second, err)
	}
}
