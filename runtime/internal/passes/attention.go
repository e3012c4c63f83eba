package passes

import (
	"math"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// attention makes one operator of attention, written as such or as exporters spell it: products of queries and keys, a
// factor, a mask, a softmax and the product with the values, with transpositions around.
func attention(g *graph.Graph, c Context) error {
	if !c.own(ops.FusedAttention{}) {
		return nil
	}
	rules := []rewrite.Rule{
		rewrite.On("drop-identity", dropIdentity),
		rewrite.On("attention", fuseAttentionOp),
		rewrite.On("attention-swapped", fuseSwapped),
		rewrite.On("attention-product", func(r *rewrite.Rewriter, n *graph.Node, _ ops.MatMul) bool {
			return swappedUser(r, n.Out[0]) == nil && fuseAttention(r, n, n.Out[0], false)
		}),
		rewrite.On("attention-contraction", func(r *rewrite.Rewriter, n *graph.Node, _ ops.Einsum) bool {
			return fuseAttention(r, n, n.Out[0], false)
		}),
	}
	return rewrite.Apply(g, rules, rewrite.Options{})
}

// spelled lists operators that run faster as what they are made of than on the reference's kernel.
var spelled = []graph.Op{ops.Einsum{}, ops.Attention{}, ops.MeanVarianceNormalization{}, ops.LpNormalization{}, ops.RotaryEmbedding{}}

// spell spells operators on float32 that the device has no kernel of its own for in those for which it has.
func spell(g *graph.Graph, c Context) error {
	if !c.own(ops.MatMul{}) {
		return nil
	}
	wanted := map[reflect.Type]bool{}
	for _, op := range spelled {
		wanted[reflect.TypeOf(op)] = !c.own(op)
	}
	return decompose(g, func(n *graph.Node) bool {
		return wanted[reflect.TypeOf(n.Op)] && n.In[0] != nil && n.In[0].Type.DType == tensor.Float32
	})
}

// fuseAttentionOp takes ONNX's operator where only its first result is used, and no cache, window or cap.
func fuseAttentionOp(r *rewrite.Rewriter, n *graph.Node, op ops.Attention) bool {
	for _, v := range n.Out[1:] {
		if len(r.Uses(v)) > 0 || r.Escapes(v) {
			return false
		}
	}
	q, k, v, mask := n.In[0], n.In[1], n.In[2], input(n, 3)
	if v.Type.DType != tensor.Float32 || mask != nil && mask.Type.DType != tensor.Float32 && mask.Type.DType != tensor.Bool {
		return false
	}
	if q.Type.DType != tensor.Float32 || input(n, 4) != nil || input(n, 6) != nil || op.Softcap != 0 || op.LeftWindowSize >= 0 || op.RightWindowSize >= 0 ||
		op.SoftmaxPrecision.Valid() && op.SoftmaxPrecision != tensor.Float32 {
		return false
	}
	f := ops.FusedAttention{Scale: op.Scale, IsCausal: op.IsCausal, Zero: true}
	packed := q.Type.Rank() == 3
	if packed {
		f.QPacked, f.KPacked, f.VPacked, f.YPacked = true, true, true, true
		split := func(x *graph.Value, heads int) *graph.Value {
			return r.Add(ops.Reshape{}, x, intsConst(r, 0, 0, int64(heads), -1))
		}
		q, k, v = split(q, op.QNumHeads), split(k, op.KVNumHeads), split(v, op.KVNumHeads)
	}
	if q.Type.Rank() != 4 || k.Type.Rank() != 4 || v.Type.Rank() != 4 {
		return false
	}
	qd, kd := arranged(q, f.QPacked), arranged(k, f.KPacked)
	if f.Scale == 0 {
		d, ok := qd[3].Const()
		if !ok || d == 0 {
			return false
		}
		f.Scale = 1 / math.Sqrt(float64(d))
	}
	if !spansScores(mask, []graph.Dim{qd[0], qd[1], qd[2], kd[2]}) {
		return false
	}
	y := r.Add(f, q, k, v, mask)
	if packed {
		y = r.Add(ops.Reshape{}, y, intsConst(r, 0, 0, -1))
	}
	r.Replace(n.Out[0], y)
	return true
}

func intsConst(r *rewrite.Rewriter, vs ...int64) *graph.Value {
	return r.NewConst("shape", tensor.Of(vs, len(vs)))
}

// arranged is the dimensions of an operand as (batch, heads, length, size).
func arranged(v *graph.Value, packed bool) []graph.Dim {
	d := v.Type.Dims
	if packed {
		return []graph.Dim{d[0], d[2], d[1], d[3]}
	}
	return d
}

// spansScores reports whether a mask, which may be missing, is known to broadcast to scores of those dimensions.
func spansScores(mask *graph.Value, scores []graph.Dim) bool {
	if mask == nil {
		return true
	}
	rank := mask.Type.Rank()
	if rank < 0 || rank > 4 || mask.Type.DType != tensor.Float32 && mask.Type.DType != tensor.Bool {
		return false
	}
	for i, d := range mask.Type.Dims {
		if d != graph.D(1) && d != scores[4-rank+i] {
			return false
		}
	}
	return true
}

// An attended is a product's operand seen as (batch, heads, length, size), or packed.
type attended struct {
	v      *graph.Value
	packed bool
}

// unswapped looks through the transposition of heads and length before v.
func unswapped(v *graph.Value) attended {
	if t := producer[ops.Transpose](v); t != nil && slices.Equal(t.Op.(ops.Transpose).Perm, []int{0, 2, 1, 3}) {
		return attended{t.In[0], true}
	}
	return attended{v, false}
}

// swappedUser is the transposition of heads and length that alone reads v.
func swappedUser(r *rewrite.Rewriter, v *graph.Value) *graph.Node {
	if t := user[ops.Transpose](r, v); t != nil && slices.Equal(t.Op.(ops.Transpose).Perm, []int{0, 2, 1, 3}) {
		return t
	}
	return nil
}

// fuseSwapped starts from the transposition behind the product with the values.
func fuseSwapped(r *rewrite.Rewriter, n *graph.Node, _ ops.Transpose) bool {
	last := producer[ops.MatMul](n.In[0])
	return last != nil && swappedUser(r, n.In[0]) == n && fuseAttention(r, last, n.Out[0], true)
}

// fuseAttention starts from the product with the values, last, whose result is out, with heads and length exchanged if packed.
// All that it takes comes before the node that the rule is at.
func fuseAttention(r *rewrite.Rewriter, last *graph.Node, out *graph.Value, packed bool) bool {
	if len(last.In) != 2 {
		return false
	}
	n := producer[ops.Softmax](last.In[0])
	if n == nil {
		n = producer[ops.Softmax](last.In[1])
	}
	if n == nil {
		return false
	}
	x, w, op := n.In[0], n.Out[0], n.Op.(ops.Softmax)
	if x.Type.Rank() != 4 || x.Type.DType != tensor.Float32 || op.Axis != -1 && op.Axis != 3 || !r.SoleUse(w) {
		return false
	}
	scores, mask, ok := maskedScores(r, x)
	if !ok {
		return false
	}
	scale := 1.0
	for _, m := range []struct {
		n   *graph.Node
		inv bool
	}{{producer[ops.Div](scores), true}, {producer[ops.Mul](scores), false}} {
		if m.n == nil || !r.SoleUse(scores) {
			continue
		}
		c, ok := scalar(m.n.In[1])
		other := m.n.In[0]
		if !ok && !m.inv {
			c, ok = scalar(m.n.In[0])
			other = m.n.In[1]
		}
		if !ok {
			continue
		}
		if scale = c; m.inv {
			scale = 1 / c
		}
		scores = other
		break
	}
	q, k, ok := scoreOperands(r, scores)
	if !ok {
		return false
	}
	v, contracted, ok := valueOperand(w, last)
	if !ok {
		return false
	}
	qd, kd, vd := arranged(q.v, q.packed), arranged(k.v, k.packed), arranged(v.v, v.packed)
	if qd[0] != kd[0] || qd[1] != kd[1] || kd[0] != vd[0] || kd[1] != vd[1] || kd[2] != vd[2] || qd[3] != kd[3] ||
		!spansScores(mask, []graph.Dim{qd[0], qd[1], qd[2], kd[2]}) {
		return false
	}
	f := ops.FusedAttention{Scale: scale, QPacked: q.packed, KPacked: k.packed, VPacked: v.packed, YPacked: packed || contracted}
	r.Replace(out, r.Add(f, q.v, k.v, v.v, mask))
	return true
}

// maskedScores takes a mask off that is added to the scores x.
func maskedScores(r *rewrite.Rewriter, x *graph.Value) (scores, mask *graph.Value, ok bool) {
	if !r.SoleUse(x) {
		return nil, nil, false
	}
	add := producer[ops.Add](x)
	if add == nil {
		return x, nil, true
	}
	for i := range 2 {
		s, m := add.In[i], add.In[1-i]
		if s.Type.Rank() == 4 && slices.Equal(s.Type.Dims, x.Type.Dims) && r.SoleUse(s) && m.Type.DType == tensor.Float32 && isScores(s) {
			return s, m, true
		}
	}
	return nil, nil, false
}

// isScores reports whether a product, perhaps times a number, makes v.
func isScores(v *graph.Value) bool {
	for range 2 {
		if v == nil || v.Def == nil {
			return false
		}
		switch v.Def.Op.(type) {
		case ops.MatMul, ops.Einsum:
			return true
		case ops.Div:
			v = v.Def.In[0]
		case ops.Mul:
			if _, ok := scalar(v.Def.In[0]); ok {
				v = v.Def.In[1]
			} else {
				v = v.Def.In[0]
			}
		default:
			return false
		}
	}
	return false
}

// scoreOperands is the queries and keys of a product.
func scoreOperands(r *rewrite.Rewriter, v *graph.Value) (q, k attended, ok bool) {
	if v.Def == nil || !r.SoleUse(v) || len(v.Def.In) != 2 {
		return q, k, false
	}
	a, b := v.Def.In[0], v.Def.In[1]
	if a.Type.Rank() != 4 || b.Type.Rank() != 4 {
		return q, k, false
	}
	switch op := v.Def.Op.(type) {
	case ops.MatMul:
		t := producer[ops.Transpose](b)
		if t == nil {
			return q, k, false
		}
		switch perm := t.Op.(ops.Transpose).Perm; {
		case slices.Equal(perm, []int{0, 2, 3, 1}):
			return unswapped(a), attended{t.In[0], true}, true
		case slices.Equal(perm, []int{0, 1, 3, 2}):
			return unswapped(a), unswapped(t.In[0]), true
		}
	case ops.Einsum:
		p, err := op.Plan([]int{4, 4})
		if err != nil || len(p.Out) != 4 {
			return q, k, false
		}
		for i := range 2 {
			size := slices.IndexFunc(p.In[i], func(l int) bool { return !slices.Contains(p.Out, l) })
			if size != 3 {
				return q, k, false
			}
			d := p.In[i][3]
			qp, ok1 := arrangement(p.In[i], p.Out[0], p.Out[1], p.Out[2], d)
			kp, ok2 := arrangement(p.In[1-i], p.Out[0], p.Out[1], p.Out[3], d)
			if ok1 && ok2 {
				return attended{v.Def.In[i], qp}, attended{v.Def.In[1-i], kp}, true
			}
		}
	}
	return q, k, false
}

// arrangement reports whether labels are batch, length, heads, size, or else batch, heads, length, size.
func arrangement(labels []int, batch, heads, length, size int) (packed, ok bool) {
	switch {
	case slices.Equal(labels, []int{batch, length, heads, size}):
		return true, true
	case slices.Equal(labels, []int{batch, heads, length, size}):
		return false, true
	}
	return false, false
}

// valueOperand is the values by which node n multiplies the probabilities w, and whether its result is packed.
func valueOperand(w *graph.Value, n *graph.Node) (v attended, packed, ok bool) {
	if n.In[0].Type.Rank() != 4 || n.In[1].Type.Rank() != 4 {
		return v, false, false
	}
	switch op := n.Op.(type) {
	case ops.MatMul:
		return unswapped(n.In[1]), false, n.In[0] == w
	case ops.Einsum:
		i := slices.Index(n.In, w)
		p, err := op.Plan([]int{4, 4})
		if err != nil || len(p.Out) != 4 {
			return v, false, false
		}
		s := p.In[i]
		size := p.Out[3]
		if slices.Contains(s, size) {
			return v, false, false
		}
		vp, ok1 := arrangement(p.In[1-i], s[0], s[1], s[3], size)
		yp, ok2 := arrangement(p.Out, s[0], s[1], s[2], size)
		return attended{n.In[1-i], vp}, yp, ok1 && ok2
	}
	return v, false, false
}
