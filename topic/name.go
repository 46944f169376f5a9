package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxLen is the longest name and the longest pattern, in bytes.
	MaxLen = 255

	// ReservedPrefix begins the names that belong to Herald (docs/wire.md,
	// reserved topics).
	ReservedPrefix = "$bus."
)

// ErrInvalid is wrapped by every error of this package: a name, a pattern or
// the text of a filter breaks the rules.
var ErrInvalid = errors.New("topic: invalid")

// Validate reports why an application may not publish under name, or nil. The
// error wraps ErrInvalid. Reserved names are refused.
func Validate(name string) error {
	problem := fault(name, false)
	if problem == "" && Reserved(name) {
		problem = "names that begin with " + ReservedPrefix + " belong to Herald, choose another"
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("%w name %s: %s", ErrInvalid, show(name), problem)
}

// Reserved reports whether name, which need not be valid, begins with
// ReservedPrefix.
func Reserved[T ~string | ~[]byte](name T) bool {
	return len(name) >= len(ReservedPrefix) && string(name[:len(ReservedPrefix)]) == ReservedPrefix
}

// fault says what is wrong with a name, or with a pattern, in which whole
// segments can be wildcards. It returns "" for a good one.
func fault(s string, wild bool) string {
	switch {
	case s == "":
		return fmt.Sprintf("it is empty, write 1 to %d bytes", MaxLen)
	case len(s) > MaxLen:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(s), MaxLen)
	}
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return fmt.Sprintf("byte %d is not UTF-8", i+1)
			}
		}
		if unicode.IsControl(r) {
			return fmt.Sprintf("byte %d is the control character %U", i+1, r)
		}
	}
	segment := 0
	for rest, more := s, true; more; {
		var seg string
		seg, rest, more = strings.Cut(rest, ".")
		segment++
		switch {
		case seg == "":
			return fmt.Sprintf("segment %d is empty", segment)
		case !wild && (seg == "*" || seg == ">"):
			return fmt.Sprintf("segment %d is the wildcard %s, which only a pattern can have", segment, seg)
		case wild && seg == ">" && more:
			return fmt.Sprintf("segment %d is >, which can only be the last", segment)
		case wild && len(seg) > 1 && strings.ContainsAny(seg, "*>"):
			return fmt.Sprintf("segment %d is %s, but * and > stand for whole segments (use Prefix for a part of one, Exact for a topic that has the character in its name)", segment, show(seg))
		}
	}
	return ""
}

// show quotes s for an error message, shortened so that a hostile topic cannot
// fill a log.
func show(s string) string {
	const most = MaxLen + 1
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
}
