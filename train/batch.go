package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
)

// BatchError says what is wrong with a batch: which one, which of its tensors, and what was expected.
type BatchError struct {
	Epoch int // from 1; 0: outside of a fit
	Batch int
	What  string // "input \"x\"", "target 0", ...
	Msg   string
}

// Error is one line.
func (e *BatchError) Error() string {
	return fmt.Sprintf("train: %sbatch %d: %s: %s", inEpoch(e.Epoch), e.Batch, e.What, e.Msg)
}

// LossError says that a batch's loss is NaN or infinite. No weight has changed.
type LossError struct {
	Epoch int // from 1; 0: outside of a fit
	Batch int
	Value float64
	Fed   string // the batch's tensors: names, types, what was expected, and ranges
}

// Error is one line.
func (e *LossError) Error() string {
	return fmt.Sprintf("train: %sbatch %d: the loss is %v; no weight was changed; the batch was %s", inEpoch(e.Epoch), e.Batch, e.Value, e.Fed)
}

func inEpoch(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("epoch %d, ", n)
}

// describe says what a batch holds: shapes, the types expected, ranges of values.
func (m *Model) describe(b data.Batch) string {
	var parts []string
	say := func(what string, t *tensor.Tensor, want graph.Type) {
		if t == nil {
			return
		}
		vs, err := t.Float64s()
		if err != nil || len(vs) == 0 {
			parts = append(parts, fmt.Sprintf("%s %v%v for %v", what, t.DType(), t.Shape(), want.WithoutValue()))
			return
		}
		parts = append(parts, fmt.Sprintf("%s %v%v for %v, from %.4g to %.4g", what, t.DType(), t.Shape(), want.WithoutValue(), slices.Min(vs), slices.Max(vs)))
	}
	for i, v := range m.infer.Inputs {
		say(fmt.Sprintf("input %q", v.Name), b.X[i], v.Type)
	}
	for i, y := range b.Y {
		say(fmt.Sprintf("target of output %q", m.info.OutputNames[i]), y, m.infer.Outputs[i].Type)
	}
	return strings.Join(parts, "; ")
}

// checkData refuses datasets that have no samples, or not as many of each tensor.
func (m *Model) checkData(what string, d data.Dataset) error {
	if d == nil || d.Len() == 0 {
		return m.empty(what)
	}
	if a, ok := d.(data.Arrays); ok {
		if err := a.Check(); err != nil {
			return errs.Errorf("train: %s: %w", what, err)
		}
	}
	return nil
}

// empty says what would have been expected of data without samples.
func (m *Model) empty(what string) error {
	var want []string
	for _, v := range m.infer.Inputs {
		want = append(want, fmt.Sprintf("input %q is %v", v.Name, v.Type.WithoutValue()))
	}
	return errs.Errorf("train: %s: batch 0: %w; %s", what, data.ErrEmpty, strings.Join(want, ", "))
}

// feed brings a batch into the form that the graphs take, and checks it: number of tensors, types, shapes,
// numbers that are finite, classes that exist.
func (m *Model) feed(b data.Batch, number int, targets bool) (data.Batch, error) {
	g := m.infer
	fail := func(what, format string, args ...any) (data.Batch, error) {
		return b, &BatchError{0, number, what, fmt.Sprintf(format, args...)}
	}
	if len(b.X) != len(g.Inputs) {
		var want []string
		for _, v := range g.Inputs {
			want = append(want, fmt.Sprintf("%q %v", v.Name, v.Type.WithoutValue()))
		}
		return fail("inputs", "there are %d, the model takes %d: %s", len(b.X), len(g.Inputs), strings.Join(want, ", "))
	}
	if b.Size() == 0 {
		return b, m.empty(fmt.Sprintf("batch %d", number))
	}
	out := data.Batch{X: make([]*tensor.Tensor, len(b.X))}
	for i, v := range g.Inputs {
		what := fmt.Sprintf("input %q", v.Name)
		if b.X[i] == nil {
			return fail(what, "missing, expected %v", v.Type)
		}
		x, err := adapt(b.X[i], v.Type)
		if err != nil {
			return fail(what, "%v", err)
		}
		if x.Dim(0) != b.Size() {
			return fail(what, "%d samples where input 0 has %d", x.Dim(0), b.Size())
		}
		if at := notFinite(x); at >= 0 {
			return fail(what, "element %d is not a finite number; %v is expected, got shape %v", at, v.Type.WithoutValue(), x.Shape())
		}
		out.X[i] = x
	}
	if !targets {
		return out, nil
	}
	if err := m.feedTargets(&out, b, number); err != nil {
		return b, err
	}
	return out, nil
}

func (m *Model) feedTargets(out *data.Batch, b data.Batch, number int) error {
	n := m.info.Outputs
	if len(b.Y) != n {
		return &BatchError{0, number, "targets", fmt.Sprintf("there are %d, the model has %d outputs", len(b.Y), n)}
	}
	out.Y, out.W = make([]*tensor.Tensor, n), make([]*tensor.Tensor, n)
	if len(b.W) > 1 && len(b.W) != n {
		return &BatchError{0, number, "sample weights", fmt.Sprintf("there are %d for %d outputs", len(b.W), n)}
	}
	for i, y := range b.Y {
		if m.c.losses[i] == nil && y == nil {
			continue
		}
		what := fmt.Sprintf("target of output %q", m.info.OutputNames[i])
		p := m.infer.Outputs[i].Type
		if y == nil {
			return &BatchError{0, number, what, fmt.Sprintf("missing, the output is %v", p.WithoutValue())}
		}
		if y.Rank() == 0 || y.Dim(0) != b.Size() {
			return &BatchError{0, number, what, fmt.Sprintf("shape %v for %d samples", y.Shape(), b.Size())}
		}
		if at := notFinite(y); at >= 0 {
			return &BatchError{0, number, what, fmt.Sprintf("element %d of shape %v is not a finite number; the output is %v", at, y.Shape(), p.WithoutValue())}
		}
		if err := checkTarget(m.c.losses[i], y, p); err != nil {
			return &BatchError{0, number, what, err.Error()}
		}
		out.Y[i] = y
		if len(b.W) == 0 {
			continue
		}
		w := b.W[0]
		if len(b.W) == n {
			w = b.W[i]
		}
		if w == nil {
			continue
		}
		what = "sample weights of " + m.info.OutputNames[i]
		if w.Rank() == 0 || w.Dim(0) != b.Size() {
			return &BatchError{0, number, what, fmt.Sprintf("shape %v for %d samples", w.Shape(), b.Size())}
		}
		if at := notFinite(w); at >= 0 {
			return &BatchError{0, number, what, fmt.Sprintf("element %d is not a finite number", at)}
		}
		out.W[i] = w
	}
	return nil
}

// adapt casts a tensor to an input's element type and, where the ranks differ by a last dimension of 1, its
// rank; then the shapes must agree.
func adapt(x *tensor.Tensor, t graph.Type) (*tensor.Tensor, error) {
	var err error
	if x.DType() != t.DType {
		if x.DType() == tensor.String || t.DType == tensor.String || x.DType().IsComplex() != t.DType.IsComplex() {
			return nil, errs.Errorf("elements are %v, expected %v", x.DType(), t.WithoutValue())
		}
		if x.DType().IsFloat() && !t.DType.IsFloat() {
			return nil, errs.Errorf("elements are %v, expected %v", x.DType(), t.WithoutValue())
		}
		if x, err = tensor.Cast(x, t.DType, tensor.CastOptions{}); err != nil {
			return nil, err
		}
	}
	if t.Unranked {
		return x, nil
	}
	r, last := len(t.Dims), -1
	if r > 0 {
		if n, ok := t.Dims[r-1].Const(); ok {
			last = n
		}
	}
	switch {
	case x.Rank() == r-1 && last == 1:
		x, err = x.Reshape(append(append([]int{}, x.Shape()...), 1)...)
	case x.Rank() == r+1 && x.Dim(-1) == 1:
		x, err = x.Reshape(x.Shape()[:r]...)
	}
	if err != nil {
		return nil, err
	}
	fits := x.Rank() == r
	for i := 0; fits && i < r; i++ {
		n, ok := t.Dims[i].Const()
		fits = !ok || n == x.Dim(i)
	}
	if !fits {
		return nil, errs.Errorf("shape %v, expected %v", x.Shape(), t.WithoutValue())
	}
	return x, nil
}

// notFinite is the first element that is NaN or infinite, or -1.
func notFinite(t *tensor.Tensor) int {
	switch t.DType() {
	case tensor.Float32:
		for i, v := range tensor.As[float32](t) {
			if v-v != 0 {
				return i
			}
		}
	case tensor.Float64:
		for i, v := range tensor.As[float64](t) {
			if v-v != 0 {
				return i
			}
		}
	}
	return -1
}

// checkTarget compares targets with an output: shapes that no loss would take, classes that don't exist.
func checkTarget(l loss.Loss, y *tensor.Tensor, p graph.Type) error {
	if l == nil || p.Unranked {
		return nil
	}
	r := len(p.Dims)
	sparse, isSparse := l.(loss.SparseCategoricalCrossentropy)
	if loss.IsClassNumbers(l) {
		classes := -1
		if n, ok := p.Dims[max(r-1, 0)].Const(); ok && (!isSparse || sparse.Axis == nil || *sparse.Axis == -1) {
			classes = n
		}
		vs, err := y.Float64s()
		if err != nil {
			return err
		}
		for i, v := range vs {
			if isSparse && sparse.IgnoreClass != nil && v == float64(*sparse.IgnoreClass) {
				continue
			}
			if v < 0 || v != math.Trunc(v) || classes >= 0 && v >= float64(classes) {
				return errs.Errorf("element %d is %v, expected a class number in [0, %d) for the output %v", i, v, classes, p.WithoutValue())
			}
		}
		return nil
	}
	switch l.(type) {
	case loss.Circle:
		return nil
	}
	shape := y.Shape()
	switch { // a last dimension of 1 comes or goes
	case len(shape) == r-1:
		if n, known := p.Dims[r-1].Const(); !known || n == 1 {
			return nil
		}
	case len(shape) == r+1 && shape[r] == 1:
		return nil
	}
	ok := len(shape) == r
	for i := 1; ok && i < r; i++ {
		n, known := p.Dims[i].Const()
		ok = !known || n == shape[i] || n == 1 || shape[i] == 1
	}
	if !ok {
		return errs.Errorf("shape %v, expected that of the output %v", shape, p.WithoutValue())
	}
	return nil
}

// signature tells batches apart that need programs of their own.
func signature(b data.Batch) string {
	var s strings.Builder
	for _, list := range [][]*tensor.Tensor{b.Y, b.W} {
		for _, t := range list {
			if t == nil {
				s.WriteString("-;")
				continue
			}
			fmt.Fprintf(&s, "%v%v;", t.DType(), t.Shape()[1:])
		}
		s.WriteByte('|')
	}
	return s.String()
}

// spec is what Prepare adds for batches like b.
func (m *Model) spec(b data.Batch, training bool) Spec {
	batch := graph.Sym("batch")
	if len(m.infer.Inputs) > 0 && m.infer.Inputs[0].Type.Rank() > 0 {
		batch = m.infer.Inputs[0].Type.Dims[0]
	}
	like := func(t *tensor.Tensor) graph.Type {
		if t == nil {
			return graph.Type{}
		}
		return graph.TensorOf(t.DType(), append([]graph.Dim{batch}, graph.Dims(t.Shape()[1:]...)...)...)
	}
	s := Spec{Weights: m.weights, Penalties: m.info.Penalties, FrozenNorm: m.info.FrozenNorm}
	if training {
		s.Optimizer = m.c.opt
	}
	for i := range m.info.Outputs {
		t := Target{Output: i, Name: m.info.OutputNames[i], Loss: m.c.losses[i], Factor: m.c.factors[i], Mask: -1}
		if m.info.Masks != nil {
			t.Mask = m.info.Masks[i]
		}
		t.Y, t.W = like(b.Y[i]), like(b.W[i])
		s.Targets = append(s.Targets, t)
	}
	return s
}

// prepare finds or makes the program for batches like b.
func (m *Model) prepare(b data.Batch, training bool) (*program, error) {
	sig := signature(b)
	at := &m.c.eval
	if training {
		at = &m.c.step
	}
	if *at != nil && (*at).sig == sig {
		return *at, nil
	}
	g := m.infer
	if training {
		m.dropStep()
		g = m.info.Train
	}
	g = g.Clone()
	for _, p := range g.Params {
		if v := m.value(p.Name); v != nil {
			p.Data = v
		}
	}
	st, err := Prepare(g, m.spec(b, training))
	if err != nil {
		return nil, err
	}
	p, err := m.compile(st.Graph)
	if err != nil {
		return nil, err
	}
	p.step, p.sig = st, sig
	*at = p
	if training {
		m.settle(p)
	}
	return p, nil
}

// inputs is the feed of a program for a batch.
func (m *Model) inputs(p *program, b data.Batch) map[string]*tensor.Tensor {
	in := map[string]*tensor.Tensor{}
	for i, v := range m.infer.Inputs {
		in[v.Name] = b.X[i]
	}
	for i := range p.step.Y {
		if n := p.step.Y[i]; n != "" {
			in[n] = b.Y[i]
		}
		if n := p.step.W[i]; n != "" {
			in[n] = b.W[i]
		}
	}
	return in
}

// account adds a batch's results to losses and metrics.
func (m *Model) account(p *program, b data.Batch, out map[string]*tensor.Tensor) error {
	size := float64(b.Size())
	get := func(name string) float64 { return float64(tensor.As[float32](out[name])[0]) }
	m.c.trackers[0].Add(get(p.step.Loss), size)
	k := 1
	for _, name := range p.step.Losses {
		if name != "" && k < len(m.c.trackers) {
			m.c.trackers[k].Add(get(name), size)
			k++
		}
	}
	preds := p.prog.Graph().Outputs
	for _, g := range m.c.groups {
		if len(g.metrics) == 0 {
			continue
		}
		var w *tensor.Tensor
		if g.weighted {
			w = b.W[g.output]
		}
		if m.info.Masks != nil && m.info.Masks[g.output] >= 0 {
			var err error
			if w, err = masked(out[preds[m.info.Masks[g.output]].Name], w); err != nil {
				return err
			}
		}
		for _, x := range g.metrics {
			if err := x.Update(b.Y[g.output], out[preds[g.output].Name], w); err != nil {
				return errs.Errorf("train: metric %q: %w", x.Name(), err)
			}
		}
	}
	return nil
}

// masked is sample weights with a mask worked in.
func masked(mask, w *tensor.Tensor) (*tensor.Tensor, error) {
	m, err := mask.Float64s()
	if err != nil {
		return nil, err
	}
	out := tensor.New(tensor.Float64, mask.Shape()...)
	if w != nil {
		ws, err := w.Float64s()
		if err != nil {
			return nil, err
		}
		if len(m)%max(len(ws), 1) != 0 || len(ws) == 0 {
			return nil, errs.Errorf("train: sample weights %v for a mask %v", w.Shape(), mask.Shape())
		}
		for i := range m {
			m[i] *= ws[i/(len(m)/len(ws))]
		}
	}
	return out, out.SetFloat64s(m)
}

// trainBatch runs one step.
func (m *Model) trainBatch(ctx context.Context, b data.Batch, number int) error {
	b, err := m.feed(b, number, true)
	if err != nil {
		return err
	}
	if err := m.c.buildMetrics(b, m.outputTypes()); err != nil {
		return err
	}
	p, err := m.prepare(b, true)
	if err != nil {
		return err
	}
	in := m.inputs(p, b)
	in[LearningRateInput] = tensor.Scalar(float32(m.rate().At(m.iteration())))
	if p.step.Random {
		in[RandomInput] = tensor.Of([]int64{int64(m.seed), m.steps})
	}
	out, err := p.run(ctx, in)
	if err != nil {
		if bad, ok := errors.AsType[ops.NotFiniteError](err); ok {
			return &LossError{Batch: number, Value: bad.Value, Fed: m.describe(b)}
		}
		return errs.Errorf("train: batch %d: %w", number, err)
	}
	m.steps++
	m.version++
	return m.account(p, b, out)
}

func (m *Model) outputTypes() []graph.Type {
	out := make([]graph.Type, m.info.Outputs)
	for i := range out {
		out[i] = m.infer.Outputs[i].Type
	}
	return out
}

// testBatch computes losses and metrics of a batch.
func (m *Model) testBatch(ctx context.Context, b data.Batch, number int) error {
	b, err := m.feed(b, number, true)
	if err != nil {
		return err
	}
	if err := m.c.buildMetrics(b, m.outputTypes()); err != nil {
		return err
	}
	p, err := m.prepare(b, false)
	if err != nil {
		return err
	}
	if err := m.sync(p); err != nil {
		return err
	}
	out, err := p.run(ctx, m.inputs(p, b))
	if err != nil {
		return errs.Errorf("train: batch %d: %w", number, err)
	}
	return m.account(p, b, out)
}
