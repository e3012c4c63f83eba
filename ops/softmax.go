package ops

import "github.com/nnrt/nnrt/graph"

// softmaxOps is the family of normalized exponentials along an axis.
var softmaxOps = []Info{
	{Softmax{Axis: -1}, "exp(x) over its sum along Axis"},
	{LogSoftmax{Axis: -1}, "the logarithm of softmax along Axis"},
	{Hardmax{Axis: -1}, "1 at the first largest along Axis, else 0"},
}

func inferAxis(in []graph.Type, axis int) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	if r := in[0].Rank(); r >= 0 {
		if _, err := normAxis(axis, r); err != nil {
			return nil, err
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// sumAlong is the sum of v along axis, kept as a dimension of 1.
func sumAlong(b *graph.Builder, v *graph.Value, axis int) *graph.Value {
	return b.Add(ReduceSum{Keepdims: true}, v, b.Ints(int64(axis)))
}

// Softmax is exp(x) / sum(exp(x)) along Axis.
type Softmax struct{ Axis int }

// Name implements graph.Op.
func (Softmax) Name() string { return "Softmax" }

// Infer implements graph.Op.
func (o Softmax) Infer(in []graph.Type) ([]graph.Type, error) { return inferAxis(in, o.Axis) }

// MayAlias implements graph.Aliaser.
func (Softmax) MayAlias(in, out int) bool { return true }

// Decompose subtracts the largest, so that nothing overflows.
func (o Softmax) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	top := b.Add(ReduceMax{Keepdims: true}, in[0], b.Ints(int64(o.Axis)))
	e := b.Add(Exp{}, b.Add(Sub{}, in[0], top))
	return one(b.Add(Div{}, e, sumAlong(b, e, o.Axis)))
}

// VJP is y * (dy - sum(dy*y)).
func (o Softmax) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	w := b.Add(Mul{}, dy[0], n.Out[0])
	return one(b.Add(Sub{}, w, b.Add(Mul{}, n.Out[0], sumAlong(b, w, o.Axis))))
}

// LogSoftmax is x - log(sum(exp(x))) along Axis.
type LogSoftmax struct{ Axis int }

// Name implements graph.Op.
func (LogSoftmax) Name() string { return "LogSoftmax" }

// Infer implements graph.Op.
func (o LogSoftmax) Infer(in []graph.Type) ([]graph.Type, error) { return inferAxis(in, o.Axis) }

// MayAlias implements graph.Aliaser.
func (LogSoftmax) MayAlias(in, out int) bool { return true }

// Decompose spells it by ReduceLogSumExp.
func (o LogSoftmax) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Sub{}, in[0], b.Add(ReduceLogSumExp{Keepdims: true}, in[0], b.Ints(int64(o.Axis)))))
}

// VJP is dy - exp(y)*sum(dy).
func (o LogSoftmax) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	p := b.Add(Exp{}, n.Out[0])
	return one(b.Add(Sub{}, dy[0], b.Add(Mul{}, p, sumAlong(b, dy[0], o.Axis))))
}

// Hardmax is 1 at the first largest element along Axis, and 0 elsewhere.
type Hardmax struct{ Axis int }

// Name implements graph.Op.
func (Hardmax) Name() string { return "Hardmax" }

// Infer implements graph.Op.
func (o Hardmax) Infer(in []graph.Type) ([]graph.Type, error) { return inferAxis(in, o.Axis) }

// VJP is zero.
func (Hardmax) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// softmaxSamples is the cases of softmaxOps.
func softmaxSamples() map[string][]Sample {
	return map[string][]Sample{
		"Softmax": {
			Case(Softmax{Axis: -1}, FR(-3, 3, 3, 4)), Case(Softmax{Axis: 1}, FR(-3, 3, 2, 3, 4)), Case(Softmax{}, FR(-3, 3, 5))},
		"LogSoftmax": {
			Case(LogSoftmax{Axis: -1}, FR(-3, 3, 3, 4)), Case(LogSoftmax{Axis: 1}, FR(-3, 3, 2, 3, 4))},
		"Hardmax": {
			Case(Hardmax{Axis: -1}, F(3, 4)), Case(Hardmax{Axis: 1}, F(2, 3, 4))},
	}
}
