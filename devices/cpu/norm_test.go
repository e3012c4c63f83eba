package cpu_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/ops"
)

// TestNormsAndReductionsLikeReference takes shapes that are cut into several slices, and odd remainders.
func TestNormsAndReductionsLikeReference(t *testing.T) {
	vec := func(c int) ops.SampleIn { return ops.FR(0.5, 2, c) }
	var samples []ops.Sample
	for _, shape := range [][]int{{4, 9, 11, 33}, {64, 5, 5, 3}, {3, 1, 40, 41}, {7, 129}, {500, 37}} {
		for _, f := range []ops.Format{ops.NHWC, ops.NCHW} {
			c := shape[1]
			if f == ops.NHWC {
				c = shape[len(shape)-1]
			}
			x := ops.FR(-1, 3, shape...)
			samples = append(samples,
				ops.Case(ops.BatchNormalization{Epsilon: 1e-3, Momentum: 0.9, TrainingMode: true, Format: f}, x, vec(c), vec(c), vec(c), vec(c)),
				ops.Case(ops.BatchNormalizationGrad{Format: f}, ops.F(shape...), x, vec(c), vec(c), vec(c)))
		}
		for _, axes := range [][]int64{{0}, {-1}, {1}, {0, -1}, {}} {
			in := []ops.SampleIn{ops.F(shape...), ops.IV(axes...)}
			samples = append(samples,
				ops.Case(ops.ReduceSum{Keepdims: true}, in...), ops.Case(ops.ReduceMean{}, in...),
				ops.Case(ops.ReduceMax{}, in...), ops.Case(ops.ReduceMin{Keepdims: true}, in...),
				ops.Case(ops.ReduceL2{}, in...), ops.Case(ops.ReduceSumSquare{NoopWithEmptyAxes: true}, in...))
		}
	}
	agreeWithRef(t, samples, optest.Tolerance{Abs: 3e-6, Rel: 1e-5})
}

// agreeWithRef holds that three threads of the device compute of each sample what the reference does.
func agreeWithRef(t *testing.T, samples []ops.Sample, tolerance optest.Tolerance) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 3})
	require.NoError(t, err)
	defer dev.Close()
	for i, s := range samples {
		t.Run(fmt.Sprint(s.Op.Name(), i), func(t *testing.T) {
			vals, err := optest.Inputs(s, 0, uint64(i))
			require.NoError(t, err)
			want, err := optest.Run(ref.New(), s.Op, vals, optest.Shapes)
			require.NoError(t, err)
			got, err := optest.Run(dev, s.Op, vals, optest.Shapes)
			require.NoError(t, err)
			for k := range want {
				require.NoError(t, optest.Difference(got[k], want[k], tolerance), "output %d", k)
			}
		})
	}
}
