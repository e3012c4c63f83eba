package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
)

// fusedOps is the fused family: operators that passes make for devices that have kernels for them. They
// never occur in canonical graphs, so no format imports or exports them.
var fusedOps = []Info{}

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
		return nil, fmt.Errorf("a residual %v for a result %v", in[4], out[0])
	}
	return out, nil
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
	if w.Rank() != 2 || in[0].Rank() < 1 {
		return nil, fmt.Errorf("a product of %v with %v", in[0], w)
	}
	if m.TransB {
		w = graph.TensorOf(w.DType, w.Dims[1], w.Dims[0])
	}
	return MatMul{}.Infer([]graph.Type{in[0], w})
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

// ConvPair is a FusedConv and another that alone reads its result, so that the result needn't exist as a whole: inputs x, then
// w, scale and bias of the first and of the second.
type ConvPair struct{ First, Second FusedConv }

// Name implements graph.Op.
func (ConvPair) Name() string { return "ConvPair" }

// Infer implements graph.Op.
func (c ConvPair) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 7, 7); err != nil {
		return nil, err
	}
	mid, err := c.First.Infer(in[:4])
	if err != nil {
		return nil, err
	}
	return c.Second.Infer([]graph.Type{mid[0], in[4], in[5], in[6]})
}
