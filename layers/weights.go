package layers

import (
	"encoding/json"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/tensor"
)

// Weights is the model's weights in the order of Keras 3's model.weights: layer by layer, each layer's own
// weights, trainable ones first, and then those of the layers inside it. The model has to be built.
func (m *Model) Weights() []*Weight { return m.weights(false) }

//go:noinline
func (m *Model) weights(states bool) []*Weight {
	if m.root == nil {
		return nil
	}
	return collect(nil, m.root.st, map[*Weight]bool{}, states)
}

// LayerWeights is the weights of one of the model's layers, at any depth, in the order of its weights.
func (m *Model) LayerWeights(l Layer) []*Weight {
	if m.root == nil {
		return nil
	}
	if st := findState(m.root.st, l); st != nil {
		return collect(nil, st, map[*Weight]bool{}, false)
	}
	return nil
}

func findState(s *state, l Layer) *state {
	if s.layer == l {
		return s
	}
	for _, t := range s.subs {
		if f := findState(t, l); f != nil {
			return f
		}
	}
	return nil
}

// own is a state's own weights in Keras' order, with those of inner layers that it tracks itself.
func (s *state) own() []*Weight {
	var out []*Weight
	for _, trainable := range []bool{true, false} {
		if trainable {
			out = append(out, s.shared...)
		}
		for _, w := range s.weights {
			if w.Trainable == trainable {
				out = append(out, w)
			}
		}
	}
	return out
}

func collect(out []*Weight, s *state, seen map[*Weight]bool, states bool) []*Weight {
	for _, w := range s.own() {
		if !seen[w] && (states || !w.State) {
			seen[w] = true
			out = append(out, w)
		}
	}
	for _, t := range s.ordered() {
		out = collect(out, t, seen, states)
	}
	return out
}

// ordered is the inner states: a model's in the order of its layers, others in that of their making.
func (s *state) ordered() []*state {
	m, ok := s.layer.(*Model)
	if !ok {
		return s.subs
	}
	var out []*state
	for _, l := range m.layers {
		if t := s.sub(l); t != nil {
			out = append(out, t)
		}
	}
	return out
}

// Trainable reports whether training changes w: it is trainable itself, and no layer around it is frozen.
func (m *Model) Trainable(w *Weight) bool {
	if !w.Trainable || m.Frozen {
		return false
	}
	for s := findState(m.root.st, w.Layer); s != nil; s = s.parent {
		if s.layer.Common().Frozen {
			return false
		}
	}
	return true
}

// TrainableParams is the names of the graph's parameters that training changes.
func (m *Model) TrainableParams() []string {
	var out []string
	for _, w := range m.weights(false) {
		if m.Trainable(w) {
			out = append(out, w.Path)
		}
	}
	return out
}

// A Group is the weights of one layer (or of a layer within it), for those who read and write files.
type Group struct {
	Layer   Layer
	Attr    string    // attribute of the layer around it that holds it
	List    bool      // the attribute is a list of layers
	Weights []*Weight // in the order of the layer's vars in a .keras file
	Inner   []*Group
}

// Groups is the weights of the whole model as a tree. The model has to be built.
func (m *Model) Groups() *Group {
	if m.root == nil {
		return &Group{Layer: m}
	}
	return group(m.root.st)
}

func group(s *state) *Group {
	g := &Group{Layer: s.layer, Attr: s.attr, List: s.inList}
	for _, w := range s.own() {
		if !w.State {
			g.Weights = append(g.Weights, w)
		}
	}
	for _, t := range s.ordered() {
		g.Inner = append(g.Inner, group(t))
	}
	return g
}

// initialize gives every weight without a value one, from its initializer.
func (m *Model) initialize(seed uint64) error {
	base := philox.New(seed)
	for i, w := range m.weights(true) {
		if w.Data != nil {
			continue
		}
		t, err := w.initial(base.Fork(uint64(i)))
		if err != nil {
			return errs.Errorf("layers: weight %q: %w", w.Path, err)
		}
		w.Data = t
	}
	return nil
}

func (w *Weight) initial(rng *philox.Stream) (*tensor.Tensor, error) {
	o := w.Initializer
	forget := o != nil && o.Class == unitForgetBias
	if forget {
		o, _ = o.Config["inner"].(*Object)
	}
	var in initializer.Initializer
	if o != nil {
		_, class, cfg := objectHome(o)
		p, err := AppendJSON(nil, cfg)
		if err != nil {
			return nil, err
		}
		if in, err = initializer.Decode(class, json.RawMessage(p)); err != nil {
			return nil, err
		}
	}
	t, err := initializer.Make(in, w.DType, w.Shape, rng)
	if err != nil || !forget {
		return t, err
	}
	vs, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	for i := len(vs) / 4; i < len(vs)/2; i++ {
		vs[i] = 1
	}
	return t, t.SetFloat64s(vs)
}

// SetData gives w a value of its shape, cast to its type.
func (w *Weight) SetData(t *tensor.Tensor) error {
	if !slices.Equal(t.Shape(), w.Shape) {
		return errs.Errorf("layers: weight %q has shape %v, the value %v", w.Path, w.Shape, t.Shape())
	}
	if t.DType() != w.DType {
		var err error
		if t, err = tensor.Cast(t, w.DType, tensor.CastOptions{}); err != nil {
			return errs.Errorf("layers: weight %q: %w", w.Path, err)
		}
	}
	w.Data = t
	return nil
}

// TrainableIn is Trainable as the layer l around w sees it: what is around l doesn't count.
func (m *Model) TrainableIn(w *Weight, l Layer) bool {
	if !w.Trainable {
		return false
	}
	for s := findState(m.root.st, w.Layer); s != nil; s = s.parent {
		if s.layer.Common().Frozen {
			return false
		}
		if s.layer == l {
			return true
		}
	}
	return true
}
