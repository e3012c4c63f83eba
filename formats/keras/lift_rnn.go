package keras

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// rnnForm is what the three recurrent operators have in common.
type rnnForm struct {
	kind        string // layer class
	units       int
	direction   string
	layout      int
	acts        []string // of one direction
	alpha, beta []float64
	gates       []int // Keras' order of ONNX's gates
	states      int
	resetAfter  bool
}

// formOf is the form of a recurrent operator; false where it has what no layer has.
func formOf(n *graph.Node) (f rnnForm, ok bool) {
	switch op := n.Op.(type) {
	case ops.RNN:
		f = rnnForm{"SimpleRNN", op.HiddenSize, op.Direction, op.Layout, op.Activations, op.ActivationAlpha, op.ActivationBeta, []int{0}, 1, false}
		ok = op.Clip == 0
		f.defaults("Tanh")
	case ops.LSTM: // of i o f c: i f c o
		f = rnnForm{"LSTM", op.HiddenSize, op.Direction, op.Layout, op.Activations, op.ActivationAlpha, op.ActivationBeta, []int{0, 2, 3, 1}, 2, false}
		ok = op.Clip == 0 && !op.InputForget && (len(n.In) < 8 || n.In[7] == nil || zeros(n.In[7]))
		f.defaults("Sigmoid", "Tanh", "Tanh")
	case ops.GRU: // z r h in both
		f = rnnForm{"GRU", op.HiddenSize, op.Direction, op.Layout, op.Activations, op.ActivationAlpha, op.ActivationBeta, []int{0, 1, 2}, 1, op.LinearBeforeReset}
		ok = op.Clip == 0
		f.defaults("Sigmoid", "Tanh")
	}
	return f, ok && f.units > 0
}

func (f *rnnForm) defaults(acts ...string) {
	if len(f.acts) == 0 {
		f.acts = slices.Repeat(acts, f.dirs())
	}
}

func (f *rnnForm) dirs() int {
	if f.direction == "bidirectional" {
		return 2
	}
	return 1
}

// activations is what both directions apply to gates and to states; false where there is no such layer.
func (f *rnnForm) activations() (rec, act layers.Activation, ok bool) {
	as, ok := layers.FromNative(f.acts, f.alpha, f.beta)
	per := len(as) / f.dirs()
	if !ok || per == 0 || f.dirs() == 2 && !slices.Equal(as[:per], as[per:]) || f.kind == "LSTM" && as[1] != as[2] {
		return "", "", false
	}
	return as[0], as[per-1], true
}

// layer is the layer of one direction.
func (f *rnnForm) layer(b layers.Base, backwards, masked bool) layers.Layer {
	rec, act, _ := f.activations()
	c := layers.RecurrentConfig{Base: b, Units: f.units, Activation: act, ReturnSequences: true, ReturnState: true, GoBackwards: backwards, ZeroOutputForMask: masked}
	switch f.kind {
	case "SimpleRNN":
		return (*layers.SimpleRNN)(&c)
	case "GRU":
		c.RecurrentActivation, c.ResetBefore = rec, !f.resetAfter
		return (*layers.GRU)(&c)
	}
	c.RecurrentActivation = rec
	return (*layers.LSTM)(&c)
}

// recurrent lifts an RNN, LSTM or GRU, in either direction or both. ONNX has time first and the directions as a
// dimension; Keras has the batch first and joins the directions' features.
func (l *lifter) recurrent(n *graph.Node) bool {
	x := l.in(n, 0)
	f, ok := formOf(n)
	if _, _, known := f.activations(); !ok || !known || x == nil {
		return false
	}
	var sets [][]*tensor.Tensor
	for d := range f.dirs() {
		set, ok := recurrentWeights(n, d, f)
		if !ok {
			return false
		}
		sets = append(sets, set)
	}
	b := l.base(n)
	kwargs := map[string]any{}
	mask, ok1 := l.lengths(n, f)
	states, ok2 := l.initialStates(n, f)
	if !ok1 || !ok2 {
		return false
	}
	if mask != nil {
		kwargs["mask"] = mask
	}
	if states != nil {
		kwargs["initial_state"] = states
	}
	if f.layout == 0 {
		x = l.permuted(b.Name+"_batch_first", x, 1, 0, 2)
	}
	reversed := f.direction == "reverse"
	layer := f.layer(b, reversed, mask != nil)
	if f.dirs() == 2 {
		layer = &layers.Bidirectional{Base: b, Layer: f.layer(layers.Named(b.Name+"_cell"), false, mask != nil)}
	}
	y := l.m.ApplyArgs(layer, []any{x}, kwargs)
	l.ordered = append(l.ordered, orderedWeights{layer, slices.Concat(sets...)})
	l.recurrentOutputs(n, y, b.Name, f, reversed)
	return true
}

// lengths is the mask of the steps within each sample's length; nil where all are.
func (l *lifter) lengths(n *graph.Node, f rnnForm) (mask *layers.Tensor, ok bool) {
	if len(n.In) < 5 || n.In[4] == nil {
		return nil, true
	}
	time := n.In[0].Type.Dims[f.layout]
	steps, known := time.Const()
	if c := constOf(n.In[4]); c != nil && known {
		ls, err := c.Int64s()
		if err == nil && !slices.ContainsFunc(ls, func(v int64) bool { return int(v) != steps }) {
			return nil, true
		}
	}
	stem := n.Out[0].Name + "_lengths"
	lengths, ok := l.operand(n, 4)
	at, ok2 := l.counted(stem, time, n.In[4].Type.DType, 0, 1)
	if !ok || !ok2 {
		return nil, false
	}
	if _, isTensor := lengths.(*layers.Tensor); !isTensor {
		if lengths, ok = l.spread(stem, lengths, n.In[4].Type.Dims, []graph.Dim{n.In[0].Type.Dims[1-f.layout]}, n.In[4].Type.DType); !ok {
			return nil, false
		}
	}
	lengths = l.apply(stem, "ExpandDims axis", num(1), lengths)
	return l.apply(stem, "Less", at, lengths), true
}

// initialStates is the states that a call begins with, those of the forward direction first; nil where they
// are zero.
func (l *lifter) initialStates(n *graph.Node, f rnnForm) (states []any, ok bool) {
	all := true
	for k := range f.states {
		all = all && (len(n.In) <= 5+k || n.In[5+k] == nil || zeros(n.In[5+k]))
	}
	if all {
		return nil, true
	}
	batch := n.In[0].Type.Dims[1-f.layout]
	for d := range f.dirs() {
		for k := range f.states {
			stem := n.Out[0].Name + "_initial"
			if len(n.In) <= 5+k || n.In[5+k] == nil || zeros(n.In[5+k]) {
				z, ok := l.spread(stem, array(tensor.Float32, make([]float64, f.units), 1, f.units), []graph.Dim{graph.D(1), graph.D(f.units)}, []graph.Dim{batch, graph.D(f.units)}, tensor.Float32)
				if !ok {
					return nil, false
				}
				states = append(states, z)
				continue
			}
			key := []any{num(d)}
			if f.layout == 1 {
				key = []any{whole(), num(d)}
			}
			if t := l.in(n, 5+k); t != nil {
				states = append(states, l.apply(stem, "GetItem", t, key))
				continue
			}
			z, ok := l.knownState(stem, constOf(n.In[5+k]), d, f, batch)
			if !ok {
				return nil, false
			}
			states = append(states, z)
		}
	}
	return states, true
}

// knownState is one direction's state of constants.
func (l *lifter) knownState(stem string, t *tensor.Tensor, d int, f rnnForm, batch graph.Dim) (*layers.Tensor, bool) {
	if t == nil || t.Rank() != 3 || t.Len() > maxInline {
		return nil, false
	}
	if f.layout == 1 {
		var err error
		if t, err = transpose(t, 1, 0, 2); err != nil {
			return nil, false
		}
	}
	vs, err := t.Float64s()
	if err != nil {
		return nil, false
	}
	rows := t.Dim(1)
	vs = vs[d*rows*f.units : (d+1)*rows*f.units]
	from := []graph.Dim{graph.D(rows), graph.D(f.units)}
	return l.spread(stem, array(tensor.Float32, vs, rows, f.units), from, []graph.Dim{batch, graph.D(f.units)}, tensor.Float32)
}

// zeros reports whether v is known to hold zeros alone.
func zeros(v *graph.Value) bool {
	if c := constOf(v); c != nil {
		return allZero(c)
	}
	if v.Def == nil {
		return false
	}
	switch v.Def.Op.(type) {
	case ops.Expand, ops.Unsqueeze, ops.Reshape, ops.Squeeze, ops.Transpose, ops.Identity:
		return zeros(v.Def.In[0])
	case ops.Concat:
		return !slices.ContainsFunc(v.Def.In, func(p *graph.Value) bool { return !zeros(p) })
	}
	return false
}

func allZero(t *tensor.Tensor) bool {
	vs, err := t.Float64s()
	return err == nil && !slices.ContainsFunc(vs, func(v float64) bool { return v != 0 })
}

// orderedWeights is values in the order of a layer's weights.
type orderedWeights struct {
	layer  layers.Layer
	values []*tensor.Tensor
}

func (l *lifter) permuted(stem string, x *layers.Tensor, perm ...int) *layers.Tensor {
	return l.apply(stem, "Transpose axes", nums(perm), x)
}

// recurrentOutputs gives Y (time, directions, batch, units), Y_h and Y_c (directions, batch, units), those that
// are used; the batch comes first in all where the layout is 1.
func (l *lifter) recurrentOutputs(n *graph.Node, y *layers.Tensor, name string, f rnnForm, reversed bool) {
	if v := n.Out[0]; len(l.uses[v]) > 0 {
		t := y
		if reversed { // Keras gives a backward layer's outputs in its own order
			t = l.apply(name, "Flip axis", num(1), t)
		}
		t = l.m.Apply(&layers.TimeDistributed{Base: layers.Named(l.name(name+"_directions", "directions")), Layer: &layers.Reshape{Base: layers.Named(l.name(name+"_reshape", "reshape")), TargetShape: []int{f.dirs(), f.units}}}, t)
		if f.layout == 0 {
			t = l.permuted(name+"_time_first", t, 1, 2, 0, 3)
		}
		l.vals[v] = t
	}
	for k := 0; k < f.states && k+1 < len(n.Out); k++ {
		v := n.Out[k+1]
		if len(l.uses[v]) == 0 {
			continue
		}
		parts := []any{}
		for d := range f.dirs() {
			parts = append(parts, y.Out(1+d*f.states+k))
		}
		l.vals[v] = l.apply(name+"_state", "Stack axis", num(f.layout), parts)
	}
}

// recurrentWeights is kernel, recurrent kernel and bias of one direction in Keras' order of gates.
func recurrentWeights(n *graph.Node, d int, f rnnForm) ([]*tensor.Tensor, bool) {
	units, gates := f.units, f.gates
	w, r := constOf(n.In[1]), constOf(n.In[2])
	if w == nil || r == nil || w.DType() != tensor.Float32 || w.Rank() != 3 || r.Rank() != 3 {
		return nil, false
	}
	g := len(gates)
	turn := func(t *tensor.Tensor) *tensor.Tensor { // (directions, gates*units, in) to (in, gates*units)
		in := t.Dim(2)
		src := tensor.As[float32](t)[d*g*units*in:]
		out := tensor.New(tensor.Float32, in, g*units)
		dst := tensor.As[float32](out)
		for k, from := range gates {
			for u := range units {
				for i := range in {
					dst[i*g*units+k*units+u] = src[(from*units+u)*in+i]
				}
			}
		}
		return out
	}
	if w.Dim(1) != g*units || r.Dim(1) != g*units || r.Dim(2) != units || w.Dim(0) <= d {
		return nil, false
	}
	both := make([]float32, 2*g*units)
	if len(n.In) > 3 && n.In[3] != nil {
		b := constOf(n.In[3])
		if b == nil || b.DType() != tensor.Float32 || b.Len() < (d+1)*2*g*units {
			return nil, false
		}
		src := tensor.As[float32](b)[d*2*g*units:]
		for half := range 2 {
			for k, from := range gates {
				copy(both[(half*g+k)*units:(half*g+k+1)*units], src[(half*g+from)*units:])
			}
		}
	}
	bias := tensor.Of(both, 2, g*units)
	if !f.resetAfter { // one bias, the sum of both
		sum := make([]float32, g*units)
		for i := range sum {
			sum[i] = both[i] + both[g*units+i]
		}
		bias = tensor.Of(sum, g*units)
	}
	return []*tensor.Tensor{turn(w), turn(r), bias}, true
}
