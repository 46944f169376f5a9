package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// A Comparison runs cases for systems, in turns.
type Comparison struct {
	Harness  *Harness
	Systems  []*System
	Cases    []*Case
	Rounds   int
	Progress io.Writer // a line for every run

	rates map[string][]float64 // of halfLoad, by system and round; 0: not known
}

// Run runs everything and returns what came out. When the context ends, it
// returns what it has and says so in the report.
func (c *Comparison) Run(ctx context.Context) *Report {
	report := &Report{Rounds: c.Rounds, Warm: c.Harness.Warm, Duration: c.Harness.Duration}
	c.rates = make(map[string][]float64)
	missing := make(map[*System]string)
	for _, s := range c.Systems {
		c.rates[s.Name] = make([]float64, c.Rounds)
		info := SystemInfo{Name: s.Name, Kind: s.Kind, About: s.About, Lossless: s.Lossless}
		if s.Build != nil {
			if _, err := s.Build(c.Harness.Dir); err != nil {
				missing[s] = err.Error()
				info.Missing = err.Error()
				fmt.Fprintf(c.Progress, "left out: %s: %v\n", s.Name, err)
			}
		}
		report.Systems = append(report.Systems, info)
	}
	for i, cs := range c.Cases {
		if ctx.Err() != nil {
			break
		}
		result := &CaseResult{Group: cs.Group, Name: cs.Name, Measure: cs.Measure, Transport: cs.Transport,
			Size: cs.Size, Publishers: cs.Pubs, Subscribers: cs.Subs, Topics: cs.Topics, Subscriptions: cs.Cold + 1}
		var able []*System
		for _, s := range c.Systems {
			switch why := s.Cannot(cs); {
			case missing[s] != "": // said once, with the system
			case why != "":
				result.LeftOut = append(result.LeftOut, LeftOut{s.Name, why})
			default:
				able = append(able, s)
			}
		}
		values := make(map[*System][]Values)
		failed := make(map[*System]error)
		for round := range c.Rounds {
			for k := range able {
				s := able[(k+round)%len(able)] // nobody is always first
				if failed[s] != nil || ctx.Err() != nil {
					continue
				}
				v, err := c.one(ctx, cs, s, round)
				where := fmt.Sprintf("[%d/%d] %s, round %d: %s", i+1, len(c.Cases), cs.ID(), round+1, s.Name)
				if err != nil {
					failed[s] = err
					fmt.Fprintf(c.Progress, "%s: left out: %v\n", where, err)
					continue
				}
				values[s] = append(values[s], v)
				fmt.Fprintf(c.Progress, "%s: %s\n", where, figures(cs.Measure, v))
			}
		}
		if ctx.Err() != nil {
			break // a case with half its rounds is none
		}
		for _, s := range able {
			if err := failed[s]; err != nil {
				result.LeftOut = append(result.LeftOut, LeftOut{s.Name, err.Error()})
				continue
			}
			result.Systems = append(result.Systems, newSystemResult(s.Name, cs.Measure, values[s]))
		}
		result.compareWith(baseline, func(r *SystemResult) **float64 { return &r.Ratio })
		result.compareWith(baseline3, func(r *SystemResult) **float64 { return &r.Ratio3 })
		report.Cases = append(report.Cases, result)
	}
	report.Interrupted = ctx.Err() != nil
	return report
}

// one is one run.
func (c *Comparison) one(ctx context.Context, cs *Case, s *System, round int) (Values, error) {
	rate := 0
	if cs.Half {
		known := &c.rates[s.Name][round]
		if *known == 0 {
			if why := s.Cannot(halfLoad); why != "" {
				return nil, fmt.Errorf("no rate to take half of: %s", why)
			}
			v, err := c.Harness.Run(ctx, halfLoad, s, 0)
			if err != nil {
				return nil, fmt.Errorf("no rate to take half of: %w", err)
			}
			*known = v[0]
		}
		rate = int(*known / 2)
	}
	v, err := c.Harness.Run(ctx, cs, s, rate)
	if err == nil && cs.ID() == halfLoad.ID() {
		c.rates[s.Name][round] = v[0]
	}
	return v, err
}

// chosen is the systems of the names, or all for none.
func chosen(names []string) ([]*System, error) {
	if len(names) == 0 {
		return systems(), nil
	}
	var list []*System
	for _, name := range names {
		s, err := systemNamed(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list, nil
}
