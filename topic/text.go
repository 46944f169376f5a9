package topic

import (
	"fmt"
	"strconv"
	"strings"
)

// The words of a filter's text that are not topics.
const (
	wordOr      = "or"
	wordAnd     = "and"
	wordNot     = "not"
	wordExcept  = "except"
	wordPrefix  = "prefix"
	wordPattern = "pattern"
)

// String returns the canonical text of f. Parse reads it back to a filter that is
// Equal to f. Of a bad filter it returns a text that Parse refuses.
func (f Filter) String() string {
	if err := f.Err(); err != nil {
		return "bad filter (" + err.Error() + ")"
	}
	return string(f.node().append(nil, false))
}

// MarshalText returns String, or the error of a bad filter.
func (f Filter) MarshalText() ([]byte, error) {
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("topic: cannot write a bad filter as text: %w", err)
	}
	return f.node().append(nil, false), nil
}

// UnmarshalText sets f to what Parse makes of text, and leaves it alone if that
// is an error.
func (f *Filter) UnmarshalText(text []byte) error {
	g, err := Parse(string(text))
	if err == nil {
		*f = g
	}
	return err
}

// append appends the text of n, which is not bad. Inside another text, what has
// operators goes into parentheses, also where the grammar could do without.
func (n *node) append(dst []byte, inside bool) []byte {
	switch n.kind {
	case kindExact:
		return appendText(dst, n.text, plainName(n.text))
	case kindPrefix:
		return appendText(append(dst, wordPrefix+" "...), n.text, plainPrefix(n.text))
	case kindPattern:
		if !printable(n.text) {
			dst = append(dst, wordPattern+" "...)
		}
		return appendText(dst, n.text, printable(n.text))
	}
	if n == nothing {
		return append(dst, wordNot+" >"...)
	}
	if inverse, ok := n.inverted(); ok {
		if inverse == nothing {
			return append(dst, '>')
		}
		return inverse.append(append(dst, wordNot+" "...), true)
	}
	between := " " + wordOr + " "
	if n.kind == kindAll {
		between = " " + wordAnd + " "
	}
	if inside {
		dst = append(dst, '(')
	}
	for i, kid := range n.kids {
		if i > 0 {
			dst = append(dst, between...)
		}
		dst = kid.append(dst, true)
	}
	if n.not != nil {
		dst = n.not.append(append(dst, " "+wordExcept+" "...), true)
	}
	if inside {
		dst = append(dst, ')')
	}
	return dst
}

func appendText(dst []byte, text string, plain bool) []byte {
	if plain {
		return append(dst, text...)
	}
	return strconv.AppendQuote(dst, text)
}

// plainName reports whether text, standing alone, is a word that means
// Exact(text).
func plainName(text string) bool {
	return printable(text) && !keyword(text) && !strings.ContainsAny(text, "*>") && fault(text, false) == ""
}

// plainPrefix reports whether text is a word that can follow "prefix".
func plainPrefix(text string) bool {
	return printable(text) && !keyword(text) && !strings.ContainsAny(text, "*>")
}

// printable reports whether text can be written as a word.
func printable(text string) bool { return text != "" && word(text) == text }

// word returns the word that text begins with, or "".
func word(text string) string {
	for i, r := range text {
		// U+FFFD stands in for what is not UTF-8. A zero-width space and its
		// like are not printable and so cannot hide in a word.
		if r == '\uFFFD' || r == ' ' || !strconv.IsPrint(r) || strings.ContainsRune("()|&\"'`,;!\\", r) {
			return text[:i]
		}
	}
	return text
}

func keyword(text string) bool {
	switch text {
	case wordOr, wordAnd, wordNot, wordExcept, wordPrefix, wordPattern:
		return true
	}
	return false
}
