package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// layout turns spatial operators on channels-first data into their channels-last forms between transpositions, and
// moves those down the graph until they meet and cancel. Weights stay as they are.
func layout(g *graph.Graph, c Context) error {
	if !c.own(ops.FusedConv{}) {
		return nil
	}
	return rewrite.Apply(g, []rewrite.Rule{
		rewrite.On("conv-last", convLast),
		rewrite.On("maxpool-last", maxPoolLast),
		rewrite.On("maxpoolgrad-last", maxPoolGradLast),
		rewrite.On("averagepool-last", averagePoolLast),
		rewrite.On("averagepoolgrad-last", averagePoolGradLast),
		rewrite.On("globalaveragepool-last", globalAveragePoolLast),
		rewrite.On("batchnorm-last", batchNormLast),
		rewrite.On("transpose", mergeTransposes),
		rewrite.On("concat", sinkConcat),
		rewrite.On("mean", sinkMean),
		{Name: "pointwise", Func: sinkPointwise},
		{Name: "activation", Func: fuseActivation},
	}, rewrite.Options{})
}

// pair joins a pointwise convolution and the depthwise one that alone reads it, where what lies between is larger than
// a core's cache.
func pair(g *graph.Graph, c Context) error {
	if !c.own(ops.ConvPair{}) {
		return nil
	}
	return rewrite.Apply(g, []rewrite.Rule{rewrite.On("pair", makePair)}, rewrite.Options{})
}

// pairBytes is the size of a value from which on it pays not to make it as a whole.
const pairBytes = 1 << 16

func makePair(r *rewrite.Rewriter, n *graph.Node, dw ops.FusedConv) bool {
	pw, prev := rewrite.SoleProducer[ops.FusedConv](r, n.In[0])
	if prev == nil || !r.Const(prev.In[1], n.In[1]) || dw.Format != ops.NHWC || pw.Format != ops.NHWC || input(n, 4) != nil || input(prev, 4) != nil || pw.Group > 1 {
		return false
	}
	x, ok1 := prev.In[0].Type.Shape()
	mid, ok2 := n.In[0].Type.Shape()
	out, ok3 := n.Out[0].Type.Shape()
	w1, ok4 := prev.In[1].Type.Shape()
	if !ok1 || !ok2 || !ok3 || !ok4 || len(mid) != 4 || dw.Group != mid[3] || out[3] != mid[3] || 4*mid[1]*mid[2]*mid[3] < pairBytes {
		return false
	}
	kernel, _, _ := ops.KernelDims(pw.Kernel, w1)
	if kernel[0] != 1 || kernel[1] != 1 || !slices.Equal(x[:3], mid[:3]) {
		return false
	}
	for _, s := range pw.Strides {
		if s != 1 {
			return false
		}
	}
	for _, s := range pw.Pads {
		if s != 0 {
			return false
		}
	}
	r.Replace(n.Out[0], r.Add(ops.ConvPair{First: pw, Second: dw}, prev.In[0], prev.In[1], input(prev, 2), input(prev, 3), n.In[1], input(n, 2), input(n, 3)))
	return true
}

// toLast and toFirst are the permutations that move the channels of data of that rank.
func toLast(rank int) []int {
	p := []int{0}
	for i := 2; i < rank; i++ {
		p = append(p, i)
	}
	return append(p, 1)
}

func toFirst(rank int) []int {
	p := []int{0, rank - 1}
	for i := 1; i < rank-1; i++ {
		p = append(p, i)
	}
	return p
}

func last(r *rewrite.Rewriter, v *graph.Value) *graph.Value {
	return r.Add(ops.Transpose{Perm: toLast(v.Type.Rank())}, v)
}

func first(r *rewrite.Rewriter, v *graph.Value) *graph.Value {
	return r.Add(ops.Transpose{Perm: toFirst(v.Type.Rank())}, v)
}

// spatialF32 reports whether v is float32 data with one or two spatial dimensions.
func spatialF32(v *graph.Value) bool {
	return v.Type.DType == tensor.Float32 && (v.Type.Rank() == 3 || v.Type.Rank() == 4)
}

func convLast(r *rewrite.Rewriter, n *graph.Node, op ops.FusedConv) bool {
	if op.Format != ops.NCHW || !n.In[1].IsConst() {
		return false
	}
	op.Format = ops.NHWC
	in := slices.Clone(n.In)
	in[0] = last(r, in[0])
	if res := input(n, 4); res != nil {
		in[4] = last(r, res)
	}
	r.Replace(n.Out[0], first(r, r.Add(op, in...)))
	return true
}

func maxPoolLast(r *rewrite.Rewriter, n *graph.Node, op ops.MaxPool) bool {
	if op.Format != ops.NCHW || op.Indices || !spatialF32(n.In[0]) {
		return false
	}
	op.Format = ops.NHWC
	r.Replace(n.Out[0], first(r, r.Add(op, last(r, n.In[0]))))
	return true
}

func maxPoolGradLast(r *rewrite.Rewriter, n *graph.Node, op ops.MaxPoolGrad) bool {
	if op.Format != ops.NCHW || !spatialF32(n.In[0]) {
		return false
	}
	op.Format = ops.NHWC
	in := make([]*graph.Value, len(n.In))
	for i, v := range n.In {
		in[i] = last(r, v)
	}
	r.Replace(n.Out[0], first(r, r.Add(op, in...)))
	return true
}

func averagePoolGradLast(r *rewrite.Rewriter, n *graph.Node, op ops.AveragePoolGrad) bool {
	shape, ok := n.Out[0].Type.Shape()
	if op.Format != ops.NCHW || !spatialF32(n.In[0]) || !ok {
		return false
	}
	op.Format = ops.NHWC
	dims := tensor.New(tensor.Int64, len(shape))
	for i, p := range toLast(len(shape)) {
		tensor.As[int64](dims)[i] = int64(shape[p])
	}
	r.Replace(n.Out[0], first(r, r.Add(op, last(r, n.In[0]), r.NewConst("shape", dims))))
	return true
}

func averagePoolLast(r *rewrite.Rewriter, n *graph.Node, op ops.AveragePool) bool {
	if op.Format != ops.NCHW || !spatialF32(n.In[0]) {
		return false
	}
	op.Format = ops.NHWC
	r.Replace(n.Out[0], first(r, r.Add(op, last(r, n.In[0]))))
	return true
}

func globalAveragePoolLast(r *rewrite.Rewriter, n *graph.Node, op ops.GlobalAveragePool) bool {
	if op.Format != ops.NCHW || !spatialF32(n.In[0]) {
		return false
	}
	r.Replace(n.Out[0], first(r, r.Add(ops.GlobalAveragePool{Format: ops.NHWC}, last(r, n.In[0]))))
	return true
}

// batchNormLast makes a BatchNormalization that no convolution took up a factor and shift along the last dimension.
func batchNormLast(r *rewrite.Rewriter, n *graph.Node, op ops.BatchNormalization) bool {
	scale, shift, ok := channelFactors(r, n, op)
	if !ok || n.In[0].Type.Rank() < 2 {
		return false
	}
	a, b := vector(r, "scale", scale), vector(r, "shift", shift)
	if op.Format == ops.NHWC || n.In[0].Type.Rank() == 2 {
		r.Replace(n.Out[0], r.Add(ops.ChannelAffine{}, n.In[0], a, b))
		return true
	}
	r.Replace(n.Out[0], first(r, r.Add(ops.ChannelAffine{}, last(r, n.In[0]), a, b)))
	return true
}

// mergeTransposes makes one transposition of two, drops those that change nothing, and makes a Reshape of those
// that move dimensions of length 1 only.
func mergeTransposes(r *rewrite.Rewriter, n *graph.Node, op ops.Transpose) bool {
	x := n.In[0]
	perm := op.Perm
	if len(perm) == 0 {
		return false
	}
	if prev := producer[ops.Transpose](x); prev != nil && len(prev.Op.(ops.Transpose).Perm) == len(perm) {
		inner := prev.Op.(ops.Transpose).Perm
		both := make([]int, len(perm))
		for i, p := range perm {
			both[i] = inner[p]
		}
		if slices.IsSorted(both) {
			r.Replace(n.Out[0], prev.In[0])
			return true
		}
		r.Replace(n.Out[0], r.Add(ops.Transpose{Perm: both}, prev.In[0]))
		return true
	}
	if slices.IsSorted(perm) && !r.Escapes(n.Out[0]) {
		r.Replace(n.Out[0], x)
		return true
	}
	shape, ok := n.Out[0].Type.Shape()
	from, ok2 := x.Type.Shape()
	if !ok || !ok2 || x.IsConst() {
		return false
	}
	at := -1
	for _, p := range perm {
		if from[p] == 1 {
			continue
		}
		if p < at {
			return false
		}
		at = p
	}
	dims := tensor.New(tensor.Int64, len(shape))
	for i, d := range shape {
		tensor.As[int64](dims)[i] = int64(d)
	}
	r.Replace(n.Out[0], r.Add(ops.Reshape{Allowzero: true}, x, r.NewConst("shape", dims)))
	return true
}

// lastOf is the channels-last data of which v is the channels-first view, or nil.
func lastOf(v *graph.Value) *graph.Value {
	n := producer[ops.Transpose](v)
	if n == nil || v.Type.Rank() < 3 || !slices.Equal(n.Op.(ops.Transpose).Perm, toFirst(v.Type.Rank())) {
		return nil
	}
	return n.In[0]
}

// isPointwise reports whether an op works on each element by itself, broadcasting its inputs.
func isPointwise(op graph.Op) bool {
	switch op.(type) {
	case ops.Relu, ops.Sigmoid, ops.Tanh, ops.LeakyRelu, ops.Elu, ops.Selu, ops.Celu, ops.HardSigmoid, ops.HardSwish, ops.Swish, ops.Gelu,
		ops.Softplus, ops.Softsign, ops.Mish, ops.Clip, ops.Erf, ops.Neg, ops.Abs, ops.Exp, ops.Log, ops.Sqrt, ops.Rsqrt, ops.Reciprocal,
		ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Max, ops.Min, ops.Pow:
		return true
	}
	return false
}

// sinkPointwise moves a transposition from the inputs of a pointwise operator to its output.
func sinkPointwise(r *rewrite.Rewriter, n *graph.Node) bool {
	if !isPointwise(n.Op) || len(n.Out) != 1 {
		return false
	}
	rank := n.Out[0].Type.Rank()
	views := 0
	for _, v := range n.In {
		if v == nil {
			continue
		}
		if v.Type.Rank() == rank && lastOf(v) != nil {
			views++
		} else if v.Type.Rank() > 1 && v.Type.Rank() != rank && !v.IsConst() || v.Type.Rank() == 1 && v.Type.Dims[0] != graph.D(1) && !v.IsConst() {
			return false
		}
	}
	if views == 0 {
		return false
	}
	// Of rank 3, the way there is the way back: what is added for one input would be sunk from it again.
	if rank <= 3 && slices.ContainsFunc(n.In, func(v *graph.Value) bool {
		return v != nil && v.Type.Rank() == rank && lastOf(v) == nil && !v.IsConst()
	}) {
		return false
	}
	in := make([]*graph.Value, len(n.In))
	for i, v := range n.In {
		switch {
		case v == nil || v.Type.Rank() == 0 || v.Type.Rank() == 1 && v.Type.Dims[0] == graph.D(1):
			in[i] = v
		case v.Type.Rank() == rank && lastOf(v) != nil:
			in[i] = lastOf(v)
		case v.IsConst():
			c, ok := constLast(r, v, rank)
			if !ok {
				return false
			}
			in[i] = c
		default:
			in[i] = last(r, v)
		}
	}
	r.Replace(n.Out[0], first(r, r.Add(n.Op, in...)))
	return true
}

// constLast is a broadcasting constant with its channels moved from the second of rank dimensions to the last.
func constLast(r *rewrite.Rewriter, v *graph.Value, rank int) (*graph.Value, bool) {
	t := v.Type.Const
	shape := slices.Clone(t.Shape())
	for len(shape) < rank {
		shape = slices.Insert(shape, 0, 1)
	}
	if len(shape) != rank || t.DType().Size() != 4 {
		return nil, false
	}
	full, err := t.Reshape(shape...)
	if err != nil {
		return nil, false
	}
	perm := toLast(rank)
	out := make([]int, rank)
	st, from := make([]int, rank), tensor.Strides(shape)
	for i, p := range perm {
		out[i], st[i] = shape[p], from[p]
	}
	c := tensor.New(t.DType(), out...)
	dst, src := c.Bytes(), full.Bytes()
	for i := range c.Len() {
		rest, off := i, 0
		for k := rank - 1; k >= 0; k-- {
			off += rest % out[k] * st[k]
			rest /= out[k]
		}
		copy(dst[i*4:i*4+4], src[off*4:])
	}
	return r.NewConst(v.Name, c), true
}

// sinkConcat moves transpositions below a Concat when most of its inputs have them.
func sinkConcat(r *rewrite.Rewriter, n *graph.Node, op ops.Concat) bool {
	rank := n.Out[0].Type.Rank()
	views := 0
	for _, v := range n.In {
		if lastOf(v) != nil {
			views++
		}
	}
	if rank < 3 || 2*views < len(n.In) || views == 0 {
		return false
	}
	axis := op.Axis
	if axis < 0 {
		axis += rank
	}
	in := make([]*graph.Value, len(n.In))
	for i, v := range n.In {
		if in[i] = lastOf(v); in[i] == nil {
			in[i] = last(r, v)
		}
	}
	r.Replace(n.Out[0], first(r, r.Add(ops.Concat{Axis: slices.Index(toLast(rank), axis)}, in...)))
	return true
}

// sinkMean makes a mean over all spatial dimensions of channels-first data a global pool.
func sinkMean(r *rewrite.Rewriter, n *graph.Node, op ops.ReduceMean) bool {
	x := lastOf(n.In[0])
	if x == nil || !spatialF32(x) || len(n.In) != 2 || !n.In[1].IsConst() {
		return false
	}
	axes, err := n.In[1].Type.Const.Int64s()
	rank := x.Type.Rank()
	if err != nil || len(axes) != rank-2 {
		return false
	}
	for i := range axes {
		if axes[i] < 0 {
			axes[i] += int64(rank)
		}
	}
	slices.Sort(axes)
	if axes[0] != 2 || axes[len(axes)-1] != int64(rank-1) {
		return false
	}
	y := r.Add(ops.GlobalAveragePool{Format: ops.NHWC}, x)
	if op.Keepdims {
		r.Replace(n.Out[0], first(r, y))
		return true
	}
	r.Replace(n.Out[0], r.Add(ops.Flatten{Axis: 1}, y))
	return true
}
