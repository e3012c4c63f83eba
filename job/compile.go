package job

import (
	"math"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/optim"
)

// ownTraining is what a Keras file says of its training; ok is false where it says nothing that can be used.
func ownTraining(src *nnrt.Source) (c train.CompileOptions, ok bool) {
	if src.Keras == nil || len(src.Keras.Training) == 0 || string(src.Keras.Training) == "null" {
		return c, false
	}
	config, err := src.Keras.CompileConfig()
	if err == nil {
		c, err = train.DecodeCompile(config, src.Layers().OutputNames())
	}
	return c, err == nil
}

// lossName is the loss that targets have to suit, "" where it goes by them.
func (o *Options) lossName(src *nnrt.Source) string {
	if o.Loss != "" {
		return o.Loss
	}
	if c, ok := ownTraining(src); ok && len(c.Losses) == 1 && c.Losses[0] != nil {
		if class, _, err := loss.Encode(c.Losses[0]); err == nil {
			return class
		}
	}
	return ""
}

// compileOptions are those asked for, the file's own, or what fits its output. own says that the optimizer is
// the file's.
func (o *Options) compileOptions(src *nnrt.Source, d Set) (c train.CompileOptions, own bool, err error) {
	if file, ok := ownTraining(src); ok {
		c, own = file, file.Optimizer != nil && o.Optimizer == ""
	}
	c.Seed = o.Seed
	if o.Loss != "" || c.Losses == nil {
		c.Losses, c.Loss, c.LossWeights = nil, "", nil
		name := o.Loss
		if name == "" {
			if name, err = fittingLoss(src, d); err != nil {
				return c, false, o.refused(err)
			}
		}
		if strings.ContainsAny(name, "({") {
			l, err := train.LossOf(name)
			if err != nil {
				return c, false, UsageError{err}
			}
			c.Losses = []loss.Loss{l}
		} else {
			c.Loss = name
		}
	}
	if o.Metrics != "" {
		list, err := train.MetricsOf(o.Metrics)
		if err != nil {
			return c, false, UsageError{err}
		}
		c.Metrics = [][]any{list}
	} else if c.Metrics == nil && classifies(c) {
		c.Metrics = [][]any{{"accuracy"}}
	}
	if o.WeightedMetrics != "" {
		list, err := train.MetricsOf(o.WeightedMetrics)
		if err != nil {
			return c, false, UsageError{err}
		}
		c.WeightedMetrics = [][]any{list}
	}
	if o.Optimizer != "" || c.Optimizer == nil {
		name := o.Optimizer
		if name == "" {
			name = "adam"
		}
		if c.Optimizer, err = train.OptimizerOf(name); err != nil {
			return c, false, UsageError{err}
		}
	}
	if o.LearningRate > 0 {
		rates(c.Optimizer).LearningRate = optim.Rate{Value: o.LearningRate}
	}
	for _, s := range o.Factors {
		pattern, v, _ := strings.Cut(s, "=")
		by, err := strconv.ParseFloat(v, 64)
		if err != nil || pattern == "" || !(by >= 0) || math.IsInf(by, 0) {
			return c, false, usagef("a learning rate's factor is PATTERN=F, not %q", s)
		}
		rates(c.Optimizer).Factors = append(rates(c.Optimizer).Factors, optim.Factor{Pattern: pattern, By: by})
	}
	return c, own, nil
}

// rates is the options of the optimizer whose learning rate counts.
func rates(o optim.Optimizer) *optim.Config {
	if l, ok := o.(*optim.LossScaleOptimizer); ok && l.Inner != nil {
		return l.Inner.Options()
	}
	return o.Options()
}

// classifies reports whether a loss is one of classes.
func classifies(c train.CompileOptions) bool {
	if strings.Contains(strings.ToLower(c.Loss), "crossentropy") {
		return true
	}
	for _, l := range c.Losses {
		if l != nil {
			if class, _, err := loss.Encode(l); err == nil && strings.Contains(strings.ToLower(class), "crossentropy") {
				return true
			}
		}
	}
	return false
}

// continueOptimizer takes over the optimizer's state of the file.
func (o *Options) continueOptimizer(src *nnrt.Source, m *train.Model) {
	if o.Fresh || len(src.Keras.Optimizer) == 0 {
		return
	}
	state := src.Keras.State()
	vs := make([]train.Variable, len(state))
	for i, v := range state {
		vs[i] = train.Variable{Path: v.Name, Value: v.Data}
	}
	if err := m.SetOptimizerVariables(vs); err != nil {
		o.logf("the optimizer begins anew: %v", err)
		return
	}
	if o.LearningRate > 0 { // the state has the old rate
		_ = m.SetLearningRate(o.LearningRate) // fails for schedules only, and this is none
	}
}

// fittingLoss goes by what makes the output, and by the targets.
func fittingLoss(src *nnrt.Source, d Set) (string, error) {
	oneHot, classes := false, false
	for b, err := range d.Batches(data.Order{BatchSize: 1}) {
		if err != nil {
			return "", err
		}
		oneHot = len(b.Y) > 0 && b.Y[0] != nil && b.Y[0].Rank() == 2 && b.Y[0].Dim(1) > 1
		classes = len(b.Y) > 0
		break
	}
	op, n := "", 0
	out := src.Graph.Outputs[0]
	if out.Def != nil {
		op = out.Def.Op.Name()
	}
	if r := out.Type.Rank(); r > 0 {
		n, _ = out.Type.Dims[r-1].Const()
	}
	switch {
	case op == "Softmax" && oneHot:
		return "categorical_crossentropy", nil
	case op == "Softmax":
		return "sparse_categorical_crossentropy", nil
	case op == "Sigmoid":
		return "binary_crossentropy", nil
	case classes && d.pictures && oneHot:
		return "categorical_crossentropy(from_logits=true)", nil
	case classes && d.pictures && n > 1:
		return "sparse_categorical_crossentropy(from_logits=true)", nil
	case classes && d.pictures:
		return "binary_crossentropy(from_logits=true)", nil
	}
	return "mean_squared_error", nil
}
