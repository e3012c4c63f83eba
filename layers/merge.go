package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var mergeRows = []row{
	{class: "Add", make: func() Layer { return new(Add) }},
	{class: "Subtract", make: func() Layer { return new(Subtract) }},
	{class: "Multiply", make: func() Layer { return new(Multiply) }},
	{class: "Average", make: func() Layer { return new(Average) }},
	{class: "Maximum", make: func() Layer { return new(Maximum) }},
	{class: "Minimum", make: func() Layer { return new(Minimum) }},
	{class: "Concatenate", make: func() Layer { return new(Concatenate) }},
	{class: "Dot", make: func() Layer { return new(Dot) }},
}

// The merging layers combine their inputs element by element.
type (
	Add      struct{ Base } // sum
	Subtract struct{ Base } // first minus second
	Multiply struct{ Base } // product
	Average  struct{ Base } // mean
	Maximum  struct{ Base } // largest
	Minimum  struct{ Base } // smallest
)

// Call implements Layer.
func (l *Add) Call(c *Call) []*graph.Value { return c.merge(ops.Add{}) }

// Call implements Layer.
func (l *Subtract) Call(c *Call) []*graph.Value {
	if len(c.In) != 2 {
		c.Failf("takes 2 inputs, got %d", len(c.In))
		return c.In
	}
	return c.merge(ops.Sub{})
}

// Call implements Layer.
func (l *Multiply) Call(c *Call) []*graph.Value { return c.merge(ops.Mul{}) }

// Call implements Layer.
func (l *Average) Call(c *Call) []*graph.Value {
	out := c.merge(ops.Add{})
	if c.Err() != nil {
		return out
	}
	mask := c.Mask(out[0])
	y := c.div(out[0], c.num(out[0], float64(len(c.In))))
	c.SetMask(y, mask)
	return one(y)
}

// Call implements Layer.
func (l *Maximum) Call(c *Call) []*graph.Value { return c.merge(ops.Max{}) }

// Call implements Layer.
func (l *Minimum) Call(c *Call) []*graph.Value { return c.merge(ops.Min{}) }

// merge folds the inputs with a binary operator. Inputs of lower rank get dimensions of 1 behind the batch.
func (c *Call) merge(op graph.Op) []*graph.Value {
	if len(c.In) < 1 {
		c.Failf("takes inputs")
		return one(c.X())
	}
	vs := slices.Clone(c.In)
	rank, dt := 0, vs[0].Type.DType
	for _, v := range vs {
		rank = max(rank, c.rank(v))
		dt = promote(dt, v.Type.DType)
	}
	if c.Err() != nil {
		return c.In
	}
	for i, v := range vs {
		v = c.cast(v, dt)
		if d := rank - v.Type.Rank(); d > 0 && v.Type.Rank() > 0 {
			axes := make([]int, d)
			for j := range axes {
				axes[j] = 1 + j
			}
			v = c.expandDims(v, axes...)
		}
		vs[i] = v
	}
	if y := c.mergeMasked(op, vs); y != nil {
		return one(y)
	}
	y := vs[0]
	for _, v := range vs[1:] {
		y = c.Add(op, y, v)
	}
	c.mergeMasks(y, vs)
	return one(y)
}

// mergeMasked is a product, maximum or minimum of inputs of which some have a mask: Keras 3 leaves out what
// is masked there, and Keras 2 does not. It is nil where merging doesn't depend on masks.
func (c *Call) mergeMasked(op graph.Op, vs []*graph.Value) *graph.Value {
	if op == (ops.Add{}) || op == (ops.Sub{}) {
		return nil
	}
	masks := make([]*graph.Value, len(vs)) // of the shape of their inputs
	some, all := false, true
	for i, v := range vs {
		m := c.Mask(c.In[i])
		if m == nil || v.Type.Rank() != c.In[i].Type.Rank() { // a dimension more loses the mask
			all = false
			continue
		}
		some = true
		masks[i] = c.expand(c.expandDims(m, -1), v.Type.Dims, v)
	}
	if !some || c.oldMasks() {
		return nil
	}
	y, either := vs[0], masks[0]
	if op == (ops.Mul{}) {
		y = c.whereMask(masks[0], y, c.num(y, 1))
	}
	for i, v := range vs[1:] {
		m := masks[i+1]
		if op == (ops.Mul{}) {
			y = c.Add(op, y, c.whereMask(m, v, c.num(v, 1)))
		} else {
			v = c.whereMask(m, v, y)
			y = c.Add(op, c.whereMask(either, y, v), v)
		}
		if m == nil || either == nil {
			either = nil
		} else {
			either = c.Add(ops.Or{}, either, m)
		}
	}
	if all {
		if op == (ops.Mul{}) {
			y = c.Add(ops.Where{}, either, y, c.num(y, 0))
		}
		c.SetMask(y, c.anyTrue(either))
	}
	return y
}

// whereMask is v where mask is true and other elsewhere, or v where there is no mask.
func (c *Call) whereMask(mask, v, other *graph.Value) *graph.Value {
	if mask == nil {
		return v
	}
	return c.Add(ops.Where{}, mask, v, other)
}

// anyTrue is whether a boolean tensor is true anywhere along its last axis.
func (c *Call) anyTrue(v *graph.Value) *graph.Value {
	return c.cast(c.max(c.cast(v, tensor.Int32), false, -1), tensor.Bool)
}

// mergeMasks marks what any input masks, if every input has a mask.
func (c *Call) mergeMasks(y *graph.Value, vs []*graph.Value) {
	var mask *graph.Value
	for _, in := range c.In {
		m := c.Mask(in)
		if m == nil {
			return
		}
		if mask == nil {
			mask = m
		} else if mask != m {
			mask = c.Add(ops.Or{}, mask, m)
		}
	}
	if len(vs) > 0 {
		c.SetMask(y, mask)
	}
}

// promote is the type of an operation on a and b: a float wins over an integer, the wider over the narrower.
func promote(a, b tensor.DType) tensor.DType {
	switch {
	case a == b:
		return a
	case a == tensor.Bool:
		return b
	case b == tensor.Bool:
		return a
	case a.IsFloat() && !b.IsFloat():
		return a
	case b.IsFloat() && !a.IsFloat():
		return b
	case a.IsFloat() && a.Size() == b.Size(): // float16 and bfloat16
		return tensor.Float32
	case a.Size() == b.Size(): // int and uint of one size
		switch a.Size() {
		case 1:
			return tensor.Int16
		case 2:
			return tensor.Int32
		case 4:
			return tensor.Int64
		}
		return tensor.Float32
	case a.Size() < b.Size():
		a, b = b, a
	}
	if a.IsUnsigned() && b.IsSigned() {
		switch a.Size() {
		case 2:
			return tensor.Int32
		case 4:
			return tensor.Int64
		case 8:
			return tensor.Float32
		}
	}
	return a
}

// Concatenate joins its inputs along an axis.
type Concatenate struct {
	Base
	Axis *int `def:"-1"`
}

// Call implements Layer.
func (l *Concatenate) Call(c *Call) []*graph.Value {
	if len(c.In) == 0 {
		c.Failf("takes inputs")
		return one(c.X())
	}
	dt := c.In[0].Type.DType
	for _, v := range c.In {
		dt = promote(dt, v.Type.DType)
	}
	vs := make([]*graph.Value, len(c.In))
	for i, v := range c.In {
		vs[i] = c.cast(v, dt)
	}
	axis := c.axis(orInt(l.Axis, -1), c.rank(vs[0]))
	y := c.concat(axis, vs...)
	if c.Err() == nil {
		c.concatMasks(y, axis)
	}
	return one(y)
}

// concatMasks joins the inputs' masks along the same axis where any has one: an input without counts as
// unmasked, and a mask without the feature axis holds for all features. A step is left out where all of its
// features are masked, or to Keras 2 where any is.
func (c *Call) concatMasks(y *graph.Value, axis int) {
	some := false
	for _, v := range c.In {
		some = some || c.Mask(v) != nil
	}
	if !some {
		return
	}
	ms := make([]*graph.Value, len(c.In))
	for i, v := range c.In {
		m := c.Mask(v)
		switch {
		case m == nil:
			m = c.expand(c.scalar(tensor.Bool, 1), v.Type.Dims, v)
		case m.Type.Rank() < v.Type.Rank():
			m = c.expandDims(m, -1)
			m = c.expand(m, v.Type.Dims, v)
		}
		ms[i] = m
	}
	joined := c.concat(axis, ms...)
	first := c.Mask(c.In[0])
	alike := axis != c.rank(y)-1 || !slices.ContainsFunc(c.In, func(v *graph.Value) bool { return c.Mask(v) != first })
	if !alike && c.oldMasks() {
		all := c.Add(ops.ReduceMin{}, c.cast(joined, tensor.Int32), c.ints(-1))
		c.SetMask(y, c.cast(all, tensor.Bool))
		return
	}
	c.SetMask(y, c.anyTrue(joined))
}

// Dot contracts one axis of each of two inputs, sample by sample.
type Dot struct {
	Base
	Axes      any // a number, or two: the axis of the first and of the second input
	Normalize bool
}

// Call implements Layer.
func (l *Dot) Call(c *Call) []*graph.Value {
	a, b := c.FloatArg(0), c.FloatArg(1)
	ra, rb := c.rank(a), c.rank(b)
	if c.Err() != nil {
		return one(a)
	}
	axes, err := asShape(l.Axes)
	if list, ok := l.Axes.([]int); ok {
		axes, err = list, nil
	}
	if err != nil || len(axes) == 0 {
		c.Failf("axes %v: no one or two numbers", l.Axes)
		return one(a)
	}
	var i, j int
	if len(axes) == 1 {
		i, j = c.axis(axes[0], ra), c.axis(axes[0], rb)
	} else {
		i, j = c.axis(axes[0], ra), c.axis(axes[1], rb)
	}
	if l.Normalize {
		a, b = c.l2normalize(a, i), c.l2normalize(b, j)
	}
	return one(c.batchDot(a, b, i, j))
}

// batchDot contracts axis i of a with axis j of b for each sample; two matrices give a column.
func (c *Call) batchDot(a, b *graph.Value, i, j int) *graph.Value {
	ra, rb := c.rank(a), c.rank(b)
	if c.Err() != nil || i < 1 || j < 1 {
		c.Failf("can't contract axes %d and %d: the batch is axis 0", i, j)
		return a
	}
	// a as batch, rest, k; b as batch, k, rest
	pa := append(slices.Delete(identityPerm(ra), i, i+1), i)
	a = c.transpose(a, pa...)
	pb := slices.Insert(slices.Delete(identityPerm(rb), j, j+1), 1, j)
	b = c.transpose(b, pb...)
	outA, outB := a.Type.Dims[1:ra-1], b.Type.Dims[2:]
	dims := append(append([]graph.Dim{firstDim(a)}, outA...), outB...)
	fa := c.reshape(a, []graph.Dim{firstDim(a), graph.Product(outA), a.Type.Dims[ra-1]})
	fb := c.reshape(b, []graph.Dim{firstDim(b), b.Type.Dims[1], graph.Product(outB)})
	y := c.Add(ops.MatMul{}, fa, fb)
	if len(dims) == 1 {
		dims = append(dims, graph.D(1))
	}
	return c.reshape(y, dims, a, b)
}
