package codec

import (
	"fmt"
	"unicode/utf8"
)

// Text returns the codec of plain text, "text/plain; charset=utf-8". Bytes that
// are not UTF-8 are an error on both sides; use [Bytes] to carry them.
func Text() Codec[string] { return text{} }

type text struct{}

func (text) ContentType() string { return "text/plain; charset=utf-8" }

func (text) Append(dst []byte, v string) ([]byte, error) {
	if !utf8.ValidString(v) {
		return dst, textError("encode", v)
	}
	return append(dst, v...), nil
}

func (text) Decode(data []byte) (string, error) {
	v := string(data)
	if !utf8.ValidString(v) {
		return "", textError("decode", v)
	}
	return v, nil
}

// textError names the first byte of s that is not UTF-8.
func textError(op, s string) error {
	at := 0
	for at < len(s) {
		r, size := utf8.DecodeRuneInString(s[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return &Error{Op: op, Type: "string", Err: fmt.Errorf(
		"byte %#02x at offset %d is not UTF-8: use codec.Bytes for arbitrary bytes", s[at], at)}
}
