package ops

import (
	"reflect"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

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

// families is the cases of every family.
func families() []func() map[string][]Sample {
	return []func() map[string][]Sample{
		activationSamples,
		attentionSamples,
		binarySamples,
		castSamples,
		compareSamples,
		controlSamples,
		convSamples,
		fusedSamples,
		gatherSamples,
		generatorSamples,
		imageSamples,
		lossSamples,
		matmulSamples,
		microsoftSamples,
		mlSamples,
		normSamples,
		patchSamples,
		poolSamples,
		quantSamples,
		randomSamples,
		recurrentSamples,
		recurrentTrainSamples,
		reduceSamples,
		regionSamples,
		resizeSamples,
		sequenceSamples,
		shapeSamples,
		signalSamples,
		sliceSamples,
		softmaxSamples,
		sortSamples,
		spatialSamples,
		stringSamples,
		trainingSamples,
		unarySamples,
	}
}

// Samples is the cases that the enumerating tests run of an operator: print and parse, gradient, decomposition,
// kernels. They stand apart from the registry, in functions, so that a program that runs no such tests is built
// without them.
func Samples(op graph.Op) []Sample {
	name := reflect.TypeOf(op).Name()
	for _, f := range families() {
		if s := f()[name]; s != nil {
			return s
		}
	}
	return nil
}
