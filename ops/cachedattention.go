package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Decompose spells attention over a cache in products and a softmax. Not so where the size of a head, or what the
// rotary caches cover of it, is unknown, or the rank of position_ids.
func (g GroupQueryAttention) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	arg := func(i int) *graph.Value {
		if i < len(in) {
			return in[i]
		}
		return nil
	}
	q, k, v := g.heads(b, in[0], arg(1), arg(2))
	if q == nil {
		return nil
	}
	size, ok := q.Type.Dims[3].Const()
	if !ok {
		return nil
	}
	whole := func(v *graph.Value, shape ...int64) *graph.Value {
		v = b.Add(Cast{To: tensor.Int64, Saturate: true}, v)
		return b.Add(Reshape{}, v, b.Const("shape", tensor.Of(shape, len(shape))))
	}
	total, length := whole(in[6], 1), dimOf(b, q, 2)
	first := b.Add(Equal{}, length, total) // nothing is past
	ends := b.Add(Add{}, whole(in[5], -1, 1), b.Ints(1))
	past := b.Add(Where{}, first, b.Ints(0), b.Add(Sub{}, ends, length))
	places := b.Add(Add{}, past, counting(b, length)) // of the input's own tokens, (batch, length)
	if g.DoRotary {
		if q, k = g.rotated(b, q, k, arg(7), arg(8), places, arg(9), first); q == nil {
			return nil
		}
	}
	n := total
	if arg(3) != nil {
		n = b.Add(Max{}, n, dimOf(b, arg(3), 2))
	}
	c := cacheParts{b, n, counting(b, n), past, length}
	keys, values := c.join(k, arg(3)), c.join(v, arg(4))

	scale := g.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(size))
	}
	p := mulC(b, grouped(b, q, keys, true), scale)
	if g.Softcap > 0 {
		p = mulC(b, b.Add(Tanh{}, mulC(b, p, 1/g.Softcap)), g.Softcap)
	}
	if bias := arg(10); bias != nil {
		p = b.Add(Add{}, p, c.fitted(bias))
	}
	if g.Causal {
		ends = b.Add(Min{}, ends, b.Add(Add{}, places, b.Ints(1)))
	}
	ends = b.Add(Unsqueeze{}, ends, b.Ints(1, 3))
	keep := b.Add(Less{}, c.cols, ends)
	if g.Causal && g.LocalWindowSize >= 0 {
		keep = b.Add(And{}, keep, b.Add(GreaterOrEqual{}, c.cols, b.Add(Sub{}, ends, b.Ints(int64(g.LocalWindowSize)))))
	}
	p = g.softmax(b, b.Add(Where{}, keep, p, constLike(b, p, math.Inf(-1))), arg(11))
	y := b.Add(Transpose{Perm: []int{0, 2, 1, 3}}, grouped(b, p, values, false))
	return []*graph.Value{b.Add(Reshape{}, y, b.Ints(0, 0, int64(g.NumHeads*size))), keys, values}
}

// heads is query, key and value as (batch, heads, length, size); nil where the rank is unknown.
func (g GroupQueryAttention) heads(b *graph.Builder, q, k, v *graph.Value) (_, _, _ *graph.Value) {
	if q.Type.Rank() != 3 {
		return nil, nil, nil
	}
	if k != nil {
		return toHeads(b, q, g.NumHeads), toHeads(b, k, g.KVNumHeads), toHeads(b, v, g.KVNumHeads)
	}
	parts := b.AddN(Split{Axis: 1, NumOutputs: 3}, toHeads(b, q, g.NumHeads+2*g.KVNumHeads),
		b.Ints(int64(g.NumHeads), int64(g.KVNumHeads), int64(g.KVNumHeads)))
	if len(parts) != 3 {
		return nil, nil, nil
	}
	return parts[0], parts[1], parts[2]
}

// rotated turns queries and keys by their places, or by ids.
func (g GroupQueryAttention) rotated(b *graph.Builder, q, k, cos, sin, places, ids, first *graph.Value) (_, _ *graph.Value) {
	half, ok := 0, false
	if cos != nil && cos.Type.Rank() == 2 {
		half, ok = cos.Type.Dims[1].Const()
	}
	if !ok {
		return nil, nil
	}
	if ids != nil { // of the shape of places, or, where nothing is past, of any: then the first counts, others follow it
		if r := ids.Type.Rank(); r < 0 || r > 2 {
			return nil, nil
		}
		ids = b.Add(Cast{To: tensor.Int64, Saturate: true}, ids)
		from := b.Add(Slice{}, b.Add(Reshape{}, ids, b.Ints(-1)), b.Ints(0), b.Ints(1))
		from = b.Add(Add{}, from, counting(b, dimOf(b, q, 2)))
		places = b.Add(Expand{}, b.Add(Where{}, first, from, ids), b.Add(Shape{}, places))
	}
	op := RotaryEmbedding{Interleaved: g.RotaryInterleaved, RotaryEmbeddingDim: 2 * half}
	return b.Add(op, q, cos, sin, places), b.Add(op, k, cos, sin, places)
}

// softmax is the probabilities of scores, with a further score in each row where the operator has one.
func (g GroupQueryAttention) softmax(b *graph.Builder, p, sink *graph.Value) *graph.Value {
	if sink == nil && !g.SmoothSoftmax {
		return b.Add(Softmax{Axis: -1}, p)
	}
	if sink == nil {
		sink = constLike(b, p, 0)
	} else {
		sink = b.Add(Reshape{}, sink, b.Ints(1, -1, 1, 1))
	}
	sink = b.Add(Expand{}, sink, b.Add(Concat{}, b.Add(Shape{End: 3, HasEnd: true}, p), b.Ints(1)))
	all := b.Add(Softmax{Axis: -1}, b.Add(Concat{Axis: 3}, p, sink))
	return b.Add(Slice{}, all, b.Ints(0), b.Ints(-1), b.Ints(3))
}

// cacheParts makes caches of n places: cols counts them, past (batch, 1) is how many of them are taken before the
// input's own, of which there are length.
type cacheParts struct {
	b                     *graph.Builder
	n, cols, past, length *graph.Value
}

// join is what is past, the input's own x behind it, and zeros.
func (c cacheParts) join(x, past *graph.Value) *graph.Value {
	b := c.b
	wide := func(v *graph.Value) *graph.Value { return b.Add(Unsqueeze{}, v, b.Ints(1, 3)) }
	at := b.Add(Sub{}, c.cols, c.past)
	own := b.Add(And{}, b.Add(GreaterOrEqual{}, at, b.Ints(0)), b.Add(Less{}, at, c.length))
	at = b.Add(Max{}, b.Add(Min{}, at, b.Add(Sub{}, c.length, b.Ints(1))), b.Ints(0))
	at = b.Add(Expand{}, wide(at), b.Add(Concat{}, b.Add(Shape{End: 2, HasEnd: true}, x), c.n, dimOf(b, x, 3)))
	rest := constLike(b, x, 0)
	if past != nil {
		rest = b.Add(Where{}, wide(b.Add(Less{}, c.cols, c.past)), c.padded(past, 2), rest)
	}
	return b.Add(Where{}, wide(own), b.Add(GatherElements{Axis: 2}, x, at), rest)
}

// padded is x with zeros behind it along an axis, to the caches' length.
func (c cacheParts) padded(x *graph.Value, axis int) *graph.Value {
	b := c.b
	return b.Add(Pad{Mode: "constant"}, x, b.Add(Concat{}, b.Ints(0), b.Add(Sub{}, c.n, dimOf(b, x, axis))), nil, b.Ints(int64(axis)))
}

// fitted is a bias, which may be longer than what it is for or shorter than the cache, of the caches' length.
func (c cacheParts) fitted(bias *graph.Value) *graph.Value {
	return c.padded(c.b.Add(Slice{}, bias, c.b.Ints(0), c.n, c.b.Ints(3)), 3)
}
