package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func compareKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(equal),
		fn(func(_ ops.Greater, c *Call) error {
			return compare(c, func(a, b float64) bool { return a > b }, func(o int) bool { return o > 0 })
		}),
		fn(func(_ ops.GreaterOrEqual, c *Call) error {
			return compare(c, func(a, b float64) bool { return a >= b }, func(o int) bool { return o >= 0 })
		}),
		fn(func(_ ops.Less, c *Call) error {
			return compare(c, func(a, b float64) bool { return a < b }, func(o int) bool { return o < 0 })
		}),
		fn(func(_ ops.LessOrEqual, c *Call) error {
			return compare(c, func(a, b float64) bool { return a <= b }, func(o int) bool { return o <= 0 })
		}),
		fn(where),
	}
}

// compare is a broadcasting comparison: ff of floats, fi of the order of integers.
func compare(c *Call, ff func(a, b float64) bool, fi func(order int) bool) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	z := tensor.As[bool](out)
	if a.DType() == tensor.Float32 {
		x, y := tensor.As[float32](a), tensor.As[float32](b)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = ff(float64(x[j]), float64(y[k])) })
		return nil
	}
	if a.DType().IsFloat() {
		v, err := floatsOf(c, 0, 1)
		if err != nil {
			return err
		}
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = ff(v[0][j], v[1][k]) })
		return nil
	}
	x, y, err := intPair(a, b)
	if err != nil {
		return err
	}
	order := compareInts(a.DType() == tensor.Uint64)
	pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = fi(order(x[j], y[k])) })
	return nil
}

func equal(_ ops.Equal, c *Call) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	z := tensor.As[bool](out)
	switch a.DType() {
	case tensor.String:
		x, y := a.Strings(), b.Strings()
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = x[j] == y[k] })
		return nil
	case tensor.Complex64:
		x, y := tensor.As[complex64](a), tensor.As[complex64](b)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = x[j] == y[k] })
		return nil
	case tensor.Complex128:
		x, y := tensor.As[complex128](a), tensor.As[complex128](b)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = x[j] == y[k] })
		return nil
	}
	if !a.DType().IsFloat() && a.DType() == b.DType() {
		switch a.DType().Size() {
		case 4:
			return sameWords(tensor.As[word32](a), tensor.As[word32](b), z, a.Shape(), b.Shape(), out.Shape())
		case 8:
			return sameWords(tensor.As[word64](a), tensor.As[word64](b), z, a.Shape(), b.Shape(), out.Shape())
		}
	}
	return compare(c, func(a, b float64) bool { return a == b }, func(o int) bool { return o == 0 })
}

// sameWords sets z where broadcast elements are equal bit by bit.
func sameWords[T word32 | word64](x, y []T, z []bool, xs, ys, out []int) error {
	walkRuns(out, [][]int{broadcastStrides(xs, out), broadcastStrides(ys, out)}, func(i, n int, off, step []int) {
		z := z[i : i+n]
		j, k := off[0], off[1]
		for e := range z {
			z[e] = x[j] == y[k]
			j += step[0]
			k += step[1]
		}
	})
	return nil
}

// where copies elements, of any type, from one side or the other.
func where(_ ops.Where, c *Call) error {
	cond, a, b, out := c.In(0), c.In(1), c.In(2), c.Out(0)
	if a.DType() != b.DType() || a.DType() != out.DType() {
		return errs.Errorf("sides are %v and %v", a.DType(), b.DType())
	}
	strides := [][]int{broadcastStrides(cond.Shape(), out.Shape()), broadcastStrides(a.Shape(), out.Shape()),
		broadcastStrides(b.Shape(), out.Shape())}
	pick := tensor.As[bool](cond)
	switch size := out.DType().Size(); size {
	case 0:
		choose(pick, a.Strings(), b.Strings(), out.Strings(), out.Shape(), strides)
	case 4:
		choose(pick, tensor.As[word32](a), tensor.As[word32](b), tensor.As[word32](out), out.Shape(), strides)
	case 8:
		choose(pick, tensor.As[word64](a), tensor.As[word64](b), tensor.As[word64](out), out.Shape(), strides)
	case 1:
		choose(pick, a.Bytes(), b.Bytes(), out.Bytes(), out.Shape(), strides)
	default:
		walk(out.Shape(), strides, func(i int, off []int) {
			src, at := b, off[2]
			if pick[off[0]] {
				src, at = a, off[1]
			}
			copy(out.Bytes()[i*size:(i+1)*size], src.Bytes()[at*size:])
		})
	}
	return nil
}

// choose sets z from x where pick holds and from y elsewhere.
func choose[T any](pick []bool, x, y, z []T, shape []int, strides [][]int) {
	walkRuns(shape, strides, func(i, n int, off, step []int) {
		c, j, k := off[0], off[1], off[2]
		for e := i; e < i+n; e++ {
			if pick[c] {
				z[e] = x[j]
			} else {
				z[e] = y[k]
			}
			c += step[0]
			j += step[1]
			k += step[2]
		}
	})
}

// Elements of 4 and 8 bytes, whatever their type.
type (
	word32 uint32
	word64 uint64
)
