package onnx

import (
	"fmt"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// older spells, for the target version, what only an attribute of a later one says; nil where nothing has
// to be done.
func (w *writer) older(b *graph.Builder, op graph.Op, in []*graph.Value) []*graph.Value {
	switch op := op.(type) {
	case ops.Shape:
		if w.opset >= 15 || op.Start == 0 && !op.HasEnd {
			return nil
		}
		args := []*graph.Value{b.Add(ops.Shape{}, in[0]), b.Ints(int64(op.Start)), b.Ints(1 << 40)}
		if op.HasEnd {
			args[2] = b.Ints(int64(op.End))
		}
		return one(b.Add(ops.Slice{}, args...))
	case ops.Resize:
		if w.opset < 18 && len(op.Axes) > 0 {
			return resizeAll(b, op, in)
		}
	}
	return nil
}

// resizeAll is a Resize of some axes as one of all of them, the others at scale 1.
func resizeAll(b *graph.Builder, op ops.Resize, in []*graph.Value) []*graph.Value {
	r := rank(in[0])
	if r < 0 || len(in) > 1 && in[1] != nil || op.KeepAspectRatioPolicy != "" && op.KeepAspectRatioPolicy != "stretch" {
		return nil
	}
	place := make([]int, r)
	for i, a := range op.Axes {
		if a < 0 {
			a += r
		}
		if a < 0 || a >= r {
			return nil
		}
		place[a] = i + 1
	}
	op.Axes = nil
	if len(in) > 2 && in[2] != nil {
		c := in[2].Type.Const
		if c == nil || c.DType() != tensor.Float32 {
			return nil
		}
		scales := make([]float32, r)
		for a, i := range place {
			if scales[a] = 1; i > 0 {
				scales[a] = tensor.As[float32](c)[i-1]
			}
		}
		return one(b.Add(op, in[0], nil, b.Const("scales", tensor.Of(scales))))
	}
	if len(in) < 4 || in[3] == nil {
		return nil
	}
	shape := b.Add(ops.Shape{}, in[0])
	parts := make([]*graph.Value, r)
	for a, i := range place {
		parts[a] = b.Add(ops.Gather{}, shape, b.Ints(int64(a)))
		if i > 0 {
			parts[a] = b.Add(ops.Gather{}, in[3], b.Ints(int64(i-1)))
		}
	}
	return one(b.Add(op, in[0], nil, nil, b.Add(ops.Concat{}, parts...)))
}

// small reports whether a type is one of the 8-bit floats, for which Cast has options.
func small(dt tensor.DType) bool { return dt >= tensor.Float8E4M3FN && dt <= tensor.Float8E8M0 }

// exportCast leaves out what says nothing about other types than the 8-bit floats.
func exportCast(x *graphWriter, r row, n *graph.Node) error {
	to := n.Out[0].Type.DType
	c := *n
	switch op := n.Op.(type) {
	case ops.Cast:
		if !small(to) {
			op.Saturate, op.RoundMode = true, "up"
		}
		c.Op = op
	case ops.CastLike:
		if !small(to) {
			op.Saturate, op.RoundMode = true, "up"
		}
		c.Op = op
	}
	return x.auto(r, &c)
}

// exportGridSample16 writes the names that the modes had before version 20.
func exportGridSample16(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.GridSample)
	if !ok || rank(n.In[0]) != 4 {
		return cannot("of rank 4 only in operator set %d", x.opset)
	}
	if m, ok := map[string]string{"": "bilinear", "linear": "bilinear", "cubic": "bicubic"}[op.Mode]; ok {
		op.Mode = m
	}
	c := *n
	c.Op = op
	return x.auto(r, &c)
}

// exportDFT17 writes the axis as the attribute that it was before version 20.
func exportDFT17(x *graphWriter, r row, n *graph.Node) error {
	axis := int64(-2)
	if len(n.In) > 2 && n.In[2] != nil {
		c := n.In[2].Type.Const
		if c == nil || c.Len() != 1 {
			return cannot("an axis that is no constant, in operator set %d", x.opset)
		}
		vs, err := c.Int64s()
		if err != nil {
			return err
		}
		axis = vs[0]
	}
	if axis < 0 {
		if rank(n.In[0]) < 0 {
			return cannot("axis %d of a tensor of unknown rank, in operator set %d", axis, x.opset)
		}
		axis += int64(rank(n.In[0]))
	}
	attrs, err := x.attrs(r, n.Op)
	if err != nil {
		return err
	}
	attrs = append(attrs, &pb.AttributeProto{Name: "axis", Type: pb.AttrInt, I: axis})
	return x.emit(r, n, n.In[:min(2, len(n.In))], attrs)
}

// exportRoiAlign10 writes the one way of sampling that there was before version 16.
func exportRoiAlign10(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.RoiAlign)
	if !ok || op.CoordinateTransformationMode != "output_half_pixel" {
		return cannot("coordinate_transformation_mode %q, in operator set %d", fmt.Sprint(op.CoordinateTransformationMode), x.opset)
	}
	op.CoordinateTransformationMode = ""
	c := *n
	c.Op = op
	return x.auto(r, &c)
}
