package inspect_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/inspect"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// chain is three layers of tanh(x·w), the second weight times factor.
func chain(t *testing.T, factor float32) *nnrt.Model {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(4)))
	for i, name := range []string{"a", "b", "c"} {
		w := tensor.New(tensor.Float32, 4, 4)
		for k := range tensor.As[float32](w) {
			if tensor.As[float32](w)[k] = float32(k%5)/4 - 0.4; i == 1 {
				tensor.As[float32](w)[k] *= factor
			}
		}
		x = b.Add(ops.MatMul{}, x, b.Param("w"+name, w))
		b.Rename(x, name+"/product")
		x = b.Add(ops.Tanh{}, x)
		b.Rename(x, name)
	}
	b.Output(x)
	require.NoError(t, b.Err())
	m, err := nnrt.New(g, nnrt.Options{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// The first node whose result differs is the one whose weight does; the outputs' differences are counted in units of the
// last place, too.
func TestCompareNodes(t *testing.T) {
	ctx, a := context.Background(), chain(t, 1)
	list, err := inspect.CompareNodes(ctx, a, chain(t, 1), inspect.CompareOptions{})
	require.NoError(t, err)
	require.Len(t, list, 6)
	for _, d := range list {
		require.True(t, d.Agrees && d.MaxULP == 0, d)
	}
	next := math.Nextafter32(1, 2)
	list, err = inspect.CompareNodes(ctx, a, chain(t, next), inspect.CompareOptions{})
	require.NoError(t, err)
	require.Zero(t, list[1].MaxULP)
	require.Positive(t, list[2].MaxULP)
	require.True(t, list[5].Agrees)
	list, err = inspect.CompareNodes(ctx, a, chain(t, 1.01), inspect.CompareOptions{Batch: 3})
	require.NoError(t, err)
	require.Equal(t, []int{3, 4}, list[0].Shape)
	for i, d := range list {
		require.Equal(t, i < 2, d.Agrees, d)
	}
	require.Equal(t, "b/product", list[2].Name)
	c, err := inspect.Compare(ctx, a, chain(t, next), inspect.CompareOptions{})
	require.NoError(t, err)
	require.True(t, c.Equal)
	require.Less(t, c.Outputs[0].MaxULP, 64.0)
}
