package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func generatorKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(pad),
		fn(padGrad),
		fn(rangeOf),
		fn(func(op ops.ConstantOfShape, c *Call) error {
			shape, err := c.ints(0)
			if err != nil {
				return err
			}
			v := op.Fill()
			out, err := c.OutOf(0, v.DType(), shape...)
			if err != nil {
				return err
			}
			copyND(out, rowMajor(shape), v, strided{step: make([]int, len(shape))}, shape)
			return nil
		}),
		fn(eyeLike),
		fn(oneHot),
		fn(trilu),
		fn(reverseSequence),
	}
}

// padSource is, for each output position of each axis, the input position that it copies, or -1 for none.
func padSource(mode string, shape, pads, axes []int) ([][]int, error) {
	if len(pads) != 2*len(axes) {
		return nil, errs.Errorf("%d pads for %d axes", len(pads), len(axes))
	}
	begin, end := make([]int, len(shape)), make([]int, len(shape))
	for i, a := range axes {
		if a < 0 {
			a += len(shape)
		}
		if a < 0 || a >= len(shape) {
			return nil, errs.Errorf("axis %d of %v", axes[i], shape)
		}
		begin[a], end[a] = pads[i], pads[len(axes)+i]
	}
	src := make([][]int, len(shape))
	for a, n := range shape {
		size := begin[a] + n + end[a]
		if size < 0 {
			return nil, errs.Errorf("pads %v leave nothing of %v", pads, shape)
		}
		// Cropping comes first: reflection and wrapping see only what it leaves.
		first, last := max(0, -begin[a]), n-max(0, -end[a])
		if last <= first && size > 0 && mode != "" && mode != "constant" {
			return nil, errs.Errorf("mode %s of an empty axis %d", mode, a)
		}
		src[a] = make([]int, size)
		for i := range src[a] {
			src[a][i] = padIndex(mode, i-begin[a], first, last)
		}
	}
	return src, nil
}

// padIndex is the position in [lo, hi) that position i shows.
func padIndex(mode string, i, lo, hi int) int {
	if i >= lo && i < hi {
		return i
	}
	n := hi - lo
	switch mode {
	case "edge":
		return min(max(i, lo), hi-1)
	case "reflect":
		if n == 1 {
			return lo
		}
		period := 2 * (n - 1)
		k := ((i-lo)%period + period) % period
		return lo + min(k, period-k)
	case "wrap":
		return lo + ((i-lo)%n+n)%n
	}
	return -1
}

func padArgs(c *Call, mode string, shape []int, pads, axes int) ([][]int, error) {
	ps, err := c.ints(pads)
	if err != nil {
		return nil, err
	}
	as, err := c.ints(axes)
	if err != nil {
		return nil, err
	}
	if c.In(axes) == nil {
		as = make([]int, len(shape))
		for i := range as {
			as[i] = i
		}
	}
	return padSource(mode, shape, ps, as)
}

// eachPad calls f for runs of n output elements, with the first of the neighbouring input elements that they copy, or -1.
func eachPad(shape []int, src [][]int, f func(out, in, n int)) {
	rank := len(src)
	if rank == 0 {
		f(0, 0, 1)
		return
	}
	out, own := make([]int, rank), tensor.Strides(shape)
	for a := range src {
		out[a] = len(src[a])
	}
	row, at := src[rank-1], make([]int, rank-1)
	for o := 0; o < product(out); o += len(row) {
		base, inside := 0, true
		for a, p := range at {
			p = src[a][p]
			base, inside = base+p*own[a], inside && p >= 0
		}
		if !inside {
			f(o, -1, len(row))
		}
		for i := 0; inside && i < len(row); {
			n := runFrom(row[i:])
			if row[i] < 0 {
				f(o+i, -1, n)
			} else {
				f(o+i, base+row[i], n)
			}
			i += n
		}
		for a := rank - 2; a >= 0; a-- {
			if at[a]++; at[a] < out[a] {
				break
			}
			at[a] = 0
		}
	}
}

// runFrom is how many places from the first on are -1, or follow each other.
func runFrom(src []int) int {
	n := 1
	for n < len(src) && (src[0] < 0 && src[n] < 0 || src[0] >= 0 && src[n] == src[0]+n) {
		n++
	}
	return n
}

func pad(op ops.Pad, c *Call) error {
	x := c.In(0)
	src, err := padArgs(c, op.Mode, x.Shape(), 1, 3)
	if err != nil {
		return err
	}
	shape := make([]int, len(src))
	for a := range src {
		shape[a] = len(src[a])
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	value := c.In(2)
	if value != nil && value.Len() != 1 {
		return errs.Errorf("a value of %d elements", value.Len())
	}
	clearAll(out)
	copyPadded(out, x, value, src)
	return nil
}

// copyPadded fills out, which is clear, from x and, outside of it, with value, if there is one.
func copyPadded(out, x, value *tensor.Tensor, src [][]int) {
	eachPad(x.Shape(), src, func(o, i, n int) {
		if i >= 0 {
			copyBlock(out, o, x, i, n)
			return
		}
		for k := 0; value != nil && k < n; k++ {
			copyBlock(out, o+k, value, 0, 1)
		}
	})
}

func padGrad(op ops.PadGrad, c *Call) error {
	dy := c.In(0)
	shape, err := c.ints(2)
	if err != nil {
		return err
	}
	src, err := padArgs(c, op.Mode, shape, 1, 3)
	if err != nil {
		return err
	}
	gs, err := dy.Float64s()
	if err != nil {
		return err
	}
	dx := make([]float64, product(shape))
	eachPad(shape, src, func(o, i, n int) {
		for k := 0; i >= 0 && k < n; k++ {
			dx[i+k] += gs[o+k]
		}
	})
	return store(c, dy.DType(), shape, dx)
}

func rangeOf(_ ops.Range, c *Call) error {
	start, delta := c.In(0), c.In(2)
	n, err := ops.RangeLen(start, c.In(1), delta)
	if err != nil {
		return err
	}
	out, err := c.OutOf(0, start.DType(), n)
	if err != nil {
		return err
	}
	if start.DType().IsInt() {
		a, d, err := intPair(start, delta)
		if err != nil {
			return err
		}
		vs := make([]int64, n)
		for i := range vs {
			vs[i] = a[0] + int64(i)*d[0]
		}
		return setInts(out, vs)
	}
	a, d, err := floatPair(start, delta)
	if err != nil {
		return err
	}
	vs := make([]float64, n)
	for i := range vs {
		vs[i] = a[0] + float64(i)*d[0]
	}
	return out.SetFloat64s(vs)
}

func eyeLike(op ops.EyeLike, c *Call) error {
	x, dt := c.In(0), op.DType
	if !dt.Valid() {
		dt = x.DType()
	}
	vs := make([]float64, x.Len())
	for i := range x.Dim(0) {
		if j := i + op.K; j >= 0 && j < x.Dim(1) {
			vs[i*x.Dim(1)+j] = 1
		}
	}
	return store(c, dt, x.Shape(), vs)
}

func oneHot(op ops.OneHot, c *Call) error {
	idx, values := c.In(0), c.In(2)
	at, depths, err := floatPair(idx, c.In(1))
	if err != nil {
		return err
	}
	if len(depths) != 1 || !(depths[0] >= 0 && depths[0] < 1<<40) || values.Len() != 2 {
		return errs.Errorf("a depth of %v with %d values, off and on", depths, values.Len())
	}
	depth := int(depths[0])
	axis := op.Axis
	if axis < 0 {
		axis += idx.Rank() + 1
	}
	shape := append(append(append([]int{}, idx.Shape()[:axis]...), depth), idx.Shape()[axis:]...)
	out, err := c.OutOf(0, values.DType(), shape...)
	if err != nil {
		return err
	}
	copyND(out, rowMajor(shape), values, strided{step: make([]int, len(shape))}, shape)
	inner := product(idx.Shape()[axis:])
	for i, v := range at {
		k := int(v)
		if k < 0 {
			k += depth
		}
		if k >= 0 && k < depth { // an index outside leaves the row off
			copyBlock(out, (i/inner*depth+k)*inner+i%inner, values, 1, 1)
		}
	}
	return nil
}

func trilu(op ops.Trilu, c *Call) error {
	x := c.In(0)
	ks, err := c.ints(1)
	if err != nil {
		return err
	}
	k := 0
	if len(ks) > 0 {
		k = ks[0]
	}
	out, err := c.OutOf(0, x.DType(), x.Shape()...)
	if err != nil {
		return err
	}
	clearAll(out)
	rows, cols := x.Dim(-2), x.Dim(-1)
	for i := range product(x.Shape()[:x.Rank()-1]) {
		r := i % rows
		lo, hi := 0, cols
		if op.Upper {
			lo = min(max(r+k, 0), cols)
		} else {
			hi = min(max(r+k+1, 0), cols)
		}
		copyBlock(out, i*cols+lo, x, i*cols+lo, max(0, hi-lo))
	}
	return nil
}

func reverseSequence(op ops.ReverseSequence, c *Call) error {
	x := c.In(0)
	lens, err := c.ints(1)
	if err != nil {
		return err
	}
	ba, ta := op.BatchAxis, op.TimeAxis
	if ba < 0 {
		ba += x.Rank()
	}
	if ta < 0 {
		ta += x.Rank()
	}
	if len(lens) != x.Dim(ba) {
		return errs.Errorf("%d lengths for %v", len(lens), x.Shape())
	}
	out, err := c.OutOf(0, x.DType(), x.Shape()...)
	if err != nil {
		return err
	}
	st := tensor.Strides(x.Shape())
	for _, n := range lens {
		if n < 0 || n > x.Dim(ta) {
			return errs.Errorf("length %d of axis %d of %v", n, ta, x.Shape())
		}
	}
	for i := range x.Len() {
		at := unravel(i, x.Shape())
		from := i
		if n := lens[at[ba]]; at[ta] < n {
			from += (n - 1 - 2*at[ta]) * st[ta]
		}
		copyBlock(out, i, x, from, 1)
	}
	return nil
}
