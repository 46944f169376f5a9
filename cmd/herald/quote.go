package main

import (
	"unicode"
	"unicode/utf8"
)

// bytestring is what can be quoted without being converted.
type bytestring interface{ ~string | ~[]byte }

// Classes of bytes.
const (
	plain   = iota
	control // below 0x20, and 0x7f
	quoted  // a quote or a backslash, which JSON escapes
	high    // part of a character beyond ASCII, or of none
)

var classes = func() (t [256]byte) {
	for b := range t {
		switch {
		case b < 0x20 || b == 0x7f:
			t[b] = control
		case b == '"' || b == '\\':
			t[b] = quoted
		case b >= 0x80:
			t[b] = high
		}
	}
	return
}()

const hexDigits = "0123456789abcdef"

// appendText appends s as it is, but for what would break a line or the terminal:
// control characters, the separators U+2028 and U+2029, and bytes that are not
// UTF-8 are escaped as Go's %q does it.
func appendText[S bytestring](dst []byte, s S) []byte {
	from := 0
	for i := 0; i < len(s); {
		switch classes[s[i]] {
		case control:
			dst = append(dst, s[from:i]...)
			dst = appendControl(dst, s[i])
			i++
			from = i
		case high:
			r, n := decode(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
				from = i + n
			} else if breaksLine(r) {
				dst = append(dst, s[from:i]...)
				dst = appendRune(dst, r)
				from = i + n
			}
			i += n
		default:
			i++
		}
	}
	return append(dst, s[from:]...)
}

func appendControl(dst []byte, b byte) []byte {
	if b >= '\a' && b <= '\r' {
		return append(dst, '\\', "abtnvfr"[b-'\a'])
	}
	return append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
}

// appendJSON appends s as a JSON string on one line. What is not UTF-8 becomes
// U+FFFD. Beyond what JSON demands, it escapes all that ends a line somewhere, as
// in Python's splitlines.
func appendJSON[S bytestring](dst []byte, s S) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		switch c := s[i]; classes[c] {
		case plain:
			i++
		case quoted:
			dst = append(dst, s[from:i]...)
			dst = append(dst, '\\', c)
			i++
			from = i
		case control:
			dst = append(dst, s[from:i]...)
			switch c {
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = appendRune(dst, rune(c))
			}
			i++
			from = i
		case high:
			r, n := decode(s[i:])
			if breaksLine(r) || r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = appendRune(dst, r)
				from = i + n
			}
			i += n
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// appendRune appends \u and four hex digits.
func appendRune(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// breaksLine reports whether a character beyond ASCII is a control character or
// ends a line.
func breaksLine(r rune) bool { return r == '\u2028' || r == '\u2029' || unicode.IsControl(r) }

// decode is utf8.DecodeRune.
func decode[S bytestring](s S) (rune, int) {
	return utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
}

// valid is utf8.Valid.
func valid[S bytestring](s S) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return utf8.ValidString(string(s))
		}
	}
	return true
}
