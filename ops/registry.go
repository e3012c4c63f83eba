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
)

// Info is one row of the registry.
type Info struct {
	Op  graph.Op // the operator with its default attributes
	Doc string   // one line
}

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
		recurrentOps, recurrentTrainOps,
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
