package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// TestWinogradOfParameters runs 3x3 convolutions and their gradients toward the data with kernels that are known only when
// running, in shapes for which minimal filtering pays.
func TestWinogradOfParameters(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(8, 1))
		for _, f := range []ops.Format{ops.NHWC, ops.NCHW} {
			for _, pad := range []int{0, 1, 2, 3} {
				h, w, c, oc := 13, 18, 48, 64
				if pad == 3 { // large kernels, which are transformed in parts
					pad, h, w, c, oc = 1, 7, 6, 272, 240
				}
				op := ops.Conv{Format: f, Pads: []int{pad, pad, pad, pad}}
				x, k, y := []int{2, h, w, c}, []int{3, 3, c, oc}, []int{2, h + 2*pad - 2, w + 2*pad - 2, oc}
				if f == ops.NCHW {
					x, k, y = []int{2, c, h, w}, []int{oc, c, 3, 3}, []int{2, oc, h + 2*pad - 2, w + 2*pad - 2}
				}
				// Weights as trained ones are, so that results are of the size of the data.
				kernel := randTensor(r, k...)
				d.k.Vec.MulS(tensor.As[float32](kernel), tensor.As[float32](kernel), 0.05, 0)
				none := []bool{false, false, false}
				in := []*tensor.Tensor{randTensor(r, x...), kernel, randTensor(r, oc)}
				table := devices.NewTable(ref.Kernels())
				what := fmt.Sprintf("%+v", op)
				requireClose(t, applyAll(t, table, op, false, none, in...)[0], apply(t, d, op, true, none, in...), 1e-4, what)
				back := []*tensor.Tensor{randTensor(r, y...), in[1], shapeOf(x)}
				none[2] = true
				requireClose(t, applyAll(t, table, ops.ConvGradInput(op), false, none, back...)[0], apply(t, d, ops.ConvGradInput(op), true, none, back...), 1e-4, "gradient "+what)
			}
		}
	})
}
