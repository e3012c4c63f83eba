//go:build !opsa

package onnx

import "github.com/nnrt/nnrt/ops"

var identity = ops.Transpose{}

func pointwiseRows() []row {
	return []row{auto("Relu", 1, ops.Relu{}), auto("Sigmoid", 1, ops.Sigmoid{}), auto("Tanh", 1, ops.Tanh{})}
}

func binaryRows() []row {
	return []row{auto("Add", 7, ops.Add{}), auto("Sub", 7, ops.Sub{}), auto("Mul", 7, ops.Mul{}), auto("Div", 7, ops.Div{}),
		auto("Greater", 7, ops.Greater{}), auto("Where", 9, ops.Where{})}
}

func reduceRows() []row { return nil }
