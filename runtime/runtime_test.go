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

// mlp is tanh(x+w)*w, then the same once more, on a symbolic batch.
func mlp(t *testing.T) *graph.Graph {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(2)))
	w := b.Param("w", tensor.Of([]float32{1, -1}))
	h := x
	for range 2 {
		h = b.Add(ops.Mul{}, b.Add(ops.Tanh{}, b.Add(ops.Add{}, h, w)), w)
	}
	b.Rename(h, "y")
	b.Output(h)
	require.NoError(t, b.Err())
	require.NoError(t, g.Verify())
	return g
}

func TestRun(t *testing.T) {
	p, err := runtime.Compile(mlp(t), ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	for _, n := range []int{1, 3, 1, 0} {
		x := tensor.New(tensor.Float32, n, 2)
		for i := range tensor.As[float32](x) {
			tensor.As[float32](x)[i] = float32(i) / 4
		}
		out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"x": x})
		require.NoError(t, err)
		require.Equal(t, []int{n, 2}, out["y"].Shape())
		for i, v := range tensor.As[float32](x) {
			w := float64(1 - 2*(i%2))
			want := math.Tanh(math.Tanh(float64(v)+w)*w+w) * w
			require.InDelta(t, want, tensor.As[float32](out["y"])[i], 1e-6)
		}
	}
}

func TestRunErrors(t *testing.T) {
	p, err := runtime.Compile(mlp(t), ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	_, err = s.Run(context.Background(), nil)
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = s.Run(context.Background(), map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 1, 3)})
	require.ErrorIs(t, err, runtime.ErrInput)
	require.ErrorContains(t, err, `"x" is to be float32[N,2], got float32[1 3]`)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Run(ctx, map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 1, 2)})
	require.ErrorIs(t, err, context.Canceled)
}

func TestUpdates(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2)))
	w := b.Param("w", tensor.Of([]float32{1, 2}))
	n := b.Param("n", tensor.Of([]float32{0}))
	y := b.Add(ops.Mul{}, w, x)
	b.Output(y)
	g.Updates = []graph.Update{{Param: w, Value: b.Add(ops.Add{}, w, x)}, {Param: n, Value: b.Add(ops.Add{}, n, b.Float(1))}}
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, ref.New(), runtime.Options{KeepParams: true})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	for i := range 3 {
		out, err := s.RunValues(context.Background(), []tensor.Value{tensor.Of([]float32{1, 10})})
		require.NoError(t, err)
		require.Equal(t, []float32{1 + float32(i), (2 + 10*float32(i)) * 10}, tensor.As[float32](out[0].(*tensor.Tensor)))
	}
	require.Equal(t, []float32{4, 32}, tensor.As[float32](s.Param("w")))
	require.Equal(t, []float32{3}, tensor.As[float32](s.Param("n")))
}

// TestValueIsTwoOutputs holds that a value that is two outputs is still what its readers get.
func TestValueIsTwoOutputs(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(3)))
	y := b.Add(ops.Exp{}, x)
	z := b.Add(ops.ReduceSum{}, y)
	b.Output(y, y, z)
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	out, err := s.RunValues(context.Background(), []tensor.Value{tensor.Of([]float32{0, 0, 0})})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 1, 1}, tensor.As[float32](out[0].(*tensor.Tensor)))
	require.Equal(t, []float32{1, 1, 1}, tensor.As[float32](out[1].(*tensor.Tensor)))
	require.Equal(t, []float32{3}, tensor.As[float32](out[2].(*tensor.Tensor)))
}
