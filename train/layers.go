package train

import (
	"encoding/json"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/tensor"
)

// FromLayers makes a trainable model of layers. seed is for weights without a value. After training,
// ToLayers puts the weights back. l's layers are put in Keras' order (layers.Model.SortLayers) unless they have a file's.
func FromLayers(l *layers.Model, dev devices.Device, seed uint64) (*Model, error) {
	l.SortLayers()
	infer, extras, err := l.TrainingGraph(layers.Options{Seed: seed})
	if err != nil {
		return nil, err
	}
	info := Info{Outputs: len(extras.Masks), Masks: extras.Masks, FrozenNorm: extras.Inference, OutputNames: l.OutputNames()}
	if info.Train, _, err = l.TrainingGraph(layers.Options{Seed: seed, Training: true}); err != nil {
		return nil, err
	}
	for _, p := range extras.Penalties {
		r, err := makeRegularizer(p.Regularizer)
		if err != nil {
			return nil, err
		}
		info.Penalties = append(info.Penalties, Penalty{p.Output, r})
	}
	for _, w := range l.Weights() {
		v := Weight{Name: w.Path, Trainable: l.Trainable(w)}
		if v.Regularizer, err = makeRegularizer(w.Regularizer); err != nil {
			return nil, errs.Errorf("train: %s: %w", w.Path, err)
		}
		if v.Constraint, err = makeConstraint(w.Constraint); err != nil {
			return nil, errs.Errorf("train: %s: %w", w.Path, err)
		}
		info.Weights = append(info.Weights, v)
	}
	return NewModel(infer, dev, info)
}

// ToLayers copies the weights into the layers that FromLayers took them from.
func (m *Model) ToLayers(l *layers.Model) error {
	for _, w := range l.Weights() {
		t := m.Value(w.Path)
		if t == nil {
			return errs.Errorf("train: the model has no weight %q", w.Path)
		}
		if w.Data != nil && !tensor.SameShape(w.Data, t) {
			return errs.Errorf("train: weight %q is %v, trained as %v", w.Path, w.Data.Shape(), t.Shape())
		}
		w.Data = t
	}
	return nil
}

func config(o *layers.Object) (json.RawMessage, error) {
	if o.Config == nil {
		return nil, nil
	}
	return json.Marshal(o.Config)
}

func makeRegularizer(o *layers.Object) (regularizer.Regularizer, error) {
	if o == nil {
		return nil, nil
	}
	cfg, err := config(o)
	if err != nil {
		return nil, err
	}
	return regularizer.Decode(o.Class, cfg)
}

func makeConstraint(o *layers.Object) (constraint.Constraint, error) {
	if o == nil {
		return nil, nil
	}
	cfg, err := config(o)
	if err != nil {
		return nil, err
	}
	return constraint.Decode(o.Class, cfg)
}
