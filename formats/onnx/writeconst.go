package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// largeConst is the size from which a constant is written as an initializer, whose bytes can lie outside
// the file; smaller ones are Constant nodes, which tells them from parameters.
const largeConst = 64 << 10

func isLarge(t *tensor.Tensor) bool { return len(t.Bytes()) >= largeConst }

// constant notes a constant for the graph that it is written in. A large one that several graphs read is
// written once, in the innermost graph around all of them, and goes by its name there in the others.
func (x *graphWriter) constant(v *graph.Value) {
	home, t := x, v.Type.Const
	if isLarge(t) {
		if x.large[t] != "" {
			x.names[v] = x.large[t]
			return
		}
		for home.outer != nil && home.of != x.homes[t] {
			home = home.outer
		}
		x.large[t] = x.unique(v.Name)
		x.names[v] = x.large[t]
	}
	home.consts = append(home.consts, v)
}

// findHomes notes, for every large constant of g and the graphs in it, the innermost graph around all that
// read it, and returns those constants.
func (w *writer) findHomes(g *graph.Graph) map[*tensor.Tensor]bool {
	found := map[*tensor.Tensor]bool{}
	note := func(t *tensor.Tensor, home *graph.Graph) {
		if found[t] {
			home = g
		}
		found[t], w.homes[t] = true, home
	}
	read := func(v *graph.Value) {
		if v.IsConst() && isLarge(v.Type.Const) {
			note(v.Type.Const, g)
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			read(v)
		}
		if s, ok := n.Op.(graph.Subgrapher); ok {
			for _, sub := range s.Subgraphs() {
				for t := range w.findHomes(sub) {
					note(t, w.homes[t])
				}
			}
		}
	}
	for _, v := range g.Outputs {
		read(v)
	}
	return found
}
