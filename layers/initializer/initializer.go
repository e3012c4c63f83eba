// Package initializer fills new weights as Keras' initializers do: the same distributions from the same
// parameters. The random numbers themselves are Philox's, so a seed gives the same weights everywhere, and
// not those of any one Keras backend (Keras' backends differ from each other too).
package initializer

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// Initializer gives the first value of a weight. The exported fields are Keras' config.
type Initializer interface {
	// Fill overwrites t, drawing from rng unless the initializer has a seed of its own. It fails where t's
	// shape or type does not suit.
	Fill(t *tensor.Tensor, rng *philox.Stream) error
}

// Make is a new tensor filled by in; a nil in gives zeros.
func Make(in Initializer, dt tensor.DType, shape []int, rng *philox.Stream) (*tensor.Tensor, error) {
	t, err := tensor.Make(dt, shape)
	if err != nil || in == nil {
		return t, err
	}
	return t, in.Fill(t, rng)
}

// Seeded is the seed of a random initializer; nil means that numbers come from the model's own stream.
type Seeded struct {
	Seed *Seed `json:"seed"`
}

func (s Seeded) stream(rng *philox.Stream) *philox.Stream {
	switch {
	case s.Seed != nil:
		return philox.New(uint64(*s.Seed))
	case rng != nil:
		return rng
	}
	return philox.New(0)
}

// fill sets each element to next().
func fill(t *tensor.Tensor, next func() float64) error {
	vs := make([]float64, t.Len())
	for i := range vs {
		vs[i] = next()
	}
	return t.SetFloat64s(vs)
}

// Zeros is all 0.
type Zeros struct{}

// Fill implements Initializer.
func (Zeros) Fill(t *tensor.Tensor, _ *philox.Stream) error {
	clear(t.Bytes())
	return nil
}

// Ones is all 1.
type Ones struct{}

// Fill implements Initializer.
func (Ones) Fill(t *tensor.Tensor, _ *philox.Stream) error {
	return fill(t, func() float64 { return 1 })
}

// Constant is one value for all elements, or one for each in row-major order.
type Constant struct {
	Value Values `json:"value"`
}

// Fill implements Initializer.
func (c Constant) Fill(t *tensor.Tensor, _ *philox.Stream) error {
	switch n := len(c.Value); {
	case n == 0:
		return Zeros{}.Fill(t, nil)
	case n == 1:
		return fill(t, func() float64 { return c.Value[0] })
	case n == t.Len():
		return t.SetFloat64s(c.Value)
	}
	return errs.Errorf("initializer: Constant of %d values for shape %v", len(c.Value), t.Shape())
}

// Identity is gain times the identity matrix, for two-dimensional weights.
type Identity struct {
	Gain float64 `json:"gain"`
}

// Fill implements Initializer.
func (d Identity) Fill(t *tensor.Tensor, _ *philox.Stream) error {
	if t.Rank() != 2 {
		return errs.Errorf("initializer: Identity is for matrices, not shape %v", t.Shape())
	}
	i, cols := -1, t.Dim(1)
	return fill(t, func() float64 {
		i++
		if i/cols == i%cols {
			return d.Gain
		}
		return 0
	})
}

// RandomNormal is the normal distribution.
type RandomNormal struct {
	Seeded
	Mean   float64 `json:"mean"`
	Stddev float64 `json:"stddev"`
}

// Fill implements Initializer.
func (d RandomNormal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	s := d.stream(rng)
	return fill(t, func() float64 { return d.Mean + d.Stddev*s.Norm() })
}

// TruncatedNormal is the normal distribution with what lies beyond two standard deviations drawn again.
type TruncatedNormal struct {
	Seeded
	Mean   float64 `json:"mean"`
	Stddev float64 `json:"stddev"`
}

// Fill implements Initializer.
func (d TruncatedNormal) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	s := d.stream(rng)
	return fill(t, func() float64 { return d.Mean + d.Stddev*truncated(s) })
}

func truncated(s *philox.Stream) float64 {
	for {
		if v := s.Norm(); v > -2 && v < 2 {
			return v
		}
	}
}

// RandomUniform is uniform in [Minval, Maxval).
type RandomUniform struct {
	Seeded
	Minval float64 `json:"minval"`
	Maxval float64 `json:"maxval"`
}

// Fill implements Initializer.
func (d RandomUniform) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	s := d.stream(rng)
	return fill(t, func() float64 { return d.Minval + (d.Maxval-d.Minval)*s.Float64() })
}

// VarianceScaling has a variance of Scale over the number of units that Mode counts: fan_in, fan_out or
// fan_avg. Distribution is truncated_normal (or normal, the same), untruncated_normal or uniform.
type VarianceScaling struct {
	Seeded
	Scale        float64 `json:"scale"`
	Mode         string  `json:"mode"`
	Distribution string  `json:"distribution"`
	InputAxes    Axes    `json:"input_axes"`
	OutputAxes   Axes    `json:"output_axes"`
}

// Fill implements Initializer.
func (d VarianceScaling) Fill(t *tensor.Tensor, rng *philox.Stream) error {
	in, out, err := fans(t.Shape(), d.InputAxes, d.OutputAxes)
	if err != nil {
		return err
	}
	var n float64
	switch d.Mode {
	case "fan_in":
		n = in
	case "fan_out":
		n = out
	case "fan_avg":
		n = (in + out) / 2
	default:
		return errs.Errorf("initializer: VarianceScaling mode %q is none of fan_in, fan_out, fan_avg", d.Mode)
	}
	if d.Scale <= 0 {
		return errs.Errorf("initializer: VarianceScaling scale %v is not positive", d.Scale)
	}
	variance, s := d.Scale/max(1, n), d.stream(rng)
	switch d.Distribution {
	case "truncated_normal", "normal":
		// the standard deviation of the unit normal cut at ±2
		dev := math.Sqrt(variance) / 0.87962566103423978
		return fill(t, func() float64 { return dev * truncated(s) })
	case "untruncated_normal":
		return fill(t, func() float64 { return math.Sqrt(variance) * s.Norm() })
	case "uniform":
		limit := math.Sqrt(3 * variance)
		return fill(t, func() float64 { return limit * (2*s.Float64() - 1) })
	}
	return errs.Errorf("initializer: VarianceScaling distribution %q is none of truncated_normal, "+
		"untruncated_normal, uniform", d.Distribution)
}

// fans counts the units on both sides of a weight, as Keras does from its shape.
func fans(shape []int, inAxes, outAxes []int) (in, out float64, err error) {
	if inAxes != nil && outAxes != nil {
		if in, err = product(shape, inAxes); err == nil {
			out, err = product(shape, outAxes)
		}
		return in, out, err
	}
	switch n := len(shape); n {
	case 0:
		return 1, 1, nil
	case 1:
		return float64(shape[0]), float64(shape[0]), nil
	default:
		field := 1.0
		for _, d := range shape[:n-2] {
			field *= float64(d)
		}
		return float64(shape[n-2]) * field, float64(shape[n-1]) * field, nil
	}
}

func product(shape, axes []int) (float64, error) {
	p := 1.0
	for _, a := range axes {
		if a < 0 {
			a += len(shape)
		}
		if a < 0 || a >= len(shape) {
			return 0, errs.Errorf("initializer: axis %d of shape %v", a, shape)
		}
		p *= float64(shape[a])
	}
	return p, nil
}
