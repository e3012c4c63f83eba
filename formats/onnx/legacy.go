package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// legacyRows is operators that were experimental in ONNX 1.0 to 1.4 and then removed, and those of other
// tools; all of them are spelled in operators that stay.
func legacyRows() []row {
	return slices.Concat([]row{
		{name: "Affine", since: 1, imp: func(n *Node) []*graph.Value {
			x := n.Input(0)
			y := n.Add(ops.Mul{}, x, n.scalar(n.Float("alpha", 1), x))
			return one(n.Add(ops.Add{}, y, n.scalar(n.Float("beta", 0), x)))
		}},
		{name: "ConstantFill", since: 1, imp: importConstantFill},
		{name: "Crop", since: 1, imp: importCrop},
		{name: "DynamicSlice", since: 1, imp: func(n *Node) []*graph.Value { return n.AddN(ops.Slice{}, n.In...) }},
		{name: "GivenTensorFill", since: 1, imp: importGivenTensorFill},
		{name: "ImageScaler", since: 1, imp: importImageScaler},
		{name: "ParametricSoftplus", since: 1, imp: func(n *Node) []*graph.Value {
			x := n.Input(0)
			y := n.Add(ops.Softplus{}, n.Add(ops.Mul{}, x, n.scalar(n.Float("beta", 1), x)))
			return one(n.Add(ops.Mul{}, y, n.scalar(n.Float("alpha", 1), x)))
		}},
		{name: "Scale", since: 1, imp: func(n *Node) []*graph.Value {
			return one(n.Add(ops.Mul{}, n.Input(0), n.scalar(n.Float("scale", 1), n.Input(0))))
		}},
		{name: "ScaledTanh", since: 1, imp: func(n *Node) []*graph.Value {
			x := n.Input(0)
			y := n.Add(ops.Tanh{}, n.Add(ops.Mul{}, x, n.scalar(n.Float("beta", 1), x)))
			return one(n.Add(ops.Mul{}, y, n.scalar(n.Float("alpha", 1), x)))
		}},
	}, qonnxRows())
}

// importCrop cuts left, top, right and bottom borders; with a scale, so much from the left top corner on.
func importCrop(n *Node) []*graph.Value {
	border, scale := n.Ints("border"), n.Ints("scale")
	if len(border) != 4 || scale != nil && len(scale) != 2 {
		n.Refuse("border is %v, scale %v", border, scale)
		return nil
	}
	x := n.Input(0)
	var ends *graph.Value
	if scale != nil {
		ends = n.ints(border[1]+scale[0], border[0]+scale[1])
	} else {
		size := n.Add(ops.Shape{Start: 2, End: 4, HasEnd: true}, x)
		ends = n.Add(ops.Sub{}, size, n.ints(border[3], border[2]))
	}
	return one(n.Add(ops.Slice{}, x, n.ints(border[1], border[0]), ends, n.ints(2, 3)))
}

// importImageScaler multiplies by one scale and adds a bias for each channel.
func importImageScaler(n *Node) []*graph.Value {
	if n.Input(0) == nil {
		n.Refuse("it has no input")
		return nil
	}
	x, bias := n.Input(0), n.Floats("bias")
	b := tensor.New(tensor.Float64, len(bias), 1, 1)
	copy(tensor.As[float64](b), bias)
	c, err := tensor.Cast(b, x.Type.DType, tensor.CastOptions{})
	if err != nil {
		n.Refuse("%v", err)
		return nil
	}
	y := n.Add(ops.Mul{}, x, n.scalar(n.Float("scale", 1), x))
	return one(n.Add(ops.Add{}, y, n.Const("bias", c)))
}

// importConstantFill fills a shape, an attribute or a vector input, with one number.
func importConstantFill(n *Node) []*graph.Value {
	dt := n.DType("dtype", tensor.Float32)
	asShape, extra, shape := n.Bool("input_as_shape", false), n.Ints("extra_shape"), n.Ints("shape")
	value := tensor.New(dt, 1)
	if err := setNumber(value, n.Float("value", 0)); err != nil {
		n.Refuse("%v", err)
		return nil
	}
	var dims *graph.Value
	switch {
	case n.Input(0) == nil:
		dims = n.ints(shape...)
	case asShape:
		dims = n.Add(ops.Cast{To: tensor.Int64, Saturate: true}, n.Input(0))
	default:
		dims = n.Add(ops.Shape{}, n.Input(0))
	}
	if extra != nil {
		dims = n.Add(ops.Concat{}, dims, n.ints(extra...))
	}
	return one(n.Add(ops.ConstantOfShape{Value: value}, dims))
}

// importGivenTensorFill is a constant whose elements are an attribute.
func importGivenTensorFill(n *Node) []*graph.Value {
	n.Ignore("extra_shape", "input_as_shape")
	values, shape := n.Floats("values"), n.Ints("shape")
	if n.Input(0) != nil || n.Has("extra_shape") {
		n.Refuse("a shape that is an input")
		return nil
	}
	t, err := tensor.Make(tensor.Float32, shape)
	if err == nil {
		err = t.SetFloat64s(values)
	}
	if err != nil {
		n.Refuse("%v", err)
		return nil
	}
	return one(n.Const(n.p.Output[0], t))
}
