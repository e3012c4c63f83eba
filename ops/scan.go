package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// inferScan is the inference of the running reductions: the axis is a scalar in the second input.
func inferScan(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	if !in[1].DType.IsInt() || in[1].Rank() > 1 {
		return nil, errs.Errorf("axis is %v, not an integer scalar", in[1])
	}
	if axis, ok := knownInts(in, 1); ok && in[0].Rank() >= 0 {
		if len(axis) != 1 {
			return nil, errs.Errorf("axis is %v, not one integer", in[1].WithoutValue())
		}
		if _, err := normAxis(axis[0], in[0].Rank()); err != nil {
			return nil, err
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// CumSum is the running sum of its first input along the axis in the second: without the element itself
// with Exclusive, from the end with Reverse.
type CumSum struct {
	Exclusive, Reverse bool
}

// Name implements graph.Op.
func (CumSum) Name() string { return "CumSum" }

// Infer implements graph.Op.
func (CumSum) Infer(in []graph.Type) ([]graph.Type, error) { return inferScan(in) }

// VJP is the running sum of dy from the other end.
func (o CumSum) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pad(b.Add(CumSum{Exclusive: o.Exclusive, Reverse: !o.Reverse}, dy[0], n.In[1]), n)
}

// CumProd is the running product of its first input along the axis in the second: without the element
// itself with Exclusive, from the end with Reverse.
type CumProd struct {
	Exclusive, Reverse bool
}

// Name implements graph.Op.
func (CumProd) Name() string { return "CumProd" }

// Infer implements graph.Op.
func (CumProd) Infer(in []graph.Type) ([]graph.Type, error) { return inferScan(in) }

// VJP is the running sum of dy*y from the other end, over x. An x of 0 gets NaN.
func (o CumProd) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	s := b.Add(CumSum{Exclusive: o.Exclusive, Reverse: !o.Reverse}, b.Add(Mul{}, dy[0], n.Out[0]), n.In[1])
	return pad(b.Add(Div{}, s, n.In[0]), n)
}

// inferArg is the inference of ArgMax and ArgMin: int64 indices.
func inferArg(in []graph.Type, axis int, keepdims bool) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(tensor.Int64)}, nil
	}
	axis, err := normAxis(axis, in[0].Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, in[0].Dims[:axis]...)
	if keepdims {
		dims = append(dims, graph.D(1))
	}
	return []graph.Type{graph.TensorOf(tensor.Int64, append(dims, in[0].Dims[axis+1:]...)...)}, nil
}

// ArgMax is the index of the largest element along Axis; of equals the first, or the last.
type ArgMax struct {
	Axis            int
	Keepdims        bool
	SelectLastIndex bool
}

// Name implements graph.Op.
func (ArgMax) Name() string { return "ArgMax" }

// Infer implements graph.Op.
func (o ArgMax) Infer(in []graph.Type) ([]graph.Type, error) { return inferArg(in, o.Axis, o.Keepdims) }

// ArgMin is the index of the smallest element along Axis; of equals the first, or the last.
type ArgMin struct {
	Axis            int
	Keepdims        bool
	SelectLastIndex bool
}

// Name implements graph.Op.
func (ArgMin) Name() string { return "ArgMin" }

// Infer implements graph.Op.
func (o ArgMin) Infer(in []graph.Type) ([]graph.Type, error) { return inferArg(in, o.Axis, o.Keepdims) }
