package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func sliceKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(_ ops.Slice, c *Call) error {
			x := c.In(0)
			s, shape, err := sliceOf(c, x.Shape(), 1)
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			copyND(out, rowMajor(shape), x, s, shape)
			return nil
		}),
		fn(func(_ ops.SliceGrad, c *Call) error {
			dy := c.In(0)
			full, err := c.ints(1)
			if err != nil {
				return err
			}
			s, shape, err := sliceOf(c, full, 2)
			if err != nil {
				return err
			}
			if product(shape) != dy.Len() {
				return errs.Errorf("a slice %v for dy %v", shape, dy.Shape())
			}
			out, err := c.OutOf(0, dy.DType(), full...)
			if err != nil {
				return err
			}
			clearAll(out)
			copyND(out, s, dy, rowMajor(shape), shape)
			return nil
		}),
	}
}

// sliceOf is where a slice of data of that shape lies; its starts are input i, ends the next, and so on.
func sliceOf(c *Call, shape []int, i int) (strided, []int, error) {
	var args [4][]int
	for j := range args {
		var err error
		if args[j], err = c.ints(i + j); err != nil {
			return strided{}, nil, err
		}
	}
	starts, ends, axes, steps := args[0], args[1], args[2], args[3]
	s := strided{step: tensor.Strides(shape)}
	own := tensor.Strides(shape)
	out := append([]int{}, shape...)
	if len(ends) != len(starts) || c.In(i+2) != nil && len(axes) != len(starts) || c.In(i+3) != nil && len(steps) != len(starts) {
		return s, nil, errs.Errorf("%d starts, %d ends, %d axes, %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	for j, start := range starts {
		axis, step := j, 1
		if c.In(i+2) != nil {
			axis = axes[j]
		}
		if axis < 0 {
			axis += len(shape)
		}
		if axis < 0 || axis >= len(shape) {
			return s, nil, errs.Errorf("axis %d of %v", axis, shape)
		}
		if c.In(i+3) != nil {
			step = steps[j]
		}
		if step == 0 {
			return s, nil, errs.Errorf("a step of 0 on axis %d", axis)
		}
		first, count := ops.SliceRange(start, ends[j], step, shape[axis])
		out[axis] = count
		if count > 0 {
			s.off += first * own[axis]
		}
		s.step[axis] = own[axis] * step
	}
	return s, out, nil
}
