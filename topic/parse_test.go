package topic_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/heraldbus/herald/topic"
)

var (
	_ encoding.TextMarshaler   = topic.Filter{}
	_ encoding.TextUnmarshaler = (*topic.Filter)(nil)
)

func TestParse(t *testing.T) {
	a, b, c, d := topic.Exact("a"), topic.Exact("b"), topic.Exact("c"), topic.Exact("d")
	for text, want := range map[string]topic.Filter{
		"":                                      topic.Everything(),
		" \t\n ":                                topic.Everything(),
		">":                                     topic.Everything(),
		"not >":                                 topic.None(),
		"a":                                     a,
		"weather.eu.>":                          topic.Pattern("weather.eu.>"),
		"$bus.heartbeat.*":                      topic.Pattern("$bus.heartbeat.*"),
		"Ωμέγα.é/x-y_z@1:2#%+=~":                topic.Exact("Ωμέγα.é/x-y_z@1:2#%+=~"),
		`"a"`:                                   a,
		`"or"`:                                  topic.Exact("or"),
		`"a.*"`:                                 topic.Exact("a.*"),
		`"\xff\x00 \"\u00e9"`:                   topic.Exact("\xff\x00 \"é"),
		`""`:                                    topic.Exact(""),
		"prefix a.b.":                           topic.Prefix("a.b."),
		`prefix "a *"`:                          topic.Prefix("a *"),
		`prefix ""`:                             topic.Everything(),
		`pattern "a b.*"`:                       topic.Pattern("a b.*"),
		`pattern a.*`:                           topic.Pattern("a.*"),
		`pattern a`:                             a,
		"a or b":                                topic.Any(a, b),
		"a|b|c":                                 topic.Any(a, b, c),
		"a&b":                                   topic.All(a, b),
		"a and b or c":                          topic.Any(topic.All(a, b), c),
		"a or b and c":                          topic.Any(a, topic.All(b, c)),
		"(a or b) and c":                        topic.All(topic.Any(a, b), c),
		"not a or b":                            topic.Any(topic.Not(a), b),
		"not(a|b)&c":                            topic.All(topic.Not(topic.Any(a, b)), c),
		"not not a":                             a,
		"not not not a":                         topic.Not(a),
		"a or b except c or d":                  topic.Any(a, b).Except(c, d),
		"a except b except c":                   a.Except(b, c),
		"a except (b except c)":                 a.Except(b.Except(c)),
		"a except not b":                        topic.All(a, b),
		"((((a))))":                             a,
		"weather.eu.> except weather.eu.test.>": topic.Pattern("weather.eu.>").Except(topic.Pattern("weather.eu.test.>")),
		strings.Repeat("(", 64) + "a" + strings.Repeat(")", 64): a,
		strings.Repeat("not ", 10_000) + "a":                    a,
		strings.Repeat("a except ", 10_000) + "b":               a.Except(a),
	} {
		f, err := topic.Parse(text)
		if err != nil || !f.Equal(want) {
			t.Errorf("Parse(%.100q) = %v, %v, want %v", text, f, err, want)
		}
		if g, err := topic.Parse(f.String()); err != nil || !g.Equal(f) {
			t.Errorf("Parse(%q) = %v, %v", f, g, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	long := strings.Repeat("x", 256)
	for text, want := range map[string]string{
		"a b":          `topic: invalid filter: column 3, at "b": "or", "and" or "except" is missing`,
		"é OR b":       `column 3, at "OR b": "or", "and"`,
		"a except":     `at its end (column 9): a topic, a pattern or ( is missing`,
		"or a":         `column 1, at "or a": a topic, a pattern or ( is missing before this; a topic of this name`,
		"a and or b":   `column 7, at "or b": a topic, a pattern or ( is missing`,
		"a or prefix":  `at its end (column 12): after "prefix" comes its text`,
		"prefix or":    `column 8, at "or": after "prefix" comes its text, in double`,
		"pattern (a)":  `column 9, at "(a)": after "pattern" comes`,
		"prefix a.*":   `column 1, at "prefix a.*": a prefix is no pattern`,
		"(a or b":      `column 1, at "(a or b": there is no ) to this (`,
		"(a b)":        `column 4, at "b)": "or", "and", "except" or ) is missing`,
		"a)":           `column 2, at ")": there is no ( to this )`,
		"()":           `column 2, at ")": a topic, a pattern or ( is missing`,
		"a, b":         `column 2, at ", b": this character cannot be in a plain word`,
		"'a'":          `column 1, at "'a'": this character`,
		`a\b`:          `column 2, at "\\b": this character`,
		"a\u200bb":     "column 2, at \"\\u200bb\": this character",
		"a\x00b":       `column 2, at "\x00b": this character`,
		"é\xff":        `column 2, at "\xff": this byte is not UTF-8; write it as \xff`,
		`a or "b`:      `column 6, at "\"b": this is not a Go string`,
		`"\z"`:         `column 1, at "\"\\z\"": this is not a Go string`,
		"a..b":         `column 1, at "a..b": segment 2 is empty; put a foreign topic in double quotes`,
		"a or b.":      `column 6, at "b.": segment 2 is empty`,
		"a or b.>.c":   `column 6, at "b.>.c": pattern "b.>.c": segment 2 is >`,
		"weather.par*": `column 1, at "weather.par*": pattern "weather.par*": segment 2 is "par*"`,
		`pattern ""`:   `column 1, at "pattern \"\"": pattern "": it is empty`,
		"a or " + long: `column 6, at "xxxxxxxxxxxxxxxxxxxx…": it has 256 bytes`,
		`a or "` + strings.Repeat(`b`, topic.MaxText): `the text has 1048582 bytes`,
		strings.Repeat("(", 65) + "a":                 `column 65, at "(a": parentheses nest more than 64 deep`,
		strings.Repeat("(", 1<<20):                    `column 65`,
		strings.Repeat("not (a and ", 65):             `nest more than 64 deep`,
		strings.Repeat("(b and (c or ", 32) + "a" + strings.Repeat("))", 32) + " and d or e": `filters are nested more than 64 deep`,
		"prefix " + strings.Repeat("x", topic.MaxText-7):                                     ``,
	} {
		f, err := topic.Parse(text)
		if want == "" {
			if err != nil {
				t.Errorf("Parse(%.100q): %.100s", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("Parse(%.100q): %v\nwant %s", text, err, want)
			continue
		}
		var syntax *topic.SyntaxError
		if !errors.Is(err, topic.ErrInvalid) || !errors.As(err, &syntax) || syntax.Offset > len(text) {
			t.Errorf("Parse(%.100q): %#v", text, err)
		}
		if !f.Equal(topic.None()) {
			t.Errorf("Parse(%.100q) = %v with an error", text, f)
		}
	}
}

func TestText(t *testing.T) {
	for text, f := range map[string]topic.Filter{
		`"or"`:               topic.Exact("or"),
		`prefix "or"`:        topic.Prefix("or"),
		`prefix "*"`:         topic.Prefix("*"),
		`prefix a.`:          topic.Prefix("a."),
		`"a."`:               topic.Exact("a."),
		`"a,b"`:              topic.Exact("a,b"),
		`"a*b"`:              topic.Exact("a*b"),
		`"\xff\x00"`:         topic.Exact("\xff\x00"),
		`"�"`:                topic.Exact("\uFFFD"),
		`"\u200b"`:           topic.Exact("\u200b"),
		`pattern "a b.*"`:    topic.Pattern("a b.*"),
		`pattern "*.\u200b"`: topic.Pattern("*.\u200b"),
		`or.*`:               topic.Pattern("or.*"),
		`é.Ω`:                topic.Exact("é.Ω"),
	} {
		if f.String() != text {
			t.Errorf("String() = %s, want %s", f, text)
		}
		if g, err := topic.Parse(text); err != nil || !g.Equal(f) {
			t.Errorf("Parse(%s) = %v, %v", text, g, err)
		}
	}
}

func TestMarshal(t *testing.T) {
	type config struct{ Filter topic.Filter }
	in := config{topic.Pattern("a.>").Except(topic.Prefix("a.b"))}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out config
	if err := json.Unmarshal(text, &out); err != nil || !out.Filter.Equal(in.Filter) {
		t.Errorf("%s reads back as %v, %v", text, out.Filter, err)
	}
	if err := json.Unmarshal([]byte(`{"Filter":"a b"}`), &out); !errors.Is(err, topic.ErrInvalid) || !out.Filter.Equal(in.Filter) {
		t.Errorf("after %v the filter is %v", err, out.Filter)
	}
	if _, err := json.Marshal(config{topic.Pattern("")}); !errors.Is(err, topic.ErrInvalid) {
		t.Errorf("marshalling a bad filter: %v", err)
	}
}
