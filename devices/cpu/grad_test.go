package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// TestGradientsAgainstRef runs the kernels of gradients on both devices.
func TestGradientsAgainstRef(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		d.exact = true // minimal filtering has a test of its own
		r := rand.New(rand.NewPCG(6, 1))
		type gradCase struct {
			op graph.Op
			in []*tensor.Tensor
		}
		var cases []gradCase
		conv := func(op ops.Conv, x, w []int) {
			win, err := op.Window(x, w)
			if err != nil {
				t.Fatal(err)
			}
			_, _, m := ops.KernelDims(op.Format, w)
			y := append(append([]int{x[0]}, win.Out...), m)
			if op.Format == ops.NCHW {
				y = append([]int{x[0], m}, win.Out...)
			}
			dy := randTensor(r, y...)
			cases = append(cases, gradCase{ops.ConvGradInput(op), []*tensor.Tensor{dy, randTensor(r, w...), shapeOf(x)}},
				gradCase{ops.ConvGradWeight(op), []*tensor.Tensor{randTensor(r, x...), dy, shapeOf(w)}})
		}
		conv(ops.Conv{Format: ops.NHWC}, []int{3, 9, 11, 1}, []int{3, 3, 1, 16})
		conv(ops.Conv{Format: ops.NHWC}, []int{9, 9, 11, 17}, []int{3, 3, 17, 35})
		// Large kernels, of whose gradients the other sums too many to be compared.
		for _, c := range []struct {
			f    ops.Format
			x, w []int
		}{{ops.NHWC, []int{11, 8, 8, 256}, []int{3, 3, 256, 512}}, {ops.NCHW, []int{7, 256, 6, 6}, []int{530, 256, 3, 3}}, {ops.NHWC, []int{5, 3, 5, 7}, []int{1, 1, 7, 40}}} {
			conv(ops.Conv{Format: c.f, AutoPad: ops.SameUpper}, c.x, c.w)
			cases = append(cases[:len(cases)-2], cases[len(cases)-1])
		}
		conv(ops.Conv{Format: ops.NHWC, AutoPad: ops.SameUpper, Strides: []int{2, 2}}, []int{2, 9, 12, 5}, []int{3, 3, 5, 7})
		conv(ops.Conv{Format: ops.NHWC, Pads: []int{1, 2, 0, 3}, Strides: []int{3, 2}, Dilations: []int{2, 3}}, []int{2, 19, 22, 20}, []int{3, 2, 20, 7})
		conv(ops.Conv{Format: ops.NHWC, Strides: []int{2, 2}}, []int{2, 8, 8, 20}, []int{1, 1, 20, 7})
		conv(ops.Conv{Format: ops.NHWC}, []int{2, 5, 7, 33}, []int{1, 1, 33, 40})
		conv(ops.Conv{Format: ops.NHWC, Pads: []int{2, 0}}, []int{2, 15, 6}, []int{3, 6, 9})
		conv(ops.Conv{Format: ops.NHWC, Group: 21, AutoPad: ops.SameUpper, Strides: []int{2, 2}}, []int{3, 9, 12, 21}, []int{3, 3, 1, 21})
		conv(ops.Conv{Pads: []int{1, 1, 1, 1}, Strides: []int{2, 1}}, []int{3, 18, 9, 12}, []int{21, 18, 3, 3})
		conv(ops.Conv{Pads: []int{0, -1, 1, -2}}, []int{3, 3, 9, 12}, []int{5, 3, 3, 3})
		conv(ops.Conv{Format: ops.NHWC, Group: 2}, []int{2, 6, 6, 8}, []int{3, 3, 4, 6})
		pool := ops.MaxPoolGrad{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 0, 1}, Format: ops.NHWC}
		cases = append(cases, gradCase{pool, []*tensor.Tensor{randTensor(r, 2, 10, 12, 21), randTensor(r, 2, 5, 6, 21)}})
		nan := randTensor(r, 2, 6, 6, 5)
		tensor.As[float32](nan)[40] = float32(math.NaN())
		tensor.As[float32](nan)[97] = float32(math.Inf(1))
		cases = append(cases, gradCase{ops.MaxPoolGrad{KernelShape: []int{2, 2}, Strides: []int{2, 2}, Format: ops.NHWC}, []*tensor.Tensor{nan, randTensor(r, 2, 3, 3, 5)}},
			gradCase{ops.MaxPoolGrad{KernelShape: []int{3, 2}, Strides: []int{1, 1}, Dilations: []int{2, 3}, Pads: []int{3, 2, 3, 4}, Format: ops.NHWC},
				[]*tensor.Tensor{randTensor(r, 2, 7, 8, 17), randTensor(r, 2, 9, 11, 17)}})
		mean := ops.AveragePoolGrad{KernelShape: []int{3, 2}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, CeilMode: true, Format: ops.NHWC}
		for _, pad := range []bool{false, true} {
			mean.CountIncludePad = pad
			cases = append(cases, gradCase{mean, []*tensor.Tensor{randTensor(r, 2, 5, 7, 21), shapeOf([]int{2, 9, 12, 21})}})
		}
		for _, to := range [][]int{{5}, {}, {7, 1}, {1, 1, 5}, {3, 1, 5}, {3, 7, 1}, {3, 7, 5}, {1, 7, 1}, {1, 7, 5}} {
			cases = append(cases, gradCase{ops.SumTo{}, []*tensor.Tensor{randTensor(r, 3, 7, 5), shapeOf(to)}})
		}
		cases = append(cases, gradCase{ops.SumTo{}, []*tensor.Tensor{randTensor(r, 300, 70), shapeOf([]int{70})}},
			gradCase{ops.SumTo{}, []*tensor.Tensor{randTensor(r, 300, 70), shapeOf([]int{300, 1})}},
			gradCase{ops.SumTo{}, []*tensor.Tensor{randTensor(r, 300, 70), shapeOf(nil)}})
		for _, f := range []ops.Format{ops.NCHW, ops.NHWC} {
			for _, shape := range [][]int{{3, 7}, {2, 7, 5, 7}, {4, 70, 9, 70}} {
				c := shape[f.Channel(len(shape))]
				variance := randTensor(r, c)
				d.k.Vec.Abs(tensor.As[float32](variance), tensor.As[float32](variance), 0, 0)
				cases = append(cases, gradCase{ops.BatchNormalization{Epsilon: 0.1, Format: f},
					[]*tensor.Tensor{randTensor(r, shape...), randTensor(r, c), randTensor(r, c), randTensor(r, c), variance}})
			}
		}
		var padGrads []gradCase
		for _, pads := range [][]int{{0, 1, 2, 0, 0, 0, 1, 0}, {1, 0, 0, 2, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 3, 0, 0, 0}} {
			cases = append(cases, gradCase{ops.Pad{}, []*tensor.Tensor{randTensor(r, 2, 5, 6, 3), shapeOf(pads)}})
			x := []int{2, 5, 6, 3}
			for i := range x {
				x[i] += pads[i] + pads[4+i]
			}
			padGrads = append(padGrads, gradCase{ops.PadGrad{}, []*tensor.Tensor{randTensor(r, x...), shapeOf(pads), shapeOf([]int{2, 5, 6, 3})}})
		}
		for _, c := range append(cases, padGrads...) {
			what := fmt.Sprintf("%T%+v of %v", c.op, c.op, c.in[0].Shape())
			consts := make([]bool, len(c.in))
			for i := range consts {
				consts[i] = c.in[i].DType() == tensor.Int64
			}
			own := true
			if op, ok := c.op.(ops.ConvGradInput); ok && op.Group == 2 {
				own = false
			}
			if op, ok := c.op.(ops.ConvGradWeight); ok && op.Group == 2 {
				own = false
			}
			want := applyAll(t, devices.NewTable(ref.Kernels()), c.op, false, consts, c.in...)[0]
			requireClose(t, want, apply(t, d, c.op, own, consts, c.in...), 3e-5, what)
		}
	})
}

func shapeOf(s []int) *tensor.Tensor {
	t := tensor.New(tensor.Int64, len(s))
	for i, n := range s {
		tensor.As[int64](t)[i] = int64(n)
	}
	return t
}
