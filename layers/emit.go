package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// cast is v as dt.
//
//go:noinline
func (c *Call) cast(v *graph.Value, dt tensor.DType) *graph.Value {
	if v == nil || v.Type.DType == dt {
		return v
	}
	return c.Add(ops.Cast{To: dt}, v)
}

// num is a rank-0 constant of x's element type.
//
//go:noinline
func (c *Call) num(x *graph.Value, f float64) *graph.Value { return c.scalar(x.Type.DType, f) }

// scalar is a rank-0 constant.
//
//go:noinline
func (c *Call) scalar(dt tensor.DType, f float64) *graph.Value {
	t := tensor.New(dt)
	switch {
	case dt == tensor.Bool:
		t.Bytes()[0] = 0
		if f != 0 {
			t.Bytes()[0] = 1
		}
	default:
		c.Fail(t.SetFloat64s([]float64{f}))
	}
	return c.Const("scalar", t)
}

// vector is a constant of that element type.
func (c *Call) constant(dt tensor.DType, vs []float64, shape ...int) *graph.Value {
	t := tensor.New(dt, shape...)
	c.Fail(t.SetFloat64s(vs))
	return c.Const("const", t)
}

//go:noinline
func (c *Call) add(a, b *graph.Value) *graph.Value { return c.Add(ops.Add{}, a, b) }

//go:noinline
func (c *Call) sub(a, b *graph.Value) *graph.Value { return c.Add(ops.Sub{}, a, b) }

//go:noinline
func (c *Call) mul(a, b *graph.Value) *graph.Value { return c.Add(ops.Mul{}, a, b) }

//go:noinline
func (c *Call) div(a, b *graph.Value) *graph.Value { return c.Add(ops.Div{}, a, b) }

//go:noinline
func (c *Call) addN(a *graph.Value, f float64) *graph.Value {
	return c.add(a, c.num(a, f))
}

//go:noinline
func (c *Call) mulN(a *graph.Value, f float64) *graph.Value {
	return c.mul(a, c.num(a, f))
}

// one is the list of outputs of a layer with one.
//
//go:noinline
//go:noinline
func one(v *graph.Value) []*graph.Value { return []*graph.Value{v} }

// rank is the number of x's dimensions; it records an error where that isn't known.
//
//go:noinline
func (c *Call) rank(x *graph.Value) int {
	r := x.Type.Rank()
	if r < 0 {
		if c.Err() == nil {
			c.Failf("the rank of its input is not known")
		}
		return 0
	}
	return r
}

// wantRank records an error unless x has r dimensions.
//
//go:noinline
func (c *Call) wantRank(x *graph.Value, r int) bool {
	if c.Err() != nil {
		return false
	}
	if got := c.rank(x); got != r {
		c.Failf("takes inputs of rank %d, got %v", r, x.Type)
		return false
	}
	return true
}

// dim is size i of x (from the end where negative), -1 where it isn't a number.
//
//go:noinline
func (c *Call) dim(x *graph.Value, i int) int {
	r := c.rank(x)
	if i < 0 {
		i += r
	}
	if i < 0 || i >= r {
		if c.Err() == nil {
			c.Failf("axis %d is outside %v", i, x.Type)
		}
		return -1
	}
	n, ok := x.Type.Dims[i].Const()
	if !ok {
		return -1
	}
	return n
}

// axis is a normalized to 0..rank-1; an axis outside is an error.
//
//go:noinline
func (c *Call) axis(a, rank int) int {
	if a < -rank || a >= rank {
		if c.Err() == nil {
			c.Failf("axis %d is outside rank %d", a, rank)
		}
		return 0
	}
	if a < 0 {
		a += rank
	}
	return a
}

// axes64 is ints as the int64 constant that ops take.
//
//go:noinline
func (c *Call) ints(vs ...int) *graph.Value {
	out := make([]int64, len(vs))
	for i, v := range vs {
		out[i] = int64(v)
	}
	return c.Builder.Ints(out...)
}

func (c *Call) transpose(x *graph.Value, perm ...int) *graph.Value {
	for i, p := range perm {
		if i != p {
			return c.Add(ops.Transpose{Perm: slices.Clone(perm)}, x)
		}
	}
	return x
}

//go:noinline
func (c *Call) expandDims(x *graph.Value, axes ...int) *graph.Value {
	return c.Add(ops.Unsqueeze{}, x, c.ints(axes...))
}

//go:noinline
func (c *Call) squeeze(x *graph.Value, axes ...int) *graph.Value {
	return c.Add(ops.Squeeze{}, x, c.ints(axes...))
}

// reshapeTo is x with sizes of which at most one is -1; 0 stands for the size at that place in x.
//
//go:noinline
func (c *Call) reshapeTo(x *graph.Value, sizes ...int) *graph.Value {
	return c.Add(ops.Reshape{}, x, c.ints(sizes...))
}

// reshape is x with the dimensions dims, which may hold symbols. Sizes that aren't numbers are taken from x,
// or from like.
func (c *Call) reshape(x *graph.Value, dims []graph.Dim, like ...*graph.Value) *graph.Value {
	if c.Err() != nil {
		return x
	}
	sizes := make([]int, len(dims))
	open := 0
	for i, d := range dims {
		n, ok := d.Const()
		switch {
		case ok:
			sizes[i] = n
		case i < len(x.Type.Dims) && x.Type.Dims[i] == d:
			sizes[i] = 0
		default:
			sizes[i] = -1
			open++
		}
	}
	if open <= 1 && !slices.ContainsFunc(dims, func(d graph.Dim) bool { return d == graph.D(0) }) {
		return c.reshapeTo(x, sizes...)
	}
	return c.Add(ops.Reshape{Allowzero: true}, x, c.shapeOf(dims, append([]*graph.Value{x}, like...)...))
}

// shapeOf is dims as an int64 vector computed from the shapes of the given values.
func (c *Call) shapeOf(dims []graph.Dim, from ...*graph.Value) *graph.Value {
	all := true
	sizes := make([]int, len(dims))
	for i, d := range dims {
		n, ok := d.Const()
		sizes[i] = n
		all = all && ok
	}
	if all {
		return c.ints(sizes...)
	}
	parts := make([]*graph.Value, len(dims))
	for i, d := range dims {
		parts[i] = c.dimValue(d, from...)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return c.Add(ops.Concat{Axis: 0}, parts...)
}

// dimValue is one dimension as an int64 vector of length 1.
func (c *Call) dimValue(d graph.Dim, from ...*graph.Value) *graph.Value {
	if n, ok := d.Const(); ok {
		return c.ints(n)
	}
	for _, v := range from {
		for i, e := range v.Type.Dims {
			if e == d {
				return c.Add(ops.Shape{Start: i, End: i + 1, HasEnd: true}, v)
			}
		}
	}
	for _, v := range from {
		for i, e := range v.Type.Dims {
			if q, ok := d.Div(e).Const(); ok && graph.D(q).Mul(e) == d {
				return c.mul(c.Add(ops.Shape{Start: i, End: i + 1, HasEnd: true}, v), c.ints(q))
			}
		}
	}
	for _, v := range from {
		for i, e := range v.Type.Dims {
			if q := d.Div(e); !e.IsConst() && q.Mul(e) == d && q != d && !q.IsConst() {
				return c.mul(c.Add(ops.Shape{Start: i, End: i + 1, HasEnd: true}, v), c.dimValue(q, from...))
			}
		}
	}
	if c.Err() == nil {
		c.Failf("can't compute the size %v from its inputs", d)
	}
	return c.ints(1)
}

// slice is x[start:end] along one axis; ends may be negative (from the end), and maxInt stands for all.
//
//go:noinline
func (c *Call) slice(x *graph.Value, axis, start, end int) *graph.Value {
	return c.Add(ops.Slice{}, x, c.ints(start), c.ints(end), c.ints(axis))
}

const maxInt = 1 << 62

// What one model may ask for: so many nodes, and constants made of the config of so many elements.
const (
	maxNodes    = 2 << 20
	maxConstant = 1 << 24
)

// atMost records an error, and reports false, where n is more than limit.
//
//go:noinline
func (c *Call) atMost(what string, n, limit int) bool {
	if n > limit {
		c.Failf("%s is %d, the limit %d", what, n, limit)
	}
	return n <= limit
}

// reverse is x with one axis reversed.
//
//go:noinline
func (c *Call) reverse(x *graph.Value, axis int) *graph.Value {
	return c.Add(ops.Slice{}, x, c.ints(-1), c.ints(-maxInt), c.ints(axis), c.ints(-1))
}

// split cuts x along an axis into pieces of those sizes.
func (c *Call) split(x *graph.Value, axis int, sizes ...int) []*graph.Value {
	if len(sizes) == 1 {
		return []*graph.Value{x}
	}
	return c.AddN(ops.Split{Axis: axis}, x, c.ints(sizes...))[:len(sizes)]
}

//go:noinline
func (c *Call) concat(axis int, vs ...*graph.Value) *graph.Value {
	if len(vs) == 1 {
		return vs[0]
	}
	return c.Add(ops.Concat{Axis: axis}, vs...)
}

// expand broadcasts x to dims.
func (c *Call) expand(x *graph.Value, dims []graph.Dim, like ...*graph.Value) *graph.Value {
	return c.Add(ops.Expand{}, x, c.shapeOf(dims, append([]*graph.Value{x}, like...)...))
}

// zeros is a tensor of zeros with those dimensions, which may hold symbols of like's shapes.
func (c *Call) zeros(dt tensor.DType, dims []graph.Dim, like ...*graph.Value) *graph.Value {
	return c.expand(c.scalar(dt, 0), dims, like...)
}

// reduce over axes.
//
//go:noinline
func (c *Call) sum(x *graph.Value, keep bool, axes ...int) *graph.Value {
	return c.Add(ops.ReduceSum{Keepdims: keep}, x, c.ints(axes...))
}

//go:noinline
func (c *Call) mean(x *graph.Value, keep bool, axes ...int) *graph.Value {
	return c.Add(ops.ReduceMean{Keepdims: keep}, x, c.ints(axes...))
}

//go:noinline
func (c *Call) max(x *graph.Value, keep bool, axes ...int) *graph.Value {
	return c.Add(ops.ReduceMax{Keepdims: keep}, x, c.ints(axes...))
}

// or is the disjunction over axes of a boolean tensor.
//
//go:noinline
func (c *Call) any(x *graph.Value, keep bool, axes ...int) *graph.Value {
	m := c.Add(ops.ReduceMax{Keepdims: keep}, c.cast(x, tensor.Int32), c.ints(axes...))
	return c.cast(m, tensor.Bool)
}

// notEqual is x != v as booleans.
//
//go:noinline
func (c *Call) notEqual(x *graph.Value, v float64) *graph.Value {
	return c.Add(ops.Not{}, c.Add(ops.Equal{}, x, c.num(x, v)))
}

// isBatch is the dimension of the batch in most inputs.
func firstDim(x *graph.Value) graph.Dim {
	if len(x.Type.Dims) == 0 {
		return graph.D(1)
	}
	return x.Type.Dims[0]
}

// channelsFirst reads a data_format; the empty string is channels_last.
//
//go:noinline
func (c *Call) channelsFirst(dataFormat string) bool {
	switch dataFormat {
	case "channels_first":
		return true
	case "", "channels_last":
		return false
	}
	c.Failf("data_format %q is neither channels_first nor channels_last", dataFormat)
	return false
}

func format(channelsFirst bool) ops.Format {
	if channelsFirst {
		return ops.NCHW
	}
	return ops.NHWC
}

// spread makes a list of rank sizes of a config value: one is repeated, none is def.
func (c *Call) spread(what string, v []int, rank, def int) []int {
	switch len(v) {
	case rank:
	case 0:
		v = repeat(def, rank)
	case 1:
		v = repeat(v[0], rank)
	default:
		c.Failf("%s has %d values, the layer %d spatial dimensions", what, len(v), rank)
		return repeat(def, rank)
	}
	for _, n := range v {
		if n < 0 || n > 1<<24 {
			c.Failf("%s %v is out of range", what, v)
			return repeat(def, rank)
		}
	}
	return v
}

//go:noinline
func repeat(v, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// or0 is *p, or def.
func orFloat(p *float64, def float64) float64 {
	if p == nil {
		return def
	}
	return *p
}

func orInt(p *int, def int) int {
	if p == nil {
		return def
	}
	return *p
}

func orString(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// dropout is ops.Dropout where the rate isn't zero. A noise shape gives one decision for a whole slice:
// sizes of 1 in it are broadcast, nil ones are x's.
func (c *Call) dropout(x *graph.Value, rate float64, seed *int, noise []graph.Dim) *graph.Value {
	if rate == 0 || c.x.still > 0 {
		return x
	}
	if rate < 0 || rate > 1 {
		c.Failf("rate %v is not in [0, 1]", rate)
		return x
	}
	op := ops.Dropout{}
	if seed != nil {
		op.Seed, op.HasSeed = *seed, true
	}
	ratio := c.scalar(tensor.Float32, rate)
	if noise == nil {
		return c.AddN(op, x, ratio)[0]
	}
	ones := c.expand(c.num(x, 1), noise, x)
	return c.mul(x, c.AddN(op, ones, ratio)[0])
}
