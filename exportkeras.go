package nnrt

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
)

func exportKeras(path string, f *keras.File) error {
	if _, err := keras.LayoutOf(path); err != nil {
		return fmt.Errorf("nnrt: %w: %w", ErrEnding, err)
	}
	return keras.WriteFile(path, f, keras.WriteOptions{})
}

// ToKeras is the model as Keras layers: as they were read, or lifted from an ONNX graph. It is refused with the
// list of nodes that no layer stands for.
func (s *Source) ToKeras() (*keras.File, error) {
	if s.Keras != nil {
		return s.Keras, nil
	}
	m, err := keras.Lift(s.Graph)
	if err != nil {
		return nil, err
	}
	return &keras.File{Model: m}, nil
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
