package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// microsoftAttention is attention in its several forms.
func microsoftAttention() []row {
	return []row{
		takes("Attention", 2, 7, importMSAttention),
		takes("CausalConvWithState", 2, 4, func(n *Node) []*graph.Value {
			if n.Int("ndim", 1) != 1 || n.Int("state_window", 0) != 0 || n.Bool("channels_last", false) {
				n.Refuse("ndim is %d, state_window %d, channels_last %v", n.Int("ndim", 1), n.Int("state_window", 0),
					n.Bool("channels_last", false))
			}
			return as(ops.CausalConvWithState{Activation: "none"})(n)
		}),
		{name: "GroupQueryAttention", since: 1, op: ops.GroupQueryAttention{Causal: true, LocalWindowSize: -1}, imp: importGroupQueryAttention},
		takes("LinearAttention", 3, 6, func(n *Node) []*graph.Value {
			if n.Int("state_window", 0) != 0 {
				n.Refuse("state_window is %d", n.Int("state_window", 0))
			}
			return as(ops.LinearAttention{UpdateRule: "gated_delta"})(n)
		}),
		takes("MultiHeadAttention", 1, 8, importMultiHeadAttention),
		takes("QAttention", 5, 9, importQAttention),
		takes("RotaryEmbedding", 4, 4, importMSRotary),
	}
}

// attentionParts is what the attention of this domain is made of before it becomes ONNX' own.
type attentionParts struct {
	heads         int
	q, k, v       *graph.Value // (batch, length, heads*size)
	mask, bias    *graph.Value
	pastK, pastV  *graph.Value // (batch, heads, length, size)
	scale, filter float64
	causal        bool
}

// attentionAttrs reads the attributes that the forms have in common.
func (n *Node) attentionAttrs() attentionParts {
	p := attentionParts{heads: n.Int("num_heads", 0), scale: n.Float("scale", 0), causal: n.Bool("unidirectional", false),
		filter: n.Float("mask_filter_value", -10000)}
	if p.heads < 1 {
		n.Refuse("num_heads is %d", p.heads)
	}
	if n.Bool("do_rotary", false) || n.Bool("past_present_share_buffer", false) {
		n.Refuse("do_rotary and past_present_share_buffer are not supported")
	}
	n.Ignore("rotary_embedding_dim")
	return p
}

// attention adds the operator: its output and the keys and values, past and new.
func (n *Node) attention(p attentionParts) []*graph.Value {
	total := n.Add(ops.Shape{Start: 1, End: 2, HasEnd: true}, p.k)
	if p.pastK != nil {
		total = n.Add(ops.Add{}, total, n.Add(ops.Shape{Start: 2, End: 3, HasEnd: true}, p.pastK))
	}
	add := n.additive(p, total)
	if p.bias != nil {
		add = n.plus(p.bias, add)
	}
	op := ops.Attention{IsCausal: p.causal, KVNumHeads: p.heads, QNumHeads: p.heads, Scale: p.scale, LeftWindowSize: -1,
		RightWindowSize: -1}
	return n.AddN(op, trimmed(p.q, p.k, p.v, add, p.pastK, p.pastV)...)
}

// additive is a mask as what is added to the scores: 0, or the filter value where the mask is 0. The mask
// is (batch, total) or (batch, length, total), or, as a vector, each row's end, then perhaps each row's start.
func (n *Node) additive(p attentionParts, total *graph.Value) *graph.Value {
	m := p.mask
	if m == nil {
		return nil
	}
	var keep *graph.Value
	switch rank(m) {
	case 1:
		keep = n.between(m, p.q, total)
	case 2:
		keep = n.Add(ops.Unsqueeze{}, n.Add(ops.Cast{To: tensor.Bool}, m), n.ints(1, 2))
	case 3:
		keep = n.Add(ops.Unsqueeze{}, n.Add(ops.Cast{To: tensor.Bool}, m), n.ints(1))
	default:
		n.Refuse("the mask is %v", m.Type.WithoutValue())
		return nil
	}
	if keep == nil {
		return nil
	}
	return n.Add(ops.Where{}, keep, n.scalar(0, p.q), n.scalar(p.filter, p.q))
}

// between says of each position whether it lies before the row's end, and not before its start.
func (n *Node) between(m, q, total *graph.Value) *graph.Value {
	m = n.int64(m)
	at := n.Add(ops.Range{}, n.scalar(0, m), n.Add(ops.Squeeze{}, total, n.ints(0)), n.scalar(1, m))
	bound := func(v *graph.Value) *graph.Value { return n.Add(ops.Unsqueeze{}, v, n.ints(1, 2, 3)) }
	batch, count := q.Type.Dims[0], m.Type.Dims[0]
	switch {
	case batch.IsConst() && count.IsConst() && count == batch.Mul(graph.D(3)).Add(graph.D(2)):
		n.Refuse("a mask of cumulated lengths, %v", m.Type.WithoutValue())
		return nil
	case count == batch.Mul(graph.D(2)) && count != batch:
		rows := n.Add(ops.Shape{End: 1, HasEnd: true}, q)
		end := n.Add(ops.Slice{}, m, n.ints(0), rows, n.ints(0))
		start := n.Add(ops.Slice{}, m, rows, n.Add(ops.Shape{}, m), n.ints(0))
		return n.Add(ops.And{}, n.Add(ops.Less{}, at, bound(end)), n.Add(ops.GreaterOrEqual{}, at, bound(start)))
	}
	return n.Add(ops.Less{}, at, bound(m))
}

// importMSAttention reads attention with the projections of the input to Q, K and V in it.
func importMSAttention(n *Node) []*graph.Value {
	p := n.attentionAttrs()
	if n.Input(6) != nil || rank(n.In[0]) != 3 {
		n.Refuse("the input is %v, a past_sequence_length is given: %v", n.In[0].Type.WithoutValue(), n.Input(6) != nil)
		return nil
	}
	p.mask, p.bias = n.Input(3), n.Input(5)
	return n.projected(p, n.plus(n.Add(ops.MatMul{}, n.In[0], n.In[1]), n.Input(2)), n.Input(4))
}

// projected takes Q, K and V apart and attends. past is keys and values stacked along a first axis, and so
// is the second output.
func (n *Node) projected(p attentionParts, qkv, past *graph.Value) []*graph.Value {
	if sizes := n.Ints("qkv_hidden_sizes"); sizes != nil {
		if len(sizes) != 3 {
			n.Refuse("qkv_hidden_sizes is %v", sizes)
			return nil
		}
		parts := n.AddN(ops.Split{Axis: 2, NumOutputs: 3}, qkv, n.ints(sizes...))
		p.q, p.k, p.v = parts[0], parts[1], parts[2]
	} else {
		parts := n.AddN(ops.Split{Axis: 2, NumOutputs: 3}, qkv)
		p.q, p.k, p.v = parts[0], parts[1], parts[2]
	}
	if past != nil {
		p.pastK = n.Add(ops.Gather{}, past, n.Const("keys", tensor.Scalar(int64(0))))
		p.pastV = n.Add(ops.Gather{}, past, n.Const("values", tensor.Scalar(int64(1))))
	}
	if n.refuse != "" || n.Err() != nil {
		return nil
	}
	outs := n.attention(p)
	y := []*graph.Value{outs[0], nil}
	if n.NumOut > 1 {
		y[1] = n.Add(ops.Concat{}, n.Add(ops.Unsqueeze{}, outs[1], n.ints(0)), n.Add(ops.Unsqueeze{}, outs[2], n.ints(0)))
	}
	return y
}

// importQAttention reads Attention on a quantized input and quantized weights.
func importQAttention(n *Node) []*graph.Value {
	p := n.attentionAttrs()
	if rank(n.In[0]) != 3 {
		n.Refuse("the input is %v", n.In[0].Type.WithoutValue())
		return nil
	}
	p.mask = n.Input(5)
	qkv := n.scaledProduct(n.In[0], n.In[1], n.In[3], n.In[4], n.Input(6), n.Input(7), n.In[2])
	return n.projected(p, qkv, n.Input(8))
}

// importMultiHeadAttention reads attention over Q, K and V that are projected already.
func importMultiHeadAttention(n *Node) []*graph.Value {
	p := n.attentionAttrs()
	if n.NumOut > 3 {
		n.Refuse("its fourth output")
	}
	p.q, p.k, p.v, p.mask, p.bias = n.In[0], n.Input(1), n.Input(2), n.Input(4), n.Input(5)
	p.pastK, p.pastV = n.Input(6), n.Input(7)
	qk, kv := rank(p.q), rank(p.k)
	switch {
	case qk == 5 && p.k == nil && p.v == nil: // (batch, length, heads, 3, size)
		parts := n.unstacked(p.q, 3)
		p.q, p.k, p.v = parts[0], parts[1], parts[2]
	case qk == 3 && kv == 5 && p.v == nil: // (batch, length, heads, 2, size)
		parts := n.unstacked(p.k, 2)
		p.k, p.v = parts[0], parts[1]
	case qk == 3 && kv == 4 && rank(p.v) == 4: // (batch, heads, length, size)
		p.k, p.v = n.packedHeads(p.k), n.packedHeads(p.v)
	case qk != 3 || kv != 3 || rank(p.v) != 3:
		n.Refuse("query, key and value of ranks %d, %d and %d", qk, kv, rank(p.v))
	}
	if n.refuse != "" {
		return nil
	}
	if bias := n.Input(3); bias != nil {
		n.biased(&p, bias, kv == 4)
	}
	if n.refuse != "" || n.Err() != nil {
		return nil
	}
	return n.attention(p)[:3]
}

// biased adds each its part of the bias to Q, K and V; only to Q where keys and values come from a cache.
func (n *Node) biased(p *attentionParts, bias *graph.Value, onlyQ bool) {
	width := func(v *graph.Value) *graph.Value { return n.Add(ops.Shape{Start: 2, End: 3, HasEnd: true}, v) }
	sizes := n.Add(ops.Concat{}, width(p.q), width(p.k), width(p.v))
	parts := n.AddN(ops.Split{NumOutputs: 3}, bias, sizes)
	p.q = n.Add(ops.Add{}, p.q, parts[0])
	if !onlyQ {
		p.k, p.v = n.Add(ops.Add{}, p.k, parts[1]), n.Add(ops.Add{}, p.v, parts[2])
	}
}

// unstacked takes (batch, length, heads, count, size) apart.
func (n *Node) unstacked(x *graph.Value, count int) []*graph.Value {
	parts := n.AddN(ops.Split{Axis: 3, NumOutputs: count}, x)
	out := make([]*graph.Value, count)
	for i, v := range parts {
		out[i] = n.Add(ops.Reshape{}, v, n.ints(0, 0, -1))
	}
	return out
}

// packedHeads turns (batch, heads, length, size) into (batch, length, heads*size).
func (n *Node) packedHeads(x *graph.Value) *graph.Value {
	return n.Add(ops.Reshape{}, n.Add(ops.Transpose{Perm: []int{0, 2, 1, 3}}, x), n.ints(0, 0, -1))
}

// importMSRotary reads RotaryEmbedding with its positions second; a single one is that of the first token.
func importMSRotary(n *Node) []*graph.Value {
	x, ids, cos, sin := n.In[0], n.int64(n.In[1]), n.In[2], n.In[3]
	op := ops.RotaryEmbedding{Interleaved: n.Bool("interleaved", false), NumHeads: n.Int("num_heads", 0),
		RotaryEmbeddingDim: n.Int("rotary_embedding_dim", 0)}
	if n.Bool("is_packed_batching", false) || n.Float("scale", 1) != 1 || rank(x) < 3 || rank(cos) != 2 {
		n.Refuse("packed batching, a scale, or unknown ranks: %v, %v", x.Type.WithoutValue(), cos.Type.WithoutValue())
		return nil
	}
	if rank(x) == 3 && op.NumHeads == 0 { // the caches tell the size of a head
		hidden, ok := x.Type.Dims[2].Const()
		half, ok2 := cos.Type.Dims[1].Const()
		if !ok || !ok2 || half == 0 {
			n.Refuse("the number of heads is not known from %v and %v", x.Type.WithoutValue(), cos.Type.WithoutValue())
			return nil
		}
		op.NumHeads = hidden / (2 * half)
	}
	if rank(ids) != 2 {
		axis := rank(x) - 2
		batch := n.Add(ops.Shape{End: 1, HasEnd: true}, x)
		length := n.Add(ops.Shape{Start: axis, End: axis + 1, HasEnd: true}, x)
		at := n.Add(ops.Range{}, n.scalar(0, ids), n.Add(ops.Squeeze{}, length, n.ints(0)), n.scalar(1, ids))
		at = n.Add(ops.Add{}, at, n.Add(ops.Reshape{}, ids, n.ints(1)))
		ids = n.Add(ops.Expand{}, n.Add(ops.Unsqueeze{}, at, n.ints(0)), n.Add(ops.Concat{}, batch, length))
	}
	return one(n.Add(op, x, cos, sin, ids))
}

// importGroupQueryAttention reads attention over a cache of keys and values.
func importGroupQueryAttention(n *Node) []*graph.Value {
	for _, name := range []string{"k_quant_type", "v_quant_type"} {
		if t := n.String(name, "NONE"); t != "NONE" {
			n.Refuse("%s is %s", name, t)
		}
	}
	n.Ignore("kv_cache_bit_width", "qk_norm_epsilon") // say nothing without a quantized cache, or norms
	if n.Int("qk_output", 0) != 0 || n.NumOut > 3 || n.Bool("sliding_window_cache", false) {
		n.Refuse("qk_output is %d, sliding_window_cache %v", n.Int("qk_output", 0), n.Bool("sliding_window_cache", false))
	}
	if len(n.In) < 7 || len(n.In) > 12 {
		n.Refuse("it has %d inputs: scales and norms are not supported", len(n.In))
	}
	if n.refuse != "" {
		return nil
	}
	return n.AddN(fill(n, ops.GroupQueryAttention{Causal: true, LocalWindowSize: -1}), n.In...)
}
