package codec

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	jsoniter "github.com/json-iterator/go"
	"github.com/modern-go/reflect2"
)

// extension closes the gaps between json-iterator and encoding/json through
// which broken JSON would be published, or a field that its tag leaves out:
//
//   - what others write into the document (the result of MarshalJSON, a
//     json.RawMessage, a json.Number) is checked;
//   - the tag option omitzero is understood;
//   - the tag option string is ignored where encoding/json ignores it.
//
// json-iterator asks it once for each type and keeps the answer.
type extension struct{ jsoniter.DummyExtension }

var (
	number        = reflect.TypeFor[json.Number]()
	timeType      = reflect.TypeFor[time.Time]()
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	zeroer        = reflect.TypeFor[isZeroer]()

	errNotJSON = errors.New("MarshalJSON or json.RawMessage is not valid JSON")
	errNumber  = errors.New("json.Number is not a number")
)

// isZeroer is what the option omitzero asks.
type isZeroer interface{ IsZero() bool }

// implements reports whether t or a pointer to it has the methods of iface.
func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// DecorateEncoder puts a check around the encoders of types that write for
// themselves.
func (*extension) DecorateEncoder(typ reflect2.Type, encoder jsoniter.ValEncoder) jsoniter.ValEncoder {
	switch t := typ.Type1(); {
	case t == number:
		return &checkedNumber{encoder}
	case t == timeType:
		return encoder // common, and known to be right
	case implements(t, marshaler):
		return &checkedValue{encoder}
	}
	return encoder
}

type checkedValue struct{ jsoniter.ValEncoder }

func (e *checkedValue) Encode(ptr unsafe.Pointer, stream *jsoniter.Stream) {
	start := stream.Buffered()
	e.ValEncoder.Encode(ptr, stream)
	if wrote := stream.Buffer()[start:]; stream.Error == nil && !json.Valid(wrote) {
		stream.Error = fmt.Errorf("%w: %.60q", errNotJSON, wrote)
	}
}

type checkedNumber struct{ jsoniter.ValEncoder }

func (e *checkedNumber) Encode(ptr unsafe.Pointer, stream *jsoniter.Stream) {
	start := stream.Buffered()
	e.ValEncoder.Encode(ptr, stream)
	wrote := stream.Buffer()[start:] // never empty: "" is written as 0
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	if !json.Valid(wrote) || wrote[0] != '-' && !digit(wrote[0]) || !digit(wrote[len(wrote)-1]) {
		stream.Error = fmt.Errorf("%w: %.60q", errNumber, wrote)
	}
}

// UpdateStructDescriptor changes the bindings of fields whose tags
// json-iterator reads otherwise than encoding/json. It runs before
// json-iterator looks at the options.
func (*extension) UpdateStructDescriptor(s *jsoniter.StructDescriptor) {
	for _, b := range s.Fields {
		name, rest, _ := strings.Cut(b.Field.Tag().Get("json"), ",")
		options := strings.Split(rest, ",")
		t := b.Field.Type().Type1()
		var changed bool
		if i := slices.Index(options, "string"); i >= 0 && !quotable(t) {
			options, changed = slices.Delete(options, i, i+1), true
		}
		if slices.Contains(options, "omitzero") {
			orEmpty := slices.Contains(options, "omitempty")
			b.Encoder = &omitZero{b.Encoder, zeroTest(t), orEmpty}
			options, changed = append(options, "omitempty"), true
		}
		if changed {
			tag := name + "," + strings.Join(options, ",")
			b.Field = &retagged{b.Field, reflect.StructTag("json:" + strconv.Quote(tag))}
		}
	}
}

// quotable reports whether encoding/json applies the option string to a field
// of type t: to strings, numbers and booleans, and pointers to them, that do
// not write themselves.
func quotable(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		t = t.Elem()
	}
	k := t.Kind()
	return (k == reflect.String || k >= reflect.Bool && k <= reflect.Float64) &&
		!implements(t, marshaler) && !implements(t, textMarshaler)
}

// retagged is a field with another tag.
type retagged struct {
	reflect2.StructField
	tag reflect.StructTag
}

func (f *retagged) Tag() reflect.StructTag { return f.tag }

// omitZero answers json-iterator's question for emptiness, which it asks about
// fields with the option omitempty, as the option omitzero demands.
type omitZero struct {
	jsoniter.ValEncoder
	zero    func(unsafe.Pointer) bool
	orEmpty bool // omitempty was there as well
}

func (e *omitZero) IsEmpty(ptr unsafe.Pointer) bool {
	return e.zero(ptr) || e.orEmpty && e.ValEncoder.IsEmpty(ptr)
}

// zeroTest returns encoding/json's test for a zero value of type t: its method
// IsZero if it has one, and otherwise a comparison with the zero value.
func zeroTest(t reflect.Type) func(unsafe.Pointer) bool {
	switch {
	case t.Implements(zeroer):
		return func(ptr unsafe.Pointer) bool {
			v := reflect.NewAt(t, ptr).Elem()
			switch v.Kind() {
			case reflect.Interface:
				if v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
					return true
				}
			case reflect.Pointer:
				if v.IsNil() {
					return true
				}
			}
			return v.Interface().(isZeroer).IsZero()
		}
	case reflect.PointerTo(t).Implements(zeroer):
		return func(ptr unsafe.Pointer) bool {
			return reflect.NewAt(t, ptr).Interface().(isZeroer).IsZero()
		}
	}
	return func(ptr unsafe.Pointer) bool { return reflect.NewAt(t, ptr).Elem().IsZero() }
}
