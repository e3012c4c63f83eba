package ref

import (
	"errors"
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func binaryKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(_ ops.Add, c *Call) error {
			if complexArith(c, func(a, b complex128) complex128 { return a + b }) {
				return nil
			}
			return arith(c, func(a, b float64) float64 { return a + b }, func(a, b int64) (int64, error) { return a + b, nil })
		}),
		fn(func(_ ops.Sub, c *Call) error {
			if complexArith(c, func(a, b complex128) complex128 { return a - b }) {
				return nil
			}
			return arith(c, func(a, b float64) float64 { return a - b }, func(a, b int64) (int64, error) { return a - b, nil })
		}),
		fn(func(_ ops.Mul, c *Call) error {
			if complexArith(c, func(a, b complex128) complex128 { return a * b }) {
				return nil
			}
			return arith(c, func(a, b float64) float64 { return a * b }, func(a, b int64) (int64, error) { return a * b, nil })
		}),
		fn(func(_ ops.Div, c *Call) error {
			if complexArith(c, func(a, b complex128) complex128 { return a / b }) {
				return nil
			}
			return arith(c, func(a, b float64) float64 { return a / b }, divide(c, "/"))
		}),
		fn(func(_ ops.FloorDiv, c *Call) error {
			return arith(c, func(a, b float64) float64 { return math.Floor(a / b) }, divide(c, "//"))
		}),
		fn(func(op ops.Mod, c *Call) error {
			if op.Fmod {
				return arith(c, math.Mod, divide(c, "fmod"))
			}
			return arith(c, floorMod, divide(c, "%"))
		}),
		fn(pow),
		fn(func(_ ops.Atan2, c *Call) error { return arith(c, math.Atan2, nil) }),
		fn(func(_ ops.Max, c *Call) error { return fold(c, maxNaN, func(order int) bool { return order > 0 }) }),
		fn(func(_ ops.Min, c *Call) error { return fold(c, minNaN, func(order int) bool { return order < 0 }) }),
		fn(func(_ ops.Sum, c *Call) error {
			return foldWith(c, func(a, b float64) float64 { return a + b }, func(a, b int64) int64 { return a + b }, 1)
		}),
		fn(func(_ ops.Mean, c *Call) error {
			return foldWith(c, func(a, b float64) float64 { return a + b }, nil, float64(c.NIn()))
		}),
		fn(func(op ops.BitShift, c *Call) error {
			return arith(c, nil, func(a, b int64) (int64, error) {
				if op.Direction == "LEFT" {
					return int64(uint64(a) << uint64(b)), nil
				}
				return int64(uint64(a) >> uint64(b)), nil
			})
		}),
		fn(func(_ ops.BitwiseAnd, c *Call) error {
			return arith(c, nil, func(a, b int64) (int64, error) { return a & b, nil })
		}),
		fn(func(_ ops.BitwiseOr, c *Call) error {
			return arith(c, nil, func(a, b int64) (int64, error) { return a | b, nil })
		}),
		fn(func(_ ops.BitwiseXor, c *Call) error {
			return arith(c, nil, func(a, b int64) (int64, error) { return a ^ b, nil })
		}),
		fn(func(_ ops.And, c *Call) error { return logic(c, func(a, b bool) bool { return a && b }) }),
		fn(func(_ ops.Or, c *Call) error { return logic(c, func(a, b bool) bool { return a || b }) }),
		fn(func(_ ops.Xor, c *Call) error { return logic(c, func(a, b bool) bool { return a != b }) }),
	}
}

// divide is integer division in one of its four readings, of the inputs' signedness.
func divide(c *Call, kind string) func(a, b int64) (int64, error) {
	unsigned := c.In(0).DType().IsUnsigned()
	return func(a, b int64) (int64, error) {
		if b == 0 {
			return 0, errors.New("integer division by zero")
		}
		q, r := a/b, a%b
		if unsigned {
			q, r = int64(uint64(a)/uint64(b)), int64(uint64(a)%uint64(b))
		}
		down := !unsigned && r != 0 && (r < 0) != (b < 0) // the quotient was rounded up
		switch {
		case kind == "fmod", kind == "%" && !down:
			return r, nil
		case kind == "%":
			return r + b, nil
		case kind == "//" && down:
			return q - 1, nil
		}
		return q, nil
	}
}

// floorMod is the remainder with the sign of the divisor, as Python's %.
func floorMod(a, b float64) float64 {
	r := math.Mod(a, b)
	switch {
	case r == 0:
		return math.Copysign(0, b)
	case (r < 0) != (b < 0):
		return r + b
	}
	return r
}

// pow raises to powers of another element type: integers to integers exactly, anything else in float64.
func pow(_ ops.Pow, c *Call) error {
	if c.In(0).DType().IsInt() && c.In(1).DType().IsInt() {
		unsigned := c.In(1).DType().IsUnsigned()
		return arith(c, nil, func(a, b int64) (int64, error) {
			if b < 0 && !unsigned {
				return int64(math.Pow(float64(a), float64(b))), nil
			}
			r := int64(1)
			for e := uint64(b); e > 0; e >>= 1 {
				if e&1 != 0 {
					r *= a
				}
				a *= a
			}
			return r, nil
		})
	}
	return arith(c, math.Pow, nil)
}

func logic(c *Call, f func(a, b bool) bool) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	x, y, z := tensor.As[bool](a), tensor.As[bool](b), tensor.As[bool](out)
	pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = f(x[j], y[k]) })
	return nil
}

// fold picks among any number of inputs by order.
func fold(c *Call, ff func(a, b float64) float64, better func(order int) bool) error {
	order := compareInts(c.In(0).DType() == tensor.Uint64)
	return foldWith(c, ff, func(a, b int64) int64 {
		if better(order(b, a)) {
			return b
		}
		return a
	}, 1)
}

// foldWith joins any number of broadcast inputs, and divides by n.
func foldWith(c *Call, ff func(a, b float64) float64, fi func(a, b int64) int64, n float64) error {
	out := c.Out(0)
	if out.DType().IsInt() {
		acc, err := joined(c, out.Shape(), (*tensor.Tensor).Int64s, fi)
		if err != nil {
			return err
		}
		return setInts(out, acc)
	}
	acc, err := joined(c, out.Shape(), (*tensor.Tensor).Float64s, ff)
	if err != nil {
		return err
	}
	for i := range acc {
		acc[i] /= n
	}
	return out.SetFloat64s(acc)
}

// joined is the inputs, read as numbers of one kind and broadcast, joined one after the other.
func joined[T int64 | float64](c *Call, shape []int, read func(*tensor.Tensor) ([]T, error), join func(a, b T) T) ([]T, error) {
	acc := make([]T, product(shape))
	for k := range c.NIn() {
		vs, err := read(c.In(k))
		if err != nil {
			return nil, err
		}
		walk(shape, [][]int{broadcastStrides(c.In(k).Shape(), shape)}, func(i int, off []int) {
			if k == 0 {
				acc[i] = vs[off[0]]
			} else {
				acc[i] = join(acc[i], vs[off[0]])
			}
		})
	}
	return acc, nil
}

// arith is broadcasting arithmetic: floats in float64, rounded once; integers in 64 bits, wrapped.
func arith(c *Call, ff func(a, b float64) float64, fi func(a, b int64) (int64, error)) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	switch {
	case out.DType().IsInt() && fi != nil:
		x, y, err := intPair(a, b)
		if err != nil {
			return err
		}
		z := make([]int64, out.Len())
		var first error
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) {
			v, err := fi(x[j], y[k])
			if err != nil && first == nil {
				first = err
			}
			z[i] = v
		})
		if first != nil {
			return first
		}
		return setInts(out, z)
	case out.DType() == tensor.Float32 && a.DType() == tensor.Float32 && b.DType() == tensor.Float32:
		x, y, z := tensor.As[float32](a), tensor.As[float32](b), tensor.As[float32](out)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = float32(ff(float64(x[j]), float64(y[k]))) })
		return nil
	case out.DType().IsFloat() || out.DType().IsInt():
		x, y, err := floatPair(a, b)
		if err != nil {
			return err
		}
		z := make([]float64, out.Len())
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = ff(x[j], y[k]) })
		return out.SetFloat64s(z)
	}
	return errs.Errorf("no arithmetic on %v", out.DType())
}

// complexArith is arith on complex tensors; done is false where out is none.
func complexArith(c *Call, f func(a, b complex128) complex128) (done bool) {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	switch out.DType() {
	case tensor.Complex64:
		x, y, z := tensor.As[complex64](a), tensor.As[complex64](b), tensor.As[complex64](out)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = complex64(f(complex128(x[j]), complex128(y[k]))) })
	case tensor.Complex128:
		x, y, z := tensor.As[complex128](a), tensor.As[complex128](b), tensor.As[complex128](out)
		pairs(a.Shape(), b.Shape(), out.Shape(), func(i, j, k int) { z[i] = f(x[j], y[k]) })
	default:
		return false
	}
	return true
}

// pairs calls f for each element i of out with the offsets of what is broadcast to it.
func pairs(a, b, out []int, f func(i, j, k int)) {
	walkRuns(out, [][]int{broadcastStrides(a, out), broadcastStrides(b, out)}, func(i, n int, off, step []int) {
		j, k := off[0], off[1]
		for e := range n {
			f(i+e, j, k)
			j += step[0]
			k += step[1]
		}
	})
}

// setInts stores 64-bit integers in an integer tensor, wrapping to its width.
func setInts(t *tensor.Tensor, vs []int64) error {
	switch t.DType() {
	case tensor.Int64:
		copy(tensor.As[int64](t), vs)
	case tensor.Int32:
		wrap(tensor.As[int32](t), vs)
	case tensor.Int16:
		wrap(tensor.As[int16](t), vs)
	case tensor.Int8:
		wrap(tensor.As[int8](t), vs)
	case tensor.Uint64:
		wrap(tensor.As[uint64](t), vs)
	case tensor.Uint32:
		wrap(tensor.As[uint32](t), vs)
	case tensor.Uint16:
		wrap(tensor.As[uint16](t), vs)
	case tensor.Uint8:
		wrap(tensor.As[uint8](t), vs)
	default:
		return tensor.CastInto(t, tensor.Of(vs, t.Shape()...), tensor.CastOptions{})
	}
	return nil
}

func wrap[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](dst []T, vs []int64) {
	for i, v := range vs {
		dst[i] = T(v)
	}
}
