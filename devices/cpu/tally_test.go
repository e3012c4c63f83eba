package cpu_test

import (
	"testing"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// TestTalliesLikeReference runs the small steps of training, whose results are the reference's to the bit.
func TestTalliesLikeReference(t *testing.T) {
	big := make([]float32, 40001)
	for i := range big {
		big[i] = float32(i%97) - 40
	}
	on, key := ops.TV(tensor.Of([]bool{true})), ops.TV(tensor.Of([]int64{7, -3}))
	classes := ops.TV(tensor.Of([]int64{2, -1, 4, 0, 9, -6}, 2, 3))
	samples := []ops.Sample{
		ops.Case(ops.Add{}, ops.TV(tensor.Of([]int64{1, 1 << 60, -5})), ops.TV(tensor.Scalar(int64(1)))),
		ops.Case(ops.Add{}, ops.TV(tensor.Of([]int64{1, 2})), ops.TV(tensor.Of([]int64{5, -9}))),
		ops.Case(ops.Cast{To: tensor.Int64}, ops.TV(tensor.Of([]float32{1.9, -1.9, 3e18, 1e30, 0}))),
		ops.Case(ops.Cast{To: tensor.Int64}, ops.TV(tensor.Of([]uint8{1, 200}))),
		ops.Case(ops.RequireFinite{}, ops.TV(tensor.Of([]int64{3, 4})), ops.TV(tensor.Of(big))),
		ops.Case(ops.Dropout{}, ops.TV(tensor.Of(big)), ops.TV(tensor.Scalar(float32(0.3))), on, key),
		ops.Case(ops.Dropout{}, ops.TV(tensor.Of(big)), ops.TV(tensor.Scalar(float32(0))), on, key),
		ops.Case(ops.Dropout{}, ops.TV(tensor.Of(big)), ops.TV(tensor.Scalar(float32(0.3))), ops.TV(tensor.Of([]bool{false})), key),
	}
	for _, axis := range []int{-1, 0, 1} {
		samples = append(samples, ops.Case(ops.OneHot{Axis: axis}, classes, ops.TV(tensor.Scalar(int64(5))), ops.TV(tensor.Of([]float32{-1, 3}))))
	}
	agreeWithRef(t, samples, optest.Tolerance{})
}
