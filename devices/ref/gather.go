package ref

import (
	"errors"
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func gatherKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(gather),
		fn(gatherGrad),
		fn(func(op ops.GatherElements, c *Call) error {
			x, idx := c.In(0), c.In(1)
			at, err := elementsAt(c, x.Shape(), op.Axis)
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, x.DType(), idx.Shape()...)
			if err != nil {
				return err
			}
			for i, a := range at {
				copyBlock(out, i, x, a, 1)
			}
			return nil
		}),
		fn(func(op ops.GatherND, c *Call) error {
			x, idx := c.In(0), c.In(1)
			at, run, err := tuplesAt(c, x.Shape(), op.BatchDims)
			if err != nil {
				return err
			}
			k := idx.Dim(-1)
			shape := append(append([]int{}, idx.Shape()[:idx.Rank()-1]...), x.Shape()[op.BatchDims+k:]...)
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			for i, a := range at {
				copyBlock(out, i*run, x, a, run)
			}
			return nil
		}),
		fn(func(op ops.GatherNDGrad, c *Call) error {
			shape, err := c.ints(2)
			if err != nil {
				return err
			}
			at, run, err := tuplesAt(c, shape, op.BatchDims)
			if err != nil {
				return err
			}
			gs, err := c.In(0).Float64s()
			if err != nil {
				return err
			}
			dx := make([]float64, product(shape))
			for i, a := range at {
				for j := range run {
					dx[a+j] += gs[i*run+j]
				}
			}
			return store(c, c.In(0).DType(), shape, dx)
		}),
		fn(func(op ops.ScatterElements, c *Call) error {
			at, err := elementsAt(c, c.In(0).Shape(), op.Axis)
			if err != nil {
				return err
			}
			if !slices.Equal(c.In(1).Shape(), c.In(2).Shape()) {
				return errs.Errorf("indices %v and updates %v differ", c.In(1).Shape(), c.In(2).Shape())
			}
			return scatter(c, at, 1, op.Reduction)
		}),
		fn(func(op ops.ScatterND, c *Call) error {
			at, run, err := tuplesAt(c, c.In(0).Shape(), 0)
			if err != nil {
				return err
			}
			if c.In(2).Len() != len(at)*run {
				return errs.Errorf("updates %v for %d slices of %d", c.In(2).Shape(), len(at), run)
			}
			return scatter(c, at, run, op.Reduction)
		}),
		fn(compress),
	}
}

// index maps a negative index to its place among n, and refuses one outside.
func index(i, n int) (int, error) {
	if i < -n || i >= n {
		return 0, errs.Errorf("index %d outside %d", i, n)
	}
	if i < 0 {
		i += n
	}
	return i, nil
}

// around splits a shape at an axis: the sizes before, of, and behind it.
func around(shape []int, axis int) (outer, n, inner int, err error) {
	if axis < -len(shape) || axis >= len(shape) {
		return 0, 0, 0, errs.Errorf("axis %d of %v", axis, shape)
	}
	if axis < 0 {
		axis += len(shape)
	}
	return product(shape[:axis]), shape[axis], product(shape[axis+1:]), nil
}

func gather(op ops.Gather, c *Call) error {
	x, idx := c.In(0), c.In(1)
	outer, n, inner, err := around(x.Shape(), op.Axis)
	if err != nil {
		return err
	}
	at, err := c.ints(1)
	if err != nil {
		return err
	}
	axis := op.Axis
	if axis < 0 {
		axis += x.Rank()
	}
	shape := append(append(append([]int{}, x.Shape()[:axis]...), idx.Shape()...), x.Shape()[axis+1:]...)
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	for j, a := range at {
		if a, err = index(a, n); err != nil {
			return err
		}
		for o := range outer {
			copyBlock(out, (o*len(at)+j)*inner, x, (o*n+a)*inner, inner)
		}
	}
	return nil
}

func gatherGrad(op ops.GatherGrad, c *Call) error {
	shape, err := c.ints(2)
	if err != nil {
		return err
	}
	outer, n, inner, err := around(shape, op.Axis)
	if err != nil {
		return err
	}
	at, err := c.ints(1)
	if err != nil {
		return err
	}
	gs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	if len(gs) != outer*len(at)*inner {
		return errs.Errorf("dy %v for %d indices of %v", c.In(0).Shape(), len(at), shape)
	}
	dx := make([]float64, product(shape))
	for j, a := range at {
		if a, err = index(a, n); err != nil {
			return err
		}
		for o := range outer {
			for i := range inner {
				dx[(o*n+a)*inner+i] += gs[(o*len(at)+j)*inner+i]
			}
		}
	}
	return store(c, c.In(0).DType(), shape, dx)
}

// elementsAt is the offset in data of that shape for each element of the indices in input 1.
func elementsAt(c *Call, shape []int, axis int) ([]int, error) {
	idx := c.In(1)
	if idx.Rank() != len(shape) {
		return nil, errs.Errorf("indices %v for %v", idx.Shape(), shape)
	}
	if _, _, _, err := around(shape, axis); err != nil {
		return nil, err
	}
	if axis < 0 {
		axis += len(shape)
	}
	at, err := c.ints(1)
	if err != nil {
		return nil, err
	}
	for a, n := range idx.Shape() {
		if a != axis && n > shape[a] {
			return nil, errs.Errorf("indices %v for %v: axis %d is longer", idx.Shape(), shape, a)
		}
	}
	step := tensor.Strides(shape)
	along := step[axis]
	step[axis] = 0
	var first error
	walk(idx.Shape(), [][]int{step}, func(i int, off []int) {
		k, err := index(at[i], shape[axis])
		if err != nil && first == nil {
			first = err
		}
		at[i] = off[0] + k*along
	})
	return at, first
}

// tuplesAt is the offset in data of that shape for each tuple of the indices in input 1, and the number of
// elements that lie there.
func tuplesAt(c *Call, shape []int, batch int) (at []int, run int, err error) {
	idx := c.In(1)
	if idx.Rank() == 0 || batch >= idx.Rank() || batch > len(shape) {
		return nil, 0, errs.Errorf("indices %v for %v", idx.Shape(), shape)
	}
	k := idx.Dim(-1)
	if batch+k > len(shape) || !slices.Equal(idx.Shape()[:batch], shape[:batch]) {
		return nil, 0, errs.Errorf("indices %v for %v with %d batch dimensions", idx.Shape(), shape, batch)
	}
	vs, err := c.ints(1)
	if err != nil {
		return nil, 0, err
	}
	own := tensor.Strides(shape)
	run = product(shape[batch+k:])
	tuples := product(idx.Shape()[:idx.Rank()-1])
	each := product(idx.Shape()[batch : idx.Rank()-1])
	at = make([]int, tuples)
	for i := range at {
		at[i] = i / max(1, each) * product(shape[batch:])
		for j := range k {
			p, err := index(vs[i*k+j], shape[batch+j])
			if err != nil {
				return nil, 0, err
			}
			at[i] += p * own[batch+j]
		}
	}
	return at, run, nil
}

// scatter writes, or combines, runs of updates at offsets of a copy of data.
func scatter(c *Call, at []int, run int, reduction string) error {
	x, u := c.In(0), c.In(2)
	out, err := c.OutOf(0, x.DType(), x.Shape()...)
	if err != nil {
		return err
	}
	if reduction == "" || reduction == "none" {
		if err := out.CopyFrom(x); err != nil {
			return err
		}
		for i, a := range at {
			copyBlock(out, a, u, i*run, run)
		}
		return nil
	}
	if x.DType().IsComplex() {
		return scatterComplex(out, x, u, at, run, reduction)
	}
	if x.DType().IsInt() {
		return scatterInts(out, x, u, at, run, reduction)
	}
	xs, us, err := floatPair(x, u)
	if err != nil {
		return err
	}
	join := map[string]func(a, b float64) float64{
		"add": func(a, b float64) float64 { return a + b },
		"mul": func(a, b float64) float64 { return a * b },
		"max": math.Max,
		"min": math.Min,
	}[reduction]
	for i, a := range at {
		for j := range run {
			xs[a+j] = join(xs[a+j], us[i*run+j])
		}
	}
	return out.SetFloat64s(xs)
}

func scatterInts(out, x, u *tensor.Tensor, at []int, run int, reduction string) error {
	xs, err := x.Int64s()
	if err != nil {
		return err
	}
	us, err := u.Int64s()
	if err != nil {
		return err
	}
	less := func(a, b int64) bool { return a < b }
	if x.DType() == tensor.Uint64 {
		less = func(a, b int64) bool { return uint64(a) < uint64(b) }
	}
	for i, a := range at {
		for j := range run {
			v, w := &xs[a+j], us[i*run+j]
			switch {
			case reduction == "add":
				*v += w
			case reduction == "mul":
				*v *= w
			case reduction == "max" && less(*v, w), reduction == "min" && less(w, *v):
				*v = w
			}
		}
	}
	return setInts(out, xs)
}

// scatterComplex combines complex numbers, which have no order.
func scatterComplex(out, x, u *tensor.Tensor, at []int, run int, reduction string) error {
	if reduction != "add" && reduction != "mul" {
		return errs.Errorf("reduction %s of %v, which has no order", reduction, x.DType())
	}
	xs, us := append([]complex128{}, complexOf(x)...), complexOf(u)
	for i, a := range at {
		for j := range run {
			if reduction == "add" {
				xs[a+j] += us[i*run+j]
			} else {
				xs[a+j] *= us[i*run+j]
			}
		}
	}
	setComplex(out, xs)
	return nil
}

func compress(op ops.Compress, c *Call) error {
	x := c.In(0)
	cond := tensor.As[bool](c.In(1))
	outer, n, inner := 1, x.Len(), 1
	shape := []int{n}
	axis := 0
	if op.HasAxis {
		var err error
		if outer, n, inner, err = around(x.Shape(), op.Axis); err != nil {
			return err
		}
		shape = append([]int{}, x.Shape()...)
		if axis = op.Axis; axis < 0 {
			axis += x.Rank()
		}
	}
	if len(cond) > n {
		for _, v := range cond[n:] {
			if v {
				return errors.New("the condition holds beyond the data")
			}
		}
		cond = cond[:n]
	}
	var at []int
	for i, v := range cond {
		if v {
			at = append(at, i)
		}
	}
	shape[axis] = len(at)
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	for o := range outer {
		for j, a := range at {
			copyBlock(out, (o*len(at)+j)*inner, x, (o*n+a)*inner, inner)
		}
	}
	return nil
}
