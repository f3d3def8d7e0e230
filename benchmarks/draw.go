package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width  = vg.Length(400) // in points
	height = vg.Length(380)
	size   = vg.Length(11) // of the text
	margin = vg.Length(20) // on the right, for labels in a wider font than the one measured
)

// The bars and lines are visible on white and on black. The text is not, so a style in the SVG
// changes its color on dark pages.
var (
	ink    = color.RGBA{0x57, 0x60, 0x6A, 0xFF}
	colors = map[string]color.Color{
		"conn":      color.RGBA{0x1F, 0x83, 0xE0, 0xFF},
		"broadcast": color.RGBA{0xC9, 0x6A, 0x12, 0xFF},
		"map":       color.RGBA{0xC9, 0x6A, 0x12, 0xFF},
		"slice":     color.RGBA{0x8B, 0x80, 0x77, 0xFF},
	}
	style = []byte(`<style>
@media (prefers-color-scheme: dark) {
	[style*="fill:#57606A"] { fill: #B1BAC4 !important }
	[style*="stroke:#57606A"] { stroke: #B1BAC4 !important }
}
text { font-family: "Liberation Sans", Arial, Helvetica, sans-serif !important }
</style>
`)
)

// names maps implementations to their labels.
var names = map[string]string{"conn": "conn", "broadcast": "every protocol called", "map": "map", "slice": "slice"}

// drawChart writes the chart as an SVG.
func drawChart(w io.Writer, teardown, hooks []series) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	lines, err := teardownPlot(teardown)
	if err != nil {
		return err
	}
	bars, err := hooksPlot(hooks)
	if err != nil {
		return err
	}

	canvas := vgsvg.New(width, height)
	all := draw.New(canvas)
	middle := height / 2
	lines.Draw(draw.Crop(all, 0, -margin, middle+8, 0))
	bars.Draw(draw.Crop(all, 0, -margin, 0, -middle-8))

	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	head := bytes.Index(svg.Bytes(), []byte("<svg "))
	end := head + bytes.IndexByte(svg.Bytes()[head:], '>') + 2
	for _, part := range [][]byte{svg.Bytes()[:end], style, svg.Bytes()[end:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// teardownPlot draws a line for each implementation, on logarithmic axes.
func teardownPlot(all []series) (*plot.Plot, error) {
	p := newPlot("Teardown of a connection without hooks, ns", "protocols in the program")
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = plot.ConstantTicks(ticks(1, 10, 100, 1000))
	p.Y.Tick.Marker = plot.ConstantTicks(ticks(1, 10, 100, 1000))
	p.Y.Min, p.Y.Max = 0.5, 3000
	for _, s := range all {
		xys := make(plotter.XYs, len(s.x))
		for i := range xys {
			xys[i] = plotter.XY{X: s.x[i], Y: s.y[i]}
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colors[s.impl], 2
		points.Color, points.Shape, points.Radius = colors[s.impl], draw.CircleGlyph{}, 3
		p.Add(line, points)

		last := len(xys) - 1
		label := fmt.Sprintf("%s: %s", names[s.impl], format(s.y[last]))
		if err := addLabels(p, xys[last:], []string{label}, draw.XRight, 0); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// hooksPlot draws a group of bars for each number of hooks.
func hooksPlot(all []series) (*plot.Plot, error) {
	const bar = vg.Length(24)
	p := newPlot("Register hooks and run them, ns", "hooks of the connection")
	for i, s := range all {
		chart, err := plotter.NewBarChart(plotter.Values(s.y), bar)
		if err != nil {
			return nil, err
		}
		chart.Color, chart.LineStyle.Width = colors[s.impl], 0
		chart.Offset = bar * vg.Length(float64(i)-float64(len(all)-1)/2)
		p.Add(chart)
		p.Legend.Add(names[s.impl], chart)

		tops, labels := make(plotter.XYs, len(s.y)), make([]string, len(s.y))
		for j, y := range s.y {
			tops[j], labels[j] = plotter.XY{X: float64(j), Y: y}, format(y)
		}
		if err := addLabels(p, tops, labels, draw.XCenter, chart.Offset); err != nil {
			return nil, err
		}
	}
	var groups []string
	for _, x := range all[0].x {
		groups = append(groups, format(x))
	}
	p.NominalX(groups...)
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 3
	p.Y.Max *= 1.15 // room for the legend
	p.Y.Tick.Marker = plot.ConstantTicks(nil)
	p.Y.LineStyle.Width = 0
	return p, nil
}

func newPlot(title, x string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text, p.X.Label.Text = title, x
	p.Title.Padding = 8
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Color, style.Font.Size = ink, size
	}
	p.Title.TextStyle.Font.Size = size + 1
	for _, line := range []*draw.LineStyle{&p.X.LineStyle, &p.X.Tick.LineStyle, &p.Y.LineStyle, &p.Y.Tick.LineStyle} {
		line.Color = ink
	}
	return p
}

// addLabels writes a label above each point, aligned and shifted to the right as given.
func addLabels(p *plot.Plot, at plotter.XYs, labels []string, align text.XAlignment, right vg.Length) error {
	l, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: labels})
	if err != nil {
		return err
	}
	for i := range l.TextStyle {
		l.TextStyle[i].Color, l.TextStyle[i].Font.Size, l.TextStyle[i].XAlign = ink, size, align
	}
	l.Offset = vg.Point{X: right, Y: 4}
	p.Add(l)
	return nil
}

func ticks(values ...float64) (ts []plot.Tick) {
	for _, v := range values {
		ts = append(ts, plot.Tick{Value: v, Label: format(v)})
	}
	return ts
}

// format formats a time without a fraction, or with two significant digits if it has one and is
// below 10.
func format(v float64) string {
	if v < 10 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
