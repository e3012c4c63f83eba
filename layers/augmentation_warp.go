package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Call implements Layer.
func (l *RandomFlip) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		flip := c.Add(ops.LessOrEqual{}, d.of(x, 0, 1, 1, 1, 1), c.num(x, 0.5)) // one draw for both directions, as in Keras
		switch l.Mode {
		case "", "horizontal_and_vertical", "horizontal", "vertical":
		default:
			c.Failf("mode %q", l.Mode)
		}
		if l.Mode != "vertical" {
			x = c.where(flip, c.reverse(x, 2), x)
		}
		if l.Mode != "horizontal" {
			x = c.where(flip, c.reverse(x, 1), x)
		}
		return x
	})
}

// Call implements Layer.
func (l *RandomRotation) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, -1, 0)
		angle := d.of(x, lo*2*math.Pi, hi*2*math.Pi, 1)
		cos, sin := c.Add(ops.Cos{}, angle), c.Add(ops.Sin{}, angle)
		_, _, h, w := c.grid(x)
		cx, cy := float64(w-1)/2, float64(h-1)/2
		// about the middle: a2 = cx - cx*cos + cy*sin, b2 = cy - cx*sin - cy*cos
		a2 := c.add(c.addN(c.mulN(cos, -cx), cx), c.mulN(sin, cy))
		b2 := c.addN(c.add(c.mulN(sin, -cx), c.mulN(cos, -cy)), cy)
		t := c.transforms(x, cos, c.Add(ops.Neg{}, sin), a2, sin, cos, b2)
		return c.warpAffine(x, t, sampler{l.Interpolation, orString(l.FillMode, "reflect"), l.FillValue})
	})
}

// Call implements Layer.
func (l *RandomTranslation) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		h0, h1 := c.factor(l.HeightFactor, -1, 0)
		w0, w1 := c.factor(l.WidthFactor, -1, 0)
		_, _, h, w := c.grid(x)
		dy, dx := d.of(x, h0*float64(h), h1*float64(h), 1), d.of(x, w0*float64(w), w1*float64(w), 1)
		unit := c.addN(c.mulN(dy, 0), 1)
		t := c.transforms(x, unit, nil, c.Add(ops.Neg{}, dx), nil, unit, c.Add(ops.Neg{}, dy))
		return c.warpAffine(x, t, sampler{l.Interpolation, orString(l.FillMode, "reflect"), l.FillValue})
	})
}

// Call implements Layer.
func (l *RandomZoom) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		h0, h1 := c.factor(l.HeightFactor, -1, 0)
		_, _, h, w := c.grid(x)
		zy := d.of(x, 1+h0, 1+h1, 1)
		zx := zy
		if l.WidthFactor != nil {
			w0, w1 := c.factor(l.WidthFactor, -1, 0)
			zx = d.of(x, 1+w0, 1+w1, 1)
		}
		from := func(z *graph.Value, n int) *graph.Value { return c.mulN(c.sub(c.num(z, 1), z), float64(n-1)/2) }
		t := c.transforms(x, zx, nil, from(zx, w), nil, zy, from(zy, h))
		return c.warpAffine(x, t, sampler{l.Interpolation, orString(l.FillMode, "reflect"), l.FillValue})
	})
}

// Call implements Layer.
func (l *RandomShear) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		x0, x1 := c.factor(l.XFactor, 0, 0)
		y0, y1 := c.factor(l.YFactor, 0, 0)
		sign := c.where(c.Add(ops.Greater{}, d.of(x, 0, 1, 1), c.num(x, 0.5)), c.num(x, -1), c.num(x, 1))
		sy := c.mul(sign, d.of(x, y0, y1, 1))
		sx := c.mul(sign, d.of(x, x0, x1, 1))
		unit := c.addN(c.mulN(sx, 0), 1)
		t := c.transforms(x, unit, sx, nil, sy, unit, nil)
		return c.warpAffine(x, t, sampler{l.Interpolation, orString(l.FillMode, "reflect"), l.FillValue})
	})
}

// Call implements Layer.
func (l *RandomPerspective) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		p0, p1 := c.factor(l.Factor, 0, 1)
		s := orFloat(l.Scale, 1)
		_, _, h, w := c.grid(x)
		in := d.chance(x, p0, p1, 1, 1)
		r, b := float64(w-1), float64(h-1)
		corners := c.constant(x.Type.DType, []float64{0, 0, r, 0, 0, b, r, b}, 1, 4, 2)
		start := c.expand(corners, []graph.Dim{x.Type.Dims[0], graph.D(4), graph.D(2)}, x)
		end := c.add(start, c.mul(start, d.of(x, -s/2, s/2, 4, 2)))
		end = c.where(in, end, start)
		y := c.perspective(x, start, end, sampler{interpolation: l.Interpolation, fill: l.FillValue})
		return c.where(c.expandDims(in, -1), y, x)
	})
}

// Call implements Layer.
func (l *RandomCrop) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		_, _, h, w := c.grid(x)
		if l.Height < 1 || l.Width < 1 {
			c.Failf("height %d, width %d", l.Height, l.Width)
			return x
		}
		if h <= l.Height || w <= l.Width { // Keras' fallback: a part of the middle, resized
			ch := max(min(h, int(float64(w*l.Height)/float64(l.Width))), 1)
			cw := max(min(w, int(float64(h*l.Width)/float64(l.Height))), 1)
			top, left := (h-ch)/2, (w-cw)/2
			y := c.slice(c.slice(x, 1, top, min(top+l.Height, h)), 2, left, min(left+l.Width, w))
			return c.resizeImage(y, 1, 2, l.Height, l.Width, "bilinear", false)
		}
		// one draw for the whole batch
		start := func(n int) *graph.Value {
			v := c.slice(d.of(x, 0, float64(n+1)), 0, 0, 1)
			v = c.Add(ops.Min{}, c.Add(ops.Floor{}, v), c.num(v, float64(n)))
			return c.cast(v, tensor.Int64)
		}
		at := c.concat(0, start(h-l.Height), start(w-l.Width))
		size := c.ints(l.Height, l.Width)
		y := c.Add(ops.Slice{}, x, at, c.add(at, size), c.ints(1, 2))
		return c.reshape(y, []graph.Dim{x.Type.Dims[0], graph.D(l.Height), graph.D(l.Width), x.Type.Dims[3]}, x)
	})
}

// Call implements Layer.
func (l *RandomElasticTransform) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer.
func (l *RandomGaussianBlur) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer. Keras equalizes in inference as in training, so that the input for it would be wrong.
func (l *ContrastLimitedAdaptiveHistogramEqualization) Call(c *Call) []*graph.Value {
	c.unsupportedf("evens out histograms of tiles, which is not implemented: do so before the model and cut this layer off")
	return one(c.X())
}

// Call implements Layer.
func (l *MixUp) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer.
func (l *CutMix) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer.
func (l *AugMix) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer.
func (l *RandAugment) Call(c *Call) []*graph.Value { return c.untrained() }

// Call implements Layer.
func (l *MaxNumBoundingBoxes) Call(c *Call) []*graph.Value { return one(c.X()) }
