package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// dequantized is a quantized tensor as floats; zero may be omitted.
func (n *Node) dequantized(x, scale, zero *graph.Value) *graph.Value {
	return n.Add(ops.DequantizeLinear{Axis: -1}, trimmed(x, scale, zero)...)
}

// quantized is floats in a quantized type: that of zero, or uint8.
func (n *Node) quantized(x, scale, zero *graph.Value) *graph.Value {
	return n.Add(ops.QuantizeLinear{Axis: -1, Saturate: true}, trimmed(x, scale, zero)...)
}

// microsoftQuant is quantized products and pointwise functions.
func microsoftQuant() []row {
	binary := func(op graph.Op) func(n *Node) []*graph.Value {
		return func(n *Node) []*graph.Value {
			a, b := n.dequantized(n.In[0], n.In[1], n.In[2]), n.dequantized(n.In[3], n.In[4], n.In[5])
			return one(n.quantized(n.Add(op, a, b), n.In[6], n.Input(7)))
		}
	}
	return []row{
		takes("DequantizeLinear", 2, 3, as(ops.DequantizeLinear{Axis: 1})),
		takes("QuantizeLinear", 2, 3, as(ops.QuantizeLinear{Axis: 1, Saturate: true})),
		takes("DynamicQuantizeMatMul", 3, 5, importDynamicQuantizeMatMul),
		takes("MatMulInteger16", 2, 2, func(n *Node) []*graph.Value {
			return one(n.Add(ops.MatMul{}, n.int32(n.In[0]), n.int32(n.In[1])))
		}),
		takes("MatMulIntegerToFloat", 4, 7, func(n *Node) []*graph.Value {
			return one(n.scaledProduct(n.In[0], n.In[1], n.In[2], n.In[3], n.Input(4), n.Input(5), n.Input(6)))
		}),
		{name: "MulInteger", since: 1, imp: func(n *Node) []*graph.Value {
			if n.Input(0) == nil || n.Input(2) == nil || len(n.In) > 4 {
				n.Refuse("it takes A, a zero point, B and a zero point, got %d inputs", len(n.In))
				return nil
			}
			return one(n.Add(ops.Mul{}, n.centered(n.In[0], n.In[1]), n.centered(n.In[2], n.Input(3))))
		}},
		takes("QGemm", 6, 9, importQGemm),
		takes("QLinearAdd", 7, 8, binary(ops.Add{})).omitting(2, 5),
		takes("QLinearConcat", 5, 1<<16, importQLinearConcat),
		takes("QLinearLeakyRelu", 4, 5, func(n *Node) []*graph.Value {
			return one(n.requantized(ops.LeakyRelu{Alpha: n.Float("alpha", float64(float32(0.01)))}))
		}).omitting(2),
		takes("QLinearMul", 7, 8, binary(ops.Mul{})).omitting(2, 5),
		takes("QLinearSigmoid", 4, 5, func(n *Node) []*graph.Value { return one(n.requantized(ops.Sigmoid{})) }).omitting(2),
		takes("QLinearSoftmax", 4, 5, importQLinearSoftmax).omitting(2),
		takes("QLinearWhere", 9, 9, func(n *Node) []*graph.Value {
			x, y := n.dequantized(n.In[1], n.In[2], n.In[3]), n.dequantized(n.In[4], n.In[5], n.In[6])
			return one(n.quantized(n.Add(ops.Where{}, n.In[0], x, y), n.In[7], n.In[8]))
		}),
	}
}

// omitting lets nodes leave out zero points at those places among the inputs, each two behind what it
// belongs to: they are 0.
func (r row) omitting(inputs ...int) row {
	imp := r.imp
	r.imp = func(n *Node) []*graph.Value {
		for _, i := range inputs {
			if i < len(n.In) && n.In[i] == nil && n.In[i-2] != nil {
				n.In[i] = n.Const("zero", tensor.New(n.In[i-2].Type.DType))
			}
		}
		return imp(n)
	}
	return r
}

func (n *Node) int32(x *graph.Value) *graph.Value { return n.Add(ops.Cast{To: tensor.Int32}, x) }

// centered is x - zero in int32.
func (n *Node) centered(x, zero *graph.Value) *graph.Value {
	x = n.int32(x)
	if zero == nil {
		return x
	}
	return n.Add(ops.Sub{}, x, n.int32(zero))
}

// requantized applies op to the inputs x, x_scale, x_zero_point, y_scale, y_zero_point.
func (n *Node) requantized(op graph.Op) *graph.Value {
	return n.quantized(n.Add(op, n.dequantized(n.In[0], n.In[1], n.In[2])), n.In[3], n.Input(4))
}

// scaledProduct is the product of two quantized matrices as floats.
func (n *Node) scaledProduct(a, b, as, bs, az, bz, bias *graph.Value) *graph.Value {
	y := n.Add(ops.MatMulInteger{}, trimmed(a, b, az, bz)...)
	y = n.Add(ops.Cast{To: as.Type.DType, Saturate: true}, y)
	return n.plus(n.Add(ops.Mul{}, y, n.Add(ops.Mul{}, as, bs)), bias)
}

func importDynamicQuantizeMatMul(n *Node) []*graph.Value {
	q := n.AddN(ops.DynamicQuantizeLinear{}, n.In[0])
	return one(n.scaledProduct(q[0], n.In[1], q[1], n.In[2], q[2], n.Input(3), n.Input(4)))
}

// importQGemm reads a quantized product with an int32 bias; without a scale for it the result is floats.
func importQGemm(n *Node) []*graph.Value {
	a, b := n.In[0], n.In[3]
	if n.Bool("transA", false) {
		a = n.swapped(a)
	}
	if n.Bool("transB", false) {
		b = n.swapped(b)
	}
	y := n.plus(n.Add(ops.MatMulInteger{}, a, b, n.In[2], n.In[5]), n.Input(6))
	scale := n.times(n.Add(ops.Mul{}, n.In[1], n.In[4]), n.Float("alpha", 1))
	y = n.Add(ops.Mul{}, n.Add(ops.Cast{To: tensor.Float32, Saturate: true}, y), scale)
	if s := n.Input(7); s != nil {
		y = n.quantized(y, s, n.Input(8))
	}
	return one(y)
}

// importQLinearConcat reads the result's scale and zero point, then each part with its own.
func importQLinearConcat(n *Node) []*graph.Value {
	if len(n.In)%3 != 2 || slices.Contains(n.In, nil) {
		n.Refuse("%d inputs are not 2 and a multiple of 3", len(n.In))
		return nil
	}
	var parts []*graph.Value
	for i := 2; i < len(n.In); i += 3 {
		parts = append(parts, n.dequantized(n.In[i], n.In[i+1], n.In[i+2]))
	}
	return one(n.quantized(n.Add(ops.Concat{Axis: n.Int("axis", 0)}, parts...), n.In[0], n.In[1]))
}

func importQLinearSoftmax(n *Node) []*graph.Value {
	x := n.dequantized(n.In[0], n.In[1], n.In[2])
	if n.Int("opset", 13) >= 13 {
		return one(n.quantized(n.Add(ops.Softmax{Axis: n.Int("axis", -1)}, x), n.In[3], n.Input(4)))
	}
	scale, zero := n.In[3], n.Input(4)
	n.In = one(x)
	y := importFlattening(ops.Softmax{Axis: -1})(n)[0]
	return one(n.quantized(y, scale, zero))
}

// microsoftPools is quantized convolutions, pools and reductions.
func microsoftPools() []row {
	return []row{
		takes("QLinearAveragePool", 4, 5, func(n *Node) []*graph.Value {
			op, ok := fill(n, ops.AveragePool{}).(ops.AveragePool)
			if !ok {
				return nil
			}
			if n.Bool("channels_last", false) {
				op.Format = ops.NHWC
			}
			return one(n.requantized(op))
		}).omitting(2),
		takes("QLinearConv", 8, 9, func(n *Node) []*graph.Value {
			if n.Bool("channels_last", false) {
				return channelsLast(ops.QLinearConv{Group: 1}, 1)(n)
			}
			return as(ops.QLinearConv{Group: 1})(n)
		}),
		takes("QLinearGlobalAveragePool", 4, 5, func(n *Node) []*graph.Value {
			op := ops.GlobalAveragePool{}
			if n.Bool("channels_last", false) {
				op.Format = ops.NHWC
			}
			return one(n.requantized(op))
		}).omitting(2),
		takes("QLinearReduceMean", 4, 5, func(n *Node) []*graph.Value {
			x := n.dequantized(n.In[0], n.In[1], n.In[2])
			op := ops.ReduceMean{Keepdims: n.Bool("keepdims", true)}
			return one(n.quantized(n.Add(op, trimmed(x, n.optInts(n.Ints("axes")))...), n.In[3], n.Input(4)))
		}).omitting(2),
		takes("ReduceSumInteger", 1, 1, func(n *Node) []*graph.Value {
			op := ops.ReduceSum{Keepdims: n.Bool("keepdims", true)}
			to := tensor.Int32
			if n.In[0].Type.DType == tensor.Uint8 {
				to = tensor.Uint32
			}
			return one(n.Add(op, trimmed(n.Add(ops.Cast{To: to}, n.In[0]), n.optInts(n.Ints("axes")))...))
		}),
	}
}
