package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// FusedAttention is softmax(Scale·Q·Kᵀ + mask)·V for each head: inputs Q, K, V of rank 4 and a mask, which may be omitted:
// numbers to add or, where bool, which keys count; it broadcasts to (batch, heads, queries, keys). An operand
// that is packed is (batch, length, heads, size), else (batch, heads, length, size). Successive query heads share a
// key and value head where there are fewer of those.
type FusedAttention struct {
	Scale    float64
	IsCausal bool // query i sees keys up to i
	QPacked  bool
	KPacked  bool
	VPacked  bool
	YPacked  bool // the result
	Zero     bool // what is masked wholly is 0, not NaN
}

// Name implements graph.Op.
func (FusedAttention) Name() string { return "FusedAttention" }

// swapHeads exchanges the dimensions of heads and of length.
var swapHeads = []int{0, 2, 1, 3}

// headsOf is the dimensions of an operand as (batch, heads, length, size).
func headsOf(t graph.Type, packed bool) []graph.Dim {
	if packed {
		return permuted(t.Dims, swapHeads)
	}
	return t.Dims
}

// Infer implements graph.Op.
func (a FusedAttention) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 4); err != nil {
		return nil, err
	}
	for _, t := range in[:3] {
		if t.Rank() < 0 {
			return []graph.Type{graph.TensorOf(in[0].DType, graph.Unknown(), graph.Unknown(), graph.Unknown(), graph.Unknown())}, nil
		}
		if t.Rank() != 4 || t.DType != in[0].DType {
			return nil, errs.Errorf("Q, K and V are of one type and rank 4: %s", typeList(in[:3]))
		}
	}
	q, k, v := headsOf(in[0], a.QPacked), headsOf(in[1], a.KPacked), headsOf(in[2], a.VPacked)
	if !graph.Compatible(q[0], k[0]) || !graph.Compatible(k[0], v[0]) || !graph.Compatible(k[1], v[1]) || !graph.Compatible(k[2], v[2]) || !graph.Compatible(q[3], k[3]) {
		return nil, errs.Errorf("Q, K and V don't fit: %s", typeList(in[:3]))
	}
	if h, ok := q[1].Const(); ok {
		if n, ok := k[1].Const(); ok && (n == 0 || h%n != 0) {
			return nil, errs.Errorf("%d query heads over %d key heads", h, n)
		}
	}
	out := []graph.Dim{q[0], q[1], q[2], v[3]}
	if a.YPacked {
		out = permuted(out, swapHeads)
	}
	return []graph.Type{graph.TensorOf(in[0].DType, out...)}, nil
}

// Decompose spells it in products and a softmax.
func (a FusedAttention) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	arrange := func(x *graph.Value, packed bool) *graph.Value {
		if !packed {
			return x
		}
		return b.Add(Transpose{Perm: swapHeads}, x)
	}
	q, k, v := arrange(in[0], a.QPacked), arrange(in[1], a.KPacked), arrange(in[2], a.VPacked)
	p := mulC(b, grouped(b, q, k, true), a.Scale)
	var keep *graph.Value
	if a.IsCausal {
		keep = Attention{IsCausal: true, LeftWindowSize: -1, RightWindowSize: -1}.keep(b, q, k, nil)
	}
	mask := operand(in, 3)
	if mask != nil && mask.Type.DType == tensor.Bool {
		if keep != nil {
			mask = b.Add(And{}, keep, mask)
		}
		keep, mask = mask, nil
	}
	if mask != nil {
		p = b.Add(Add{}, p, mask)
		if a.Zero {
			low := b.Add(Greater{}, mask, constLike(b, mask, math.Inf(-1)))
			if keep != nil {
				low = b.Add(And{}, keep, low)
			}
			keep = low
		}
	}
	if keep != nil {
		p = b.Add(Where{}, keep, p, constLike(b, p, math.Inf(-1)))
	}
	p = b.Add(Softmax{Axis: -1}, p)
	if keep != nil && a.Zero {
		p = b.Add(Where{}, keep, p, constLike(b, p, 0))
	}
	return one(arrange(grouped(b, p, v, false), a.YPacked))
}
