package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// spellConvTranspose makes a transposed convolution the gradient of the convolution that goes the other way, for which
// devices that train have a fast kernel.
func spellConvTranspose(r *rewrite.Rewriter, n *graph.Node, op ops.ConvTranspose) bool {
	x, w, bias := n.In[0], n.In[1], input(n, 2)
	xs, ok1 := x.Type.Shape()
	ws, ok2 := w.Type.Shape()
	out, ok3 := n.Out[0].Type.Shape()
	if !ok1 || !ok2 || !ok3 || x.Type.DType != tensor.Float32 || op.Group > 1 || len(xs) < 3 || len(xs) > 4 || bias != nil && !bias.IsConst() {
		return false
	}
	win, err := op.Window(xs, ws)
	if err != nil {
		return false
	}
	conv := ops.Conv{KernelShape: win.Kernel, Strides: win.Strides, Dilations: win.Dilations, Pads: slices.Concat(win.Begin, win.End), Format: op.Format}
	back, err := conv.Window(out, ws)
	if err != nil || !slices.Equal(back.Out, ops.SpatialDims(op.Format, xs)) {
		return false
	}
	shape := tensor.New(tensor.Int64, len(out))
	for i, d := range out {
		tensor.As[int64](shape)[i] = int64(d)
	}
	y := r.Add(ops.ConvGradInput(conv), x, w, r.NewConst("shape", shape))
	if bias != nil {
		along := []int{bias.Type.Const.Len()}
		for range len(xs) - 2 {
			if op.Format == ops.NCHW {
				along = append(along, 1)
			}
		}
		b, err := bias.Type.Const.Reshape(along...)
		if err != nil {
			return false
		}
		y = r.Add(ops.Add{}, y, r.NewConst(bias.Name, b))
	}
	r.Replace(n.Out[0], y)
	return true
}
