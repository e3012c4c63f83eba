package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// captures is the first of the inputs that op's graphs capture from outside: they are the last inputs of the node and of the graphs.
func captures(op graph.Op) (first int, ok bool) {
	switch op := op.(type) {
	case ops.If:
		return 1, true
	case ops.Loop:
		return 2 + op.NumCarried, true
	case ops.Scan:
		return op.NumStates + op.NumScanInputs, true
	case ops.SequenceMap:
		return op.NumInputs, true
	}
	return 0, false
}

// bindCaptures makes constants that graphs capture constants of their own, at any depth: weights are then packed once, and
// what depends on constants alone is folded. Graphs that are changed are copied first.
func bindCaptures(g *graph.Graph, _ Context) error {
	for _, n := range g.Nodes {
		if first, ok := captures(n.Op); ok {
			bindNode(n, first)
		}
	}
	return nil
}

func bindNode(n *graph.Node, first int) {
	op := n.Op.(graph.Subgrapher)
	var bodies []*graph.Graph
	for _, body := range op.Subgraphs() {
		if body == nil {
			return
		}
		bodies = append(bodies, body.Clone())
	}
	for j := len(n.In) - 1; j >= first; j-- {
		v, back := n.In[j], len(n.In)-j
		if !v.IsConst() || slices.ContainsFunc(bodies, func(b *graph.Graph) bool { return len(b.Inputs) < back }) {
			continue
		}
		for _, b := range bodies {
			i := len(b.Inputs) - back
			w := b.Inputs[i]
			w.Type, w.Data = v.Type, v.Data
			b.Inputs = slices.Delete(b.Inputs, i, i+1)
		}
		n.In = slices.Delete(slices.Clone(n.In), j, j+1)
	}
	for _, b := range bodies {
		for _, m := range b.Nodes {
			if first, ok := captures(m.Op); ok {
				bindNode(m, first)
			}
		}
	}
	n.Op = op.WithSubgraphs(bodies)
}

// pickBranches puts the graph that an If with a known condition runs in its place.
func pickBranches(g *graph.Graph, c Context) error {
	wanted := func(n *graph.Node) bool {
		op, ok := n.Op.(ops.If)
		if !ok || op.Then == nil || op.Else == nil || !n.In[0].IsConst() {
			return false
		}
		t := n.In[0].Type.Const
		return t.DType() == tensor.Bool && t.Len() == 1
	}
	for slices.ContainsFunc(g.Nodes, wanted) { // branches hold others
		if err := replaceNodes(g, wanted, func(b *graph.Builder, n *graph.Node) []*graph.Value {
			op := n.Op.(ops.If)
			branch := op.Else
			if tensor.As[bool](n.In[0].Type.Const)[0] {
				branch = op.Then
			}
			outs := b.Inline(branch.Clone(), n.In[1:]...)
			for i, v := range outs {
				// An output keeps its name, and isn't an input or a constant all of a sudden.
				if slices.Contains(g.Outputs, n.Out[i]) {
					outs[i] = b.Add(ops.Identity{}, v)
					outs[i].Name, n.Out[i].Name = n.Out[i].Name, outs[i].Name
				}
			}
			return outs
		}); err != nil {
			return err
		}
		if err := fold(g, c); err != nil {
			return err
		}
	}
	return nil
}
