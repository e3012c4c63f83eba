package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var rnnRows = []row{
	{class: "SimpleRNN", make: func() Layer { return new(SimpleRNN) }},
	{class: "LSTM", make: func() Layer { return new(LSTM) }, aliases: []string{"CuDNNLSTM", "LSTMV2", "LSTMV1"}},
	{class: "GRU", make: func() Layer { return new(GRU) }, aliases: []string{"CuDNNGRU", "GRUV2", "GRUV1"}},
	{class: "RNN", make: func() Layer { return new(RNN) }},
	{class: "SimpleRNNCell", make: func() Layer { return new(SimpleRNNCell) }},
	{class: "LSTMCell", make: func() Layer { return new(LSTMCell) }},
	{class: "GRUCell", make: func() Layer { return new(GRUCell) }},
	{class: "StackedRNNCells", make: func() Layer { return new(StackedRNNCells) }},
	{class: "Bidirectional", make: func() Layer { return new(Bidirectional) }},
	{class: "TimeDistributed", make: func() Layer { return new(TimeDistributed) }, masks: true},
	{class: "ConvLSTM1D", make: func() Layer { return new(ConvLSTM1D) }},
	{class: "ConvLSTM2D", make: func() Layer { return new(ConvLSTM2D) }},
	{class: "ConvLSTM3D", make: func() Layer { return new(ConvLSTM3D) }},
	{class: "ConvLSTM1DCell", make: func() Layer { return new(ConvLSTM1DCell) }},
	{class: "ConvLSTM2DCell", make: func() Layer { return new(ConvLSTM2DCell) }},
	{class: "ConvLSTM3DCell", make: func() Layer { return new(ConvLSTM3DCell) }},
}

// wrapper is a layer around another one.
type wrapper interface{ inner() Layer }

// rnnFlags is the part of the config that every recurrent layer has; sequences, state and backwards are
// places to set too.
type rnnFlags struct {
	sequences, state, backwards *bool
	stateful, unroll, zero      bool
}

// recurrent is a layer that Bidirectional can wrap.
type recurrent interface {
	Layer
	flags() rnnFlags
}

// RecurrentConfig is the config of SimpleRNN, LSTM and GRU and of their cells. Fields tagged "only" belong to
// the classes listed there: in others they must be left at zero.
type RecurrentConfig struct {
	Base
	ReturnSequences      bool `only:"SimpleRNN LSTM GRU"`
	ReturnState          bool `only:"SimpleRNN LSTM GRU"`
	GoBackwards          bool `only:"SimpleRNN LSTM GRU"`
	Stateful             bool `only:"SimpleRNN LSTM GRU"`
	Unroll               bool `only:"SimpleRNN LSTM GRU"`
	ZeroOutputForMask    bool `only:"SimpleRNN LSTM GRU"`
	Units                int
	Activation           Activation `def:"\"tanh\""`
	RecurrentActivation  Activation `def:"\"sigmoid\"" only:"LSTM LSTMCell GRU GRUCell"`
	NoBias               bool       `keras:"use_bias,not"`
	KernelInitializer    *Object    `init:"GlorotUniform"`
	RecurrentInitializer *Object    `init:"Orthogonal"`
	BiasInitializer      *Object    `init:"Zeros"`
	NoUnitForgetBias     bool       `keras:"unit_forget_bias,not" only:"LSTM LSTMCell"`
	KernelRegularizer    *Object
	RecurrentRegularizer *Object
	BiasRegularizer      *Object
	ActivityRegularizer  *Object `only:"SimpleRNN LSTM GRU"`
	KernelConstraint     *Object
	RecurrentConstraint  *Object
	BiasConstraint       *Object
	Dropout              float64 `def:"0.0"`
	RecurrentDropout     float64 `def:"0.0"`
	ResetBefore          bool    `keras:"reset_after,not" only:"GRU GRUCell"` // the reset gate applies before the product
	Seed                 *int    `only:"LSTM GRU SimpleRNNCell LSTMCell GRUCell"`

	cell *RecurrentConfig // of a layer: what it runs
}

// SimpleRNN is a fully connected recurrent layer whose output is its next state.
type SimpleRNN RecurrentConfig

// LSTM is a long short-term memory layer.
type LSTM RecurrentConfig

// GRU is a layer of gated recurrent units.
type GRU RecurrentConfig

func (l *SimpleRNN) flags() rnnFlags { return (*RecurrentConfig)(l).flags() }
func (l *LSTM) flags() rnnFlags      { return (*RecurrentConfig)(l).flags() }
func (l *GRU) flags() rnnFlags       { return (*RecurrentConfig)(l).flags() }

// Call implements Layer.
func (l *SimpleRNN) Call(c *Call) []*graph.Value {
	return c.recur((*SimpleRNNCell)((*RecurrentConfig)(l).makeCell("simple_rnn_cell")), l.flags())
}

// Call implements Layer.
func (l *LSTM) Call(c *Call) []*graph.Value {
	return c.recur((*LSTMCell)((*RecurrentConfig)(l).makeCell("lstm_cell")), l.flags())
}

// Call implements Layer.
func (l *GRU) Call(c *Call) []*graph.Value {
	return c.recur((*GRUCell)((*RecurrentConfig)(l).makeCell("gru_cell")), l.flags())
}

func (l *RecurrentConfig) flags() rnnFlags {
	return rnnFlags{&l.ReturnSequences, &l.ReturnState, &l.GoBackwards, l.Stateful, l.Unroll, l.ZeroOutputForMask}
}

// makeCell is the config of the layer's cell, the same one each time.
func (l *RecurrentConfig) makeCell(name string) *RecurrentConfig {
	if l.cell == nil {
		l.cell = &RecurrentConfig{Base: Named(name)}
	}
	base := l.cell.Base
	*l.cell = *l
	l.cell.Base, l.cell.cell = base, nil
	return l.cell
}

// RNN runs a cell, or a list of cells (Keras 2), over the time steps.
type RNN struct {
	Base
	ReturnSequences   bool
	ReturnState       bool
	GoBackwards       bool
	Stateful          bool
	Unroll            bool
	ZeroOutputForMask bool
	Cell              Layer
}

func (l *RNN) flags() rnnFlags {
	return rnnFlags{&l.ReturnSequences, &l.ReturnState, &l.GoBackwards, l.Stateful, l.Unroll, l.ZeroOutputForMask}
}

// Call implements Layer.
func (l *RNN) Call(c *Call) []*graph.Value {
	cell, ok := l.Cell.(Cell)
	if !ok {
		c.Failf("has no cell")
		return one(c.X())
	}
	return c.recur(cell, l.flags())
}

// initialStates is what a call of a recurrent layer passes as states: by name, or behind the sequence.
func (c *Call) initialStates() []*graph.Value {
	if v, ok := c.Kwargs["initial_state"]; ok {
		return leaves(nil, v)
	}
	if len(c.In) > 1 {
		return c.In[1:]
	}
	return nil
}

// sequenceMask is the mask of a recurrent layer's time steps. Where a call passes states, Keras 3 takes only
// a mask that the call passes too, while Keras 2 takes the one that the sequence carries.
func (c *Call) sequenceMask() *graph.Value {
	m := c.InMask()
	if m != nil && c.Kwargs["mask"] == nil && len(c.initialStates()) > 0 && !c.oldMasks() {
		return nil
	}
	return m
}

// recur runs a cell over axis 1 of the input and gives the layer's outputs.
func (c *Call) recur(cell Cell, f rnnFlags) []*graph.Value {
	x := c.FloatArg(0)
	c.ownFields()
	if c.rank(x) < 3 {
		c.Failf("takes sequences (batch, time, features), got %v", x.Type)
		return one(x)
	}
	if v, _ := c.Layer.Common().Extra["time_major"].(bool); v {
		c.Failf("time_major is not supported")
		return one(x)
	}
	mask := c.sequenceMask()
	in := c.scope("cell", false, cell)
	step := cell.Prepare(in, x)
	if c.Err() != nil {
		return one(x)
	}
	states := slices.Clone(c.initialStates())
	for i, s := range states {
		states[i] = c.cast(s, x.Type.DType)
	}
	seq := step.project(x)
	first := step.States(c.timeStep(seq, 0))
	var params []*graph.Value
	switch {
	case len(states) > 0 && len(states) != len(first):
		c.Failf("has %d states, got %d initial ones", len(first), len(states))
		return one(x)
	case len(states) == 0 && f.stateful:
		states, params = c.keptStates(first)
	case len(states) == 0:
		states = first
	}
	if c.Err() != nil {
		return one(x)
	}
	var outs, last *graph.Value
	var final []*graph.Value
	if n := c.nativeOf(cell); n != nil && mask == nil && c.rank(x) == 3 {
		outs, last, final = c.runNative(n, x, states, f)
	} else {
		outs, last, final = c.steps(seq, mask, states, step, f)
	}
	if c.Err() != nil {
		return one(x)
	}
	for i, p := range params {
		c.Graph().Updates = append(c.Graph().Updates, graph.Update{Param: p, Value: final[i]})
	}
	y := last
	if *f.sequences {
		y = outs
		if m := c.InMask(); m != nil {
			c.SetMask(y, m)
		}
	}
	if *f.state {
		return append(one(y), final...)
	}
	return one(y)
}

// keptStates is parameters that hold a stateful layer's states from run to run.
func (c *Call) keptStates(first []*graph.Value) (states, params []*graph.Value) {
	for i, s := range first {
		shape, ok := s.Type.Shape()
		if !ok {
			c.Failf("is stateful, which needs a fixed batch size: its state is %v", s.Type)
			return nil, nil
		}
		name := "state_" + string(rune('0'+i%10))
		v := c.Variable(name, shape, OfType(s.Type.DType), NotTrainable(), func(w *Weight) { w.State = true })
		states, params = append(states, v), append(params, v)
	}
	return states, params
}

// timeStep is step t of a sequence with the time on axis 1.
func (c *Call) timeStep(x *graph.Value, t int) *graph.Value {
	return c.squeeze(c.slice(x, 1, t, t+1), 1)
}

// steps runs a cell over a sequence: step by step in the graph where it is short enough, by a Scan
// otherwise. Masked steps keep the state, and repeat the output before them (or give zeros).
func (c *Call) steps(seq, mask *graph.Value, states []*graph.Value, step *Step, f rnnFlags) (outs, last *graph.Value, final []*graph.Value) {
	n := c.dim(seq, 1)
	limit := c.Opts.MaxUnroll
	if limit == 0 {
		limit = 64
	}
	if n == 0 {
		c.Failf("got a sequence of no time steps")
		return seq, seq, states
	}
	if n < 0 || n > limit && !f.unroll || n > 4096 {
		return c.scan(seq, mask, states, step, f)
	}
	var ys []*graph.Value
	var prev *graph.Value
	xs := c.steplist(seq, n)
	var ms []*graph.Value
	if mask != nil {
		ms = c.steplist(mask, n)
	}
	for i := range n {
		t := i
		if *f.backwards {
			t = n - 1 - i
		}
		y, next := step.Run(xs[t], states)
		if !c.atMost("the number of nodes", len(c.Graph().Nodes), maxNodes) {
			return seq, seq, states
		}
		if mask != nil {
			y, next = c.maskStep(ms[t], y, prev, next, states, f.zero)
		}
		if c.Err() != nil {
			return seq, seq, states
		}
		prev, states = y, next
		if *f.sequences {
			ys = append(ys, c.expandDims(y, 1))
		}
	}
	if *f.sequences {
		outs = c.concat(1, ys...)
	}
	return outs, prev, states
}

// steplist cuts a sequence into its time steps.
func (c *Call) steplist(x *graph.Value, n int) []*graph.Value {
	parts := c.split(x, 1, repeat(1, n)...)
	out := make([]*graph.Value, n)
	for i := range out {
		if i < len(parts) {
			out[i] = c.squeeze(parts[i], 1)
		}
	}
	return out
}

// maskStep keeps state and output of the samples that a step masks.
func (c *Call) maskStep(m, y, prev *graph.Value, next, states []*graph.Value, zero bool) (*graph.Value, []*graph.Value) {
	m = c.cast(m, tensor.Bool)
	if prev == nil || zero {
		prev = c.num(y, 0)
	}
	y = c.Add(ops.Where{}, c.maskLike(m, y), y, prev)
	out := make([]*graph.Value, len(next))
	for i := range next {
		out[i] = c.Add(ops.Where{}, c.maskLike(m, next[i]), next[i], states[i])
	}
	return y, out
}

// maskLike adds dimensions of 1 to a mask up to the rank of v.
func (c *Call) maskLike(m, v *graph.Value) *graph.Value {
	var axes []int
	for i := m.Type.Rank(); i < v.Type.Rank(); i++ {
		axes = append(axes, i)
	}
	if axes == nil {
		return m
	}
	return c.expandDims(m, axes...)
}
