package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// concat lets what reads a joined value read its parts, so that it need not be made.
func concat(g *graph.Graph, c Context) error {
	if !c.own(ops.ConcatAffine{}) {
		return nil
	}
	return rewrite.Apply(g, []rewrite.Rule{
		rewrite.On("concat-affine", concatAffine),
		rewrite.On("concat-maxpool", concatMaxPool),
		rewrite.On("concat-conv", concatConv),
	}, rewrite.Options{})
}

// partsOf is the inputs of the Concat along the last dimension that makes v, which nothing else reads.
func partsOf(r *rewrite.Rewriter, v *graph.Value) []*graph.Value {
	op, n := rewrite.SoleProducer[ops.Concat](r, v)
	if n == nil || len(n.In) < 2 || op.Axis != -1 && op.Axis != v.Type.Rank()-1 {
		return nil
	}
	for _, p := range n.In {
		if p == nil || p.Type.DType != tensor.Float32 || !p.Type.Static() {
			return nil
		}
	}
	return n.In
}

func concatAffine(r *rewrite.Rewriter, n *graph.Node, op ops.ChannelAffine) bool {
	parts := partsOf(r, n.In[0])
	if parts == nil {
		return false
	}
	r.Replace(n.Out[0], r.Add(ops.ConcatAffine{Epilogue: op.Epilogue}, append([]*graph.Value{n.In[1], n.In[2]}, parts...)...))
	return true
}

// concatMaxPool pools the parts where a convolution that can read parts comes next.
func concatMaxPool(r *rewrite.Rewriter, n *graph.Node, op ops.MaxPool) bool {
	parts := partsOf(r, n.In[0])
	if parts == nil || op.Format != ops.NHWC || op.Indices || len(n.Out) != 1 || !r.SoleUse(n.Out[0]) {
		return false
	}
	next := r.Uses(n.Out[0])[0]
	if conv, ok := next.Op.(ops.FusedConv); !ok || !readsParts(next, conv, len(parts)) {
		return false
	}
	in := make([]*graph.Value, len(parts))
	for i, p := range parts {
		in[i] = r.Add(op, p)
	}
	r.Replace(n.Out[0], r.Add(ops.Concat{Axis: n.Out[0].Type.Rank() - 1}, in...))
	return true
}

// readsParts reports whether a convolution is a product at each pixel whose result is so much narrower than the data that
// adding up those of its parts costs less than joining them.
func readsParts(n *graph.Node, op ops.FusedConv, parts int) bool {
	x, w := n.In[0], n.In[1]
	if op.Format != ops.NHWC || op.Group > 1 || input(n, 4) != nil || !w.IsConst() || w.Type.DType != tensor.Float32 || !x.Type.Static() {
		return false
	}
	kernel, c, oc := ops.KernelDims(op.Kernel, w.Type.Const.Shape())
	plain := func(vs []int, v int) bool { return !slices.ContainsFunc(vs, func(k int) bool { return k != v }) }
	return plain(kernel, 1) && plain(op.Strides, 1) && plain(op.Pads, 0) && c >= 4*oc*(parts-1)
}

// concatConv makes a convolution of joined data one of each part, each adding to the one before.
func concatConv(r *rewrite.Rewriter, n *graph.Node, op ops.FusedConv) bool {
	parts := partsOf(r, n.In[0])
	if parts == nil || !readsParts(n, op, len(parts)) {
		return false
	}
	var sum *graph.Value
	from := 0
	for i, p := range parts {
		shape, _ := p.Type.Shape()
		c := shape[len(shape)-1]
		w := r.NewConst(n.In[1].Name, kernelPart(n.In[1].Type.Const, op.Kernel, from, c))
		conv, bias := op, (*graph.Value)(nil)
		if i == len(parts)-1 {
			bias = input(n, 3)
		} else {
			conv.Epilogue = ops.Epilogue{}
		}
		sum = r.Add(conv, p, w, input(n, 2), bias, sum)
		from += c
	}
	r.Replace(n.Out[0], sum)
	return true
}

// kernelPart is the input channels [from, from+n) of a kernel of one tap.
func kernelPart(w *tensor.Tensor, f ops.Format, from, n int) *tensor.Tensor {
	shape := slices.Clone(w.Shape())
	src := tensor.As[float32](w)
	if f == ops.NHWC { // ..., channels, outputs
		oc := shape[len(shape)-1]
		shape[len(shape)-2] = n
		out := tensor.New(tensor.Float32, shape...)
		copy(tensor.As[float32](out), src[from*oc:])
		return out
	}
	oc, c := shape[0], shape[1]
	shape[1] = n
	out := tensor.New(tensor.Float32, shape...)
	for o := range oc {
		copy(tensor.As[float32](out)[o*n:][:n], src[o*c+from:])
	}
	return out
}
