package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// attentionOps is the family of attention and what surrounds it.
var attentionOps = []Info{
	{Attention{LeftWindowSize: -1, RightWindowSize: -1}, "scaled dot-product attention"},
	{RotaryEmbedding{}, "rotary position embedding"},
	{LinearAttention{}, "linear attention as a recurrence"},
	{CausalConvWithState{}, "causal depthwise convolution with carried state"},
	{FlexAttention{}, "attention with graphs that change scores and probabilities"},
}

// Attention is ONNX's Attention. Inputs Q, K, V (rank 4: batch, heads, length, size; or rank 3 with
// QNumHeads and KVNumHeads), attn_mask, past_key, past_value, nonpad_kv_seqlen. Outputs Y, present_key,
// present_value, qk_matmul_output. Scale 0 is 1/sqrt(head size); windows of -1 are unbounded.
type Attention struct {
	IsCausal           bool
	KVNumHeads         int `onnx:"kv_num_heads"`
	LeftWindowSize     int
	QNumHeads          int
	QKMatmulOutputMode int `onnx:"qk_matmul_output_mode"`
	RightWindowSize    int
	Scale              float64
	Softcap            float64
	SoftmaxPrecision   tensor.DType
}

// Name implements graph.Op.
func (Attention) Name() string { return "Attention" }

// Infer implements graph.Op.
func (a Attention) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 7); err != nil {
		return nil, err
	}
	q, k, v := in[0], in[1], in[2]
	if present(in, 4) != present(in, 5) {
		return nil, errs.Errorf("past_key and past_value go together")
	}
	if present(in, 4) && present(in, 6) {
		return nil, errs.Errorf("nonpad_kv_seqlen excludes past_key")
	}
	if q.Rank() < 0 || k.Rank() < 0 || v.Rank() < 0 {
		u := graph.UnrankedOf(q.DType)
		return []graph.Type{u, u, graph.UnrankedOf(v.DType), u}, nil
	}
	if q.Rank() != k.Rank() || q.Rank() != v.Rank() || q.Rank() != 3 && q.Rank() != 4 {
		return nil, errs.Errorf("Q, K and V all have rank 3 or all 4: %s", typeList(in[:3]))
	}
	qd, err := headDims(q, a.QNumHeads)
	if err != nil {
		return nil, errs.Errorf("Q: %w", err)
	}
	kd, err := headDims(k, a.KVNumHeads)
	if err != nil {
		return nil, errs.Errorf("K: %w", err)
	}
	vd, err := headDims(v, a.KVNumHeads)
	if err != nil {
		return nil, errs.Errorf("V: %w", err)
	}
	if !graph.Compatible(qd[3], kd[3]) || !graph.Compatible(kd[2], vd[2]) || !graph.Compatible(kd[1], vd[1]) ||
		!graph.Compatible(qd[0], kd[0]) || !graph.Compatible(kd[0], vd[0]) {
		return nil, errs.Errorf("Q, K and V don't fit: %s", typeList(in[:3]))
	}
	if h, ok := qd[1].Const(); ok {
		if n, ok := kd[1].Const(); ok && (n == 0 || h%n != 0) {
			return nil, errs.Errorf("%d query heads over %d key heads", h, n)
		}
	}
	total := kd[2]
	if present(in, 4) {
		if in[4].Rank() != 4 || in[5].Rank() != 4 {
			return nil, errs.Errorf("past_key and past_value have rank 4: %s", typeList(in[4:6]))
		}
		total = total.Add(in[4].Dims[2])
	}
	y := graph.TensorOf(q.DType, qd[0], qd[1], qd[2], vd[3])
	if q.Rank() == 3 {
		y = graph.TensorOf(q.DType, qd[0], qd[2], qd[1].Mul(vd[3]))
	}
	return []graph.Type{y, graph.TensorOf(k.DType, kd[0], kd[1], total, kd[3]), graph.TensorOf(v.DType, vd[0], vd[1], total, vd[3]),
		graph.TensorOf(q.DType, qd[0], qd[1], qd[2], total)}, nil
}

// headDims is (batch, heads, length, size) of a rank-4 or packed rank-3 tensor.
func headDims(t graph.Type, heads int) ([]graph.Dim, error) {
	if t.Rank() == 4 {
		return t.Dims, nil
	}
	if heads <= 0 {
		return nil, errs.Errorf("%v needs the number of heads", t)
	}
	if n, ok := t.Dims[2].Const(); ok && n%heads != 0 {
		return nil, errs.Errorf("%v does not divide into %d heads", t, heads)
	}
	return []graph.Dim{t.Dims[0], graph.D(heads), t.Dims[1], t.Dims[2].Div(graph.D(heads))}, nil
}

// RotaryEmbedding rotates pairs of elements by position. Inputs X (rank 4, or 3 with NumHeads), cos_cache,
// sin_cache, position_ids. RotaryEmbeddingDim 0 rotates all of a head.
type RotaryEmbedding struct {
	Interleaved        bool
	NumHeads           int
	RotaryEmbeddingDim int
}

// Name implements graph.Op.
func (RotaryEmbedding) Name() string { return "RotaryEmbedding" }

// Infer implements graph.Op.
func (r RotaryEmbedding) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 4); err != nil {
		return nil, err
	}
	if x := in[0]; x.Rank() >= 0 {
		if x.Rank() != 3 && x.Rank() != 4 {
			return nil, errs.Errorf("X has rank 3 or 4, got %v", x)
		}
		if _, err := headDims(x, r.NumHeads); err != nil {
			return nil, err
		}
	}
	return sameAsFirst(in)
}

// LinearAttention is ONNX's LinearAttention: a state matrix for each head, updated by UpdateRule (linear,
// gated, delta, gated_delta). Inputs query, key, value (packed, rank 3), past_state, decay, beta; outputs
// Y and present_state. Scale 0 is 1/sqrt(key size). ChunkSize is a hint without meaning here.
type LinearAttention struct {
	ChunkSize  int
	KVNumHeads int `onnx:"kv_num_heads"`
	QNumHeads  int
	Scale      float64
	UpdateRule string
}

// Name implements graph.Op.
func (LinearAttention) Name() string { return "LinearAttention" }

// rule says which terms the update rule has.
func (l LinearAttention) rule() (gated, delta bool, err error) {
	switch l.UpdateRule {
	case "linear":
	case "gated":
		gated = true
	case "delta":
		delta = true
	case "", "gated_delta":
		gated, delta = true, true
	default:
		err = errs.Errorf("unknown update_rule %q", l.UpdateRule)
	}
	return gated, delta, err
}

// Infer implements graph.Op.
func (l LinearAttention) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 6); err != nil {
		return nil, err
	}
	gated, delta, err := l.rule()
	if err != nil {
		return nil, err
	}
	if gated != present(in, 4) || delta != present(in, 5) {
		return nil, errs.Errorf("update_rule %q with decay: %v, beta: %v", l.UpdateRule, present(in, 4), present(in, 5))
	}
	if l.KVNumHeads <= 0 || l.QNumHeads <= 0 || l.QNumHeads%l.KVNumHeads != 0 {
		return nil, errs.Errorf("%d query heads over %d key heads", l.QNumHeads, l.KVNumHeads)
	}
	q, k, v := in[0], in[1], in[2]
	sdt := q.DType
	if present(in, 3) {
		sdt = in[3].DType
	}
	if q.Rank() != 3 || k.Rank() != 3 || v.Rank() != 3 {
		if q.Rank() < 0 || k.Rank() < 0 || v.Rank() < 0 {
			return []graph.Type{graph.UnrankedOf(q.DType), graph.UnrankedOf(sdt)}, nil
		}
		return nil, errs.Errorf("query, key and value have rank 3: %s", typeList(in[:3]))
	}
	kv := graph.D(l.KVNumHeads)
	dk, dv := q.Dims[2].Div(graph.D(l.QNumHeads)), v.Dims[2].Div(kv)
	if !graph.Compatible(k.Dims[2], dk.Mul(kv)) {
		return nil, errs.Errorf("query and key differ in the size of a head: %s", typeList(in[:3]))
	}
	for _, t := range in[1:3] {
		if !graph.Compatible(t.Dims[0], q.Dims[0]) || !graph.Compatible(t.Dims[1], q.Dims[1]) {
			return nil, errs.Errorf("query, key and value differ in batch or length: %s", typeList(in[:3]))
		}
	}
	for i := 4; i < 6; i++ {
		if present(in, i) && !fitsDims(in[i], q.Dims[0], q.Dims[1], graph.Unknown()) {
			return nil, errs.Errorf("decay and beta are (batch, length, size): %s", typeList(in))
		}
	}
	if present(in, 3) && !fitsDims(in[3], q.Dims[0], kv, dk, dv) {
		return nil, errs.Errorf("past_state is (batch, key heads, key size, value size): %s", typeList(in))
	}
	return []graph.Type{graph.TensorOf(q.DType, q.Dims[0], q.Dims[1], dv.Mul(graph.D(l.QNumHeads))),
		graph.TensorOf(sdt, q.Dims[0], kv, dk, dv)}, nil
}

// CausalConvWithState convolves each channel of its first input (batch, channels, length) with its own
// kernel (channels, 1, k), looking back only. Inputs x, weight, bias, past_state; outputs Y and the last
// k-1 positions, the next call's past_state. Activation is none (also ""), silu or swish.
type CausalConvWithState struct{ Activation string }

// Name implements graph.Op.
func (CausalConvWithState) Name() string { return "CausalConvWithState" }

// Infer implements graph.Op.
func (c CausalConvWithState) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	switch c.Activation {
	case "", "none", "silu", "swish":
	default:
		return nil, errs.Errorf("unknown activation %q", c.Activation)
	}
	x, w := in[0], in[1]
	if x.Rank() < 0 || w.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType), graph.UnrankedOf(x.DType)}, nil
	}
	if x.Rank() != 3 || w.Rank() != 3 || !graph.Compatible(x.Dims[1], w.Dims[0]) || !graph.Compatible(w.Dims[1], graph.D(1)) {
		return nil, errs.Errorf("x is (batch, channels, length), weight (channels, 1, k): %s", typeList(in[:2]))
	}
	if k, ok := w.Dims[2].Const(); ok && k < 1 {
		return nil, errs.Errorf("a kernel of no elements: %s", typeList(in[:2]))
	}
	state := graph.TensorOf(x.DType, x.Dims[0], x.Dims[1], w.Dims[2].Sub(graph.D(1)))
	if present(in, 2) && !fitsDims(in[2], x.Dims[1]) || present(in, 3) && !fitsDims(in[3], state.Dims...) {
		return nil, errs.Errorf("bias is (channels), past_state (batch, channels, k-1): %s", typeList(in))
	}
	return []graph.Type{x.WithoutValue(), state}, nil
}

// FlexAttention is attention over rank-4 Q, K, V whose scores and probabilities pass through graphs of one
// input and one output. What these capture follows V: NumScore values for ScoreMod, then ProbMod's.
type FlexAttention struct {
	Scale            float64
	SoftmaxPrecision tensor.DType
	ScoreMod         *graph.Graph
	ProbMod          *graph.Graph
	NumScore         int
}

// Name implements graph.Op.
func (FlexAttention) Name() string { return "FlexAttention" }

// Precision is the element type that the graphs see and the softmax is computed in, for operands of dt.
func (f FlexAttention) Precision(dt tensor.DType) tensor.DType {
	switch {
	case f.SoftmaxPrecision.Valid():
		return f.SoftmaxPrecision
	case dt.Size() < 4:
		return tensor.Float32
	}
	return dt
}

// Subgraphs implements graph.Subgrapher.
func (f FlexAttention) Subgraphs() []*graph.Graph {
	var gs []*graph.Graph
	for _, g := range []*graph.Graph{f.ScoreMod, f.ProbMod} {
		if g != nil {
			gs = append(gs, g)
		}
	}
	return gs
}

// WithSubgraphs implements graph.Subgrapher.
func (f FlexAttention) WithSubgraphs(gs []*graph.Graph) graph.Op {
	for _, p := range []**graph.Graph{&f.ScoreMod, &f.ProbMod} {
		if *p != nil {
			*p, gs = gs[0], gs[1:]
		}
	}
	return f
}

// Infer implements graph.Op.
func (f FlexAttention) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, -1); err != nil {
		return nil, err
	}
	out, err := Attention{LeftWindowSize: -1, RightWindowSize: -1}.Infer(in[:3])
	if err != nil {
		return nil, err
	}
	if in[0].Rank() == 3 {
		return nil, errs.Errorf("Q, K and V have rank 4: %s", typeList(in[:3]))
	}
	return out[:1], nil
}

// attentionSamples is the cases of attentionOps.
func attentionSamples() map[string][]Sample {
	return map[string][]Sample{
		"Attention": {
			Case(Attention{LeftWindowSize: -1, RightWindowSize: -1}, F(2, 2, 3, 4), F(2, 2, 5, 4), F(2, 2, 5, 3)),
			Case(Attention{IsCausal: true, QNumHeads: 2, KVNumHeads: 1, LeftWindowSize: -1, RightWindowSize: -1, Softcap: 2},
				F(1, 3, 8), F(1, 3, 4), F(1, 3, 4)),
			Case(Attention{IsCausal: true, LeftWindowSize: 2, RightWindowSize: -1, Scale: 0.4}, F(1, 4, 3, 4), F(1, 2, 3, 4), F(1, 2, 3, 2),
				F(3, 5), F(1, 2, 2, 4), F(1, 2, 2, 2)),
			Case(Attention{LeftWindowSize: -1, RightWindowSize: 1, QKMatmulOutputMode: 3}, F(1, 1, 3, 2), F(1, 1, 3, 2), F(1, 1, 3, 2),
				TV(tensor.Of([]bool{true, false, true, false, false, false, true, true, true}, 3, 3)))},
		"RotaryEmbedding": {
			Case(RotaryEmbedding{}, F(1, 2, 3, 4), F(1, 3, 2), F(1, 3, 2)),
			Case(RotaryEmbedding{Interleaved: true, NumHeads: 2}, F(1, 3, 8), F(5, 2), F(5, 2), TV(tensor.Of([]int64{0, 4, 2}, 1, 3))),
			Case(RotaryEmbedding{Interleaved: true, RotaryEmbeddingDim: 4}, F(1, 2, 3, 6), F(1, 3, 2), F(1, 3, 2))},
		"LinearAttention": {
			Case(LinearAttention{KVNumHeads: 1, QNumHeads: 2, UpdateRule: "linear"}, F(1, 3, 4), F(1, 3, 2), F(1, 3, 2)),
			Case(LinearAttention{KVNumHeads: 2, QNumHeads: 2, UpdateRule: "gated", Scale: 0.7}, F(2, 3, 4), F(2, 3, 4), F(2, 3, 6), F(2, 2, 2, 3), F(2, 3, 4)),
			Case(LinearAttention{KVNumHeads: 2, QNumHeads: 4, UpdateRule: "delta"}, F(1, 3, 8), F(1, 3, 4), F(1, 3, 4), SampleIn{}, SampleIn{}, F(1, 3, 2)),
			Case(LinearAttention{KVNumHeads: 2, QNumHeads: 2}, F(2, 3, 4), F(2, 3, 4), F(2, 3, 4), SampleIn{}, F(2, 3, 2), F(2, 3, 1))},
		"CausalConvWithState": {
			Case(CausalConvWithState{Activation: "silu"}, F(2, 3, 4), F(3, 1, 3), F(3)),
			Case(CausalConvWithState{}, F(2, 3, 2), F(3, 1, 3), SampleIn{}, F(2, 3, 2))},
		"FlexAttention": {
			Case(FlexAttention{ScoreMod: unaryBody(Tanh{})}, F(1, 2, 3, 4), F(1, 1, 5, 4), F(1, 1, 5, 3)),
			Case(FlexAttention{Scale: 0.5, ProbMod: unaryBody(Sqrt{})}, F(2, 1, 3, 4), F(2, 1, 2, 4), F(2, 1, 2, 3))},
	}
}
