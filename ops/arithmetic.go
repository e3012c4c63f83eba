package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Pow is a to the power b under numpy's broadcasting, in a's type; b may have another type.
type Pow struct{}

// Name implements graph.Op.
func (Pow) Name() string { return "Pow" }

// Infer implements graph.Op.
func (Pow) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(in[0].DType, dims, unranked)}, nil
}

// MayAlias implements graph.Aliaser.
func (Pow) MayAlias(in, out int) bool { return in == 0 }

// VJP is dy*b*a^(b-1) and dy*y*log(a), the latter 0 where a is not positive.
func (Pow) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, e := n.In[0], n.In[1]
	if e.Type.DType != x.Type.DType {
		e = b.Add(Cast{To: x.Type.DType, Saturate: true}, e)
	}
	dx := []*graph.Value{nil, nil}
	if need[0] {
		slope := b.Add(Mul{}, e, b.Add(Pow{}, x, addC(b, e, -1)))
		dx[0] = sumTo(b, b.Add(Mul{}, dy[0], zeroWhere(b, b.Add(Equal{}, e, constLike(b, e, 0)), slope)), x)
	}
	if need[1] {
		pos := positive(b, x)
		log := b.Add(Log{}, b.Add(Where{}, pos, x, constLike(b, x, 1)))
		dx[1] = sumTo(b, b.Add(Mul{}, dy[0], b.Add(Mul{}, n.Out[0], log)), e)
	}
	return dx
}

// Mod is the remainder of a / b under numpy's broadcasting. Its sign is that of b, as Python's %; with
// Fmod it is that of a, as C's fmod.
type Mod struct {
	Fmod bool
}

// Name implements graph.Op.
func (Mod) Name() string { return "Mod" }

// Infer implements graph.Op.
func (o Mod) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) {
		n, ok := b.Const()
		if m, isNum := a.Const(); isNum && ok && n != 0 {
			r := m % n
			if !o.Fmod && r != 0 && (r < 0) != (n < 0) {
				r += n
			}
			return graph.D(r), true
		}
		return a.Sub(a.Div(b).Mul(b)), ok && n > 0
	})
}

// MayAlias implements graph.Aliaser.
func (Mod) MayAlias(in, out int) bool { return true }

// VJP is dy, and -dy times the whole quotient.
func (o Mod) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := []*graph.Value{nil, nil}
	if need[0] {
		dx[0] = sumTo(b, dy[0], n.In[0])
	}
	if need[1] {
		q := b.Add(Round{}, b.Add(Div{}, b.Add(Sub{}, n.In[0], n.Out[0]), n.In[1]))
		dx[1] = sumTo(b, b.Add(Neg{}, b.Add(Mul{}, dy[0], q)), n.In[1])
	}
	return dx
}

// FloorDiv is the floor of a / b under numpy's broadcasting, as Python's //.
type FloorDiv struct{}

// Name implements graph.Op.
func (FloorDiv) Name() string { return "FloorDiv" }

// Infer implements graph.Op.
func (FloorDiv) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	return inferBinary(in, func(a, b graph.Dim) (graph.Dim, bool) {
		n, ok := b.Const()
		return a.Div(b), ok && n > 0
	})
}

// MayAlias implements graph.Aliaser.
func (FloorDiv) MayAlias(in, out int) bool { return true }

// VJP is zero.
func (FloorDiv) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{nil, nil}
}

// Atan2 is the angle, in radians, from the positive x axis to the point (b, a), in (-pi, pi].
type Atan2 struct{}

// Name implements graph.Op.
func (Atan2) Name() string { return "Atan2" }

// Infer implements graph.Op.
func (Atan2) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 2, 2); err != nil {
		return nil, err
	}
	return inferBinary(in, nil)
}

// MayAlias implements graph.Aliaser.
func (Atan2) MayAlias(in, out int) bool { return true }

// VJP is dy*b/(a*a+b*b) and -dy*a/(a*a+b*b).
func (Atan2) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y, x := n.In[0], n.In[1]
	q := b.Add(Div{}, dy[0], b.Add(Add{}, square(b, y), square(b, x)))
	dx := []*graph.Value{nil, nil}
	if need[0] {
		dx[0] = sumTo(b, b.Add(Mul{}, q, x), y)
	}
	if need[1] {
		dx[1] = sumTo(b, b.Add(Neg{}, b.Add(Mul{}, q, y)), x)
	}
	return dx
}

// inferVariadic is the inference of an operator that joins any number of tensors of one type elementwise.
func inferVariadic(in []graph.Type, f func(a, b graph.Dim) graph.Dim) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	if err := arity(in, len(in), len(in)); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
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
	if f == nil || !dt.IsInt() || unranked || len(dims) > 1 {
		return []graph.Type{out}, nil
	}
	acc := in[0]
	for _, t := range in[1:] {
		ds := contentsOf(acc, t, func(a, b graph.Dim) (graph.Dim, bool) { return f(a, b), true })
		if ds == nil {
			return []graph.Type{out}, nil
		}
		acc = graph.Type{Ints: ds}
	}
	if len(in) == 1 {
		acc.Ints = mapContents(in[0], func(d graph.Dim) graph.Dim { return d })
	}
	out.Ints = acc.Ints
	return []graph.Type{out}, nil
}

// Max is the largest of its inputs under numpy's broadcasting; NaN where any is.
type Max struct{}

// Name implements graph.Op.
func (Max) Name() string { return "Max" }

// Infer implements graph.Op.
func (Max) Infer(in []graph.Type) ([]graph.Type, error) { return inferVariadic(in, graph.Dim.Max) }

// MayAlias implements graph.Aliaser.
func (Max) MayAlias(in, out int) bool { return true }

// VJP gives dy to the first input that is the largest.
func (Max) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pickVJP(b, n, dy[0], need)
}

// Min is the smallest of its inputs under numpy's broadcasting; NaN where any is.
type Min struct{}

// Name implements graph.Op.
func (Min) Name() string { return "Min" }

// Infer implements graph.Op.
func (Min) Infer(in []graph.Type) ([]graph.Type, error) { return inferVariadic(in, graph.Dim.Min) }

// MayAlias implements graph.Aliaser.
func (Min) MayAlias(in, out int) bool { return true }

// VJP gives dy to the first input that is the smallest.
func (Min) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return pickVJP(b, n, dy[0], need)
}

// pickVJP routes dy to the first input that equals the output.
func pickVJP(b *graph.Builder, n *graph.Node, dy *graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	left := dy
	for i, x := range n.In {
		mine := b.Add(Equal{}, x, n.Out[0])
		if need[i] {
			dx[i] = sumTo(b, keepWhere(b, mine, left), x)
		}
		if i+1 < len(n.In) {
			left = zeroWhere(b, mine, left)
		}
	}
	return dx
}

// Sum is the sum of its inputs under numpy's broadcasting.
type Sum struct{}

// Name implements graph.Op.
func (Sum) Name() string { return "Sum" }

// Infer implements graph.Op.
func (Sum) Infer(in []graph.Type) ([]graph.Type, error) { return inferVariadic(in, graph.Dim.Add) }

// MayAlias implements graph.Aliaser.
func (Sum) MayAlias(in, out int) bool { return true }

// Decompose spells it by Add.
func (Sum) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	if len(in) == 1 {
		return one(b.Add(Identity{}, in[0]))
	}
	acc := in[0]
	for _, v := range in[1:] {
		acc = b.Add(Add{}, acc, v)
	}
	return one(acc)
}

// VJP sums dy to each input's shape.
func (Sum) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	for i, x := range n.In {
		if need[i] {
			dx[i] = sumTo(b, dy[0], x)
		}
	}
	return dx
}

// Mean is the mean of its inputs under numpy's broadcasting.
type Mean struct{}

// Name implements graph.Op.
func (Mean) Name() string { return "Mean" }

// Infer implements graph.Op.
func (Mean) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, -1); err != nil {
		return nil, err
	}
	return inferVariadic(in, nil)
}

// MayAlias implements graph.Aliaser.
func (Mean) MayAlias(in, out int) bool { return true }

// Decompose spells it by Sum and Mul.
func (Mean) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Mul{}, b.Add(Sum{}, in...), constLike(b, in[0], 1/float64(len(in)))))
}

// VJP sums a share of dy to each input's shape.
func (Mean) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return Sum{}.VJP(b, n, one(mulC(b, dy[0], 1/float64(len(n.In)))), need)
}

// BitShift shifts unsigned integers by as many bits as the second input says, Direction "LEFT" or
// "RIGHT"; shifting by the width or more gives 0.
type BitShift struct {
	Direction string
}

// Name implements graph.Op.
func (BitShift) Name() string { return "BitShift" }

// Infer implements graph.Op.
func (o BitShift) Infer(in []graph.Type) ([]graph.Type, error) {
	if o.Direction != "LEFT" && o.Direction != "RIGHT" {
		return nil, errs.Errorf("direction is %q, not LEFT or RIGHT", o.Direction)
	}
	if err := integers(in, 2, 2); err != nil {
		return nil, err
	}
	return inferBinary(in, nil)
}

// bitwise is embedded by the bitwise operators on two integer tensors.
type bitwise struct{}

// Infer checks for two tensors of one integer type, which broadcast.
func (bitwise) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := integers(in, 2, 2); err != nil {
		return nil, err
	}
	return inferBinary(in, nil)
}

// MayAlias allows to write over either input.
func (bitwise) MayAlias(in, out int) bool { return true }

// BitwiseAnd is a & b under numpy's broadcasting.
type BitwiseAnd struct{ bitwise }

// Name implements graph.Op.
func (BitwiseAnd) Name() string { return "BitwiseAnd" }

// BitwiseOr is a | b under numpy's broadcasting.
type BitwiseOr struct{ bitwise }

// Name implements graph.Op.
func (BitwiseOr) Name() string { return "BitwiseOr" }

// BitwiseXor is a ^ b under numpy's broadcasting.
type BitwiseXor struct{ bitwise }

// Name implements graph.Op.
func (BitwiseXor) Name() string { return "BitwiseXor" }

// logical is embedded by the logical operators on two bool tensors.
type logical struct{}

// Infer checks for two bool tensors, which broadcast.
func (logical) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	for i, t := range in {
		if t.DType != tensor.Bool {
			return nil, errs.Errorf("input %d is %v, not bool", i, t)
		}
	}
	return inferBinary(in, nil)
}

// MayAlias allows to write over either input.
func (logical) MayAlias(in, out int) bool { return true }

// And is a && b under numpy's broadcasting.
type And struct{ logical }

// Name implements graph.Op.
func (And) Name() string { return "And" }

// Or is a || b under numpy's broadcasting.
type Or struct{ logical }

// Name implements graph.Op.
func (Or) Name() string { return "Or" }

// Xor is a != b, on bools, under numpy's broadcasting.
type Xor struct{ logical }

// Name implements graph.Op.
func (Xor) Name() string { return "Xor" }
