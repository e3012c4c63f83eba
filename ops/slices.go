package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// sliceOps is the family of slices.
var sliceOps = []Info{
	{Slice{}, "start:end:step of some axes"},
	{SliceGrad{}, "the gradient of Slice"},
}

// Slice is data[start:end:step] on each of the axes: inputs data, starts, ends, and optional axes (default:
// the first ones) and steps (default 1). Bounds are clamped as numpy does.
type Slice struct{}

// Name implements graph.Op.
func (Slice) Name() string { return "Slice" }

// Infer implements graph.Op.
func (Slice) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 5); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	starts, ok1 := in[1].Contents()
	ends, ok2 := in[2].Contents()
	axes, ok3 := knownInts(in, 3)
	steps, ok4 := knownInts(in, 4)
	n, known := vectorLen(in[1])
	if !present(in, 3) && known {
		axes, ok3 = upTo(n), true
	}
	if !ok3 {
		return []graph.Type{graph.TensorOf(x.DType, unknownDims(x.Rank())...)}, nil
	}
	for name, vs := range map[string][]graph.Dim{"starts": starts, "ends": ends} {
		if vs != nil && len(vs) != len(axes) {
			return nil, errs.Errorf("%d %s for %d axes", len(vs), name, len(axes))
		}
	}
	if !present(in, 4) {
		steps, ok4 = ones(len(axes)), true
	}
	if ok4 && len(steps) != len(axes) {
		return nil, errs.Errorf("%d steps for %d axes", len(steps), len(axes))
	}
	dims := append([]graph.Dim{}, x.Dims...)
	seen := map[int]bool{}
	for i, a := range axes {
		a, err := normAxis(a, x.Rank())
		if err != nil {
			return nil, err
		}
		if seen[a] {
			return nil, errs.Errorf("axis %d twice in %v", a, axes)
		}
		seen[a] = true
		if !ok1 || !ok2 || !ok4 {
			dims[a] = graph.Unknown()
			continue
		}
		if steps[i] == 0 {
			return nil, errs.Errorf("a step of 0 on axis %d", a)
		}
		dims[a] = sliceDim(starts[i], ends[i], steps[i], x.Dims[a])
	}
	t := graph.TensorOf(x.DType, dims...)
	if vs := contents(x); vs != nil && x.Rank() == 1 && len(axes) == 1 && ok1 && ok2 && ok4 {
		t.Ints = sliceContents(vs, starts[0], ends[0], steps[0])
	}
	return []graph.Type{t}, nil
}

func ones(n int) []int {
	vs := make([]int, n)
	for i := range vs {
		vs[i] = 1
	}
	return vs
}

// sliceDim is the number of elements of start:end:step, of d.
func sliceDim(start, end graph.Dim, step int, d graph.Dim) graph.Dim {
	s, ok1 := start.Const()
	e, ok2 := end.Const()
	n, ok3 := d.Const()
	if ok1 && ok2 && ok3 {
		_, count := SliceRange(s, e, step, n)
		return graph.D(count)
	}
	if start.IsUnknown() || end.IsUnknown() || d.IsUnknown() || step < 0 {
		if step == -1 && ok1 && ok2 && (s == -1 || s >= math.MaxInt32) && e <= math.MinInt32 {
			return d // reversed whole
		}
		return graph.Unknown()
	}
	lo, ok1 := clampSym(start, d)
	hi, ok2 := clampSym(end, d)
	if !ok1 || !ok2 {
		return graph.Unknown()
	}
	span := hi.Sub(lo)
	if n, ok := span.Const(); ok && n < 0 {
		return graph.D(0)
	}
	return span.CeilDiv(graph.D(step))
}

// clampSym is a bound of a slice of d in symbols, where it can be told: a negative one counts from the end.
func clampSym(v, d graph.Dim) (graph.Dim, bool) {
	n, ok := v.Const()
	size, sizeKnown := d.Const()
	switch {
	case ok && n == 0, v == d:
		return v, true
	case ok && n >= math.MaxInt32:
		return d, true
	case ok && n < 0:
		if sizeKnown {
			return graph.D(max(0, size+n)), true
		}
		return d.Add(graph.D(n)).Max(graph.D(0)), true
	case ok:
		return v.Min(d), true
	case d.Sub(v) == graph.D(0):
		return d, true
	}
	return v, false
}

func sliceContents(vs []graph.Dim, start, end graph.Dim, step int) []graph.Dim {
	s, ok1 := start.Const()
	e, ok2 := end.Const()
	if !ok1 || !ok2 {
		return nil
	}
	first, count := SliceRange(s, e, step, len(vs))
	out := make([]graph.Dim, count)
	for i := range out {
		out[i] = vs[first+i*step]
	}
	return out
}

// SliceRange is the first index and the number of elements of start:end:step of size elements, clamped as
// numpy does. step is not 0.
func SliceRange(start, end, step, size int) (first, count int) {
	wrap := func(v int) int {
		if v < 0 && v >= math.MinInt+size {
			v += size
		}
		return v
	}
	start, end = wrap(start), wrap(end)
	if step > 0 {
		start, end = min(max(start, 0), size), min(max(end, 0), size)
		if end <= start {
			return start, 0
		}
		return start, (end-start-1)/step + 1
	}
	start, end = min(max(start, -1), size-1), min(max(end, -1), size-1)
	if end >= start {
		return max(start, 0), 0
	}
	if step == math.MinInt {
		return start, 1
	}
	return start, (start-end-1)/-step + 1
}

// MayAlias implements graph.Aliaser.
func (Slice) MayAlias(in, out int) bool { return false }

// VJP puts dy back among zeros.
func (Slice) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	ins := append([]*graph.Value{dy[0], b.Add(Shape{}, n.In[0])}, n.In[1:]...)
	dx[0] = b.Add(SliceGrad{}, ins...)
	return dx
}

// SliceGrad is the gradient of a Slice: inputs dy, the data's shape, and Slice's starts, ends, axes, steps.
type SliceGrad struct{}

// Name implements graph.Op.
func (SliceGrad) Name() string { return "SliceGrad" }

// Infer implements graph.Op.
func (SliceGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 4, 6); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[1])
	return []graph.Type{t}, err
}

// VJP is Slice.
func (SliceGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	dx[0] = b.Add(Slice{}, append([]*graph.Value{dy[0]}, n.In[2:]...)...)
	return dx
}

// sliceSamples is the cases of sliceOps.
func sliceSamples() map[string][]Sample {
	return map[string][]Sample{
		"Slice": {
			Case(Slice{}, F(4, 5), IV(1, -1), IV(1000, 0), IV(0, 1), IV(2, -2)),
			Case(Slice{}, F(4, 5), IV(1), IV(3))},
		"SliceGrad": {
			Case(SliceGrad{}, F(2, 5), IV(4, 5), IV(0), IV(4), IV(0), IV(2))},
	}
}
