package ref

import (
	"errors"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func spatialKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.GridSample, c *Call) error {
			return byParts(c, func(c *Call, _ int) error { return gridSample(op, c) })
		}),
		fn(gridSampleGrad),
		fn(affineGrid),
		fn(func(op ops.DepthToSpace, c *Call) error {
			x, b := c.In(0), op.BlockSize
			space := ops.SpatialDims(op.Format, x.Shape())
			shape := spatialShape(op.Format, x.Dim(0), x.Dim(op.Format.Channel(4))/(b*b), []int{space[0] * b, space[1] * b})
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			loop, deep, wide := blocks(op.Format, op.Mode, b, x.Shape(), shape)
			copyND(out, wide, x, deep, loop)
			return nil
		}),
		fn(func(op ops.SpaceToDepth, c *Call) error {
			x, b := c.In(0), op.BlockSize
			space := ops.SpatialDims(op.Format, x.Shape())
			shape := spatialShape(op.Format, x.Dim(0), x.Dim(op.Format.Channel(4))*b*b, []int{space[0] / b, space[1] / b})
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			loop, deep, wide := blocks(op.Format, op.Mode, b, shape, x.Shape())
			copyND(out, deep, x, wide, loop)
			return nil
		}),
		fn(centerCropPad),
		fn(func(op ops.TensorScatter, c *Call) error {
			x, u := c.In(0), c.In(1)
			out, err := c.OutOf(0, x.DType(), x.Shape()...)
			if err != nil {
				return err
			}
			if err := out.CopyFrom(x); err != nil {
				return err
			}
			return cachePlaces(op, c, x.Shape(), u.Shape(), 2, func(cache, update, n int) { copyBlock(out, cache, u, update, n) })
		}),
		fn(func(op ops.TensorScatterGrad, c *Call) error {
			dy := c.In(0)
			shape, err := c.ints(1)
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, dy.DType(), shape...)
			if err != nil {
				return err
			}
			return cachePlaces(ops.TensorScatter(op), c, dy.Shape(), shape, 2, func(cache, update, n int) { copyBlock(out, update, dy, cache, n) })
		}),
	}
}

// blocks is a loop over batch, channel, block row and column, and the rows and columns of blocks, with the
// steps through the deep and the wide side.
func blocks(f ops.Format, mode string, b int, deep, wide []int) (loop []int, d, w strided) {
	ds, ws, ch := tensor.Strides(deep), tensor.Strides(wide), f.Channel(4)
	lo, _ := f.Spatial(4)
	c := wide[ch]
	loop = []int{deep[0], c, b, b, deep[lo], deep[lo+1]}
	block, channel := c, 1 // how far apart, in channels, neighbouring block places and channels are
	if mode == "CRD" {
		block, channel = 1, b*b
	}
	d.step = []int{ds[0], channel * ds[ch], b * block * ds[ch], block * ds[ch], ds[lo], ds[lo+1]}
	w.step = []int{ws[0], ws[ch], ws[lo], ws[lo+1], b * ws[lo], b * ws[lo+1]}
	return loop, d, w
}

func affineGrid(op ops.AffineGrid, c *Call) error {
	theta := c.In(0)
	size, err := c.ints(1)
	if err != nil {
		return err
	}
	if len(size) != 4 && len(size) != 5 {
		return errs.Errorf("size %v", size)
	}
	ts, err := theta.Float64s()
	if err != nil {
		return err
	}
	space := size[2:]
	k := len(space)
	if len(ts) != size[0]*k*(k+1) {
		return errs.Errorf("theta %v for size %v", theta.Shape(), size)
	}
	shape := append(append([]int{size[0]}, space...), k)
	out := make([]float64, 0, product(shape))
	point := make([]float64, k+1)
	for n := range size[0] {
		for i := range product(space) {
			for a, p := range unravel(i, space) {
				point[k-1-a] = gridCoordinate(p, space[a], op.AlignCorners)
			}
			point[k] = 1
			for r := range k {
				out = append(out, dotOf(ts[(n*k+r)*(k+1):][:k+1], point))
			}
		}
	}
	return store(c, theta.DType(), shape, out)
}

// gridCoordinate is where element i of n lies in [-1, 1].
func gridCoordinate(i, n int, corners bool) float64 {
	switch {
	case corners && n == 1:
		return 0
	case corners:
		return 2*float64(i)/float64(n-1) - 1
	}
	return (2*float64(i)+1)/float64(n) - 1
}

func centerCropPad(op ops.CenterCropPad, c *Call) error {
	x := c.In(0)
	size, err := c.ints(1)
	if err != nil {
		return err
	}
	begin, end, err := op.Pads(x.Shape(), size)
	if err != nil {
		return err
	}
	shape, loop := make([]int, x.Rank()), make([]int, x.Rank())
	src, dst := rowMajor(x.Shape()), strided{}
	for a, n := range x.Shape() {
		shape[a] = begin[a] + n + end[a]
		loop[a] = min(n, shape[a])
	}
	dst.step = tensor.Strides(shape)
	for a, b := range begin {
		dst.off += max(0, b) * dst.step[a]
		src.off += max(0, -b) * src.step[a]
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	clearAll(out)
	copyND(out, dst, x, src, loop)
	return nil
}

// cachePlaces calls f for every run of an update with its place in the cache.
func cachePlaces(op ops.TensorScatter, c *Call, cache, update []int, at int, f func(cache, update, n int)) error {
	starts, err := c.ints(at)
	if err != nil {
		return err
	}
	outer, n, inner, err := around(cache, op.Axis)
	if err != nil {
		return err
	}
	axis := (op.Axis + len(cache)) % len(cache)
	if len(update) != len(cache) || axis == 0 || !slices.Equal(update[:axis], cache[:axis]) || !slices.Equal(update[axis+1:], cache[axis+1:]) {
		return errs.Errorf("an update %v for a cache %v", update, cache)
	}
	if starts != nil && len(starts) != cache[0] {
		return errs.Errorf("%d write indices for a batch of %d", len(starts), cache[0])
	}
	per := product(cache[1:axis])
	for o := range outer {
		start := 0
		if starts != nil {
			start = starts[o/per]
		}
		for s := range update[axis] {
			p := start + s
			if op.Mode == "circular" && n > 0 {
				p = (p%n + n) % n
			}
			if p < 0 || p >= n {
				return errors.New("the update reaches beyond the cache")
			}
			f((o*n+p)*inner, (o*update[axis]+s)*inner, inner)
		}
	}
	return nil
}
