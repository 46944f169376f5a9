package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// list is a flag that can be repeated, or given several values with commas between
// them.
type list []string

// String implements [flag.Value].
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements [flag.Value].
func (l *list) Set(s string) error {
	var value strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ',':
			i++
			value.WriteByte(',')
		case s[i] == ',':
			*l = append(*l, value.String())
			value.Reset()
		default:
			value.WriteByte(s[i])
		}
	}
	*l = append(*l, value.String())
	return nil
}

// number is a flag that is a whole number from min on.
type number struct {
	n   *int
	min int
}

// String implements [flag.Value].
func (v number) String() string {
	if v.n == nil {
		return "0"
	}
	return strconv.Itoa(*v.n)
}

// Set implements [flag.Value].
func (v number) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min {
		return fmt.Errorf("want a whole number, %d or more", v.min)
	}
	*v.n = n
	return nil
}

// span is a flag that is a duration from min on.
type span struct {
	d   *time.Duration
	min time.Duration
}

// String implements [flag.Value].
func (v span) String() string {
	if v.d == nil {
		return "0s"
	}
	return v.d.String()
}

// Set implements [flag.Value].
func (v span) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a duration such as 250ms or 5s")
	}
	if d < v.min {
		return fmt.Errorf("want a duration of at least %v", v.min)
	}
	*v.d = d
	return nil
}

// endpoints are the flags that say where to bind and to connect.
type endpoints struct{ bind, connect list }

func (e *endpoints) register(f *flag.FlagSet, peers string) {
	f.Var(&e.bind, "bind", "`URL` to bind, at which "+peers+" connect: tcp://host:port (* for all interfaces; port 0 "+
		"to have one chosen; a line \"bound URL\" on stderr tells which), ipc:///path; a list")
	f.Var(&e.connect, "connect", "`URL` to connect to; it need not be there yet; a list")
}

func (e *endpoints) check() error {
	if len(e.bind)+len(e.connect) == 0 {
		return usagef("nowhere to go: give --bind or --connect")
	}
	return nil
}

// announce tells the endpoints that are bound, where they are not simply those that
// were asked for.
func announce(w io.Writer, asked, bound []string) {
	for i, e := range bound {
		if e != asked[i] {
			fmt.Fprintln(w, "bound", e)
		}
	}
}

// filters are the flags that choose among topics.
type filters struct{ prefix, match, not list }

func (x *filters) register(f *flag.FlagSet) {
	f.Var(&x.prefix, "prefix", "topics that begin with `P`; a list")
	f.Var(&x.match, "match", "topics that fit `PATTERN`, segments between dots: * stands for one segment, > at the end for the rest; a list")
	f.Var(&x.not, "not", "but no topics that fit `PATTERN`; a list")
}

// filter accepts what any prefix or match accepts, or everything if there is none,
// and no not does.
func (x *filters) filter() (topic.Filter, error) {
	accept := topic.Everything()
	var any, not []topic.Filter
	for _, p := range x.prefix {
		any = append(any, topic.Prefix(p))
	}
	for _, p := range []struct {
		flag     string
		patterns list
		to       *[]topic.Filter
	}{{"--match", x.match, &any}, {"--not", x.not, &not}} {
		for _, pattern := range p.patterns {
			f := topic.Pattern(pattern)
			if err := f.Err(); err != nil {
				return f, usagef("%s %q: %v", p.flag, pattern, err)
			}
			*p.to = append(*p.to, f)
		}
	}
	if len(any) > 0 {
		accept = topic.Any(any...)
	}
	accept = accept.Except(not...)
	if err := accept.Err(); err != nil {
		return accept, usagef("--prefix, --match and --not together: %v", err)
	}
	return accept, nil
}

// queueing is the flags that bound a queue.
type queueing struct{ queue bus.Queue }

func (q *queueing) register(f *flag.FlagSet, what string) {
	if q.queue.Messages == 0 {
		q.queue.Messages = 100_000
	}
	f.Var(number{&q.queue.Messages, 1}, "queue", "events that wait "+what+": at most `N`, and at most 64 MiB")
	f.Var((*overflow)(&q.queue.Overflow), "overflow", "what happens when they are more: `POLICY` is block, drop-newest, drop-oldest or disconnect")
}

// overflow is a flag that is a policy.
type overflow bus.Overflow

// String implements [flag.Value].
func (o *overflow) String() string {
	if *o == overflow(bus.OverflowDefault) {
		return ""
	}
	return bus.Overflow(*o).String()
}

// Set implements [flag.Value].
func (o *overflow) Set(s string) error {
	v, err := bus.ParseOverflow(s)
	if err != nil || v == bus.OverflowDefault {
		return errors.New("want block, drop-newest, drop-oldest or disconnect")
	}
	*o = overflow(v)
	return nil
}

// logging is the flag that asks for a log.
type logging struct{ verbose bool }

func (l *logging) register(f *flag.FlagSet) {
	f.BoolVar(&l.verbose, "v", false, "log connections and peers to stderr; --verbose is the same")
	f.BoolVar(&l.verbose, "verbose", false, "as -v")
}

// logger is nil unless a log was asked for.
func (l *logging) logger(w io.Writer) *slog.Logger {
	if !l.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
