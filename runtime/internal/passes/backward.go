package passes

import (
	"reflect"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
)

// backward rewrites gradients: what a mask or a sum does to a large value it does to a smaller one before, and an activation
// becomes part of the convolution whose kernel is trained.
func backward(g *graph.Graph, c Context) error {
	if len(g.Updates) == 0 {
		return nil
	}
	rules := []rewrite.Rule{rewrite.On("mask-pool", maskPool), rewrite.On("sum-pool", sumPool), rewrite.On("pooled", keepPooled)}
	if c.own(ops.FusedConv{}) {
		rules = append(rules, rewrite.Rule{Name: "conv-activation", Func: clipConv})
	}
	return rewrite.Apply(g, rules, rewrite.Options{})
}

// maskPool lets pass what MaxPoolGrad hands back where the data is positive, which is where the pool's result is: the mask
// then is as small as that.
func maskPool(r *rewrite.Rewriter, n *graph.Node, _ ops.Where) bool {
	more, prev := producer[ops.Greater](n.In[0]), producer[ops.MaxPoolGrad](n.In[1])
	if more == nil || prev == nil || !r.SoleUse(n.In[1]) || more.In[0] != prev.In[0] {
		return false
	}
	zero, ok := scalar(more.In[1])
	zero2, ok2 := scalar(n.In[2])
	if !ok || !ok2 || zero != 0 || zero2 != 0 {
		return false
	}
	y := pooled(r, prev)
	if y == nil {
		return false
	}
	dy := r.Add(ops.Where{}, r.Add(ops.Greater{}, y, more.In[1]), prev.In[1], n.In[2])
	r.Replace(n.Out[0], r.Add(prev.Op, prev.In[0], dy, y))
	return true
}

// pooled is what the pool gave of which n is the gradient, or nil.
func pooled(r *rewrite.Rewriter, n *graph.Node) *graph.Value {
	for _, m := range r.Uses(n.In[0]) {
		if p, ok := m.Op.(ops.MaxPool); ok && !p.Indices && reflect.DeepEqual(p, ops.MaxPool(n.Op.(ops.MaxPoolGrad))) {
			return m.Out[0]
		}
	}
	return nil
}

// keepPooled hands the pool's result to its gradient, which otherwise has to find it again.
func keepPooled(r *rewrite.Rewriter, n *graph.Node, op ops.MaxPoolGrad) bool {
	y := pooled(r, n)
	if len(n.In) > 2 || y == nil {
		return false
	}
	r.Replace(n.Out[0], r.Add(op, n.In[0], n.In[1], y))
	return true
}

// sumPool sums what MaxPoolGrad is given rather than what it makes of it, where the sum runs over whole pictures.
func sumPool(r *rewrite.Rewriter, n *graph.Node, _ ops.SumTo) bool {
	prev := producer[ops.MaxPoolGrad](n.In[0])
	shape, ok := n.Out[0].Type.Shape()
	if prev == nil || !ok || !prev.In[0].Type.Static() || !prev.In[1].Type.Static() {
		return false
	}
	x, _ := prev.In[0].Type.Shape()
	op := prev.Op.(ops.MaxPoolGrad)
	channel := op.Format.Channel(len(x))
	for i := 1; i < len(x); i++ {
		if at := i - len(x) + len(shape); i != channel && at >= 0 && shape[at] != 1 {
			return false
		}
	}
	if win, err := op.Window(x); err != nil || !touches(win) {
		return false
	}
	r.Replace(n.Out[0], r.Add(ops.SumTo{}, prev.In[1], n.In[1]))
	return true
}

// touches reports whether every window reads some of the data.
func touches(w ops.Window) bool {
	for i := range w.Kernel {
		for o := range w.Out[i] {
			at, taps := o*w.Strides[i]-w.Begin[i], w.Kernel[i]
			for ; taps > 0 && at < 0; taps-- {
				at += w.Dilations[i]
			}
			if taps == 0 || at >= w.In[i] {
				return false
			}
		}
	}
	return true
}

// clipConv makes a Relu or Clip the end of the convolution before it, whose kernel is no constant.
func clipConv(r *rewrite.Rewriter, n *graph.Node) bool {
	if len(n.In) == 0 {
		return false
	}
	op, prev := rewrite.SoleProducer[ops.Conv](r, n.In[0])
	if prev == nil || prev.In[1].IsConst() || !spatialF32(prev.In[0]) {
		return false
	}
	e, ok := epilogueOf(n)
	if !ok || e.Act != ops.ActClip {
		return false
	}
	f := ops.FusedConv{KernelShape: op.KernelShape, Strides: op.Strides, Dilations: op.Dilations, Pads: op.Pads,
		Group: op.Group, AutoPad: op.AutoPad, Format: op.Format, Kernel: op.Format, Epilogue: e}
	r.Replace(n.Out[0], r.Add(f, prev.In[0], prev.In[1], nil, input(prev, 2)))
	return true
}
