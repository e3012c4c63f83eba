package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// generatorOps is the part of the shape family that makes or rearranges whole tensors.
var generatorOps = []Info{
	{Pad{}, "pads, or crops, every side"},
	{PadGrad{}, "the gradient of Pad"},
	{Range{}, "start, start+delta, ... up to limit"},
	{ConstantOfShape{}, "one value in a shape"},
	{EyeLike{}, "ones on a diagonal"},
	{OneHot{Axis: -1}, "indices as one-hot vectors"},
	{Trilu{Upper: true}, "the upper or lower triangle of matrices"},
	{ReverseSequence{BatchAxis: 1}, "reverses the first elements of each sequence"},
}

// Pad adds elements at both ends of each axis: inputs data, pads (begins, then ends; negative crops), an
// optional value, and optional axes that the pads are for.
type Pad struct {
	Mode string // constant (also ""), reflect, edge or wrap
}

// Name implements graph.Op.
func (Pad) Name() string { return "Pad" }

// Infer implements graph.Op.
func (p Pad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	switch p.Mode {
	case "", "constant", "reflect", "edge", "wrap":
	default:
		return nil, errs.Errorf("mode %q", p.Mode)
	}
	if present(in, 2) && in[2].DType != in[0].DType {
		return nil, errs.Errorf("a value of %v for data of %v", in[2].DType, in[0].DType)
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	pads, ok1 := in[1].Contents()
	axes, ok2 := knownInts(in, 3)
	if !ok1 || present(in, 3) && !ok2 {
		return []graph.Type{graph.TensorOf(x.DType, unknownDims(x.Rank())...)}, nil
	}
	if !present(in, 3) {
		axes = upTo(x.Rank())
	}
	if len(pads) != 2*len(axes) {
		return nil, errs.Errorf("%d pads for %d axes of %v", len(pads), len(axes), x)
	}
	for _, p := range pads {
		if n, ok := p.Const(); ok && (n > 1<<48 || n < -1<<48) {
			return nil, errs.Errorf("pads %v", pads)
		}
	}
	dims := append([]graph.Dim{}, x.Dims...)
	for i, a := range axes {
		a, err := normAxis(a, x.Rank())
		if err != nil {
			return nil, err
		}
		dims[a] = dims[a].Add(pads[i]).Add(pads[len(axes)+i])
		if n, ok := dims[a].Const(); ok && n < 0 {
			return nil, errs.Errorf("pads %v leave %d of axis %d of %v", pads, n, a, x)
		}
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// upTo is 0 to n-1.
func upTo(n int) []int {
	vs := make([]int, n)
	for i := range vs {
		vs[i] = i
	}
	return vs
}

// VJP pads dy by the negative; where padding copies elements it adds them up.
func (p Pad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	var axes *graph.Value
	if len(n.In) > 3 {
		axes = n.In[3]
	}
	shape := b.Add(Shape{}, n.In[0])
	if need[0] {
		dx[0] = b.Add(PadGrad(p), dy[0], n.In[1], shape, axes)
	}
	if len(n.In) > 2 && n.In[2] != nil && need[2] {
		inside := b.Add(PadGrad{Mode: p.Mode}, dy[0], n.In[1], shape, axes)
		all := b.Add(SumTo{}, dy[0], b.Add(Shape{}, n.In[2]))
		dx[2] = b.Add(Sub{}, all, b.Add(SumTo{}, inside, b.Add(Shape{}, n.In[2])))
	}
	return dx
}

// PadGrad is the gradient of a Pad of the same mode: inputs dy, pads, the data's shape, and optional axes.
type PadGrad Pad

// Name implements graph.Op.
func (PadGrad) Name() string { return "PadGrad" }

// Infer implements graph.Op.
func (PadGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 4); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[2])
	return []graph.Type{t}, err
}

// VJP is Pad with zeros for the value.
func (p PadGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	ins := []*graph.Value{dy[0], n.In[1], nil}
	if len(n.In) > 3 {
		ins = append(ins, n.In[3])
	}
	return []*graph.Value{b.Add(Pad(p), ins...), nil, nil, nil}[:len(n.In)]
}

// Range is start, start+delta, ... as far as it is before limit: inputs start, limit, delta of rank 0.
type Range struct{}

// Name implements graph.Op.
func (Range) Name() string { return "Range" }

// Infer implements graph.Op.
func (Range) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	if !dt.IsFloat() && !dt.IsInt() {
		return nil, errs.Errorf("no range of %v", dt)
	}
	for i, t := range in {
		if n, ok := graph.Product(t.Dims).Const(); t.Rank() >= 0 && ok && n != 1 {
			return nil, errs.Errorf("input %d is %v, not one number", i, t)
		}
	}
	t := graph.TensorOf(dt, graph.Unknown())
	if in[0].Const != nil && in[1].Const != nil && in[2].Const != nil {
		n, err := RangeLen(in[0].Const, in[1].Const, in[2].Const)
		if err != nil {
			return nil, err
		}
		t.Dims[0] = graph.D(n)
	}
	a, b, d := contents(in[0]), contents(in[1]), contents(in[2])
	if len(a) != 1 || len(b) != 1 || len(d) != 1 {
		return []graph.Type{t}, nil
	}
	step, ok := d[0].Const()
	if !ok || step == 0 {
		return []graph.Type{t}, nil
	}
	if !t.Dims[0].IsConst() {
		t.Dims[0] = rangeDim(a[0], b[0], step)
	}
	if n, ok := t.Dims[0].Const(); ok && n <= limitInts {
		t.Ints = make([]graph.Dim, n)
		for i := range t.Ints {
			t.Ints[i] = a[0].Add(graph.D(i * step))
		}
	}
	return []graph.Type{t}, nil
}

func rangeDim(start, limit graph.Dim, step int) graph.Dim {
	span := limit.Sub(start)
	if step < 0 {
		span, step = start.Sub(limit), -step
	}
	if span.IsUnknown() {
		return graph.Unknown()
	}
	if step == 1 && span.IsSym() {
		return span // a dimension, which is never negative
	}
	return span.CeilDiv(graph.D(step)).Max(graph.D(0))
}

// RangeLen is the number of elements of a Range.
func RangeLen(start, limit, delta *tensor.Tensor) (int, error) {
	if start.Len() != 1 || limit.Len() != 1 || delta.Len() != 1 {
		return 0, errs.Errorf("start, limit and delta have %d, %d and %d elements, not 1", start.Len(), limit.Len(), delta.Len())
	}
	n := 0.0
	if start.DType().IsInt() {
		a, err1 := start.Int64s()
		b, err2 := limit.Int64s()
		d, err3 := delta.Int64s()
		switch {
		case err1 != nil || err2 != nil || err3 != nil:
			return 0, errs.Errorf("no range of %v", start.DType())
		case d[0] == 0:
			return 0, errs.Errorf("delta is 0")
		case (b[0] > a[0]) != (d[0] > 0) || a[0] == b[0]:
			return 0, nil
		}
		n = math.Ceil(float64(b[0]-a[0]) / float64(d[0]))
	} else {
		a, err1 := start.Float64s()
		b, err2 := limit.Float64s()
		d, err3 := delta.Float64s()
		switch {
		case err1 != nil || err2 != nil || err3 != nil:
			return 0, errs.Errorf("no range of %v", start.DType())
		case d[0] == 0:
			return 0, errs.Errorf("delta is 0")
		}
		n = max(0, math.Ceil((b[0]-a[0])/d[0]))
	}
	if math.IsNaN(n) || n > 1<<40 {
		return 0, errs.Errorf("a range of %v elements", n)
	}
	return int(n), nil
}

// ConstantOfShape is Value in the shape that its input holds.
type ConstantOfShape struct {
	Value *tensor.Tensor // one element; nil: float32 0
}

// Name implements graph.Op.
func (ConstantOfShape) Name() string { return "ConstantOfShape" }

// Fill is the value, as a tensor of one element.
func (c ConstantOfShape) Fill() *tensor.Tensor {
	if c.Value == nil {
		return tensor.New(tensor.Float32, 1)
	}
	return c.Value
}

// Infer implements graph.Op.
func (c ConstantOfShape) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	v := c.Fill()
	if v.Len() != 1 {
		return nil, errs.Errorf("the value has %d elements, not 1", v.Len())
	}
	t, err := fromContents(graph.Type{DType: v.DType()}, in[0])
	if err != nil || t.Rank() < 0 {
		return []graph.Type{t}, err
	}
	if vs := contents(graph.ConstOf(v)); vs != nil {
		t.Ints = repeated(vs[0], t)
	}
	return []graph.Type{t}, nil
}

// EyeLike is a matrix of its input's shape with ones on diagonal K.
type EyeLike struct {
	DType tensor.DType // Invalid: the input's
	K     int          // above the main diagonal where positive
}

// Name implements graph.Op.
func (EyeLike) Name() string { return "EyeLike" }

// Infer implements graph.Op.
func (e EyeLike) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if r := in[0].Rank(); r >= 0 && r != 2 {
		return nil, errs.Errorf("%v is no matrix", in[0])
	}
	t := in[0].WithoutValue()
	if e.DType.Valid() {
		t.DType = e.DType
	}
	return []graph.Type{t}, nil
}

// OneHot puts a new axis of depth elements at Axis: on where the index says (negative ones count from the
// end), else off. Inputs indices, depth, and values, which is off and on.
type OneHot struct {
	Axis int // a place of the output; ONNX's default is -1
}

// Name implements graph.Op.
func (OneHot) Name() string { return "OneHot" }

// Infer implements graph.Op.
func (o OneHot) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	dt := in[2].DType
	if n, ok := vectorLen(in[2]); ok && n != 2 {
		return nil, errs.Errorf("values have %d elements, not off and on", n)
	}
	r := in[0].Rank()
	if r < 0 {
		return []graph.Type{graph.UnrankedOf(dt)}, nil
	}
	axis, err := normAxis(o.Axis, r+1)
	if err != nil {
		return nil, err
	}
	depth := graph.Unknown()
	if ds, ok := in[1].Contents(); ok && len(ds) == 1 {
		depth = ds[0]
	} else if in[1].Const != nil {
		vs, err := in[1].Const.Float64s()
		if err != nil || len(vs) != 1 {
			return nil, errs.Errorf("a depth of %v", in[1])
		}
		depth = graph.D(int(vs[0]))
	}
	if n, ok := depth.Const(); ok && n < 0 {
		return nil, errs.Errorf("a depth of %d", n)
	}
	dims := append([]graph.Dim{}, in[0].Dims[:axis]...)
	dims = append(append(dims, depth), in[0].Dims[axis:]...)
	return []graph.Type{graph.TensorOf(dt, dims...)}, nil
}

// VJP gives on the sum of dy where the index says, and off the rest.
func (o OneHot) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	if !need[2] {
		return []*graph.Value{nil, nil, nil}
	}
	pair := tensor.New(n.In[2].Type.DType, 2)
	if err := pair.SetFloat64s([]float64{0, 1}); err != nil {
		b.Fail(err)
	}
	hot := b.Add(o, n.In[0], n.In[1], b.Const("offon", pair))
	one := b.Ints(1)
	on := b.Add(Reshape{}, b.Add(SumTo{}, b.Add(Mul{}, hot, dy[0]), b.Ints()), one)
	all := b.Add(Reshape{}, b.Add(SumTo{}, dy[0], b.Ints()), one)
	return []*graph.Value{nil, nil, b.Add(Concat{}, b.Add(Sub{}, all, on), on)}
}

// Trilu keeps the triangle above (Upper) or below diagonal k of the last two axes: inputs data and an
// optional k.
type Trilu struct{ Upper bool }

// Name implements graph.Op.
func (Trilu) Name() string { return "Trilu" }

// Infer implements graph.Op.
func (Trilu) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 2); err != nil {
		return nil, err
	}
	if r := in[0].Rank(); r >= 0 && r < 2 {
		return nil, errs.Errorf("%v holds no matrices", in[0])
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP is the same triangle of dy.
func (t Trilu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(t, append([]*graph.Value{dy[0]}, n.In[1:]...)...), nil}[:len(n.In)]
}

// ReverseSequence reverses the first sequence_lens[i] elements along TimeAxis of entry i of BatchAxis.
type ReverseSequence struct {
	BatchAxis int // ONNX's default is 1
	TimeAxis  int
}

// Name implements graph.Op.
func (ReverseSequence) Name() string { return "ReverseSequence" }

// Infer implements graph.Op.
func (r ReverseSequence) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if rank := in[0].Rank(); rank >= 0 {
		ba, err := normAxis(r.BatchAxis, rank)
		if err != nil {
			return nil, err
		}
		ta, err := normAxis(r.TimeAxis, rank)
		if err != nil {
			return nil, err
		}
		if rank < 2 || ba == ta {
			return nil, errs.Errorf("batch axis %d and time axis %d of %v", r.BatchAxis, r.TimeAxis, in[0])
		}
		if n, ok := vectorLen(in[1]); ok && !graph.Compatible(graph.D(n), in[0].Dims[ba]) {
			return nil, errs.Errorf("%d lengths for %v", n, in[0])
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP reverses back.
func (r ReverseSequence) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(r, dy[0], n.In[1]), nil}
}

// generatorSamples is the cases of generatorOps.
func generatorSamples() map[string][]Sample {
	return map[string][]Sample{
		"Pad": {
			Case(Pad{}, F(2, 3), IV(1, -1, 0, 2)),
			Case(Pad{Mode: "reflect"}, F(3, 4), IV(2, 0, 1, 3)),
			Case(Pad{Mode: "edge"}, F(2, 3), IV(2, 1), SampleIn{}, IV(1)),
			Case(Pad{Mode: "wrap"}, F(2, 3), IV(0, 2, 1, 4)),
			Case(Pad{}, F(2, 3), IV(0, 1, 1, 0), F()),
		},
		"PadGrad": {
			Case(PadGrad{}, F(3, 5), IV(1, -1, 0, 2), IV(2, 4)),
			Case(PadGrad{Mode: "reflect"}, F(3, 5), IV(2, 1), IV(3, 2), IV(1))},
		"Range": {
			Case(Range{}, TV(tensor.Scalar(int64(1))), TV(tensor.Scalar(int64(9))), TV(tensor.Scalar(int64(3))))},
		"ConstantOfShape": {
			Case(ConstantOfShape{}, IV(2, 3)), Case(ConstantOfShape{Value: tensor.Of([]int64{4})}, IV(3))},
		"EyeLike": {Case(EyeLike{K: 1}, F(3, 4))},
		"OneHot": {
			Case(OneHot{Axis: 1}, IV(0, 2, -1), TV(tensor.Scalar(int64(3))), F(2))},
		"Trilu": {
			Case(Trilu{Upper: true}, F(2, 3, 4)), Case(Trilu{}, F(3, 3), TV(tensor.Scalar(int64(-1))))},
		"ReverseSequence": {
			Case(ReverseSequence{BatchAxis: 1}, F(4, 3, 2), IV(4, 1, 2))},
	}
}
