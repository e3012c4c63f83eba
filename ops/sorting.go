package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// sortOps is the family that sorts and searches.
var sortOps = []Info{
	{TopK{Axis: -1, Largest: true, Sorted: true}, "the k largest or smallest along an axis"},
	{Unique{Sorted: true}, "the distinct elements, or entries of an axis"},
	{NonZero{}, "the indices of the elements that are not zero"},
	{NonMaxSuppression{}, "the boxes that overlap no better one"},
}

// TopK is the k largest (Largest) or smallest elements along Axis, and their indices: inputs data and k.
// Of equal elements the one with the lower index comes first. The result is sorted whether asked or not.
type TopK struct {
	Axis    int  // ONNX's default is -1
	Largest bool // ONNX's default is true
	Sorted  bool // ONNX's default is true
}

// Name implements graph.Op.
func (TopK) Name() string { return "TopK" }

// Infer implements graph.Op.
func (k TopK) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType), graph.UnrankedOf(tensor.Int64)}, nil
	}
	axis, err := normAxis(k.Axis, x.Rank())
	if err != nil {
		return nil, err
	}
	count := graph.Unknown()
	if ds, ok := in[1].Contents(); ok {
		if len(ds) != 1 {
			return nil, errs.Errorf("k has %d elements", len(ds))
		}
		count = ds[0]
		n, ok1 := count.Const()
		m, ok2 := x.Dims[axis].Const()
		if ok1 && n < 0 || ok1 && ok2 && n > m {
			return nil, errs.Errorf("k is %d for axis %d of %v", n, axis, x)
		}
	}
	dims := append([]graph.Dim{}, x.Dims...)
	dims[axis] = count
	return []graph.Type{graph.TensorOf(x.DType, dims...), graph.TensorOf(tensor.Int64, dims...)}, nil
}

// VJP puts dy back where the elements came from.
func (k TopK) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	if dy[0] == nil {
		return []*graph.Value{nil, nil}
	}
	return []*graph.Value{b.Add(ScatterElements{Axis: k.Axis}, zerosLike(b, n.In[0]), n.Out[1], dy[0]), nil}
}

// Unique is the distinct elements of the flattened data, or with HasAxis the distinct entries of Axis; the
// index of each one's first occurrence; for every element the index among the distinct ones; and the counts.
// Sorted says in ascending order, else in the order of first occurrence.
type Unique struct {
	Axis    int // with HasAxis
	HasAxis bool
	Sorted  bool // ONNX's default is true
}

// Name implements graph.Op.
func (Unique) Name() string { return "Unique" }

// Infer implements graph.Op.
func (u Unique) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	vec := func() graph.Type { return graph.TensorOf(tensor.Int64, graph.Unknown()) }
	y := graph.TensorOf(x.DType, graph.Unknown())
	inverse := vec()
	switch {
	case x.Rank() < 0 && u.HasAxis:
		y = graph.UnrankedOf(x.DType)
	case u.HasAxis:
		axis, err := normAxis(u.Axis, x.Rank())
		if err != nil {
			return nil, err
		}
		dims := append([]graph.Dim{}, x.Dims...)
		inverse.Dims[0] = dims[axis]
		dims[axis] = graph.Unknown()
		y = graph.TensorOf(x.DType, dims...)
	case x.Rank() >= 0:
		inverse.Dims[0] = graph.Product(x.Dims)
	}
	return []graph.Type{y, vec(), inverse, vec()}, nil
}

// VJP gives dy to the first occurrences.
func (u Unique) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	if dy[0] == nil {
		return []*graph.Value{nil}
	}
	shape := b.Add(Shape{}, n.In[0])
	if u.HasAxis {
		return []*graph.Value{b.Add(GatherGrad{Axis: u.Axis}, dy[0], n.Out[1], shape)}
	}
	size := b.Add(Reshape{}, b.Add(Size{}, n.In[0]), b.Ints(1))
	return []*graph.Value{b.Add(Reshape{Allowzero: true}, b.Add(GatherGrad{}, dy[0], n.Out[1], size), shape)}
}

// NonZero is the indices of the elements that are not zero, one row per axis, in row-major order.
type NonZero struct{}

// Name implements graph.Op.
func (NonZero) Name() string { return "NonZero" }

// Infer implements graph.Op.
func (NonZero) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	rank := graph.Unknown()
	if r := in[0].Rank(); r >= 0 {
		rank = graph.D(r)
	}
	return []graph.Type{graph.TensorOf(tensor.Int64, rank, graph.Unknown())}, nil
}

// NonMaxSuppression picks boxes of the best scores that overlap no picked one: inputs boxes, scores, and
// optional max_output_boxes_per_class (0), iou_threshold (0) and score_threshold (none). The output is rows
// of batch, class and box.
type NonMaxSuppression struct {
	CenterPointBox bool // boxes are x and y center, width, height; else y1, x1, y2, x2
}

// Name implements graph.Op.
func (NonMaxSuppression) Name() string { return "NonMaxSuppression" }

// Infer implements graph.Op.
func (NonMaxSuppression) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 5); err != nil {
		return nil, err
	}
	for i, t := range in[:2] {
		if r := t.Rank(); r >= 0 && r != 3 {
			return nil, errs.Errorf("input %d is %v, not of rank 3", i, t)
		}
	}
	return []graph.Type{graph.TensorOf(tensor.Int64, graph.Unknown(), graph.D(3))}, nil
}

// sortSamples is the cases of sortOps.
func sortSamples() map[string][]Sample {
	return map[string][]Sample{
		"TopK": {
			Case(TopK{Axis: -1, Largest: true, Sorted: true}, F(3, 5), IV(2)),
			Case(TopK{Axis: 0, Sorted: true}, F(4, 2), IV(3))},
		"Unique": {
			Case(Unique{Sorted: true}, IV(2, 1, 1, 3, 4, 3)),
			Case(Unique{Axis: 1, HasAxis: true}, SampleIn{DType: tensor.Float32, NoGrad: true, Data: tensor.Of([]float32{1, 0, 1, 2, 3, 2}, 2, 3)})},
		"NonZero": {
			Case(NonZero{}, TV(tensor.Of([]float32{1, 0, 3, 0}, 2, 2)))},
		"NonMaxSuppression": {
			Case(NonMaxSuppression{}, FR(0, 1, 1, 4, 4), FR(0, 1, 1, 2, 4), IV(3), TV(tensor.Of([]float32{0.4})), TV(tensor.Of([]float32{0.1})))},
	}
}
