package bus

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// Header is one key and value that travel with an event.
type Header struct {
	Key   string // UTF-8 in lower case, such as content-type
	Value string
}

// HeaderContentType is the header that names the encoding of a payload.
const HeaderContentType = "content-type"

// Bounds on headers: they go with every event, and are no place for data.
const (
	maxHeaders     = 64
	maxHeaderBytes = 16 << 10
)

// appendHeaders encodes headers as docs/wire.md has it.
func appendHeaders(dst []byte, headers []Header) ([]byte, error) {
	if len(headers) > maxHeaders {
		return dst, fmt.Errorf("bus: %d headers: at most %d are allowed", len(headers), maxHeaders)
	}
	start := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(headers)))
	for _, h := range headers {
		switch {
		case h.Key == "" || !utf8.ValidString(h.Key):
			return dst, fmt.Errorf("bus: header key %q: want UTF-8, not empty", h.Key)
		case h.Key != strings.ToLower(h.Key):
			return dst, fmt.Errorf("bus: header key %q: want lower case, %q", h.Key, strings.ToLower(h.Key))
		}
		dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = binary.AppendUvarint(dst, uint64(len(h.Value)))
		dst = append(dst, h.Value...)
	}
	if n := len(dst) - start; n > maxHeaderBytes {
		return dst, fmt.Errorf("bus: the headers have %d bytes: at most %d are allowed", n, maxHeaderBytes)
	}
	return dst, nil
}

// eachHeader yields the headers that are encoded in b, up to maxHeaders and up to
// the first that is malformed: what a peer sends must not hurt, and an event whose
// headers are broken is an event still.
func eachHeader(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		n, b, ok := uvarint(b)
		for n = min(n, maxHeaders); ok && n > 0; n-- {
			var k, v []byte
			if k, b, ok = cutField(b); !ok {
				return
			}
			if v, b, ok = cutField(b); !ok {
				return
			}
			if !yield(k, v) {
				return
			}
		}
	}
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	n, b, ok := uvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
