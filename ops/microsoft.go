package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// microsoftOps is operators of ONNX Runtime's own that are no composition of others
// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
var microsoftOps = []Info{
	{MatMulNBits{Bits: 4}, "product with a matrix quantized to few bits by blocks"},
	{GroupQueryAttention{Causal: true, LocalWindowSize: -1}, "attention of grouped heads over a cache"},
}

// bytesOf is an input of bytes that differ.
func bytesOf(shape ...int) SampleIn {
	t := tensor.New(tensor.Uint8, shape...)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(37*i + 11)
	}
	return TV(t)
}

// MatMulNBits multiplies by the transpose of a matrix of N rows and K columns, quantized to Bits bits in
// blocks of BlockSize columns. Inputs: A [..., K]; B [N, blocks, BlockSize*Bits/8], packed from the low bits
// on; scales [N, blocks] or flat; zero_points, packed by rows like B, or numbers of A's type, or omitted for
// half the range; g_idx [K], which block's scale each column has; bias [N].
type MatMulNBits struct {
	K         int `onnx:"K"`
	N         int `onnx:"N"`
	Bits      int
	BlockSize int
}

// Name implements graph.Op.
func (MatMulNBits) Name() string { return "MatMulNBits" }

// Blocks is the number of blocks in a row.
func (m MatMulNBits) Blocks() int { return (m.K + m.BlockSize - 1) / m.BlockSize }

// ZeroBytes is the number of bytes that a row's packed zero points take.
func (m MatMulNBits) ZeroBytes() int { return (m.Blocks()*m.Bits + 7) / 8 }

// Infer implements graph.Op.
func (m MatMulNBits) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 6); err != nil {
		return nil, err
	}
	if m.Bits != 2 && m.Bits != 4 && m.Bits != 8 {
		return nil, errs.Errorf("bits is %d", m.Bits)
	}
	if m.K < 1 || m.N < 0 || m.BlockSize < 8 || m.BlockSize > 1<<16 || m.BlockSize&(m.BlockSize-1) != 0 {
		return nil, errs.Errorf("K is %d, N %d, block_size %d", m.K, m.N, m.BlockSize)
	}
	a := in[0]
	if !a.DType.IsFloat() || in[1].DType != tensor.Uint8 || !in[2].DType.IsFloat() {
		return nil, errs.Errorf("takes floats, uint8 and floats: %s", typeList(in[:3]))
	}
	want := []int{0, m.N * m.Blocks() * m.BlockSize * m.Bits / 8, m.N * m.Blocks(), m.N * m.Blocks(), m.K, m.N}
	if present(in, 3) && in[3].DType == tensor.Uint8 {
		want[3] = m.N * m.ZeroBytes()
	}
	for i := 1; i < len(in); i++ {
		n, ok := graph.Product(in[i].Dims).Const()
		if !present(in, i) || in[i].Unranked || !ok {
			continue
		}
		if i == 4 && n >= want[i] {
			continue // padded to whole blocks
		}
		if n != want[i] {
			return nil, errs.Errorf("input %d is %v, not of %d elements", i, in[i], want[i])
		}
	}
	if a.Unranked {
		return []graph.Type{graph.UnrankedOf(a.DType)}, nil
	}
	r := a.Rank()
	if r < 1 || !graph.Compatible(a.Dims[r-1], graph.D(m.K)) {
		return nil, errs.Errorf("A is %v, K is %d", a, m.K)
	}
	dims := append([]graph.Dim{}, a.Dims...)
	dims[r-1] = graph.D(m.N)
	return []graph.Type{graph.TensorOf(a.DType, dims...)}, nil
}

// GroupQueryAttention attends to keys and values of a cache and of the input itself. Inputs: query [B,S,
// NumHeads*D], or query, key and value packed; key and value [B,S,KVNumHeads*D]; past_key and past_value
// [B,KVNumHeads,P,D]; seqlens_k [B], the length in the end less one; total_sequence_length, the greatest of
// these lengths; cos_cache and sin_cache; position_ids; attention_bias; head_sink [NumHeads]. Where S is the
// total length nothing is past. Outputs: y, and the cache, as long as the past or the total length, whichever
// is longer.
type GroupQueryAttention struct {
	Causal            bool
	DoRotary          bool
	KVNumHeads        int `onnx:"kv_num_heads"`
	LocalWindowSize   int // how many keys back, the own one included; -1: all
	NumHeads          int
	RotaryInterleaved bool
	Scale             float64 // 0: 1/sqrt(D)
	SmoothSoftmax     bool    // a further score of 0 in each softmax, of which nothing comes
	Softcap           float64
}

// Name implements graph.Op.
func (GroupQueryAttention) Name() string { return "GroupQueryAttention" }

// Infer implements graph.Op.
func (g GroupQueryAttention) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 12); err != nil {
		return nil, err
	}
	if g.KVNumHeads < 1 || g.NumHeads < 1 || g.NumHeads%g.KVNumHeads != 0 {
		return nil, errs.Errorf("%d query heads over %d key heads", g.NumHeads, g.KVNumHeads)
	}
	if present(in, 1) != present(in, 2) || present(in, 3) != present(in, 4) || present(in, 7) != present(in, 8) {
		return nil, errs.Errorf("key and value go together, and past_key and past_value, and the caches")
	}
	if !present(in, 5) || !present(in, 6) || g.DoRotary && !present(in, 7) {
		return nil, errs.Errorf("seqlens_k and total_sequence_length are needed, and with do_rotary the caches")
	}
	q := in[0]
	u := graph.UnrankedOf(q.DType)
	if q.Unranked {
		return []graph.Type{u, u, u}, nil
	}
	if q.Rank() != 3 {
		return nil, errs.Errorf("query has rank 3, got %v", q)
	}
	heads := g.NumHeads
	if !present(in, 1) {
		heads += 2 * g.KVNumHeads
	}
	if w, ok := q.Dims[2].Const(); ok && w%heads != 0 {
		return nil, errs.Errorf("%v does not divide into %d heads", q, heads)
	}
	d := q.Dims[2].Div(graph.D(heads))
	for i := 1; i <= 2; i++ {
		if present(in, i) && in[i].Rank() >= 0 && (in[i].Rank() != 3 || !graph.Compatible(in[i].Dims[2], d.Mul(graph.D(g.KVNumHeads))) ||
			!graph.Compatible(in[i].Dims[1], q.Dims[1]) || !graph.Compatible(in[i].Dims[0], q.Dims[0])) {
			return nil, errs.Errorf("query, key and value don't fit: %s", typeList(in[:3]))
		}
	}
	total := graph.Unknown()
	if ds, ok := in[6].Contents(); ok && len(ds) == 1 {
		total = ds[0]
	}
	for i := 3; i <= 4; i++ {
		if !present(in, i) || in[i].Rank() < 0 {
			continue
		}
		if in[i].Rank() != 4 || !graph.Compatible(in[i].Dims[1], graph.D(g.KVNumHeads)) || !graph.Compatible(in[i].Dims[3], d) {
			return nil, errs.Errorf("past of %v for %d heads of %v", in[i], g.KVNumHeads, d)
		}
	}
	if present(in, 3) {
		if in[3].Rank() == 4 && !total.IsUnknown() {
			total = total.Max(in[3].Dims[2])
		} else {
			total = graph.Unknown()
		}
	}
	cache := graph.TensorOf(q.DType, q.Dims[0], graph.D(g.KVNumHeads), total, d)
	return []graph.Type{graph.TensorOf(q.DType, q.Dims[0], q.Dims[1], d.Mul(graph.D(g.NumHeads))), cache, cache}, nil
}

// microsoftSamples is the cases of microsoftOps.
func microsoftSamples() map[string][]Sample {
	return map[string][]Sample{
		"MatMulNBits": {
			Case(MatMulNBits{K: 20, N: 3, Bits: 4, BlockSize: 16}, F(2, 20), bytesOf(3, 2, 8), F(3, 2)),
			Case(MatMulNBits{K: 16, N: 2, Bits: 8, BlockSize: 16}, F(2, 1, 16), bytesOf(2, 1, 16), F(2, 1), bytesOf(2, 1),
				SampleIn{}, F(2))},
		"GroupQueryAttention": {
			Case(GroupQueryAttention{NumHeads: 2, KVNumHeads: 1, Causal: true, LocalWindowSize: -1}, F(1, 3, 8), F(1, 3, 4), F(1, 3, 4),
				SampleIn{}, SampleIn{}, TV(tensor.Of([]int32{2}, 1)), TV(tensor.Scalar(int32(3)))),
			Case(GroupQueryAttention{NumHeads: 2, KVNumHeads: 1, Causal: true, LocalWindowSize: 3, DoRotary: true, Softcap: 3}, F(1, 1, 16),
				SampleIn{}, SampleIn{}, F(1, 1, 4, 4), F(1, 1, 4, 4), TV(tensor.Of([]int32{4}, 1)), TV(tensor.Scalar(int32(5))),
				F(8, 2), F(8, 2)),
			Case(GroupQueryAttention{NumHeads: 4, KVNumHeads: 2, Causal: true, LocalWindowSize: -1, SmoothSoftmax: true}, F(2, 2, 8), F(2, 2, 4), F(2, 2, 4),
				F(2, 2, 6, 2), F(2, 2, 6, 2), TV(tensor.Of([]int32{4, 2}, 2)), TV(tensor.Scalar(int32(5)))),
			Case(GroupQueryAttention{NumHeads: 2, KVNumHeads: 2, LocalWindowSize: -1, Scale: 0.3, DoRotary: true, RotaryInterleaved: true}, F(2, 2, 8), F(2, 2, 8),
				F(2, 2, 8), F(2, 2, 2, 4), F(2, 2, 2, 4), TV(tensor.Of([]int32{2, 3}, 2)), TV(tensor.Scalar(int32(4))), F(6, 1), F(6, 1),
				TV(tensor.Of([]int64{1, 2, 2, 4}, 2, 2)), F(1, 2, 2, 5), F(2))},
	}
}
