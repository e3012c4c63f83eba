package ops

import (
	"strconv"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// The gradient of a sequence is a sequence as long, of the gradients of its elements; that of an optional is
// the gradient of what it holds.

// MapSequence is the sequence of what f makes of the elements of seqs, which are walked together. f builds a
// graph of its own, whose inputs it is given.
func MapSequence(b *graph.Builder, f func(b *graph.Builder, in []*graph.Value) *graph.Value, seqs ...*graph.Value) *graph.Value {
	g := &graph.Graph{}
	body := graph.NewBuilder(g)
	in := make([]*graph.Value, len(seqs))
	for i, s := range seqs {
		t := graph.UnrankedOf(s.Type.DType)
		if s.Type.Elem != nil {
			t = *s.Type.Elem
		}
		in[i] = body.Input("e"+strconv.Itoa(i), t)
	}
	body.Output(f(body, in))
	b.Fail(body.Err())
	return b.Add(SequenceMap{Body: g, NumInputs: len(seqs)}, seqs...)
}

// zeroElems is a sequence of zeros like the elements of seq.
func zeroElems(b *graph.Builder, seq *graph.Value) *graph.Value {
	return MapSequence(b, func(b *graph.Builder, in []*graph.Value) *graph.Value { return zerosLike(b, in[0]) }, seq)
}

// shaped is dv in the shape of v, which it has, where the types don't say so.
func shaped(b *graph.Builder, dv, v *graph.Value) *graph.Value {
	if v.Type.Rank() < 0 || dv.Type.Rank() == v.Type.Rank() && dv.Type.Static() {
		return dv
	}
	return b.Add(Reshape{Allowzero: true}, dv, b.Add(Shape{}, v))
}

// place is a position in a sequence of so many elements, counted from the front.
func place(b *graph.Builder, pos, length *graph.Value) *graph.Value {
	if c := pos.Type.Const; c != nil && c.Len() == 1 {
		if vs, err := c.Int64s(); err == nil && vs[0] >= 0 {
			return pos
		}
	}
	pos = b.Add(Reshape{}, b.Add(Cast{To: tensor.Int64, Saturate: true}, pos), b.Const("scalar", tensor.New(tensor.Int64, 0)))
	zero := b.Const("zero", tensor.Scalar(int64(0)))
	return b.Add(Where{}, b.Add(Less{}, pos, zero), b.Add(Add{}, pos, length), pos)
}

// VJP gives each input its element.
func (SequenceConstruct) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	for i, v := range n.In {
		if need[i] {
			dx[i] = shaped(b, b.Add(SequenceAt{}, dy[0], b.Const("at", tensor.Scalar(int64(i)))), v)
		}
	}
	return dx
}

// VJP puts the gradient among zeros.
func (SequenceAt) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	at := place(b, n.In[1], b.Add(SequenceLength{}, n.In[0]))
	rest := b.Add(SequenceErase{}, zeroElems(b, n.In[0]), at)
	return []*graph.Value{b.Add(SequenceInsert{}, rest, dy[0], at), nil}
}

// VJP takes the new element's gradient out.
func (SequenceInsert) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	at := b.Const("last", tensor.Scalar(int64(-1)))
	if len(n.In) > 2 && n.In[2] != nil {
		at = place(b, n.In[2], b.Add(SequenceLength{}, n.In[0]))
	}
	dx := make([]*graph.Value, len(n.In))
	if need[0] {
		dx[0] = b.Add(SequenceErase{}, dy[0], at)
	}
	if need[1] {
		dx[1] = shaped(b, b.Add(SequenceAt{}, dy[0], at), n.In[1])
	}
	return dx
}

// VJP puts zeros where the element was.
func (SequenceErase) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	pos := b.Const("last", tensor.Scalar(int64(-1)))
	if len(n.In) > 1 && n.In[1] != nil {
		pos = n.In[1]
	}
	at := place(b, pos, b.Add(SequenceLength{}, n.In[0]))
	zero := zerosLike(b, b.Add(SequenceAt{}, n.In[0], at))
	return []*graph.Value{b.Add(SequenceInsert{}, dy[0], zero, at), nil}[:len(n.In)]
}

// VJP joins the pieces' gradients.
func (s SplitToSequence) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	whole := len(n.In) > 1 && n.In[1] != nil
	dx := b.Add(ConcatFromSequence{Axis: s.Axis, NewAxis: !whole && !s.Keepdims}, dy[0])
	return []*graph.Value{shaped(b, dx, n.In[0]), nil}[:len(n.In)]
}

// VJP cuts the gradient where the elements meet.
func (c ConcatFromSequence) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	if c.NewAxis {
		return []*graph.Value{b.Add(SplitToSequence{Axis: c.Axis}, dy[0])}
	}
	lengths := MapSequence(b, func(b *graph.Builder, in []*graph.Value) *graph.Value {
		return b.Add(Gather{}, b.Add(Shape{}, in[0]), b.Ints(int64(c.Axis)))
	}, n.In[0])
	return []*graph.Value{b.Add(SplitToSequence{Axis: c.Axis, Keepdims: true}, dy[0], b.Add(ConcatFromSequence{}, lengths))}
}

// VJP passes the gradient of what the optional holds on.
func (Optional) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{dy[0]}[:len(n.In)]
}
