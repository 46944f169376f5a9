package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A chart is one of the pictures.
type chart struct {
	file, title, x, y string
	// at is where a case stands on the x axis; not ok: it is not in this chart.
	at func(c *CaseResult) (x float64, ok bool)
}

var charts = []chart{
	{
		file: "throughput.svg", title: "Throughput, one publisher to one subscriber, TCP",
		x: "payload, bytes", y: "events/s",
		at: func(c *CaseResult) (float64, bool) { return float64(c.Size), c.Group == "payload, tcp" },
	},
	{
		file: "fanout.svg", title: "Fan-out, 64 B, TCP: the sum over all subscribers",
		x: "subscribers", y: "events/s",
		at: func(c *CaseResult) (float64, bool) {
			return float64(c.Subscribers), c.Group == "fan-out, tcp" || c.Group == halfLoad.Group && c.Name == halfLoad.Name
		},
	},
	{
		file: "subscriptions.svg", title: "Publishing what nobody subscribed to, 64 B",
		x: "subscriptions on the publisher", y: "ns per event",
		at: func(c *CaseResult) (float64, bool) { return float64(c.Subscriptions), c.Group == "nobody subscribed" },
	},
}

// WritePlots draws the charts that the report has data for into a folder.
func (r *Report) WritePlots(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, c := range charts {
		canvas := vgsvg.New(24*vg.Centimeter, 14*vg.Centimeter)
		drawn, err := r.draw(c, draw.New(canvas))
		if err != nil {
			return fmt.Errorf("bench: draw %s: %w", c.file, err)
		}
		if !drawn {
			continue
		}
		f, err := os.Create(filepath.Join(dir, c.file))
		if err != nil {
			return err
		}
		_, err = canvas.WriteTo(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// palette is what the colour-blind can tell apart (Okabe and Ito, 2008), with
// grey for its yellow, which white swallows.
var palette = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255},
	color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}, color.RGBA{230, 159, 0, 255},
	color.RGBA{0, 0, 0, 255}, color.RGBA{128, 128, 128, 255},
}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{}}

// points are medians with their range from minimum to maximum.
type points struct {
	plotter.XYs
	plotter.YErrors
}

// draw draws a chart, and reports whether any system has two points for it.
// Lines that are no peer's are dashed; both axes are logarithmic.
func (r *Report) draw(c chart, canvas draw.Canvas) (bool, error) {
	p := plot.New()
	legend := plot.NewLegend()
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &legend.TextStyle.Font} {
		f.Variant = "Sans"
	}
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Title.Padding = vg.Points(8)
	legend.Top, legend.Padding = true, vg.Points(3)
	p.Add(plotter.NewGrid())

	marks := make(map[float64]bool)
	low, high := math.Inf(1), 0.0
	for i, s := range r.Systems {
		var at points
		for _, cs := range r.Cases {
			x, ok := c.at(cs)
			result := cs.result(s.Name)
			if !ok || result == nil {
				continue
			}
			f := result.Figures[0]
			at.XYs = append(at.XYs, plotter.XY{X: x, Y: f.Median})
			at.YErrors = append(at.YErrors, struct{ Low, High float64 }{f.Median - f.Min, f.Max - f.Median})
		}
		if len(at.XYs) < 2 {
			continue
		}
		line, glyphs, err := plotter.NewLinePoints(at.XYs)
		if err != nil {
			return false, err
		}
		bars, err := plotter.NewYErrorBars(at)
		if err != nil {
			return false, err
		}
		ink := palette[i%len(palette)]
		line.Color, glyphs.Color, bars.Color = ink, ink, ink
		line.Width, glyphs.Shape = vg.Points(1.5), shapes[i%len(shapes)]
		if s.Kind == kindBound {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(bars, line, glyphs)
		legend.Add(s.Name, line, glyphs)
		for k, at1 := range at.XYs {
			marks[at1.X] = true
			low, high = min(low, at1.Y-at.YErrors[k].Low), max(high, at1.Y+at.YErrors[k].High)
		}
	}
	if len(marks) == 0 {
		return false, nil
	}
	var ticks plot.ConstantTicks
	for x := range marks {
		ticks = append(ticks, plot.Tick{Value: x, Label: short(x)})
	}
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	// The y labels are short: gonum makes room for them where they would stand on
	// a linear axis. Whole decades, so that the axis has labels whatever the range.
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))

	const side = 4 * vg.Centimeter // the legend's
	p.Draw(draw.Crop(canvas, vg.Points(5), -side, vg.Points(5), -vg.Points(5)))
	legend.Draw(draw.Crop(canvas, canvas.Size().X-side, -vg.Points(8), 0, -vg.Points(30)))
	return true, nil
}

// decades marks 1, 10, 100 … with labels and what is between without.
func decades(low, high float64) (ticks []plot.Tick) {
	for decade := low; decade <= high*1.001; decade *= 10 {
		ticks = append(ticks, plot.Tick{Value: decade, Label: short(decade)})
		for digit := 2.0; digit < 10 && digit*decade < high; digit++ {
			ticks = append(ticks, plot.Tick{Value: digit * decade})
		}
	}
	return ticks
}

// short is a number as axes show it: 64, 16,384, 10 M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4g M", v/1e6)
	case v >= 100:
		return figure("", v)
	}
	return fmt.Sprintf("%.4g", v)
}
