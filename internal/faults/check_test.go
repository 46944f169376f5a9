package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/internal/faults"
	"github.com/heraldbus/herald/topic"
)

// Two sources published, ten events each, in turn on the topics a and b: the odd
// seqs on a. The subscriber's view is written as words, see viewOf.
func runsOfTen() []*faults.Run {
	var runs []*faults.Run
	for source := range bus.Incarnation(2) {
		r := &faults.Run{Source: source + 1}
		for i := range 10 {
			name := []string{"a", "b"}[i%2]
			r.Add(faults.Publication{Topic: name, Payload: fmt.Sprintf("%s%d", name, i+1), ID: fmt.Sprint("id", i), At: second(i)})
		}
		runs = append(runs, r)
	}
	return runs
}

func second(i int) time.Time { return time.Unix(int64(i), 0) }

// viewOf reads a view: "3" is the event 3 of source 1, "2/3" that of source 2,
// "gap:2:5:2" a gap of source 1 after 2 before 5 with 2 missing, "gap:2:5:1+" one of
// which the count is a lower bound, "gap:2:5:1:a" one on a topic. Everything is owed.
func viewOf(words string) *faults.View {
	v := &faults.View{
		Terms: []faults.Term{{Filter: topic.Everything(), From: map[bus.Incarnation]uint64{1: 0, 2: 0}}},
		Upto:  map[bus.Incarnation]uint64{1: 10, 2: 0},
	}
	for i, w := range strings.Fields(words) {
		source := bus.Incarnation(1)
		if s, rest, ok := strings.Cut(w, "/"); ok {
			fmt.Sscan(s, &source)
			w = rest
		}
		if gap, ok := strings.CutPrefix(w, "gap:"); ok {
			f := strings.Split(gap, ":")
			g := &bus.Gap{Exact: !strings.HasSuffix(f[2], "+")}
			g.Incarnation, g.Time = source, second(100+i)
			fmt.Sscan(f[0], &g.After)
			fmt.Sscan(f[1], &g.Before)
			fmt.Sscan(strings.TrimSuffix(f[2], "+"), &g.Missed)
			if len(f) > 3 {
				g.Topic = f[3]
			}
			v.Events = append(v.Events, g)
			continue
		}
		m := &bus.Message{}
		m.Incarnation = source
		fmt.Sscan(w, &m.Seq)
		m.Topic = []string{"b", "a"}[m.Seq%2]
		m.Payload = fmt.Appendf(nil, "%s%d", m.Topic, m.Seq)
		v.Events = append(v.Events, m)
	}
	return v
}

func TestCheck(t *testing.T) {
	onlyA := func(v *faults.View) { v.Terms[0].Filter = topic.Exact("a") }
	redundant := func(v *faults.View) { v.Redundant, v.Upto[2] = true, 10 }
	change := func(f func(v *faults.View)) func(v *faults.View, runs []*faults.Run) {
		return func(v *faults.View, _ []*faults.Run) { f(v) }
	}
	keeps := func(keep bus.Keep) func(v *faults.View, runs []*faults.Run) {
		return func(v *faults.View, runs []*faults.Run) { v.Recover, runs[0].Keep = true, keep }
	}
	for _, x := range []struct {
		name string
		view string
		with func(v *faults.View, runs []*faults.Run)
		want string // the rules violated, in order of their finding; each once
	}{
		{name: "all is well", view: "1 2 3 4 5 6 7 8 9 10"},
		{name: "nothing was given", view: "", want: "silent loss"},
		{name: "one is missing", view: "1 2 3 5 6 7 8 9 10", want: "silent loss"},
		{name: "the last is missing", view: "1 2 3 4 5 6 7 8 9", want: "silent loss"},
		{name: "the last is missing, nobody can know", view: "1 2 3 4 5 6 7 8 9", with: change(func(v *faults.View) { delete(v.Upto, 1) })},
		{name: "one is missing that must be known", view: "1 2 4", with: change(func(v *faults.View) { delete(v.Upto, 1) }), want: "silent loss"},
		{name: "it was told", view: "1 2 3 gap:3:5:1 5 6 7 8 9 10"},
		{name: "the last was told", view: "1 2 3 4 5 6 7 8 9 gap:9:11:1"},
		{name: "more was told", view: "1 2 3 gap:3:5:2 5 6 7 8 9 10", want: "gap count"},
		{name: "nothing is missing there", view: "1 2 3 4 gap:4:5:1 5 6 7 8 9 10", want: "gap count"},
		{name: "less was told", view: "1 2 gap:2:5:1 5 6 7 8 9 10", want: "gap count"},
		{name: "less was told as a lower bound", view: "1 2 gap:2:5:1+ 5 6 7 8 9 10"},
		{name: "two were told in two gaps", view: "1 2 gap:2:4:1 gap:3:5:1 5 6 7 8 9 10"},
		{name: "two gaps over one range", view: "1 gap:1:8:3 3 5 gap:3:8:1 8 9 10"},
		{name: "the bounds are too narrow", view: "1 2 gap:2:4:1 5 6 7 8 9 10", want: "silent loss"},
		{name: "the bounds are too wide", view: "1 2 3 gap:1:8:1 5 6 7 8 9 10"},
		{name: "told too late", view: "1 2 3 5 6 7 8 gap:3:5:1 9 10", want: "gap out of place"},
		{name: "told too early", view: "1 gap:3:5:1 2 3 5 6 7 8 9 10", want: "gap out of place"},
		{name: "two in the wrong order", view: "1 2 3 5 4 6 7 8 9 10", want: "order"},
		{name: "twice", view: "1 2 3 4 4 5 6 7 8 9 10", want: "double"},
		{name: "twice, later", view: "1 2 3 4 5 6 7 8 9 10 2", want: "double"},
		{name: "of the future", view: "1 2 3 4 5 6 7 8 9 10 11", want: "forged"},
		{name: "of nobody", view: "1 2 3 4 5 6 7 8 9 10 7/1", want: "forged"},
		{name: "without a source", view: "1 2 3 4 5 6 7 8 9 10 0/0", want: "forged"},
		{name: "a gap of nobody", view: "1 2 3 4 5 6 7 8 9 10 7/gap:1:5:3", want: "gap count"},
		{name: "another payload", view: "1 2 3 4 5 6 7 8 9 10", want: "forged", with: change(func(v *faults.View) {
			v.Events[3].(*bus.Message).Payload[0]++
		})},
		{name: "another payload, after damage", view: "1 2 3 4 5 6 7 8 9 10", with: change(func(v *faults.View) {
			v.Events[3].(*bus.Message).Payload[0]++
			v.Damage = 1
		})},
		{name: "damage excuses no loss", view: "1 2 4 5 6 7 8 9 10", with: change(func(v *faults.View) { v.Damage = 1 }), want: "silent loss"},
		{name: "another source is missing one", view: "1 2 2/1 3 4 2/3 5 6 7 8 9 10", with: change(func(v *faults.View) { v.Upto[2] = 3 }), want: "silent loss"},
		{name: "a gap of another source", view: "1 2 3 2/gap:3:5:1 5 6 7 8 9 10", with: change(func(v *faults.View) { v.Upto[2] = 0 }), want: "silent loss"},

		{name: "filtered", view: "1 3 5 7 9", with: change(onlyA)},
		{name: "filtered, one too many", view: "1 3 4 5 7 9", with: change(onlyA), want: "unwanted"},
		{name: "filtered, one missing", view: "1 3 7 9", with: change(onlyA), want: "silent loss"},
		{name: "filtered, told", view: "1 3 gap:3:7:1:a 7 9", with: change(onlyA)},
		{name: "filtered, told on another topic", view: "1 3 gap:3:7:1:b 7 9", with: change(onlyA), want: "gap count,silent loss"},
		{name: "filtered, told too much", view: "1 3 gap:3:7:3 7 9", with: change(onlyA), want: "gap count"},
		{name: "filtered, in another order", view: "2 1 4 3 5 6 7 8 9 10", with: change(func(v *faults.View) { v.Terms[0].Filter = topic.Any(topic.Exact("a"), topic.Exact("b")) })},
		{name: "filtered, in another order of a topic", view: "2 1 4 5 3 6 7 8 9 10", with: change(func(v *faults.View) { v.Terms[0].Filter = topic.Any(topic.Exact("a"), topic.Exact("b")) }), want: "order"},
		{name: "a filter in force from 4 on", view: "5 7 9", with: change(func(v *faults.View) { onlyA(v); v.Terms[0].From[1] = 4 })},
		{name: "a filter never known to be in force", view: "", with: change(func(v *faults.View) { onlyA(v); v.Terms[0].From = nil })},
		{name: "a filter was added", view: "1 3 5 6 7 9 10", with: change(func(v *faults.View) {
			onlyA(v)
			v.Terms = append(v.Terms, faults.Term{Filter: topic.Everything(), From: map[bus.Incarnation]uint64{1: 8}})
		})},
		{name: "a filter was added, then nothing came", view: "1 3 5 6 7 9", with: change(func(v *faults.View) {
			onlyA(v)
			v.Terms = append(v.Terms, faults.Term{Filter: topic.Everything(), From: map[bus.Incarnation]uint64{1: 8}})
		}), want: "silent loss"},
		{name: "a filter was removed", view: "1 2 3 5 7 9", with: change(func(v *faults.View) {
			v.Terms = append(v.Terms, faults.Term{Filter: topic.Exact("a")})
		})},

		{name: "kept no more", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 6})},
		{name: "still kept", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 7}), want: "lost though kept"},
		{name: "nothing is kept", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: -1})},
		{name: "too old", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 100, Age: 98 * time.Second})},
		{name: "not too old", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 100, Age: 99 * time.Second}), want: "lost though kept"},
		{name: "too large", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 100, Bytes: 400})},
		{name: "not too large", view: "1 gap:1:5:3 5 6 7 8 9 10", with: keeps(bus.Keep{Messages: 100, Bytes: 800}), want: "lost though kept"},
		{name: "kept by one that has ended", view: "1 gap:1:5:3 5 6 7 8 9 10", with: func(v *faults.View, runs []*faults.Run) {
			keeps(bus.Keep{Messages: 100})(v, runs)
			runs[0].Ended = second(101)
		}},

		{name: "redundant", view: "1 2/2 3 4 2/5 6 7 2/8 9 10", with: change(redundant)},
		{name: "redundant, one missing", view: "1 2/2 3 4 2/5 6 7 9 10", with: change(redundant), want: "silent loss"},
		{name: "redundant, one told by one only", view: "1 2/2 3 4 2/5 6 7 gap:7:9:1 9 10", with: change(redundant), want: "silent loss"},
		{name: "redundant, one told by both", view: "1 2/2 3 4 2/5 6 7 gap:7:9:1 2/gap:7:9:1 9 10", with: change(redundant)},
		{name: "redundant, one told by one and brought by the other", view: "1 2/2 gap:2:4:1 2/3 4 2/5 6 7 2/8 9 10", with: change(redundant)},
		{name: "redundant, one twice", view: "1 2/2 3 4 2/4 2/5 6 7 2/8 9 10", with: change(redundant), want: "double"},
	} {
		t.Run(x.name, func(t *testing.T) {
			runs, v := runsOfTen(), viewOf(x.view)
			if x.with != nil {
				x.with(v, runs)
			}
			r := faults.Check(runs, v)
			var rules []string
			for _, v := range r.Violations {
				if rule := string(v.Rule); len(rules) == 0 || rules[len(rules)-1] != rule {
					rules = append(rules, rule)
				}
			}
			if got := strings.Join(rules, ","); got != x.want {
				t.Errorf("violated: %q, want %q\n%v\n%v", got, x.want, r, r.Err())
			}
			if (r.Err() == nil) != (x.want == "") || x.want != "" && !r.Has(faults.Rule(rules[0])) {
				t.Errorf("the report does not agree with itself: %v", r.Err())
			}
		})
	}
}

// The sums are what they say, and a flood of violations is cut short.
func TestReport(t *testing.T) {
	r := faults.Check(runsOfTen(), viewOf("1 2 gap:2:4:1 4 gap:4:7:2+ 7"))
	if r.Owed != 10 || r.Given != 4 || r.Missing != 6 || r.Reported != 3 || r.Gaps != 2 || len(r.Violations) != 3 {
		t.Errorf("%v, %v", r, r.Err())
	}
	run := &faults.Run{Source: 1}
	for range 1000 {
		run.Add(faults.Publication{Topic: "a"})
	}
	v := viewOf("")
	v.Upto[1] = run.Last()
	r = faults.Check([]*faults.Run{run}, v)
	if len(r.Violations) != faults.MaxViolations || r.Missing != 1000 {
		t.Errorf("%v with %d violations", r, len(r.Violations))
	}
}
