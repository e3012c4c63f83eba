package keras

import (
	"fmt"
	"slices"
	"sort"
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

// slots is the state as step, learning rate (nil where there is none) and the slots in Keras 3's order; ok is
// false where the state isn't in an order that is known, or of kernels that were turned around when read.
func (f *File) slots() (step, rate *tensor.Tensor, slots []Variable, ok bool) {
	vs := f.Optimizer
	three := strings.HasPrefix(f.Version, "3.")
	if len(vs) == 0 || slices.ContainsFunc(vs, func(v Variable) bool { return v.Data == nil }) || f.Backend == "theano" && !three {
		return nil, nil, nil, false
	}
	if vs[0].Data.Rank() != 0 { // Keras before 2.3 kept no step for RMSprop, Adagrad and Adadelta, and began at 0
		return tensor.Scalar(int64(0)), nil, f.regroup(vs), strings.HasPrefix(f.Version, "2.")
	}
	step, rest := vs[0].Data, vs[1:]
	if len(rest) > 0 && rest[0].Data.Rank() == 0 && rest[0].Data.DType().IsFloat() && (three || strings.Contains(rest[0].Name, "learning_rate")) {
		return step, rest[0].Data, rest[1:], true
	}
	if three || strings.HasPrefix(f.Version, "2.") && strings.HasPrefix(vs[0].Name, "iteration:") {
		return step, nil, rest, true
	}
	return step, nil, f.regroup(rest), true
}

// paired is the optimizers of which Keras 3 keeps the first two slots of each weight together.
var paired = []string{"Adam", "AdamW", "Adamax", "Nadam", "Adadelta", "Ftrl"}

// regroup puts slots that come one after the other for all trainable weights into Keras 3's order: the first
// two of each weight together for some optimizers, the others as they are.
func (f *File) regroup(vs []Variable) []Variable {
	places := f.trainableOrder()
	n := len(places)
	class, amsgrad := f.optimizerClass()
	var product []Variable // Nadam's, last in Keras 3
	if class == "Nadam" {
		product = []Variable{{"", tensor.Scalar(float32(1))}}
		if len(vs) > 0 && vs[0].Data.Rank() == 0 {
			product, vs = vs[:1:1], vs[1:]
		}
	}
	if n == 0 || len(vs)%n != 0 {
		return append(vs, product...)
	}
	natural := make([]Variable, len(vs))
	for i, v := range vs {
		natural[i/n*n+places[i%n]] = v
	}
	vs = natural
	if !amsgrad && class == "Adam" && len(vs) == 3*n {
		vs = vs[:2*n] // Keras 2 kept empty maxima beside Adam's moments
	}
	pairs := 0
	if slices.Contains(paired, class) && len(vs) >= 2*n {
		pairs = 2 * n
	}
	out := make([]Variable, 0, len(vs)+1)
	for i := range pairs {
		out = append(out, vs[i%2*n+i/2])
	}
	return append(append(out, vs[pairs:]...), product...)
}

// trainableOrder is which trainable weight each slot of one kind belongs to: Keras before 2.0.6 sorted them by
// their names.
func (f *File) trainableOrder() []int {
	var names []string
	for _, w := range f.Model.Weights() {
		if f.Model.Trainable(w) {
			path := kerasPath(f.Model, w, true)
			layer, _, _ := strings.Cut(path, "/") // a cell had no name of its own
			names = append(names, layer+path[strings.LastIndex(path, "/"):]+":0")
		}
	}
	places := make([]int, len(names))
	for i := range places {
		places[i] = i
	}
	sorted := strings.HasPrefix(f.Version, "1.")
	for _, v := range []string{"2.0.0", "2.0.1", "2.0.2", "2.0.3", "2.0.4", "2.0.5"} {
		sorted = sorted || f.Version == v
	}
	if sorted {
		sort.SliceStable(places, func(i, j int) bool { return names[places[i]] < names[places[j]] })
	}
	return places
}

// optimizerClass is the class of the optimizer in the compile config, and whether it keeps maxima.
func (f *File) optimizerClass() (class string, amsgrad bool) {
	o := f.optimizerConfig()
	class, _ = o["class_name"].(string)
	cfg, _ := o["config"].(map[string]any)
	amsgrad, _ = cfg["amsgrad"].(bool)
	return class[strings.LastIndex(class, ">")+1:], amsgrad
}

// optimizerConfig is the optimizer as the compile config has it, in files of any version.
func (f *File) optimizerConfig() map[string]any {
	v, err := layers.ParseJSON(f.Training)
	if err != nil {
		return nil
	}
	top, _ := v.(map[string]any)
	o, _ := top["optimizer_config"].(map[string]any)
	if o == nil {
		o, _ = top["optimizer"].(map[string]any)
	}
	return o
}

// State is the optimizer's state in Keras 3's order, whichever version wrote the file: the step, the learning
// rate, and the slots.
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
	cfg, _ := f.optimizerConfig()["config"].(map[string]any)
	for _, k := range []string{"learning_rate", "lr"} {
		if n, ok := cfg[k].(interface{ Float64() (float64, error) }); ok {
			if r, err := n.Float64(); err == nil {
				return r
			}
		}
	}
	return 1e-3
}
