package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Report is all that a comparison found; its JSON form is the file that
// -json writes.
type Report struct {
	Machine     Machine       `json:"machine"`
	Rounds      int           `json:"rounds"`
	Warm        time.Duration `json:"warm_ns"`
	Duration    time.Duration `json:"duration_ns"`
	Interrupted bool          `json:"interrupted,omitempty"` // cases that were not finished are missing
	Notes       []string      `json:"notes,omitempty"`
	Systems     []SystemInfo  `json:"systems"`
	Cases       []*CaseResult `json:"cases"`
}

// SystemInfo says what a system is.
type SystemInfo struct {
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	About    string `json:"about"`
	Lossless string `json:"lossless"`
	Missing  string `json:"missing,omitempty"` // why it is not on this machine
}

// CaseResult is what came out of a case.
type CaseResult struct {
	Group         string          `json:"group"`
	Name          string          `json:"name"`
	Measure       Measure         `json:"measure"`
	Transport     string          `json:"transport"`
	Size          int             `json:"size"`
	Publishers    int             `json:"publishers"`
	Subscribers   int             `json:"subscribers"`
	Topics        int             `json:"topics"`
	Subscriptions int             `json:"subscriptions"`
	Systems       []*SystemResult `json:"systems"`
	LeftOut       []LeftOut       `json:"left_out,omitempty"`
}

// LeftOut is a system that a case has no figure for.
type LeftOut struct {
	System string `json:"system"`
	Why    string `json:"why"`
}

// SystemResult is a system's figures in a case: the measure's metrics.
type SystemResult struct {
	System  string   `json:"system"`
	Figures []Figure `json:"figures"`
	// The main figure over that of libzmq in the same round, with 2 and with 3
	// frames; the median over the rounds. Nil where libzmq has none.
	Ratio  *float64 `json:"ratio_to_libzmq,omitempty"`
	Ratio3 *float64 `json:"ratio_to_libzmq_3,omitempty"`
}

// A Figure is a metric over all rounds.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Lower  bool      `json:"less_is_better"`
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
}

func newSystemResult(system string, m Measure, rounds []Values) *SystemResult {
	r := &SystemResult{System: system}
	for i, metric := range m.metrics() {
		f := Figure{Name: metric.Name, Unit: metric.Unit, Lower: metric.Lower}
		for _, v := range rounds {
			f.Rounds = append(f.Rounds, v[i])
		}
		f.Median, f.Min, f.Max = median(f.Rounds), slices.Min(f.Rounds), slices.Max(f.Rounds)
		r.Figures = append(r.Figures, f)
	}
	return r
}

// median is the middle, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// result is a system's, or nil.
func (c *CaseResult) result(system string) *SystemResult {
	for _, r := range c.Systems {
		if r.System == system {
			return r
		}
	}
	return nil
}

// compareWith puts the ratios to a system where field says.
func (c *CaseResult) compareWith(system string, field func(*SystemResult) **float64) {
	base := c.result(system)
	if base == nil {
		return
	}
	for _, r := range c.Systems {
		var ratios []float64
		for i, v := range r.Figures[0].Rounds {
			ratios = append(ratios, v/base.Figures[0].Rounds[i])
		}
		ratio := median(ratios)
		*field(r) = &ratio
	}
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// WriteMarkdown writes a table for each group, what was left out and why, and
// where a peer is better than Herald.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Comparison\n\n%s. %d rounds, each with a window of %v after a warm-up of %v; median, minimum and maximum over the rounds; ratios are medians of those within a round.\n",
		r.Machine, r.Rounds, r.Duration, r.Warm)
	if r.Interrupted {
		b.WriteString("\n**Interrupted: the cases that were not finished are missing.**\n")
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n**%s**\n", note)
	}
	b.WriteString("\n| system | what it is | how nothing is lost |\n|---|---|---|\n")
	for _, s := range r.Systems {
		if s.Missing == "" {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Name, s.About, s.Lossless)
		}
	}
	for _, group := range r.groups() {
		b.WriteString("\n")
		r.writeGroup(&b, group)
	}
	r.writeLeftOut(&b)
	r.writeBetter(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// groups lists the groups in their order.
func (r *Report) groups() []string {
	var list []string
	for _, c := range r.Cases {
		if !slices.Contains(list, c.Group) {
			list = append(list, c.Group)
		}
	}
	return list
}

// in lists the cases of a group.
func (r *Report) in(group string) []*CaseResult {
	return slices.DeleteFunc(slices.Clone(r.Cases), func(c *CaseResult) bool { return c.Group != group })
}

func (r *Report) writeGroup(b *strings.Builder, group string) {
	cases := r.in(group)
	metrics := cases[0].Measure.metrics()
	fmt.Fprintf(b, "## %s\n\n%s\n\n| case | system | %s, %s | min | max |", group, groupNote[group], metrics[0].Name, unitName(metrics[0].Unit))
	for _, m := range metrics[1:] {
		fmt.Fprintf(b, " %s, %s |", m.Name, unitName(m.Unit))
	}
	fmt.Fprintf(b, " × %s | × %s |\n|---|---|%s\n", baseline, baseline3, strings.Repeat("---:|", len(metrics)+4))
	for _, c := range cases {
		for _, s := range c.Systems {
			f := s.Figures[0]
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |", c.Name, s.System,
				figure(f.Unit, f.Median), figure(f.Unit, f.Min), figure(f.Unit, f.Max))
			for _, f := range s.Figures[1:] {
				fmt.Fprintf(b, " %s |", figure(f.Unit, f.Median))
			}
			fmt.Fprintf(b, " %s | %s |\n", ratio(s.Ratio), ratio(s.Ratio3))
		}
	}
}

// writeLeftOut writes a line for each system and reason, with the cases.
func (r *Report) writeLeftOut(b *strings.Builder) {
	var lines []string
	for _, s := range r.Systems {
		if s.Missing != "" {
			lines = append(lines, fmt.Sprintf("%s (everywhere): %s", s.Name, s.Missing))
		}
	}
	where := make(map[LeftOut][]string)
	var order []LeftOut
	for _, group := range r.groups() {
		cases := r.in(group)
		names := make(map[LeftOut][]string)
		for _, c := range cases {
			for _, out := range c.LeftOut {
				names[out] = append(names[out], c.Name)
				if !slices.Contains(order, out) {
					order = append(order, out)
				}
			}
		}
		for out, cs := range names {
			place := group
			if len(cs) < len(cases) {
				place += ": " + strings.Join(cs, ", ")
			}
			where[out] = append(where[out], place)
		}
	}
	for _, out := range order {
		lines = append(lines, fmt.Sprintf("%s (%s): %s", out.System, strings.Join(where[out], "; "), out.Why))
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n## Left out\n\n- %s\n", strings.Join(lines, "\n- "))
	}
}

// writeBetter writes where a peer's median is better than Herald's best.
func (r *Report) writeBetter(b *strings.Builder) {
	kinds := make(map[string]Kind)
	for _, s := range r.Systems {
		kinds[s.Name] = s.Kind
	}
	var lines []string
	compared := false
	for _, c := range r.Cases {
		for i, m := range c.Measure.metrics() {
			better := func(x, y *SystemResult) bool {
				if m.Lower {
					return x.Figures[i].Median < y.Figures[i].Median
				}
				return x.Figures[i].Median > y.Figures[i].Median
			}
			var best *SystemResult
			for _, s := range c.Systems {
				if kinds[s.System] == kindHerald && (best == nil || better(s, best)) {
					best = s
				}
			}
			if best == nil {
				continue
			}
			compared = true
			for _, s := range c.Systems {
				if kinds[s.System] == kindPeer && better(s, best) {
					lines = append(lines, fmt.Sprintf("%s, %s, %s: %s %s, %s %s %s", c.Group, c.Name, m.Name,
						s.System, figure(m.Unit, s.Figures[i].Median), best.System, figure(m.Unit, best.Figures[i].Median), unitName(m.Unit)))
				}
			}
		}
	}
	switch {
	case !compared:
	case len(lines) == 0:
		b.WriteString("\n## Where a peer is better than Herald\n\nIn none of these cases.\n")
	default:
		fmt.Fprintf(b, "\n## Where a peer is better than Herald\n\n- %s\n", strings.Join(lines, "\n- "))
	}
}

// figures is one line of a run's values.
func figures(m Measure, values Values) string {
	var parts []string
	for i, metric := range m.metrics() {
		parts = append(parts, fmt.Sprintf("%s %s %s", metric.Name, figure(metric.Unit, values[i]), unitName(metric.Unit)))
	}
	return strings.Join(parts, ", ")
}

// unitName is the unit as tables show it.
func unitName(unit string) string {
	if unit == "events/s" {
		return "thousand events/s"
	}
	return unit
}

// figure is a value as tables show it: at least three digits, thousands apart.
func figure(unit string, v float64) string {
	if unit == "events/s" {
		v /= 1000
	}
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// ratio is a ratio as tables show it.
func ratio(v *float64) string {
	if v == nil {
		return ""
	}
	if *v < 0.1 {
		return fmt.Sprintf("%.2g", *v)
	}
	return figure("", *v)
}
