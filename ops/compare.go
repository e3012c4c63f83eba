package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// compareOps is the family of comparisons and choice.
var compareOps = []Info{
	{Equal{}, "a == b, broadcast"},
	{Greater{}, "a > b, broadcast"},
	{GreaterOrEqual{}, "a >= b, broadcast"},
	{Less{}, "a < b, broadcast"},
	{LessOrEqual{}, "a <= b, broadcast"},
	{Where{}, "cond ? a : b, broadcast"},
}

func texts(s ...string) *tensor.Tensor {
	t := tensor.New(tensor.String, len(s))
	copy(t.Strings(), s)
	return t
}

// inferCompare is the inference of broadcasting comparisons: Bool out.
func inferCompare(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if err := tensors(in); err != nil {
		return nil, err
	}
	if _, err := sameDType(in); err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(tensor.Bool, dims, unranked)}, nil
}

// ordered is embedded by the comparisons that need an order.
type ordered struct{}

// Infer checks for two tensors of one type of numbers, which broadcast.
func (ordered) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferCompare(in)
}

// Equal is a == b under numpy's broadcasting, on any type.
type Equal struct{}

// Name implements graph.Op.
func (Equal) Name() string { return "Equal" }

// Infer decides what it can of shape arithmetic, as contents 0 and 1.
func (Equal) Infer(in []graph.Type) ([]graph.Type, error) {
	out, err := inferCompare(in)
	if err != nil || !in[0].DType.IsInt() || out[0].Rank() < 0 || out[0].Rank() > 1 {
		return out, err
	}
	out[0].Ints = contentsOf(in[0], in[1], func(a, b graph.Dim) (graph.Dim, bool) {
		switch {
		case a == b:
			return graph.D(1), true
		case a.IsConst() && b.IsConst(), negative(a) && b.IsSym(), negative(b) && a.IsSym():
			return graph.D(0), true // a symbol stands for a dimension, which is not negative
		}
		return a, false
	})
	return out, nil
}

func negative(d graph.Dim) bool {
	n, ok := d.Const()
	return ok && n < 0
}

// Greater is a > b under numpy's broadcasting.
type Greater struct{ ordered }

// Name implements graph.Op.
func (Greater) Name() string { return "Greater" }

// GreaterOrEqual is a >= b under numpy's broadcasting.
type GreaterOrEqual struct{ ordered }

// Name implements graph.Op.
func (GreaterOrEqual) Name() string { return "GreaterOrEqual" }

// Less is a < b under numpy's broadcasting.
type Less struct{ ordered }

// Name implements graph.Op.
func (Less) Name() string { return "Less" }

// LessOrEqual is a <= b under numpy's broadcasting.
type LessOrEqual struct{ ordered }

// Name implements graph.Op.
func (LessOrEqual) Name() string { return "LessOrEqual" }

// Where picks from a where cond holds and from b elsewhere, under numpy's broadcasting.
type Where struct{}

// Name implements graph.Op.
func (Where) Name() string { return "Where" }

// Infer follows the contents of small integer tensors where the condition is known.
func (Where) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	if in[0].DType != tensor.Bool {
		return nil, errs.Errorf("the condition is %v, not bool", in[0].DType)
	}
	dt, err := sameDType(in[1:])
	if err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	out := tensorOr(dt, dims, unranked)
	if dt.IsInt() && !unranked && len(dims) <= 1 {
		out.Ints = chosen(in)
	}
	return []graph.Type{out}, nil
}

// chosen is the contents of Where, if all three inputs' are known.
func chosen(in []graph.Type) []graph.Dim {
	var ds [3][]graph.Dim
	n := 0
	for i, t := range in {
		var ok bool
		if ds[i], ok = t.Contents(); !ok || tooLong(t) || len(ds[i]) == 0 {
			return nil
		}
		n = max(n, len(ds[i]))
	}
	out := make([]graph.Dim, n)
	for i := range out {
		c, ok := ds[0][min(i, len(ds[0])-1)].Const()
		if !ok {
			return nil
		}
		side := ds[2]
		if c != 0 {
			side = ds[1]
		}
		out[i] = side[min(i, len(side)-1)]
	}
	return out
}

// VJP routes dy to the side that was picked.
func (Where) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	zero := constLike(b, dy[0], 0)
	dx := []*graph.Value{nil, nil, nil}
	if need[1] {
		dx[1] = sumTo(b, b.Add(Where{}, n.In[0], dy[0], zero), n.In[1])
	}
	if need[2] {
		dx[2] = sumTo(b, b.Add(Where{}, n.In[0], zero, dy[0]), n.In[2])
	}
	return dx
}

// compareSamples is the cases of compareOps.
func compareSamples() map[string][]Sample {
	return map[string][]Sample{
		"Equal": {Case(Equal{}, IV(1, 2, 3), IV(1, 5, 3)), Case(Equal{}, F(3, 4), F(4)),
			Case(Equal{}, bools(true, false), bools(true)), Case(Equal{}, TV(texts("a", "b")), TV(texts("a", "c")))},
		"Greater":        {Case(Greater{}, F(3, 4), F(4)), Case(Greater{}, IV(1, 2, 3), IV(2))},
		"GreaterOrEqual": {Case(GreaterOrEqual{}, F(3, 4), F(4)), Case(GreaterOrEqual{}, IV(1, 2, 3), IV(2))},
		"Less":           {Case(Less{}, F(3, 4), F(4)), Case(Less{}, IV(1, 2, 3), IV(2))},
		"LessOrEqual":    {Case(LessOrEqual{}, F(3, 4), F(4)), Case(LessOrEqual{}, IV(1, 2, 3), IV(2))},
		"Where": {
			Case(Where{}, bools(true, false, true), F(2, 3), F(3)),
			Case(Where{}, bools(true, false), IV(1, 2), IV(3, 4)),
			Case(Where{}, bools(true, false), TV(texts("a", "b")), TV(texts("c")))},
	}
}
