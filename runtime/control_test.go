package runtime_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// runOp applies the registry's sample body of a control op.
func runOp(t *testing.T, op graph.Op, in ...tensor.Value) []tensor.Value {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	var vs []*graph.Value
	for _, v := range in {
		x := v.(*tensor.Tensor)
		vs = append(vs, b.Input("in", graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...)))
	}
	b.Output(b.AddN(op, vs...)...)
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	var out []tensor.Value
	for range 2 { // the second run must not see the first's values
		out, err = s.RunValues(context.Background(), in)
		require.NoError(t, err)
	}
	return out
}

func sampleOp(t *testing.T, name string) graph.Op {
	in, ok := ops.Lookup(name)
	require.True(t, ok)
	return ops.Samples(in.Op)[0].Op
}

func floats(v tensor.Value) []float32 { return tensor.As[float32](v.(*tensor.Tensor)) }

func TestIf(t *testing.T) {
	x := tensor.Of([]float32{-1, 2})
	op := sampleOp(t, "If")
	require.Equal(t, []float32{0, 2}, floats(runOp(t, op, tensor.Scalar(true), x)[0]))
	require.InDelta(t, math.Tanh(-1), floats(runOp(t, op, tensor.Scalar(false), x)[0])[0], 1e-6)
}

func TestLoop(t *testing.T) {
	out := runOp(t, sampleOp(t, "Loop"), tensor.Scalar(int64(3)), tensor.Scalar(true), tensor.Of([]float32{1, 2}))
	require.Equal(t, []float32{8, 16}, floats(out[0]))
	require.Equal(t, []int{3, 2}, out[1].(*tensor.Tensor).Shape())
	none := runOp(t, sampleOp(t, "Loop"), tensor.Scalar(int64(0)), tensor.Scalar(true), tensor.Of([]float32{1, 2}))
	require.Equal(t, []float32{1, 2}, floats(none[0]))
	require.Equal(t, []int{0, 2}, none[1].(*tensor.Tensor).Shape())
}

func TestScan(t *testing.T) {
	xs := tensor.Of([]float32{1, 2, 3, 4}, 2, 2)
	op := sampleOp(t, "Scan").(ops.Scan)
	op.ScanInputDirections = []int{1}
	op.ScanOutputAxes = []int{-1}
	out := runOp(t, op, tensor.Of([]float32{0, 0}), xs)
	s0 := math.Tanh(3)
	s1 := math.Tanh(s0 + 1)
	require.InDelta(t, s1, floats(out[0])[0], 1e-6)
	require.Equal(t, []int{2, 2}, out[1].(*tensor.Tensor).Shape())
	require.InDeltaSlice(t, []float32{float32(s0), float32(s1)}, floats(out[1])[:2], 1e-6)
}
