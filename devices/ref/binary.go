package ref

import (
	"errors"
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func binaryKernels() []devices.Kernel {
	return []devices.Kernel{
		fn(func(_ ops.Add, c *Call) error {
			return arith(c, func(a, b float64) float64 { return a + b }, func(a, b int64) (int64, error) { return a + b, nil })
		}),
		fn(func(_ ops.Sub, c *Call) error {
			return arith(c, func(a, b float64) float64 { return a - b }, func(a, b int64) (int64, error) { return a - b, nil })
		}),
		fn(func(_ ops.Mul, c *Call) error {
			return arith(c, func(a, b float64) float64 { return a * b }, func(a, b int64) (int64, error) { return a * b, nil })
		}),
		fn(func(_ ops.Div, c *Call) error {
			unsigned := c.In(0).DType() == tensor.Uint64
			return arith(c, func(a, b float64) float64 { return a / b }, func(a, b int64) (int64, error) {
				switch {
				case b == 0:
					return 0, errors.New("integer division by zero")
				case unsigned:
					return int64(uint64(a) / uint64(b)), nil
				}
				return a / b, nil
			})
		}),
	}
}

// arith is broadcasting arithmetic: floats in float64, rounded once; integers in 64 bits, wrapped.
func arith(c *Call, ff func(a, b float64) float64, fi func(a, b int64) (int64, error)) error {
	a, b, out := c.In(0), c.In(1), c.Out(0)
	strides := [][]int{broadcastStrides(a.Shape(), out.Shape()), broadcastStrides(b.Shape(), out.Shape())}
	switch {
	case out.DType().IsInt():
		x, err := a.Int64s()
		if err != nil {
			return err
		}
		y, err := b.Int64s()
		if err != nil {
			return err
		}
		z := make([]int64, out.Len())
		var first error
		walk(out.Shape(), strides, func(i int, off []int) {
			v, err := fi(x[off[0]], y[off[1]])
			if err != nil && first == nil {
				first = err
			}
			z[i] = v
		})
		if first != nil {
			return first
		}
		return setInts(out, z)
	case out.DType().IsFloat():
		x, err := a.Float64s()
		if err != nil {
			return err
		}
		y, err := b.Float64s()
		if err != nil {
			return err
		}
		z := make([]float64, out.Len())
		walk(out.Shape(), strides, func(i int, off []int) { z[i] = ff(x[off[0]], y[off[1]]) })
		return out.SetFloat64s(z)
	}
	return fmt.Errorf("no arithmetic on %v", out.DType())
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
		return fmt.Errorf("%v is no integer type of whole bytes", t.DType())
	}
	return nil
}

func wrap[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](dst []T, vs []int64) {
	for i, v := range vs {
		dst[i] = T(v)
	}
}
