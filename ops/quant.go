package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// quantOps is the family of linear quantization.
var quantOps = []Info{
	{QuantizeLinear{Axis: 1, Saturate: true}, "round(x / scale) + zero point, saturated"},
	{DequantizeLinear{Axis: 1}, "(x - zero point) * scale"},
	{DynamicQuantizeLinear{}, "quantizes to uint8 by the data's own range"},
	{MatMulInteger{}, "matrix product of 8-bit integers, in int32"},
	{ConvInteger{}, "convolution of 8-bit integers, in int32"},
	{QLinearMatMul{}, "matrix product of quantized tensors"},
	{QLinearConv{}, "convolution of quantized tensors"},
}

// QuantizeLinear is saturate(round(x / y_scale) + y_zero_point), ties to even. The scale is a scalar, a
// vector along Axis, or, with BlockSize, of x's rank with each entry covering BlockSize elements of Axis.
// Inputs x, y_scale, y_zero_point; the type is DType, or the zero point's, or uint8.
type QuantizeLinear struct {
	Axis      int
	BlockSize int
	DType     tensor.DType `onnx:"output_dtype"`
	Precision tensor.DType // type that the division rounds to; Invalid: the scale's
	Saturate  bool         // for 8-bit floats
}

// Name implements graph.Op.
func (QuantizeLinear) Name() string { return "QuantizeLinear" }

// Infer implements graph.Op.
func (q QuantizeLinear) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	dt := q.DType
	if present(in, 2) {
		if dt.Valid() && dt != in[2].DType {
			return nil, errs.Errorf("output_dtype is %v, the zero point %v", dt, in[2].DType)
		}
		dt = in[2].DType
	}
	if !dt.Valid() {
		dt = tensor.Uint8
	}
	if !dt.IsInt() && dt.Bits() > 8 || dt == tensor.Bool {
		return nil, errs.Errorf("quantizes to %v: neither an integer nor a float of 8 bits or less", dt)
	}
	if err := checkScale(in, q.Axis, q.BlockSize); err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(dt, in[0].Dims, in[0].Unranked)}, nil
}

// checkScale holds a scale's shape against the data's.
func checkScale(in []graph.Type, axis, block int) error {
	x, s := in[0], in[1]
	if x.Rank() < 0 || s.Rank() < 0 || s.Rank() == 0 {
		return nil
	}
	if n, ok := graph.Product(s.Dims).Const(); ok && n == 1 && block == 0 {
		return nil
	}
	if block > 0 {
		if s.Rank() != x.Rank() {
			return errs.Errorf("a blocked scale has the data's rank: %s", typeList(in))
		}
		a, err := normAxis(axis, x.Rank())
		if err != nil {
			return err
		}
		for i, d := range x.Dims {
			want := d
			if i == a {
				want = d.CeilDiv(graph.D(block))
			}
			if !graph.Compatible(s.Dims[i], want) {
				return errs.Errorf("blocks of %d along axis %d take a scale of %v there: %s", block, a, want, typeList(in))
			}
		}
		return nil
	}
	if s.Rank() != 1 {
		return errs.Errorf("the scale is no scalar or vector, and there is no block_size: %s", typeList(in))
	}
	a, err := normAxis(axis, x.Rank())
	if err != nil {
		return err
	}
	if !graph.Compatible(s.Dims[0], x.Dims[a]) {
		return errs.Errorf("the scale does not fit axis %d: %s", a, typeList(in))
	}
	return nil
}

// DequantizeLinear is (x - x_zero_point) * x_scale, in the type DType, or the scale's.
type DequantizeLinear struct {
	Axis      int
	BlockSize int
	DType     tensor.DType `onnx:"output_dtype"`
}

// Name implements graph.Op.
func (DequantizeLinear) Name() string { return "DequantizeLinear" }

// Infer implements graph.Op.
func (q DequantizeLinear) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if present(in, 2) && in[2].DType != in[0].DType {
		return nil, errs.Errorf("x is %v, the zero point %v", in[0].DType, in[2].DType)
	}
	if err := checkScale(in, q.Axis, q.BlockSize); err != nil {
		return nil, err
	}
	dt := q.DType
	if !dt.Valid() {
		dt = in[1].DType
	}
	return []graph.Type{tensorOr(dt, in[0].Dims, in[0].Unranked)}, nil
}

// DynamicQuantizeLinear quantizes float32 to uint8 by the range of the data, 0 included. Outputs: the
// data, its scale, its zero point.
type DynamicQuantizeLinear struct{}

// Name implements graph.Op.
func (DynamicQuantizeLinear) Name() string { return "DynamicQuantizeLinear" }

// Infer implements graph.Op.
func (DynamicQuantizeLinear) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if in[0].DType != tensor.Float32 {
		return nil, errs.Errorf("takes float32, got %v", in[0])
	}
	return []graph.Type{tensorOr(tensor.Uint8, in[0].Dims, in[0].Unranked), graph.TensorOf(tensor.Float32), graph.TensorOf(tensor.Uint8)}, nil
}

// MatMulInteger is the product of (A - a_zero_point) and (B - b_zero_point) in int32. A's zero point is a
// scalar or one a row, B's a scalar or one a column.
type MatMulInteger struct{}

// Name implements graph.Op.
func (MatMulInteger) Name() string { return "MatMulInteger" }

// Infer implements graph.Op.
func (MatMulInteger) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	return inferIntProduct(in[0], in[1], tensor.Int32)
}

// inferIntProduct is MatMul's inference for operands of two integer types.
func inferIntProduct(a, b graph.Type, out tensor.DType) ([]graph.Type, error) {
	if !a.DType.IsInt() && !a.DType.IsFloat() || !b.DType.IsInt() && !b.DType.IsFloat() {
		return nil, errs.Errorf("the operands are %v and %v", a.DType, b.DType)
	}
	a.DType, b.DType = out, out
	return MatMul{}.Infer([]graph.Type{a.WithoutValue(), b.WithoutValue()})
}

// ConvInteger is Conv on (x - x_zero_point) and (w - w_zero_point) in int32; padding counts as x's zero
// point. w's zero point is a scalar or one an output channel.
type ConvInteger struct {
	AutoPad     AutoPad
	Dilations   []int
	Group       int
	KernelShape []int
	Pads        []int
	Strides     []int
}

// Name implements graph.Op.
func (ConvInteger) Name() string { return "ConvInteger" }

// ConvOf is the convolution that it does on its integers.
func (c ConvInteger) ConvOf() Conv {
	return Conv{AutoPad: c.AutoPad, Dilations: c.Dilations, Group: c.Group, KernelShape: c.KernelShape, Pads: c.Pads, Strides: c.Strides}
}

// Infer implements graph.Op.
func (c ConvInteger) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	x, w := in[0].WithoutValue(), in[1].WithoutValue()
	x.DType, w.DType = tensor.Float64, tensor.Float64
	out, err := c.ConvOf().Infer([]graph.Type{x, w})
	if err != nil {
		return nil, err
	}
	out[0].DType = tensor.Int32
	return out, nil
}

// QLinearMatMul is the product of quantized matrices, quantized. Inputs: a, its scale and zero point, b,
// its scale and zero point, y's scale and zero point.
type QLinearMatMul struct{}

// Name implements graph.Op.
func (QLinearMatMul) Name() string { return "QLinearMatMul" }

// Infer implements graph.Op.
func (QLinearMatMul) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 8, 8); err != nil {
		return nil, err
	}
	return inferIntProduct(in[0], in[3], in[7].DType)
}

// QLinearConv is Conv on quantized tensors. Inputs: x, its scale and zero point, w, its scale and zero
// point (scalars or one an output channel), y's scale and zero point, and an int32 bias in units of
// x_scale * w_scale.
type QLinearConv struct {
	AutoPad     AutoPad
	Dilations   []int
	Group       int
	KernelShape []int
	Pads        []int
	Strides     []int
}

// Name implements graph.Op.
func (QLinearConv) Name() string { return "QLinearConv" }

// Infer implements graph.Op.
func (c QLinearConv) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 8, 9); err != nil {
		return nil, err
	}
	out, err := ConvInteger(c).Infer([]graph.Type{in[0], in[3]})
	if err != nil {
		return nil, err
	}
	if present(in, 8) && in[8].Rank() >= 0 && in[8].Rank() != 1 {
		return nil, errs.Errorf("the bias is %v, not a vector", in[8])
	}
	out[0].DType = in[7].DType
	return out, nil
}

// quantSamples is the cases of quantOps.
func quantSamples() map[string][]Sample {
	return map[string][]Sample{
		"QuantizeLinear": {
			Case(QuantizeLinear{Saturate: true}, F(2, 3), TV(tensor.Scalar(float32(0.01))), TV(tensor.Scalar(uint8(128)))),
			Case(QuantizeLinear{Axis: 1, Saturate: true}, F(2, 3), FR(0.01, 0.02, 3), TV(tensor.Of([]int8{0, 1, 2}))),
			Case(QuantizeLinear{Axis: 1, BlockSize: 2, Saturate: true}, F(2, 3), FR(0.01, 0.02, 2, 2))},
		"DequantizeLinear": {
			Case(DequantizeLinear{Axis: 1}, TV(tensor.Of([]int8{1, 2, 3, 4}, 2, 2)), FR(0.5, 1, 2), TV(tensor.Of([]int8{0, 1})))},
		"DynamicQuantizeLinear": {Case(DynamicQuantizeLinear{}, F(3, 4))},
		"MatMulInteger": {
			Case(MatMulInteger{}, TV(tensor.Of([]uint8{1, 2, 3, 4}, 2, 2)), TV(tensor.Of([]int8{1, -2, 3, 4}, 2, 2)), TV(tensor.Scalar(uint8(2))))},
		"ConvInteger": {
			Case(ConvInteger{}, TV(tensor.Of([]uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 1, 3, 3)), TV(tensor.Of([]uint8{1, 1, 1, 1}, 1, 1, 2, 2)),
				TV(tensor.Scalar(uint8(1))))},
		"QLinearMatMul": {
			Case(QLinearMatMul{}, TV(tensor.Of([]uint8{1, 2, 3, 4}, 2, 2)), TV(tensor.Scalar(float32(0.1))), TV(tensor.Scalar(uint8(2))),
				TV(tensor.Of([]uint8{1, 2, 3, 4}, 2, 2)), TV(tensor.Scalar(float32(0.1))), TV(tensor.Scalar(uint8(2))),
				TV(tensor.Scalar(float32(0.01))), TV(tensor.Scalar(uint8(128))))},
		"QLinearConv": {
			Case(QLinearConv{}, TV(tensor.Of([]uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 1, 3, 3)), TV(tensor.Scalar(float32(0.1))),
				TV(tensor.Scalar(uint8(2))), TV(tensor.Of([]uint8{1, 3, 2, 1}, 1, 1, 2, 2)), TV(tensor.Scalar(float32(0.1))),
				TV(tensor.Scalar(uint8(1))), TV(tensor.Scalar(float32(0.01))), TV(tensor.Scalar(uint8(3))))},
	}
}
