package train

import (
	"context"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// Front is the part of a model that training neither changes nor makes random: what lies before the first
// trainable weight. Its outputs, the features, are the same in each epoch and can be computed once.
type Front struct {
	m    *Model
	prog *runtime.Program
	out  []string // names of the features
	own  []int    // which of them are the model's inputs: their numbers, else -1
	// Size is the elements of all features of one sample.
	Size int
}

// Front splits a model in two: the front, and a model of the rest, which takes the features as inputs. Train
// the rest, then Adopt it. ok is false where there is no such front, or it can't be told apart: layers that
// act in training only, masks, penalties, features without a batch dimension.
func (m *Model) Front() (front *Front, rest *Model, ok bool, err error) {
	g := m.infer
	if m.info.Masks != nil && slices.ContainsFunc(m.info.Masks, func(i int) bool { return i >= 0 }) || len(m.info.Penalties) > 0 ||
		len(g.Outputs) != m.info.Outputs || !sameNodes(g, m.info.Train) || len(g.Inputs) == 0 || g.Inputs[0].Type.Rank() < 1 {
		return nil, nil, false, nil
	}
	s := split{m: m, fed: map[*graph.Value]bool{}, moves: map[*graph.Value]bool{}}
	if !s.cut(g) {
		return nil, nil, false, nil
	}
	front = &Front{m: m}
	for _, v := range s.features {
		front.own = append(front.own, slices.Index(g.Inputs, v))
		front.out = append(front.out, v.Name)
		n := 1
		for _, d := range v.Type.Dims[1:] {
			c, _ := d.Const()
			n *= c
		}
		front.Size += n
	}
	if front.prog, err = runtime.Compile(m.frontGraph(s.features), m.dev, runtime.Options{}); err != nil {
		return nil, nil, false, err
	}
	rest, err = m.restModel(s.features)
	return front, rest, err == nil, err
}

// sameNodes reports whether the training form of a graph has the same operators.
func sameNodes(a, b *graph.Graph) bool {
	return a == b || slices.EqualFunc(a.Nodes, b.Nodes, func(x, y *graph.Node) bool { return ops.TypeOf(x.Op) == ops.TypeOf(y.Op) })
}

type split struct {
	m        *Model
	fed      map[*graph.Value]bool // depends on an input
	moves    map[*graph.Value]bool // differs from step to step
	features []*graph.Value
}

// cut finds the values at the border; false where it is of no use.
func (s *split) cut(g *graph.Graph) bool {
	for _, v := range g.Inputs {
		s.fed[v] = true
	}
	trained := map[string]bool{}
	for _, w := range s.m.weights {
		trained[w.Name] = w.Trainable
	}
	for _, p := range g.Params {
		s.moves[p] = trained[p.Name]
	}
	work := 0 // nodes in front
	for _, n := range g.Nodes {
		moves, fed := s.restless(n), false
		for _, v := range n.In {
			moves, fed = moves || s.moves[v], fed || s.fed[v]
		}
		for _, v := range n.Out {
			s.moves[v], s.fed[v] = moves, fed
		}
		if fed && !moves {
			work++
		}
		if moves {
			for _, v := range n.In {
				if s.fed[v] && !s.moves[v] && !slices.Contains(s.features, v) {
					s.features = append(s.features, v)
				}
			}
		}
	}
	if work == 0 || slices.ContainsFunc(g.Outputs, func(v *graph.Value) bool { return !s.moves[v] }) {
		return false
	}
	batch := g.Inputs[0].Type.Dims[0]
	for _, v := range s.features {
		t := v.Type
		if t.Kind != graph.TensorKind || t.Rank() < 1 || t.Dims[0] != batch {
			return false
		}
		for _, d := range t.Dims[1:] {
			if _, ok := d.Const(); !ok {
				return false
			}
		}
	}
	return true
}

// restless reports whether a node computes differently in training, or holds graphs of its own.
func (s *split) restless(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case ops.BatchNormalization:
		if op.TrainingMode {
			return true
		}
		if f := s.m.info.FrozenNorm; f != nil {
			return !f(n.Origin)
		}
		return false // its scale and shift decide
	case ops.Dropout, ops.RandomNormalLike, ops.RandomUniformLike, ops.RandomNormal, ops.RandomUniform, ops.Bernoulli, ops.Multinomial:
		return true
	}
	_, nested := n.Op.(graph.Subgrapher)
	return nested
}

// frontGraph computes the features from the inputs.
func (m *Model) frontGraph(features []*graph.Value) *graph.Graph {
	g, at := m.infer.CloneMap()
	for _, p := range g.Params {
		p.Data = m.value(p.Name)
	}
	g.Outputs, g.Updates = nil, nil
	for _, v := range features {
		if v.Def != nil {
			g.Outputs = append(g.Outputs, at[v])
		}
	}
	sweep(g)
	return g
}

// restModel is the model behind the features.
func (m *Model) restModel(features []*graph.Value) (*Model, error) {
	g, at := m.infer.CloneMap()
	g.Inputs = nil
	for _, v := range features {
		in := at[v]
		in.Def = nil
		in.Type = v.Type.WithoutValue()
		g.Inputs = append(g.Inputs, in)
	}
	sweep(g)
	info := Info{Outputs: m.info.Outputs, OutputNames: m.info.OutputNames, FrozenNorm: m.info.FrozenNorm, Weights: []Weight{}}
	for _, p := range g.Params {
		p.Data = m.value(p.Name)
	}
	for _, w := range m.weights {
		if g.Param(w.Name) != nil {
			info.Weights = append(info.Weights, w)
		}
	}
	return NewModel(g, m.dev, info)
}

// sweep drops nodes and parameters that no output needs.
func sweep(g *graph.Graph) {
	need := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		need[v] = true
	}
	var kept []*graph.Node
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if !slices.ContainsFunc(n.Out, func(v *graph.Value) bool { return v.Def == n && need[v] }) {
			continue
		}
		for _, v := range n.In {
			need[v] = true
		}
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	g.Nodes = kept
	g.Params = slices.DeleteFunc(g.Params, func(v *graph.Value) bool { return !need[v] })
}

// Features computes the features of a whole dataset, in its order, with its targets and weights.
func (f *Front) Features(ctx context.Context, d data.Dataset, batch int) (data.Arrays, error) {
	var all data.Arrays
	sess, err := f.prog.NewSession()
	if err != nil {
		return all, err
	}
	var parts []data.Batch
	for b, err := range d.Batches(data.Order{BatchSize: batch}) {
		if err != nil {
			return all, errs.Errorf("train: features: batch %d: %w", len(parts), err)
		}
		fed, err := f.m.feed(b, len(parts), false)
		if err != nil {
			return all, err
		}
		in := map[string]*tensor.Tensor{}
		for i, v := range f.m.infer.Inputs {
			if f.prog.Graph().Input(v.Name) != nil {
				in[v.Name] = fed.X[i]
			}
		}
		out, err := sess.Run(ctx, in)
		if err != nil {
			return all, errs.Errorf("train: features: batch %d: %w", len(parts), err)
		}
		p := data.Batch{Y: b.Y, W: b.W}
		for i, name := range f.out {
			x := out[name]
			if k := f.own[i]; k >= 0 {
				x = fed.X[k]
			}
			p.X = append(p.X, x)
		}
		parts = append(parts, p)
	}
	return data.Join(parts...)
}

// Adopt takes the weights and the optimizer's state of a model that Front gave and that was trained.
func (m *Model) Adopt(rest *Model) error {
	for _, p := range rest.infer.Params {
		if err := m.SetValue(p.Name, rest.value(p.Name)); err != nil {
			return err
		}
	}
	if m.c == nil || rest.c == nil {
		return nil
	}
	vs, err := rest.OptimizerVariables()
	if err != nil {
		return err
	}
	return m.SetOptimizerVariables(vs)
}
