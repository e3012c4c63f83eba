package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// nativeActivation is an activation as ONNX's recurrent operators name it, with its parameters.
type nativeActivation struct {
	name        string
	alpha, beta []float64
}

// nativeActivations is the activations that those operators have.
var nativeActivations = map[Activation]nativeActivation{
	"tanh":            {"Tanh", nil, nil},
	"sigmoid":         {"Sigmoid", nil, nil},
	"relu":            {"Relu", nil, nil},
	"softsign":        {"Softsign", nil, nil},
	"softplus":        {"Softplus", nil, nil},
	"linear":          {"Affine", []float64{1}, []float64{0}},
	"elu":             {"Elu", []float64{1}, nil},
	"leaky_relu":      {"LeakyRelu", []float64{0.2}, nil},
	"hard_sigmoid":    {"HardSigmoid", []float64{1.0 / 6}, []float64{0.5}},
	Keras2HardSigmoid: {"HardSigmoid", []float64{0.2}, []float64{0.5}},
}

// nativeList is the lists that the operators take for those activations; false where one isn't theirs.
//
//go:noinline
func nativeList(as ...Activation) (names []string, alpha, beta []float64, ok bool) {
	for _, a := range as {
		n, ok := nativeActivations[a]
		if !ok {
			return nil, nil, nil, false
		}
		names, alpha, beta = append(names, n.name), append(alpha, n.alpha...), append(beta, n.beta...)
	}
	return names, alpha, beta, true
}

// nativeParams is how many of alpha and beta ONNX's activations take, and their defaults.
var nativeParams = map[string][]float64{
	"Affine": {1, 0}, "Elu": {1}, "LeakyRelu": {0.01}, "HardSigmoid": {0.2, 0.5}, "ThresholdedRelu": {1}, "ScaledTanh": {1, 1},
}

// FromNative is the activations that ONNX's recurrent operators know by those names, each with the next of
// the parameters; false where Keras has none like one of them.
func FromNative(names []string, alpha, beta []float64) ([]Activation, bool) {
	var out []Activation
	next := func(list *[]float64, def float64) float64 {
		if len(*list) > 0 {
			def = (*list)[0]
			*list = (*list)[1:]
		}
		return def
	}
	for _, name := range names {
		var as, bs []float64
		params := nativeParams[name]
		if len(params) > 0 {
			as = []float64{next(&alpha, params[0])}
		}
		if len(params) > 1 {
			bs = []float64{next(&beta, params[1])}
		}
		found := Activation("")
		for a, n := range nativeActivations {
			if n.name == name && near(n.alpha, as) && near(n.beta, bs) {
				found = a
			}
		}
		if found == "" {
			return nil, false
		}
		out = append(out, found)
	}
	return out, true
}

// near compares parameters to float32's precision, in which files have them.
func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return float32(x) == float32(y) })
}

// native is a cell that one of ONNX's recurrent operators computes: its operands in the operator's form.
type native struct {
	run func(x *graph.Value, states []*graph.Value, direction string) []*graph.Value // Y, then final states
}

// gateRows is a kernel [in, gates*units] as [1, gates*units, in] with its gates in another order.
func (c *Call) gateRows(k *graph.Value, units int, order ...int) *graph.Value {
	parts := c.split(k, 1, repeat(units, len(order))...)
	return c.expandDims(c.transpose(c.concat(1, pick(parts, order)...), 1, 0), 0)
}

// gateBias is a bias [gates*units] with its gates in another order.
func (c *Call) gateBias(b *graph.Value, units int, order ...int) *graph.Value {
	return c.concat(0, pick(c.split(b, 0, repeat(units, len(order))...), order)...)
}

func pick(vs []*graph.Value, order []int) []*graph.Value {
	out := make([]*graph.Value, len(order))
	for i, j := range order {
		if j < len(vs) {
			out[i] = vs[j]
		}
	}
	return out
}

// bothBiases is the operator's [1, 2*n]: that of the inputs, then that of the states (nil: zeros).
func (c *Call) bothBiases(b, rec *graph.Value, n int) *graph.Value {
	if b == nil {
		return nil
	}
	if rec == nil {
		rec = c.zeros(b.Type.DType, []graph.Dim{graph.D(n)})
	}
	return c.expandDims(c.concat(0, b, rec), 0)
}

func (c *Call) leading(states []*graph.Value, i int) *graph.Value {
	if i >= len(states) {
		return nil
	}
	return c.expandDims(states[i], 0)
}

// nativeOf is the operator for a cell with those weights, or nil where none computes it.
func (c *Call) nativeOf(cell Cell) *native {
	st := c.st.sub(cell)
	if st == nil {
		return nil
	}
	in := &Call{Builder: c.Builder, Layer: cell, Opts: c.Opts, x: c.x, st: st}
	weight := func(name string) *graph.Value {
		if w := st.weight(name); w != nil {
			return in.Weight(name, w.Shape)
		}
		return nil
	}
	switch l := cell.(type) {
	case *SimpleRNNCell:
		if l.RecurrentDropout != 0 || l.Dropout != 0 {
			return nil
		}
		acts, alpha, beta, ok := nativeList(l.Activation.orDefault("tanh"))
		if !ok {
			return nil
		}
		u := l.Units
		return &native{func(x *graph.Value, s []*graph.Value, dir string) []*graph.Value {
			return c.AddN(ops.RNN{HiddenSize: u, Direction: dir, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta}, x,
				c.gateRows(weight("kernel"), u, 0), c.gateRows(weight("recurrent_kernel"), u, 0),
				c.bothBiases(weight("bias"), nil, u), nil, c.leading(s, 0))[:2]
		}}
	case *LSTMCell:
		if l.RecurrentDropout != 0 || l.Dropout != 0 {
			return nil
		}
		act, rec := l.Activation.orDefault("tanh"), l.RecurrentActivation.orDefault("sigmoid")
		acts, alpha, beta, ok := nativeList(rec, act, act)
		if !ok {
			return nil
		}
		u := l.Units
		order := []int{0, 3, 1, 2}
		return &native{func(x *graph.Value, s []*graph.Value, dir string) []*graph.Value {
			b := weight("bias")
			if b != nil {
				b = c.gateBias(b, u, order...)
			}
			return c.AddN(ops.LSTM{HiddenSize: u, Direction: dir, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta}, x,
				c.gateRows(weight("kernel"), u, order...), c.gateRows(weight("recurrent_kernel"), u, order...),
				c.bothBiases(b, nil, 4*u), nil, c.leading(s, 0), c.leading(s, 1))[:3]
		}}
	case *GRUCell:
		if l.RecurrentDropout != 0 || l.Dropout != 0 {
			return nil
		}
		acts, alpha, beta, ok := nativeList(l.RecurrentActivation.orDefault("sigmoid"), l.Activation.orDefault("tanh"))
		if !ok {
			return nil
		}
		u := l.Units
		return &native{func(x *graph.Value, s []*graph.Value, dir string) []*graph.Value {
			b := weight("bias")
			var rb *graph.Value
			if b != nil && !l.ResetBefore {
				b, rb = c.squeeze(c.slice(b, 0, 0, 1), 0), c.squeeze(c.slice(b, 0, 1, 2), 0)
			}
			op := ops.GRU{HiddenSize: u, Direction: dir, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta, LinearBeforeReset: !l.ResetBefore}
			return c.AddN(op, x, c.gateRows(weight("kernel"), u, 0, 1, 2), c.gateRows(weight("recurrent_kernel"), u, 0, 1, 2),
				c.bothBiases(b, rb, 3*u), nil, c.leading(s, 0))[:2]
		}}
	}
	return nil
}

// runNative runs a cell's operator over x (batch, time, features).
func (c *Call) runNative(n *native, x *graph.Value, states []*graph.Value, f rnnFlags) (outs, last *graph.Value, final []*graph.Value) {
	dir := "forward"
	if *f.backwards {
		dir = "reverse"
	}
	ys := n.run(c.transpose(x, 1, 0, 2), states, dir)
	for _, s := range ys[1:] {
		final = append(final, c.squeeze(s, 0))
	}
	if *f.sequences {
		outs = c.transpose(c.squeeze(ys[0], 1), 1, 0, 2)
		if *f.backwards {
			outs = c.reverse(outs, 1)
		}
	}
	return outs, final[0], final
}

// scan runs a cell over a sequence whose length is open or long.
func (c *Call) scan(seq, mask *graph.Value, states []*graph.Value, step *Step, f rnnFlags) (outs, last *graph.Value, final []*graph.Value) {
	xt := c.timeStep(seq, 0)
	probe, _ := step.Run(xt, states) // for the type of the output; pruned
	if c.Err() != nil {
		return seq, seq, states
	}
	body := &graph.Graph{Name: c.st.path + "_step"}
	local := func(name string, t graph.Type) *graph.Value {
		v := &graph.Value{Name: c.Unique(body.Name + "_" + name), Type: t.WithoutValue()}
		body.Inputs = append(body.Inputs, v)
		return v
	}
	// The state of the scan is the last output, then the cell's states.
	carried := append([]*graph.Value{c.zeros(probe.Type.DType, probe.Type.Dims, probe, seq)}, states...)
	for i, s := range carried {
		local("state", s.Type)
		_ = i
	}
	slices := []*graph.Value{local("x", xt.Type)}
	inputs := append(append([]*graph.Value{}, carried...), seq)
	axes := []int{1}
	if mask != nil {
		slices = append(slices, local("mask", c.timeStep(mask, 0).Type))
		inputs, axes = append(inputs, mask), append(axes, 1)
	}
	from := len(c.Graph().Nodes)
	in := body.Inputs
	y, next := step.Run(slices[0], in[1:1+len(states)])
	if mask != nil {
		y, next = c.maskStep(slices[1], y, in[0], next, in[1:1+len(states)], f.zero)
	}
	if c.Err() != nil {
		return seq, seq, states
	}
	keep := c.Add(ops.Identity{}, y)
	body.Outputs = append(append([]*graph.Value{y}, next...), keep)
	for i, v := range body.Outputs { // an output is a value of its own
		if v.Def == nil || i > 0 && contains(body.Outputs[:i], v) {
			body.Outputs[i] = c.Add(ops.Identity{}, v)
		}
	}
	body.Nodes = append(body.Nodes, c.Graph().Nodes[from:]...)
	c.Graph().Nodes = c.Graph().Nodes[:from]
	captures := capture(body, c.Unique)
	op := ops.Scan{Body: body, NumStates: len(carried), NumScanInputs: len(axes), ScanInputAxes: axes, ScanOutputAxes: []int{1}}
	if *f.backwards {
		op.ScanInputDirections = repeat(1, len(axes))
	}
	res := c.AddN(op, append(inputs, captures...)...)
	if c.Err() != nil {
		return seq, seq, states
	}
	return res[len(carried)], res[0], res[1:len(carried)]
}

func contains(vs []*graph.Value, v *graph.Value) bool {
	for _, w := range vs {
		if v == w {
			return true
		}
	}
	return false
}

// capture makes inputs of a body of the values around it that its nodes use, and returns those values.
func capture(body *graph.Graph, unique func(string) string) []*graph.Value {
	inner := map[*graph.Value]*graph.Value{}
	for _, v := range body.Inputs {
		inner[v] = v
	}
	for _, n := range body.Nodes {
		for _, v := range n.Out {
			inner[v] = v
		}
	}
	var outer []*graph.Value
	resolve := func(v *graph.Value) *graph.Value {
		if v == nil || v.IsConst() {
			return v
		}
		if w := inner[v]; w != nil {
			return w
		}
		w := &graph.Value{Name: unique(v.Name + "_in"), Type: v.Type.WithoutValue()}
		inner[v] = w
		outer = append(outer, v)
		body.Inputs = append(body.Inputs, w)
		return w
	}
	for _, n := range body.Nodes {
		for i, v := range n.In {
			n.In[i] = resolve(v)
		}
	}
	for i, v := range body.Outputs {
		body.Outputs[i] = resolve(v)
	}
	return outer
}
