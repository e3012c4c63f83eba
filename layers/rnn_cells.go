package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// A Cell is one time step of a recurrent layer.
type Cell interface {
	Layer
	// Prepare declares the cell's weights on c for inputs like x (one step, or a sequence with the time on
	// axis 1) and returns how it steps.
	Prepare(c *Call, x *graph.Value) *Step
}

// Step is a cell that has its weights.
type Step struct {
	// Project computes what doesn't depend on the state, for one step or a whole sequence at once; nil is
	// the identity.
	Project func(x *graph.Value) *graph.Value
	// Run is one step on what Project gave.
	Run func(x *graph.Value, states []*graph.Value) (out *graph.Value, next []*graph.Value)
	// States is the states before the first step, for inputs x (of one step, projected).
	States func(x *graph.Value) []*graph.Value
}

func (s *Step) project(x *graph.Value) *graph.Value {
	if s.Project == nil {
		return x
	}
	return s.Project(x)
}

// callCell is a cell called as a layer: the input and the states, in; the output and the states, out.
func callCell(c *Call, cell Cell) []*graph.Value {
	x := c.FloatArg(0)
	c.ownFields()
	s := cell.Prepare(c, x)
	if c.Err() != nil {
		return one(x)
	}
	p := s.project(x)
	states := c.In[1:]
	if len(states) == 0 {
		states = s.States(p)
	}
	out, next := s.Run(p, states)
	return append(one(out), next...)
}

// zeroStates makes n states of size units for each sample of x.
func (c *Call) zeroStates(x *graph.Value, sizes ...int) []*graph.Value {
	out := make([]*graph.Value, len(sizes))
	for i, n := range sizes {
		out[i] = c.zeros(x.Type.DType, []graph.Dim{firstDim(x), graph.D(n)}, x)
	}
	return out
}

// stepDropout is dropout with one decision for all time steps of x.
func (c *Call) stepDropout(x *graph.Value, rate float64, seed *int) *graph.Value {
	if rate == 0 || c.Err() != nil {
		return x
	}
	noise := slices.Clone(x.Type.Dims)
	if len(noise) > 2 {
		noise[1] = graph.D(1)
	}
	return c.dropout(x, rate, seed, noise)
}

// stateDropout is a factor that drops units of a state, the same in all time steps; nil where there's none.
func (c *Call) stateDropout(x *graph.Value, units int, rate float64, seed *int) *graph.Value {
	if rate == 0 {
		return nil
	}
	ones := c.expand(c.num(x, 1), []graph.Dim{firstDim(x), graph.D(units)}, x)
	return c.dropout(ones, rate, seed, nil)
}

func (c *Call) times(x, factor *graph.Value) *graph.Value {
	if factor == nil {
		return x
	}
	return c.mul(x, factor)
}

// SimpleRNNCell is h' = activation(x·W + b + h·U).
type SimpleRNNCell RecurrentConfig

// LSTMCell is a long short-term memory; its gates are in the order input, forget, candidate, output.
type LSTMCell RecurrentConfig

// GRUCell is a gated recurrent unit; its gates are in the order update, reset, candidate.
type GRUCell RecurrentConfig

// Call implements Layer.
func (l *SimpleRNNCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// weights declares kernel, recurrent kernel and bias of a cell with so many gates.
func (l *RecurrentConfig) weights(c *Call, in, gates int, biasShape []int, bias *Object) (k, r, b *graph.Value) {
	k = c.Weight("kernel", []int{in, gates * l.Units}, With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	r = c.Weight("recurrent_kernel", []int{l.Units, gates * l.Units}, With(orInit(l.RecurrentInitializer, "Orthogonal"), l.RecurrentRegularizer, l.RecurrentConstraint))
	if !l.NoBias {
		b = c.Weight("bias", biasShape, With(bias, l.BiasRegularizer, l.BiasConstraint))
	}
	return k, r, b
}

// projection is the part of a step that doesn't depend on the state.
func (l *RecurrentConfig) projection(c *Call, k, b *graph.Value) func(x *graph.Value) *graph.Value {
	return func(x *graph.Value) *graph.Value { return c.affine(c.stepDropout(x, l.Dropout, l.Seed), k, b) }
}

// orDefault is the activation, or def where none is set. Linear is spelled "linear".
func (a Activation) orDefault(def Activation) Activation {
	if a == "" {
		return def
	}
	return a
}

// Prepare implements Cell.
func (l *SimpleRNNCell) Prepare(c *Call, x *graph.Value) *Step {
	k, r, b := (*RecurrentConfig)(l).weights(c, c.dim(x, -1), 1, []int{l.Units}, orInit(l.BiasInitializer, "Zeros"))
	drop := c.stateDropout(x, l.Units, l.RecurrentDropout, l.Seed)
	return &Step{
		Project: (*RecurrentConfig)(l).projection(c, k, b),
		Run: func(x *graph.Value, s []*graph.Value) (*graph.Value, []*graph.Value) {
			h := c.activate(c.add(x, c.Add(ops.MatMul{}, c.times(s[0], drop), r)), l.Activation.orDefault("tanh"))
			return h, one(h)
		},
		States: func(x *graph.Value) []*graph.Value { return c.zeroStates(x, l.Units) },
	}
}

// affine is x·k + b.
func (c *Call) affine(x, k, b *graph.Value) *graph.Value {
	y := c.Add(ops.MatMul{}, x, k)
	if b != nil {
		y = c.add(y, b)
	}
	return y
}

// Call implements Layer.
func (l *LSTMCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// unitForgetBias is the class of the initializer that fills an LSTM's bias with ones for the forget gate.
const unitForgetBias = "unit_forget_bias"

// lstmBias is the initializer of an LSTM's bias.
func lstmBias(o *Object, off bool) *Object {
	if off {
		return orInit(o, "Zeros")
	}
	cfg := map[string]any{}
	if o != nil {
		cfg["inner"] = o
	}
	return &Object{Class: unitForgetBias, Config: cfg}
}

// Prepare implements Cell.
func (l *LSTMCell) Prepare(c *Call, x *graph.Value) *Step {
	u := l.Units
	k, r, b := (*RecurrentConfig)(l).weights(c, c.dim(x, -1), 4, []int{4 * u}, lstmBias(l.BiasInitializer, l.NoUnitForgetBias))
	drop := c.stateDropout(x, u, l.RecurrentDropout, l.Seed)
	act, rec := l.Activation.orDefault("tanh"), l.RecurrentActivation.orDefault("sigmoid")
	return &Step{
		Project: (*RecurrentConfig)(l).projection(c, k, b),
		Run: func(x *graph.Value, s []*graph.Value) (*graph.Value, []*graph.Value) {
			z := c.add(x, c.Add(ops.MatMul{}, c.times(s[0], drop), r))
			g := c.split(z, -1, u, u, u, u)
			return c.lstmGates(g, s[1], act, rec)
		},
		States: func(x *graph.Value) []*graph.Value { return c.zeroStates(x, u, u) },
	}
}

// lstmGates is the part of an LSTM behind its products.
func (c *Call) lstmGates(g []*graph.Value, carry *graph.Value, act, rec Activation) (*graph.Value, []*graph.Value) {
	if len(g) < 4 {
		return carry, []*graph.Value{carry, carry}
	}
	i, f, o := c.activate(g[0], rec), c.activate(g[1], rec), c.activate(g[3], rec)
	carry = c.add(c.mul(f, carry), c.mul(i, c.activate(g[2], act)))
	h := c.mul(o, c.activate(carry, act))
	return h, []*graph.Value{h, carry}
}

// Call implements Layer.
func (l *GRUCell) Call(c *Call) []*graph.Value { return callCell(c, l) }

// Prepare implements Cell.
func (l *GRUCell) Prepare(c *Call, x *graph.Value) *Step {
	u := l.Units
	biasShape := []int{2, 3 * u}
	if l.ResetBefore {
		biasShape = []int{3 * u}
	}
	k, r, b := (*RecurrentConfig)(l).weights(c, c.dim(x, -1), 3, biasShape, orInit(l.BiasInitializer, "Zeros"))
	drop := c.stateDropout(x, u, l.RecurrentDropout, l.Seed)
	act, rec := l.Activation.orDefault("tanh"), l.RecurrentActivation.orDefault("sigmoid")
	var bias, recBias *graph.Value
	if b != nil {
		bias = b
		if !l.ResetBefore {
			bias = c.squeeze(c.slice(b, 0, 0, 1), 0)
			recBias = c.squeeze(c.slice(b, 0, 1, 2), 0)
		}
	}
	var rGates, rCand *graph.Value
	if l.ResetBefore {
		rs := c.split(r, 1, 2*u, u)
		rGates, rCand = rs[0], rs[1]
	}
	return &Step{
		Project: (*RecurrentConfig)(l).projection(c, k, bias),
		Run: func(x *graph.Value, s []*graph.Value) (*graph.Value, []*graph.Value) {
			h := s[0]
			dropped := c.times(h, drop)
			g := c.split(x, -1, u, u, u)
			if len(g) < 3 {
				return h, s
			}
			var z, cand *graph.Value
			if l.ResetBefore {
				in := c.split(c.Add(ops.MatMul{}, dropped, rGates), -1, u, u)
				z = c.activate(c.add(g[0], in[0]), rec)
				reset := c.activate(c.add(g[1], in[1]), rec)
				cand = c.add(g[2], c.Add(ops.MatMul{}, c.mul(reset, dropped), rCand))
			} else {
				in := c.split(c.affine(dropped, r, recBias), -1, u, u, u)
				z = c.activate(c.add(g[0], in[0]), rec)
				reset := c.activate(c.add(g[1], in[1]), rec)
				cand = c.add(g[2], c.mul(reset, in[2]))
			}
			cand = c.activate(cand, act)
			next := c.add(c.mul(z, h), c.mul(c.sub(c.num(z, 1), z), cand))
			return next, one(next)
		},
		States: func(x *graph.Value) []*graph.Value { return c.zeroStates(x, u) },
	}
}

// StackedRNNCells feeds each cell with the output of the one before.
type StackedRNNCells struct {
	Base
	Cells []Layer
}

// Call implements Layer.
func (l *StackedRNNCells) Call(c *Call) []*graph.Value { return callCell(c, l) }

// Prepare implements Cell.
func (l *StackedRNNCells) Prepare(c *Call, x *graph.Value) *Step {
	if len(l.Cells) == 0 {
		c.Failf("has no cells")
		return &Step{}
	}
	steps := make([]*Step, len(l.Cells))
	counts := make([]int, len(l.Cells))
	var initial []*graph.Value
	one := c.firstStep(x)
	for i, layer := range l.Cells {
		cell, ok := layer.(Cell)
		if !ok {
			c.Failf("%s is no cell", ClassName(layer))
			return &Step{}
		}
		in := x
		if i > 0 {
			in = one
		}
		steps[i] = cell.Prepare(c.scope("cells", true, layer), in)
		if c.Err() != nil {
			return &Step{}
		}
		p := steps[i].project(one)
		states := steps[i].States(p)
		counts[i] = len(states)
		initial = append(initial, states...)
		one, _ = steps[i].Run(p, states)
	}
	return &Step{
		Project: steps[0].Project,
		Run: func(x *graph.Value, s []*graph.Value) (*graph.Value, []*graph.Value) {
			var next []*graph.Value
			at := 0
			for i, st := range steps {
				if i > 0 {
					x = st.project(x)
				}
				var ns []*graph.Value
				x, ns = st.Run(x, s[at:at+counts[i]])
				at += counts[i]
				next = append(next, ns...)
			}
			return x, next
		},
		States: func(*graph.Value) []*graph.Value { return initial },
	}
}

// firstStep is the first time step of a sequence; a single step is itself.
func (c *Call) firstStep(x *graph.Value) *graph.Value {
	if c.rank(x) < 3 || c.Err() != nil {
		return x
	}
	return c.squeeze(c.slice(x, 1, 0, 1), 1)
}
