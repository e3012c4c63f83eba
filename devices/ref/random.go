package ref

import (
	"math"
	"math/rand/v2"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/mt19937"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func randomKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.RandomNormal, c *Call) error {
			return normals(c, op.Mean, op.Scale, seeded(op.Seed, op.HasSeed))
		}),
		fn(func(op ops.RandomNormalLike, c *Call) error {
			return normals(c, op.Mean, op.Scale, seeded(op.Seed, op.HasSeed))
		}),
		fn(func(op ops.RandomUniform, c *Call) error {
			return uniforms(c, op.Low, op.High, seeded(op.Seed, op.HasSeed))
		}),
		fn(func(op ops.RandomUniformLike, c *Call) error {
			return uniforms(c, op.Low, op.High, seeded(op.Seed, op.HasSeed))
		}),
		fn(multinomial),
		fn(func(op ops.Bernoulli, c *Call) error {
			s := seeded(op.Seed, op.HasSeed)
			return mapFloat(c, func(p float64) float64 { return either(s.Bernoulli(p), 1, 0) })
		}),
		fn(dropout),
		fn(func(op ops.PhiloxUniform, c *Call) error {
			return keyed(c, op.Dtype, func(stream, counter uint64, i int) float64 {
				return op.Low + (op.High-op.Low)*float64(philox.Unit(philox.At(stream, counter, uint64(i))))
			})
		}),
		fn(func(op ops.PhiloxNormal, c *Call) error {
			return keyed(c, op.Dtype, func(stream, counter uint64, i int) float64 {
				u := philox.Unit(philox.At(stream, counter, uint64(2*i)))
				v := philox.Unit(philox.At(stream, counter, uint64(2*i+1)))
				return op.Mean + op.Scale*math.Sqrt(-2*math.Log(1-float64(u)))*math.Cos(2*math.Pi*float64(v))
			})
		}),
	}
}

// seeded is the generator of a seed attribute, or one that differs each time.
func seeded(seed float64, has bool) *mt19937.State {
	if !has || math.IsNaN(seed) {
		return mt19937.New(rand.Uint32())
	}
	return mt19937.New(uint32(int64(seed)))
}

func normals(c *Call, mean, scale float64, s *mt19937.State) error {
	vs := make([]float64, c.Out(0).Len())
	for i := range vs {
		vs[i] = mean + scale*s.Norm()
	}
	return c.Out(0).SetFloat64s(vs)
}

func uniforms(c *Call, low, high float64, s *mt19937.State) error {
	vs := make([]float64, c.Out(0).Len())
	for i := range vs {
		vs[i] = low + (high-low)*s.Float64()
	}
	return c.Out(0).SetFloat64s(vs)
}

func multinomial(op ops.Multinomial, c *Call) error {
	logp, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	s := seeded(op.Seed, op.HasSeed)
	classes := c.In(0).Dim(1)
	if classes == 0 {
		return errs.Errorf("no classes to draw from")
	}
	out := make([]int64, c.Out(0).Len())
	for i := range out {
		line := logp[i/op.SampleSize*classes:][:classes]
		top, sum := shifted(line)
		u := s.Float64() * sum
		k := 0
		for ; k < classes-1; k++ {
			if u -= math.Exp(line[k] - top); u < 0 {
				break
			}
		}
		out[i] = int64(k)
	}
	return setInts(c.Out(0), out)
}

// key reads the stream and counter that name a sequence of philox words.
func key(t *tensor.Tensor) (stream, counter uint64, err error) {
	vs, err := t.Int64s()
	if err != nil {
		return 0, 0, err
	}
	if len(vs) != 2 {
		return 0, 0, errs.Errorf("the key has %d elements, not 2", len(vs))
	}
	return uint64(vs[0]), uint64(vs[1]), nil
}

func keyed(c *Call, dt tensor.DType, f func(stream, counter uint64, i int) float64) error {
	shape, err := intsOf(c.In(0))
	if err != nil {
		return err
	}
	stream, counter, err := key(c.In(1))
	if err != nil {
		return err
	}
	out, err := c.OutOf(0, dt, shape...)
	if err != nil {
		return err
	}
	vs := make([]float64, out.Len())
	for i := range vs {
		vs[i] = f(stream, counter, i)
	}
	return out.SetFloat64s(vs)
}

func dropout(op ops.Dropout, c *Call) error {
	ratio, train := 0.5, false
	if t := c.In(1); t != nil && t.Len() > 0 {
		vs, err := t.Float64s()
		if err != nil {
			return err
		}
		ratio = vs[0]
	}
	if t := c.In(2); t != nil && t.Len() > 0 {
		train = tensor.As[bool](t)[0]
	}
	mask := tensor.As[bool](c.Out(1))
	if !train || ratio == 0 {
		for i := range mask {
			mask[i] = true
		}
		return c.Out(0).CopyFrom(c.In(0))
	}
	var draw func() float64 // element after element
	if c.In(3) != nil {
		stream, counter, err := key(c.In(3))
		if err != nil {
			return err
		}
		word := philox.Words(stream, counter)
		draw = func() float64 { return float64(philox.Unit(word())) }
	} else {
		s := seeded(float64(op.Seed), op.HasSeed)
		draw = s.Float64
	}
	x, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	for i := range x {
		if mask[i] = draw() >= ratio; mask[i] {
			x[i] /= 1 - ratio
		} else {
			x[i] = 0
		}
	}
	return c.Out(0).SetFloat64s(x)
}
