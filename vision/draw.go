package vision

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"

	"golang.org/x/image/draw"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Picture is a tensor [h, w, c] or [1, h, w, c] of one or three channels as a picture; lo becomes black and hi white.
func Picture(t *tensor.Tensor, lo, hi float64) (*image.RGBA, error) {
	s := t.Shape()
	if len(s) == 4 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) != 3 || s[2] != 1 && s[2] != 3 || t.DType() != tensor.Float32 {
		return nil, errs.Errorf("vision: %v %v is no picture; float32 [h, w, 1 or 3] is", t.DType(), t.Shape())
	}
	img := image.NewRGBA(image.Rect(0, 0, s[1], s[0]))
	v := tensor.As[float32](t)
	for p := range s[0] * s[1] {
		for c := range 3 {
			img.Pix[p*4+c] = level(float64(v[p*s[2]+c%s[2]]), lo, hi)
		}
		img.Pix[p*4+3] = 255
	}
	return img, nil
}

func level(v, lo, hi float64) uint8 {
	if !(hi > lo) || math.IsNaN(v) {
		return 0
	}
	return uint8(min(255, max(0, math.Round((v-lo)/(hi-lo)*255))))
}

// Mosaic is the channels of an activation [1, h, w, c] side by side, cols in a row, each with its own scale of
// colours; limit bounds their number, 0 does not.
func Mosaic(t *tensor.Tensor, cols, limit int) (*image.RGBA, error) {
	if t.Rank() != 4 || t.Dim(0) != 1 || t.DType() != tensor.Float32 {
		return nil, errs.Errorf("vision: a mosaic is made of [1, h, w, c], not %v %v", t.DType(), t.Shape())
	}
	h, w, c := t.Dim(1), t.Dim(2), t.Dim(3)
	n := c
	if limit > 0 {
		n = min(n, limit)
	}
	cols = max(1, min(cols, n))
	rows := (n + cols - 1) / cols
	img := image.NewRGBA(image.Rect(0, 0, cols*(w+1)+1, rows*(h+1)+1))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	v := tensor.As[float32](t)
	for k := range n {
		lo, hi := math.Inf(1), math.Inf(-1)
		for p := range h * w {
			x := float64(v[p*c+k])
			lo, hi = min(lo, x), max(hi, x)
		}
		for p := range h * w {
			img.Set(k%cols*(w+1)+1+p%w, k/cols*(h+1)+1+p/w, ramp(float64(level(float64(v[p*c+k]), lo, hi))/255))
		}
	}
	return img, nil
}

// stops are the colours of a ramp from dark blue over green to yellow, readable by the colour-blind.
var stops = [][3]float64{{13, 22, 80}, {40, 90, 140}, {30, 150, 130}, {120, 200, 80}, {250, 230, 40}}

// ramp is the colour of a number between 0 and 1.
func ramp(v float64) color.RGBA {
	at := min(1, max(0, v)) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	f := at - float64(i)
	mix := func(c int) uint8 { return uint8(math.Round(stops[i][c]*(1-f) + stops[i+1][c]*f)) }
	return color.RGBA{mix(0), mix(1), mix(2), 255}
}

// Overlay lays a heat map [h, w] between 0 and 1 over a picture: the warmer, the less of the picture shows through,
// up to alpha.
func Overlay(img image.Image, heat *tensor.Tensor, alpha float64) (*image.RGBA, error) {
	if heat.Rank() != 2 || heat.DType() != tensor.Float32 {
		return nil, errs.Errorf("vision: a heat map is float32 [h, w], not %v %v", heat.DType(), heat.Shape())
	}
	b := img.Bounds()
	small := image.NewGray16(image.Rect(0, 0, heat.Dim(1), heat.Dim(0)))
	for p, v := range tensor.As[float32](heat) {
		small.SetGray16(p%heat.Dim(1), p/heat.Dim(1), color.Gray16{Y: uint16(min(1, max(0, v)) * 65535)})
	}
	large := image.NewGray16(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.CatmullRom.Scale(large, large.Bounds(), small, small.Bounds(), draw.Src, nil)
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Bounds(), img, b.Min, draw.Src)
	for y := range b.Dy() {
		for x := range b.Dx() {
			v := float64(large.Gray16At(x, y).Y) / 65535
			c, under, a := ramp(v), out.RGBAAt(x, y), alpha*v
			mix := func(p, q uint8) uint8 { return uint8(math.Round(float64(p)*(1-a) + float64(q)*a)) }
			out.SetRGBA(x, y, color.RGBA{mix(under.R, c.R), mix(under.G, c.G), mix(under.B, c.B), 255})
		}
	}
	return out, nil
}

// PNG is a picture as a file.
func PNG(img image.Image) ([]byte, error) {
	var buf bytes.Buffer
	err := png.Encode(&buf, img)
	return buf.Bytes(), err
}

// SVG is a picture within an SVG document of another size, with sharp pixels: for small maps in a page.
func SVG(img image.Image, width, height int) ([]byte, error) {
	p, err := PNG(img)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"><image width="%d" height="%d" style="image-rendering:pixelated" href="data:image/png;base64,%s"/></svg>`+"\n",
		width, height, width, height, base64.StdEncoding.EncodeToString(p)), nil
}
