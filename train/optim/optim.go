// Package optim writes Keras' optimizers as graph nodes. Moments and counters are parameters of the graph;
// a step is a set of updates. The learning rate is an input, so that schedules need no new program.
package optim

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

// Optimizer is one of the structs in this package; their exported fields are Keras' config. The zero value
// of a struct is not Keras' default: New and Decode give that.
type Optimizer interface {
	// Options is what all optimizers have.
	Options() *Config
	// slots declares the moments in Keras' order.
	slots(s *slotter)
	// step computes one variable's new value and moments.
	step(c *step)
}

// Config is the configuration that all optimizers share.
type Config struct {
	Name                      string   `json:"name"`
	LearningRate              Rate     `json:"learning_rate"`
	WeightDecay               *float64 `json:"weight_decay"`
	ClipNorm                  *float64 `json:"clipnorm"`
	GlobalClipNorm            *float64 `json:"global_clipnorm"`
	ClipValue                 *float64 `json:"clipvalue"`
	UseEMA                    bool     `json:"use_ema"`
	EMAMomentum               float64  `json:"ema_momentum"`
	EMAOverwriteFrequency     *int     `json:"ema_overwrite_frequency"`
	LossScaleFactor           *float64 `json:"loss_scale_factor"`
	GradientAccumulationSteps *int     `json:"gradient_accumulation_steps"`
	// NoDecay holds patterns (path.Match, or a part) of variables that weight decay leaves alone.
	NoDecay []string `json:"-"`
	// Factors multiply the learning rate of variables, for layers that are to learn slower or faster than the rest; the
	// first whose pattern fits a variable counts.
	Factors []Factor `json:"-"`
}

// ErrNoVariable is wrapped by the error about a pattern that fits no variable.
var ErrNoVariable = errors.New("no variable has such a name")

// Factor multiplies the learning rate of the variables that a pattern (path.Match, or a part of the path) fits.
type Factor struct {
	Pattern string
	By      float64
}

// Options implements Optimizer.
func (c *Config) Options() *Config { return c }

// Var is a weight to be trained.
type Var struct {
	Param      *graph.Value
	Grad       *graph.Value // nil: the loss does not depend on it, it stays as it is
	Path       string       // Keras' path: "dense/kernel"
	Constraint constraint.Constraint
}

// Slot is one of the optimizer's own variables.
type Slot struct {
	Path  string // Keras' path: "adam/dense_kernel_momentum"
	Param *graph.Value
	// LearningRate marks the place of Keras' learning_rate variable, which is an input here; Zero one that
	// Keras has without using it. Param is nil for both.
	LearningRate, Zero bool
	Shape              []int
}

// State is what Build made.
type State struct {
	Slots     []Slot       // in the order of Keras' optimizer.variables
	LossScale *graph.Value // what the loss is multiplied by before the gradient is taken; nil: nothing
	Averages  map[string]*graph.Value
}

// Build appends nodes that apply gradients to variables, and the graph's updates. lr is the rank-0 learning
// rate. scale is the value that LossScale gave for the same optimizer and builder, if any.
func Build(b *graph.Builder, o Optimizer, vars []Var, lr *graph.Value, scale *Scale) (*State, error) {
	a := &apply{e: expr.E{B: b}, o: o, cfg: o.Options(), vars: vars, lr: lr, cur: map[*graph.Value]*graph.Value{}}
	for i, v := range vars {
		if !v.Param.Type.DType.IsFloat() {
			return nil, errs.Errorf("optim: %s is %v, which can't be trained", v.Path, v.Param.Type)
		}
		if v.Path == "" {
			a.vars[i].Path = v.Param.Name
		}
	}
	if l, ok := o.(*LossScaleOptimizer); ok {
		return a.scaled(l, scale)
	}
	st := a.run(nil)
	return st, b.Err()
}

// apply is the state of one Build.
type apply struct {
	e     expr.E
	o     Optimizer
	cfg   *Config
	vars  []Var
	lr    *graph.Value
	cur   map[*graph.Value]*graph.Value // what a parameter's value has become
	order []*graph.Value                // parameters in the order of their first change
	slots []Slot
	byVar map[string][]*graph.Value // slot name → parameter per variable

	iter       *graph.Value // Keras' _iterations
	iterations *graph.Value // counting whole accumulations
	local      *graph.Value // iterations + 1, as float32
}

// get is the present value of a parameter.
func (a *apply) get(p *graph.Value) *graph.Value {
	if v, ok := a.cur[p]; ok {
		return v
	}
	return p
}

// set makes v the new value of p, where gate (if any) holds.
func (a *apply) set(p, v, gate *graph.Value) {
	if gate != nil {
		v = a.e.Where(gate, v, a.get(p))
	}
	if _, ok := a.cur[p]; !ok {
		a.order = append(a.order, p)
	}
	a.cur[p] = v
}

// param adds one of the optimizer's own variables.
func (a *apply) param(path string, t *tensor.Tensor) *graph.Value {
	// Adafactor's rows and columns of a weight have one path in Keras; the parameter's name must be the same in every graph
	// that the optimizer is built into, which a builder's own numbering doesn't promise.
	name, before := "optimizer/"+path, 0
	for _, s := range a.slots {
		if s.Path == path {
			before++
		}
	}
	if before > 0 {
		name += ":" + strconv.Itoa(before)
	}
	v := a.e.B.Param(name, t)
	a.slots = append(a.slots, Slot{Path: path, Param: v, Shape: t.Shape()})
	return v
}

// counters adds iteration and learning rate, as every Keras optimizer begins.
func (a *apply) counters() {
	a.iter = a.param(a.cfg.Name+"/iteration", tensor.Scalar(int64(0)))
	if a.cfg.LearningRate.Schedule == nil {
		a.slots = append(a.slots, Slot{Path: a.cfg.Name + "/learning_rate", LearningRate: true, Shape: []int{}})
	}
}

func some(p *float64) (float64, bool) {
	if p == nil {
		return 0, false
	}
	return *p, true
}

func steps(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

// run writes the whole step; finite is the condition under which anything changes at all.
func (a *apply) run(finite *graph.Value) *State {
	e := a.e
	for _, f := range a.cfg.Factors {
		if !slices.ContainsFunc(a.vars, func(v Var) bool { return fits(f.Pattern, v.Path) }) {
			e.B.Fail(errs.Errorf("optim: a learning rate's factor for %q: %w", f.Pattern, ErrNoVariable))
		}
	}
	a.counters()
	every := steps(a.cfg.GradientAccumulationSteps)
	s := &slotter{a: a}
	a.byVar = map[string][]*graph.Value{}
	if a.cfg.UseEMA {
		s.add("average")
	}
	if every > 0 {
		s.add("gradient_accumulator")
	}
	a.iterations = a.iter
	if every > 1 {
		a.iterations = e.Div(a.iter, e.C(a.iter, float64(every)))
	}
	a.local = e.Cast(e.AddC(a.iterations, 1), tensor.Float32)
	a.o.slots(s)
	grads := make([]*graph.Value, len(a.vars))
	for i, v := range a.vars {
		if grads[i] = v.Grad; v.Grad == nil {
			continue
		}
		grads[i] = e.Cast(v.Grad, v.Param.Type.DType)
		if f, ok := some(a.cfg.LossScaleFactor); ok {
			grads[i] = e.DivC(grads[i], f)
		}
	}
	gate := finite
	if every > 0 {
		next := e.AddC(a.iter, 1)
		due := e.Eq(e.Sub(next, e.MulC(e.Div(next, e.C(next, float64(every))), float64(every))), e.C(next, 0))
		gate = a.both(gate, due)
		a.accumulate(grads, due, finite, every)
	}
	grads = a.clip(grads)
	a.decay(grads, gate)
	if p, ok := a.o.(preparer); ok {
		p.prepare(a, gate)
	}
	for i := range a.vars {
		if grads[i] != nil {
			a.o.step(&step{apply: a, i: i, gate: gate, g: grads[i]})
		}
	}
	a.average(finite)
	for i, v := range a.vars {
		if v.Constraint != nil && grads[i] != nil {
			a.set(v.Param, v.Constraint.Apply(e.B, a.get(v.Param)), finite)
		}
	}
	a.set(a.iter, e.AddC(a.iter, 1), finite)
	for _, p := range a.order {
		e.B.Graph().Updates = append(e.B.Graph().Updates, graph.Update{Param: p, Value: a.cur[p]})
	}
	st := &State{Slots: a.slots, Averages: map[string]*graph.Value{}}
	for i, avg := range a.byVar["average"] {
		st.Averages[a.vars[i].Param.Name] = avg
	}
	return st
}

func (a *apply) both(x, y *graph.Value) *graph.Value {
	if x == nil {
		return y
	}
	return a.e.And(x, y)
}

// accumulate adds grads to the accumulators, and replaces them by the mean where a step is due.
func (a *apply) accumulate(grads []*graph.Value, due, finite *graph.Value, every int) {
	for i, acc := range a.byVar["gradient_accumulator"] {
		if grads[i] == nil {
			continue
		}
		total := a.e.Add(acc, grads[i])
		grads[i] = a.e.DivC(total, float64(every))
		a.set(acc, a.e.Where(due, a.e.C(acc, 0), total), finite)
	}
}

// clip limits gradients: the first of clipnorm, global_clipnorm and clipvalue that is set.
func (a *apply) clip(grads []*graph.Value) []*graph.Value {
	e := a.e
	each := func(f func(g *graph.Value) *graph.Value) {
		for i, g := range grads {
			if g != nil {
				grads[i] = f(g)
			}
		}
	}
	if c, ok := some(a.cfg.ClipNorm); ok && c > 0 {
		each(func(g *graph.Value) *graph.Value {
			return e.Div(e.MulC(g, c), e.MaxC(e.Norm(g, false), c))
		})
	} else if c, ok := some(a.cfg.GlobalClipNorm); ok && c > 0 {
		var total *graph.Value
		each(func(g *graph.Value) *graph.Value {
			s := e.Cast(e.Sum(e.Square(g), false), tensor.Float32)
			if total == nil {
				total = s
			} else {
				total = e.Add(total, s)
			}
			return g
		})
		if total == nil {
			return grads
		}
		norm := e.Sqrt(total)
		scale := e.MulC(e.Min(e.Div(e.C(norm, 1), norm), e.C(norm, 1/c)), c)
		each(func(g *graph.Value) *graph.Value { return e.Mul(g, e.Cast(scale, g.Type.DType)) })
	} else if c, ok := some(a.cfg.ClipValue); ok && c > 0 {
		each(func(g *graph.Value) *graph.Value { return e.Clip(g, -c, c) })
	}
	return grads
}

// decayer is an optimizer whose weight decay depends on the variable.
type decayer interface {
	decay(v Var) (float64, bool)
}

// decay takes weight_decay times the learning rate off each variable.
func (a *apply) decay(grads []*graph.Value, gate *graph.Value) {
	for i, v := range a.vars {
		wd, ok := some(a.cfg.WeightDecay)
		if d, special := a.o.(decayer); special {
			wd, ok = d.decay(v)
		}
		if !ok || wd == 0 || grads[i] == nil || a.cfg.spared(v.Path) {
			continue
		}
		w := a.get(v.Param)
		lr := a.rateOf(i, w.Type.DType)
		a.set(v.Param, a.e.Sub(w, a.e.Mul(a.e.MulC(w, wd), lr)), gate)
	}
}

func (c *Config) spared(name string) bool {
	for _, p := range c.NoDecay {
		if fits(p, name) {
			return true
		}
	}
	return false
}

func fits(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok || strings.Contains(name, pattern)
}

// rateOf is the learning rate of variable i.
func (a *apply) rateOf(i int, t tensor.DType) *graph.Value {
	lr := a.e.Cast(a.lr, t)
	for _, f := range a.cfg.Factors {
		if fits(f.Pattern, a.vars[i].Path) {
			return a.e.MulC(lr, f.By)
		}
	}
	return lr
}

// average keeps the exponential moving averages of the variables, and from time to time puts them in place.
func (a *apply) average(finite *graph.Value) {
	if !a.cfg.UseEMA {
		return
	}
	e := a.e
	started := e.Not(e.Eq(a.iterations, e.C(a.iterations, 0)))
	every := steps(a.cfg.EMAOverwriteFrequency)
	var due *graph.Value
	if every > 0 {
		next := e.AddC(a.iterations, 1)
		due = e.Eq(e.Sub(next, e.MulC(e.Div(next, e.C(next, float64(every))), float64(every))), e.C(next, 0))
	}
	for i, avg := range a.byVar["average"] {
		p := a.vars[i].Param
		w := a.get(p)
		m := e.MulC(e.Cast(started, w.Type.DType), a.cfg.EMAMomentum)
		a.set(avg, e.Add(e.Mul(m, avg), e.Mul(e.CSub(1, m), w)), finite)
		if due != nil {
			a.set(p, a.get(avg), a.both(finite, due))
		}
	}
}

// preparer is an optimizer with something to do once a step, before the variables.
type preparer interface {
	prepare(a *apply, gate *graph.Value)
}

// slotter declares an optimizer's variables.
type slotter struct{ a *apply }

// add declares slots of the given names for each variable in turn, with zeros.
//
//go:noinline
func (s *slotter) add(names ...string) {
	for i := range s.a.vars {
		for _, n := range names {
			s.one(i, n, 0)
		}
	}
}

// one declares a slot of variable i, filled with a number.
func (s *slotter) one(i int, name string, fill float64) {
	v := s.a.vars[i]
	t := tensor.New(v.Param.Type.DType, v.Param.Data.Shape()...)
	if err := (initializer.Constant{Value: initializer.Values{fill}}).Fill(t, nil); err != nil {
		s.a.e.B.Fail(err)
	}
	s.put(i, name, t)
}

// put declares a slot of variable i with its first value.
func (s *slotter) put(i int, name string, t *tensor.Tensor) {
	a := s.a
	p := a.param(a.cfg.Name+"/"+strings.ReplaceAll(a.vars[i].Path, "/", "_")+"_"+name, t)
	if a.byVar[name] == nil {
		a.byVar[name] = make([]*graph.Value, len(a.vars))
	}
	a.byVar[name][i] = p
}

// step is one variable's turn.
type step struct {
	*apply
	i    int
	gate *graph.Value
	g    *graph.Value // gradient
}

// w is the variable's present value.
//
//go:noinline
func (c *step) w() *graph.Value { return c.get(c.vars[c.i].Param) }

// setW changes the variable.
func (c *step) setW(v *graph.Value) { c.set(c.vars[c.i].Param, v, c.gate) }

// slot is the present value of one of the variable's slots; nil where it has none of that name.
//
//go:noinline
func (c *step) slot(name string) *graph.Value {
	if p := c.at(name); p != nil {
		return c.get(p)
	}
	return nil
}

func (c *step) at(name string) *graph.Value {
	if c.byVar[name] == nil {
		return nil
	}
	return c.byVar[name][c.i]
}

// keep changes a slot, and returns the value as it is before any gate.
func (c *step) keep(name string, v *graph.Value) *graph.Value {
	c.set(c.at(name), v, c.gate)
	return v
}

// rate is the learning rate in the variable's type.
func (c *step) rate() *graph.Value { return c.rateOf(c.i, c.g.Type.DType) }

// t is the step's number, from 1, in the variable's type.
func (c *step) t() *graph.Value { return c.e.Cast(c.local, c.g.Type.DType) }

// pow is base to the power of the step's number.
func (c *step) pow(base float64) *graph.Value { return c.e.Pow(c.e.C(c.g, base), c.t()) }

// toward moves m toward x by 1-beta.
func (c *step) toward(m, x *graph.Value, beta float64) *graph.Value {
	return c.e.Add(m, c.e.MulC(c.e.Sub(x, m), 1-beta))
}

// Scale is the dynamic loss scale of a LossScaleOptimizer, made before the gradient.
type Scale struct {
	cfg            *LossScaleOptimizer
	counter, scale *graph.Value
	slots          []Slot
}

// LossScale is what the loss has to be multiplied by before its gradient is taken (nil: nothing), and what
// Build wants to see of it.
func LossScale(b *graph.Builder, o Optimizer, dt tensor.DType) (*graph.Value, *Scale) {
	e := expr.E{B: b}
	l, ok := o.(*LossScaleOptimizer)
	if !ok {
		if f, ok := some(o.Options().LossScaleFactor); ok {
			return e.Scalar(dt, f), nil
		}
		return nil, nil
	}
	name := l.Name
	s := &Scale{cfg: l, counter: b.Param("optimizer/"+name+"/step_counter", tensor.Scalar(int64(0))),
		scale: b.Param("optimizer/"+name+"/dynamic_scale", tensor.Scalar(float32(l.InitialScale)))}
	s.slots = []Slot{{Path: name + "/iteration", Zero: true, Shape: []int{}},
		{Path: name + "/learning_rate", Zero: true, Shape: []int{}},
		{Path: name + "/step_counter", Param: s.counter, Shape: []int{}},
		{Path: name + "/dynamic_scale", Param: s.scale, Shape: []int{}}}
	return e.Cast(s.scale, dt), s
}

// scaled is LossScaleOptimizer: the inner one on unscaled gradients, unless one of those is not finite.
func (a *apply) scaled(l *LossScaleOptimizer, s *Scale) (*State, error) {
	e := a.e
	if l.Inner == nil {
		return nil, errs.Errorf("optim: LossScaleOptimizer without an inner optimizer")
	}
	if s == nil {
		_, s = LossScale(e.B, l, tensor.Float32)
	}
	var bad *graph.Value
	for i, v := range a.vars {
		if v.Grad == nil {
			continue
		}
		g := v.Grad
		off := e.B.Add(ops.Or{}, e.B.Add(ops.IsNaN{}, g), e.B.Add(ops.IsInf{DetectNegative: true, DetectPositive: true}, g))
		n := e.Sum(e.Cast(off, tensor.Float32), false)
		if bad == nil {
			bad = n
		} else {
			bad = e.Add(bad, n)
		}
		a.vars[i].Grad = e.Div(g, e.Cast(s.scale, g.Type.DType))
	}
	inner := &apply{e: e, o: l.Inner, cfg: l.Inner.Options(), vars: a.vars, lr: a.lr, cur: a.cur}
	if bad == nil {
		return inner.run(nil), e.B.Err()
	}
	finite := e.Eq(bad, e.C(bad, 0))
	grow := e.Eq(s.counter, e.C(s.counter, float64(l.DynamicGrowthSteps-1)))
	counter := e.Where(grow, e.C(s.counter, 0), e.AddC(s.counter, 1))
	scale := e.Where(grow, e.MulC(s.scale, 2), s.scale)
	inner.set(s.counter, e.Where(finite, counter, e.C(s.counter, 0)), nil)
	inner.set(s.scale, e.Where(finite, scale, e.MulC(s.scale, 0.5)), nil)
	st := inner.run(finite)
	st.Slots = append(s.slots, st.Slots...)
	st.LossScale = s.scale
	return st, e.B.Err()
}
