// Package ops holds every operator of nnrt: a plain struct whose exported fields are its attributes, with
// its shape inference, and, where it has them, its gradient and its spelling in simpler operators. One
// family of operators is one file. Operators never mention a device or a file format.
//
// Conventions. An operator is the newest ONNX operator of that name where there is one: inputs in ONNX
// order, fields the CamelCase of the attributes (kernel_shape is KernelShape), and what newer opsets pass
// as inputs (axes, shapes, pads) are inputs here too. Spatial operators have a Format: in NHWC the data is
// N, spatial..., C and a kernel is spatial..., C/group, M, as Keras stores it.
package ops

import (
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Info is one row of the registry.
type Info struct {
	Op      graph.Op // the operator with its default attributes
	Doc     string   // one line
	Samples []Sample // cases that the enumerating tests run: print/parse, gradient, decomposition, kernels
}

// Sample is one application of an operator in the enumerating tests.
type Sample struct {
	Op graph.Op
	In []SampleIn
	// NoGradOut is the outputs that carry no gradient although they depend on the inputs and are floats.
	NoGradOut []int
}

// SampleIn describes an input: data where given, else seeded uniform numbers in [Lo, Hi) ([-1, 1) where
// both are zero). The zero SampleIn is an omitted input.
type SampleIn struct {
	DType  tensor.DType
	Shape  []int
	Lo, Hi float64
	Data   *tensor.Tensor
	NoGrad bool       // not differentiable in this input, though its type is a float's
	Seq    []SampleIn // a sequence of these tensors, and nothing else
}

// F is a float32 sample input in [-1, 1).
//
//go:noinline
func F(shape ...int) SampleIn { return SampleIn{DType: tensor.Float32, Shape: shape} }

// FR is a float32 sample input in [lo, hi).
//
//go:noinline
func FR(lo, hi float64, shape ...int) SampleIn {
	return SampleIn{DType: tensor.Float32, Shape: shape, Lo: lo, Hi: hi}
}

// IV is an int64 vector that is known.
//
//go:noinline
func IV(vs ...int64) SampleIn { return SampleIn{DType: tensor.Int64, Data: tensor.Of(vs)} }

// TV is an input with that very data.
//
//go:noinline
func TV(t *tensor.Tensor) SampleIn { return SampleIn{DType: t.DType(), Data: t} }

// SV is a sequence of tensors.
func SV(elems ...SampleIn) SampleIn { return SampleIn{Seq: elems} }

// still is a vector input through which no gradient flows.
func still(vs ...float32) SampleIn {
	return SampleIn{DType: tensor.Float32, Data: tensor.Of(vs), NoGrad: true}
}

// scalarStill is a rank-0 input through which no gradient flows.
func scalarStill(v float32) SampleIn {
	return SampleIn{DType: tensor.Float32, Data: tensor.Scalar(v), NoGrad: true}
}

// Case is a sample of op on those inputs.
//
//go:noinline
func Case(op graph.Op, in ...SampleIn) Sample { return Sample{Op: op, In: in} }

// Registry is every operator, in the order of the families.
func Registry() []Info {
	return slices.Concat(
		activationOps,
		binaryOps,
		unaryOps,
		compareOps,
		castOps,
		reduceOps,
		softmaxOps,
		matmulOps,
		normOps,
		convOps,
		poolOps,
		resizeOps,
		spatialOps,
		shapeOps,
		gatherOps,
		sliceOps,
		sortOps,
		recurrentOps,
		attentionOps,
		controlOps,
		sequenceOps,
		stringOps,
		randomOps,
		quantOps,
		signalOps,
		imageOps,
		mlOps,
		microsoftOps,
		trainingOps,
		lossOps,
		fusedOps,
	)
}

// Lookup finds the registry row of an operator's name.
func Lookup(name string) (Info, bool) {
	for _, in := range Registry() {
		if in.Op.Name() == name {
			return in, true
		}
	}
	return Info{}, false
}

// TypeOf is the key that kernels, rows and rules use for an operator.
func TypeOf(op graph.Op) reflect.Type { return reflect.TypeOf(op) }
