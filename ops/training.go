package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// trainingOps is the family of ai.onnx.preview.training: one step of an optimizer on any number of tensors.
var trainingOps = []Info{
	{Adagrad{}, "a step of AdaGrad"},
	{Adam{Alpha: 0.9, Beta: 0.999}, "a step of Adam"},
	{Momentum{Mode: "standard"}, "a step of gradient descent with momentum"},
	{RequireFinite{}, "a copy, refused where one of some other numbers is not finite"},
}

func rate() SampleIn { return TV(tensor.Scalar(float32(0.1))) }

func count(n int64) SampleIn { return TV(tensor.Scalar(n)) }

// inferStep is the inference of an optimizer: a learning rate, an update count, then groups of as many
// tensors: the variables, their gradients, and states. It returns the new variables and states.
func inferStep(in []graph.Type, groups int) ([]graph.Type, error) {
	n := (len(in) - 2) / groups
	if n < 1 || len(in) != 2+n*groups {
		return nil, errs.Errorf("takes a rate, a count and %d tensors for each variable, got %d inputs", groups, len(in))
	}
	if err := arity(in, len(in), len(in)); err != nil {
		return nil, err
	}
	if !in[0].DType.IsFloat() || in[1].DType != tensor.Int64 {
		return nil, errs.Errorf("rate and count are %v and %v, not a float and int64", in[0], in[1])
	}
	out := []graph.Type{}
	for i := range n {
		for g := range groups {
			t := in[2+g*n+i]
			if _, err := sameShape(in[2+i], t); err != nil || t.DType != in[2+i].DType || !t.DType.IsFloat() {
				return nil, errs.Errorf("variable %d: its tensors differ or are no floats: %s", i, typeList([]graph.Type{in[2+i], t}))
			}
		}
	}
	for g := range groups {
		for i := range n {
			if g != 1 {
				out = append(out, in[2+g*n+i].WithoutValue())
			}
		}
	}
	return out, nil
}

// Adagrad is one step of AdaGrad. Inputs: rate, count (int64), X..., G..., H...; outputs: the new X... and
// H... .
type Adagrad struct {
	DecayFactor     float64
	Epsilon         float64
	NormCoefficient float64
}

// Name implements graph.Op.
func (Adagrad) Name() string { return "Adagrad" }

// Infer implements graph.Op.
func (Adagrad) Infer(in []graph.Type) ([]graph.Type, error) { return inferStep(in, 3) }

// Adam is one step of Adam. Inputs: rate, count (int64), X..., G..., V..., H...; outputs: the new X...,
// V... and H... .
type Adam struct {
	Alpha               float64
	Beta                float64
	Epsilon             float64
	NormCoefficient     float64
	NormCoefficientPost float64
}

// Name implements graph.Op.
func (Adam) Name() string { return "Adam" }

// Infer implements graph.Op.
func (Adam) Infer(in []graph.Type) ([]graph.Type, error) { return inferStep(in, 4) }

// Momentum is one step of gradient descent with momentum, Mode "standard" or "nesterov". Inputs: rate,
// count (int64), X..., G..., V...; outputs: the new X... and V... .
type Momentum struct {
	Alpha           float64
	Beta            float64
	Mode            string
	NormCoefficient float64
}

// Name implements graph.Op.
func (Momentum) Name() string { return "Momentum" }

// Infer implements graph.Op.
func (o Momentum) Infer(in []graph.Type) ([]graph.Type, error) {
	if o.Mode != "standard" && o.Mode != "nesterov" {
		return nil, errs.Errorf("mode is %q, not standard or nesterov", o.Mode)
	}
	return inferStep(in, 3)
}

// RequireFinite is its first input, and fails the run with a NotFiniteError where an element of the others is
// NaN or infinite: what depends on its output is not done then.
type RequireFinite struct{}

// Name implements graph.Op.
func (RequireFinite) Name() string { return "RequireFinite" }

// Infer implements graph.Op.
func (RequireFinite) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) < 2 {
		return nil, errs.Errorf("takes what it copies and what it looks at, got %d inputs", len(in))
	}
	for _, t := range in[1:] {
		if !t.DType.IsFloat() {
			return nil, errs.Errorf("looks at floating-point numbers, not %v", t)
		}
	}
	return copied(in[:1])
}

// MayAlias implements graph.Aliaser.
func (RequireFinite) MayAlias(in, out int) bool { return in == 0 }

// NotFiniteError is what RequireFinite found.
type NotFiniteError struct{ Value float64 }

// Error is one line.
func (e NotFiniteError) Error() string { return fmt.Sprintf("a number is %v", e.Value) }

// trainingSamples is the cases of trainingOps.
func trainingSamples() map[string][]Sample {
	return map[string][]Sample{
		"Adagrad": {
			Case(Adagrad{DecayFactor: 0.1, Epsilon: 1e-5, NormCoefficient: 0.001}, rate(), count(0), F(3), F(3), FR(0, 1, 3)),
			Case(Adagrad{DecayFactor: 0.1, Epsilon: 1e-5}, rate(), count(3), F(3), F(2), F(3), F(2), FR(0, 1, 3), FR(0, 1, 2))},
		"Adam": {
			Case(Adam{Alpha: 0.9, Beta: 0.999, Epsilon: 1e-2, NormCoefficient: 0.001, NormCoefficientPost: 0.1}, rate(), count(0), F(3), F(3), F(3), FR(0, 1, 3)),
			Case(Adam{Alpha: 0.9, Beta: 0.999, Epsilon: 1e-2}, rate(), count(2), F(3), F(2), F(3), F(2), F(3), F(2), FR(0, 1, 3), FR(0, 1, 2))},
		"Momentum": {
			Case(Momentum{Alpha: 0.95, Beta: 0.1, Mode: "standard", NormCoefficient: 0.001}, rate(), count(0), F(3), F(3), F(3)),
			Case(Momentum{Alpha: 0.95, Beta: 0.8, Mode: "nesterov"}, rate(), count(3), F(3), F(2), F(3), F(2), F(3), F(2))},
		"RequireFinite": {
			Case(RequireFinite{}, F(2, 3), F()), Case(RequireFinite{}, rate(), F(2), F(3))},
	}
}
