package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func reduceKernels() []*devices.Kernel {
	add := func(a, b float64) float64 { return a + b }
	return []*devices.Kernel{
		fn(func(op ops.ReduceSum, c *Call) error {
			return reduceNumbers(c, reduction(op), reducer{f: add}, func(a, b int64) int64 { return a + b }, 0)
		}),
		fn(func(op ops.ReduceMean, c *Call) error {
			return reduce(c, reduction(op), reducer{f: add, last: func(v float64, n int) float64 { return v / float64(n) }})
		}),
		fn(func(op ops.ReduceProd, c *Call) error {
			return reduceNumbers(c, reduction(op), reducer{init: 1, f: func(a, b float64) float64 { return a * b }},
				func(a, b int64) int64 { return a * b }, 1)
		}),
		fn(func(op ops.ReduceMax, c *Call) error { return reduceOrder(c, reduction(op), 1) }),
		fn(func(op ops.ReduceMin, c *Call) error { return reduceOrder(c, reduction(op), -1) }),
		fn(func(op ops.ReduceL1, c *Call) error {
			return reduce(c, reduction(op), reducer{f: func(a, b float64) float64 { return a + math.Abs(b) }})
		}),
		fn(func(op ops.ReduceL2, c *Call) error {
			return reduce(c, reduction(op), reducer{f: addSquare, last: func(v float64, _ int) float64 { return math.Sqrt(v) }})
		}),
		fn(func(op ops.ReduceLogSum, c *Call) error {
			return reduce(c, reduction(op), reducer{f: add, last: func(v float64, _ int) float64 { return math.Log(v) }})
		}),
		fn(reduceLogSumExp),
		fn(func(op ops.ReduceSumSquare, c *Call) error {
			return reduceNumbers(c, reduction(op), reducer{f: addSquare}, func(a, b int64) int64 { return a + b*b }, 0)
		}),
		fn(func(op ops.CumSum, c *Call) error {
			return scan(c, op.Exclusive, op.Reverse, 0, add, func(a, b int64) int64 { return a + b })
		}),
		fn(func(op ops.CumProd, c *Call) error {
			return scan(c, op.Exclusive, op.Reverse, 1, func(a, b float64) float64 { return a * b }, func(a, b int64) int64 { return a * b })
		}),
		fn(func(op ops.ArgMax, c *Call) error { return arg(c, op.Axis, op.SelectLastIndex, 1) }),
		fn(func(op ops.ArgMin, c *Call) error { return arg(c, op.Axis, op.SelectLastIndex, -1) }),
	}
}

func addSquare(a, b float64) float64 { return a + b*b }

// reduction is the attributes that all reductions have.
type reduction struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// target makes the output, and the strides that lead from an input's index to its place in it.
func (r reduction) target(c *Call) (out *tensor.Tensor, strides []int, err error) {
	shape := c.In(0).Shape()
	axes, err := intsOf(c.In(1))
	if err != nil {
		return nil, nil, err
	}
	drop, err := ops.ReducedAxes(axes, len(shape), r.NoopWithEmptyAxes)
	if err != nil {
		return nil, nil, err
	}
	kept, dims := make([]int, len(shape)), []int{}
	for i, d := range shape {
		if kept[i] = d; drop[i] {
			kept[i] = 1
		}
		if !drop[i] || r.Keepdims {
			dims = append(dims, kept[i])
		}
	}
	out, err = c.OutOf(0, c.In(0).DType(), dims...)
	return out, broadcastStrides(kept, shape), err
}

// reducer folds elements in float64: f from init on, then last with their number.
type reducer struct {
	init float64
	f    func(acc, x float64) float64
	last func(acc float64, n int) float64
}

func reduce(c *Call, r reduction, red reducer) error {
	out, strides, err := r.target(c)
	if err != nil {
		return err
	}
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	acc := make([]float64, out.Len())
	for i := range acc {
		acc[i] = red.init
	}
	walkRuns(c.In(0).Shape(), [][]int{strides}, func(i, n int, off, step []int) {
		foldRun(acc[off[0]:], vs[i:i+n], step[0], red.f)
	})
	if red.last != nil {
		n := len(vs) / max(1, len(acc))
		for i := range acc {
			acc[i] = red.last(acc[i], n)
		}
	}
	return out.SetFloat64s(acc)
}

// foldRun folds a run of elements into results that are step apart: one result where step is 0.
func foldRun[T float64 | int64](acc, vs []T, step int, f func(acc, x T) T) {
	if step == 0 {
		a := acc[0]
		for _, v := range vs {
			a = f(a, v)
		}
		acc[0] = a
		return
	}
	for i, v := range vs {
		acc[i*step] = f(acc[i*step], v)
	}
}

// reduceNumbers is reduce for floats, and folds integers exactly.
func reduceNumbers(c *Call, r reduction, red reducer, fi func(a, b int64) int64, init int64) error {
	if !c.In(0).DType().IsInt() {
		return reduce(c, r, red)
	}
	out, strides, err := r.target(c)
	if err != nil {
		return err
	}
	return reduceInts(c, out, strides, fi, init)
}

func reduceInts(c *Call, out *tensor.Tensor, strides []int, fi func(a, b int64) int64, init int64) error {
	vs, err := c.In(0).Int64s()
	if err != nil {
		return err
	}
	acc := make([]int64, out.Len())
	for i := range acc {
		acc[i] = init
	}
	walkRuns(c.In(0).Shape(), [][]int{strides}, func(i, n int, off, step []int) {
		foldRun(acc[off[0]:], vs[i:i+n], step[0], fi)
	})
	return setInts(out, acc)
}

// reduceOrder is the largest (sign 1) or smallest (sign -1); of nothing it is the type's other end.
func reduceOrder(c *Call, r reduction, sign int) error {
	dt := c.In(0).DType()
	if dt.IsFloat() {
		if sign > 0 {
			return reduce(c, r, reducer{init: math.Inf(-1), f: maxNaN})
		}
		return reduce(c, r, reducer{init: math.Inf(1), f: minNaN})
	}
	out, strides, err := r.target(c)
	if err != nil {
		return err
	}
	lo, hi := intBounds(dt)
	if sign < 0 {
		lo = hi
	}
	order := compareInts(dt == tensor.Uint64)
	return reduceInts(c, out, strides, func(a, b int64) int64 {
		if order(b, a)*sign > 0 {
			return b
		}
		return a
	}, lo)
}

// intBounds is the smallest and largest of an integer type, or of Bool.
func intBounds(dt tensor.DType) (lo, hi int64) {
	switch {
	case dt == tensor.Bool:
		return 0, 1
	case dt == tensor.Uint64:
		return 0, -1
	case dt.IsUnsigned():
		return 0, 1<<dt.Bits() - 1
	}
	return -1 << (dt.Bits() - 1), 1<<(dt.Bits()-1) - 1
}

func reduceLogSumExp(op ops.ReduceLogSumExp, c *Call) error {
	out, strides, err := reduction(op).target(c)
	if err != nil {
		return err
	}
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	shape, st := c.In(0).Shape(), [][]int{strides}
	top, sum := make([]float64, out.Len()), make([]float64, out.Len())
	for i := range top {
		top[i] = math.Inf(-1)
	}
	walk(shape, st, func(i int, off []int) { top[off[0]] = maxNaN(top[off[0]], vs[i]) })
	for i, v := range top {
		if math.IsInf(v, 0) {
			top[i] = 0
		}
	}
	walk(shape, st, func(i int, off []int) { sum[off[0]] += math.Exp(vs[i] - top[off[0]]) })
	for i := range sum {
		sum[i] = top[i] + math.Log(sum[i])
	}
	return out.SetFloat64s(sum)
}

// scan is a running reduction along the axis in the second input, in the element type's own precision.
func scan(c *Call, exclusive, reverse bool, init int64, ff func(a, b float64) float64, fi func(a, b int64) int64) error {
	x, out := c.In(0), c.Out(0)
	axis, err := axisOf(c.In(1))
	if err != nil {
		return err
	}
	if x.DType().IsInt() {
		vs, err := x.Int64s()
		if err != nil {
			return err
		}
		if err := scanLines(vs, x.Shape(), axis, exclusive, reverse, init, fi); err != nil {
			return err
		}
		return setInts(out, vs)
	}
	vs, err := x.Float64s()
	if err != nil {
		return err
	}
	if err := scanLines(vs, x.Shape(), axis, exclusive, reverse, float64(init), ff); err != nil {
		return err
	}
	return out.SetFloat64s(vs)
}

func scanLines[T int64 | float64](vs []T, shape []int, axis int, exclusive, reverse bool, init T, f func(a, b T) T) error {
	return rows(shape, axis, func(at, n, step int) {
		acc := init
		for k := range n {
			i := at + k*step
			if reverse {
				i = at + (n-1-k)*step
			}
			next := f(acc, vs[i])
			if vs[i] = next; exclusive {
				vs[i] = acc
			}
			acc = next
		}
	})
}

// arg is the index of the largest (sign 1) or smallest along axis; NaN comes before everything.
func arg(c *Call, axis int, last bool, sign int) error {
	x := c.In(0)
	out := tensor.As[int64](c.Out(0))
	var better func(i, j int) int // whether element i is better than j
	if x.DType().IsFloat() {
		vs, err := x.Float64s()
		if err != nil {
			return err
		}
		better = func(i, j int) int { return orderFloats(vs[i], vs[j], sign) }
	} else {
		vs, err := x.Int64s()
		if err != nil {
			return err
		}
		order := compareInts(x.DType() == tensor.Uint64)
		better = func(i, j int) int { return order(vs[i], vs[j]) * sign }
	}
	k := 0
	var empty error
	err := rows(x.Shape(), axis, func(at, n, step int) {
		if n == 0 {
			empty = errs.Errorf("no elements along axis %d of %v", axis, x.Shape())
			return
		}
		best := 0
		for i := 1; i < n; i++ {
			if o := better(at+i*step, at+best*step); o > 0 || o == 0 && last {
				best = i
			}
		}
		out[k] = int64(best)
		k++
	})
	if err != nil {
		return err
	}
	return empty
}

func orderFloats(a, b float64, sign int) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b), a == b:
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	case a > b:
		return sign
	}
	return -sign
}
