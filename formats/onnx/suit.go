package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// suit spells what ONNX allows but ONNX Runtime has no kernel for in a way that it has; nil where nothing is to be done.
func suit(b *graph.Builder, op graph.Op, in []*graph.Value) []*graph.Value {
	switch op := op.(type) {
	case ops.Conv: // automatic pads with dilations
		kernel := op.KernelShape
		if len(kernel) == 0 && len(in) > 1 {
			kernel = kernelOf(in[1], op.Format)
		}
		if pads := samePads(in[0], op.Format, op.AutoPad, kernel, op.Strides, op.Dilations); pads != nil {
			op.AutoPad, op.Pads = ops.Explicit, pads
			return b.AddN(op, in...)
		}
	case ops.MaxPool:
		if pads := samePads(in[0], op.Format, op.AutoPad, op.KernelShape, op.Strides, op.Dilations); pads != nil {
			op.AutoPad, op.Pads = ops.Explicit, pads
			return b.AddN(op, in...)
		}
	case ops.AveragePool:
		if pads := samePads(in[0], op.Format, op.AutoPad, op.KernelShape, op.Strides, op.Dilations); pads != nil {
			op.AutoPad, op.Pads = ops.Explicit, pads
			return b.AddN(op, in...)
		}
	case ops.Resize:
		return cubicLast(b, op, in)
	}
	return nil
}

// kernelOf is the spatial sizes of a constant kernel.
func kernelOf(w *graph.Value, f ops.Format) []int {
	shape, ok := w.Type.Shape()
	switch {
	case !ok || len(shape) < 3:
		return nil
	case f == ops.NHWC:
		return shape[:len(shape)-2]
	}
	return shape[2:]
}

// samePads is the explicit pads of a window with dilations that is padded automatically. Where strides make the pads depend
// on a size that is not known there are none.
func samePads(x *graph.Value, f ops.Format, auto ops.AutoPad, kernel, strides, dilations []int) []int {
	r, dilated := rank(x), false
	for _, d := range dilations {
		dilated = dilated || d != 1
	}
	if auto != ops.SameUpper && auto != ops.SameLower || !dilated || r != len(kernel)+2 || len(dilations) != len(kernel) {
		return nil
	}
	first := 2
	if f == ops.NHWC {
		first = 1
	}
	pads := make([]int, 2*len(kernel))
	for i, k := range kernel {
		total := (k - 1) * dilations[i]
		if len(strides) > i && strides[i] != 1 {
			n, ok := x.Type.Dims[first+i].Const()
			if !ok {
				return nil
			}
			out := (n + strides[i] - 1) / strides[i]
			total = max(0, (out-1)*strides[i]+total+1-n)
		}
		small := total / 2
		if auto == ops.SameUpper {
			pads[i], pads[len(kernel)+i] = small, total-small
		} else {
			pads[i], pads[len(kernel)+i] = total-small, small
		}
	}
	return pads
}

// cubicLast shrinks the two middle axes of rank 4 by cubic interpolation as the last two, between transposes. The sizes are those
// of all axes, as ONNX Runtime 1.30 moves transposes through Resize as if there were no attribute axes; and a Reshape that
// changes nothing keeps it from moving them at all, back to what it has no kernel for.
func cubicLast(b *graph.Builder, op ops.Resize, in []*graph.Value) []*graph.Value {
	if op.Mode != "cubic" || rank(in[0]) != 4 || len(in) > 1 && in[1] != nil {
		return nil
	}
	axes := len(op.Axes) > 0
	if grows(op, in) || axes && (len(op.Axes) != 2 || op.Axes[0] != 1 || op.Axes[1] != 2) || !axes && !middleOnly(in) {
		return nil
	}
	op.Axes = nil
	x := b.Add(ops.Reshape{}, b.Add(ops.Transpose{Perm: toFirst(4)}, in[0]), b.Ints(0, 0, 0, 0))
	args := []*graph.Value{x, nil, nil}
	switch {
	case len(in) > 2 && in[2] != nil:
		scales := in[2]
		if axes {
			scales = b.Add(ops.Concat{}, b.Const("ones", tensor.Of([]float32{1, 1})), scales)
		} else {
			scales = b.Const(scales.Name, permuteVector(scales.Type.Const, toFirst(4)))
		}
		args[2] = scales
	case axes:
		args = append(args, b.Add(ops.Concat{}, b.Add(ops.Slice{}, b.Add(ops.Shape{}, x), b.Ints(0), b.Ints(2)), in[3]))
	default:
		args = append(args, b.Const(in[3].Name, permuteVector(in[3].Type.Const, toFirst(4))))
	}
	return one(b.Add(ops.Transpose{Perm: toLast(4)}, b.Add(op, args...)))
}

// grows reports whether a Resize is known to shrink nothing.
func grows(op ops.Resize, in []*graph.Value) bool {
	dims := in[0].Type.Dims
	for i := 2; i < len(in); i++ {
		if in[i] == nil {
			continue
		}
		if in[i].Type.Const == nil {
			return false
		}
		vs, err := tensor.Cast(in[i].Type.Const, tensor.Float64, tensor.CastOptions{})
		if err != nil {
			return false
		}
		for k, v := range tensor.As[float64](vs) {
			axis := k
			if len(op.Axes) > 0 {
				axis = op.Axes[k]
			}
			n, known := dims[axis].Const()
			if i == 2 && v < 1 || i == 3 && (!known || v < float64(n)) {
				return false
			}
		}
	}
	return true
}

// middleOnly reports whether constant scales or sizes leave the first and last of four axes as they are, and change another.
func middleOnly(in []*graph.Value) bool {
	keeps := func(i int, same func(axis int, v float64) bool) bool {
		if len(in) <= i || in[i] == nil || in[i].Type.Const == nil || in[i].Type.Const.Len() != 4 {
			return false
		}
		vs, err := tensor.Cast(in[i].Type.Const, tensor.Float64, tensor.CastOptions{})
		if err != nil {
			return false
		}
		f := tensor.As[float64](vs)
		return same(0, f[0]) && same(3, f[3]) && !same(1, f[1])
	}
	return keeps(2, func(_ int, v float64) bool { return v == 1 }) || keeps(3, func(axis int, v float64) bool {
		n, ok := in[0].Type.Dims[axis].Const()
		return ok && float64(n) == v
	})
}

// permuteVector puts a vector's elements in another order.
func permuteVector(t *tensor.Tensor, perm []int) *tensor.Tensor {
	out, size := tensor.New(t.DType(), len(perm)), t.DType().Size()
	for i, p := range perm {
		copy(out.Bytes()[i*size:(i+1)*size], t.Bytes()[p*size:(p+1)*size])
	}
	return out
}

// classicML is the last version of ai.onnx.ml before TreeEnsemble took the place of its two predecessors, which other
// runtimes refuse from there on.
const classicML = 3

// versionOfML is the version of ai.onnx.ml that a graph and those within it need.
func versionOfML(g *graph.Graph) int {
	v := classicML
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case ops.TreeEnsemble:
			return newest()[mlDomain]
		case ops.LabelEncoder:
			if op.KeysTensor != nil || op.ValuesTensor != nil || op.DefaultTensor != nil {
				v = max(v, 4)
			}
		case graph.Subgrapher:
			for _, sub := range op.Subgraphs() {
				v = max(v, versionOfML(sub))
			}
		}
	}
	return v
}
