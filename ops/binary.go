package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// binaryOps is the family of broadcasting arithmetic.
var binaryOps = []Info{
	{Add{}, "a + b, broadcast"},
	{Sub{}, "a - b, broadcast"},
	{Mul{}, "a * b, broadcast"},
	{Div{}, "a / b, broadcast; integers truncate toward zero"},
	{Pow{}, "a to the b, broadcast"},
	{Mod{}, "the remainder of a / b, with the sign of b (or of a, with Fmod)"},
	{FloorDiv{}, "the floor of a / b, broadcast"},
	{Atan2{}, "the angle of the point (b, a)"},
	{Max{}, "the largest of any number of inputs, broadcast"},
	{Min{}, "the smallest of any number of inputs, broadcast"},
	{Sum{}, "the sum of any number of inputs, broadcast"},
	{Mean{}, "the mean of any number of inputs, broadcast"},
	{BitShift{Direction: "LEFT"}, "x shifted LEFT or RIGHT by y bits"},
	{BitwiseAnd{}, "bitwise and, broadcast"},
	{BitwiseOr{}, "bitwise or, broadcast"},
	{BitwiseXor{}, "bitwise exclusive or, broadcast"},
	{And{}, "logical and, broadcast"},
	{Or{}, "logical or, broadcast"},
	{Xor{}, "logical exclusive or, broadcast"},
}

func bools(vs ...bool) SampleIn { return TV(tensor.Of(vs)) }

// inferBinary is the inference of broadcasting arithmetic. With f it also computes the symbolic contents
// of small integer tensors, so that shape arithmetic folds before any dimension is known.
func inferBinary(in []graph.Type, f func(a, b graph.Dim) (graph.Dim, bool)) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	out := tensorOr(dt, dims, unranked)
	if f != nil && dt.IsInt() && !unranked && len(dims) <= 1 {
		out.Ints = contentsOf(in[0], in[1], f)
	}
	return []graph.Type{out}, nil
}

func contentsOf(a, b graph.Type, f func(a, b graph.Dim) (graph.Dim, bool)) []graph.Dim {
	if tooLong(a) || tooLong(b) {
		return nil
	}
	x, ok1 := a.Contents()
	y, ok2 := b.Contents()
	if !ok1 || !ok2 || len(x) == 0 || len(y) == 0 || len(x) != len(y) && len(x) != 1 && len(y) != 1 {
		return nil
	}
	out := make([]graph.Dim, max(len(x), len(y)))
	for i := range out {
		d, ok := f(x[min(i, len(x)-1)], y[min(i, len(y)-1)])
		if !ok {
			return nil
		}
		out[i] = d
	}
	return out
}

// tooLong reports whether t holds more than a shape would: its contents are not followed.
func tooLong(t graph.Type) bool { return t.Const != nil && t.Const.Len() > maxContents }

func numeric(in []graph.Type) error {
	for i, t := range in {
		if t.DType == tensor.Bool || t.DType == tensor.String {
			return errs.Errorf("input %d is %v, not a number", i, t.DType)
		}
	}
	return nil
}

// Add is a + b under numpy's broadcasting.
type Add struct{}

// Name implements graph.Op.
func (Add) Name() string { return "Add" }

// Infer implements graph.Op.
func (Add) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) { return a.Add(b), true })
}

// MayAlias implements graph.Aliaser.
func (Add) MayAlias(in, out int) bool { return true }

// VJP sums dy to each side's shape.
func (Add) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{sumTo(b, dy[0], n.In[0]), sumTo(b, dy[0], n.In[1])}
}

// Sub is a - b under numpy's broadcasting.
type Sub struct{}

// Name implements graph.Op.
func (Sub) Name() string { return "Sub" }

// Infer implements graph.Op.
func (Sub) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) { return a.Sub(b), true })
}

// MayAlias implements graph.Aliaser.
func (Sub) MayAlias(in, out int) bool { return true }

// VJP sums dy, and its negative, to each side's shape.
func (Sub) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := []*graph.Value{nil, nil}
	if need[0] {
		dx[0] = sumTo(b, dy[0], n.In[0])
	}
	if need[1] {
		dx[1] = sumTo(b, b.Add(Neg{}, dy[0]), n.In[1])
	}
	return dx
}

// Mul is a * b under numpy's broadcasting.
type Mul struct{}

// Name implements graph.Op.
func (Mul) Name() string { return "Mul" }

// Infer implements graph.Op.
func (Mul) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) { return a.Mul(b), true })
}

// MayAlias implements graph.Aliaser.
func (Mul) MayAlias(in, out int) bool { return true }

// VJP is dy*b and dy*a, summed to each side's shape.
func (Mul) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := []*graph.Value{nil, nil}
	for i := range dx {
		if need[i] {
			dx[i] = sumTo(b, b.Add(Mul{}, dy[0], n.In[1-i]), n.In[i])
		}
	}
	return dx
}

// Div is a / b under numpy's broadcasting; integers truncate toward zero.
type Div struct{}

// Name implements graph.Op.
func (Div) Name() string { return "Div" }

// Infer implements graph.Op.
func (Div) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) {
		n, ok := b.Const()
		if m, isNum := a.Const(); isNum && ok && n != 0 {
			return graph.D(m / n), true
		}
		return a.Div(b), ok && n > 0
	})
}

// MayAlias implements graph.Aliaser.
func (Div) MayAlias(in, out int) bool { return true }

// VJP is dy/b and -dy*y/b, summed to each side's shape.
func (Div) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := []*graph.Value{nil, nil}
	q := b.Add(Div{}, dy[0], n.In[1])
	if need[0] {
		dx[0] = sumTo(b, q, n.In[0])
	}
	if need[1] {
		dx[1] = sumTo(b, b.Add(Neg{}, b.Add(Mul{}, q, n.Out[0])), n.In[1])
	}
	return dx
}

// binarySamples is the cases of binaryOps.
func binarySamples() map[string][]Sample {
	return map[string][]Sample{
		"Add": {Case(Add{}, F(3, 4), F(4)), Case(Add{}, F(2, 1, 3), F(4, 1))},
		"Sub": {Case(Sub{}, F(3, 4), F(4))},
		"Mul": {Case(Mul{}, F(3, 4), F(4))},
		"Div": {
			Case(Div{}, F(3, 4), FR(0.5, 2, 4)), Case(Div{}, IV(7, -7, 9), IV(2, 2, -4))},
		"Pow": {Case(Pow{}, FR(0.3, 2, 3, 4), FR(-2, 2, 4)),
			Case(Pow{}, IV(2, -3), IV(3, 2)), Case(Pow{}, FR(0.5, 2, 3), SampleIn{DType: tensor.Int64, Data: tensor.Of([]int64{2, 3, -1})})},
		"Mod": {
			Case(Mod{}, IV(7, -7, 7, -7), IV(3, 3, -3, -3)),
			Case(Mod{Fmod: true}, F(3, 4), SampleIn{DType: tensor.Float32, Shape: []int{4}, Lo: 2, Hi: 3}),
			Case(Mod{}, FR(0.2, 0.8, 3, 4), TV(tensor.Of([]float32{0.9, 1, 1.1, -0.15})))},
		"FloorDiv": {
			Case(FloorDiv{}, IV(7, -7, 7, -7), IV(3, 3, -3, -3)), Case(FloorDiv{}, FR(0.2, 0.8, 3, 4), FR(0.81, 0.9, 4))},
		"Atan2": {Case(Atan2{}, FR(-2, 2, 3, 4), FR(-2, 2, 3, 4)), Case(Atan2{}, F(3, 1), FR(0.5, 2, 4))},
		"Max": {
			Case(Max{}, F(3, 4), F(4)), Case(Max{}, F(3)), Case(Max{}, F(2, 1), F(3), F(2, 3)), Case(Max{}, IV(1, 5), IV(4))},
		"Min": {
			Case(Min{}, F(3, 4), F(4)), Case(Min{}, F(3)), Case(Min{}, F(2, 1), F(3), F(2, 3)), Case(Min{}, IV(1, 5), IV(4))},
		"Sum": {
			Case(Sum{}, F(3, 4), F(4)), Case(Sum{}, F(3)), Case(Sum{}, F(2, 1), F(3), F(2, 3))},
		"Mean": {
			Case(Mean{}, F(3, 4), F(4)), Case(Mean{}, F(3)), Case(Mean{}, F(2, 1), F(3), F(2, 3))},
		"BitShift": {
			Case(BitShift{Direction: "LEFT"}, TV(tensor.Of([]uint8{16, 4, 255})), TV(tensor.Of([]uint8{1, 2, 9}))),
			Case(BitShift{Direction: "RIGHT"}, TV(tensor.Of([]uint64{1 << 63, 4, 255})), TV(tensor.Of([]uint64{1})))},
		"BitwiseAnd": {Case(BitwiseAnd{}, IV(12, 10, -1), IV(10))},
		"BitwiseOr":  {Case(BitwiseOr{}, IV(12, 10, -1), IV(10))},
		"BitwiseXor": {Case(BitwiseXor{}, IV(12, 10, -1), IV(10))},
		"And":        {Case(And{}, bools(true, true, false, false), bools(true, false, true, false))},
		"Or":         {Case(Or{}, bools(true, true, false, false), bools(true, false, true, false))},
		"Xor":        {Case(Xor{}, bools(true, true, false, false), bools(true))},
	}
}
