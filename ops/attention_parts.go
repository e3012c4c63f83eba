package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// dimOf is dimension i of x as a vector of one element.
//
//go:noinline
func dimOf(b *graph.Builder, x *graph.Value, i int) *graph.Value {
	return b.Add(Shape{Start: i, End: i + 1, HasEnd: true}, x)
}

// toHeads is x as (batch, heads, length, size).
func toHeads(b *graph.Builder, x *graph.Value, heads int) *graph.Value {
	if x.Type.Rank() == 4 {
		return x
	}
	return b.Add(Transpose{Perm: []int{0, 2, 1, 3}}, b.Add(Reshape{}, x, b.Ints(0, 0, int64(heads), -1)))
}

// counting is 0, 1, .. up to the one number in n, as a vector.
func counting(b *graph.Builder, n *graph.Value) *graph.Value {
	return b.Add(Range{}, b.Const("zero", tensor.Scalar(int64(0))), b.Add(Squeeze{}, n, b.Ints(0)), b.Const("one", tensor.Scalar(int64(1))))
}

// Decompose spells attention in products and a softmax. Not so with nonpad_kv_seqlen, or with a mask that
// may be shorter than the keys.
func (a Attention) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	arg := func(i int) *graph.Value {
		if i < len(in) {
			return in[i]
		}
		return nil
	}
	q, k, v, past := in[0], in[1], in[2], arg(4)
	if r := q.Type.Rank(); arg(6) != nil || r < 3 || k.Type.Rank() != r || v.Type.Rank() != r {
		return nil
	}
	q, k, v = toHeads(b, q, a.QNumHeads), toHeads(b, k, a.KVNumHeads), toHeads(b, v, a.KVNumHeads)
	if past != nil {
		k, v = b.Add(Concat{Axis: 2}, past, k), b.Add(Concat{Axis: 2}, arg(5), v)
	}
	if b.Err() != nil || !maskCovers(arg(3), k) {
		return nil
	}
	root := a.root(b, q)
	p := grouped(b, b.Add(Mul{}, q, root), b.Add(Mul{}, k, root), true)
	raw := p
	if a.Softcap > 0 {
		p = mulC(b, b.Add(Tanh{}, mulC(b, p, 1/a.Softcap)), a.Softcap)
		if a.QKMatmulOutputMode != 0 {
			raw = p
		}
	}
	keep := a.keep(b, q, k, past)
	p, keep = masked(b, p, keep, arg(3))
	if a.QKMatmulOutputMode == 2 {
		raw = p
	}
	dt := q.Type.DType
	if a.SoftmaxPrecision.Valid() && a.SoftmaxPrecision != dt {
		p = b.Add(Cast{To: a.SoftmaxPrecision, Saturate: true}, p)
	}
	p = b.Add(Softmax{Axis: -1}, p)
	if p.Type.DType != dt {
		p = b.Add(Cast{To: dt, Saturate: true}, p)
	}
	if keep != nil { // what is masked wholly is 0
		p = b.Add(Where{}, keep, p, constLike(b, p, 0))
	}
	if a.QKMatmulOutputMode == 3 {
		raw = p
	}
	values := v
	if v.Type.DType != dt {
		values = b.Add(Cast{To: dt, Saturate: true}, v)
	}
	y := grouped(b, p, values, false)
	if in[0].Type.Rank() == 3 {
		y = b.Add(Reshape{}, b.Add(Transpose{Perm: []int{0, 2, 1, 3}}, y), b.Ints(0, 0, -1))
	}
	return []*graph.Value{y, k, v, raw}
}

// maskCovers reports whether a mask is known to be as long as the keys, or to be stretched.
func maskCovers(m, k *graph.Value) bool {
	if m == nil {
		return true
	}
	r := m.Type.Rank()
	if r < 0 {
		return false
	}
	if r == 0 || m.Type.Dims[r-1] == graph.D(1) {
		return true
	}
	return m.Type.Dims[r-1] == k.Type.Dims[2]
}

// root is the root of the scale, by which queries and keys are multiplied each.
func (a Attention) root(b *graph.Builder, q *graph.Value) *graph.Value {
	if a.Scale != 0 {
		return constLike(b, q, math.Sqrt(a.Scale))
	}
	if d, ok := q.Type.Dims[3].Const(); ok {
		return constLike(b, q, math.Pow(float64(max(d, 1)), -0.25))
	}
	d := b.Add(Cast{To: q.Type.DType, Saturate: true}, b.Add(Squeeze{}, dimOf(b, q, 3), b.Ints(0)))
	return b.Add(Sqrt{}, b.Add(Rsqrt{}, d))
}

// grouped multiplies x (batch, heads, n, m) by y (batch, fewer heads, ...), whose heads are shared by
// successive heads of x; trans exchanges y's last two dimensions first.
func grouped(b *graph.Builder, x, y *graph.Value, trans bool) *graph.Value {
	if trans {
		y = b.Add(Transpose{Perm: []int{0, 1, 3, 2}}, y)
	}
	if x.Type.Rank() != 4 || y.Type.Rank() != 4 || x.Type.Dims[1] == y.Type.Dims[1] {
		return b.Add(MatMul{}, x, y)
	}
	heads := dimOf(b, y, 1)
	split := b.Add(Concat{}, dimOf(b, x, 0), heads, b.Add(Div{}, dimOf(b, x, 1), heads), b.Add(Shape{Start: 2}, x))
	z := b.Add(MatMul{}, b.Add(Reshape{}, x, split), b.Add(Unsqueeze{}, y, b.Ints(2)))
	return b.Add(Reshape{}, z, b.Add(Concat{}, dimOf(b, x, 0), dimOf(b, x, 1), b.Add(Shape{Start: 3}, z)))
}

// keep is which keys each query sees by causality and windows, (queries, keys); nil is all.
func (a Attention) keep(b *graph.Builder, q, k, past *graph.Value) *graph.Value {
	if !a.IsCausal && a.LeftWindowSize < 0 && a.RightWindowSize < 0 {
		return nil
	}
	rows := counting(b, dimOf(b, q, 2))
	if past != nil {
		rows = b.Add(Add{}, rows, dimOf(b, past, 2))
	}
	rows = b.Add(Unsqueeze{}, rows, b.Ints(1))
	cols := counting(b, dimOf(b, k, 2))
	var keep *graph.Value
	and := func(v *graph.Value) {
		if keep != nil {
			v = b.Add(And{}, keep, v)
		}
		keep = v
	}
	at := func(by int) *graph.Value { return b.Add(Add{}, rows, b.Ints(int64(by))) }
	if a.IsCausal {
		and(b.Add(LessOrEqual{}, cols, rows))
	}
	if a.LeftWindowSize >= 0 {
		and(b.Add(GreaterOrEqual{}, cols, at(-a.LeftWindowSize)))
	}
	if a.RightWindowSize >= 0 {
		and(b.Add(LessOrEqual{}, cols, at(a.RightWindowSize)))
	}
	return keep
}

// masked adds a mask to the scores and puts -inf where keep, or the mask, hides a key. It gives the scores
// and all that is kept, nil for everything.
func masked(b *graph.Builder, p, keep, mask *graph.Value) (scores, kept *graph.Value) {
	if mask != nil {
		seen := mask
		if mask.Type.DType != tensor.Bool {
			p, seen = b.Add(Add{}, p, b.Add(CastLike{Saturate: true}, mask, p)), nil
			if mask.Type.DType.IsFloat() { // integers hide nothing
				seen = b.Add(Not{}, b.Add(IsInf{DetectNegative: true}, mask))
			}
		}
		switch {
		case keep == nil:
			keep = seen
		case seen != nil:
			keep = b.Add(And{}, keep, seen)
		}
	}
	if keep != nil {
		p = b.Add(Where{}, keep, p, constLike(b, p, math.Inf(-1)))
	}
	return p, keep
}

// Decompose spells the rotation in products. Not so where the rank is unknown.
func (r RotaryEmbedding) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x, cos, sin := in[0], in[1], in[2]
	rank := x.Type.Rank()
	if rank < 3 {
		return nil
	}
	x = toHeads(b, x, r.NumHeads)
	cache := func(v *graph.Value) *graph.Value {
		if len(in) > 3 && in[3] != nil {
			v = b.Add(Gather{}, v, in[3])
		}
		return b.Add(Unsqueeze{}, v, b.Ints(1))
	}
	cos, sin = cache(cos), cache(sin)
	turned, rest := x, (*graph.Value)(nil)
	if r.RotaryEmbeddingDim > 0 {
		dim, axis := b.Ints(int64(r.RotaryEmbeddingDim)), b.Ints(3)
		turned = b.Add(Slice{}, x, b.Ints(0), dim, axis)
		rest = b.Add(Slice{}, x, dim, b.Ints(math.MaxInt64), axis)
	}
	axis := 3
	if r.Interleaved {
		turned, axis = b.Add(Reshape{}, turned, b.Ints(0, 0, 0, -1, 2)), 4
	}
	halves := b.AddN(Split{Axis: axis, NumOutputs: 2}, turned)
	if len(halves) != 2 || b.Err() != nil {
		return nil
	}
	if r.Interleaved {
		halves = []*graph.Value{b.Add(Squeeze{}, halves[0], b.Ints(4)), b.Add(Squeeze{}, halves[1], b.Ints(4))}
	}
	first := b.Add(Sub{}, b.Add(Mul{}, cos, halves[0]), b.Add(Mul{}, sin, halves[1]))
	second := b.Add(Add{}, b.Add(Mul{}, sin, halves[0]), b.Add(Mul{}, cos, halves[1]))
	if r.Interleaved {
		first, second = b.Add(Unsqueeze{}, first, b.Ints(4)), b.Add(Unsqueeze{}, second, b.Ints(4))
	}
	y := b.Add(Concat{Axis: axis}, first, second)
	if r.Interleaved {
		y = b.Add(Reshape{}, y, b.Ints(0, 0, 0, -1))
	}
	if rest != nil {
		y = b.Add(Concat{Axis: 3}, y, rest)
	}
	if rank == 3 {
		y = b.Add(Reshape{}, b.Add(Transpose{Perm: []int{0, 2, 1, 3}}, y), b.Ints(0, 0, -1))
	}
	return []*graph.Value{y}
}

// Decompose spells the operator as a convolution by channels. Not so where the number of channels, or the
// kernel's size, is unknown.
func (c CausalConvWithState) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x, w := in[0], in[1]
	if x.Type.Rank() != 3 || w.Type.Rank() != 3 {
		return nil
	}
	channels, ok := w.Type.Dims[0].Const()
	size, ok2 := w.Type.Dims[2].Const()
	if !ok || !ok2 || channels < 1 || size < 1 {
		return nil
	}
	line := x
	if len(in) > 3 && in[3] != nil {
		line = b.Add(Concat{Axis: 2}, in[3], x)
	} else if size > 1 {
		line = b.Add(Pad{Mode: "constant"}, x, b.Ints(0, 0, int64(size-1), 0, 0, 0))
	}
	args := []*graph.Value{line, w}
	if len(in) > 2 && in[2] != nil {
		args = append(args, in[2])
	}
	y := b.Add(Conv{Group: channels}, args...)
	if c.Activation == "silu" || c.Activation == "swish" {
		y = b.Add(Swish{Alpha: 1}, y)
	}
	state := b.Add(Slice{}, line, dimOf(b, x, 2), b.Ints(math.MaxInt64), b.Ints(2))
	return []*graph.Value{y, state}
}
