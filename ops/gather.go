package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// gatherOps is the family that reads and writes at indices. Negative indices count from the end.
var gatherOps = []Info{
	{Gather{}, "entries of an axis at indices"},
	{GatherGrad{}, "the gradient of Gather"},
	{GatherElements{}, "elements of an axis at indices of the same rank"},
	{GatherND{}, "slices at index tuples"},
	{GatherNDGrad{}, "the gradient of GatherND"},
	{ScatterElements{}, "writes, or combines, elements at indices"},
	{ScatterND{}, "writes, or combines, slices at index tuples"},
	{Compress{}, "entries where a condition holds"},
}

// Gather reads entries of Axis: inputs data and indices, whose shape takes the axis's place.
type Gather struct{ Axis int }

// Name implements graph.Op.
func (Gather) Name() string { return "Gather" }

// Infer implements graph.Op.
func (g Gather) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	x, idx := in[0], in[1]
	if err := isIndex(idx); err != nil {
		return nil, err
	}
	if x.Rank() < 0 || idx.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	axis, err := normAxis(g.Axis, x.Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, x.Dims[:axis]...)
	dims = append(append(dims, idx.Dims...), x.Dims[axis+1:]...)
	t := graph.TensorOf(x.DType, dims...)
	at, ok := knownInts(in, 1)
	if vs := contents(x); vs != nil && ok && x.Rank() == 1 && len(at) <= limitInts {
		t.Ints = make([]graph.Dim, len(at))
		for i, a := range at {
			if a, err = normAxis(a, len(vs)); err != nil {
				return nil, errs.Errorf("index %d of %v", at[i], x)
			}
			t.Ints[i] = vs[a]
		}
	}
	return []graph.Type{t}, nil
}

func isIndex(t graph.Type) error {
	if !t.DType.IsInt() {
		return errs.Errorf("indices of %v", t.DType)
	}
	return nil
}

// VJP adds dy up at the indices.
func (g Gather) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(GatherGrad(g), dy[0], n.In[1], b.Add(Shape{}, n.In[0])), nil}
}

// GatherGrad is the gradient of a Gather: inputs dy, indices and the data's shape.
type GatherGrad Gather

// Name implements graph.Op.
func (GatherGrad) Name() string { return "GatherGrad" }

// Infer implements graph.Op.
func (g GatherGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	return gatheredFrom(in)
}

// gatheredFrom is the type of data that dy, indices and the data's shape are the gradient of.
func gatheredFrom(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[2])
	return []graph.Type{t}, err
}

// VJP is Gather.
func (g GatherGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(Gather(g), dy[0], n.In[1]), nil, nil}
}

// GatherElements reads one element for each index: its other coordinates are the index's own.
type GatherElements struct{ Axis int }

// Name implements graph.Op.
func (GatherElements) Name() string { return "GatherElements" }

// Infer implements graph.Op.
func (g GatherElements) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if err := elementsAxis(in[0], in[1], g.Axis); err != nil {
		return nil, err
	}
	if in[1].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(in[0].DType)}, nil
	}
	return []graph.Type{graph.TensorOf(in[0].DType, in[1].Dims...)}, nil
}

func elementsAxis(x, idx graph.Type, axis int) error {
	if err := isIndex(idx); err != nil {
		return err
	}
	if x.Rank() < 0 || idx.Rank() < 0 {
		return nil
	}
	if x.Rank() != idx.Rank() {
		return errs.Errorf("indices %v for data %v: ranks differ", idx.WithoutValue(), x.WithoutValue())
	}
	_, err := normAxis(axis, x.Rank())
	return err
}

// VJP adds dy up at the indices.
func (g GatherElements) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(ScatterElements{Axis: g.Axis, Reduction: "add"}, zerosLike(b, n.In[0]), n.In[1], dy[0]), nil}
}

// GatherND reads the slice at each tuple in the last axis of indices, within BatchDims shared leading axes.
type GatherND struct{ BatchDims int }

// Name implements graph.Op.
func (GatherND) Name() string { return "GatherND" }

// Infer implements graph.Op.
func (g GatherND) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	x, idx := in[0], in[1]
	if err := isIndex(idx); err != nil {
		return nil, err
	}
	if x.Rank() < 0 || idx.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	if idx.Rank() == 0 || g.BatchDims < 0 || g.BatchDims >= idx.Rank() || g.BatchDims > x.Rank() {
		return nil, errs.Errorf("indices %v for data %v with %d batch dimensions", idx.WithoutValue(), x.WithoutValue(), g.BatchDims)
	}
	k, ok := idx.Dims[idx.Rank()-1].Const()
	if !ok {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	if g.BatchDims+k > x.Rank() {
		return nil, errs.Errorf("tuples of %d in %v for data %v", k, idx.WithoutValue(), x.WithoutValue())
	}
	dims := append([]graph.Dim{}, idx.Dims[:idx.Rank()-1]...)
	return []graph.Type{graph.TensorOf(x.DType, append(dims, x.Dims[g.BatchDims+k:]...)...)}, nil
}

// VJP adds dy up at the tuples.
func (g GatherND) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(GatherNDGrad(g), dy[0], n.In[1], b.Add(Shape{}, n.In[0])), nil}
}

// GatherNDGrad is the gradient of a GatherND: inputs dy, indices and the data's shape.
type GatherNDGrad GatherND

// Name implements graph.Op.
func (GatherNDGrad) Name() string { return "GatherNDGrad" }

// Infer implements graph.Op.
func (g GatherNDGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	return gatheredFrom(in)
}

// VJP is GatherND.
func (g GatherNDGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(GatherND(g), dy[0], n.In[1]), nil, nil}
}

// ScatterElements writes updates into a copy of data, each where GatherElements would read: inputs data,
// indices, updates.
type ScatterElements struct {
	Axis      int
	Reduction string // none (also ""), add, mul, max or min: how an update joins what is there
}

// Name implements graph.Op.
func (ScatterElements) Name() string { return "ScatterElements" }

// Infer implements graph.Op.
func (s ScatterElements) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := checkScatter(in, s.Reduction); err != nil {
		return nil, err
	}
	if err := elementsAxis(in[0], in[1], s.Axis); err != nil {
		return nil, err
	}
	if a, b := in[1], in[2]; a.Rank() >= 0 && b.Rank() >= 0 {
		if a.Rank() != b.Rank() {
			return nil, errs.Errorf("indices %v and updates %v differ", a.WithoutValue(), b.WithoutValue())
		}
		for i := range a.Dims {
			if !graph.Compatible(a.Dims[i], b.Dims[i]) {
				return nil, errs.Errorf("indices %v and updates %v differ", a.WithoutValue(), b.WithoutValue())
			}
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

func checkScatter(in []graph.Type, reduction string) error {
	if err := arity(in, 3, 3); err != nil {
		return err
	}
	switch reduction {
	case "", "none", "add", "mul", "max", "min":
	default:
		return errs.Errorf("reduction %q", reduction)
	}
	if in[0].DType != in[2].DType {
		return errs.Errorf("updates of %v for data of %v", in[2].DType, in[0].DType)
	}
	return isIndex(in[1])
}

// VJP reads dy at the indices; data keeps what was not overwritten.
func (s ScatterElements) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return scatterVJP(b, n, dy[0], need, s.Reduction, func(x *graph.Value) *graph.Value {
		return b.Add(GatherElements{Axis: s.Axis}, x, n.In[1])
	}, func(x, u *graph.Value, r string) *graph.Value {
		return b.Add(ScatterElements{Axis: s.Axis, Reduction: r}, x, n.In[1], u)
	})
}

// ScatterND writes updates into a copy of data, each slice where GatherND would read: inputs data,
// indices, updates.
type ScatterND struct {
	Reduction string // none (also ""), add, mul, max or min: how an update joins what is there
}

// Name implements graph.Op.
func (ScatterND) Name() string { return "ScatterND" }

// Infer implements graph.Op.
func (s ScatterND) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := checkScatter(in, s.Reduction); err != nil {
		return nil, err
	}
	want, err := GatherND{}.Infer(in[:2])
	if err != nil {
		return nil, err
	}
	if w, u := want[0], in[2]; w.Rank() >= 0 && u.Rank() >= 0 {
		if w.Rank() != u.Rank() {
			return nil, errs.Errorf("updates %v where the indices take %v", u.WithoutValue(), w)
		}
		for i := range w.Dims {
			if !graph.Compatible(w.Dims[i], u.Dims[i]) {
				return nil, errs.Errorf("updates %v where the indices take %v", u.WithoutValue(), w)
			}
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP reads dy at the tuples; data keeps what was not overwritten.
func (s ScatterND) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return scatterVJP(b, n, dy[0], need, s.Reduction, func(x *graph.Value) *graph.Value {
		return b.Add(GatherND{}, x, n.In[1])
	}, func(x, u *graph.Value, r string) *graph.Value {
		return b.Add(ScatterND{Reduction: r}, x, n.In[1], u)
	})
}

// scatterVJP is the gradient of a scatter given how to read at its indices and how to scatter with another
// reduction. Of updates that land on one place without reduction, each gets the gradient, though only one
// was kept: ONNX leaves open which.
func scatterVJP(b *graph.Builder, n *graph.Node, dy *graph.Value, need []bool, reduction string,
	read func(*graph.Value) *graph.Value, write func(x, u *graph.Value, reduction string) *graph.Value) []*graph.Value {
	dx := []*graph.Value{nil, nil, nil}
	x, u, y := n.In[0], n.In[2], n.Out[0]
	switch reduction {
	case "", "none":
		if need[0] {
			dx[0] = write(dy, zerosLike(b, u), "")
		}
		if need[2] {
			dx[2] = read(dy)
		}
	case "add":
		dx[0] = dy
		if need[2] {
			dx[2] = read(dy)
		}
	case "mul":
		if need[0] {
			dx[0] = b.Add(Mul{}, dy, write(b.Add(Expand{}, constLike(b, x, 1), b.Add(Shape{}, x)), u, "mul"))
		}
		if need[2] {
			dx[2] = b.Add(Div{}, read(b.Add(Mul{}, dy, y)), u)
		}
	default:
		hitX := hits(b, x, y)
		hitU := hits(b, u, read(y))
		share := b.Add(Div{}, dy, write(hitX, hitU, "add"))
		dx[0] = b.Add(Mul{}, hitX, share)
		dx[2] = b.Add(Mul{}, hitU, read(share))
	}
	return dx
}

// hits is 1 where x equals y, else 0.
func hits(b *graph.Builder, x, y *graph.Value) *graph.Value {
	zero, one := constLike(b, x, 0), constLike(b, x, 1)
	differ := b.Add(Where{}, b.Add(Greater{}, y, x), zero, one)
	return b.Add(Where{}, b.Add(Greater{}, x, y), zero, differ)
}

// Compress keeps the entries of Axis, or the flattened elements, where its second input holds: a condition
// that may be shorter than the axis.
type Compress struct {
	Axis    int // with HasAxis
	HasAxis bool
}

// Name implements graph.Op.
func (Compress) Name() string { return "Compress" }

// Infer implements graph.Op.
func (c Compress) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if in[1].DType != tensor.Bool {
		return nil, errs.Errorf("the condition is %v, not bool", in[1].DType)
	}
	count := graph.Unknown()
	if in[1].Const != nil {
		n := 0
		for _, v := range tensor.As[bool](in[1].Const) {
			if v {
				n++
			}
		}
		count = graph.D(n)
	}
	if !c.HasAxis {
		return []graph.Type{graph.TensorOf(in[0].DType, count)}, nil
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(in[0].DType)}, nil
	}
	axis, err := normAxis(c.Axis, in[0].Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, in[0].Dims...)
	dims[axis] = count
	return []graph.Type{graph.TensorOf(in[0].DType, dims...)}, nil
}

// VJP puts dy back where the condition holds.
func (c Compress) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	at := b.Add(Reshape{}, b.Add(NonZero{}, n.In[1]), b.Ints(-1))
	shape := b.Add(Shape{}, n.In[0])
	if c.HasAxis {
		return []*graph.Value{b.Add(GatherGrad{Axis: c.Axis}, dy[0], at, shape), nil}
	}
	size := b.Add(Reshape{}, b.Add(Size{}, n.In[0]), b.Ints(1))
	flat := b.Add(GatherGrad{}, dy[0], at, size)
	return []*graph.Value{b.Add(Reshape{Allowzero: true}, flat, shape), nil}
}

// gatherSamples is the cases of gatherOps.
func gatherSamples() map[string][]Sample {
	return map[string][]Sample{
		"Gather": {
			Case(Gather{}, F(4, 3), IV(2, 0, -1, 2)), Case(Gather{Axis: 1}, F(2, 3, 2), TV(tensor.Of([]int32{1, 1, 0, 2}, 2, 2)))},
		"GatherGrad": {
			Case(GatherGrad{Axis: 1}, F(2, 3), IV(2, 0, 2), IV(2, 4))},
		"GatherElements": {
			Case(GatherElements{Axis: 1}, F(2, 3), TV(tensor.Of([]int64{0, 0, 2, -1}, 2, 2)))},
		"GatherND": {
			Case(GatherND{}, F(2, 3, 2), TV(tensor.Of([]int64{1, 2, 0, -1}, 2, 2))),
			Case(GatherND{BatchDims: 1}, F(2, 3, 2), TV(tensor.Of([]int64{1, 0}, 2, 1)))},
		"GatherNDGrad": {
			Case(GatherNDGrad{BatchDims: 1}, F(2, 2), TV(tensor.Of([]int64{1, 0}, 2, 1)), IV(2, 3, 2))},
		"ScatterElements": {
			Case(ScatterElements{Axis: 1}, F(2, 3), TV(tensor.Of([]int64{0, 2, 1, -1}, 2, 2)), F(2, 2)),
			Case(ScatterElements{Reduction: "add"}, F(3, 2), TV(tensor.Of([]int64{0, 2, 0, 1}, 2, 2)), F(2, 2)),
			Case(ScatterElements{Reduction: "mul"}, FR(0.5, 2, 3, 2), TV(tensor.Of([]int64{0, 2, 0, 1}, 2, 2)), FR(0.5, 2, 2, 2)),
			Case(ScatterElements{Reduction: "max"}, F(3, 2), TV(tensor.Of([]int64{0, 2, 0, 1}, 2, 2)), F(2, 2))},
		"ScatterND": {
			Case(ScatterND{}, F(3, 2), TV(tensor.Of([]int64{2, 0}, 2, 1)), F(2, 2)),
			Case(ScatterND{Reduction: "add"}, F(3, 2), TV(tensor.Of([]int64{2, 1, 2, 1}, 2, 2)), F(2)),
			Case(ScatterND{Reduction: "mul"}, FR(0.5, 2, 3, 2), TV(tensor.Of([]int64{2, 2}, 2, 1)), FR(0.5, 2, 2, 2)),
			Case(ScatterND{Reduction: "min"}, F(3, 2), TV(tensor.Of([]int64{2, 2}, 2, 1)), F(2, 2))},
		"Compress": {
			Case(Compress{Axis: 1, HasAxis: true}, F(2, 3), TV(tensor.Of([]bool{true, false, true}))),
			Case(Compress{}, F(2, 3), TV(tensor.Of([]bool{false, true, true, false})))},
	}
}
