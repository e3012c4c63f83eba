package onnx

import (
	"reflect"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// rebuilder copies a graph, replacing nodes on the way.
type rebuilder struct {
	b    *graph.Builder
	vals map[*graph.Value]*graph.Value
}

// rebuild copies g node by node. replace may add something else for a node, and returns its outputs; nil
// keeps the node.
func rebuild(g *graph.Graph, replace func(r *rebuilder, n *graph.Node, in []*graph.Value) ([]*graph.Value, error)) (*graph.Graph, error) {
	out := &graph.Graph{Name: g.Name, Doc: g.Doc, Meta: g.Meta}
	r := &rebuilder{b: graph.NewBuilder(out), vals: map[*graph.Value]*graph.Value{}}
	for _, v := range g.Inputs {
		r.vals[v] = r.b.Input(v.Name, v.Type)
	}
	for _, v := range g.Params {
		r.vals[v] = r.b.Param(v.Name, v.Data)
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			r.b.Reserve(v.Name)
		}
	}
	for _, n := range g.Nodes {
		if err := r.node(n, replace); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Outputs {
		r.b.Output(r.value(v))
	}
	return out, r.b.Err()
}

// value is the copy of a value.
func (r *rebuilder) value(v *graph.Value) *graph.Value {
	if v == nil {
		return nil
	}
	if w := r.vals[v]; w != nil {
		return w
	}
	w := r.b.Const(v.Name, v.Type.Const)
	r.vals[v] = w
	return w
}

func (r *rebuilder) node(n *graph.Node, replace func(r *rebuilder, n *graph.Node, in []*graph.Value) ([]*graph.Value, error)) error {
	in := make([]*graph.Value, len(n.In))
	for i, v := range n.In {
		if v != nil && v.Def == nil && v.Type.Const == nil && r.vals[v] == nil {
			return errs.Errorf("onnx: %s %q reads %q, which nothing defines", n.Op.Name(), n.Origin, v.Name)
		}
		in[i] = r.value(v)
	}
	r.b.SetOrigin(n.Origin)
	outs, err := replace(r, n, in)
	if err != nil {
		return err
	}
	if outs == nil {
		outs = r.b.AddN(n.Op, in...)
	}
	if err := r.b.Err(); err != nil {
		return err
	}
	if len(outs) < len(n.Out) {
		return errs.Errorf("onnx: %s %q: %d values stand for its %d outputs", n.Op.Name(), n.Origin, len(outs), len(n.Out))
	}
	for i, v := range n.Out {
		r.vals[v] = outs[i]
		if outs[i].Def != nil {
			r.b.Rename(outs[i], v.Name)
		}
	}
	return nil
}

// maxRounds bounds how often what a decomposition gives is decomposed again.
const maxRounds = 10

// prepare spells a graph in operators that ONNX has at the target version, channels first.
func (w *writer) prepare(g *graph.Graph, depth int) (*graph.Graph, error) {
	if depth > 32 {
		return nil, errs.Errorf("onnx: graphs are nested more than 32 deep")
	}
	for range maxRounds {
		changed := false
		next, err := rebuild(g, func(r *rebuilder, n *graph.Node, in []*graph.Value) ([]*graph.Value, error) {
			if s, ok := n.Op.(graph.Subgrapher); ok {
				return w.prepareSubgraphs(r, s, in, depth)
			}
			if outs := suit(r.b, n.Op, in); outs != nil {
				return outs, nil
			}
			if outs := w.older(r.b, n.Op, in); outs != nil {
				return outs, nil
			}
			if w.expressible(n.Op) {
				return nil, nil
			}
			if outs := expand(r.b, n.Op, in); outs != nil {
				changed = true
				return outs, nil
			}
			return nil, nil
		})
		if err != nil {
			return nil, err
		}
		if g = next; !changed {
			break
		}
	}
	return channelsFirst(g)
}

// expressible reports whether the target version has an operator that means op.
func (w *writer) expressible(op graph.Op) bool {
	for _, r := range w.byOp[reflect.TypeOf(op)] {
		if r.since <= w.versionOf(r.domain) {
			return true
		}
	}
	return false
}

func (w *writer) prepareSubgraphs(r *rebuilder, s graph.Subgrapher, in []*graph.Value, depth int) ([]*graph.Value, error) {
	var subs []*graph.Graph
	for _, sub := range s.Subgraphs() {
		p, err := w.prepare(sub, depth+1)
		if err != nil {
			return nil, err
		}
		subs = append(subs, p)
	}
	return r.b.AddN(s.WithSubgraphs(subs), in...), nil
}
