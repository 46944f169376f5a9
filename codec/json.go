package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"

	jsoniter "github.com/json-iterator/go"
	"github.com/modern-go/reflect2"
)

// JSON returns the codec of T as JSON (RFC 8259), "application/json". It reads
// the struct tags of encoding/json and calls the same methods (MarshalJSON,
// UnmarshalJSON, MarshalText, UnmarshalText); the work is done by json-iterator.
//
// A document is accepted only if encoding/json accepts its syntax: json.Valid
// looks at it first, so data after the value, nesting deeper than 10000 and
// all else that json-iterator would let pass are errors. What Append returns
// is always valid JSON.
//
// Writing differs from json.Marshal in this:
//   - v counts as addressable, as if its address had been given to
//     json.Marshal: methods with pointer receivers are called, also on the
//     elements of a map.
//   - What MarshalJSON and json.RawMessage return is checked, but neither
//     compacted nor HTML-escaped, and names of fields are not HTML-escaped.
//   - Small floats are written 1e-07, where json.Marshal writes 1e-7, and \b
//     and \f as \u0008 and \u000c: the same values.
//   - The tag option string writes a nil pointer as "null" in quotes.
//   - Maps with keys of type float, bool or any are written; a string type
//     with MarshalText is used through it as a key.
//   - A value that contains itself overflows the stack, which ends the
//     process; json.Marshal returns an error.
//
// Reading differs from json.Unmarshal in this:
//   - Invalid UTF-8 becomes U+FFFD everywhere, also in a json.RawMessage.
//   - A lone surrogate escape right before a pair spoils the pair as well.
//   - Names are matched without regard to case by their lower-case form, not
//     by Unicode folding: the long s is no s.
//   - A number out of the range of float64 is an error even in a field that T
//     does not have.
//   - A json.Number in quotes is not checked before it is used or written.
//   - null makes a json.RawMessage nil.
//   - Integer keys of a map must be written as JSON numbers are: no "01".
//
// Both ways, the error of a method of T is told in the text of the [Error],
// but is not in its chain.
func JSON[T any]() Codec[T] {
	t := reflect.TypeFor[T]()
	c := &jsonCodec[T]{typ: t.String()}
	byPointer := implements(t, marshaler) && !t.Implements(marshaler) ||
		implements(t, textMarshaler) && !t.Implements(textMarshaler)
	if typ := reflect2.Type2(t); !typ.LikePtr() && !byPointer {
		c.encoder = api.EncoderOf(typ)
	}
	c.slots.New = func() any {
		return &slot[T]{stream: jsoniter.NewStream(api, nil, 0)}
	}
	return c
}

// api is jsoniter.ConfigCompatibleWithStandardLibrary with our extension, which
// also stands in for the option ValidateJsonRawMessage: that one writes null
// for an invalid message and takes `1 2` for valid.
var api = func() jsoniter.API {
	api := jsoniter.Config{EscapeHTML: true, SortMapKeys: true}.Froze()
	api.RegisterExtension(&extension{})
	return api
}()

// jsonCodec holds no state but its pool.
type jsonCodec[T any] struct {
	typ     string
	encoder jsoniter.ValEncoder // spares an allocation; nil: T needs WriteVal of its address
	slots   sync.Pool           // of *slot[T]
}

// slot is what one call needs. Values are encoded from a slot and decoded into
// one, because json-iterator wants a pointer in an interface: one to the
// caller's own variable would move that variable to the heap on every call.
type slot[T any] struct {
	v      T
	stream *jsoniter.Stream
}

// release forgets all that belongs to the caller and returns s to the pool. A
// slot is not released when a method of T panics.
func (c *jsonCodec[T]) release(s *slot[T]) {
	var zero T
	s.v = zero
	s.stream.SetBuffer(nil)
	s.stream.Error = nil
	c.slots.Put(s)
}

func (c *jsonCodec[T]) ContentType() string { return "application/json" }

// room is the free space that Append starts with, so that a stream of small
// writes into an empty slice does not grow it many times.
const room = 256

func (c *jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	s := c.slots.Get().(*slot[T])
	s.v = v
	s.stream.SetBuffer(slices.Grow(dst, room))
	if c.encoder != nil {
		c.encoder.Encode(unsafe.Pointer(&s.v), s.stream)
	} else {
		s.stream.WriteVal(&s.v)
	}
	out, err := s.stream.Buffer(), s.stream.Error
	c.release(s)
	if err != nil {
		return dst, &Error{Op: "encode", Type: c.typ, Err: err}
	}
	return out, nil
}

func (c *jsonCodec[T]) Decode(data []byte) (T, error) {
	var zero T
	if !json.Valid(data) {
		return zero, &Error{Op: "decode", Type: c.typ, Err: syntaxError(data)}
	}
	if !utf8.Valid(data) {
		data = repair(data)
	}
	s := c.slots.Get().(*slot[T])
	err := api.Unmarshal(data, &s.v)
	v := s.v
	c.release(s)
	if err != nil {
		return zero, &Error{Op: "decode", Type: c.typ, Err: err}
	}
	return v, nil
}

// syntaxError returns encoding/json's own words on why data is not valid,
// with the offset, which json.Valid does not tell.
func syntaxError(data []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w at offset %d", err, syntax.Offset)
	}
	return err
}

// repair returns a copy of data in which each byte that is not UTF-8 has
// become U+FFFD, as json.Unmarshal reads it. json-iterator would pass the byte
// on in a Go string.
func repair(data []byte) []byte {
	out := make([]byte, 0, len(data)+16)
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		out = utf8.AppendRune(out, r)
		data = data[size:]
	}
	return out
}
