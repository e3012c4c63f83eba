package layers

import "slices"

// Changed has to be called after fields of layers that are in the model were changed. Weights keep their values where their
// shapes stay as they are.
func (m *Model) Changed() { m.change() }

// change forgets what Build found out, but not the weights' values.
func (m *Model) change() {
	if m.root != nil && m.root.built {
		m.old = m.root.st
	}
	m.root = nil
}

// inherit gives weights the values that they had before the model was changed, or that they have in an inner model
// which was built or loaded by itself: layers are added to a trained network, and trained networks to a model.
func (m *Model) inherit() {
	var from []*state
	m.sources(&from, map[*Model]bool{})
	if len(from) == 0 {
		return
	}
	type key struct {
		layer Layer
		name  string
	}
	values := map[key]*Weight{}
	for _, s := range from {
		for _, w := range collect(nil, s, map[*Weight]bool{}, true) {
			if k := (key{w.Layer, w.Name}); w.Data != nil && values[k] == nil {
				values[k] = w
			}
		}
	}
	for _, w := range m.weights(true) {
		if v := values[key{w.Layer, w.Name}]; w.Data == nil && v != nil && v.DType == w.DType && slices.Equal(v.Shape, w.Shape) {
			w.Data = v.Data
		}
	}
}

// sources lists the states to inherit from, the model's own before those of inner models.
func (m *Model) sources(out *[]*state, seen map[*Model]bool) {
	if seen[m] {
		return
	}
	seen[m] = true
	if m.old != nil {
		*out = append(*out, m.old)
	}
	for _, l := range m.layers {
		if inner, ok := l.(*Model); ok {
			if inner.root != nil && inner.root.built {
				*out = append(*out, inner.root.st)
			}
			inner.sources(out, seen)
		}
	}
}
