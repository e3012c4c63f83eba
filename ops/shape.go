package ops

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// shapeOps is the family that looks at, changes or makes shapes.
var shapeOps = slices.Concat([]Info{
	{Shape{}, "the dimensions, as int64"},
	{Size{}, "the number of elements, as int64"},
	{SumTo{}, "sums what broadcasting stretched: the gradient of broadcasting"},
	{Reshape{}, "the same elements under another shape"},
	{Flatten{Axis: 1}, "a matrix of the dimensions before and from an axis on"},
	{Squeeze{}, "drops dimensions of 1"},
	{Unsqueeze{}, "inserts dimensions of 1"},
	{Transpose{}, "permutes the axes"},
	{Expand{}, "broadcasts to a shape"},
	{Tile{}, "repeats along each axis"},
	{Concat{}, "joins along an axis"},
	{Split{NumOutputs: 2}, "cuts along an axis"},
}, generatorOps)

// limitInts is how many elements of an integer tensor inference follows symbolically.
const limitInts = 1024

// contents is what is known of a small integer tensor's elements.
func contents(t graph.Type) []graph.Dim {
	if t.Ints == nil && (t.Const == nil || t.Const.Len() > limitInts || !t.DType.IsInt()) {
		return nil
	}
	ds, ok := t.Contents()
	if !ok {
		return nil
	}
	return ds
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

// Size is the number of elements of its input, as a rank-0 int64.
type Size struct{}

// Name implements graph.Op.
func (Size) Name() string { return "Size" }

// Infer implements graph.Op.
func (Size) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	t := graph.TensorOf(tensor.Int64)
	if in[0].Rank() >= 0 {
		t.Ints = []graph.Dim{graph.Product(in[0].Dims)}
	}
	return []graph.Type{t}, nil
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
	t, err := fromContents(in[0], in[1])
	if err != nil || t.Rank() < 0 {
		return []graph.Type{t}, err
	}
	if r := in[0].Rank(); r >= 0 && r < t.Rank() {
		return nil, errs.Errorf("can't sum %v to rank %d", in[0], t.Rank())
	}
	return []graph.Type{t}, nil
}

// VJP broadcasts back.
func (SumTo) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(Expand{}, dy[0], b.Add(Shape{}, n.In[0])), nil}
}

// Reshape gives its first input the shape in the second: -1 is what is left over; 0 keeps the input's
// dimension, or with Allowzero is a dimension of 0.
type Reshape struct{ Allowzero bool }

// Name implements graph.Op.
func (Reshape) Name() string { return "Reshape" }

// Infer implements graph.Op.
func (r Reshape) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	want, ok := in[1].Contents()
	if !ok {
		t, err := fromContents(in[0], in[1])
		return []graph.Type{t}, err
	}
	dims, err := r.dims(in[0], want)
	if err != nil {
		return nil, err
	}
	t := graph.TensorOf(in[0].DType, dims...)
	t.Ints = contents(in[0])
	return []graph.Type{t}, nil
}

// dims resolves the wanted shape.
func (r Reshape) dims(x graph.Type, want []graph.Dim) ([]graph.Dim, error) {
	out, rest, infer := make([]graph.Dim, len(want)), graph.D(1), -1
	for i, d := range want {
		n, known := d.Const()
		switch {
		case known && n == -1:
			if infer >= 0 {
				return nil, errs.Errorf("more than one -1 in shape %v", want)
			}
			infer = i
			continue
		case known && n < -1:
			return nil, errs.Errorf("negative dimension in shape %v", want)
		case known && n == 0 && !r.Allowzero:
			if x.Rank() >= 0 && i >= x.Rank() {
				return nil, errs.Errorf("the 0 at %d in shape %v has no dimension in %v", i, want, x)
			}
			d = graph.Unknown()
			if x.Rank() >= 0 {
				d = x.Dims[i]
			}
		}
		out[i] = d
		rest = rest.Mul(d)
	}
	if x.Rank() < 0 {
		if infer >= 0 {
			out[infer] = graph.Unknown()
		}
		return out, nil
	}
	total := graph.Product(x.Dims)
	n, known1 := total.Const()
	m, known2 := rest.Const()
	if infer >= 0 && known1 && known2 && m == 0 && !r.Allowzero {
		total, rest = withoutCopies(x.Dims, want, infer)
		n, _ = total.Const()
		m, _ = rest.Const()
	}
	switch {
	case infer < 0 && known1 && known2 && n != m, infer >= 0 && known1 && known2 && (m == 0 || n%m != 0):
		return nil, errs.Errorf("the %d elements of %v do not fit shape %v", n, x, want)
	case infer < 0:
	case rest.IsUnknown() || total.IsUnknown():
		out[infer] = graph.Unknown()
	default:
		out[infer] = total.Div(rest)
	}
	return out, nil
}

// withoutCopies is the products of dims and of the shape wanted without those that are copied: what is left
// decides what a -1 stands for where there are no elements.
func withoutCopies(dims, want []graph.Dim, infer int) (total, rest graph.Dim) {
	total, rest = graph.D(1), graph.D(1)
	for i, d := range want {
		if i != infer && d != graph.D(0) {
			rest = rest.Mul(d)
		}
	}
	for i, d := range dims {
		if i >= len(want) || i == infer || want[i] != graph.D(0) {
			total = total.Mul(d)
		}
	}
	return total, rest
}

// MayAlias implements graph.Aliaser.
func (Reshape) MayAlias(in, out int) bool { return in == 0 }

// VJP gives dy the input's shape.
func (Reshape) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{shapeBack(b, n, dy), nil}
}

// shapeBack gives dy the shape of the node's first input.
func shapeBack(b *graph.Builder, n *graph.Node, dy []*graph.Value) *graph.Value {
	return b.Add(Reshape{Allowzero: true}, dy[0], b.Add(Shape{}, n.In[0]))
}

// Flatten makes a matrix: the product of the dimensions before Axis by that of the rest.
type Flatten struct{ Axis int }

// Name implements graph.Op.
func (Flatten) Name() string { return "Flatten" }

// Infer implements graph.Op.
func (f Flatten) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	r := in[0].Rank()
	if r < 0 {
		return []graph.Type{graph.TensorOf(in[0].DType, unknownDims(2)...)}, nil
	}
	axis := f.Axis
	if axis < 0 {
		axis += r
	}
	if axis < 0 || axis > r {
		return nil, errs.Errorf("axis %d of %v", f.Axis, in[0])
	}
	t := graph.TensorOf(in[0].DType, graph.Product(in[0].Dims[:axis]), graph.Product(in[0].Dims[axis:]))
	t.Ints = contents(in[0])
	return []graph.Type{t}, nil
}

// MayAlias implements graph.Aliaser.
func (Flatten) MayAlias(in, out int) bool { return true }

// VJP gives dy the input's shape.
func (Flatten) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{shapeBack(b, n, dy)}
}

// Squeeze drops the dimensions named in the optional second input, which must be 1; without it, every 1.
type Squeeze struct{}

// Name implements graph.Op.
func (Squeeze) Name() string { return "Squeeze" }

// Infer implements graph.Op.
func (Squeeze) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 2); err != nil {
		return nil, err
	}
	x := in[0]
	drop, ok, err := axesOf(in, 1, x.Rank())
	if err != nil {
		return nil, err
	}
	if x.Rank() < 0 || !ok && present(in, 1) {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	dims := []graph.Dim{}
	for i, d := range x.Dims {
		n, known := d.Const()
		switch {
		case ok && !drop[i], !ok && known && n != 1:
			dims = append(dims, d)
		case !ok && !known:
			return []graph.Type{graph.UnrankedOf(x.DType)}, nil
		case known && n != 1:
			return nil, errs.Errorf("axis %d of %v is not 1", i, x)
		}
	}
	t := graph.TensorOf(x.DType, dims...)
	t.Ints = contents(x)
	return []graph.Type{t}, nil
}

// axesOf is the set of axes in the optional input i; ok is false where it is omitted or not known.
func axesOf(in []graph.Type, i, rank int) (set map[int]bool, ok bool, err error) {
	vs, ok := knownInts(in, i)
	if !ok || rank < 0 {
		return nil, false, nil
	}
	set = map[int]bool{}
	for _, v := range vs {
		a, err := normAxis(v, rank)
		if err != nil {
			return nil, false, err
		}
		if set[a] {
			return nil, false, errs.Errorf("axis %d twice in %v", a, vs)
		}
		set[a] = true
	}
	return set, true, nil
}

// MayAlias implements graph.Aliaser.
func (Squeeze) MayAlias(in, out int) bool { return in == 0 }

// VJP gives dy the input's shape.
func (Squeeze) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{shapeBack(b, n, dy), nil}[:len(n.In)]
}

// Unsqueeze inserts dimensions of 1 at the places of the output that its second input names.
type Unsqueeze struct{}

// Name implements graph.Op.
func (Unsqueeze) Name() string { return "Unsqueeze" }

// Infer implements graph.Op.
func (Unsqueeze) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	vs, ok := knownInts(in, 1)
	if !ok {
		if n, ok := vectorLen(in[1]); ok {
			return []graph.Type{graph.TensorOf(x.DType, unknownDims(x.Rank()+n)...)}, nil
		}
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	rank := x.Rank() + len(vs)
	if rank > tensor.MaxRank {
		return nil, errs.Errorf("rank %d", rank)
	}
	ones, _, err := axesOf(in, 1, rank)
	if err != nil {
		return nil, err
	}
	dims, next := make([]graph.Dim, rank), 0
	for i := range dims {
		dims[i] = graph.D(1)
		if !ones[i] {
			dims[i] = x.Dims[next]
			next++
		}
	}
	t := graph.TensorOf(x.DType, dims...)
	t.Ints = contents(x)
	return []graph.Type{t}, nil
}

// MayAlias implements graph.Aliaser.
func (Unsqueeze) MayAlias(in, out int) bool { return in == 0 }

// VJP gives dy the input's shape.
func (Unsqueeze) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{shapeBack(b, n, dy), nil}
}

// Transpose permutes the axes: axis i of the output is axis Perm[i] of the input. An empty Perm reverses.
type Transpose struct{ Perm []int }

// Name implements graph.Op.
func (Transpose) Name() string { return "Transpose" }

// Infer implements graph.Op.
func (t Transpose) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		if len(t.Perm) > 0 {
			return []graph.Type{graph.TensorOf(x.DType, unknownDims(len(t.Perm))...)}, nil
		}
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	perm, err := t.Axes(x.Rank())
	if err != nil {
		return nil, err
	}
	dims := make([]graph.Dim, len(perm))
	for i, p := range perm {
		dims[i] = x.Dims[p]
	}
	out := graph.TensorOf(x.DType, dims...)
	if x.Rank() < 2 {
		out.Ints = contents(x)
	}
	return []graph.Type{out}, nil
}

// Axes is the permutation for data of that rank.
func (t Transpose) Axes(rank int) ([]int, error) {
	perm := make([]int, rank)
	if len(t.Perm) == 0 {
		for i := range perm {
			perm[i] = rank - 1 - i
		}
		return perm, nil
	}
	if len(t.Perm) != rank {
		return nil, errs.Errorf("perm %v for rank %d", t.Perm, rank)
	}
	seen := make([]bool, rank)
	for i, p := range t.Perm {
		a, err := normAxis(p, rank)
		if err != nil || seen[a] {
			return nil, errs.Errorf("perm %v is no permutation", t.Perm)
		}
		seen[a], perm[i] = true, a
	}
	return perm, nil
}

// VJP permutes back.
func (t Transpose) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	perm, err := t.Axes(max(n.In[0].Type.Rank(), len(t.Perm)))
	if err != nil {
		b.Fail(err)
		return []*graph.Value{nil}
	}
	back := make([]int, len(perm))
	for i, p := range perm {
		back[p] = i
	}
	if len(t.Perm) == 0 {
		back = nil
	}
	return []*graph.Value{b.Add(Transpose{Perm: back}, dy[0])}
}

// shapeSamples is the cases of shapeOps.
func shapeSamples() map[string][]Sample {
	return map[string][]Sample{
		"Shape": {Case(Shape{}, F(2, 3, 4)), Case(Shape{Start: 1}, F(2, 3, 4))},
		"Size":  {Case(Size{}, F(2, 3, 4))},
		"SumTo": {
			Case(SumTo{}, F(2, 3, 4), IV(3, 1))},
		"Reshape": {
			Case(Reshape{}, F(2, 3, 4), IV(0, -1)), Case(Reshape{Allowzero: true}, F(2, 0, 4), IV(0, 3))},
		"Flatten": {
			Case(Flatten{Axis: 1}, F(2, 3, 4)), Case(Flatten{Axis: -1}, F(2, 3, 4)), Case(Flatten{}, F(2, 3))},
		"Squeeze": {
			Case(Squeeze{}, F(2, 1, 3, 1)), Case(Squeeze{}, F(2, 1, 3, 1), IV(-1))},
		"Unsqueeze": {Case(Unsqueeze{}, F(2, 3), IV(0, -1))},
		"Transpose": {
			Case(Transpose{}, F(2, 3, 4)), Case(Transpose{Perm: []int{1, 2, 0}}, F(2, 3, 4))},
		"Expand": {Case(Expand{}, F(3, 1), IV(2, 1, 4))},
		"Tile":   {Case(Tile{}, F(2, 3), IV(2, 3))},
		"Concat": {
			Case(Concat{Axis: 1}, F(2, 3), F(2, 1), F(2, 2)), Case(Concat{Axis: -2}, F(2, 3), F(1, 3))},
		"Split": {
			Case(Split{Axis: 1, NumOutputs: 3}, F(2, 7)), Case(Split{NumOutputs: 2}, F(5, 2), IV(2, 3))},
	}
}
