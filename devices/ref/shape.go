package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func shapeKernels() []*devices.Kernel {
	return append([]*devices.Kernel{
		fn(func(op ops.Shape, c *Call) error {
			dims := op.Dims(c.In(0).Shape())
			out, err := c.OutOf(0, tensor.Int64, len(dims))
			if err != nil {
				return err
			}
			for i, d := range dims {
				tensor.As[int64](out)[i] = int64(d)
			}
			return nil
		}),
		fn(func(_ ops.Size, c *Call) error {
			out, err := c.OutOf(0, tensor.Int64)
			if err != nil {
				return err
			}
			tensor.As[int64](out)[0] = int64(c.In(0).Len())
			return nil
		}),
		fn(sumTo),
		fn(func(op ops.Reshape, c *Call) error { return sameElements(c, op) }),
		fn(func(op ops.Flatten, c *Call) error { return sameElements(c, op) }),
		fn(func(op ops.Squeeze, c *Call) error { return sameElements(c, op) }),
		fn(func(op ops.Unsqueeze, c *Call) error { return sameElements(c, op) }),
		fn(func(op ops.Transpose, c *Call) error {
			x := c.In(0)
			perm, err := op.Axes(x.Rank())
			if err != nil {
				return err
			}
			shape, step, own := make([]int, len(perm)), make([]int, len(perm)), tensor.Strides(x.Shape())
			for i, p := range perm {
				shape[i], step[i] = x.Dim(p), own[p]
			}
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			copyND(out, rowMajor(shape), x, strided{step: step}, shape)
			return nil
		}),
		fn(func(op ops.Expand, c *Call) error {
			x := c.In(0)
			out, err := c.make(op)
			if err != nil {
				return err
			}
			copyND(out, rowMajor(out.Shape()), x, strided{step: broadcastStrides(x.Shape(), out.Shape())}, out.Shape())
			return nil
		}),
		fn(tile),
		fn(concat),
		fn(split),
	}, generatorKernels()...)
}

// sameElements gives input 0's elements the shape that op infers.
func sameElements(c *Call, op graph.Op) error {
	out, err := c.make(op)
	if err != nil {
		return err
	}
	return out.CopyFrom(c.In(0))
}

func sumTo(op ops.SumTo, c *Call) error {
	x := c.In(0)
	out, err := c.make(op)
	if err != nil {
		return err
	}
	if x.Rank() < out.Rank() {
		return errs.Errorf("can't sum %v to %v", x.Shape(), out.Shape())
	}
	for i, d := range out.Shape() {
		if e := x.Dim(x.Rank() - out.Rank() + i); d != e && d != 1 {
			return errs.Errorf("can't sum %v to %v", x.Shape(), out.Shape())
		}
	}
	strides := [][]int{broadcastStrides(out.Shape(), x.Shape())}
	if x.DType().IsInt() {
		xs, err := x.Int64s()
		if err != nil {
			return err
		}
		ys := make([]int64, out.Len())
		walkRuns(x.Shape(), strides, func(i, n int, off, step []int) { addRun(ys[off[0]:], xs[i:i+n], step[0]) })
		return setInts(out, ys)
	}
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	ys := make([]float64, out.Len())
	walkRuns(x.Shape(), strides, func(i, n int, off, step []int) { addRun(ys[off[0]:], xs[i:i+n], step[0]) })
	return out.SetFloat64s(ys)
}

// addRun adds a run of elements to sums that are step apart: to one sum where step is 0.
func addRun[T float64 | int64](sums, vs []T, step int) {
	if step == 0 {
		s := sums[0]
		for _, v := range vs {
			s += v
		}
		sums[0] = s
		return
	}
	for i, v := range vs {
		sums[i*step] += v
	}
}

func tile(op ops.Tile, c *Call) error {
	x := c.In(0)
	reps, err := c.ints(1)
	if err != nil {
		return err
	}
	out, err := c.make(op)
	if err != nil {
		return err
	}
	// The output under a loop of repeats and elements of each axis; the input stands still over repeats.
	var shape, dst, src []int
	own, big := tensor.Strides(x.Shape()), tensor.Strides(out.Shape())
	for i, r := range reps {
		shape = append(shape, r, x.Dim(i))
		dst = append(dst, big[i]*x.Dim(i), big[i])
		src = append(src, 0, own[i])
	}
	copyND(out, strided{step: dst}, x, strided{step: src}, shape)
	return nil
}

func concat(op ops.Concat, c *Call) error {
	out, err := c.make(op)
	if err != nil {
		return err
	}
	axis := op.Axis
	if axis < 0 {
		axis += out.Rank()
	}
	st := tensor.Strides(out.Shape())
	off := 0
	for i := range c.NIn() {
		x := c.In(i)
		copyND(out, strided{off, st}, x, rowMajor(x.Shape()), x.Shape())
		off += x.Dim(axis) * st[axis]
	}
	return nil
}

func split(op ops.Split, c *Call) error {
	x := c.In(0)
	shapes, err := c.inferred(op)
	if err != nil {
		return err
	}
	axis := op.Axis
	if axis < 0 {
		axis += x.Rank()
	}
	st := tensor.Strides(x.Shape())
	off := 0
	for i, shape := range shapes {
		out, err := c.OutOf(i, x.DType(), shape...)
		if err != nil {
			return err
		}
		copyND(out, rowMajor(shape), x, strided{off, st}, shape)
		off += shape[axis] * st[axis]
	}
	return nil
}
