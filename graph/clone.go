package graph

import (
	"errors"
	"maps"

	"github.com/nnrt/nnrt/internal/errs"
)

// Clone copies g's structure; ops, tensors and nested graphs are shared, for they are immutable.
func (g *Graph) Clone() *Graph {
	c, _ := g.CloneMap()
	return c
}

// CloneMap is Clone, with the map from g's values to the copy's.
func (g *Graph) CloneMap() (*Graph, map[*Value]*Value) {
	m := map[*Value]*Value{}
	c := &Graph{Name: g.Name, Doc: g.Doc, Meta: maps.Clone(g.Meta)}
	get := func(v *Value) *Value {
		if v == nil {
			return nil
		}
		w, ok := m[v]
		if !ok {
			w = &Value{Name: v.Name, Type: v.Type, Data: v.Data}
			m[v] = w
		}
		return w
	}
	list := func(vs []*Value) []*Value {
		if vs == nil {
			return nil
		}
		out := make([]*Value, len(vs))
		for i, v := range vs {
			out[i] = get(v)
		}
		return out
	}
	c.Inputs, c.Params = list(g.Inputs), list(g.Params)
	c.Nodes = make([]*Node, len(g.Nodes))
	for i, n := range g.Nodes {
		k := &Node{Op: n.Op, In: list(n.In), Out: list(n.Out), Origin: n.Origin}
		for _, o := range k.Out {
			o.Def = k
		}
		c.Nodes[i] = k
	}
	c.Outputs = list(g.Outputs)
	for _, u := range g.Updates {
		c.Updates = append(c.Updates, Update{Param: get(u.Param), Value: get(u.Value)})
	}
	return c, m
}

// Verify checks g's invariants: definitions before uses, one definition a value, Def and Out agreeing,
// outputs and updates defined, and every type what Infer gives for the inputs' types (numbers may stand
// for symbols). It returns all that it finds.
func (g *Graph) Verify() error {
	v := verifier{defined: map[*Value]bool{}, names: map[string]*Value{}}
	for _, in := range g.Inputs {
		v.define(in, "input")
	}
	for _, p := range g.Params {
		v.define(p, "param")
		if p.Data == nil {
			v.fail("param %q has no initial value", p.Name)
		}
	}
	for _, n := range g.Nodes {
		v.node(n)
	}
	for i, o := range g.Outputs {
		if !v.known(o) {
			v.fail("output %d is not defined", i)
		}
	}
	for _, u := range g.Updates {
		if u.Param == nil || !v.defined[u.Param] || !v.known(u.Value) {
			v.fail("an update's param or value is not defined")
		}
	}
	return errors.Join(v.errs...)
}

type verifier struct {
	defined map[*Value]bool
	names   map[string]*Value
	errs    []error
}

func (v *verifier) fail(format string, args ...any) {
	if len(v.errs) < 20 {
		v.errs = append(v.errs, errs.Errorf("graph: "+format, args...))
	}
}

func (v *verifier) define(x *Value, what string) {
	if x == nil {
		v.fail("a nil %s", what)
		return
	}
	if v.defined[x] {
		v.fail("%s %q is defined twice", what, x.Name)
	}
	if w := v.names[x.Name]; w != nil && w != x {
		v.fail("two values are named %q", x.Name)
	}
	v.defined[x], v.names[x.Name] = true, x
}

func (v *verifier) known(x *Value) bool { return x != nil && (v.defined[x] || x.IsConst()) }

func (v *verifier) node(n *Node) {
	types := make([]Type, len(n.In))
	for i, in := range n.In {
		if in == nil {
			continue
		}
		types[i] = in.Type
		if !v.known(in) {
			v.fail("%s %q: input %d (%q) is used before it is defined", n.Op.Name(), n.Origin, i, in.Name)
		}
	}
	outs, err := n.Op.Infer(types)
	if err != nil {
		v.fail("%s %q: %v", n.Op.Name(), n.Origin, err)
	} else if len(outs) != len(n.Out) {
		v.fail("%s %q: has %d outputs, Infer gives %d", n.Op.Name(), n.Origin, len(n.Out), len(outs))
	}
	for i, o := range n.Out {
		v.define(o, "value")
		if o != nil && o.Def != n {
			v.fail("%s %q: output %d's Def is another node", n.Op.Name(), n.Origin, i)
		}
		if err == nil && i < len(outs) && o != nil && !agree(o.Type, outs[i]) {
			v.fail("%s %q: output %d is %v, Infer gives %v", n.Op.Name(), n.Origin, i, o.Type, outs[i])
		}
	}
}

// agree reports whether two types can be of one value.
func agree(a, b Type) bool {
	if a.Kind != b.Kind || a.Layout != b.Layout {
		return false
	}
	if a.Kind != TensorKind {
		return true
	}
	if a.DType != b.DType {
		return false
	}
	if a.Unranked || b.Unranked {
		return true
	}
	if len(a.Dims) != len(b.Dims) {
		return false
	}
	for i := range a.Dims {
		if !Compatible(a.Dims[i], b.Dims[i]) {
			return false
		}
	}
	return true
}
