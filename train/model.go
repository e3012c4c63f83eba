package train

import (
	"context"
	"io"
	"path"
	"runtime/debug"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// Info is what training has to know of a graph beyond the graph itself.
type Info struct {
	// Weights is the parameters in the order of Keras' weights. Nil: every floating-point parameter is
	// trainable.
	Weights []Weight
	// Outputs is how many of the graph's outputs are the model's; the others serve masks and penalties.
	// 0: all.
	Outputs int
	// OutputNames are what logs call the outputs. Nil: the values' names.
	OutputNames []string
	// Masks is for each output the number of the graph output that holds its mask, or -1. Nil: none has one.
	Masks []int
	// Penalties are the activity regularizers.
	Penalties []Penalty
	// Train is the graph in which layers that only act in training are written out; it has the same inputs,
	// outputs and parameters. Nil: the graph itself.
	Train *graph.Graph
	// FrozenNorm is Spec's.
	FrozenNorm func(origin string) bool
}

// Model is a graph with weights that can be trained. It is not safe for concurrent use.
type Model struct {
	dev     devices.Device
	infer   *graph.Graph
	info    Info
	weights []Weight
	// values is the weights, and the optimizer's variables by their parameters' names. While a session
	// trains, those in it are newer.
	values map[string]*tensor.Tensor
	c      *compiled
	seed   uint64
	steps  int64 // training steps so far: the counter of what is random
	// version counts changes of the values.
	version   int
	predictor *program
}

// NewModel makes a model of a graph, which stays as it is; the values of its parameters are not copied before training begins.
// Parameters that info does not list are left as they are.
func NewModel(g *graph.Graph, dev devices.Device, info Info) (*Model, error) {
	m := &Model{dev: dev, infer: g.Clone(), info: info, values: map[string]*tensor.Tensor{}}
	if m.info.Outputs == 0 {
		m.info.Outputs = len(g.Outputs)
	}
	if info.Train == nil {
		m.info.Train = m.infer
	} else {
		m.info.Train = info.Train.Clone()
	}
	if m.info.OutputNames == nil {
		for _, v := range g.Outputs[:m.info.Outputs] {
			m.info.OutputNames = append(m.info.OutputNames, v.Name)
		}
	}
	m.weights = slices.Clone(info.Weights)
	if info.Weights == nil {
		for _, p := range g.Params {
			m.weights = append(m.weights, Weight{Name: p.Name, Trainable: p.Type.DType.IsFloat()})
		}
		if len(m.weights) == 0 {
			return nil, errs.Errorf("train: the graph has no parameters")
		}
	}
	for _, p := range g.Params {
		if p.Data == nil {
			return nil, errs.Errorf("train: parameter %q has no value", p.Name)
		}
		m.values[p.Name] = p.Data
	}
	for _, w := range m.weights {
		if m.values[w.Name] == nil {
			return nil, errs.Errorf("train: the graph has no parameter %q", w.Name)
		}
	}
	return m, nil
}

// SetTrainable makes the weights whose names match pattern (as path.Match, where * also spans slashes)
// trainable or not, and returns how many there were. The next Compile takes it up.
func (m *Model) SetTrainable(pattern string, trainable bool) int {
	n := 0
	for i := range m.weights {
		if Match(pattern, m.weights[i].Name) {
			m.weights[i].Trainable = trainable
			n++
		}
	}
	return n
}

// Match reports whether a name matches a pattern of path.Match in which * also spans slashes.
func Match(pattern, name string) bool {
	flat := func(s string) string {
		p := []byte(s)
		for i, c := range p {
			if c == '/' {
				p[i] = 1
			}
		}
		return string(p)
	}
	ok, err := path.Match(flat(pattern), flat(name))
	return ok && err == nil
}

// Regularize gives the weights that match a pattern a penalty and a constraint (either may be nil).
func (m *Model) Regularize(pattern string, r regularizer.Regularizer, c constraint.Constraint) int {
	n := 0
	for i := range m.weights {
		if Match(pattern, m.weights[i].Name) {
			m.weights[i].Regularizer, m.weights[i].Constraint = r, c
			n++
		}
	}
	return n
}

// Weights is how each parameter takes part in training.
func (m *Model) Weights() []Weight { return slices.Clone(m.weights) }

// Value is a copy of a parameter's present value, or nil.
func (m *Model) Value(name string) *tensor.Tensor {
	if t := m.value(name); t != nil {
		return t.Clone()
	}
	return nil
}

// value is the parameter itself.
func (m *Model) value(name string) *tensor.Tensor {
	if m.c != nil && m.c.step != nil {
		if t := m.c.step.sess.Param(name); t != nil {
			return t
		}
	}
	return m.values[name]
}

// SetValue changes a parameter.
func (m *Model) SetValue(name string, t *tensor.Tensor) error {
	old := m.value(name)
	if old == nil {
		return errs.Errorf("train: no parameter %q", name)
	}
	if !tensor.SameShape(old, t) || old.DType() != t.DType() {
		return errs.Errorf("train: parameter %q is %v%v, got %v%v", name, old.DType(), old.Shape(), t.DType(), t.Shape())
	}
	if m.c != nil && m.c.step != nil && m.c.step.sess.Param(name) != nil {
		if err := old.CopyFrom(t); err != nil {
			return err
		}
	} else {
		m.values[name] = t.Clone()
	}
	m.version++
	if m.c != nil {
		for _, w := range m.weights {
			if w.Name == name && !w.Trainable {
				m.dropStep() // it is a constant of the compiled step
			}
		}
	}
	return nil
}

// snapshot copies all values: weights and optimizer.
func (m *Model) snapshot() map[string]*tensor.Tensor {
	m.pull()
	out := make(map[string]*tensor.Tensor, len(m.values))
	for k, v := range m.values {
		out[k] = v.Clone()
	}
	return out
}

// restore puts a snapshot back.
func (m *Model) restore(values map[string]*tensor.Tensor) error {
	m.dropStep()
	for k, v := range values {
		if old := m.values[k]; old != nil && (!tensor.SameShape(old, v) || old.DType() != v.DType()) {
			return errs.Errorf("train: %q is %v%v, the checkpoint has %v%v", k, old.DType(), old.Shape(), v.DType(), v.Shape())
		}
	}
	for k := range m.values {
		if values[k] == nil && m.infer.Param(k) != nil {
			return errs.Errorf("train: the checkpoint has no %q", k)
		}
	}
	for k, v := range values {
		m.values[k] = v.Clone()
	}
	m.version++
	return nil
}

// pull makes the training session's parameters the values.
func (m *Model) pull() {
	if m.c == nil || m.c.step == nil {
		return
	}
	for _, p := range m.c.step.prog.Graph().Params {
		if t := m.c.step.sess.Param(p.Name); t != nil {
			m.values[p.Name] = t
		}
	}
}

// settleFrom is the bytes of parameters from which on what building a step has left behind is given back at once.
const settleFrom = 16 << 20

// settle lets go of what a training session has copies of: its parameters then are the only ones.
func (m *Model) settle(p *program) {
	total := 0
	for _, g := range []*graph.Graph{p.prog.Graph(), p.step.Graph, m.infer, m.info.Train} {
		for _, v := range g.Params {
			if t := p.sess.Param(v.Name); t != nil {
				v.Data = t
				m.values[v.Name] = t
			}
		}
	}
	for _, t := range m.values {
		total += len(t.Bytes())
	}
	if total >= settleFrom {
		debug.FreeOSMemory()
	}
}

// dropStep forgets the compiled step, keeping what it trained.
func (m *Model) dropStep() {
	if m.c == nil || m.c.step == nil {
		return
	}
	m.pull()
	m.c.step = nil
}

// Graph is the inference graph with the present values, for saving and running.
func (m *Model) Graph() *graph.Graph {
	g := m.infer.Clone()
	for _, p := range g.Params {
		p.Data = m.value(p.Name).Clone()
	}
	return g
}

// program is a compiled graph with a session of its own.
type program struct {
	prog *runtime.Program
	sess *runtime.Session
	step *Step
	sig  string
	// version is that of the values it has.
	version int
}

// compile makes a program; values, where they exist, replace the parameters' first values.
func (m *Model) compile(g *graph.Graph) (*program, error) {
	prog, err := runtime.Compile(g, m.dev, runtime.Options{KeepParams: true})
	if err != nil {
		return nil, err
	}
	sess, err := prog.NewSession()
	if err != nil {
		return nil, err
	}
	p := &program{prog: prog, sess: sess, version: -1}
	return p, m.push(p)
}

// push copies values into a program's session.
func (m *Model) push(p *program) error {
	for _, v := range p.prog.Graph().Params {
		if t := m.values[v.Name]; t != nil {
			if err := p.sess.SetParam(v.Name, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// sync copies the newest values into an evaluation program's session, where it has older ones.
func (m *Model) sync(p *program) error {
	if p.version == m.version {
		return nil
	}
	p.version = m.version
	for _, v := range p.prog.Graph().Params {
		if t := m.value(v.Name); t != nil {
			if err := p.sess.SetParam(v.Name, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// run feeds a program what its inputs ask for out of feed.
func (p *program) run(ctx context.Context, feed map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	in := make(map[string]*tensor.Tensor, len(feed))
	for _, v := range p.prog.Graph().Inputs {
		in[v.Name] = feed[v.Name]
	}
	// A step that has begun is finished: half a step would leave half of the weights changed.
	return p.sess.Run(context.WithoutCancel(ctx), in)
}

// SetProfile makes the steps of training add to prof, from the next batch on; nil stops it. Compile and batches of
// another kind end it too.
func (m *Model) SetProfile(prof *runtime.Profile) {
	if m.c != nil && m.c.step != nil {
		m.c.step.sess.SetProfile(prof)
	}
}

// WritePlan writes how a training step on batches like b runs: each node's kernel and the places of its outputs.
func (m *Model) WritePlan(w io.Writer, b data.Batch) error {
	p, in, err := m.stepFor(b)
	if err != nil {
		return err
	}
	return p.sess.WritePlan(w, in)
}

// stepFor is the training step for batches like b, and its inputs.
func (m *Model) stepFor(b data.Batch) (*program, []tensor.Value, error) {
	if m.c == nil {
		return nil, nil, ErrNotCompiled
	}
	b, err := m.feed(b, 0, true)
	if err != nil {
		return nil, nil, err
	}
	p, err := m.prepare(b, true)
	if err != nil {
		return nil, nil, err
	}
	feed := m.inputs(p, b)
	feed[LearningRateInput] = tensor.Scalar(float32(0))
	if p.step.Random {
		feed[RandomInput] = tensor.Of([]int64{0, 0})
	}
	var in []tensor.Value
	for _, v := range p.prog.Graph().Inputs {
		in = append(in, feed[v.Name])
	}
	return p, in, nil
}
