package passes

import (
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/graph"
)

// mergeEqual makes one node of equal nodes on equal inputs.
func mergeEqual(g *graph.Graph, _ Context) error {
	type bucket struct {
		op    reflect.Type
		first *graph.Value
		n     int
	}
	seen := map[bucket][]*graph.Node{}
	same := map[*graph.Value]*graph.Value{}
	var kept []*graph.Node
	for _, n := range g.Nodes {
		for i, v := range n.In {
			if w := same[v]; w != nil {
				n.In[i] = w
			}
		}
		if len(n.In) == 0 || n.In[0] == nil || !mergeable(n.Op) {
			kept = append(kept, n)
			continue
		}
		key := bucket{reflect.TypeOf(n.Op), n.In[0], len(n.In)}
		twin := findTwin(seen[key], n)
		if twin == nil {
			seen[key] = append(seen[key], n)
			kept = append(kept, n)
			continue
		}
		for i, v := range n.Out {
			same[v] = twin.Out[i]
		}
	}
	g.Nodes = kept
	for i, v := range g.Outputs {
		if w := same[v]; w != nil {
			g.Outputs[i] = w
		}
	}
	for i, u := range g.Updates {
		if w := same[u.Value]; w != nil {
			g.Updates[i].Value = w
		}
	}
	return nil
}

func mergeable(op graph.Op) bool {
	if s, ok := op.(graph.Stateful); ok && s.Stateful() {
		return false
	}
	_, sub := op.(graph.Subgrapher)
	return !sub
}

func findTwin(nodes []*graph.Node, n *graph.Node) *graph.Node {
next:
	for _, m := range nodes {
		for i := range n.In {
			if m.In[i] != n.In[i] {
				continue next
			}
		}
		if len(m.Out) == len(n.Out) && reflect.DeepEqual(m.Op, n.Op) {
			return m
		}
	}
	return nil
}

// decomposeUnsupported spells a node that the device has no kernel for in simpler ops.
func decomposeUnsupported(g *graph.Graph, c Context) error {
	return decompose(g, func(n *graph.Node) bool { return !c.Dev.Kernels().Has(n.Op) })
}

// decompose spells the nodes that are wanted in simpler ops, where they have a decomposition.
func decompose(g *graph.Graph, wanted func(*graph.Node) bool) error {
	for range 8 { // a decomposition may itself need decomposing
		if !slices.ContainsFunc(g.Nodes, wanted) {
			return nil
		}
		if err := replaceNodes(g, wanted, func(b *graph.Builder, n *graph.Node) []*graph.Value {
			if d, ok := n.Op.(graph.Decomposer); ok {
				return d.Decompose(b, n.In)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// replaceNodes puts what with builds in the place of each node that is wanted; nil leaves the node.
func replaceNodes(g *graph.Graph, wanted func(*graph.Node) bool, with func(b *graph.Builder, n *graph.Node) []*graph.Value) error {
	b := graph.NewBuilder(g) // with the names of all nodes
	nodes := g.Nodes
	g.Nodes = nil
	for _, n := range nodes {
		var outs []*graph.Value
		if wanted(n) {
			former := b.SetOrigin(n.Origin)
			outs = with(b, n)
			b.SetOrigin(former)
		}
		if outs == nil {
			g.Nodes = append(g.Nodes, n)
			continue
		}
		replaceAll(g, nodes, n.Out, outs)
	}
	return b.Err()
}

// replaceAll makes every use of a value in old one of its counterpart in new.
func replaceAll(g *graph.Graph, nodes []*graph.Node, old, new []*graph.Value) {
	to := map[*graph.Value]*graph.Value{}
	for i, v := range old {
		if i < len(new) && new[i] != nil {
			to[v] = new[i]
		}
	}
	swap := func(vs []*graph.Value) {
		for i, v := range vs {
			if w := to[v]; w != nil && v != nil {
				vs[i] = w
			}
		}
	}
	for _, n := range nodes {
		swap(n.In)
	}
	for _, n := range g.Nodes {
		swap(n.In)
	}
	swap(g.Outputs)
	for i, u := range g.Updates {
		if w := to[u.Value]; w != nil {
			g.Updates[i].Value = w
		}
	}
}
