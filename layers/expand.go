package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// expansion is one run of Model.expand.
type expansion struct {
	m      *Model
	opts   Options
	masks  map[*graph.Value]*graph.Value
	params map[*Weight]*graph.Value
	taps   map[string][]*graph.Value
	depth  int
	still  int // calls around this one that said training=False
}

func (m *Model) expand(opts Options) (*graph.Graph, error) {
	if m.err != nil {
		return nil, m.err
	}
	r := m.ensureRoot()
	r.calls, r.inputs, r.implied, r.dialect = map[Layer][][]graph.Type{}, map[Layer][][]graph.Type{}, map[*node]bool{}, nil
	g := &graph.Graph{Name: m.Name}
	b := graph.NewBuilder(g)
	x := &expansion{
		m: m, opts: opts, masks: map[*graph.Value]*graph.Value{},
		params: map[*Weight]*graph.Value{}, taps: map[string][]*graph.Value{},
	}
	ins, err := m.graphInputs(b)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(ins))
	for i, v := range ins {
		args[i] = v
	}
	c := &Call{Builder: b, In: ins, Args: args, Layer: m, Opts: opts, x: x, st: r.st}
	outs := m.Call(c)
	if b.Err() != nil {
		return nil, b.Err()
	}
	outs = slices.Clone(outs)
	for _, name := range opts.Taps {
		vs, ok := x.taps[name]
		if !ok {
			return nil, errs.Errorf("layers: model %q has no layer %q to tap", m.Name, name)
		}
		outs = append(outs, vs...)
	}
	if e := opts.extras; e != nil {
		outs = e.add(b, x, outs)
	}
	m.finish(b, x, outs)
	return g, b.Err()
}

// finish marks the outputs, drops what no output needs, and puts the params in the order of the weights.
func (m *Model) finish(b *graph.Builder, x *expansion, outs []*graph.Value) {
	g := b.Graph()
	seen := map[*graph.Value]bool{}
	names := m.OutputNames()
	for i, v := range outs {
		if v.Def == nil || seen[v] {
			v = b.Add(ops.Identity{}, v)
			outs[i] = v
		}
		seen[v] = true
	}
	for i, v := range outs {
		if i < len(names) {
			b.Rename(v, names[i])
		}
	}
	b.Output(outs...)
	for _, w := range m.weights(true) {
		x.param(b, w)
	}
	prune(g)
	g.Params = g.Params[:0]
	for _, w := range m.weights(true) {
		g.Params = append(g.Params, x.params[w])
	}
	m.root.built = b.Err() == nil
}

// prune drops the nodes that neither an output nor an update needs.
func prune(g *graph.Graph) {
	need := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		need[v] = true
	}
	for _, u := range g.Updates {
		need[u.Value] = true
	}
	var kept []*graph.Node
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if !slices.ContainsFunc(n.Out, func(v *graph.Value) bool { return need[v] }) {
			continue
		}
		for _, v := range n.In {
			need[v] = true
		}
		if s, ok := n.Op.(graph.Subgrapher); ok {
			for _, sub := range s.Subgraphs() {
				needInner(sub, need)
			}
		}
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	g.Nodes = kept
}

// needInner marks what a subgraph uses; the values of the graph around it are among them.
func needInner(g *graph.Graph, need map[*graph.Value]bool) {
	for _, n := range g.Nodes {
		for _, v := range n.In {
			need[v] = true
		}
		if s, ok := n.Op.(graph.Subgrapher); ok {
			for _, sub := range s.Subgraphs() {
				needInner(sub, need)
			}
		}
	}
	for _, v := range g.Outputs {
		need[v] = true
	}
}

// param is the graph's parameter for w.
func (x *expansion) param(b *graph.Builder, w *Weight) *graph.Value {
	if v := x.params[w]; v != nil {
		return v
	}
	v := &graph.Value{Name: b.Unique(w.Path), Type: graph.TensorOf(w.DType, graph.Dims(w.Shape...)...), Data: w.Data}
	b.Graph().Params = append(b.Graph().Params, v)
	x.params[w] = v
	return v
}

// resolve replaces the tensors in an argument by their values.
func resolve(a any, vals map[*node][]*graph.Value) (any, error) {
	switch a := a.(type) {
	case *Tensor:
		vs, ok := vals[a.node]
		if !ok {
			return nil, errs.Errorf("layer %q is used before it is called", a.node.layer.Common().Name)
		}
		if a.index < 0 || a.index >= len(vs) {
			return nil, errs.Errorf("layer %q has %d outputs, not %d", a.node.layer.Common().Name, len(vs), a.index+1)
		}
		return vs[a.index], nil
	case []any:
		out := make([]any, len(a))
		for i, e := range a {
			v, err := resolve(e, vals)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(a))
		for k, e := range a {
			v, err := resolve(e, vals)
			if err != nil {
				return nil, err
			}
			out[k] = v
		}
		return out, nil
	}
	return a, nil
}

// call is one application of a layer: dtype policy, the layer itself, masks.
func (x *expansion) call(b *graph.Builder, st *state, l Layer, args []any, kwargs map[string]any) []*graph.Value {
	origin := b.SetOrigin(st.path)
	defer b.SetOrigin(origin)
	c := &Call{Builder: b, Args: args, Kwargs: kwargs, Layer: l, Opts: x.opts, x: x, st: st}
	if !c.BoolArg("training", true) {
		x.still++
		defer func() { x.still-- }()
	}
	c.Opts.Training = c.Opts.Training && x.still == 0
	if !c.atMost("the number of nodes", len(b.Graph().Nodes), maxNodes) {
		return one(&graph.Value{Name: "none", Type: graph.UnrankedOf(tensor.Float32)})
	}
	c.autocast()
	c.In = leaves(nil, c.Args)
	outs := slices.Clone(l.Call(c))
	if b.Err() != nil {
		return outs
	}
	x.note(c, outs)
	_, isModel := l.(*Model)
	var first *graph.Value
	if len(c.In) > 0 {
		first = c.InMask()
	}
	for i, v := range outs {
		if isModel {
			continue
		}
		if v.Def == nil || slices.Contains(c.In, v) {
			outs[i] = b.Add(ops.Identity{}, v)
			if passesMask(l) && x.masks[v] != nil {
				x.masks[outs[i]] = x.masks[v]
			}
		}
		if first != nil && passesMask(l) && x.masks[outs[i]] == nil {
			x.masks[outs[i]] = first
		}
	}
	x.record(l, c.In, outs)
	x.taps[l.Common().Name] = outs
	return outs
}

// autocast casts floating-point arguments to the compute type of the layer, as Keras does before a call.
func (c *Call) autocast() {
	if _, ok := c.Layer.(*Model); ok {
		return
	}
	if _, ok := c.Layer.(*Operation); ok {
		return
	}
	dt := c.ComputeType()
	var walk func(any) any
	walk = func(a any) any {
		switch a := a.(type) {
		case *graph.Value:
			if !a.Type.DType.IsFloat() || a.Type.DType == dt {
				return a
			}
			v := c.cast(a, dt)
			if m := c.Mask(a); m != nil {
				c.SetMask(v, m)
			}
			return v
		case []any:
			out := make([]any, len(a))
			for i, e := range a {
				out[i] = walk(e)
			}
			return out
		case map[string]any:
			out := make(map[string]any, len(a))
			for k, e := range a {
				out[k] = walk(e)
			}
			return out
		}
		return a
	}
	c.Args, _ = walk(c.Args).([]any)
	c.Kwargs, _ = walk(c.Kwargs).(map[string]any)
}

// leaves is the values in an argument, depth first.
func leaves(vs []*graph.Value, a any) []*graph.Value {
	switch a := a.(type) {
	case *graph.Value:
		vs = append(vs, a)
	case []any:
		for _, e := range a {
			vs = leaves(vs, e)
		}
	case map[string]any:
		keys := make([]string, 0, len(a))
		for k := range a {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			vs = leaves(vs, a[k])
		}
	}
	return vs
}

// record keeps the types of a call for summaries.
func (x *expansion) record(l Layer, in, out []*graph.Value) {
	types := func(vs []*graph.Value) []graph.Type {
		ts := make([]graph.Type, len(vs))
		for i, v := range vs {
			ts[i] = v.Type.WithoutValue()
		}
		return ts
	}
	r := x.m.root
	r.calls[l] = append(r.calls[l], types(out))
	r.inputs[l] = append(r.inputs[l], types(in))
}
