package keras

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Lift makes Keras layers of a graph: a functional model that computes the same. Convolutions and poolings keep
// the graph's data format, so that no transposes are made up; what has no layer of its own becomes a keras.ops
// node. Nodes that have neither are refused, all of them in one error.
func Lift(g *graph.Graph) (*layers.Model, error) {
	name := unclean.ReplaceAllString(g.Name, "_")
	if name == "" {
		name = "model"
	}
	l := &lifter{g: g, m: layers.NewModel(name), vals: map[*graph.Value]*layers.Tensor{}, uses: map[*graph.Value][]*graph.Node{}, names: map[string]bool{}, done: map[*graph.Node]bool{}}
	if len(g.Updates) > 0 {
		un := &formats.UnsupportedError{Format: formats.KerasZip}
		for _, u := range g.Updates {
			un.Items = append(un.Items, formats.Unsupported{What: "state", Node: u.Param.Name, Detail: "what a run changes for the next one is no layer's"})
		}
		return nil, un
	}
	need := needed(g)
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && need[n] {
				l.uses[v] = append(l.uses[v], n)
			}
		}
	}
	for _, v := range g.Outputs {
		l.uses[v] = append(l.uses[v], nil)
	}
	for _, v := range g.Inputs {
		l.input(v)
	}
	for _, n := range g.Nodes {
		if need[n] && !l.done[n] {
			l.node(n)
		}
	}
	if len(l.refused) > 0 {
		return nil, &formats.UnsupportedError{Format: formats.KerasZip, Items: l.refused}
	}
	var outs []*layers.Tensor
	for i, v := range g.Outputs {
		t := l.vals[v]
		if t == nil {
			return nil, formatErrorf(formats.Unknown, "output %q is a constant: no layer gives it", v.Name)
		}
		// an output's name is that of its layer
		id := &layers.Identity{Base: typed(l.name(v.Name, "output"), v)}
		if t.Layer().Common().Name == unclean.ReplaceAllString(v.Name, "_") && i == 0 {
			outs = append(outs, t)
			continue
		}
		outs = append(outs, l.m.Apply(id, t))
	}
	l.m.SetOutputs(outs...)
	l.m.SortLayers()
	if err := l.m.Build(); err != nil {
		return nil, errs.Errorf("keras: lifting: %w", err)
	}
	return l.m, l.setWeights()
}

// setWeights gives the layers, which are built, the graph's weights.
func (l *lifter) setWeights() error {
	for _, p := range l.pending {
		for _, w := range l.m.LayerWeights(p.layer) {
			t, ok := p.values[w.Name]
			if !ok {
				return formatErrorf(formats.Unknown, "lifting: layer %q has a weight %q without a value", p.layer.Common().Name, w.Name)
			}
			if err := w.SetData(t); err != nil {
				return err
			}
		}
	}
	for _, p := range l.ordered {
		ws := l.m.LayerWeights(p.layer)
		if len(ws) != len(p.values) {
			return formatErrorf(formats.Unknown, "lifting: layer %q has %d weights, the graph %d", p.layer.Common().Name, len(ws), len(p.values))
		}
		for i, w := range ws {
			if err := w.SetData(p.values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lifter makes a model of a graph.
type lifter struct {
	g       *graph.Graph
	m       *layers.Model
	vals    map[*graph.Value]*layers.Tensor
	uses    map[*graph.Value][]*graph.Node
	names   map[string]bool
	done    map[*graph.Node]bool // taken into the layer of another node
	depth   int                  // of operators spelled in simpler ones
	refused []formats.Unsupported
	pending []pendingWeights
	ordered []orderedWeights
}

type pendingWeights struct {
	layer  layers.Layer
	values map[string]*tensor.Tensor
}

// needed is the nodes that the outputs depend on otherwise than by values that are known.
func needed(g *graph.Graph) map[*graph.Node]bool {
	need := map[*graph.Node]bool{}
	var visit func(v *graph.Value)
	visit = func(v *graph.Value) {
		if v == nil || v.Def == nil || need[v.Def] || constOf(v) != nil {
			return
		}
		need[v.Def] = true
		for i, in := range v.Def.In {
			if in != nil && i >= 5 && zeros(in) {
				continue // the states of a recurrent operator
			}
			if i == 1 {
				if _, ok := v.Def.Op.(ops.Reshape); ok {
					continue // by its contents
				}
				if _, ok := v.Def.Op.(ops.Expand); ok {
					continue
				}
			}
			switch v.Def.Op.(type) { // by the sizes of what they give
			case ops.ConstantOfShape, ops.Shape:
				continue
			case ops.Range:
				if i == 1 && v.Type.Rank() == 1 {
					continue
				}
			case ops.Resize:
				if i > 0 {
					continue
				}
			}
			visit(in)
		}
	}
	for _, v := range g.Outputs {
		visit(v)
	}
	return need
}

// constOf is the value of v where it is known.
func constOf(v *graph.Value) *tensor.Tensor {
	switch {
	case v == nil:
		return nil
	case v.Def == nil && v.Data != nil:
		return v.Data
	case v.Type.Const != nil || v.Def == nil:
		return v.Type.Const
	}
	var in *tensor.Tensor
	switch op := v.Def.Op.(type) { // how exporters shape weights
	case ops.Reshape, ops.Squeeze, ops.Unsqueeze, ops.Flatten, ops.Identity:
		if in = constOf(v.Def.In[0]); in == nil || v.Type.Unranked {
			return nil
		}
		shape := []int{}
		for _, d := range v.Type.Dims {
			n, ok := d.Const()
			if !ok {
				return nil
			}
			shape = append(shape, n)
		}
		t, err := in.Reshape(shape...)
		if err != nil {
			return nil
		}
		return t
	case ops.Transpose:
		if in = constOf(v.Def.In[0]); in == nil {
			return nil
		}
		perm := op.Perm
		if len(perm) == 0 {
			for i := range in.Rank() {
				perm = append([]int{i}, perm...)
			}
		}
		t, err := transpose(in, perm...)
		if err != nil {
			return nil
		}
		return t
	}
	return nil
}

// ints is the elements of a known integer vector.
func ints(v *graph.Value) ([]int, bool) {
	t := constOf(v)
	if t == nil {
		return nil, false
	}
	vs, err := t.Int64s()
	if err != nil {
		return nil, false
	}
	out := make([]int, len(vs))
	for i, x := range vs {
		out[i] = int(x)
	}
	return out, true
}

// float is the element of a known scalar.
func float(v *graph.Value, def float64) (float64, bool) {
	if v == nil {
		return def, true
	}
	t := constOf(v)
	if t == nil || t.Len() != 1 {
		return 0, false
	}
	vs, err := t.Float64s()
	return vs[0], err == nil
}

var unclean = regexp.MustCompile(`[^A-Za-z0-9_.\-]+`)

// name is a layer's name that no other has: Keras takes no slashes.
func (l *lifter) name(from, kind string) string {
	s := strings.Trim(unclean.ReplaceAllString(from, "_"), "_.-")
	if s == "" {
		s = strings.ToLower(kind)
	}
	for base, i := s, 1; l.names[s]; i++ {
		s = base + "_" + strconv.Itoa(i)
	}
	l.names[s] = true
	return s
}

func (l *lifter) input(v *graph.Value) {
	shape := []int{}
	for i, d := range v.Type.Dims {
		n, ok := d.Const()
		if !ok || i == 0 {
			n = -1
		}
		shape = append(shape, n)
	}
	in := &layers.InputLayer{Base: layers.Named(l.name(v.Name, "input")), BatchShape: shape, InputDType: v.Type.DType.String()}
	if len(shape) == 0 || v.Type.Unranked {
		l.refused = append(l.refused, formats.Unsupported{What: "input", Node: v.Name, Detail: "it has no batch dimension"})
	}
	l.vals[v] = l.m.ApplyArgs(in, nil, nil)
}

// refuse notes a node that no layer stands for.
func (l *lifter) refuse(n *graph.Node, why string, args ...any) {
	if l.depth == 0 && l.decomposed(n) {
		return
	}
	node := n.Origin
	if node == "" {
		node = n.Out[0].Name
	}
	l.refused = append(l.refused, formats.Unsupported{What: n.Op.Name(), Node: node, Detail: fmt.Sprintf(why, args...)})
	for _, v := range n.Out { // go on, to name the others too
		l.vals[v] = l.anything()
	}
}

func (l *lifter) anything() *layers.Tensor {
	for _, t := range l.vals {
		return t
	}
	return nil
}

// in is input i as a tensor of the model; nil where it is not one.
func (l *lifter) in(n *graph.Node, i int) *layers.Tensor {
	if i >= len(n.In) || n.In[i] == nil {
		return nil
	}
	return l.vals[n.In[i]]
}

// base is the Base of the layer that a node becomes.
func (l *lifter) base(n *graph.Node) layers.Base {
	from := n.Out[0].Name
	if from == "" {
		from = n.Origin
	}
	return typed(l.name(from, n.Op.Name()), n.Out[0])
}

// typed is the Base of a layer that computes in the type of v: layers cast their inputs to their own.
func typed(name string, v *graph.Value) layers.Base {
	b := layers.Named(name)
	if v.Type.DType.IsFloat() {
		b.DType = plainType(v.Type.DType)
	}
	return b
}

// put makes a layer of a node with one output.
func (l *lifter) put(n *graph.Node, layer layers.Layer, weights map[string]*tensor.Tensor, in ...*layers.Tensor) {
	l.vals[n.Out[0]] = l.m.Apply(layer, in...)
	if weights != nil {
		l.pending = append(l.pending, pendingWeights{layer, weights})
	}
}

// op makes a keras.ops node of a node.
func (l *lifter) op(n *graph.Node, spec string, vs ...any) {
	o, args := operation(l.base(n), spec, vs)
	t := l.m.ApplyArgs(o, args, nil)
	for i, v := range n.Out {
		l.vals[v] = t.Out(i)
	}
}

// maxInline is the most elements of a constant that a config holds.
const maxInline = 1 << 14

// operand is input i as an argument of an operation: a tensor, or a constant in the config.
func (l *lifter) operand(n *graph.Node, i int) (any, bool) {
	if t := l.in(n, i); t != nil {
		return t, true
	}
	c := constOf(n.In[i])
	if c == nil {
		return nil, false
	}
	if c.Len() > maxInline {
		return l.stored(n, i)
	}
	vs, err := c.Float64s()
	if err != nil {
		return nil, false
	}
	return map[string]any{"class_name": "__numpy__", "config": map[string]any{"value": nested(vs, c.Shape()), "dtype": c.DType().String()}}, true
}

func nested(vs []float64, shape []int) any {
	if len(shape) == 0 {
		return vs[0]
	}
	out := make([]any, shape[0])
	for i := range out {
		step := len(vs) / max(shape[0], 1)
		out[i] = nested(vs[i*step:(i+1)*step], shape[1:])
	}
	return out
}

// only is the one node that uses v, nil where there are others or it is an output.
func (l *lifter) only(v *graph.Value) *graph.Node {
	if u := l.uses[v]; len(u) == 1 {
		return u[0]
	}
	return nil
}
