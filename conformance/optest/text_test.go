package optest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// TestTextForm prints a graph of every sample, parses it, and prints it again: the same text.
func TestTextForm(t *testing.T) {
	lookup := func(name string) (graph.Op, bool) {
		in, ok := ops.Lookup(name)
		return in.Op, ok
	}
	eachSample(t, func(t *testing.T, s ops.Sample, seed uint64) {
		vals, err := Inputs(s, tensor.Float32, seed)
		require.NoError(t, err)
		a := apply(vals, Shapes)
		a.b.Output(a.b.AddN(s.Op, a.in...)...)
		require.NoError(t, a.b.Err())
		g := a.b.Graph()
		require.NoError(t, g.Verify())
		var one, two strings.Builder
		require.NoError(t, g.Print(&one, graph.PrintOptions{Data: true}))
		h, err := graph.Parse(one.String(), lookup)
		require.NoError(t, err, one.String())
		require.NoError(t, h.Verify())
		require.NoError(t, h.Print(&two, graph.PrintOptions{Data: true}))
		require.Equal(t, one.String(), two.String())
	})
}
