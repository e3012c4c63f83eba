package cpu_test

import (
	"testing"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// recurrentCases is layers in training with batches of several tiles, and their gradients.
func recurrentCases() []ops.Sample {
	var out []ops.Sample
	none := ops.SampleIn{}
	for layout := range 2 {
		for _, dir := range []string{"", "reverse", "bidirectional"} {
			for _, sizes := range [][4]int{{5, 37, 9, 20}, {3, 1, 4, 7}, {90, 11, 33, 8}} { // steps, batch, data, hidden
				t, n, in, h := sizes[0], sizes[1], sizes[2], sizes[3]
				d := ops.Directions(dir)
				x, y, s := ops.F(t, n, in), ops.F(t, d, n, h), ops.F(d, n, h)
				if layout == 1 {
					x, y, s = ops.F(n, t, in), ops.F(n, t, d, h), ops.F(n, d, h)
				}
				lens := make([]int32, n)
				for i := range lens {
					lens[i] = int32((i*7 + 1) % (t + 1))
				}
				l := none
				if dir != "" {
					l = ops.TV(tensor.Of(lens))
				}
				w := func(g, k int) ops.SampleIn { return ops.FR(-0.3, 0.3, d, g*h, k) }
				gates := ops.FR(0, 1, d, t*n, 4*h)
				lstm := ops.LSTM{HiddenSize: h, Direction: dir, Layout: layout}
				gru := ops.GRU{HiddenSize: h, Direction: dir, Layout: layout, LinearBeforeReset: true}
				out = append(out,
					ops.Case(ops.LSTMTrain{Of: lstm}, x, w(4, in), w(4, h), ops.F(d, 8*h), l, s, s),
					ops.Case(ops.LSTMTrain{Of: lstm}, x, w(4, in), w(4, h)),
					ops.Case(ops.LSTMTrainGrad{Of: lstm}, x, w(4, in), w(4, h), ops.F(d, 8*h), l, s, s, none, y, gates, ops.F(d, t*n, h), y, s, s),
					ops.Case(ops.LSTMTrainGrad{Of: lstm}, x, w(4, in), w(4, h), none, none, none, none, none, y, gates, ops.F(d, t*n, h), none, s, none),
					ops.Case(ops.GRUTrain{Of: gru}, x, w(3, in), w(3, h), ops.F(d, 6*h), l, s),
					ops.Case(ops.GRUTrainGrad{Of: gru}, x, w(3, in), w(3, h), ops.F(d, 6*h), l, s, y, gates, y, s),
					ops.Case(ops.GRUTrainGrad{Of: gru}, x, w(3, in), w(3, h), none, none, none, y, gates, none, s))
			}
		}
	}
	return out
}

// TestTrainingKernelsLikeReference takes shapes that are cut into several tiles and blocks.
func TestTrainingKernelsLikeReference(t *testing.T) {
	samples := recurrentCases()
	for _, shape := range [][]int{{3, 50, 129}, {500, 37}, {1, 7}} {
		n := shape[len(shape)-1]
		stats := append(append([]int{}, shape[:len(shape)-1]...), 1)
		samples = append(samples, ops.Case(ops.LayerNormalizationGrad{Axis: -1}, ops.F(shape...), ops.F(shape...), ops.F(n), ops.F(stats...), ops.FR(0.5, 2, stats...)))
	}
	index := func(n, count int) ops.SampleIn {
		v := make([]int64, count)
		for i := range v {
			v[i] = int64(i*i%(2*n) - n)
		}
		return ops.TV(tensor.Of(v))
	}
	samples = append(samples,
		ops.Case(ops.GatherGrad{}, ops.F(300, 200), index(19, 300), ops.IV(19, 200)),
		ops.Case(ops.GatherGrad{Axis: 1}, ops.F(4, 30, 5, 3), index(7, 30), ops.IV(4, 7, 5, 3)),
		ops.Case(ops.GatherGrad{Axis: -1}, ops.F(4, 30), index(7, 30), ops.IV(4, 7)))
	agreeWithRef(t, samples, optest.Tolerance{Abs: 2e-5, Rel: 2e-5})
}
