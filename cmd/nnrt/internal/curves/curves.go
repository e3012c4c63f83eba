// Package curves draws the learning curves of a training history.
package curves

import (
	"encoding/json"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
)

// History is each metric's value after each epoch: Keras' history.history.
type History map[string][]float64

// Parse reads a history as JSON: a dictionary of lists of numbers, or one under the key "history". NaN and infinities,
// which Python writes bare, are gaps.
func Parse(p []byte) (History, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(bare(p), &raw); err != nil {
		return nil, errs.Errorf("a history is a JSON object of lists of numbers: %w", err)
	}
	if inner, ok := raw["history"]; ok {
		return Parse(inner)
	}
	h := History{}
	for name, v := range raw {
		if name == "epoch" {
			continue
		}
		var values []*float64
		if err := json.Unmarshal(v, &values); err != nil {
			continue // per class, or no numbers: not a curve
		}
		for _, x := range values {
			if x == nil {
				x = new(math.NaN())
			}
			h[name] = append(h[name], *x)
		}
	}
	if len(h) == 0 {
		return nil, errs.Errorf("the history holds no list of numbers")
	}
	return h, nil
}

// bare replaces the words NaN and Infinity outside of strings by null.
func bare(p []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\' && inString && i+1 < len(p):
			out = append(out, p[i])
			i++
		case p[i] == '"':
			inString = !inString
		case !inString:
			if w := word(string(p[i:min(len(p), i+9)])); w > 0 {
				out = append(out, "null"...)
				i += w - 1
				continue
			}
		}
		out = append(out, p[i])
	}
	return out
}

func word(s string) int {
	for _, w := range []string{"NaN", "Infinity", "-Infinity"} {
		if strings.HasPrefix(s, w) {
			return len(w)
		}
	}
	return 0
}

// panels groups the metrics: each with its validation counterpart, loss first.
func (h History) panels() [][]string {
	var names []string
	for name := range h {
		if _, ok := h[strings.TrimPrefix(name, "val_")]; !ok || !strings.HasPrefix(name, "val_") {
			names = append(names, name)
		}
	}
	order.Sort(names, func(a, b string) int {
		if (a == "loss") != (b == "loss") {
			if a == "loss" {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var out [][]string
	for _, n := range names {
		p := []string{n}
		if _, ok := h["val_"+n]; ok {
			p = append(p, "val_"+n)
		}
		out = append(out, p)
	}
	return out
}

// Draw is the history as a picture in the format that a file name's ending asks for: .svg or .png.
func Draw(h History, title, file string) ([]byte, error) {
	var c canvas
	panels := h.panels()
	width := panelWidth * len(panels)
	switch strings.ToLower(filepath.Ext(file)) {
	case ".svg":
		c = newVector(width, panelHeight)
	case ".png":
		c = newRaster(width, panelHeight)
	default:
		return nil, errs.Errorf("%s: a picture's name ends in .svg or .png", file)
	}
	for i, names := range panels {
		label := names[0]
		if title != "" {
			label = title + ": " + label
		}
		drawPanel(c, h, names, label, float64(i*panelWidth))
	}
	return c.bytes()
}

// The size of a panel and its margins, in pixels.
const (
	panelWidth, panelHeight = 460, 340
	left, right, top, foot  = 62, 16, 34, 44
)

var colours = []color.RGBA{{0x1f, 0x77, 0xb4, 0xff}, {0xff, 0x7f, 0x0e, 0xff}}

// drawPanel draws curves over the same axes; names beyond the first are validation's.
func drawPanel(c canvas, h History, names []string, label string, x0 float64) {
	epochs, lo, hi := 1, math.Inf(1), math.Inf(-1)
	for _, n := range names {
		epochs = max(epochs, len(h[n]))
		for _, v := range h[n] {
			if v-v == 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo > hi {
		lo, hi = 0, 1
	}
	ticks, digits := niceTicks(lo, hi)
	lo, hi = min(lo, ticks[0]), max(hi, ticks[len(ticks)-1])
	px := func(epoch float64) float64 {
		return x0 + left + (epoch-1)/max(1, float64(epochs-1))*(panelWidth-left-right)
	}
	py := func(v float64) float64 { return panelHeight - foot - (v-lo)/(hi-lo)*(panelHeight-top-foot) }
	grey, black := color.RGBA{0xdd, 0xdd, 0xdd, 0xff}, color.RGBA{0x22, 0x22, 0x22, 0xff}
	for _, v := range ticks {
		c.line([]point{{px(1), py(v)}, {px(float64(epochs)), py(v)}}, grey, 1)
		c.text(x0+left-6, py(v)+4, strconv.FormatFloat(v, 'f', digits, 64), 1, black)
	}
	step := max(1, int(math.Ceil(float64(epochs)/8)))
	for e := 1; e <= epochs; e += step {
		c.text(px(float64(e)), panelHeight-foot+16, strconv.Itoa(e), 0.5, black)
	}
	c.text(x0+left+(panelWidth-left-right)/2, panelHeight-8, "epoch", 0.5, black)
	c.text(x0+left+(panelWidth-left-right)/2, 18, label, 0.5, black)
	for k, n := range names {
		var run []point
		for i, v := range append(slices.Clone(h[n]), math.NaN()) {
			if v-v == 0 {
				run = append(run, point{px(float64(i + 1)), py(v)})
				continue
			}
			if len(run) > 0 { // a gap ends a line; one value alone is a dot
				c.line(append(run, point{run[len(run)-1].x + 0.5, run[len(run)-1].y}), colours[k], 2)
			}
			run = nil
		}
		name := []string{"training", "validation"}[k]
		y := float64(top + 6 + 16*k)
		c.line([]point{{x0 + panelWidth - right - 110, y}, {x0 + panelWidth - right - 90, y}}, colours[k], 2)
		c.text(x0+panelWidth-right-84, y+4, name, 0, black)
	}
}

// niceTicks is about five round numbers around [lo, hi], and the digits to print.
func niceTicks(lo, hi float64) (ticks []float64, digits int) {
	if hi <= lo {
		pad := max(math.Abs(lo), 1e-9) / 10
		lo, hi = lo-pad, hi+pad
	}
	unit := math.Pow(10, math.Floor(math.Log10((hi-lo)/4)))
	step := unit
	for _, m := range []float64{1, 2, 5, 10} {
		if step = m * unit; (hi-lo)/step <= 6 {
			break
		}
	}
	for i := math.Floor(lo / step); i*step <= hi+step*0.999 && len(ticks) < 12; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks, max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
}
