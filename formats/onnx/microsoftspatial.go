package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// microsoftSpatial is convolutions, pools and resampling.
func microsoftSpatial() []row {
	return []row{
		takes("ConvTransposeWithDynamicPads", 2, 4, importConvTransposePads),
		takes("FusedConv", 2, 4, func(n *Node) []*graph.Value {
			y := n.Add(fill(n, ops.Conv{Group: 1}), trimmed(n.In[0], n.In[1], n.Input(2))...)
			return one(n.convActivation(n.plus(y, n.Input(3))))
		}),
		takes("GridSample", 2, 2, importGridSample),
		takes("NhwcConv", 2, 3, func(n *Node) []*graph.Value { return one(n.nhwcConv()) }),
		takes("NhwcFusedConv", 2, 4, func(n *Node) []*graph.Value {
			return one(n.convActivation(n.plus(n.nhwcConv(), n.Input(3))))
		}),
		takes("NhwcMaxPool", 1, 1, as(ops.MaxPool{Format: ops.NHWC})),
	}
}

// convActivation applies the function of a fused convolution, whose parameters are one list.
func (n *Node) convActivation(y *graph.Value) *graph.Value {
	p := append(n.Floats("activation_params"), 0, 0)
	return n.activated(y, p[0], p[1])
}

// nhwcConv is a convolution of channels-last data, whose kernel is M, spatial..., C.
func (n *Node) nhwcConv() *graph.Value {
	w := n.In[1]
	r := rank(w)
	if r < 3 {
		n.Refuse("the kernel is %v: its rank has to be known, and 3 or more", w.Type.WithoutValue())
		return n.In[0]
	}
	perm := make([]int, 0, r)
	for i := 1; i < r; i++ {
		perm = append(perm, i)
	}
	w = n.Add(ops.Transpose{Perm: append(perm, 0)}, w)
	return n.Add(fill(n, ops.Conv{Group: 1, Format: ops.NHWC}), trimmed(n.In[0], w, n.Input(2))...)
}

// importConvTransposePads reads a transposed convolution whose padding is an input: that of a constant.
func importConvTransposePads(n *Node) []*graph.Value {
	op, ok := fill(n, ops.ConvTranspose{Group: 1}).(ops.ConvTranspose)
	if !ok {
		return nil
	}
	if n.Input(2) != nil {
		if op.Pads, ok = n.constInts(2); !ok {
			n.Refuse("input Pads is no constant")
			return nil
		}
	}
	return n.AddN(op, trimmed(n.In[0], n.In[1], n.Input(3))...)
}

// importGridSample reads the form of GridSample before ONNX' own, which is ONNX' first.
func importGridSample(n *Node) []*graph.Value {
	op := ops.GridSample{PaddingMode: n.String("padding_mode", "zeros"), AlignCorners: n.Bool("align_corners", false)}
	switch mode := n.String("mode", "bilinear"); mode {
	case "bilinear":
		op.Mode = "linear"
	case "bicubic":
		op.Mode = "cubic"
	case "nearest":
		op.Mode = mode
	default:
		n.Refuse("mode is %q", mode)
	}
	return n.AddN(op, n.In...)
}

// microsoftShapes is operators that move elements.
func microsoftShapes() []row {
	return []row{
		takes("ExpandDims", 2, 2, func(n *Node) []*graph.Value {
			return one(n.Add(ops.Unsqueeze{}, n.In[0], n.Add(ops.Reshape{}, n.int64(n.In[1]), n.ints(1))))
		}),
		takes("GatherND", 2, 2, as(ops.GatherND{})),
		takes("Pad", 2, 3, as(ops.Pad{Mode: "constant"})),
		takes("Range", 2, 3, func(n *Node) []*graph.Value {
			delta := n.Input(2)
			if delta == nil {
				delta = n.scalar(1, n.In[0])
			}
			in := []*graph.Value{n.In[0], n.In[1], delta}
			for i, v := range in {
				in[i] = n.Add(ops.Reshape{}, v, n.ints())
			}
			return one(n.Add(ops.Range{}, in...))
		}),
		takes("TorchEmbedding", 2, 4, func(n *Node) []*graph.Value { // the others steer training
			return one(n.Add(ops.Gather{}, n.In[0], n.In[1]))
		}),
		takes("Trilu", 1, 2, as(ops.Trilu{Upper: true})),
		takes("Unique", 1, 1, func(n *Node) []*graph.Value { // in the order of first occurrence
			outs := n.AddN(ops.Unique{}, n.In[0])
			return []*graph.Value{outs[0], outs[2], outs[3]}
		}),
	}
}

// int64 casts to int64 what is something else.
func (n *Node) int64(x *graph.Value) *graph.Value {
	if x.Type.DType == tensor.Int64 {
		return x
	}
	return n.Add(ops.Cast{To: tensor.Int64}, x)
}
