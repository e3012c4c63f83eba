package runtime_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

func session(t *testing.T, g *graph.Graph) (*runtime.Program, *runtime.Session) {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	p, err := runtime.Compile(g, d, runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	return p, s
}

// TestDynamicStepsFollowContents runs steps whose shapes depend on contents: what was prepared for one target must not serve
// another, however the runs come.
func TestDynamicStepsFollowContents(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(4), graph.D(6)))
	to := b.Input("to", graph.TensorOf(tensor.Int64, graph.Unknown()))
	y := b.Add(ops.Softmax{Axis: -1}, b.Add(ops.Reshape{}, x, to))
	b.Output(y, b.Add(ops.NonZero{}, x))
	require.NoError(t, b.Err())
	_, s := session(t, g)
	data := make([]float32, 24)
	for round := range 12 {
		for i := range data {
			data[i] = float32((i*7+round)%(3+round%2)) - 1
		}
		target := [][]int64{{24}, {2, 12}, {12, 2}, {3, 8}, {1, 24}, {8, 3}, {2, 3, 4}}[(round*5)%7]
		in, err := tensor.Of(data).Reshape(4, 6)
		require.NoError(t, err)
		out, err := s.RunValues(context.Background(), []tensor.Value{in, tensor.Of(target)})
		require.NoError(t, err)
		shape := out[0].(*tensor.Tensor).Shape()
		require.Len(t, shape, len(target))
		sum := float32(0)
		for i, n := range target {
			require.Equal(t, int(n), shape[i])
		}
		for _, v := range floats(out[0])[:target[len(target)-1]] {
			sum += v
		}
		require.InDelta(t, 1, sum, 1e-5)
		nonzero := 0
		for _, v := range data {
			if v != 0 {
				nonzero++
			}
		}
		require.Equal(t, []int{2, nonzero}, out[1].(*tensor.Tensor).Shape())
	}
}

// branchOf is a graph that adds a captured value to its input, inside another If where depth > 0.
func branchOf(depth int, by float32) *graph.Graph {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.UnrankedOf(tensor.Float32))
	w := b.Input("w", graph.UnrankedOf(tensor.Float32))
	scaled := b.Add(ops.Mul{}, w, b.Float(by))
	if depth == 0 {
		b.Output(b.Add(ops.Add{}, x, scaled))
	} else {
		// The size decides: known as soon as shapes are.
		size := b.Add(ops.Size{}, x)
		cond := b.Add(ops.Equal{}, size, b.Const("six", tensor.Scalar(int64(6))))
		b.Output(b.Add(ops.If{Then: branchOf(depth-1, by), Else: branchOf(depth-1, -by)}, cond, x, scaled))
	}
	return g
}

// TestCapturedConstants holds graphs to the same results once what they capture has become their own, and branches that shapes
// decide have been picked.
func TestCapturedConstants(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	cond := b.Input("cond", graph.TensorOf(tensor.Bool))
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Unknown()))
	w := b.Param("w", tensor.Scalar(float32(2)))
	known := b.Const("yes", tensor.Scalar(true))
	inner := b.Add(ops.If{Then: branchOf(2, 3), Else: branchOf(1, 5)}, cond, x, w)
	y := b.Add(ops.If{Then: branchOf(0, 1), Else: branchOf(0, 100)}, known, inner, w)
	b.Output(y, inner)
	require.NoError(t, b.Err())
	y.Name = "answer"
	p, s := session(t, g)
	require.Equal(t, "answer", p.Graph().Outputs[0].Name)
	left := 0
	for _, n := range p.Graph().Nodes {
		if op, ok := n.Op.(ops.If); ok {
			left++
			require.Len(t, n.In, 2, "the weights are the branches' own")
			require.Len(t, op.Then.Inputs, 1)
		}
	}
	require.Equal(t, 1, left, "the If with a constant condition is gone")
	for round := range 4 {
		n := 5 + round%2
		out, err := s.RunValues(context.Background(), []tensor.Value{tensor.Scalar(round < 2), tensor.New(tensor.Float32, n)})
		require.NoError(t, err)
		want := added(1, 5, n)
		if round < 2 {
			want = added(2, 3, n)
		}
		require.Equal(t, want, floats(out[1])[n-1], "round %d", round)
		require.Equal(t, want+2, floats(out[0])[0])
	}
}

// added is what branchOf adds to n elements where w is 2.
func added(depth int, by float32, n int) float32 {
	sum := 2 * by
	for range depth {
		if n != 6 {
			by = -by
		}
		sum *= by
	}
	return sum
}
