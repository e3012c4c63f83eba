package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Expand broadcasts its first input with the shape in the second, under numpy's rule (both may stretch).
type Expand struct{}

// Name implements graph.Op.
func (Expand) Name() string { return "Expand" }

// Infer implements graph.Op.
func (Expand) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dt := in[0].DType
	shape, err := fromContents(in[0], in[1])
	if err != nil {
		return nil, err
	}
	if shape.Rank() < 0 || in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(dt)}, nil
	}
	if _, ok := in[1].Contents(); !ok {
		return []graph.Type{graph.TensorOf(dt, unknownDims(max(shape.Rank(), in[0].Rank()))...)}, nil
	}
	dims, _, err := broadcast(in[0], shape)
	if err != nil {
		return nil, err
	}
	t := graph.TensorOf(dt, dims...)
	if vs := contents(in[0]); len(vs) == 1 {
		t.Ints = repeated(vs[0], t)
	}
	return []graph.Type{t}, nil
}

// repeated is the contents of a tensor of one number throughout, where that is few enough.
func repeated(d graph.Dim, t graph.Type) []graph.Dim {
	n, ok := graph.Product(t.Dims).Const()
	if !ok || n > limitInts || n < 0 {
		return nil
	}
	out := make([]graph.Dim, n)
	for i := range out {
		out[i] = d
	}
	return out
}

// VJP sums over what was stretched.
func (Expand) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{sumTo(b, dy[0], n.In[0]), nil}
}

// Tile repeats its first input along each axis as often as the second says.
type Tile struct{}

// Name implements graph.Op.
func (Tile) Name() string { return "Tile" }

// Infer implements graph.Op.
func (Tile) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	reps, ok := in[1].Contents()
	switch {
	case in[0].Rank() < 0:
		if ok {
			return []graph.Type{graph.TensorOf(in[0].DType, unknownDims(len(reps))...)}, nil
		}
		return []graph.Type{graph.UnrankedOf(in[0].DType)}, nil
	case !ok:
		return []graph.Type{graph.TensorOf(in[0].DType, unknownDims(in[0].Rank())...)}, nil
	case len(reps) != in[0].Rank():
		return nil, errs.Errorf("%d repeats for %v", len(reps), in[0])
	}
	dims := make([]graph.Dim, len(reps))
	for i, r := range reps {
		if n, ok := r.Const(); ok && n < 0 {
			return nil, errs.Errorf("negative repeats %v", reps)
		}
		n, ok1 := r.Const()
		d, ok2 := in[0].Dims[i].Const()
		if ok1 && ok2 && d > 0 && n > math.MaxInt/d {
			return nil, errs.Errorf("repeats %v of %v overflow", reps, in[0])
		}
		dims[i] = in[0].Dims[i].Mul(r)
	}
	t := graph.TensorOf(in[0].DType, dims...)
	if vs := contents(in[0]); len(vs) == 1 {
		t.Ints = repeated(vs[0], t)
	}
	return []graph.Type{t}, nil
}

// VJP sums the copies: it splits every axis into repeats and elements and sums over the repeats.
func (Tile) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	r := n.In[0].Type.Rank()
	if r <= 0 {
		if r < 0 {
			b.Fail(errs.Errorf("gradient of Tile: the rank of %v is not known", n.In[0].Type))
		}
		return []*graph.Value{dy[0], nil}
	}
	shape, reps := b.Add(Shape{}, n.In[0]), n.In[1]
	if reps.Type.DType != tensor.Int64 {
		b.Fail(errs.Errorf("gradient of Tile: repeats of %v", reps.Type))
		return []*graph.Value{nil, nil}
	}
	one := b.Ints(1)
	pairs := func(left *graph.Value) *graph.Value { // [left0, shape0, left1, shape1, ...]
		both := b.Add(Concat{Axis: 1}, b.Add(Unsqueeze{}, left, one), b.Add(Unsqueeze{}, shape, one))
		return b.Add(Reshape{}, both, b.Ints(-1))
	}
	split := b.Add(Reshape{Allowzero: true}, dy[0], pairs(reps))
	ones := b.Add(Expand{}, one, b.Ints(int64(r)))
	sum := b.Add(SumTo{}, split, pairs(ones))
	return []*graph.Value{b.Add(Reshape{Allowzero: true}, sum, shape), nil}
}

// Concat joins its inputs along Axis.
type Concat struct{ Axis int }

// Name implements graph.Op.
func (Concat) Name() string { return "Concat" }

// Infer implements graph.Op.
func (c Concat) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	for i := range in {
		if !present(in, i) {
			return nil, errs.Errorf("input %d is missing", i)
		}
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	rank := -1
	for _, t := range in {
		if r := t.Rank(); r >= 0 && rank >= 0 && r != rank {
			return nil, errs.Errorf("ranks differ: %s", typeList(in))
		}
		rank = max(rank, t.Rank())
	}
	if rank < 0 {
		return []graph.Type{graph.UnrankedOf(dt)}, nil
	}
	axis, err := normAxis(c.Axis, rank)
	if err != nil {
		return nil, err
	}
	dims, err := concatDims(in, rank, axis)
	if err != nil {
		return nil, err
	}
	t := graph.TensorOf(dt, dims...)
	if rank == 1 {
		t.Ints = concatContents(in)
	}
	return []graph.Type{t}, nil
}

func concatDims(in []graph.Type, rank, axis int) ([]graph.Dim, error) {
	dims := unknownDims(rank)
	sum := graph.D(0)
	for _, t := range in {
		if t.Rank() < 0 {
			sum = graph.Unknown()
			continue
		}
		for i, d := range t.Dims {
			switch {
			case i == axis:
			case dims[i].IsUnknown() || !dims[i].IsConst() && d.IsConst():
				dims[i] = d
			case !graph.Compatible(dims[i], d):
				return nil, errs.Errorf("axis %d differs: %s", i, typeList(in))
			}
		}
		if !sum.IsUnknown() {
			sum = sum.Add(t.Dims[axis])
		}
	}
	dims[axis] = sum
	return dims, nil
}

func concatContents(in []graph.Type) []graph.Dim {
	all := []graph.Dim{}
	for _, t := range in {
		vs := contents(t)
		if vs == nil || len(all)+len(vs) > limitInts {
			return nil
		}
		all = append(all, vs...)
	}
	return all
}

// VJP cuts dy into the inputs' parts.
func (c Concat) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	if len(n.In) == 1 {
		return []*graph.Value{dy[0]}
	}
	rank := n.Out[0].Type.Rank()
	axis, err := normAxis(c.Axis, rank)
	if err != nil {
		b.Fail(err)
		return dx
	}
	start := b.Ints(0)
	for i, x := range n.In {
		size := b.Add(Shape{Start: axis, End: axis + 1, HasEnd: true}, x)
		end := b.Add(Add{}, start, size)
		if need[i] {
			dx[i] = b.Add(Slice{}, dy[0], start, end, b.Ints(int64(axis)))
		}
		start = end
	}
	return dx
}

// Split cuts its first input along Axis into NumOutputs parts: of the sizes in the optional second input,
// else as equal as they get with the last one smaller.
type Split struct {
	Axis       int
	NumOutputs int // the number of outputs, also where the second input gives the sizes; 0: ask that input
}

// Name implements graph.Op.
func (Split) Name() string { return "Split" }

// Infer implements graph.Op.
func (s Split) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 2); err != nil {
		return nil, err
	}
	n, sizes := s.NumOutputs, []graph.Dim(nil)
	if present(in, 1) {
		if ds, ok := in[1].Contents(); ok {
			sizes = ds
		}
		if m, ok := vectorLen(in[1]); ok {
			if n != 0 && n != m {
				return nil, errs.Errorf("%d sizes for %d outputs", m, n)
			}
			n = m
		}
	}
	if n < 1 || n > 1<<16 {
		return nil, errs.Errorf("the number of outputs is %d", n)
	}
	if sizes != nil && len(sizes) != n {
		return nil, errs.Errorf("%d sizes for %d outputs", len(sizes), n)
	}
	out := make([]graph.Type, n)
	x := in[0]
	if x.Rank() < 0 {
		for i := range out {
			out[i] = graph.UnrankedOf(x.DType)
		}
		return out, nil
	}
	axis, err := normAxis(s.Axis, x.Rank())
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		sizes = unknownDims(n)
		if !present(in, 1) {
			sizes = equalParts(x.Dims[axis], n)
		}
	}
	if err := checkSplit(x, axis, sizes); err != nil {
		return nil, err
	}
	vs, start := contents(x), 0
	for i := range out {
		dims := append([]graph.Dim{}, x.Dims...)
		dims[axis] = sizes[i]
		out[i] = graph.TensorOf(x.DType, dims...)
		if k, ok := sizes[i].Const(); ok && vs != nil && x.Rank() == 1 && start+k <= len(vs) {
			out[i].Ints = vs[start : start+k]
			start += k
		} else {
			vs = nil
		}
	}
	return out, nil
}

func checkSplit(x graph.Type, axis int, sizes []graph.Dim) error {
	sum := graph.D(0)
	for _, d := range sizes {
		if v, ok := d.Const(); ok && v < 0 {
			return errs.Errorf("negative size in %v", sizes)
		}
		if d.IsUnknown() {
			return nil
		}
		sum = sum.Add(d)
	}
	if !graph.Compatible(sum, x.Dims[axis]) {
		return errs.Errorf("sizes %v for axis %d of %v", sizes, axis, x)
	}
	return nil
}

// equalParts is the sizes of n parts of d: each the ceiling but the last, or last ones, that run short.
func equalParts(d graph.Dim, n int) []graph.Dim {
	parts := make([]graph.Dim, n)
	each, rest := d.CeilDiv(graph.D(n)), d
	if q, ok := d.Const(); ok {
		left := q
		for i := range parts {
			e, _ := each.Const()
			e = min(e, left)
			parts[i] = graph.D(e)
			left -= e
		}
		return parts
	}
	for i := range parts[:n-1] {
		parts[i] = each
		rest = rest.Sub(each)
	}
	parts[n-1] = rest
	return parts
}

// VJP joins the cotangents; a missing one is zeros.
func (s Split) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	parts := make([]*graph.Value, len(dy))
	for i, d := range dy {
		if parts[i] = d; d == nil {
			parts[i] = zerosLike(b, n.Out[i])
		}
	}
	return []*graph.Value{b.Add(Concat{Axis: s.Axis}, parts...), nil}[:len(n.In)]
}

// zerosLike is zeros in the shape and type of v.
func zerosLike(b *graph.Builder, v *graph.Value) *graph.Value {
	return b.Add(ConstantOfShape{Value: tensor.New(v.Type.DType, 1)}, b.Add(Shape{}, v))
}
