package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// TestAgainstRef runs kernels that need no more than data on both devices.
func TestAgainstRef(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(5, 1))
		cases := []struct {
			op     graph.Op
			consts []bool
			in     []*tensor.Tensor
		}{
			{ops.Softmax{Axis: -1}, nil, []*tensor.Tensor{randTensor(r, 7, 33)}},
			{ops.Softmax{Axis: 1}, nil, []*tensor.Tensor{randTensor(r, 7, 33, 1)}},
			{ops.LayerNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, nil, []*tensor.Tensor{randTensor(r, 9, 70), randTensor(r, 70), randTensor(r, 70)}},
			{ops.Transpose{Perm: []int{0, 2, 3, 1}}, nil, []*tensor.Tensor{randTensor(r, 2, 3, 40, 41)}},
			{ops.Transpose{Perm: []int{0, 3, 1, 2}}, nil, []*tensor.Tensor{randTensor(r, 2, 30, 4, 41)}},
			{ops.Transpose{Perm: []int{0, 2, 1, 3}}, nil, []*tensor.Tensor{randTensor(r, 2, 30, 4, 41)}},
			{ops.Transpose{}, nil, []*tensor.Tensor{randTensor(r, 2, 30, 4)}},
			{ops.Concat{Axis: 1}, nil, []*tensor.Tensor{randTensor(r, 2, 3, 4), randTensor(r, 2, 5, 4)}},
			{ops.Concat{Axis: -1}, nil, []*tensor.Tensor{randTensor(r, 2, 3, 4), randTensor(r, 2, 3, 40)}},
			{ops.Flatten{Axis: 1}, nil, []*tensor.Tensor{randTensor(r, 2, 3, 4)}},
			{ops.Gemm{Alpha: 1, Beta: 1}, nil, []*tensor.Tensor{randTensor(r, 20, 30), randTensor(r, 30, 40), randTensor(r, 40)}},
			{ops.Gemm{Alpha: 0.5, Beta: 2, TransA: true, TransB: true}, nil, []*tensor.Tensor{randTensor(r, 30, 20), randTensor(r, 40, 30), randTensor(r, 20, 40)}},
			{ops.Gemm{Alpha: 0.5, Beta: 2, TransB: true}, []bool{false, true, true}, []*tensor.Tensor{randTensor(r, 20, 30), randTensor(r, 40, 30), randTensor(r, 40)}},
			{ops.MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 9, 12, 21)}},
			{ops.MaxPool{KernelShape: []int{3}, Dilations: []int{2}, CeilMode: true, Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 12, 21)}},
			{ops.AveragePool{KernelShape: []int{3, 2}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, CountIncludePad: true, CeilMode: true, Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 9, 12, 21)}},
			{ops.AveragePool{KernelShape: []int{3, 3}, AutoPad: ops.SameUpper, Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 9, 12, 21)}},
			{ops.GlobalAveragePool{Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 19, 12, 270)}},
			{ops.GlobalAveragePool{Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 40, 41, 24)}},
			{ops.Conv{Strides: []int{2, 1}, Pads: []int{1, 0, 2, 0}, Format: ops.NHWC}, []bool{false, true}, []*tensor.Tensor{randTensor(r, 2, 90, 1, 24), randTensor(r, 5, 1, 24, 40)}},
			{ops.Conv{Dilations: []int{3, 1}, Pads: []int{2, 0, 2, 0}}, []bool{false, true}, []*tensor.Tensor{randTensor(r, 2, 24, 90, 1), randTensor(r, 16, 24, 3, 1)}},
			{ops.Conv{Group: 24, Pads: []int{1, 0, 1, 0}}, []bool{false, true}, []*tensor.Tensor{randTensor(r, 2, 24, 50, 1), randTensor(r, 24, 1, 3, 1)}},
			{ops.GlobalMaxPool{Format: ops.NHWC}, nil, []*tensor.Tensor{randTensor(r, 2, 19, 12, 27)}},
			{ops.GlobalMaxPool{}, nil, []*tensor.Tensor{randTensor(r, 2, 19, 120)}},
			{ops.GlobalMaxPool{}, nil, []*tensor.Tensor{nanTensor(r, 3, 5, 7, 9)}},
		}
		for _, c := range cases {
			if c.consts == nil {
				c.consts = make([]bool, len(c.in))
			}
			what := fmt.Sprintf("%T%+v", c.op, c.op)
			requireClose(t, applyRef(t, c.op, c.in...)[0], apply(t, d, c.op, true, c.consts, c.in...), 2e-5, what)
		}
	})
}

// nanTensor is random numbers, among them a NaN and an infinity.
func nanTensor(r *rand.Rand, shape ...int) *tensor.Tensor {
	t := randTensor(r, shape...)
	x := tensor.As[float32](t)
	x[7], x[len(x)-3] = float32(math.NaN()), float32(math.Inf(-1))
	return t
}
