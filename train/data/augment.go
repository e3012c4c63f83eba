package data

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// Augment changes pictures at random, each in its own way: the parameters mean what those of Keras' random
// layers mean. Pictures are float32 (batch, height, width, channels). The zero value changes nothing.
type Augment struct {
	FlipHorizontal, FlipVertical bool
	Rotation                     float64 // at most this part of a whole turn, either way
	Zoom                         float64 // height and width by at most this part
	Translation                  float64 // at most this part of height and width
	Contrast                     float64 // (x - mean) times 1 ± this, plus mean
	Brightness                   float64 // adds at most this times ValueRange's size
	ValueRange                   [2]float64
	CropHeight, CropWidth        int // a random part of this size; 0: no crop
}

// Dataset is d with input number input augmented, differently in each epoch.
func (a Augment) Dataset(d Dataset, input int) Dataset {
	return Map(d, func(b Batch, rng *philox.Stream) (Batch, error) {
		if input >= len(b.X) {
			return b, errs.Errorf("data: augmentation of input %d of %d", input, len(b.X))
		}
		x, err := a.Apply(b.X[input], rng)
		if err != nil {
			return b, err
		}
		b.X = append([]*tensor.Tensor{}, b.X...)
		b.X[input] = x
		return b, nil
	})
}

// Apply is a batch augmented.
func (a Augment) Apply(x *tensor.Tensor, rng *philox.Stream) (*tensor.Tensor, error) {
	if x.Rank() != 4 || x.DType() != tensor.Float32 {
		return nil, errs.Errorf("data: augmentation takes float32 pictures (batch, height, width, channels), got %v%v", x.DType(), x.Shape())
	}
	n, h, w, c := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	oh, ow := h, w
	if a.CropHeight > 0 {
		oh = a.CropHeight
	}
	if a.CropWidth > 0 {
		ow = a.CropWidth
	}
	if oh > h || ow > w {
		return nil, errs.Errorf("data: a crop of %dx%d from %dx%d", oh, ow, h, w)
	}
	out := tensor.New(tensor.Float32, n, oh, ow, c)
	src, dst := tensor.As[float32](x), tensor.As[float32](out)
	for i := range n {
		r := rng.Fork(uint64(i))
		p := picture{src[i*h*w*c : (i+1)*h*w*c], h, w, c}
		a.one(picture{dst[i*oh*ow*c : (i+1)*oh*ow*c], oh, ow, c}, p, r)
	}
	return out, nil
}

type picture struct {
	v       []float32
	h, w, c int
}

// one draws a picture's parameters and resamples it in one go: every output pixel is looked up where it came
// from.
func (a Augment) one(dst, src picture, r *philox.Stream) {
	sym := func(v float64) float64 { return v * (2*r.Float64() - 1) }
	sx, sy := 1.0, 1.0
	if a.FlipHorizontal && r.IntN(2) == 1 {
		sx = -1
	}
	if a.FlipVertical && r.IntN(2) == 1 {
		sy = -1
	}
	angle := sym(a.Rotation) * 2 * math.Pi
	zy, zx := 1+sym(a.Zoom), 1+sym(a.Zoom)
	ty, tx := sym(a.Translation)*float64(src.h), sym(a.Translation)*float64(src.w)
	oy, ox := 0, 0
	if dst.h < src.h {
		oy = r.IntN(src.h - dst.h + 1)
	}
	if dst.w < src.w {
		ox = r.IntN(src.w - dst.w + 1)
	}
	sin, cos := math.Sincos(angle)
	cy, cx := float64(src.h-1)/2, float64(src.w-1)/2
	plain := angle == 0 && zx == 1 && zy == 1 && tx == 0 && ty == 0
	for y := range dst.h {
		for x := range dst.w {
			dy, dx := float64(y+oy)-cy, float64(x+ox)-cx
			fy, fx := (dy*cos-dx*sin)*zy*sy-ty+cy, (dy*sin+dx*cos)*zx*sx-tx+cx
			at := (y*dst.w + x) * dst.c
			if plain {
				from := (int(fy+0.5)*src.w + int(fx+0.5)) * src.c
				copy(dst.v[at:at+dst.c], src.v[from:from+src.c])
				continue
			}
			src.bilinear(dst.v[at:at+dst.c], fy, fx)
		}
	}
	a.colour(dst, r)
}

// bilinear reads between pixels; outside, the picture is reflected, as Keras' fill_mode has it.
func (p picture) bilinear(out []float32, y, x float64) {
	y0, x0 := math.Floor(y), math.Floor(x)
	fy, fx := float32(y-y0), float32(x-x0)
	at := func(y, x float64) []float32 {
		i := (reflect(int(y), p.h)*p.w + reflect(int(x), p.w)) * p.c
		return p.v[i : i+p.c]
	}
	a, b, c, d := at(y0, x0), at(y0, x0+1), at(y0+1, x0), at(y0+1, x0+1)
	for k := range out {
		out[k] = (a[k]*(1-fx)+b[k]*fx)*(1-fy) + (c[k]*(1-fx)+d[k]*fx)*fy
	}
}

// reflect mirrors an index into [0, n): d c b a | a b c d | d c b a.
func reflect(i, n int) int {
	period := 2 * n
	i = ((i % period) + period) % period
	if i >= n {
		i = period - 1 - i
	}
	return i
}

// colour applies contrast and brightness.
func (a Augment) colour(p picture, r *philox.Stream) {
	lo, hi := a.ValueRange[0], a.ValueRange[1]
	clip := func(v float32) float32 {
		if hi > lo {
			return min(max(v, float32(lo)), float32(hi))
		}
		return v
	}
	if a.Contrast > 0 {
		f := float32(1 + a.Contrast*(2*r.Float64()-1))
		for k := range p.c {
			var mean float64
			for i := k; i < len(p.v); i += p.c {
				mean += float64(p.v[i])
			}
			m := float32(mean / float64(p.h*p.w))
			for i := k; i < len(p.v); i += p.c {
				p.v[i] = clip((p.v[i]-m)*f + m)
			}
		}
	}
	if a.Brightness > 0 {
		size := hi - lo
		if size <= 0 {
			size = 1
		}
		d := float32(a.Brightness * (2*r.Float64() - 1) * size)
		for i := range p.v {
			p.v[i] = clip(p.v[i] + d)
		}
	}
}
