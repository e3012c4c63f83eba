package nnrt

import (
	"context"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/train"
)

func exportKeras(path string, f *keras.File) error {
	if _, err := keras.LayoutOf(path); err != nil {
		return errs.Errorf("nnrt: %w: %w", ErrEnding, err)
	}
	return keras.WriteFile(path, f, keras.WriteOptions{})
}

// ToKeras is the model as Keras layers: as they were read, or lifted from an ONNX graph. It is refused with the
// list of nodes that no layer stands for.
func (s *Source) ToKeras() (*keras.File, error) {
	if s.Keras != nil {
		return s.Keras, nil
	}
	g, err := foldWeights(s.Graph)
	if err != nil {
		return nil, err
	}
	m, err := keras.Lift(g)
	if err != nil {
		return nil, err
	}
	return &keras.File{Model: m}, nil
}

// foldWeights is g with what is computed of its weights alone computed: exporters shape weights by nodes.
func foldWeights(g *graph.Graph) (*graph.Graph, error) {
	g = g.Clone()
	known := map[*graph.Value]bool{}
	var nodes []*graph.Node
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.Subgrapher); ok {
			continue
		}
		if s, ok := n.Op.(graph.Stateful); ok && s.Stateful() {
			continue
		}
		fixed := true
		for _, v := range n.In {
			fixed = fixed && (v == nil || known[v] || v.Def == nil && v.Data != nil)
		}
		if !fixed {
			continue
		}
		nodes = append(nodes, n)
		for _, v := range n.Out {
			known[v] = true
		}
	}
	frontier := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && known[v] && !slices.Contains(nodes, n) {
				frontier[v] = true
			}
		}
	}
	if len(frontier) == 0 {
		return g, nil
	}
	h := &graph.Graph{Name: g.Name, Nodes: nodes, Params: g.Params}
	for _, n := range nodes {
		for _, v := range n.Out {
			if frontier[v] {
				h.Outputs = append(h.Outputs, v)
			}
		}
	}
	p, err := runtime.Compile(h.Clone(), ref.New(), runtime.Options{})
	if err != nil {
		return nil, err
	}
	run, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	out, err := run.Run(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	for _, v := range h.Outputs {
		v.Def, v.Data = nil, out[v.Name]
		g.Params = append(g.Params, v)
	}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return slices.Contains(nodes, n) })
	return g, nil
}

// Trainer makes a trainable model of an imported one: the layers of a Keras model, or every float parameter
// of an ONNX graph. What it learns goes back by Update.
func (s *Source) Trainer(dev devices.Device, seed uint64) (*train.Model, error) {
	if l := s.Layers(); l != nil {
		return train.FromLayers(l, dev, seed)
	}
	return train.NewModel(s.Graph, dev, train.Info{})
}

// Update takes the weights of a model that Trainer made.
func (s *Source) Update(m *train.Model) error {
	if l := s.Layers(); l != nil {
		if err := m.ToLayers(l); err != nil {
			return err
		}
		g, err := l.Graph(layers.Options{})
		if err != nil {
			return err
		}
		s.Graph = g
		return nil
	}
	for _, p := range s.Graph.Params {
		if t := m.Value(p.Name); t != nil {
			p.Data = t
		}
	}
	return nil
}

// UpdateTraining takes what a Keras file keeps beside the weights: how a model that Trainer made was compiled,
// and the state of its optimizer. ONNX has no place for either. A later training can go on from there.
func (s *Source) UpdateTraining(m *train.Model) error {
	if s.Keras == nil {
		return nil
	}
	c, err := m.CompileConfig()
	if err != nil {
		return err
	}
	vs, err := m.OptimizerVariables()
	if err != nil {
		return err
	}
	s.Keras.Training, s.Keras.Optimizer = c, nil
	for _, v := range vs {
		s.Keras.Optimizer = append(s.Keras.Optimizer, keras.Variable{Name: v.Path, Data: v.Value})
	}
	return nil
}
