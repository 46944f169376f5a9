package topic

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says where the text of a filter goes wrong. It unwraps to
// ErrInvalid.
type SyntaxError struct {
	Offset  int    // in bytes, from 0
	Column  int    // in characters, from 1
	Near    string // some of the text from there on, empty at its end
	Problem string
}

func (e *SyntaxError) Error() string {
	if e.Near == "" {
		return fmt.Sprintf("%v filter: at its end (column %d): %s", ErrInvalid, e.Column, e.Problem)
	}
	return fmt.Sprintf("%v filter: column %d, at %q: %s", ErrInvalid, e.Column, e.Near, e.Problem)
}

// Unwrap returns ErrInvalid.
func (e *SyntaxError) Unwrap() error { return ErrInvalid }

// Parse reads the text of a filter; the package documentation has its grammar.
// Empty text is everything. The error is a *SyntaxError, and the filter then is
// None.
func Parse(text string) (Filter, error) {
	p := parser{text: text}
	n := p.filter()
	if p.err != nil {
		return None(), p.err
	}
	return wrap(n), nil
}

type token uint8

const (
	tokenEnd token = iota
	tokenOpen
	tokenClose
	tokenOr
	tokenAnd
	tokenNot
	tokenExcept
	tokenPrefix
	tokenPattern
	tokenWord
	tokenQuoted
)

var keywords = map[string]token{
	wordOr: tokenOr, wordAnd: tokenAnd, wordNot: tokenNot, wordExcept: tokenExcept,
	wordPrefix: tokenPrefix, wordPattern: tokenPattern,
}

// parser is a descent through the grammar, one token ahead. The first error
// stands; after it all tokens are tokenEnd, so that the descent ends.
type parser struct {
	text  string
	next  int // where what follows the token begins
	start int // where the token begins
	token token
	value string // of a tokenWord, a keyword or a tokenQuoted
	depth int    // of parentheses
	err   error
}

func (p *parser) fail(at int, format string, args ...any) {
	if p.err != nil {
		return
	}
	near := p.text[at:]
	for i, count := 0, 0; i < len(near); count++ {
		if count == 20 {
			near = near[:i] + "…"
			break
		}
		_, n := utf8.DecodeRuneInString(near[i:])
		i += n
	}
	p.err = &SyntaxError{
		Offset:  at,
		Column:  utf8.RuneCountInString(p.text[:at]) + 1,
		Near:    near,
		Problem: fmt.Sprintf(format, args...),
	}
	p.token = tokenEnd
}

// good passes n on, which was made of the text from at on, or fails with what is
// wrong with it.
func (p *parser) good(at int, n *node) *node {
	if errs := n.faults(); errs != nil {
		p.fail(at, "%s", strings.TrimPrefix(errs[0].Error(), ErrInvalid.Error()+" "))
		return nothing
	}
	return n
}

// advance reads the next token.
func (p *parser) advance() {
	if p.err != nil {
		return
	}
	rest := strings.TrimLeftFunc(p.text[p.next:], unicode.IsSpace)
	p.start = len(p.text) - len(rest)
	if rest == "" {
		p.token, p.next = tokenEnd, p.start
		return
	}
	size := 1
	switch rest[0] {
	case '(':
		p.token = tokenOpen
	case ')':
		p.token = tokenClose
	case '|':
		p.token = tokenOr
	case '&':
		p.token = tokenAnd
	case '"':
		quoted, err := strconv.QuotedPrefix(rest)
		if err == nil {
			p.value, err = strconv.Unquote(quoted)
		}
		if err != nil {
			p.fail(p.start, `this is not a Go string in double quotes; the closing quote may be missing, " and \ inside are written \" and \\`)
			return
		}
		p.token, size = tokenQuoted, len(quoted)
	default:
		p.value = word(rest)
		if p.value == "" {
			p.fail(p.start, `this character cannot be in a plain word; put double quotes around the whole name, and write operators as "or", "and", "not", "except"`)
			return
		}
		var ok bool
		if p.token, ok = keywords[p.value]; !ok {
			p.token = tokenWord
		}
		size = len(p.value)
	}
	p.next = p.start + size
}

func (p *parser) filter() *node {
	if len(p.text) > MaxText {
		p.fail(0, "the text has %d bytes, at most %d are allowed", len(p.text), MaxText)
		return nothing
	}
	// Unquote would silently replace what is not UTF-8.
	for i, r := range p.text {
		if r == utf8.RuneError && !strings.HasPrefix(p.text[i:], string(r)) {
			p.fail(i, `this byte is not UTF-8; write it as \x%02x in double quotes`, p.text[i])
			return nothing
		}
	}
	p.advance()
	if p.token == tokenEnd {
		return everything
	}
	n := p.except()
	switch p.token {
	case tokenEnd:
	case tokenClose:
		p.fail(p.start, "there is no ( to this )")
	default:
		p.fail(p.start, `"or", "and" or "except" is missing before this`)
	}
	return n
}

func (p *parser) except() *node {
	at := p.start
	n := p.or()
	var nots []*node
	for p.token == tokenExcept {
		p.advance()
		nots = append(nots, p.or())
	}
	if nots == nil {
		return n
	}
	return p.good(at, intersect([]*node{n}, nots))
}

func (p *parser) or() *node { return p.chain(tokenOr, p.and, union) }

func (p *parser) and() *node {
	return p.chain(tokenAnd, p.unary, func(ns []*node) *node { return intersect(ns, nil) })
}

// chain reads operands with the operator between them, and joins them.
func (p *parser) chain(operator token, operand func() *node, join func([]*node) *node) *node {
	at := p.start
	n := operand()
	if p.token != operator {
		return n
	}
	ns := []*node{n}
	for p.token == operator {
		p.advance()
		ns = append(ns, operand())
	}
	return p.good(at, join(ns))
}

func (p *parser) unary() *node {
	negate := false
	for p.token == tokenNot {
		negate = !negate
		p.advance()
	}
	at := p.start
	var n *node
	if p.token == tokenOpen {
		n = p.parentheses()
	} else {
		n = p.atom()
	}
	if negate {
		n = p.good(at, complement(n))
	}
	return n
}

func (p *parser) parentheses() *node {
	at := p.start
	if p.depth++; p.depth > MaxDepth {
		p.fail(at, "parentheses nest more than %d deep", MaxDepth)
		return nothing
	}
	p.advance()
	n := p.except()
	switch p.token {
	case tokenClose:
		p.depth--
		p.advance()
	case tokenEnd:
		p.fail(at, "there is no ) to this (")
	default:
		p.fail(p.start, `"or", "and", "except" or ) is missing before this`)
	}
	return n
}

func (p *parser) atom() *node {
	at, operator := p.start, p.token
	if operator == tokenPrefix || operator == tokenPattern {
		name := p.value
		p.advance()
		if p.token != tokenWord && p.token != tokenQuoted {
			p.fail(p.start, `after %q comes its text, in double quotes if it is a word like "or"`, name)
			return nothing
		}
	}
	switch p.token {
	case tokenWord, tokenQuoted:
	case tokenEnd:
		p.fail(at, "a topic, a pattern or ( is missing")
		return nothing
	default:
		p.fail(at, "a topic, a pattern or ( is missing before this; a topic of this name is put in double quotes")
		return nothing
	}
	value, quoted := p.value, p.token == tokenQuoted
	p.advance()
	var f Filter
	switch {
	case operator == tokenPrefix && !quoted && strings.ContainsAny(value, "*>"):
		p.fail(at, "a prefix is no pattern; leave the wildcards out, or put it in double quotes if its bytes are meant")
	case operator == tokenPrefix:
		f = Prefix(value)
	case operator == tokenPattern || !quoted && strings.ContainsAny(value, "*>"):
		f = Pattern(value)
	case !quoted && fault(value, false) != "":
		p.fail(at, "%s; put a foreign topic in double quotes", fault(value, false))
	default:
		f = Exact(value)
	}
	return p.good(at, f.node())
}
