package passes

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// fuse makes fused operators where the device has kernels for them. It needs no shapes, but matches more with them.
func fuse(g *graph.Graph, c Context) error {
	if !c.own(ops.FusedConv{}) {
		return nil
	}
	rules := []rewrite.Rule{
		rewrite.On("drop-identity", dropIdentity),
		rewrite.On("silu", makeSilu),
		rewrite.On("gelu", makeGelu),
		rewrite.On("layernorm", makeLayerNorm),
		rewrite.On("conv", fuseConv),
		rewrite.On("gemm", fuseGemm),
		rewrite.On("matmul", fuseMatMul),
		rewrite.On("add", fuseAdd),
		{Name: "activation", Func: fuseActivation},
	}
	if c.own(ops.ConvGradInput{}) {
		rules = append(rules, rewrite.On("convtranspose", spellConvTranspose))
	}
	if !c.Exact {
		rules = append(rules, rewrite.On("batchnorm", foldBatchNorm))
	}
	return rewrite.Apply(g, rules, rewrite.Options{})
}

func dropIdentity(r *rewrite.Rewriter, n *graph.Node, _ ops.Identity) bool {
	if r.Escapes(n.Out[0]) || n.In[0] == nil {
		return false
	}
	r.Replace(n.Out[0], n.In[0])
	return true
}

// scalar is the value of a constant of one float32 element.
func scalar(v *graph.Value) (float64, bool) {
	if !v.IsConst() || v.Type.Const.Len() != 1 || v.Type.DType != tensor.Float32 {
		return 0, false
	}
	return float64(tensor.As[float32](v.Type.Const)[0]), true
}

// near reports whether v is a constant close to want: exporters write irrational numbers with few digits.
func near(v *graph.Value, want float64) bool {
	s, ok := scalar(v)
	return ok && math.Abs(s-want) <= 1e-4*math.Abs(want)
}

// operands is the two inputs of a commutative operator, the one for which is holds first.
func operands(n *graph.Node, is func(*graph.Value) bool) (a, b *graph.Value, ok bool) {
	if len(n.In) != 2 {
		return nil, nil, false
	}
	switch {
	case is(n.In[0]):
		return n.In[0], n.In[1], true
	case is(n.In[1]):
		return n.In[1], n.In[0], true
	}
	return nil, nil, false
}

// user is the only reader of v if its op is an O.
func user[O graph.Op](r *rewrite.Rewriter, v *graph.Value) *graph.Node {
	if !r.SoleUse(v) {
		return nil
	}
	n := r.Uses(v)[0]
	if _, ok := n.Op.(O); !ok {
		return nil
	}
	return n
}

// producer is the node that makes v if its op is an O.
func producer[O graph.Op](v *graph.Value) *graph.Node {
	if v == nil || v.Def == nil {
		return nil
	}
	if _, ok := v.Def.Op.(O); !ok {
		return nil
	}
	return v.Def
}

// makeSilu spells x·sigmoid(x) as Swish.
func makeSilu(r *rewrite.Rewriter, n *graph.Node, _ ops.Mul) bool {
	s, x, ok := operands(n, func(v *graph.Value) bool { return producer[ops.Sigmoid](v) != nil })
	if !ok || s.Def.In[0] != x || !r.SoleUse(s) {
		return false
	}
	r.Replace(n.Out[0], r.Add(ops.Swish{Alpha: 1}, x))
	return true
}

// makeGelu finds x/2·(1+erf(x/√2)) in the two orders that exporters write.
func makeGelu(r *rewrite.Rewriter, n *graph.Node, _ ops.Erf) bool {
	var x *graph.Value
	if d := producer[ops.Div](n.In[0]); d != nil && near(d.In[1], math.Sqrt2) {
		x = d.In[0]
	} else if m := producer[ops.Mul](n.In[0]); m != nil {
		if _, y, ok := operands(m, func(v *graph.Value) bool { return near(v, 1/math.Sqrt2) }); ok {
			x = y
		}
	}
	if x == nil {
		return false
	}
	add := user[ops.Add](r, n.Out[0])
	if add == nil {
		return false
	}
	if _, _, ok := operands(add, func(v *graph.Value) bool { return near(v, 1) }); !ok {
		return false
	}
	mul := user[ops.Mul](r, add.Out[0])
	if mul == nil {
		return false
	}
	_, other, _ := operands(mul, func(v *graph.Value) bool { return v == add.Out[0] })
	half := func(v *graph.Value) bool { return near(v, 0.5) }
	if other == x {
		last := user[ops.Mul](r, mul.Out[0])
		if last == nil {
			return false
		}
		if _, _, ok := operands(last, half); !ok {
			return false
		}
		r.Replace(last.Out[0], r.Add(ops.Gelu{}, x))
		return true
	}
	if m := producer[ops.Mul](other); m != nil {
		if _, y, ok := operands(m, half); ok && y == x {
			r.Replace(mul.Out[0], r.Add(ops.Gelu{}, x))
			return true
		}
	}
	return false
}

// lastAxisMean is the input of a mean over the last axis that keeps dimensions.
func lastAxisMean(v *graph.Value) *graph.Value {
	n := producer[ops.ReduceMean](v)
	if n == nil || !n.Op.(ops.ReduceMean).Keepdims || len(n.In) != 2 || !n.In[1].IsConst() || n.In[0].Type.Rank() < 1 {
		return nil
	}
	axes, err := n.In[1].Type.Const.Int64s()
	if err != nil || len(axes) != 1 || axes[0] != -1 && int(axes[0]) != n.In[0].Type.Rank()-1 {
		return nil
	}
	return n.In[0]
}

// makeLayerNorm finds (x-mean)/sqrt(variance+eps)·gamma+beta over the last axis.
func makeLayerNorm(r *rewrite.Rewriter, n *graph.Node, _ ops.Div) bool {
	sub, root := producer[ops.Sub](n.In[0]), producer[ops.Sqrt](n.In[1])
	if sub == nil || root == nil || lastAxisMean(sub.In[1]) != sub.In[0] {
		return false
	}
	x, u := sub.In[0], sub.Out[0]
	plus := producer[ops.Add](root.In[0])
	if plus == nil {
		return false
	}
	e, variance, ok := operands(plus, func(v *graph.Value) bool { _, ok := scalar(v); return ok })
	if !ok {
		return false
	}
	eps, _ := scalar(e)
	square := lastAxisMean(variance)
	if pow := producer[ops.Pow](square); pow != nil {
		if pow.In[0] != u || !near(pow.In[1], 2) {
			return false
		}
	} else if mul := producer[ops.Mul](square); mul == nil || mul.In[0] != u || mul.In[1] != u {
		return false
	}
	mul := user[ops.Mul](r, n.Out[0])
	if mul == nil {
		return false
	}
	gain := func(v *graph.Value) bool { return isVector(v, x) }
	gamma, _, ok := operands(mul, gain)
	if !ok {
		return false
	}
	add := user[ops.Add](r, mul.Out[0])
	if add == nil {
		return false
	}
	beta, _, ok := operands(add, gain)
	if !ok {
		return false
	}
	r.Replace(add.Out[0], r.Add(ops.LayerNormalization{Axis: -1, Epsilon: eps, StashType: 1}, x, gamma, beta))
	return true
}

// isVector reports whether v is a constant float32 vector as long as the last dimension of x.
func isVector(v, x *graph.Value) bool {
	if !v.IsConst() || v.Type.DType != tensor.Float32 || v.Type.Rank() != 1 || x.Type.Rank() < 1 {
		return false
	}
	return v.Type.Dims[0] == x.Type.Dims[x.Type.Rank()-1]
}

func fuseConv(r *rewrite.Rewriter, n *graph.Node, op ops.Conv) bool {
	x, w := n.In[0], n.In[1]
	if x.Type.DType != tensor.Float32 || !w.IsConst() || x.Type.Rank() < 3 || x.Type.Rank() > 4 {
		return false
	}
	var bias *graph.Value
	if len(n.In) > 2 && n.In[2] != nil {
		bias = n.In[2]
		if !bias.IsConst() {
			return false
		}
	}
	f := ops.FusedConv{KernelShape: op.KernelShape, Strides: op.Strides, Dilations: op.Dilations, Pads: op.Pads,
		Group: op.Group, AutoPad: op.AutoPad, Format: op.Format, Kernel: op.Format}
	r.Replace(n.Out[0], r.Add(f, x, w, nil, bias))
	return true
}

// input is input i of n, nil where omitted.
//
//go:noinline
func input(n *graph.Node, i int) *graph.Value {
	if i >= len(n.In) {
		return nil
	}
	return n.In[i]
}

// channelFactors is a BatchNormalization for inference as factor and shift of each channel.
func channelFactors(r *rewrite.Rewriter, n *graph.Node, op ops.BatchNormalization) (scale, shift []float64, ok bool) {
	if op.TrainingMode || len(n.Out) != 1 || len(n.In) != 5 || !r.Const(n.In[1:]...) || n.In[0].Type.DType != tensor.Float32 {
		return nil, nil, false
	}
	var p [4][]float64
	for i := range p {
		vs, err := n.In[i+1].Type.Const.Float64s()
		if err != nil {
			return nil, nil, false
		}
		p[i] = vs
	}
	scale, shift = make([]float64, len(p[0])), make([]float64, len(p[0]))
	for i := range scale {
		scale[i] = p[0][i] / math.Sqrt(p[3][i]+op.Epsilon)
		shift[i] = p[1][i] - p[2][i]*scale[i]
	}
	return scale, shift, true
}

func vector(r *rewrite.Rewriter, name string, vs []float64) *graph.Value {
	t := tensor.New(tensor.Float32, len(vs))
	for i, v := range vs {
		tensor.As[float32](t)[i] = float32(v)
	}
	return r.NewConst(name, t)
}

// foldBatchNorm makes a BatchNormalization the scale and bias of the convolution before it.
func foldBatchNorm(r *rewrite.Rewriter, n *graph.Node, op ops.BatchNormalization) bool {
	scale, shift, ok := channelFactors(r, n, op)
	if !ok {
		return false
	}
	conv, prev := rewrite.SoleProducer[ops.FusedConv](r, n.In[0])
	if prev == nil || conv.Epilogue.Act != ops.ActNone || input(prev, 4) != nil || conv.Format != op.Format {
		return false
	}
	if s := input(prev, 2); s != nil {
		old, _ := s.Type.Const.Float64s()
		for i := range old {
			// The bias below is scaled by this factor alone: the old one is the weights' only.
			old[i] *= scale[i]
		}
		scale, old = old, scale
		return replaceConv(r, n, conv, prev, scale, shift, old)
	}
	return replaceConv(r, n, conv, prev, scale, shift, scale)
}

// replaceConv puts a convolution with those factors in place of n; the bias that prev has is scaled by factor.
func replaceConv(r *rewrite.Rewriter, n *graph.Node, conv ops.FusedConv, prev *graph.Node, scale, shift, factor []float64) bool {
	if b := input(prev, 3); b != nil {
		vs, err := b.Type.Const.Float64s()
		if err != nil || len(vs) != len(shift) {
			return false
		}
		for i, v := range vs {
			shift[i] += v * factor[i]
		}
	}
	r.Replace(n.Out[0], r.Add(conv, prev.In[0], prev.In[1], vector(r, "scale", scale), vector(r, "bias", shift)))
	return true
}

func fuseGemm(r *rewrite.Rewriter, n *graph.Node, op ops.Gemm) bool {
	a, b, c := n.In[0], n.In[1], input(n, 2)
	if op.TransA || op.Alpha != 1 || !b.IsConst() || a.Type.DType != tensor.Float32 || b.Type.Rank() != 2 || a.Type.Rank() != 2 {
		return false
	}
	cols := b.Type.Dims[1]
	if op.TransB {
		cols = b.Type.Dims[0]
	}
	if op.Beta == 0 {
		c = nil
	}
	if c != nil && (op.Beta != 1 || c.Type.Rank() != 1 || c.Type.Dims[0] != cols) {
		return false
	}
	r.Replace(n.Out[0], r.Add(ops.FusedMatMul{TransB: op.TransB}, a, b, c))
	return true
}

func fuseMatMul(r *rewrite.Rewriter, n *graph.Node, _ ops.MatMul) bool {
	a, b := n.In[0], n.In[1]
	if !b.IsConst() || a.Type.DType != tensor.Float32 || b.Type.Rank() != 2 || a.Type.Rank() < 2 {
		return false
	}
	r.Replace(n.Out[0], r.Add(ops.FusedMatMul{}, a, b))
	return true
}

// fuseAdd makes one side of a sum the bias or residual of the product that is the other.
func fuseAdd(r *rewrite.Rewriter, n *graph.Node, _ ops.Add) bool {
	for i := range 2 {
		x, other := n.In[i], n.In[1-i]
		if m, prev := rewrite.SoleProducer[ops.FusedMatMul](r, x); prev != nil && m.Epilogue.Act == ops.ActNone && input(prev, 3) == nil {
			if input(prev, 2) == nil && isVector(other, x) {
				r.Replace(n.Out[0], r.Add(m, prev.In[0], prev.In[1], other))
				return true
			}
			if sameDims(x, other) {
				r.Replace(n.Out[0], r.Add(m, prev.In[0], prev.In[1], input(prev, 2), other))
				return true
			}
		}
		c, prev := rewrite.SoleProducer[ops.FusedConv](r, x)
		if prev == nil || c.Epilogue.Act != ops.ActNone || input(prev, 4) != nil || !sameDims(x, other) {
			continue
		}
		r.Replace(n.Out[0], r.Add(c, prev.In[0], prev.In[1], input(prev, 2), input(prev, 3), other))
		return true
	}
	return false
}

func sameDims(a, b *graph.Value) bool {
	return a != b && a.Type.Rank() >= 0 && a.Type.DType == b.Type.DType && slices.Equal(a.Type.Dims, b.Type.Dims) && !b.Type.Unranked
}

// epilogueOf is a pointwise node as an epilogue.
func epilogueOf(n *graph.Node) (ops.Epilogue, bool) {
	switch op := n.Op.(type) {
	case ops.Relu:
		return ops.Epilogue{Act: ops.ActClip, A: 0, B: math.Inf(1)}, true
	case ops.Clip:
		lo, hi := math.Inf(-1), math.Inf(1)
		for i, p := range []*float64{&lo, &hi} {
			if v := input(n, i+1); v != nil {
				s, ok := scalar(v)
				if !ok {
					return ops.Epilogue{}, false
				}
				*p = s
			}
		}
		return ops.Epilogue{Act: ops.ActClip, A: lo, B: hi}, lo <= hi
	case ops.LeakyRelu:
		return ops.Epilogue{Act: ops.ActLeakyRelu, A: op.Alpha}, true
	case ops.Sigmoid:
		return ops.Epilogue{Act: ops.ActSigmoid}, true
	case ops.Tanh:
		return ops.Epilogue{Act: ops.ActTanh}, true
	case ops.Swish:
		return ops.Epilogue{Act: ops.ActSilu}, op.Alpha == 1
	case ops.Gelu:
		if op.Approximate == "tanh" {
			return ops.Epilogue{Act: ops.ActGeluTanh}, true
		}
		return ops.Epilogue{Act: ops.ActGelu}, true
	case ops.HardSigmoid:
		return ops.Epilogue{Act: ops.ActHardSigmoid, A: op.Alpha, B: op.Beta}, true
	case ops.HardSwish:
		return ops.Epilogue{Act: ops.ActHardSwish}, true
	}
	return ops.Epilogue{}, false
}

// fuseActivation makes a pointwise function the epilogue of what comes before it.
func fuseActivation(r *rewrite.Rewriter, n *graph.Node) bool {
	if len(n.In) == 0 || n.In[0] == nil || n.In[0].Def == nil || !r.SoleUse(n.In[0]) {
		return false
	}
	e, ok := epilogueOf(n)
	if !ok {
		return false
	}
	prev := n.In[0].Def
	var op graph.Op
	switch p := prev.Op.(type) {
	case ops.FusedConv:
		ok, p.Epilogue = p.Epilogue.Act == ops.ActNone, e
		op = p
	case ops.FusedMatMul:
		ok, p.Epilogue = p.Epilogue.Act == ops.ActNone, e
		op = p
	case ops.ChannelAffine:
		ok, p.Epilogue = p.Epilogue.Act == ops.ActNone, e
		op = p
	default:
		return false
	}
	if !ok {
		return false
	}
	r.Replace(n.Out[0], r.Add(op, prev.In...))
	return true
}
