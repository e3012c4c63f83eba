package ref

import (
	"cmp"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// mapFloat applies f in float64 to every element and rounds once.
func mapFloat(c *Call, f func(float64) float64) error {
	x, out := c.In(0), c.Out(0)
	if x.DType() == tensor.Float32 && out.DType() == tensor.Float32 {
		o := tensor.As[float32](out)
		for i, v := range tensor.As[float32](x) {
			o[i] = float32(f(float64(v)))
		}
		return nil
	}
	vs, err := x.Float64s()
	if err != nil {
		return err
	}
	for i, v := range vs {
		vs[i] = f(v)
	}
	return out.SetFloat64s(vs)
}

// mapNumber is mapFloat for floats, and applies fi to integers; those of uint64 are its bits.
func mapNumber(c *Call, ff func(float64) float64, fi func(int64) int64) error {
	if !c.In(0).DType().IsInt() {
		return mapFloat(c, ff)
	}
	vs, err := c.In(0).Int64s()
	if err != nil {
		return err
	}
	for i, v := range vs {
		vs[i] = fi(v)
	}
	return setInts(c.Out(0), vs)
}

// floatsOf is the elements of several inputs as float64.
func floatsOf(c *Call, inputs ...int) ([][]float64, error) {
	out := make([][]float64, len(inputs))
	for i, at := range inputs {
		if c.In(at) == nil {
			continue
		}
		var err error
		if out[i], err = c.In(at).Float64s(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compareInts orders 64-bit integers, as unsigned if they are a uint64 tensor's.
func compareInts(unsigned bool) func(a, b int64) int {
	if unsigned {
		return func(a, b int64) int { return cmp.Compare(uint64(a), uint64(b)) }
	}
	return cmp.Compare[int64]
}

// maxNaN is the larger of a and b, NaN where either is.
func maxNaN(a, b float64) float64 {
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.NaN()
	}
	return math.Max(a, b)
}

// minNaN is the smaller of a and b, NaN where either is.
func minNaN(a, b float64) float64 {
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.NaN()
	}
	return math.Min(a, b)
}

// axisSplit cuts a shape at axis: the number of elements before it, its own, and those behind it.
func axisSplit(shape []int, axis int) (outer, n, inner int, err error) {
	if axis < 0 {
		axis += len(shape)
	}
	if axis < 0 || axis >= len(shape) {
		return 0, 0, 0, errs.Errorf("axis %d is outside rank %d", axis, len(shape))
	}
	return product(shape[:axis]), shape[axis], product(shape[axis+1:]), nil
}

// rows calls f for each line along axis: at is the offset of its first element, step the stride.
func rows(shape []int, axis int, f func(at, n, step int)) error {
	outer, n, inner, err := axisSplit(shape, axis)
	if err != nil {
		return err
	}
	for o := range outer {
		for i := range inner {
			f(o*n*inner+i, n, inner)
		}
	}
	return nil
}

// channelOf is how to find an element's channel: index/inner%channels.
func channelOf(shape []int, last bool) (channels, inner int) {
	switch {
	case len(shape) == 0, len(shape) == 1 && !last:
		return 1, 1
	case last:
		return shape[len(shape)-1], 1
	}
	return shape[1], product(shape[2:])
}

// axisOf reads an axis that an input gives.
func axisOf(t *tensor.Tensor) (int, error) {
	vs, err := t.Int64s()
	if err != nil {
		return 0, err
	}
	if len(vs) != 1 {
		return 0, errs.Errorf("axis has %d elements, not one", len(vs))
	}
	return int(vs[0]), nil
}

// intsOf reads a list of integers that an input gives; none where it is omitted.
func intsOf(t *tensor.Tensor) ([]int, error) {
	if t == nil {
		return nil, nil
	}
	vs, err := t.Int64s()
	if err != nil {
		return nil, err
	}
	out := make([]int, len(vs))
	for i, v := range vs {
		out[i] = int(v)
	}
	return out, nil
}

// intPair is the elements of two tensors as 64-bit integers.
func intPair(a, b *tensor.Tensor) (x, y []int64, err error) {
	if x, err = a.Int64s(); err == nil {
		y, err = b.Int64s()
	}
	return x, y, err
}

// floatPair reads two inputs in float64.
func floatPair(a, b *tensor.Tensor) (x, y []float64, err error) {
	if x, err = a.Float64s(); err == nil {
		y, err = b.Float64s()
	}
	return x, y, err
}
