// Package train trains graphs: what compiles for inference, plus a loss, its gradient, and an optimizer's
// updates, is compiled and run by the same executor. Model offers what Keras' compile, fit, evaluate and
// predict do; Prepare is the step below, for those who run their own loop.
package train

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/optim"
)

// Names of the inputs that Prepare adds to a graph.
const (
	LearningRateInput = "learning_rate" // float32, rank 0
	RandomInput       = "rng_key"       // int64[2]: seed and step; only where something random is in the graph
)

// ErrFrozen is wrapped by the error of a training in which nothing may change.
var ErrFrozen = errors.New("no parameter is trainable")

// Weight says how a parameter of the graph takes part in training.
type Weight struct {
	Name        string // the graph parameter's
	Trainable   bool
	Regularizer regularizer.Regularizer
	Constraint  constraint.Constraint
}

// Penalty is an activity regularizer of a graph output.
type Penalty struct {
	Output      int
	Regularizer regularizer.Regularizer
}

// Target is an output that is trained: its loss, its weight in the sum, and the types of its targets and
// sample weights (the zero Type: none).
type Target struct {
	Output  int
	Name    string
	Loss    loss.Loss // nil: the output has no loss
	Factor  float64   // what the loss is multiplied by; Keras' loss_weights
	Y, W    graph.Type
	Mask    int // the graph output that holds the output's mask, or -1
	Penalty []Penalty
}

// Spec is what Prepare adds to a graph.
type Spec struct {
	Weights   []Weight // in the order of Keras' weights; parameters not named here are frozen
	Targets   []Target
	Penalties []Penalty
	Optimizer optim.Optimizer // nil: only the losses are added, the graph stays in inference form
	// FrozenNorm reports whether the BatchNormalization nodes of an origin stay in inference form, as Keras
	// has it for layers that are not trainable. Nil: those whose scale and shift are not trainable.
	FrozenNorm func(origin string) bool
}

// Step is a graph ready to be compiled with runtime.Options.KeepParams.
type Step struct {
	Graph *graph.Graph
	// Y and W are the names of the inputs for targets and sample weights; empty where there is none.
	Y, W []string
	// Losses are the names of the outputs: the sum, then each target's own (empty where it has none).
	Loss   string
	Losses []string
	// Random says that RandomInput is among the inputs.
	Random bool
	State  *optim.State
	// Trained is the names of the parameters that change by gradients, Kept those that stay parameters.
	Trained []string
}

// Prepare turns an inference graph into a training step: normalization and dropout in their training form,
// frozen parameters as constants, losses, gradient, optimizer. g itself is not changed.
func Prepare(g *graph.Graph, s Spec) (*Step, error) {
	p := &preparation{spec: s, step: &Step{}}
	p.g, p.m = g.CloneMap()
	p.e = expr.E{B: graph.NewBuilder(p.g)}
	p.classify(s.Weights)
	if s.Optimizer != nil {
		if err := p.trainingForm(); err != nil {
			return nil, err
		}
		p.freeze()
	}
	total, err := p.losses()
	if err != nil {
		return nil, err
	}
	if s.Optimizer != nil {
		if err := p.optimize(total); err != nil {
			return nil, err
		}
	}
	p.step.Graph = p.g
	if err := p.e.B.Err(); err != nil {
		return nil, errs.Errorf("train: %w", err)
	}
	return p.step, nil
}

// TrainingForm is the graph as it computes in training (normalization by the batch, dropout), with the updates
// of running statistics and without loss or optimizer. random says that RandomInput is among its inputs.
func TrainingForm(g *graph.Graph, s Spec) (out *graph.Graph, random bool, err error) {
	p := &preparation{spec: s, step: &Step{}}
	p.g, p.m = g.CloneMap()
	p.e = expr.E{B: graph.NewBuilder(p.g)}
	p.classify(s.Weights)
	if err := p.trainingForm(); err != nil {
		return nil, false, err
	}
	return p.g, p.step.Random, nil
}

type preparation struct {
	spec    Spec
	step    *Step
	g       *graph.Graph
	m       map[*graph.Value]*graph.Value
	e       expr.E
	weights map[*graph.Value]Weight
	updated map[*graph.Value]bool // parameters that running statistics change
	key     *graph.Value
	draws   int
}

func (p *preparation) classify(ws []Weight) {
	byName := map[string]Weight{}
	for _, w := range ws {
		byName[w.Name] = w
	}
	p.weights, p.updated = map[*graph.Value]Weight{}, map[*graph.Value]bool{}
	for _, v := range p.g.Params {
		if w, ok := byName[v.Name]; ok {
			p.weights[v] = w
		}
	}
}

// trainable reports whether a value is a parameter that gradients change.
func (p *preparation) trainable(v *graph.Value) bool { return v != nil && p.weights[v].Trainable }

// trainingForm switches nodes whose meaning differs in training.
func (p *preparation) trainingForm() error {
	frozen := p.spec.FrozenNorm
	for _, n := range slices.Clone(p.g.Nodes) {
		switch op := n.Op.(type) {
		case ops.BatchNormalization:
			still := !p.trainable(n.In[1]) && !p.trainable(n.In[2])
			if frozen != nil {
				still = frozen(n.Origin)
			}
			if !still && !op.TrainingMode {
				if err := p.normalize(op, n); err != nil {
					return err
				}
			} else if len(n.In) > 5 {
				n.In = n.In[:5]
			}
		case ops.Dropout:
			for len(n.In) < 4 {
				n.In = append(n.In, nil)
			}
			n.In[2], n.In[3] = p.e.B.Const("training", tensor.Scalar(true)), p.subkey()
		case ops.RandomNormalLike:
			p.redraw(n, ops.PhiloxNormal{Dtype: n.Out[0].Type.DType, Mean: op.Mean, Scale: op.Scale})
		case ops.RandomUniformLike:
			p.redraw(n, ops.PhiloxUniform{Dtype: n.Out[0].Type.DType, Low: op.Low, High: op.High})
		default:
			if err := noDraws(n); err != nil {
				return err
			}
		}
	}
	p.sort()
	return p.e.B.Err()
}

// noDraws refuses what would be random without a key.
func noDraws(n *graph.Node) error {
	s, ok := n.Op.(graph.Subgrapher)
	if !ok {
		return nil
	}
	for _, g := range s.Subgraphs() {
		for _, m := range g.Nodes {
			switch m.Op.(type) {
			case ops.Dropout, ops.RandomNormalLike, ops.RandomUniformLike:
				return errs.Errorf("train: %s %q holds a %s, which can't be trained inside a nested graph",
					n.Op.Name(), n.Origin, m.Op.Name())
			}
			if err := noDraws(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// normalize gives a BatchNormalization its training form, with updates of the running statistics.
func (p *preparation) normalize(op ops.BatchNormalization, n *graph.Node) error {
	stats := [2]*graph.Value(n.In[3:5])
	var updates [2]*graph.Update
	for i, v := range stats {
		for j := range p.g.Updates {
			if u := &p.g.Updates[j]; u.Param == v && p.updated[v] {
				// A layer that is called twice updates its statistics twice, one after the other.
				n.In[3+i], updates[i] = u.Value, u
			}
		}
	}
	var running [2]*graph.Value
	if len(n.In) > 5 {
		running = p.normalizeWeighted(op, n)
	} else {
		op.TrainingMode = true
		types := make([]graph.Type, len(n.In))
		for i, v := range n.In {
			types[i] = v.Type
		}
		outs, err := op.Infer(types)
		if err != nil {
			return errs.Errorf("train: BatchNormalization %q: %w", n.Origin, err)
		}
		n.Op = op
		for _, t := range outs[1:] {
			name := p.e.B.Unique(n.Out[0].Name + ":batch")
			n.Out = append(n.Out, &graph.Value{Name: name, Type: graph.Freshen(t, name), Def: n})
		}
		running = [2]*graph.Value(n.Out[1:3])
	}
	for i, v := range stats {
		switch {
		case updates[i] != nil:
			updates[i].Value = running[i]
		case v.Def == nil && !v.IsConst(): // statistics that are computed or fixed stay so
			p.updated[v] = true
			p.g.Updates = append(p.g.Updates, graph.Update{Param: v, Value: running[i]})
		}
	}
	return nil
}

// normalizeWeighted is normalize where a mask says which elements count: the moments are weighted ones, as Keras 3 has
// them (keras/src/layers/normalization/batch_normalization.py, _moments). It gives the running mean and variance.
func (p *preparation) normalizeWeighted(op ops.BatchNormalization, n *graph.Node) [2]*graph.Value {
	former := p.e.B.SetOrigin(n.Origin)
	defer p.e.B.SetOrigin(former)
	e, x, weights := p.e, n.In[0], n.In[5]
	channel, axes := 1, []int{}
	if op.Format == ops.NHWC {
		channel = x.Type.Rank() - 1
	}
	for i := range x.Type.Rank() {
		if i != channel {
			axes = append(axes, i)
		}
	}
	const epsilon = 1e-7 // keras.backend.epsilon()
	total := e.AddC(e.Sum(e.Expand(weights, e.Shape(x)), true, axes...), epsilon)
	moment := func(v *graph.Value) *graph.Value { return e.Div(e.Sum(e.Mul(weights, v), true, axes...), total) }
	mean := moment(x)
	batch := [2]*graph.Value{mean, moment(e.Square(e.Sub(x, mean)))}
	var running [2]*graph.Value
	for i, v := range batch {
		old := n.In[3+i]
		batch[i] = e.Cast(e.Reshape(v, -1), old.Type.DType)
		running[i] = e.Add(e.MulC(old, op.Momentum), e.MulC(batch[i], 1-op.Momentum))
	}
	// The node's value stays, so that whoever reads it need not be told.
	y := e.B.Add(op, x, n.In[1], n.In[2], batch[0], batch[1])
	n.Op, n.In = ops.Identity{}, []*graph.Value{y}
	return running
}

// subkey is a key of its own for each random node, different in each step.
func (p *preparation) subkey() *graph.Value {
	if p.key == nil {
		p.key = p.e.B.Input(RandomInput, graph.TensorOf(tensor.Int64, graph.D(2)))
		p.step.Random = true
	}
	p.draws++
	return p.e.Add(p.key, p.e.B.Ints(int64(p.draws)<<32, 0))
}

// redraw makes a random node depend on the key.
func (p *preparation) redraw(n *graph.Node, op graph.Op) {
	shape := p.e.Shape(n.In[0])
	n.Op, n.In = op, []*graph.Value{shape, p.subkey()}
}

// sort puts nodes behind what they read: keys were added at the end of the list.
func (p *preparation) sort() {
	var out []*graph.Node
	placed := map[*graph.Node]bool{}
	var visit func(n *graph.Node)
	visit = func(n *graph.Node) {
		if n == nil || placed[n] {
			return
		}
		placed[n] = true
		for _, v := range n.In {
			if v != nil {
				visit(v.Def)
			}
		}
		out = append(out, n)
	}
	for _, n := range p.g.Nodes {
		visit(n)
	}
	p.g.Nodes = out
}

// freeze turns parameters that nothing changes into constants, so that all that depends on them folds, packs
// and needs no gradient.
func (p *preparation) freeze() {
	kept := p.g.Params[:0:0]
	for _, v := range p.g.Params {
		if p.trainable(v) || p.updated[v] {
			kept = append(kept, v)
			continue
		}
		v.Type = graph.ConstOf(v.Data)
	}
	p.g.Params = kept
}

// losses adds targets' inputs and losses, and returns their weighted sum with all penalties; nil if none.
func (p *preparation) losses() (*graph.Value, error) {
	e, st := p.e, p.step
	outputs := slices.Clone(p.g.Outputs)
	var total *graph.Value
	add := func(v *graph.Value) {
		v = e.Cast(v, tensor.Float32)
		if total == nil {
			total = v
		} else {
			total = e.Add(total, v)
		}
	}
	st.Losses, st.Y, st.W = make([]string, len(p.spec.Targets)), make([]string, len(p.spec.Targets)), make([]string, len(p.spec.Targets))
	for i, t := range p.spec.Targets {
		if t.Loss == nil {
			continue
		}
		if t.Output >= len(outputs) {
			return nil, errs.Errorf("train: a loss for output %d of %d", t.Output, len(outputs))
		}
		defer e.B.SetOrigin(e.B.SetOrigin("loss/" + t.Name))
		y := e.B.Input(fmt.Sprintf("y_%d", i), t.Y)
		st.Y[i] = y.Name
		var w, mask *graph.Value
		if t.W.DType.Valid() {
			w = e.B.Input(fmt.Sprintf("sample_weight_%d", i), t.W)
			st.W[i] = w.Name
		}
		if t.Mask >= 0 && t.Mask < len(outputs) {
			mask = outputs[t.Mask]
		}
		v := loss.Build(e.B, t.Loss, y, outputs[t.Output], w, mask)
		if err := e.B.Err(); err != nil {
			return nil, errs.Errorf("train: loss of output %q: %w", t.Name, err)
		}
		if v.Type.Rank() != 0 { // reduction none: Keras takes the gradient of the sum
			v = e.Sum(v, false)
		}
		v = p.output(e.Cast(v, tensor.Float32))
		st.Losses[i] = v.Name
		if t.Factor != 1 {
			v = e.MulC(v, t.Factor)
		}
		add(v)
	}
	if err := p.penalties(outputs, add); err != nil {
		return nil, err
	}
	if total != nil {
		total = p.output(total)
		st.Loss = total.Name
	}
	return total, e.B.Err()
}

// output makes v a graph output of its own, a copy where it is one already.
func (p *preparation) output(v *graph.Value) *graph.Value {
	if v.Def == nil || slices.Contains(p.g.Outputs, v) {
		v = p.e.B.Add(ops.Identity{}, v)
	}
	p.e.B.Output(v)
	return v
}

// penalties adds the weights' and activities' regularizers.
func (p *preparation) penalties(outputs []*graph.Value, add func(*graph.Value)) error {
	e := p.e
	for _, v := range p.g.Params {
		// Frozen weights' penalties are constants, which Keras leaves out too.
		if w := p.weights[v]; w.Regularizer != nil && w.Trainable {
			add(w.Regularizer.Penalty(e.B, v))
		}
	}
	for _, a := range p.spec.Penalties {
		if a.Output >= len(outputs) {
			return errs.Errorf("train: an activity regularizer of output %d of %d", a.Output, len(outputs))
		}
		v := outputs[a.Output]
		add(e.Div(a.Regularizer.Penalty(e.B, v), e.Size(v, 0, v.Type.DType)))
	}
	return nil
}

// optimize adds the gradient and the optimizer's step.
func (p *preparation) optimize(total *graph.Value) error {
	e := p.e
	if total == nil {
		return errs.Errorf("train: there is no loss to make smaller: no output has one")
	}
	var vars []optim.Var
	var wrt []*graph.Value
	for _, w := range p.spec.Weights {
		for _, v := range p.g.Params {
			if v.Name == w.Name && w.Trainable {
				if !v.Type.DType.IsFloat() {
					return errs.Errorf("train: parameter %q is %v, which can't be trained", v.Name, v.Type)
				}
				vars = append(vars, optim.Var{Param: v, Path: w.Name, Constraint: w.Constraint})
				wrt = append(wrt, v)
				p.step.Trained = append(p.step.Trained, v.Name)
			}
		}
	}
	if len(wrt) == 0 {
		return errs.Errorf("train: %w", ErrFrozen)
	}
	scale, state := optim.LossScale(e.B, p.spec.Optimizer, tensor.Float32)
	if scale != nil {
		total = e.Mul(total, scale)
	}
	lr := e.B.Input(LearningRateInput, graph.TensorOf(tensor.Float32))
	rate := lr
	if scale == nil {
		// Every weight's new value depends on the rate, so that a loss that is no number ends the step before
		// anything has changed. Loss scaling has its own way with those.
		rate = e.B.Add(ops.RequireFinite{}, lr, total)
	}
	grads, err := autodiff.Grad(e.B, []*graph.Value{total}, nil, wrt)
	if err != nil {
		return errs.Errorf("train: %w", err)
	}
	for i, g := range grads {
		vars[i].Grad = g
	}
	defer e.B.SetOrigin(e.B.SetOrigin("optimizer"))
	p.step.State, err = optim.Build(e.B, p.spec.Optimizer, vars, rate, state)
	if err != nil {
		return errs.Errorf("train: %w", err)
	}
	return nil
}
