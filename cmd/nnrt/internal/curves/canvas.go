package curves

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

type point struct{ x, y float64 }

// escape is text as SVG takes it.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&quot;")

// canvas is what curves are drawn on. Own drawing instead of a plotting library keeps megabytes of fonts and formats
// out of the command.
type canvas interface {
	line(ps []point, c color.RGBA, width float64)
	// text writes s with the baseline at y; align is the part of it that lies left of x.
	text(x, y float64, s string, align float64, c color.RGBA)
	bytes() ([]byte, error)
}

// svg is a canvas of SVG elements.
type svg struct{ buf bytes.Buffer }

func newVector(w, h int) *svg {
	s := &svg{}
	fmt.Fprintf(&s.buf, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", w, h, w, h)
	fmt.Fprintf(&s.buf, `<rect width="%d" height="%d" fill="white"/>`+"\n", w, h)
	return s
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func (s *svg) line(ps []point, c color.RGBA, width float64) {
	fmt.Fprintf(&s.buf, `<polyline fill="none" stroke="%s" stroke-width="%g" stroke-linejoin="round" points="`, hex(c), width)
	for i, p := range ps {
		if i > 0 {
			s.buf.WriteByte(' ')
		}
		fmt.Fprintf(&s.buf, "%.1f,%.1f", p.x, p.y)
	}
	s.buf.WriteString("\"/>\n")
}

func (s *svg) text(x, y float64, t string, align float64, c color.RGBA) {
	anchor := map[float64]string{0: "start", 0.5: "middle", 1: "end"}[align]
	fmt.Fprintf(&s.buf, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">`, x, y, anchor, hex(c))
	s.buf.WriteString(escape.Replace(t))
	s.buf.WriteString("</text>\n")
}

func (s *svg) bytes() ([]byte, error) {
	s.buf.WriteString("</svg>\n")
	return s.buf.Bytes(), nil
}

// raster is a canvas of pixels.
type raster struct{ img *image.RGBA }

func newRaster(w, h int) *raster {
	r := &raster{image.NewRGBA(image.Rect(0, 0, w, h))}
	draw.Draw(r.img, r.img.Bounds(), image.White, image.Point{}, draw.Src)
	return r
}

func (r *raster) line(ps []point, c color.RGBA, width float64) {
	b := r.img.Bounds()
	for i := 1; i < len(ps); i++ {
		p, q := ps[i-1], ps[i]
		dx, dy := q.x-p.x, q.y-p.y
		n := dx*dx + dy*dy
		if n == 0 {
			continue
		}
		k := width / 2 / math.Sqrt(n)
		ox, oy := -dy*k, dx*k
		v := vector.NewRasterizer(b.Dx(), b.Dy())
		v.MoveTo(float32(p.x+ox), float32(p.y+oy))
		v.LineTo(float32(q.x+ox), float32(q.y+oy))
		v.LineTo(float32(q.x-ox), float32(q.y-oy))
		v.LineTo(float32(p.x-ox), float32(p.y-oy))
		v.ClosePath()
		v.Draw(r.img, b, image.NewUniform(c), image.Point{})
	}
}

func (r *raster) text(x, y float64, s string, align float64, c color.RGBA) {
	d := font.Drawer{Dst: r.img, Src: image.NewUniform(c), Face: basicfont.Face7x13}
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(x*64) - fixed.Int26_6(float64(d.MeasureString(s))*align), Y: fixed.Int26_6(y * 64)}
	d.DrawString(s)
}

func (r *raster) bytes() ([]byte, error) {
	var buf bytes.Buffer
	err := png.Encode(&buf, r.img)
	return buf.Bytes(), err
}
