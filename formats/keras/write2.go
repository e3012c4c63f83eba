package keras

import (
	"fmt"
	"strings"

	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// keras2Version is the version whose layout Keras2H5 is.
const keras2Version = "2.15.0"

// keras2 is the form of tf.keras 2: batch_input_shape, classes without modules, weights' names ending in
// ":0", optimizer state as optimizers of 2.11 and later have it.
func (f *File) keras2() wholeForm {
	return wholeForm{keras2Version, "tensorflow", ":0", encodeModel2, f.trainingConfig2, f.forKeras2(), f.fixedNames}
}

// The state of an optimizer is in three orders: Keras 3 has the step, the learning rate and then the slots of
// each weight together; tf.keras from 2.11 on the same without the learning rate; and before that each slot
// of all weights, one slot after the other.

// slots is the state as step, learning rate (nil where there is none) and the slots of each weight together;
// ok is false where the state isn't in an order that is known.
func (f *File) slots() (step, rate *tensor.Tensor, slots []Variable, ok bool) {
	vs := f.Optimizer
	if len(vs) == 0 || vs[0].Data == nil || vs[0].Data.Rank() != 0 {
		return nil, nil, nil, false
	}
	step, rest := vs[0].Data, vs[1:]
	if len(rest) > 0 && rest[0].Data.Rank() == 0 && rest[0].Data.DType().IsFloat() && (strings.HasPrefix(f.Version, "3.") || strings.Contains(rest[0].Name, "learning_rate")) {
		return step, rest[0].Data, rest[1:], true
	}
	if strings.HasPrefix(f.Version, "3.") || strings.HasPrefix(f.Version, "2.") && strings.HasPrefix(vs[0].Name, "iteration:") {
		return step, nil, rest, true
	}
	return step, nil, f.regroup(rest), true
}

// regroup puts slots that come one after the other for all weights together for each weight: the trainable
// weights' shapes repeat.
func (f *File) regroup(vs []Variable) []Variable {
	n := 0
	for _, w := range f.Model.Weights() {
		if f.Model.Trainable(w) {
			n++
		}
	}
	if n == 0 || len(vs)%n != 0 || len(vs) == n {
		return vs
	}
	kinds := len(vs) / n
	if kinds == 3 && !strings.Contains(string(f.Training), `"amsgrad": true`) {
		kinds = 2 // Keras 2 kept empty maxima beside Adam's moments
	}
	out := make([]Variable, 0, kinds*n)
	for i := range n {
		for k := range kinds {
			out = append(out, vs[k*n+i])
		}
	}
	return out
}

// State is the optimizer's state in Keras 3's order, whichever version wrote the file: the step, the learning
// rate, and the slots of each weight together.
func (f *File) State() []Variable { return forKeras3(f) }

// forKeras3 is the optimizer's state in Keras 3's order.
func forKeras3(f *File) []Variable {
	if !strings.HasPrefix(f.Version, "1.") && !strings.HasPrefix(f.Version, "2.") {
		return f.Optimizer
	}
	step, rate, slots, ok := f.slots()
	if !ok {
		return f.Optimizer
	}
	if rate == nil {
		rate = tensor.Scalar(float32(f.learningRate()))
	}
	step, err := tensor.Cast(step, tensor.Int32, tensor.CastOptions{})
	if err != nil {
		return f.Optimizer
	}
	out := []Variable{{"", step}, {"", rate}}
	for _, v := range slots {
		out = append(out, Variable{"", v.Data})
	}
	return out
}

// forKeras2 is the optimizer's state in the order of tf.keras 2.11 and later.
func (f *File) forKeras2() []Variable {
	step, _, slots, ok := f.slots()
	if !ok {
		return nil
	}
	if t, err := tensor.Cast(step, tensor.Int64, tensor.CastOptions{}); err == nil {
		step = t
	}
	out := []Variable{{"iteration:0", step}}
	for i, v := range slots {
		out = append(out, Variable{fmt.Sprintf("%s/variable_%d:0", f.optimizerName(), i+1), v.Data})
	}
	return out
}

// learningRate is the learning rate in the compile config, where it is a number.
func (f *File) learningRate() float64 {
	v, err := layers.ParseJSON(f.Training)
	if err != nil {
		return 1e-3
	}
	top, _ := v.(map[string]any)
	o, _ := top["optimizer_config"].(map[string]any)
	if o == nil {
		o, _ = top["optimizer"].(map[string]any)
	}
	cfg, _ := o["config"].(map[string]any)
	for _, k := range []string{"learning_rate", "lr"} {
		if n, ok := cfg[k].(interface{ Float64() (float64, error) }); ok {
			if r, err := n.Float64(); err == nil {
				return r
			}
		}
	}
	return 1e-3
}
