package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// shapeOps is the family that looks at or changes shapes without touching elements.
var shapeOps = []Info{
	{Shape{}, "the dimensions, as int64", []Sample{Case(Shape{}, F(2, 3, 4)), Case(Shape{Start: 1}, F(2, 3, 4))}},
	{SumTo{}, "sums what broadcasting stretched: the gradient of broadcasting", []Sample{
		Case(SumTo{}, F(2, 3, 4), IV(3, 1))}},
}

// Shape is the dimensions Start to End of its input, as an int64 vector.
type Shape struct {
	Start int
	End   int // with HasEnd; negative counts from the end
	// HasEnd tells an End of 0 from none, which means up to the last dimension.
	HasEnd bool
}

// Name implements graph.Op.
func (Shape) Name() string { return "Shape" }

// Infer implements graph.Op.
func (s Shape) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.TensorOf(tensor.Int64, graph.Unknown())}, nil
	}
	r := s.slice(in[0].Rank())
	dims := in[0].Dims[r[0]:r[1]]
	t := graph.TensorOf(tensor.Int64, graph.D(len(dims)))
	t.Ints = append([]graph.Dim{}, dims...)
	return []graph.Type{t}, nil
}

// Dims cuts Start to End out of a shape.
func (s Shape) Dims(shape []int) []int {
	r := s.slice(len(shape))
	return shape[r[0]:r[1]]
}

// slice clamps Start and End to the rank.
func (s Shape) slice(rank int) [2]int {
	clamp := func(v int) int {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	lo, hi := clamp(s.Start), rank
	if s.HasEnd {
		hi = clamp(s.End)
	}
	return [2]int{lo, max(lo, hi)}
}

// SumTo sums its first input over what numpy's broadcasting stretched from the shape in the second.
type SumTo struct{}

// Name implements graph.Op.
func (SumTo) Name() string { return "SumTo" }

// Infer implements graph.Op.
func (SumTo) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dims, ok := in[1].Contents()
	if !ok {
		if n, ok := vectorLen(in[1]); ok {
			return []graph.Type{graph.TensorOf(in[0].DType, unknownDims(n)...)}, nil
		}
		return []graph.Type{graph.UnrankedOf(in[0].DType)}, nil
	}
	if r := in[0].Rank(); r >= 0 && r < len(dims) {
		return nil, fmt.Errorf("can't sum %v to rank %d", in[0], len(dims))
	}
	return []graph.Type{graph.TensorOf(in[0].DType, dims...)}, nil
}
