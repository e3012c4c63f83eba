package rewrite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// doubleNeg drops pairs of Neg.
var doubleNeg = rewrite.On("double-neg", func(r *rewrite.Rewriter, n *graph.Node, _ ops.Neg) bool {
	if n.In[0].Def == nil {
		return false
	}
	if _, ok := n.In[0].Def.Op.(ops.Neg); !ok {
		return false
	}
	r.Replace(n.Out[0], n.In[0].Def.In[0])
	return true
})

// subToAdd spells a-b as a+(-b).
var subToAdd = rewrite.On("sub-to-add", func(r *rewrite.Rewriter, n *graph.Node, _ ops.Sub) bool {
	r.Replace(n.Out[0], r.Add(ops.Add{}, n.In[0], r.Add(ops.Neg{}, n.In[1])))
	return true
})

func TestApply(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2)))
	y := b.Add(ops.Sub{}, x, b.Add(ops.Neg{}, b.Add(ops.Relu{}, x)))
	b.Rename(y, "y")
	b.Output(y, y)
	require.NoError(t, b.Err())
	require.NoError(t, rewrite.Apply(g, []rewrite.Rule{doubleNeg, subToAdd}, rewrite.Options{Verify: true}))
	require.NoError(t, g.Verify())
	require.Len(t, g.Nodes, 2, g.String())
	require.Equal(t, ops.Add{}, g.Nodes[1].Op)
	require.Equal(t, "y", g.Outputs[0].Name)
	require.Same(t, g.Outputs[0], g.Outputs[1])
}

func TestEndlessRules(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	b.Output(b.Add(ops.Relu{}, b.Input("x", graph.TensorOf(tensor.Float32))))
	again := rewrite.On("again", func(r *rewrite.Rewriter, n *graph.Node, _ ops.Relu) bool {
		r.Replace(n.Out[0], r.Add(ops.Relu{}, n.In[0]))
		return true
	})
	require.ErrorContains(t, rewrite.Apply(g, []rewrite.Rule{again}, rewrite.Options{}), "without end")
}
