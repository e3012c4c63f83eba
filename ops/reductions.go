package ops

import "github.com/nnrt/nnrt/graph"

// inferFolding is the inference of a reduction that follows shape arithmetic.
func inferFolding(r reduction, in []graph.Type, f func(a, b graph.Dim) graph.Dim) ([]graph.Type, error) {
	out, err := r.infer(in)
	if err != nil {
		return nil, err
	}
	return r.contents(in, out, f), nil
}

// expandLike broadcasts v to x's shape.
func expandLike(b *graph.Builder, v, x *graph.Value) *graph.Value {
	return b.Add(Expand{}, v, b.Add(Shape{}, x))
}

// pickReduced gives an equal share of dy to the elements of the input that equal the output.
func pickReduced(r reduction, b *graph.Builder, n *graph.Node, dy *graph.Value) []*graph.Value {
	x := n.In[0]
	hit := b.Add(Cast{To: x.Type.DType, Saturate: true}, b.Add(Equal{}, x, r.spread(b, n, n.Out[0])))
	count := b.Add(ReduceSum(r), append([]*graph.Value{hit}, n.In[1:]...)...)
	return pad(b.Add(Mul{}, hit, r.spread(b, n, b.Add(Div{}, dy, count))), n)
}

// pad is the gradient list with v for the first input and nothing for the others.
func pad(v *graph.Value, n *graph.Node) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	dx[0] = v
	return dx
}

// ReduceSum is the sum of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceSum struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceSum) Name() string { return "ReduceSum" }

// Infer implements graph.Op.
func (o ReduceSum) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferFolding(reduction(o), in, graph.Dim.Add)
}

// VJP is dy, spread over what was summed.
func (o ReduceSum) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := reduction(o)
	return pad(expandLike(b, r.spread(b, n, dy[0]), n.In[0]), n)
}

// ReduceMean is the mean of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceMean struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceMean) Name() string { return "ReduceMean" }

// Infer implements graph.Op.
func (o ReduceMean) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// VJP is a share of dy, spread over what was averaged.
func (o ReduceMean) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := reduction(o)
	x := n.In[0]
	full := expandLike(b, r.spread(b, n, dy[0]), x)
	return pad(b.Add(Mul{}, full, shareOf(b, x, n.Out[0])), n)
}

// shareOf is the number of out's elements for each of x's, a rank-0 value: what a mean over them weighs.
func shareOf(b *graph.Builder, x, out *graph.Value) *graph.Value {
	xs, ok1 := x.Type.Shape()
	os, ok2 := out.Type.Shape()
	if ok1 && ok2 {
		return constLike(b, x, float64(product(os))/float64(max(1, product(xs))))
	}
	count := func(v *graph.Value) *graph.Value {
		return b.Add(Cast{To: x.Type.DType, Saturate: true}, b.Add(ReduceProd{}, b.Add(Shape{}, v)))
	}
	return b.Add(Div{}, count(out), count(x))
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// ReduceProd is the product of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceProd struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceProd) Name() string { return "ReduceProd" }

// Infer implements graph.Op.
func (o ReduceProd) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferFolding(reduction(o), in, graph.Dim.Mul)
}

// VJP is dy*y/x; an input that is 0 gets the product of the others if it is the only such.
func (o ReduceProd) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := reduction(o)
	x := n.In[0]
	isZero := b.Add(Equal{}, x, constLike(b, x, 0))
	safe := b.Add(Where{}, isZero, constLike(b, x, 1), x)
	rest := b.Add(ReduceProd{Keepdims: o.Keepdims, NoopWithEmptyAxes: o.NoopWithEmptyAxes}, append([]*graph.Value{safe}, n.In[1:]...)...)
	zeros := b.Add(ReduceSum(r), append([]*graph.Value{b.Add(Cast{To: x.Type.DType, Saturate: true}, isZero)}, n.In[1:]...)...)
	lone := keepWhere(b, b.Add(Equal{}, zeros, constLike(b, x, 1)), b.Add(Mul{}, dy[0], rest))
	none := b.Add(Mul{}, dy[0], n.Out[0])
	return pad(b.Add(Where{}, isZero, r.spread(b, n, lone), b.Add(Div{}, r.spread(b, n, none), safe)), n)
}

// ReduceMax is the largest of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceMax struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceMax) Name() string { return "ReduceMax" }

// Infer implements graph.Op.
func (o ReduceMax) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferFolding(reduction(o), in, graph.Dim.Max)
}

// VJP is dy in equal shares to those that are the largest.
func (o ReduceMax) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pickReduced(reduction(o), b, n, dy[0])
}

// ReduceMin is the smallest of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceMin struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceMin) Name() string { return "ReduceMin" }

// Infer implements graph.Op.
func (o ReduceMin) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferFolding(reduction(o), in, graph.Dim.Min)
}

// VJP is dy in equal shares to those that are the smallest.
func (o ReduceMin) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pickReduced(reduction(o), b, n, dy[0])
}

// ReduceL1 is the sum of absolute values of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceL1 struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceL1) Name() string { return "ReduceL1" }

// Infer implements graph.Op.
func (o ReduceL1) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// Decompose is ReduceSum of Abs.
func (o ReduceL1) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(ReduceSum(o), append([]*graph.Value{b.Add(Abs{}, in[0])}, in[1:]...)...))
}

// VJP is dy * sign(x).
func (o ReduceL1) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pad(b.Add(Mul{}, b.Add(Sign{}, n.In[0]), reduction(o).spread(b, n, dy[0])), n)
}

// ReduceL2 is the Euclidean norm of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceL2 struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceL2) Name() string { return "ReduceL2" }

// Infer implements graph.Op.
func (o ReduceL2) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// Decompose is the square root of ReduceSum of squares.
func (o ReduceL2) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Sqrt{}, b.Add(ReduceSum(o), append([]*graph.Value{square(b, in[0])}, in[1:]...)...)))
}

// VJP is dy * x/y, and 0 where the norm is.
func (o ReduceL2) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	safe := b.Add(Where{}, b.Add(Equal{}, y, constLike(b, y, 0)), constLike(b, y, 1), y)
	return pad(b.Add(Mul{}, n.In[0], reduction(o).spread(b, n, b.Add(Div{}, dy[0], safe))), n)
}

// ReduceLogSum is the logarithm of the sum of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceLogSum struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceLogSum) Name() string { return "ReduceLogSum" }

// Infer implements graph.Op.
func (o ReduceLogSum) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// Decompose is Log of ReduceSum.
func (o ReduceLogSum) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Log{}, b.Add(ReduceSum(o), in...)))
}

// VJP is dy / exp(y).
func (o ReduceLogSum) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := reduction(o)
	return pad(expandLike(b, r.spread(b, n, b.Add(Mul{}, dy[0], b.Add(Exp{}, b.Add(Neg{}, n.Out[0])))), n.In[0]), n)
}

// ReduceLogSumExp is the logarithm of the sum of exponentials of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceLogSumExp struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceLogSumExp) Name() string { return "ReduceLogSumExp" }

// Infer implements graph.Op.
func (o ReduceLogSumExp) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// VJP is dy * exp(x-y).
func (o ReduceLogSumExp) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := reduction(o)
	e := b.Add(Exp{}, b.Add(Sub{}, n.In[0], r.spread(b, n, n.Out[0])))
	return pad(b.Add(Mul{}, e, r.spread(b, n, dy[0])), n)
}

// ReduceSumSquare is the sum of squares of its first input over the axes in the second (all where omitted or empty, or none
// with NoopWithEmptyAxes).
type ReduceSumSquare struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// Name implements graph.Op.
func (ReduceSumSquare) Name() string { return "ReduceSumSquare" }

// Infer implements graph.Op.
func (o ReduceSumSquare) Infer(in []graph.Type) ([]graph.Type, error) { return reduction(o).infer(in) }

// Decompose is ReduceSum of squares.
func (o ReduceSumSquare) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(ReduceSum(o), append([]*graph.Value{square(b, in[0])}, in[1:]...)...))
}

// VJP is 2*dy*x.
func (o ReduceSumSquare) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pad(b.Add(Mul{}, mulC(b, n.In[0], 2), reduction(o).spread(b, n, dy[0])), n)
}
