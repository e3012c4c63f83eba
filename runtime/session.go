package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Session is a program's mutable state: memory and parameters. It runs one thing at a time; many sessions
// of one program may run at once.
type Session struct {
	p      *Program
	params map[string]*tensor.Tensor
	insts  map[*planned]*instance
	tick   int
	vals   []tensor.Value // reused by Run
	turn   turn
	prof   *Profile
}

// instance is a plan's operands, bound to one session's memory.
type instance struct {
	pl      *planned
	steps   []devices.Bound // in order; a nil Step is prepared at each run
	args    []devices.Args
	inputs  []binding
	outputs []binding
	fixed   []tensor.Value // outputs that no node makes: constants, inputs, parameters
	source  []int          // of such an output: the input it is, or -1
	updates []update
	static  bool
	uses    map[slot][]slot // readers of each made value, for dynamic plans
	dynamic [][]*prepared   // what each dynamic step was prepared for
	used    int
}

// binding is every place that has to point to a value which changes from run to run.
type binding struct {
	in, out []slot
	again   bool // an output's value is an earlier output already, and is copied from there
}

type slot struct{ step, arg int }

// update copies a new value over a parameter, where it is not made in its place already.
type update struct {
	param *tensor.Tensor
	from  slot
	fixed tensor.Value
}

// NewSession makes a session. Its parameters start as the graph's.
func (p *Program) NewSession() (*Session, error) {
	s := &Session{p: p, params: map[string]*tensor.Tensor{}, insts: map[*planned]*instance{}}
	for _, v := range p.g.Params {
		s.params[v.Name] = v.Data.Clone()
	}
	return s, nil
}

// ErrInput is wrapped by errors about values fed to Run: missing, unknown, of another type or shape.
var ErrInput = errors.New("bad input")

// Run feeds the named inputs and returns the named outputs, newly allocated. It fails before running
// anything where an input is missing or does not fit; ctx ends it within milliseconds.
func (s *Session) Run(ctx context.Context, in map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	vals, err := s.order(in)
	if err != nil {
		return nil, err
	}
	outs, err := s.RunValues(ctx, vals)
	if err != nil {
		return nil, err
	}
	m := make(map[string]*tensor.Tensor, len(outs))
	for i, v := range outs {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, errs.Errorf("runtime: output %q is a %T: use RunValues", s.p.g.Outputs[i].Name, v)
		}
		m[s.p.g.Outputs[i].Name] = t
	}
	return m, nil
}

// order brings named tensors into the order of the graph's inputs.
func (s *Session) order(in map[string]*tensor.Tensor) ([]tensor.Value, error) {
	s.vals = s.vals[:0]
	for _, v := range s.p.g.Inputs {
		t, ok := in[v.Name]
		if !ok || t == nil {
			return nil, errs.Errorf("runtime: %w: %q (%v) is missing", ErrInput, v.Name, v.Type)
		}
		s.vals = append(s.vals, t)
	}
	if len(in) > len(s.p.g.Inputs) {
		var extra []string
		for name := range in {
			if s.p.g.Input(name) == nil {
				extra = append(extra, name)
			}
		}
		slices.Sort(extra)
		return nil, errs.Errorf("runtime: %w: the model has no input %s; it has %s", ErrInput,
			strings.Join(extra, ", "), inputNames(s.p.g))
	}
	return s.vals, nil
}

func inputNames(g *graph.Graph) string {
	names := make([]string, len(g.Inputs))
	for i, v := range g.Inputs {
		names[i] = fmt.Sprintf("%q", v.Name)
	}
	return strings.Join(names, ", ")
}

// checkInputs compares values with the declared inputs: kind, type, rank, and dimensions that must agree.
func checkInputs(g *graph.Graph, in []tensor.Value) error {
	if len(in) != len(g.Inputs) {
		return errs.Errorf("runtime: %w: %d values for %d inputs", ErrInput, len(in), len(g.Inputs))
	}
	for i, v := range g.Inputs {
		t, ok := in[i].(*tensor.Tensor)
		if v.Type.Kind != graph.TensorKind {
			if ok || in[i] == nil {
				return errs.Errorf("runtime: %w: %q is to be a %v", ErrInput, v.Name, v.Type)
			}
			continue
		}
		if !ok || t.DType() != v.Type.DType || !v.Type.Unranked && t.Rank() != len(v.Type.Dims) {
			return errs.Errorf("runtime: %w: %q is to be %v, got %s", ErrInput, v.Name, v.Type, describe(in[i]))
		}
		for a, d := range v.Type.Dims {
			if n, ok := d.Const(); ok && n != t.Shape()[a] {
				return errs.Errorf("runtime: %w: %q is to be %v, got %s", ErrInput, v.Name, v.Type, describe(t))
			}
		}
	}
	return nil
}

// asScalars takes one element under any rank for an input of rank 0, as other runtimes do: callers have it
// as a vector more often than not.
func asScalars(g *graph.Graph, in []tensor.Value) []tensor.Value {
	if len(in) != len(g.Inputs) {
		return in
	}
	copied := false
	for i, v := range g.Inputs {
		t, ok := in[i].(*tensor.Tensor)
		if !ok || t == nil || v.Type.Rank() != 0 || t.Rank() == 0 || t.Len() != 1 {
			continue
		}
		if s, err := t.Reshape(); err == nil {
			if !copied {
				in, copied = slices.Clone(in), true
			}
			in[i] = s
		}
	}
	return in
}

func describe(v tensor.Value) string {
	if t, ok := v.(*tensor.Tensor); ok && t != nil {
		return fmt.Sprintf("%v%v", t.DType(), t.Shape())
	}
	return fmt.Sprintf("%T", v)
}

// RunValues is Run by position, for inputs and outputs of any kind.
func (s *Session) RunValues(ctx context.Context, in []tensor.Value) ([]tensor.Value, error) {
	in = asScalars(s.p.g, in)
	inst, err := s.instance(in)
	if err != nil {
		return nil, err
	}
	outs := make([]tensor.Value, len(inst.pl.g.Outputs))
	for i, v := range inst.pl.g.Outputs {
		if shape, ok := v.Type.Shape(); ok && v.Def != nil {
			outs[i] = tensor.New(v.Type.DType, shape...)
		}
	}
	if err := s.admitted(ctx, inst, in, outs); err != nil {
		return nil, err
	}
	return outs, nil
}

// RunInto is RunValues into tensors of the caller's, which must have the outputs' types and shapes
// (those that an earlier RunValues on inputs of these shapes gave). Nothing is allocated.
func (s *Session) RunInto(ctx context.Context, in, out []tensor.Value) error {
	in = asScalars(s.p.g, in)
	inst, err := s.instance(in)
	if err != nil {
		return err
	}
	if len(out) != len(inst.pl.g.Outputs) {
		return errs.Errorf("runtime: %w: %d tensors for %d outputs", ErrInput, len(out), len(inst.pl.g.Outputs))
	}
	for i, v := range inst.pl.g.Outputs {
		t, ok := out[i].(*tensor.Tensor)
		if !ok || t.DType() != v.Type.DType || !fits(v.Type, t.Shape()) {
			return errs.Errorf("runtime: %w: output %d is %v, the tensor for it is %s", ErrInput, i, v.Type, describe(out[i]))
		}
	}
	return s.admitted(ctx, inst, in, out)
}

func fits(t graph.Type, shape []int) bool {
	if t.Rank() != len(shape) {
		return false
	}
	for i, d := range t.Dims {
		if n, ok := d.Const(); !ok || n != shape[i] {
			return false
		}
	}
	return true
}

// Param is the parameter of that name: the session's own memory, which the next Run reads. Nil if there
// is none.
func (s *Session) Param(name string) *tensor.Tensor { return s.params[name] }

// SetParam overwrites a parameter.
func (s *Session) SetParam(name string, t *tensor.Tensor) error {
	p := s.params[name]
	if p == nil {
		return errs.Errorf("runtime: %w: no parameter %q", ErrInput, name)
	}
	if !tensor.SameShape(p, t) {
		return errs.Errorf("runtime: %w: parameter %q is %v, got %v", ErrInput, name, p.Shape(), t.Shape())
	}
	return p.CopyFrom(t)
}

// exec points the plan's operands to in and out, runs it, and applies updates.
func (s *Session) exec(ctx context.Context, inst *instance, in, out []tensor.Value) error {
	for i := range inst.inputs {
		inst.bind(&inst.inputs[i], in[i])
	}
	for i := range inst.outputs {
		if inst.fixed[i] == nil && inst.source[i] < 0 && !inst.outputs[i].again {
			inst.bind(&inst.outputs[i], out[i])
		}
	}
	var err error
	switch {
	case s.prof != nil:
		err = s.execProfiled(ctx, inst)
	case inst.static:
		err = s.p.dev.Submit(ctx, inst.steps)
	default:
		err = s.execDynamic(ctx, inst)
	}
	if err != nil {
		return err
	}
	if err := inst.collect(in, out); err != nil {
		return err
	}
	for _, u := range inst.updates {
		v := u.fixed
		if v == nil {
			v = inst.args[u.from.step].Out[u.from.arg]
		}
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return errs.Errorf("runtime: an update's value is a %T", v)
		}
		if err := u.param.CopyFrom(t); err != nil {
			return err
		}
	}
	return nil
}

func (inst *instance) bind(b *binding, v tensor.Value) {
	for _, s := range b.in {
		inst.args[s.step].In[s.arg] = v
	}
	for _, s := range b.out {
		inst.args[s.step].Out[s.arg] = v
	}
}

// collect fills the outputs that no node wrote in place.
func (inst *instance) collect(in, out []tensor.Value) error {
	for i := range out {
		var v tensor.Value
		switch {
		case inst.source[i] >= 0:
			v = in[inst.source[i]]
		case inst.fixed[i] != nil:
			v = inst.fixed[i]
		default:
			o := inst.outputs[i].out
			if len(o) == 0 {
				continue
			}
			v = inst.args[o[0].step].Out[o[0].arg]
		}
		if t, ok := out[i].(*tensor.Tensor); ok && t != nil {
			if src, ok := v.(*tensor.Tensor); ok && src != t {
				if err := t.CopyFrom(src); err != nil {
					return err
				}
			}
			continue
		}
		if src, ok := v.(*tensor.Tensor); ok && (inst.source[i] >= 0 || inst.fixed[i] != nil) {
			v = src.Clone()
		}
		out[i] = v
	}
	return nil
}

// instance finds or binds the plan for inputs of these shapes.
func (s *Session) instance(in []tensor.Value) (*instance, error) {
	for _, inst := range s.insts { // the usual case: one plan, without building its key
		if inst.accepts(in) {
			s.tick++
			inst.used = s.tick
			return inst, nil
		}
	}
	if err := checkInputs(s.p.g, in); err != nil {
		return nil, err
	}
	pl, err := s.p.planFor(in)
	if err != nil {
		return nil, err
	}
	if inst := s.insts[pl]; inst != nil {
		return inst, nil
	}
	if len(s.insts) >= s.p.opts.MaxPlans {
		var oldest *planned
		for k, i := range s.insts {
			if oldest == nil || i.used < s.insts[oldest].used {
				oldest = k
			}
		}
		delete(s.insts, oldest)
	}
	inst, err := s.bindPlan(pl)
	if err != nil {
		return nil, err
	}
	s.tick++
	inst.used = s.tick
	s.insts[pl] = inst
	return inst, nil
}

// accepts reports whether the plan was made for values of these types.
func (inst *instance) accepts(in []tensor.Value) bool {
	if len(in) != len(inst.pl.g.Inputs) {
		return false
	}
	for i, v := range inst.pl.g.Inputs {
		t, ok := in[i].(*tensor.Tensor)
		if !ok || t.DType() != v.Type.DType || !fits(v.Type, t.Shape()) {
			return false
		}
	}
	return true
}

// Profile is how long the nodes of runs took.
type Profile struct {
	Runs  int
	Steps []StepTime
	index map[*graph.Node]int
}

// StepTime is one node's share.
type StepTime struct {
	Op, Origin, Kernel string
	Time               time.Duration // of all runs together
}

// SetProfile makes the following runs add to prof; nil stops it.
func (s *Session) SetProfile(prof *Profile) { s.prof = prof }

func (p *Profile) add(sp stepPlan, d time.Duration) {
	if p.index == nil {
		p.index = map[*graph.Node]int{}
	}
	i, ok := p.index[sp.node]
	if !ok {
		i = len(p.Steps)
		p.index[sp.node] = i
		p.Steps = append(p.Steps, StepTime{Op: sp.node.Op.Name(), Origin: sp.node.Origin, Kernel: sp.name})
	}
	p.Steps[i].Time += d
}

func (s *Session) execProfiled(ctx context.Context, inst *instance) error {
	s.prof.Runs++
	for i := range inst.steps {
		start := time.Now()
		if err := s.runStep(ctx, inst, i); err != nil {
			return err
		}
		s.prof.add(inst.pl.steps[i], time.Since(start))
	}
	return nil
}
