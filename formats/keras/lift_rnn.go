package keras

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// recurrent lifts an LSTM or GRU of the usual activations, in either direction or both, from zero states. ONNX
// has time first and the directions as a dimension; Keras has the batch first and joins the directions' features.
func (l *lifter) recurrent(n *graph.Node) bool {
	x := l.in(n, 0)
	units, direction, layout, gru, resetAfter := 0, "", 0, false, false
	switch op := n.Op.(type) {
	case ops.LSTM:
		units, direction, layout = op.HiddenSize, op.Direction, op.Layout
		if op.Clip != 0 || op.InputForget || !usual(op.Activations, "Sigmoid", "Tanh", "Tanh") {
			return false
		}
	case ops.GRU:
		units, direction, layout, gru, resetAfter = op.HiddenSize, op.Direction, op.Layout, true, op.LinearBeforeReset
		if op.Clip != 0 || !usual(op.Activations, "Sigmoid", "Tanh") {
			return false
		}
	}
	for i := 4; i < len(n.In); i++ {
		if n.In[i] == nil {
			continue
		}
		if i < 5 || !zeros(n.In[i]) { // lengths, states, peepholes
			return false
		}
	}
	if x == nil || layout != 0 || units < 1 {
		return false
	}
	dirs := 1
	if direction == "bidirectional" {
		dirs = 2
	}
	sets := make([][]*tensor.Tensor, dirs)
	for d := range sets {
		var ok bool
		if sets[d], ok = recurrentWeights(n, d, units, gru, resetAfter); !ok {
			return false
		}
	}
	b := l.base(n)
	inner := func(base layers.Base, backwards bool) layers.Layer {
		if gru {
			return &layers.GRU{Base: base, Units: units, ReturnSequences: true, ReturnState: true, GoBackwards: backwards, ResetBefore: !resetAfter}
		}
		return &layers.LSTM{Base: base, Units: units, ReturnSequences: true, ReturnState: true, GoBackwards: backwards}
	}
	batchFirst := l.m.Apply(l.permutation(b.Name+"_batch_first", 1, 0, 2), x)
	var y *layers.Tensor
	if dirs == 2 {
		bi := &layers.Bidirectional{Base: b, Layer: inner(layers.Named(b.Name+"_cell"), false)}
		y = l.m.Apply(bi, batchFirst)
		l.ordered = append(l.ordered, orderedWeights{bi, append(slices.Clone(sets[0]), sets[1]...)})
	} else {
		rnn := inner(b, direction == "reverse")
		y = l.m.Apply(rnn, batchFirst)
		l.ordered = append(l.ordered, orderedWeights{rnn, sets[0]})
	}
	states := 2
	if gru {
		states = 1
	}
	l.recurrentOutputs(n, y, b.Name, units, dirs, states, direction == "reverse")
	return true
}

func usual(got []string, want ...string) bool {
	for i, a := range got {
		if a != want[i%len(want)] {
			return false
		}
	}
	return true
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

func (l *lifter) permutation(name string, perm ...int) layers.Layer {
	return &layers.Operation{Base: layers.Named(l.name(name, "transpose")), Op: "Transpose", Module: "keras.src.ops.numpy", Config: map[string]any{"axes": nums(perm)}}
}

// recurrentOutputs gives Y (time, directions, batch, units), Y_h and Y_c (directions, batch, units), those that
// are used.
func (l *lifter) recurrentOutputs(n *graph.Node, y *layers.Tensor, name string, units, dirs, states int, reversed bool) {
	if v := n.Out[0]; len(l.uses[v]) > 0 {
		t := y
		if reversed { // Keras gives a backward layer's outputs in its own order
			t = l.m.Apply(&layers.Operation{Base: layers.Named(l.name(name+"_flip", "flip")), Op: "Flip", Module: "keras.src.ops.numpy", Config: map[string]any{"axis": num(1)}}, t)
		}
		t = l.m.Apply(&layers.TimeDistributed{Base: layers.Named(l.name(name+"_directions", "directions")), Layer: &layers.Reshape{Base: layers.Named(l.name(name+"_reshape", "reshape")), TargetShape: []int{dirs, units}}}, t)
		l.vals[v] = l.m.Apply(l.permutation(name+"_time_first", 1, 2, 0, 3), t)
	}
	for k := 0; k < states && k+1 < len(n.Out); k++ {
		v := n.Out[k+1]
		if len(l.uses[v]) == 0 {
			continue
		}
		parts := []any{}
		for d := range dirs {
			parts = append(parts, y.Out(1+d*states+k))
		}
		l.vals[v] = l.m.ApplyArgs(&layers.Operation{Base: layers.Named(l.name(name+"_state", "state")), Op: "Stack", Module: "keras.src.ops.numpy", Config: map[string]any{"axis": num(0)}}, []any{parts}, nil)
	}
}

// recurrentWeights is kernel, recurrent kernel and bias of one direction in Keras' order of gates.
func recurrentWeights(n *graph.Node, d, units int, gru, resetAfter bool) ([]*tensor.Tensor, bool) {
	w, r := constOf(n.In[1]), constOf(n.In[2])
	if w == nil || r == nil || w.DType() != tensor.Float32 || w.Rank() != 3 || r.Rank() != 3 {
		return nil, false
	}
	gates := []int{0, 2, 3, 1} // of i o f c: i f c o
	if gru {
		gates = []int{0, 1, 2} // z r h in both
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
	if !gru || !resetAfter { // one bias, the sum of both
		sum := make([]float32, g*units)
		for i := range sum {
			sum[i] = both[i] + both[g*units+i]
		}
		bias = tensor.Of(sum, g*units)
	}
	return []*tensor.Tensor{turn(w), turn(r), bias}, true
}
