package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// reduceOps is the family of reductions and scans along axes.
var reduceOps = []Info{
	{ReduceSum{Keepdims: true}, "the sum over axes"},
	{ReduceMean{Keepdims: true}, "the mean over axes"},
	{ReduceProd{Keepdims: true}, "the product over axes"},
	{ReduceMax{Keepdims: true}, "the largest over axes"},
	{ReduceMin{Keepdims: true}, "the smallest over axes"},
	{ReduceL1{Keepdims: true}, "the sum of absolute values over axes"},
	{ReduceL2{Keepdims: true}, "the Euclidean norm over axes"},
	{ReduceLogSum{Keepdims: true}, "the logarithm of the sum over axes"},
	{ReduceLogSumExp{Keepdims: true}, "the logarithm of the sum of exponentials over axes"},
	{ReduceSumSquare{Keepdims: true}, "the sum of squares over axes"},
	{CumSum{}, "running sums along an axis"},
	{CumProd{}, "running products along an axis"},
	{ArgMax{Keepdims: true}, "where the largest is along an axis"},
	{ArgMin{Keepdims: true}, "where the smallest is along an axis"},
}

// keep is the ONNX default of a reduction's attributes.
var keep = reduction{Keepdims: true}

func reduceCases(op func(reduction) graph.Op, lo, hi float64) []Sample {
	return []Sample{
		Case(op(keep), FR(lo, hi, 2, 3, 4), IV(1)),
		Case(op(reduction{}), FR(lo, hi, 2, 3, 4), IV(-1, 0)),
		Case(op(reduction{}), FR(lo, hi, 2, 3)),
		Case(op(reduction{NoopWithEmptyAxes: true}), FR(lo, hi, 2, 3)),
		Case(op(keep), FR(lo, hi)),
	}
}

func scanSamples(op func(ex, rev bool) graph.Op) []Sample {
	axis := TV(tensor.Scalar(int64(-1)))
	return []Sample{
		Case(op(false, false), FR(0.5, 2, 2, 4), axis), Case(op(true, false), FR(0.5, 2, 2, 4), axis),
		Case(op(false, true), FR(0.5, 2, 2, 4), axis), Case(op(true, true), FR(-2, -0.5, 4, 2), TV(tensor.Scalar(int32(0)))),
	}
}

// reduction is the attributes that all reductions have, and their common behaviour.
type reduction struct {
	Keepdims          bool
	NoopWithEmptyAxes bool
}

// infer is the type of a reduction of in[0] over the axes in in[1]; without any it is over all axes, or
// over none with NoopWithEmptyAxes.
func (r reduction) infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Kind != graph.TensorKind || x.DType == tensor.String || x.DType.IsComplex() {
		return nil, errs.Errorf("input is %v, not a tensor of numbers", x)
	}
	axes, known, err := reductionAxes(in)
	if err != nil {
		return nil, err
	}
	switch {
	case !known && r.Keepdims && x.Rank() >= 0:
		return []graph.Type{graph.TensorOf(x.DType, unknownDims(x.Rank())...)}, nil
	case !known:
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	case x.Rank() < 0 && !r.Keepdims && len(axes) == 0 && !r.NoopWithEmptyAxes:
		return []graph.Type{graph.TensorOf(x.DType)}, nil
	case x.Rank() < 0:
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	drop, err := ReducedAxes(axes, x.Rank(), r.NoopWithEmptyAxes)
	if err != nil {
		return nil, err
	}
	dims := []graph.Dim{}
	for i, d := range x.Dims {
		if !drop[i] {
			dims = append(dims, d)
		} else if r.Keepdims {
			dims = append(dims, graph.D(1))
		}
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// reductionAxes is the list in the second input; known is false where only running tells.
func reductionAxes(in []graph.Type) (axes []int, known bool, err error) {
	if !present(in, 1) {
		return nil, true, nil
	}
	if !in[1].DType.IsInt() {
		return nil, false, errs.Errorf("axes are %v, not integers", in[1])
	}
	if n, ok := vectorLen(in[1]); ok && n == 0 {
		return nil, true, nil
	}
	axes, known = knownInts(in, 1)
	return axes, known, nil
}

// ReducedAxes marks the dimensions of a tensor of that rank that reducing over axes takes away: all where
// axes is empty, or none with noop.
func ReducedAxes(axes []int, rank int, noop bool) ([]bool, error) {
	drop := make([]bool, rank)
	if len(axes) == 0 && !noop {
		for i := range drop {
			drop[i] = true
		}
	}
	for _, a := range axes {
		a, err := normAxis(a, rank)
		if err != nil {
			return nil, err
		}
		drop[a] = true
	}
	return drop, nil
}

// contents is the result over a whole vector of known integers, for shape arithmetic.
func (r reduction) contents(in, out []graph.Type, f func(a, b graph.Dim) graph.Dim) []graph.Type {
	x := in[0]
	if !x.DType.IsInt() || x.Rank() != 1 || tooLong(x) || out[0].Rank() < 0 {
		return out
	}
	if axes, known, _ := reductionAxes(in); !known || len(axes) == 0 && r.NoopWithEmptyAxes {
		return out
	}
	if ds, ok := x.Contents(); ok && len(ds) > 0 {
		acc := ds[0]
		for _, d := range ds[1:] {
			acc = f(acc, d)
		}
		out[0].Ints = []graph.Dim{acc}
	}
	return out
}

// spread brings v, which has a reduction's output shape, to the shape in which it broadcasts to the input.
func (r reduction) spread(b *graph.Builder, n *graph.Node, v *graph.Value) *graph.Value {
	x := n.In[0].Type
	if r.Keepdims || x.Rank() == 0 || len(n.In) < 2 || n.In[1] == nil {
		return v // already, or rank 0, or nothing reduced
	}
	if axes, known, _ := reductionAxes([]graph.Type{x, n.In[1].Type}); known && len(axes) == 0 {
		return v
	}
	return b.Add(Unsqueeze{}, v, n.In[1])
}

// reduceSamples is the cases of reduceOps.
func reduceSamples() map[string][]Sample {
	return map[string][]Sample{
		"ReduceSum":       reduceCases(func(r reduction) graph.Op { return ReduceSum(r) }, -1, 1),
		"ReduceMean":      reduceCases(func(r reduction) graph.Op { return ReduceMean(r) }, -1, 1),
		"ReduceProd":      reduceCases(func(r reduction) graph.Op { return ReduceProd(r) }, 0.5, 1.5),
		"ReduceMax":       reduceCases(func(r reduction) graph.Op { return ReduceMax(r) }, -1, 1),
		"ReduceMin":       reduceCases(func(r reduction) graph.Op { return ReduceMin(r) }, -1, 1),
		"ReduceL1":        reduceCases(func(r reduction) graph.Op { return ReduceL1(r) }, -1, 1),
		"ReduceL2":        reduceCases(func(r reduction) graph.Op { return ReduceL2(r) }, 0.3, 1),
		"ReduceLogSum":    reduceCases(func(r reduction) graph.Op { return ReduceLogSum(r) }, 0.5, 2),
		"ReduceLogSumExp": reduceCases(func(r reduction) graph.Op { return ReduceLogSumExp(r) }, -3, 3),
		"ReduceSumSquare": reduceCases(func(r reduction) graph.Op { return ReduceSumSquare(r) }, -1, 1),
		"CumSum":          scanSamples(func(ex, rev bool) graph.Op { return CumSum{ex, rev} }),
		"CumProd":         scanSamples(func(ex, rev bool) graph.Op { return CumProd{ex, rev} }),
		"ArgMax": {
			Case(ArgMax{Keepdims: true}, F(3, 4)), Case(ArgMax{Axis: -1, SelectLastIndex: true}, TV(tensor.Of([]int32{1, 3, 3, 2}, 2, 2)))},
		"ArgMin": {
			Case(ArgMin{Keepdims: true}, F(3, 4)), Case(ArgMin{Axis: -1, SelectLastIndex: true}, TV(tensor.Of([]int32{1, 1, 3, 2}, 2, 2)))},
	}
}
