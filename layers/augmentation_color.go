package layers

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Call implements Layer.
func (l *RandomContrast) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 0)
		if fs, err := asFloats(l.Factor); err == nil && len(fs) == 1 {
			lo = hi
		}
		v0, v1 := c.valueRange(l.ValueRange)
		return c.clip(c.contrast(x, d.of(x, 1-lo, 1+hi, 1, 1, 1)), v0, v1)
	})
}

func (c *Call) contrast(x, f *graph.Value) *graph.Value {
	m := c.mean(x, true, 1, 2)
	return c.add(c.mul(c.sub(x, m), f), m)
}

// Call implements Layer.
func (l *RandomBrightness) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, -1, 0)
		v0, v1 := c.valueRange(l.ValueRange)
		return c.clip(c.add(x, c.mulN(d.of(x, lo, hi, 1, 1, 1), v1-v0)), v0, v1)
	})
}

// Call implements Layer.
func (l *RandomHue) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 0)
		sign := c.where(c.Add(ops.Greater{}, d.of(x, 0, 1, 1, 1, 1), c.num(x, 0.5)), c.num(x, -1), c.num(x, 1))
		turn := c.mulN(c.mul(sign, d.of(x, lo, hi, 1, 1, 1)), 0.5)
		v0, v1 := c.valueRange(l.ValueRange)
		hsv := c.toHSV(c.rescale(x, v0, v1, 0, 1), false)
		h := c.add(c.slice(hsv, 3, 0, 1), turn)
		h = c.where(c.Add(ops.Greater{}, h, c.num(h, 1)), c.addN(h, -1), h)
		h = c.where(c.Add(ops.Less{}, h, c.num(h, 0)), c.addN(h, 1), h)
		y := c.fromHSV(c.concat(3, h, c.slice(hsv, 3, 1, 3)), false)
		return c.rescale(c.clip(y, 0, 1), 0, 1, v0, v1)
	})
}

// Call implements Layer.
func (l *RandomSaturation) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 0)
		f := d.of(x, lo, hi, 1, 1, 1)
		f = c.div(f, c.addN(c.sub(c.num(f, 1), f), 1e-7))
		v0, v1 := c.valueRange(l.ValueRange)
		hsv := c.toHSV(x, false)
		s := c.clip(c.mul(c.slice(hsv, 3, 1, 2), f), v0, v1)
		return c.fromHSV(c.concat(3, c.slice(hsv, 3, 0, 1), s, c.slice(hsv, 3, 2, 3)), false)
	})
}

// Call implements Layer.
func (l *RandomSharpness) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 0)
		f := c.mulN(d.of(x, lo, hi, 1, 1, 1), 2)
		n := c.dim(x, 3)
		if n < 1 {
			c.Failf("needs a known number of channels, got %v", x.Type)
			return x
		}
		k := make([]float64, 9*n)
		for i := range k {
			k[i] = 1.0 / 13
			if i/n == 4 {
				k[i] = 5.0 / 13
			}
		}
		ones := []int{1, 1}
		smooth := c.depthwise(x, c.constant(x.Type.DType, k, 3, 3, n, 1), nil, convSpec{ones, ones, "same", n, false}, 1)
		v0, v1 := c.valueRange(l.ValueRange)
		return c.clip(c.add(x, c.mul(c.sub(c.num(f, 1), f), c.sub(smooth, x))), v0, v1)
	})
}

// Call implements Layer.
func (l *RandomPosterization) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 1, 1)
		if fs, err := asFloats(l.Factor); err == nil && len(fs) == 1 {
			lo = hi
		}
		bits := c.Add(ops.Floor{}, d.of(x, lo, max(hi, lo+1e-6), 1, 1, 1))
		step := c.Add(ops.Pow{}, c.num(bits, 2), c.sub(c.num(bits, 8), bits))
		v0, v1 := c.valueRange(l.ValueRange)
		y := c.Add(ops.Floor{}, c.rescale(x, v0, v1, 0, 255))
		y = c.mul(c.Add(ops.Floor{}, c.div(y, step)), step)
		return c.rescale(y, 0, 255, v0, v1)
	})
}

// Call implements Layer.
func (l *RandomColorDegeneration) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 0)
		v0, v1 := c.valueRange(l.ValueRange)
		y := c.add(x, c.mul(d.of(x, lo, hi, 1, 1, 1), c.sub(c.grayscale(x, false), x)))
		return c.clip(y, v0, v1)
	})
}

// Call implements Layer: the four augmentations after each other, as layers of their own.
func (l *RandomColorJitter) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	sub := func(f any, k int, mk func(ColorConfig) Layer) {
		if f == nil {
			return
		}
		seed := l.Seed
		if seed != nil {
			seed = new(int)
			*seed = *l.Seed + 7919*k
		}
		inner := mk(ColorConfig{DataFormat: l.DataFormat, Factor: f, ValueRange: l.ValueRange, Seed: seed})
		call := *c
		call.In, call.Args = one(x), []any{x}
		x = inner.Call(&call)[0]
	}
	sub(l.BrightnessFactor, 0, func(g ColorConfig) Layer { b := RandomBrightness(g); return &b })
	sub(l.ContrastFactor, 1, func(g ColorConfig) Layer { b := RandomContrast(g); return &b })
	sub(l.SaturationFactor, 2, func(g ColorConfig) Layer { b := RandomSaturation(g); return &b })
	sub(l.HueFactor, 3, func(g ColorConfig) Layer { b := RandomHue(g); return &b })
	return one(x)
}

// Call implements Layer.
func (l *RandomGrayscale) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		_, p := c.factor(l.Factor, 0, 0.5)
		in := c.Add(ops.Less{}, d.of(x, 0, 1, 1, 1, 1), c.num(x, p))
		return c.where(in, c.grayscale(x, false), x)
	})
}

// Call implements Layer.
func (l *RandomInvert) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Factor, 0, 1)
		_, v1 := c.valueRange(l.ValueRange)
		return c.where(d.chance(x, lo, hi, 1, 1, 1), c.sub(c.num(x, v1), x), x)
	})
}

// Call implements Layer.
func (l *RandomErasing) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		lo, hi := c.factor(l.Scale, 0, 0.33)
		if l.Scale == nil {
			lo = 0.02
		}
		p0, p1 := c.factor(l.Factor, 0, 1)
		rows, cols, h, w := c.grid(x)
		inside := func(places *graph.Value, n int, shape ...int) *graph.Value {
			size := c.mulN(c.Add(ops.Sqrt{}, d.of(x, lo, hi, 1, 1, 1)), float64(n))
			from := c.mul(d.of(x, 0, 1, 1, 1, 1), c.sub(c.num(size, float64(n)), size))
			at := c.reshapeTo(places, shape...)
			return c.and(c.Add(ops.GreaterOrEqual{}, at, from), c.Add(ops.Less{}, at, c.add(from, size)))
		}
		in := c.and(inside(rows, h, 1, h, 1, 1), inside(cols, w, 1, 1, w, 1))
		in = c.and(in, d.chance(x, p0, p1, 1, 1, 1))
		var fill *graph.Value
		if l.FillValue == nil {
			v0, v1 := c.valueRange(l.ValueRange)
			fill = c.clip(c.mulN(c.normal(x, 0, 1, l.Seed), v1), v0, v1)
		} else {
			v, err := asNumber(l.FillValue)
			if err != nil {
				c.Failf("fill_value: %v", err)
			}
			fill = c.num(x, v)
		}
		return c.where(in, fill, x)
	})
}

// Call implements Layer.
func (l *Solarization) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, l.Seed, func(d *draws, x *graph.Value) *graph.Value {
		a0, a1 := c.factor(l.AdditionFactor, 0, 0)
		t0, t1 := c.factor(l.ThresholdFactor, 0, 0)
		v0, v1 := c.valueRange(l.ValueRange)
		y := c.add(c.rescale(x, v0, v1, 0, 255), d.of(x, a0, a1*255, 1, 1, 1))
		y = c.clip(y, 0, 255)
		low := c.Add(ops.Less{}, y, d.of(x, t0, t1*255, 1, 1, 1))
		return c.rescale(c.where(low, y, c.sub(c.num(y, 255), y)), 0, 255, v0, v1)
	})
}

// Call implements Layer.
func (l *AutoContrast) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	v0, v1 := c.valueRange(l.ValueRange)
	if r := c.rank(x); r != 3 && r != 4 {
		c.Failf("takes images, got %v", x.Type)
		return one(x)
	}
	// Keras takes axes 1 and 2 in either data format, and of single images too
	y := c.rescale(x, v0, v1, 0, 255)
	low := c.Add(ops.ReduceMin{Keepdims: true}, y, c.ints(1, 2))
	scale := c.div(c.num(y, 255), c.sub(c.max(y, true, 1, 2), low))
	y = c.clip(c.sub(c.mul(y, scale), c.mul(low, scale)), 0, 255)
	y = c.rescale(y, 0, 255, v0, v1)
	return one(c.where(c.Add(ops.IsNaN{}, y), x, y))
}

// Call implements Layer.
func (l *Equalization) Call(c *Call) []*graph.Value {
	return c.augment(l.DataFormat, nil, func(_ *draws, x *graph.Value) *graph.Value {
		v0, v1 := c.valueRange(l.ValueRange)
		bins := orOne(l.Bins, 256)
		if n := c.dim(x, 3); n < 1 || !c.atMost("bins", bins, 1<<12) {
			c.Failf("needs a known number of channels, got %v", x.Type)
			return x
		}
		parts := make([]*graph.Value, c.dim(x, 3))
		for i := range parts {
			ch := c.rescale(c.slice(x, 3, i, i+1), v0, v1, 0, 255)
			at := c.clip(c.mulN(ch, float64(bins-1)/255), 0, float64(bins-1))
			at = c.cast(at, tensor.Int32)
			hist := c.sum(c.oneHot(c.reshapeTo(at, -1), bins, -1, x.Type.DType, 1, 0), false, 0)
			cdf := c.Add(ops.CumSum{}, hist, c.Const("axis", tensor.Scalar(int64(0))))
			first := c.Add(ops.ReduceMin{}, c.where(c.Add(ops.Greater{}, cdf, c.num(cdf, 0)), cdf, c.num(cdf, 3e38)), nil)
			total := c.Add(ops.ReduceMax{}, cdf)
			span := c.sub(total, first)
			flat := c.Add(ops.Equal{}, span, c.num(span, 0)) // one bin holds all
			table := c.Add(ops.Round{}, c.div(c.mulN(c.sub(cdf, first), 255), c.where(flat, c.num(span, 1), span)))
			y := c.Add(ops.Gather{}, c.clip(table, 0, 255), at)
			parts[i] = c.rescale(c.where(flat, ch, y), 0, 255, v0, v1)
		}
		return c.concat(3, parts...)
	})
}
