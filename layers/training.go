package layers

import (
	"reflect"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// Extras is what training needs beyond a model's outputs; package train reads it. The numbers are places
// in the graph's outputs.
type Extras struct {
	// Masks is for each of the model's outputs the place of its mask, or -1.
	Masks []int
	// Penalties are the activity regularizers: of which output, and which.
	Penalties []Penalty
	// Inference reports whether the BatchNormalization nodes of an origin stay in inference form: the layer
	// is frozen, or it was called with training=False.
	Inference func(origin string) bool
}

// Penalty is an activity regularizer of a graph output.
type Penalty struct {
	Output      int
	Regularizer *Object
}

// TrainingGraph is Graph with further outputs behind the model's own: masks, and what activity regularizers
// look at.
func (m *Model) TrainingGraph(opts Options) (*graph.Graph, Extras, error) {
	if err := m.Build(); err != nil {
		return nil, Extras{}, err
	}
	if err := m.initialize(opts.Seed); err != nil {
		return nil, Extras{}, err
	}
	opts.extras = &extras{still: map[string]bool{}}
	g, err := m.expand(opts)
	if err != nil {
		return nil, Extras{}, err
	}
	e := Extras{Masks: opts.extras.masks, Penalties: opts.extras.penalties}
	still := opts.extras.still
	e.Inference = func(origin string) bool { return still[origin] || m.frozenPath(origin) }
	return g, e, nil
}

// extras collects what TrainingGraph adds.
type extras struct {
	penalties []Penalty
	values    []*graph.Value // what the penalties are of
	masks     []int
	still     map[string]bool // layers called with training=False, by path
}

// note takes down a call's activity regularizer, and calls outside training.
func (x *expansion) note(c *Call, outs []*graph.Value) {
	e := x.opts.extras
	if e == nil || c.Err() != nil {
		return
	}
	if x.still > 0 {
		e.still[c.st.path] = true
	}
	if r := activityRegularizer(c.Layer); r != nil {
		for _, v := range outs {
			e.penalties, e.values = append(e.penalties, Penalty{Regularizer: r}), append(e.values, v)
		}
	}
}

// add appends the extra outputs to a model's own.
func (e *extras) add(b *graph.Builder, x *expansion, outs []*graph.Value) []*graph.Value {
	n := len(outs)
	for _, v := range outs[:n] {
		at := -1
		if mask := x.masks[v]; mask != nil {
			at = len(outs)
			outs = append(outs, b.Add(ops.Identity{}, mask))
		}
		e.masks = append(e.masks, at)
	}
	for i, v := range e.values {
		e.penalties[i].Output = len(outs)
		outs = append(outs, b.Add(ops.Identity{}, v))
	}
	return outs
}

// activityRegularizer is the regularizer of a layer's outputs, nil where it has none.
func activityRegularizer(l Layer) *Object {
	if a, ok := l.(*ActivityRegularization); ok {
		return &Object{Class: "L1L2", Config: map[string]any{"l1": a.L1, "l2": a.L2}}
	}
	v := reflect.ValueOf(l)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	if f := v.Elem().FieldByName("ActivityRegularizer"); f.IsValid() {
		o, _ := f.Interface().(*Object)
		return o
	}
	// Keras takes one for every layer; those without a field of that name keep it among the other entries.
	kept, _ := l.Common().Extra["activity_regularizer"].(map[string]any)
	class, _ := kept["class_name"].(string)
	if class == "" {
		return nil
	}
	cfg, _ := kept["config"].(map[string]any)
	return &Object{Class: class, Config: cfg}
}

// frozenPath reports whether the layer of a path, or one around it, is frozen.
func (m *Model) frozenPath(path string) bool {
	if m.Frozen {
		return true
	}
	var find func(s *state) *state
	find = func(s *state) *state {
		if s.path == path && s.layer != Layer(m) {
			return s
		}
		for _, t := range s.subs {
			if f := find(t); f != nil {
				return f
			}
		}
		return nil
	}
	for s := find(m.root.st); s != nil; s = s.parent {
		if s.layer.Common().Frozen {
			return true
		}
	}
	return false
}
