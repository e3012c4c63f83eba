package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Decompose spells the recurrence as a Scan over the tokens, in float32 where the operands are narrower. Not
// so where a rank is unknown.
func (l LinearAttention) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	arg := func(i int) *graph.Value {
		if i < len(in) {
			return in[i]
		}
		return nil
	}
	for _, i := range []int{0, 1, 2, 4, 5} {
		if v := arg(i); v != nil && v.Type.Rank() != 3 {
			return nil
		}
	}
	dt, kv := in[0].Type.DType, int64(l.KVNumHeads)
	wide := dt
	if dt.Size() < 4 {
		wide = tensor.Float32
	}
	to := func(v *graph.Value, dt tensor.DType) *graph.Value {
		if v == nil || v.Type.DType == dt {
			return v
		}
		return b.Add(Cast{To: dt, Saturate: true}, v)
	}
	split := func(v *graph.Value, dims ...int64) *graph.Value {
		return b.Add(Reshape{}, to(v, wide), b.Ints(append([]int64{0, 0}, dims...)...))
	}
	scanned := []*graph.Value{split(in[0], kv, int64(l.QNumHeads)/kv, -1), split(in[1], kv, 1, -1), split(in[2], kv, 1, -1)}
	if v := arg(4); v != nil {
		scanned = append(scanned, split(v, kv, -1, 1))
	}
	if v := arg(5); v != nil { // one rate for all heads, or one a head
		scanned = append(scanned, b.Add(Unsqueeze{}, to(v, wide), b.Ints(3, 4)))
	}
	state := to(arg(3), wide)
	sdt := dt
	if state != nil {
		sdt = in[3].Type.DType
	} else {
		heads := b.Ints(kv)
		shape := b.Add(Concat{}, dimOf(b, in[0], 0), heads, b.Add(Div{}, dimOf(b, in[1], 2), heads), b.Add(Div{}, dimOf(b, in[2], 2), heads))
		state = b.Add(Expand{}, b.Const("zero", tensor.New(wide)), shape)
	}
	if b.Err() != nil {
		return nil
	}
	body := l.step(state, scanned, arg(4) != nil, arg(5) != nil)
	if body == nil {
		return nil
	}
	axes := make([]int, len(scanned))
	for i := range axes {
		axes[i] = 1
	}
	outs := b.AddN(Scan{Body: body, NumStates: 1, NumScanInputs: len(scanned), ScanInputAxes: axes, ScanOutputAxes: []int{1}},
		append([]*graph.Value{state}, scanned...)...)
	if len(outs) != 2 {
		return nil
	}
	y := b.Add(Mul{}, outs[1], l.scale(b, in[0], wide))
	y = b.Add(Reshape{}, y, b.Ints(0, 0, -1))
	return []*graph.Value{to(y, dt), to(outs[0], sdt)}
}

// scale is what the outputs are multiplied by.
func (l LinearAttention) scale(b *graph.Builder, q *graph.Value, dt tensor.DType) *graph.Value {
	t := tensor.New(dt)
	d, ok := q.Type.Dims[2].Const()
	switch {
	case l.Scale != 0:
		b.Fail(t.SetFloat64s([]float64{l.Scale}))
	case ok:
		b.Fail(t.SetFloat64s([]float64{1 / math.Sqrt(float64(max(d/l.QNumHeads, 1)))}))
	default:
		n := b.Add(Div{}, b.Add(Squeeze{}, dimOf(b, q, 2), b.Ints(0)), b.Const("heads", tensor.Scalar(int64(l.QNumHeads))))
		return b.Add(Rsqrt{}, b.Add(Cast{To: dt, Saturate: true}, n))
	}
	return b.Const("scale", t)
}

// step is the Scan's body: the state and one token's query (batch, key heads, queries a head, key size), key
// and value (batch, key heads, 1, size), decay (batch, key heads, key size or 1, 1) and rate (batch, heads or
// 1, 1, 1) to the next state and the token's output.
func (l LinearAttention) step(state *graph.Value, scanned []*graph.Value, gated, delta bool) *graph.Graph {
	g := &graph.Graph{Name: "linear_attention"}
	b := graph.NewBuilder(g)
	s := b.Input("state", state.Type.WithoutValue())
	var x []*graph.Value
	for i, v := range scanned {
		t := v.Type.WithoutValue()
		if t.Rank() != 5 {
			return nil
		}
		t.Dims = append(append([]graph.Dim{}, t.Dims[:1]...), t.Dims[2:]...)
		x = append(x, b.Input([]string{"q", "k", "v", "a", "c"}[i], t))
	}
	q, k, v, rest := x[0], x[1], x[2], x[3:]
	if gated {
		s = b.Add(Mul{}, s, b.Add(Exp{}, rest[0]))
		rest = rest[1:]
	}
	if delta {
		v = b.Add(Mul{}, b.Add(Sub{}, v, b.Add(MatMul{}, k, s)), rest[0])
	}
	s = b.Add(Add{}, s, b.Add(MatMul{}, b.Add(Transpose{Perm: []int{0, 1, 3, 2}}, k), v))
	b.Output(s, b.Add(MatMul{}, q, s))
	if b.Err() != nil {
		return nil
	}
	return g
}

// Decompose spells attention in products and a softmax, with the graphs between them. Not so where the
// modifiers' element type is not the operands'.
func (f FlexAttention) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	q, k, v := in[0], in[1], in[2]
	if q.Type.Rank() != 4 || k.Type.Rank() != 4 || v.Type.Rank() != 4 {
		return nil
	}
	dt := q.Type.DType
	wide := f.Precision(dt)
	cast := func(v *graph.Value, dt tensor.DType) *graph.Value {
		if v.Type.DType == dt {
			return v
		}
		return b.Add(Cast{To: dt, Saturate: true}, v)
	}
	root := Attention{Scale: f.Scale}.root(b, q)
	p := cast(grouped(b, b.Add(Mul{}, q, root), b.Add(Mul{}, k, root), true), wide)
	captured := in[3:]
	n := min(f.NumScore, len(captured))
	modify := func(g *graph.Graph, captured []*graph.Value) {
		if g == nil || b.Err() != nil {
			return
		}
		if out := b.Inline(g, append([]*graph.Value{p}, captured...)...); len(out) == 1 {
			p = out[0]
		}
	}
	modify(f.ScoreMod, captured[:n])
	p = b.Add(Softmax{Axis: -1}, p)
	modify(f.ProbMod, captured[n:])
	if b.Err() != nil || p.Type.Rank() != 4 {
		return nil
	}
	return []*graph.Value{grouped(b, cast(p, dt), v, false)}
}

// Decompose unpacks and scales the matrix and multiplies by it, so that the other operand has a gradient.
func (m MatMulNBits) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	arg := func(i int) *graph.Value {
		if i < len(in) {
			return in[i]
		}
		return nil
	}
	dt, n, blocks := in[0].Type.DType, int64(m.N), int64(m.Blocks())
	// unpacked is count numbers a row of those packed in bytes, as floats.
	unpacked := func(v *graph.Value, count int64) *graph.Value {
		var parts []*graph.Value
		for shift := 0; shift < 8; shift += m.Bits {
			p := v
			if shift > 0 {
				p = b.Add(BitShift{Direction: "RIGHT"}, p, b.Const("shift", tensor.Scalar(uint8(shift))))
			}
			p = b.Add(BitwiseAnd{}, p, b.Const("mask", tensor.Scalar(uint8(1<<m.Bits-1))))
			parts = append(parts, b.Add(Reshape{}, p, b.Ints(n, -1, 1)))
		}
		w := b.Add(Reshape{}, b.Add(Concat{Axis: 2}, parts...), b.Ints(n, -1))
		w = b.Add(Slice{}, w, b.Ints(0), b.Ints(count), b.Ints(1))
		return b.Add(Cast{To: dt, Saturate: true}, w)
	}
	scales := b.Add(Cast{To: dt, Saturate: true}, b.Add(Reshape{}, in[2], b.Ints(n, blocks)))
	var zero *graph.Value
	switch z := arg(3); {
	case z == nil:
		zero = constLike(b, in[0], float64(int(1)<<(m.Bits-1)))
	case z.Type.DType == tensor.Uint8:
		zero = unpacked(z, blocks)
	default:
		zero = b.Add(Cast{To: dt, Saturate: true}, b.Add(Reshape{}, z, b.Ints(n, blocks)))
	}
	w := unpacked(in[1], blocks*int64(m.BlockSize))
	if g := arg(4); g != nil { // which block each column belongs to
		of := b.Add(Slice{}, b.Add(Reshape{}, g, b.Ints(-1)), b.Ints(0), b.Ints(int64(m.K)))
		pick := func(v *graph.Value) *graph.Value {
			if v.Type.Rank() < 2 {
				return v
			}
			return b.Add(Gather{Axis: 1}, v, of)
		}
		w = b.Add(Slice{}, w, b.Ints(0), b.Ints(int64(m.K)), b.Ints(1))
		w = b.Add(Mul{}, b.Add(Sub{}, w, pick(zero)), pick(scales))
	} else {
		wide := func(v *graph.Value) *graph.Value {
			if v.Type.Rank() < 2 {
				return v
			}
			return b.Add(Unsqueeze{}, v, b.Ints(2))
		}
		w = b.Add(Reshape{}, w, b.Ints(n, blocks, int64(m.BlockSize)))
		w = b.Add(Mul{}, b.Add(Sub{}, w, wide(zero)), wide(scales))
		w = b.Add(Slice{}, b.Add(Reshape{}, w, b.Ints(n, -1)), b.Ints(0), b.Ints(int64(m.K)), b.Ints(1))
	}
	y := b.Add(MatMul{}, in[0], b.Add(Transpose{Perm: []int{1, 0}}, w))
	if bias := arg(5); bias != nil {
		y = b.Add(Add{}, y, b.Add(Cast{To: dt, Saturate: true}, bias))
	}
	return []*graph.Value{y}
}
