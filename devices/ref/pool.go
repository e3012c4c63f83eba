package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func poolKernels() []*devices.Kernel {
	return append([]*devices.Kernel{
		fn(maxPool),
		fn(maxPoolGrad),
		fn(averagePool),
		fn(averagePoolGrad),
		fn(lpPool),
		fn(func(op ops.GlobalMaxPool, c *Call) error {
			return globalPool(c, op.Format, func(vs []float64) float64 { return vs[largest(vs)] })
		}),
		fn(func(op ops.GlobalAveragePool, c *Call) error {
			return globalPool(c, op.Format, func(vs []float64) float64 {
				s := 0.0
				for _, v := range vs {
					s += v
				}
				return s / float64(len(vs))
			})
		}),
		fn(func(op ops.GlobalLpPool, c *Call) error {
			return globalPool(c, op.Format, func(vs []float64) float64 { return norm(vs, op.P) })
		}),
	}, regionKernels()...)
}

// largest is the index of the first largest element; a NaN wins.
func largest(vs []float64) int {
	best := 0
	for i, v := range vs {
		if v > vs[best] || math.IsNaN(v) && !math.IsNaN(vs[best]) {
			best = i
		}
	}
	return best
}

func norm(vs []float64, p int) float64 {
	s := 0.0
	switch p {
	case 1:
		for _, v := range vs {
			s += math.Abs(v)
		}
		return s
	case 2:
		for _, v := range vs {
			s += v * v
		}
		return math.Sqrt(s)
	}
	for _, v := range vs {
		s += math.Pow(math.Abs(v), float64(p))
	}
	return math.Pow(s, 1/float64(p))
}

// grid relates a pool's output elements to the input elements under their windows.
type grid struct {
	win            ops.Window
	n, c           int
	xn, xc, yn, yc int
	xs, ys         []int
}

func newGrid(win ops.Window, f ops.Format, x, y []int) *grid {
	xs, ys, ch := tensor.Strides(x), tensor.Strides(y), f.Channel(len(x))
	return &grid{win: win, n: x[0], c: x[ch], xn: xs[0], xc: xs[ch], yn: ys[0], yc: ys[ch],
		xs: ops.SpatialDims(f, xs), ys: ops.SpatialDims(f, ys)}
}

// each calls f for every output element y with the input elements in its window, and the window's place.
func (g *grid) each(f func(y int, xs, place []int)) {
	var taps, at []int
	for l := range product(g.win.Out) {
		place := unravel(l, g.win.Out)
		taps = windowTaps(g.win, place, g.xs, taps)
		in := taps[:0]
		for _, off := range taps {
			if off >= 0 {
				in = append(in, off)
			}
		}
		y := 0
		for a, p := range place {
			y += p * g.ys[a]
		}
		for n := range g.n {
			for ch := range g.c {
				at = at[:0]
				for _, off := range in {
					at = append(at, n*g.xn+ch*g.xc+off)
				}
				f(n*g.yn+ch*g.yc+y, at, place)
			}
		}
	}
}

// pooled is the elements of x, and its shape with other spatial dimensions.
func pooled(x *tensor.Tensor, f ops.Format, spatial []int) (xs []float64, shape []int, err error) {
	xs, err = x.Float64s()
	return xs, spatialShape(f, x.Dim(0), x.Dim(f.Channel(x.Rank())), spatial), err
}

func maxPool(op ops.MaxPool, c *Call) error {
	x := c.In(0)
	win, err := op.Window(x.Shape())
	if err != nil {
		return err
	}
	xs, shape, err := pooled(x, op.Format, win.Out)
	if err != nil {
		return err
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	ys, at := make([]float64, out.Len()), make([]int64, out.Len())
	newGrid(win, op.Format, x.Shape(), shape).each(func(y int, in, _ []int) {
		ys[y], at[y] = lowest(x.DType()), -1
		for _, i := range in {
			if v := xs[i]; at[y] < 0 || v > ys[y] || math.IsNaN(v) && !math.IsNaN(ys[y]) {
				ys[y], at[y] = v, int64(i)
			}
		}
	})
	if err := out.SetFloat64s(ys); err != nil || !op.Indices {
		return err
	}
	indices, err := c.OutOf(1, tensor.Int64, shape...)
	if err != nil {
		return err
	}
	if op.StorageOrder == 1 && op.Format == ops.NCHW {
		columnMajor(at, win.In)
	}
	copy(tensor.As[int64](indices), at)
	return nil
}

// lowest is what the largest of no elements is.
func lowest(dt tensor.DType) float64 {
	switch {
	case dt.IsFloat():
		return math.Inf(-1)
	case dt.IsUnsigned():
		return 0
	}
	return -math.Pow(2, float64(dt.Bits()-1))
}

// columnMajor renumbers indices so that within a plane the first spatial dimension runs fastest.
func columnMajor(at []int64, spatial []int) {
	plane := product(spatial)
	for i, v := range at {
		if v < 0 {
			continue
		}
		in, step := 0, 1
		for a, p := range unravel(int(v)%plane, spatial) {
			in += p * step
			step *= spatial[a]
		}
		at[i] = v - v%int64(plane) + int64(in)
	}
}

func maxPoolGrad(op ops.MaxPoolGrad, c *Call) error {
	x, dy := c.In(0), c.In(1)
	win, err := op.Window(x.Shape())
	if err != nil {
		return err
	}
	xs, gs, err := floatPair(x, dy)
	if err != nil {
		return err
	}
	dx := make([]float64, len(xs))
	newGrid(win, op.Format, x.Shape(), dy.Shape()).each(func(y int, in, _ []int) {
		best := -1
		for _, i := range in {
			if best < 0 || xs[i] > xs[best] || math.IsNaN(xs[i]) && !math.IsNaN(xs[best]) {
				best = i
			}
		}
		if best >= 0 {
			dx[best] += gs[y]
		}
	})
	return store(c, x.DType(), x.Shape(), dx)
}

// store makes vs output 0.
func store(c *Call, dt tensor.DType, shape []int, vs []float64) error {
	out, err := c.OutOf(0, dt, shape...)
	if err != nil {
		return err
	}
	return out.SetFloat64s(vs)
}

// averageCount is what a window's sum is divided by: the elements in it, with pad also the padding, though
// not what a rounded-up number of windows reaches beyond that.
func averageCount(w ops.Window, place []int, in int, pad bool) float64 {
	if !pad {
		return float64(in)
	}
	n := 1
	for a, p := range place {
		k := 0
		for t := range w.Kernel[a] {
			if at := p*w.Strides[a] - w.Begin[a] + t*w.Dilations[a]; at < w.In[a]+w.End[a] {
				k++
			}
		}
		n *= k
	}
	return float64(n)
}

func averagePool(op ops.AveragePool, c *Call) error {
	x := c.In(0)
	win, err := op.Window(x.Shape())
	if err != nil {
		return err
	}
	xs, shape, err := pooled(x, op.Format, win.Out)
	if err != nil {
		return err
	}
	ys := make([]float64, product(shape))
	newGrid(win, op.Format, x.Shape(), shape).each(func(y int, in, place []int) {
		s := 0.0
		for _, i := range in {
			s += xs[i]
		}
		ys[y] = s / averageCount(win, place, len(in), op.CountIncludePad)
	})
	return store(c, x.DType(), shape, ys)
}

func averagePoolGrad(op ops.AveragePoolGrad, c *Call) error {
	dy := c.In(0)
	shape, err := c.ints(1)
	if err != nil {
		return err
	}
	win, err := op.Forward().Window(shape)
	if err != nil {
		return err
	}
	gs, err := dy.Float64s()
	if err != nil {
		return err
	}
	dx := make([]float64, product(shape))
	newGrid(win, op.Format, shape, dy.Shape()).each(func(y int, in, place []int) {
		g := gs[y]
		if !op.Sum {
			g /= averageCount(win, place, len(in), op.CountIncludePad)
		}
		for _, i := range in {
			dx[i] += g
		}
	})
	return store(c, dy.DType(), shape, dx)
}

func lpPool(op ops.LpPool, c *Call) error {
	x := c.In(0)
	win, err := op.Window(x.Shape())
	if err != nil {
		return err
	}
	xs, shape, err := pooled(x, op.Format, win.Out)
	if err != nil {
		return err
	}
	ys := make([]float64, product(shape))
	var vs []float64
	newGrid(win, op.Format, x.Shape(), shape).each(func(y int, in, _ []int) {
		vs = vs[:0]
		for _, i := range in {
			vs = append(vs, xs[i])
		}
		ys[y] = norm(vs, op.P)
	})
	return store(c, x.DType(), shape, ys)
}

func globalPool(c *Call, f ops.Format, pool func(vs []float64) float64) error {
	x := c.In(0)
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	spatial := ops.SpatialDims(f, x.Shape())
	n, ch, plane := x.Dim(0), x.Dim(f.Channel(x.Rank())), product(spatial)
	ys, vs := make([]float64, n*ch), make([]float64, plane)
	for i := range ys {
		for p := range vs {
			at := i*plane + p
			if f == ops.NHWC {
				at = (i/ch*plane+p)*ch + i%ch
			}
			vs[p] = xs[at]
		}
		if plane == 0 {
			ys[i] = math.NaN()
			continue
		}
		ys[i] = pool(vs)
	}
	one := make([]int, len(spatial))
	for i := range one {
		one[i] = 1
	}
	return store(c, x.DType(), spatialShape(f, n, ch, one), ys)
}
