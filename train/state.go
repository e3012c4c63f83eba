package train

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
)

// Variable is one of the optimizer's own variables, named by Keras' path: "adam/dense_kernel_momentum".
type Variable struct {
	Path  string
	Value *tensor.Tensor
}

// ErrOptimizerState is wrapped by errors about an optimizer's state that is not of this optimizer and weights.
var ErrOptimizerState = errors.New("the optimizer's state does not fit")

// slots is the optimizer's variables, as a step of these weights would make them.
func (m *Model) slots() ([]optim.Slot, error) {
	st, err := m.state()
	if err != nil {
		return nil, err
	}
	return st.Slots, nil
}

func (m *Model) state() (*optim.State, error) {
	b := graph.NewBuilder(&graph.Graph{})
	var vars []optim.Var
	for _, w := range m.weights {
		if w.Trainable {
			p := b.Param(w.Name, m.value(w.Name))
			vars = append(vars, optim.Var{Param: p, Grad: p, Path: w.Name, Constraint: w.Constraint})
		}
	}
	_, scale := optim.LossScale(b, m.c.opt, tensor.Float32)
	lr := b.Input(LearningRateInput, graph.TensorOf(tensor.Float32))
	st, err := optim.Build(b, m.c.opt, vars, lr, scale)
	if err != nil {
		return nil, errs.Errorf("train: %w", err)
	}
	return st, nil
}

// OptimizerVariables is a copy of the optimizer's state, in the order of Keras' optimizer.variables.
func (m *Model) OptimizerVariables() ([]Variable, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	slots, err := m.slots()
	if err != nil {
		return nil, err
	}
	out := make([]Variable, len(slots))
	for i, s := range slots {
		v := tensor.Scalar(float32(0))
		switch {
		case s.LearningRate:
			v = tensor.Scalar(float32(m.LearningRate()))
		case s.Param != nil:
			if v = m.Value(s.Param.Name); v == nil {
				v = s.Param.Data.Clone()
			}
		case strings.HasSuffix(s.Path, "/iteration"):
			v = tensor.Scalar(int64(0))
		}
		out[i] = Variable{s.Path, v}
	}
	return out, nil
}

// SetOptimizerVariables continues from a state that OptimizerVariables or Keras gave for the same optimizer
// and trainable weights. The variables go by order, as in Keras; where number or shapes differ, or a path
// ends otherwise than the optimizer's own, the error is ErrOptimizerState and nothing changes.
func (m *Model) SetOptimizerVariables(vs []Variable) error {
	if m.c == nil {
		return ErrNotCompiled
	}
	slots, err := m.slots()
	if err != nil {
		return err
	}
	if len(vs) != len(slots) {
		return errs.Errorf("train: %w: it has %d variables, %s of these weights has %d", ErrOptimizerState, len(vs), m.optimizer().Name, len(slots))
	}
	values := make([]*tensor.Tensor, len(vs))
	for i, s := range slots {
		v := vs[i]
		if !slices.Equal(v.Value.Shape(), s.Shape) || !samePath(v.Path, s.Path) {
			return errs.Errorf("train: %w: variable %d is %q %v, expected %q %v", ErrOptimizerState, i, v.Path, v.Value.Shape(), s.Path, s.Shape)
		}
		values[i] = v.Value
		if s.Param != nil && v.Value.DType() != s.Param.Data.DType() {
			if values[i], err = tensor.Cast(v.Value, s.Param.Data.DType(), tensor.CastOptions{}); err != nil {
				return errs.Errorf("train: %q: %w", v.Path, err)
			}
		}
	}
	m.dropStep()
	for i, s := range slots {
		switch {
		case s.Param != nil:
			m.values[s.Param.Name] = values[i].Clone()
		case s.LearningRate && m.optimizer().LearningRate.Schedule == nil:
			rate, err := values[i].Float64s()
			if err != nil {
				return err
			}
			if err := m.SetLearningRate(rate[0]); err != nil {
				return err
			}
		}
	}
	m.version++
	return nil
}

// samePath compares a variable's path in a file with ours: archives number the variables, and Keras puts the
// model's name before that of the layer.
func samePath(got, want string) bool {
	if got == "" || strings.Trim(got, "0123456789") == "" {
		return true
	}
	last := func(s string) string { return strings.TrimSuffix(s[strings.LastIndex(s, "/")+1:], ":0") }
	return strings.HasSuffix(last(got), last(want))
}

// kerasObject is a serialized object of Keras' own.
type kerasObject struct {
	Module     string          `json:"module"`
	Class      string          `json:"class_name"`
	Config     json.RawMessage `json:"config"`
	Registered *string         `json:"registered_name"`
}

// CompileConfig is what Compile was told as Keras serializes it: compile_config of a .keras file. Losses,
// metrics and optimizers that are the caller's own are an error.
func (m *Model) CompileConfig() (json.RawMessage, error) {
	if m.c == nil {
		return nil, ErrNotCompiled
	}
	o, one := m.c.opts, m.info.Outputs == 1
	class, cfg, err := optim.Encode(m.c.opt)
	if err != nil {
		return nil, err
	}
	out := struct {
		Optimizer   kerasObject `json:"optimizer"`
		Loss        any         `json:"loss"`
		LossWeights []float64   `json:"loss_weights"`
		Metrics     any         `json:"metrics"`
		Weighted    any         `json:"weighted_metrics"`
		Eagerly     bool        `json:"run_eagerly"`
		StepsPer    int         `json:"steps_per_execution"`
		JIT         bool        `json:"jit_compile"`
	}{Optimizer: kerasObject{"keras.optimizers", class, cfg, nil}, LossWeights: o.LossWeights, StepsPer: 1}
	losses := make([]any, len(m.c.losses))
	for i, l := range m.c.losses {
		if l == nil {
			continue
		}
		class, cfg, err := loss.Encode(l)
		if err != nil {
			return nil, err
		}
		losses[i] = kerasObject{"keras.losses", class, cfg, nil}
	}
	switch out.Loss = losses; {
	case one && o.Loss != "":
		out.Loss = o.Loss
	case one:
		out.Loss = losses[0]
	}
	if out.Metrics, err = m.encodeMetrics(o.Metrics); err != nil {
		return nil, err
	}
	if out.Weighted, err = m.encodeMetrics(o.WeightedMetrics); err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// encodeMetrics is a list for a single output, and a list of lists for several.
func (m *Model) encodeMetrics(lists [][]any) (any, error) {
	all := make([]any, 0, len(lists))
	for _, list := range lists {
		enc := make([]any, len(list))
		for i, u := range list {
			x, ok := u.(metric.Metric)
			if enc[i] = u; !ok {
				continue
			}
			class, cfg, err := metric.Encode(x)
			if err != nil {
				return nil, err
			}
			enc[i] = kerasObject{"keras.metrics", class, cfg, nil}
		}
		all = append(all, enc)
	}
	switch {
	case len(all) == 0:
		return nil, nil
	case m.info.Outputs == 1:
		return all[0], nil
	}
	for len(all) < m.info.Outputs {
		all = append(all, []any{})
	}
	return all, nil
}
