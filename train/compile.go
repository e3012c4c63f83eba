package train

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
)

// CompileOptions says what to train for. Losses and metrics may be given by Keras' names.
type CompileOptions struct {
	Optimizer optim.Optimizer // nil: RMSprop, as in Keras
	// Losses is one loss for all outputs, or one for each (nil: none for that output).
	Losses []loss.Loss
	// Loss is the name of one loss for all outputs, in place of Losses.
	Loss        string
	LossWeights []float64 // one for each output; nil: 1
	// Metrics and WeightedMetrics are metrics, or names of metrics, for each output; with a single list and
	// several outputs they are the first output's. Only the latter are weighted by sample weights.
	Metrics, WeightedMetrics [][]any
	// KeepOptimizer leaves the optimizer's variables as they are where the same parameters are trained on.
	KeepOptimizer bool
	Seed          uint64 // of dropout, noise, and the order of samples
}

// compiled is a model ready to be trained.
type compiled struct {
	opts     CompileOptions
	opt      optim.Optimizer
	losses   []loss.Loss
	factors  []float64
	trackers []*metric.Mean // the sum, then each output's loss where there are several
	groups   []metricGroup  // metrics, then weighted metrics, one for each output
	step     *program       // trains
	eval     *program       // computes losses and outputs
	built    bool           // metrics have been resolved
}

// metricGroup is the metrics of one output.
type metricGroup struct {
	output   int
	weighted bool
	user     []any
	metrics  []metric.Metric
}

// Compile sets optimizer, losses and metrics. Weights keep their values; the optimizer starts anew unless
// KeepOptimizer says otherwise.
func (m *Model) Compile(o CompileOptions) error {
	m.dropStep()
	n := m.info.Outputs
	c := &compiled{opts: o, opt: o.Optimizer}
	if c.opt == nil {
		c.opt, _ = optim.New("rmsprop")
	}
	if err := c.resolveLosses(o, n); err != nil {
		return err
	}
	c.factors = slices.Clone(o.LossWeights)
	if o.LossWeights == nil {
		c.factors = slices.Repeat([]float64{1}, n)
	}
	if len(c.factors) != n {
		return errs.Errorf("train: %d loss weights for %d outputs", len(c.factors), n)
	}
	for _, g := range []struct {
		list     [][]any
		weighted bool
	}{{o.Metrics, false}, {o.WeightedMetrics, true}} {
		if len(g.list) > n {
			return errs.Errorf("train: metrics for %d outputs, there are %d", len(g.list), n)
		}
		for i, user := range g.list {
			c.groups = append(c.groups, metricGroup{output: i, weighted: g.weighted, user: user})
		}
	}
	c.trackers = []*metric.Mean{tracker("loss")}
	if n > 1 {
		for i, name := range m.info.OutputNames {
			if c.losses[i] != nil {
				c.trackers = append(c.trackers, tracker(name+"_loss"))
			}
		}
	}
	if !o.KeepOptimizer {
		m.forgetOptimizer()
	}
	m.seed = o.Seed
	m.c = c
	return nil
}

func tracker(name string) *metric.Mean {
	t := &metric.Mean{}
	t.Rename(name)
	return t
}

// forgetOptimizer drops the optimizer's variables.
func (m *Model) forgetOptimizer() {
	for k := range m.values {
		if strings.HasPrefix(k, "optimizer/") && m.infer.Param(k) == nil {
			delete(m.values, k)
		}
	}
}

func (c *compiled) resolveLosses(o CompileOptions, n int) error {
	list := o.Losses
	if o.Loss != "" {
		l, err := loss.New(o.Loss)
		if err != nil {
			return err
		}
		list = []loss.Loss{l}
	}
	if len(list) == 1 && n > 1 {
		list = slices.Repeat(list, n)
	}
	if len(list) != n {
		return errs.Errorf("train: %d losses for %d outputs", len(list), n)
	}
	c.losses = list
	if !slices.ContainsFunc(list, func(l loss.Loss) bool { return l != nil }) {
		return errs.Errorf("train: no output has a loss")
	}
	return nil
}

// buildMetrics resolves names that depend on shapes, once the first batch is there.
func (c *compiled) buildMetrics(b data.Batch, outs []graph.Type) error {
	if c.built {
		return nil
	}
	for i := range c.groups {
		g := &c.groups[i]
		g.metrics = nil
		for _, u := range g.user {
			switch u := u.(type) {
			case metric.Metric:
				metric.SetDefaultName(u)
				g.metrics = append(g.metrics, u)
			case string:
				if g.output >= len(b.Y) || b.Y[g.output] == nil {
					return errs.Errorf("train: metric %q of output %d, which has no targets", u, g.output)
				}
				shape := make([]int, len(outs[g.output].Dims))
				for k, d := range outs[g.output].Dims {
					n, ok := d.Const()
					if !ok {
						n = -1
					}
					shape[k] = n
				}
				m, err := metric.ForShapes(u, b.Y[g.output].Shape(), shape)
				if err != nil {
					return err
				}
				g.metrics = append(g.metrics, m)
			default:
				return errs.Errorf("train: a metric is a name or a metric.Metric, not a %T", u)
			}
		}
	}
	c.built = true
	return nil
}

// reset forgets what losses and metrics have seen.
func (c *compiled) reset() {
	for _, t := range c.trackers {
		t.Reset()
	}
	for _, g := range c.groups {
		for _, x := range g.metrics {
			x.Reset()
		}
	}
}

// logs is the present value of all losses and metrics, named as Keras names them, sorted by name as Keras
// hands them to callbacks.
func (c *compiled) logs(names []string) Logs {
	var out Logs
	for _, t := range c.trackers {
		out = append(out, Log{t.Name(), t.Result()})
	}
	count := map[string]int{}
	for _, g := range c.groups {
		prefix := ""
		if len(names) > 1 {
			prefix = names[g.output] + "_"
		}
		for _, x := range g.metrics {
			name := prefix + x.Name()
			if k := count[name]; k > 0 {
				if g.weighted {
					name = prefix + "weighted_" + x.Name()
					if count[name] > 0 {
						name = fmt.Sprintf("%s_%d", name, count[name])
					}
					count[name]++
				} else {
					count[name]++
					name = fmt.Sprintf("%s_%d", name, k)
				}
			} else {
				count[name]++
			}
			out = append(out, Log{name, x.Result()})
		}
	}
	order.Stable(out, func(a, b Log) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Log is one number (or a few: one per class or threshold) with its name.
type Log struct {
	Name   string
	Values []float64
}

// Logs is what a batch or epoch gave.
type Logs []Log

// Get is the value of that name; ok is false where there is none or more than one number.
func (l Logs) Get(name string) (v float64, ok bool) {
	for _, e := range l {
		if e.Name == name && len(e.Values) == 1 {
			return e.Values[0], true
		}
	}
	return 0, false
}

// prefixed is l with a prefix to each name.
func (l Logs) prefixed(p string) Logs {
	out := slices.Clone(l)
	for i := range out {
		out[i].Name = p + out[i].Name
	}
	return out
}
