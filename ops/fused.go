package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// fusedOps is the fused family: operators that passes make for devices that have kernels for them. They
// never occur in canonical graphs, so no format imports or exports them.
var fusedOps = []Info{
	{Pointwise{}, "a program of elementwise operators"},
	{FusedConv{}, "Conv with a factor and bias for each channel, a residual and an activation"},
	{FusedMatMul{}, "rows times a matrix, with a bias, a residual and an activation"},
	{ChannelAffine{}, "x*scale + shift along the last dimension, and an activation"},
	{ConcatAffine{}, "ChannelAffine of inputs joined along the last dimension"},
	{ConvPair{}, "a FusedConv and another that alone reads its result"},
	{FusedAttention{}, "softmax of scaled and masked products with keys, times values"},
}

// ActKind is a function that an Epilogue ends with.
type ActKind uint8

// The functions. Clip limits to [A, B], with NaN staying NaN; Relu is Clip from 0 to infinity.
const (
	ActNone ActKind = iota
	ActClip
	ActLeakyRelu // A·x where x < 0
	ActSigmoid
	ActTanh
	ActSilu
	ActGelu
	ActGeluTanh
	ActHardSigmoid // clip(A·x+B, 0, 1)
	ActHardSwish
)

// Epilogue is what FusedConv and FusedMatMul do to finished elements: an activation.
type Epilogue struct {
	Act  ActKind
	A, B float64
}

// op is the activation as an operator, with what it takes as inputs besides x; nil where there is none.
func (e Epilogue) op(b *graph.Builder, x *graph.Value) (graph.Op, []*graph.Value) {
	switch e.Act {
	case ActClip:
		return Clip{}, []*graph.Value{constLike(b, x, e.A), constLike(b, x, e.B)}
	case ActLeakyRelu:
		return LeakyRelu{Alpha: e.A}, nil
	case ActSigmoid:
		return Sigmoid{}, nil
	case ActTanh:
		return Tanh{}, nil
	case ActSilu:
		return Swish{Alpha: 1}, nil
	case ActGelu:
		return Gelu{}, nil
	case ActGeluTanh:
		return Gelu{Approximate: "tanh"}, nil
	case ActHardSigmoid:
		return HardSigmoid{Alpha: e.A, Beta: e.B}, nil
	case ActHardSwish:
		return HardSwish{}, nil
	}
	return nil, nil
}

// apply adds the activation to a graph.
func (e Epilogue) apply(b *graph.Builder, x *graph.Value) *graph.Value {
	op, more := e.op(b, x)
	if op == nil {
		return x
	}
	return b.Add(op, append([]*graph.Value{x}, more...)...)
}

// operand is input i, nil where omitted.
func operand(in []*graph.Value, i int) *graph.Value {
	if i >= len(in) {
		return nil
	}
	return in[i]
}

// FusedConv is Conv of at most two spatial dimensions with a constant kernel, then a factor and a bias for
// each channel, a residual, and an activation: inputs x, w, scale, bias, residual, of which the last three
// may be omitted.
type FusedConv struct {
	KernelShape []int
	Strides     []int
	Dilations   []int
	Pads        []int
	Group       int
	AutoPad     AutoPad
	Format      Format // of x, the residual and the result
	Kernel      Format // of w
	Epilogue    Epilogue
}

// Name implements graph.Op.
func (FusedConv) Name() string { return "FusedConv" }

// Conv is the convolution proper, for a kernel in its own format.
func (c FusedConv) Conv() Conv {
	return Conv{KernelShape: c.KernelShape, Strides: c.Strides, Dilations: c.Dilations, Pads: c.Pads,
		Group: c.Group, AutoPad: c.AutoPad, Format: c.Format}
}

// Window resolves the convolution for data and a kernel of those shapes, each in its own format.
func (c FusedConv) Window(x, w []int) (Window, error) {
	kernel, _, _ := KernelDims(c.Kernel, w)
	return c.Conv().window(kernel).resolve(SpatialDims(c.Format, x))
}

// Infer implements graph.Op.
func (c FusedConv) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 5); err != nil {
		return nil, err
	}
	w := in[1]
	if c.Kernel != c.Format && w.Rank() >= 0 {
		w = graph.TensorOf(w.DType, permuted(w.Dims, kernelPerm(c.Kernel, w.Rank()))...)
	}
	out, err := c.Conv().Infer([]graph.Type{in[0], w})
	if err != nil {
		return nil, err
	}
	if present(in, 4) && in[4].Rank() != out[0].Rank() {
		return nil, errs.Errorf("a residual %v for a result %v", in[4], out[0])
	}
	return out, nil
}

// Decompose spells it by Conv, Mul, Add and the activation, where the rank is known.
func (c FusedConv) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	w := in[1]
	rank := w.Type.Rank()
	if rank < 3 {
		return nil
	}
	if c.Kernel != c.Format {
		w = b.Add(Transpose{Perm: kernelPerm(c.Kernel, rank)}, w)
	}
	y := b.Add(c.Conv(), in[0], w)
	along := func(v *graph.Value) *graph.Value { // a vector over the channels
		if c.Format == NHWC {
			return v
		}
		axes := make([]int64, rank-2)
		for i := range axes {
			axes[i] = int64(i + 1)
		}
		return b.Add(Unsqueeze{}, v, b.Ints(axes...))
	}
	if s := operand(in, 2); s != nil {
		y = b.Add(Mul{}, y, along(s))
	}
	if s := operand(in, 3); s != nil {
		y = b.Add(Add{}, y, along(s))
	}
	if r := operand(in, 4); r != nil {
		y = b.Add(Add{}, y, r)
	}
	return one(c.Epilogue.apply(b, y))
}

// kernelPerm takes a kernel of the format from to the other format.
func kernelPerm(from Format, rank int) []int {
	p := make([]int, 0, rank)
	if from == NCHW { // M, C, spatial to spatial, C, M
		for i := 2; i < rank; i++ {
			p = append(p, i)
		}
		return append(p, 1, 0)
	}
	p = append(p, rank-1, rank-2)
	for i := range rank - 2 {
		p = append(p, i)
	}
	return p
}

func permuted(ds []graph.Dim, perm []int) []graph.Dim {
	out := make([]graph.Dim, len(perm))
	for i, j := range perm {
		out[i] = ds[j]
	}
	return out
}

// FusedMatMul multiplies rows by a constant matrix, then adds a bias and a residual and applies an activation:
// inputs x, w, bias, residual, of which the last two may be omitted. x has any rank; w is [K, N], or
// [N, K] with TransB.
type FusedMatMul struct {
	TransB   bool
	Epilogue Epilogue
}

// Name implements graph.Op.
func (FusedMatMul) Name() string { return "FusedMatMul" }

// Infer implements graph.Op.
func (m FusedMatMul) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 4); err != nil {
		return nil, err
	}
	w := in[1]
	if w.Rank() >= 0 && w.Rank() != 2 || in[0].Rank() == 0 {
		return nil, errs.Errorf("a product of %v with %v", in[0], w)
	}
	if m.TransB && w.Rank() == 2 {
		w = graph.TensorOf(w.DType, w.Dims[1], w.Dims[0])
	}
	return MatMul{}.Infer([]graph.Type{in[0], w})
}

// Decompose spells it by MatMul, Add and the activation.
func (m FusedMatMul) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	w := in[1]
	if m.TransB {
		w = b.Add(Transpose{Perm: []int{1, 0}}, w)
	}
	y := b.Add(MatMul{}, in[0], w)
	for i := 2; i < 4; i++ {
		if v := operand(in, i); v != nil {
			y = b.Add(Add{}, y, v)
		}
	}
	return one(m.Epilogue.apply(b, y))
}

// ChannelAffine is x·scale + shift, with a vector each over the last dimension, and an activation: inputs x, scale,
// shift.
type ChannelAffine struct{ Epilogue Epilogue }

// Name implements graph.Op.
func (ChannelAffine) Name() string { return "ChannelAffine" }

// MayAlias implements graph.Aliaser.
func (ChannelAffine) MayAlias(in, out int) bool { return in == 0 }

// Infer implements graph.Op.
func (ChannelAffine) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// Decompose spells it by Mul, Add and the activation.
func (a ChannelAffine) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(a.Epilogue.apply(b, b.Add(Add{}, b.Add(Mul{}, in[0], in[1]), in[2])))
}

// ConvPair is a FusedConv and another that alone reads its result, so that the result needn't exist as a whole: inputs x, then
// w, scale and bias of the first and of the second.
type ConvPair struct{ First, Second FusedConv }

// Name implements graph.Op.
func (ConvPair) Name() string { return "ConvPair" }

// Infer implements graph.Op.
func (c ConvPair) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 7 || !present(in, 0) || !present(in, 1) || !present(in, 4) {
		return nil, errs.Errorf("takes data, and a kernel, a factor and a bias twice; got %s", typeList(in))
	}
	mid, err := c.First.Infer(in[:4])
	if err != nil {
		return nil, err
	}
	return c.Second.Infer([]graph.Type{mid[0], in[4], in[5], in[6]})
}

// Decompose spells both convolutions.
func (c ConvPair) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	mid := c.First.Decompose(b, in[:4])
	if mid == nil {
		return nil
	}
	return c.Second.Decompose(b, []*graph.Value{mid[0], in[4], in[5], in[6]})
}

// fusedSamples is the cases of fusedOps.
func fusedSamples() map[string][]Sample {
	return map[string][]Sample{
		"Pointwise": {
			Case(Pointwise{Float: tensor.Float32, Expr: []Instr{{Fn: "Mul", X: []int{-1, -2}}, {Fn: "Tanh", X: []int{0}}, {Fn: "Add", X: []int{1, 0}}},
				Results: []int{2}}, F(3, 4), F(4)),
			Case(Pointwise{Float: tensor.Float32, Expr: []Instr{{Fn: "Greater", X: []int{-1, -2}}, {Fn: "Where", X: []int{0, -3, -1}},
				{Fn: "Clip", X: []int{1}, A: -2, B: math.Inf(1)}, {Fn: "ToFloat", X: []int{0}}},
				Results: []int{0, 2, 3}}, SampleIn{DType: tensor.Float32, Shape: []int{2, 3, 5}, NoGrad: true}, scalarStill(0.25), F(3, 1)),
			Case(Pointwise{Float: tensor.Float32, Expr: []Instr{{Fn: "ToBool", X: []int{-1}}, {Fn: "Not", X: []int{-2}}, {Fn: "Xor", X: []int{0, 1}}},
				Results: []int{2, 1}}, FR(0, 2, 7), bools(true, false, true, true, false, false, true))},
		"FusedConv": {
			Case(FusedConv{Epilogue: Epilogue{Act: ActClip, B: math.Inf(1)}}, F(2, 3, 6, 5), F(4, 3, 3, 3), FR(0.5, 2, 4), F(4)),
			Case(FusedConv{Format: NHWC, Pads: []int{1, 1, 1, 1}, Strides: []int{2, 2}, Group: 2, Epilogue: Epilogue{Act: ActSilu}},
				F(1, 6, 5, 4), F(6, 2, 3, 3), SampleIn{}, F(6), F(1, 3, 3, 6)),
			Case(FusedConv{Format: NHWC, Kernel: NHWC, AutoPad: SameUpper}, F(1, 7, 3), F(3, 3, 5), FR(0.5, 2, 5)),
			Case(FusedConv{Kernel: NHWC, Epilogue: Epilogue{Act: ActHardSigmoid, A: 0.2, B: 0.5}}, F(1, 3, 4, 4), F(1, 1, 3, 2))},
		"FusedMatMul": {
			Case(FusedMatMul{Epilogue: Epilogue{Act: ActGelu}}, F(2, 3, 4), F(4, 5), F(5), F(2, 3, 5)),
			Case(FusedMatMul{TransB: true, Epilogue: Epilogue{Act: ActLeakyRelu, A: 0.1}}, F(3, 4), F(5, 4), F(5)),
			Case(FusedMatMul{Epilogue: Epilogue{Act: ActTanh}}, F(3, 4), F(4, 2))},
		"ChannelAffine": {
			Case(ChannelAffine{}, F(2, 3, 4), F(4), F(4)),
			Case(ChannelAffine{Epilogue: Epilogue{Act: ActHardSwish}}, F(3, 4), F(4), F(4)),
			Case(ChannelAffine{Epilogue: Epilogue{Act: ActGeluTanh}}, F(5), F(5), F(5))},
		"ConcatAffine": {
			Case(ConcatAffine{Epilogue: Epilogue{Act: ActClip, B: math.Inf(1)}}, F(9), F(9), F(2, 3, 4), F(2, 3, 2), F(2, 3, 3)),
			Case(ConcatAffine{Epilogue: Epilogue{Act: ActSilu}}, F(3), F(3), F(5, 1), F(5, 2))},
		"FusedAttention": {
			Case(FusedAttention{Scale: 0.5}, F(2, 3, 4, 5), F(2, 3, 6, 5), F(2, 3, 6, 2), F(2, 1, 1, 6)),
			Case(FusedAttention{Scale: 0.5, IsCausal: true, QPacked: true, KPacked: true, VPacked: true, YPacked: true},
				F(2, 7, 4, 3), F(2, 7, 2, 3), F(2, 7, 2, 3)),
			Case(FusedAttention{Scale: 1, KPacked: true, YPacked: true, Zero: true}, F(1, 1, 3, 2), F(1, 2, 1, 2), F(1, 1, 2, 2),
				TV(tensor.Of([]bool{true, false, false, false, true, true}, 3, 2)))},
		"ConvPair": {
			Case(ConvPair{First: FusedConv{Format: NHWC, Epilogue: Epilogue{Act: ActClip, B: 6}},
				Second: FusedConv{Format: NHWC, Group: 6, Pads: []int{1, 1, 1, 1}, Strides: []int{2, 2}, Epilogue: Epilogue{Act: ActSigmoid}}},
				F(1, 7, 6, 3), F(6, 3, 1, 1), FR(0.5, 2, 6), F(6), F(6, 1, 3, 3), SampleIn{}, F(6))},
	}
}
