package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
	"github.com/nnrt/nnrt/train/schedule"
)

// FitOptions steers Fit. The zero value is one epoch in batches of 32, in the data's order, without a word.
type FitOptions struct {
	Epochs       int // the number of the last epoch; 0: 1
	InitialEpoch int // the number of the first, from 0
	BatchSize    int // 0: 32
	// ValidationSplit is the part of the data, at its end, that is kept for validation. Only for
	// data.Arrays.
	ValidationSplit float64
	ValidationData  data.Dataset
	ValidationFreq  int // epochs from one validation to the next; 0: 1
	Shuffle         bool
	// ClassWeight is what samples of a class count; classes that are not in it count 1. Only for models of
	// one output, and not together with sample weights.
	ClassWeight   map[int]float64
	StepsPerEpoch int // ends an epoch early; 0: all batches
	Callbacks     []Callback
	// Verbose is 0 for silence, 1 for a progress bar, 2 for a line an epoch, written to Output (nil:
	// standard output).
	Verbose int
	Output  io.Writer
	Plain   bool // the bar without colours
	// Resume continues from a state that a checkpoint holds; Backup sets it.
	resume *position
}

// restorer puts an earlier fit's state back, before any other callback is told of anything.
type restorer interface{ restore(f *Fit) error }

// position is where a fit has got to.
type position struct {
	Epoch, Batch int
	Stop         string // why the fit was to end, where a callback had said so
	History      *History
	Trackers     []exact
	Metrics      []exact
}

// Fit is a fit in progress, as callbacks see it.
type Fit struct {
	Model   *Model
	Options FitOptions
	Epochs  int
	Steps   int // batches in an epoch; 0 where that is not known
	Epoch   int // from 0
	Batch   int // batches done in this epoch
	History *History
	stop    string
	data    data.Dataset
	valid   data.Dataset
}

// Stop ends the fit after this batch or epoch; why is for messages.
func (f *Fit) Stop(why string) { f.stop = why }

// ErrNotCompiled is returned by what needs Compile first.
var ErrNotCompiled = errors.New("train: the model is not compiled")

// optimizer is the one whose learning rate counts.
func (m *Model) optimizer() *optim.Config {
	if l, ok := m.c.opt.(*optim.LossScaleOptimizer); ok && l.Inner != nil {
		return l.Inner.Options()
	}
	return m.c.opt.Options()
}

// rate is the learning rate as a schedule.
func (m *Model) rate() schedule.Schedule {
	r := m.optimizer().LearningRate
	if r.Schedule != nil {
		return r.Schedule
	}
	return schedule.Constant(r.Value)
}

// iteration is the optimizer's own count of steps.
func (m *Model) iteration() int {
	if t := m.value("optimizer/" + m.optimizer().Name + "/iteration"); t != nil {
		return int(tensor.As[int64](t)[0])
	}
	return 0
}

// LearningRate is the rate of the next step.
func (m *Model) LearningRate() float64 {
	if m.c == nil {
		return 0
	}
	return m.rate().At(m.iteration())
}

// SetLearningRate changes the rate; it fails where a schedule gives it.
func (m *Model) SetLearningRate(v float64) error {
	if m.c == nil {
		return ErrNotCompiled
	}
	o := m.optimizer()
	if o.LearningRate.Schedule != nil {
		return errs.Errorf("train: the learning rate comes from a schedule and can't be set")
	}
	o.LearningRate.Value = v
	return nil
}

// Fit trains. It returns what each epoch gave, also where it ends early: by a callback, or by ctx, whose end
// is seen after the running step and makes the error context's.
func (m *Model) Fit(ctx context.Context, d data.Dataset, o FitOptions) (*History, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	f := &Fit{Model: m, Options: o, Epochs: max(o.Epochs, 1), data: d, History: &History{Values: map[string][]float64{}}}
	if err := f.setup(); err != nil {
		return nil, err
	}
	cbs := f.callbacks()
	if err := each(cbs, func(c restorer) error { return c.restore(f) }); err != nil {
		return nil, err
	}
	if err := each(cbs, func(c TrainBeginner) error { return c.OnTrainBegin(f) }); err != nil {
		return f.History, err
	}
	err := f.epochs(ctx, cbs)
	if err == nil {
		err = m.finish()
	}
	if e := each(cbs, func(c TrainEnder) error { return c.OnTrainEnd(f) }); err == nil {
		err = e
	}
	return f.History, err
}

func (f *Fit) setup() error {
	o := f.Options
	if err := f.Model.checkData("fit", f.data); err != nil {
		return err
	}
	f.valid = o.ValidationData
	if f.valid != nil {
		if err := f.Model.checkData("validation data", f.valid); err != nil {
			return err
		}
	}
	if s := o.ValidationSplit; s != 0 {
		a, ok := f.data.(data.Arrays)
		if !ok || s < 0 || s >= 1 {
			return errs.Errorf("train: a validation split of %v of a %T", s, f.data)
		}
		// Keras cuts before it shuffles.
		at := int(math.Floor(float64(a.Len()) * (1 - s)))
		if at == 0 || at == a.Len() {
			return errs.Errorf("train: a validation split of %v leaves %d of %d samples to train on", s, at, a.Len())
		}
		train, err := a.Range(0, at)
		if err != nil {
			return err
		}
		if f.valid == nil {
			v, err := a.Range(at, a.Len())
			if err != nil {
				return err
			}
			f.valid = v
		}
		f.data = train
	}
	if n := f.data.Len(); n > 0 {
		size := f.order().BatchSize
		f.Steps = (n + size - 1) / size
	}
	if o.StepsPerEpoch > 0 && (f.Steps == 0 || o.StepsPerEpoch < f.Steps) {
		f.Steps = o.StepsPerEpoch
	}
	return nil
}

func (f *Fit) order() data.Order {
	size := f.Options.BatchSize
	if size <= 0 {
		size = 32
	}
	return data.Order{BatchSize: size, Shuffle: f.Options.Shuffle, Seed: f.Model.seed}
}

func (f *Fit) callbacks() []Callback {
	cbs := append([]Callback{}, f.Options.Callbacks...)
	if f.Options.Verbose > 0 {
		w := f.Options.Output
		if w == nil {
			w = os.Stdout
		}
		cbs = append(cbs, &ProgbarLogger{Out: w, Lines: f.Options.Verbose > 1, Plain: f.Options.Plain})
	}
	return cbs
}

func (f *Fit) epochs(ctx context.Context, cbs []Callback) error {
	m := f.Model
	first, skip := f.Options.InitialEpoch, 0
	if r := f.Options.resume; r != nil {
		first, skip = r.Epoch, r.Batch
		f.History = r.History
	}
	for f.Epoch = first; f.Epoch < f.Epochs && f.stop == ""; f.Epoch++ {
		m.c.reset()
		if skip > 0 {
			f.Options.resume.restore(m.c)
		}
		if err := each(cbs, func(c EpochBeginner) error { return c.OnEpochBegin(f, f.Epoch) }); err != nil {
			return err
		}
		if err := f.batches(ctx, cbs, skip); err != nil {
			return err
		}
		skip = 0
		logs := m.c.logs(m.info.OutputNames)
		if f.stop == "" || !f.cut() {
			val, err := f.validate(ctx, cbs)
			if err != nil {
				return err
			}
			logs = append(logs, val...)
		}
		f.History.add(f.Epoch, logs)
		if err := each(cbs, func(c EpochEnder) error { return c.OnEpochEnd(f, f.Epoch, logs) }); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// cut reports whether the epoch ended before its last batch.
func (f *Fit) cut() bool { return f.Steps > 0 && f.Batch < f.Steps }

// batches runs one epoch, from batch skip on.
func (f *Fit) batches(ctx context.Context, cbs []Callback, skip int) error {
	m := f.Model
	o := f.order()
	o.Epoch, o.Skip = f.Epoch, skip
	f.Batch = skip
	for b, err := range f.data.Batches(o) {
		if err != nil {
			return errs.Errorf("train: batch %d of epoch %d: %w", f.Batch, f.Epoch+1, err)
		}
		if f.Options.StepsPerEpoch > 0 && f.Batch >= f.Options.StepsPerEpoch {
			break
		}
		if b, err = f.weigh(b); err != nil {
			return err
		}
		if err := each(cbs, func(c BatchBeginner) error { return c.OnBatchBegin(f, f.Batch) }); err != nil {
			return err
		}
		if err := m.trainBatch(ctx, b, f.Batch); err != nil {
			if err = f.failed(cbs, err); err != nil {
				return err
			}
		}
		f.Batch++
		if wantsBatches(cbs) {
			logs := m.c.logs(m.info.OutputNames)
			if err := each(cbs, func(c BatchEnder) error { return c.OnBatchEnd(f, f.Batch-1, logs) }); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			if err := each(cbs, func(c Interrupter) error { return c.OnInterrupt(f) }); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
		if f.stop != "" {
			break
		}
	}
	if f.Batch == 0 {
		return m.empty(fmt.Sprintf("epoch %d", f.Epoch+1))
	}
	if f.Steps == 0 {
		f.Steps = f.Batch
	}
	return nil
}

// failed adds the epoch to an error about a batch. A loss that is no number ends the fit without an error
// where a callback takes care of it; the logs then hold that loss, as Keras' do.
func (f *Fit) failed(cbs []Callback, err error) error {
	var bad *LossError
	var batch *BatchError
	switch {
	case errors.As(err, &bad):
		bad.Epoch = f.Epoch + 1
		for _, c := range cbs {
			if t, ok := c.(TerminateOnNaN); ok && !t.RaiseError {
				f.Model.c.trackers[0].Add(bad.Value, 1)
				f.Stop(bad.Error())
				return nil
			}
		}
	case errors.As(err, &batch):
		batch.Epoch = f.Epoch + 1
	}
	return err
}

// weigh turns class weights into sample weights.
func (f *Fit) weigh(b data.Batch) (data.Batch, error) {
	cw := f.Options.ClassWeight
	if cw == nil {
		return b, nil
	}
	if len(b.Y) != 1 || len(b.W) > 0 {
		return b, errs.Errorf("train: class weights are for one output without sample weights")
	}
	w, err := classWeights(b.Y[0], cw)
	b.W = []*tensor.Tensor{w}
	return b, err
}

func classWeights(y *tensor.Tensor, cw map[int]float64) (*tensor.Tensor, error) {
	vs, err := y.Float64s()
	if err != nil {
		return nil, err
	}
	if y.Rank() == 0 {
		return nil, errs.Errorf("train: class weights for a scalar")
	}
	n := y.Dim(0)
	w := tensor.New(tensor.Float32, n)
	row := len(vs) / max(n, 1)
	for i := range n {
		class := 0
		if row == 1 {
			class = int(math.RoundToEven(vs[i]))
		} else {
			for k, v := range vs[i*row : (i+1)*row] {
				if v > vs[i*row+class] {
					class = k
				}
			}
		}
		v, ok := cw[class]
		if !ok {
			v = 1
		}
		tensor.As[float32](w)[i] = float32(v)
	}
	return w, nil
}

// validate evaluates between epochs, leaving the training's losses and metrics as they are.
func (f *Fit) validate(ctx context.Context, cbs []Callback) (Logs, error) {
	freq := max(f.Options.ValidationFreq, 1)
	if f.valid == nil || (f.Epoch+1)%freq != 0 {
		return nil, nil
	}
	if err := each(cbs, func(c ValidationBeginner) error { return c.OnValidationBegin(f) }); err != nil {
		return nil, err
	}
	kept := snapshotMetrics(f.Model.c)
	logs, err := f.Model.Evaluate(ctx, f.valid, EvaluateOptions{BatchSize: f.Options.BatchSize})
	kept.restore(f.Model.c)
	if err != nil {
		return nil, errs.Errorf("train: validation after epoch %d: %w", f.Epoch+1, err)
	}
	return logs.prefixed("val_"), each(cbs, func(c ValidationEnder) error { return c.OnValidationEnd(f) })
}

// finish puts the averaged weights in place where the optimizer keeps them, as Keras does after fit.
func (m *Model) finish() error {
	if m.c.step == nil || m.c.step.step.State == nil {
		return nil
	}
	for name, avg := range m.c.step.step.State.Averages {
		if err := m.c.step.sess.SetParam(name, m.c.step.sess.Param(avg.Name)); err != nil {
			return err
		}
		m.version++
	}
	return nil
}

func snapshotMetrics(c *compiled) *position {
	p := &position{}
	for _, t := range c.trackers {
		p.Trackers = append(p.Trackers, t.State())
	}
	for _, g := range c.groups {
		for _, x := range g.metrics {
			p.Metrics = append(p.Metrics, x.State())
		}
	}
	return p
}

func (p *position) restore(c *compiled) {
	for i, t := range c.trackers {
		if i < len(p.Trackers) {
			t.SetState(p.Trackers[i])
		}
	}
	k := 0
	for _, g := range c.groups {
		for _, x := range g.metrics {
			if k < len(p.Metrics) {
				x.SetState(p.Metrics[k])
			}
			k++
		}
	}
}

// EvaluateOptions steers Evaluate and Predict.
type EvaluateOptions struct {
	BatchSize int // 0: 32
	Steps     int // ends early; 0: all batches
}

func (o EvaluateOptions) order() data.Order { return data.Order{BatchSize: o.BatchSize} }

// Evaluate computes losses and metrics over a dataset.
func (m *Model) Evaluate(ctx context.Context, d data.Dataset, o EvaluateOptions) (Logs, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	if err := m.checkData("evaluate", d); err != nil {
		return nil, err
	}
	m.c.reset()
	n := 0
	for b, err := range d.Batches(o.order()) {
		if err != nil {
			return nil, errs.Errorf("train: evaluate: batch %d: %w", n, err)
		}
		if o.Steps > 0 && n >= o.Steps {
			break
		}
		if err := m.testBatch(ctx, b, n); err != nil {
			return nil, err
		}
		n++
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	if n == 0 {
		return nil, m.empty("evaluate")
	}
	return m.c.logs(m.info.OutputNames), nil
}

// Predict computes the outputs for all samples.
func (m *Model) Predict(ctx context.Context, d data.Dataset, o EvaluateOptions) ([]*tensor.Tensor, error) {
	if err := m.checkData("predict", d); err != nil {
		return nil, err
	}
	parts := make([][]*tensor.Tensor, m.info.Outputs)
	n := 0
	for b, err := range d.Batches(o.order()) {
		if err != nil {
			return nil, errs.Errorf("train: predict: batch %d: %w", n, err)
		}
		if o.Steps > 0 && n >= o.Steps {
			break
		}
		out, err := m.predictBatch(ctx, b, n)
		if err != nil {
			return nil, err
		}
		for i, t := range out {
			parts[i] = append(parts[i], t)
		}
		n++
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	if n == 0 {
		return nil, m.empty("predict")
	}
	outs := make([]*tensor.Tensor, len(parts))
	for i, p := range parts {
		t, err := data.Concat(p...)
		if err != nil {
			return nil, errs.Errorf("train: predict: output %q: %w", m.info.OutputNames[i], err)
		}
		outs[i] = t
	}
	return outs, nil
}

func (m *Model) predictBatch(ctx context.Context, b data.Batch, number int) ([]*tensor.Tensor, error) {
	b, err := m.feed(b, number, false)
	if err != nil {
		return nil, err
	}
	if m.predictor == nil {
		if m.predictor, err = m.compile(m.infer); err != nil {
			return nil, err
		}
	}
	p := m.predictor
	if err := m.sync(p); err != nil {
		return nil, err
	}
	in := map[string]*tensor.Tensor{}
	for i, v := range m.infer.Inputs {
		in[v.Name] = b.X[i]
	}
	out, err := p.run(ctx, in)
	if err != nil {
		return nil, errs.Errorf("train: batch %d: %w", number, err)
	}
	outs := make([]*tensor.Tensor, m.info.Outputs)
	for i := range outs {
		outs[i] = out[m.infer.Outputs[i].Name]
	}
	return outs, nil
}

// TrainOnBatch runs one step on a batch and returns that batch's losses and metrics, those before the step.
func (m *Model) TrainOnBatch(ctx context.Context, b data.Batch) (Logs, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	m.c.reset()
	if err := m.trainBatch(ctx, b, 0); err != nil {
		return nil, err
	}
	return m.c.logs(m.info.OutputNames), nil
}

// TestOnBatch computes losses and metrics of one batch.
func (m *Model) TestOnBatch(ctx context.Context, b data.Batch) (Logs, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	m.c.reset()
	if err := m.testBatch(ctx, b, 0); err != nil {
		return nil, err
	}
	return m.c.logs(m.info.OutputNames), nil
}

// PredictOnBatch computes the outputs for one batch.
func (m *Model) PredictOnBatch(ctx context.Context, x ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	return m.predictBatch(ctx, data.Batch{X: x}, 0)
}
