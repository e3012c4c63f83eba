package loss

import (
	"encoding/json"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

// clipProbs holds probabilities in [ε, 1-ε], so that their logarithms are finite.
func clipProbs(e expr.E, p *graph.Value) *graph.Value { return e.Clip(p, Epsilon, 1-Epsilon) }

// logProbs is the log-probabilities along axis of logits, or of probabilities (normalised first).
func logProbs(e expr.E, p *graph.Value, logits bool, axis int) *graph.Value {
	if logits {
		return e.LogSoftmax(p, axis)
	}
	return e.Log(clipProbs(e, e.Div(p, e.Sum(p, true, axis))))
}

// smoothClasses moves s of each one-hot target's mass to all classes alike.
func smoothClasses(e expr.E, t, p *graph.Value, s float64, axis int) *graph.Value {
	if s == 0 {
		return t
	}
	n := e.Size(p, axis, p.Type.DType)
	return e.Add(e.MulC(t, 1-s), e.Div(e.C(p, s), n))
}

func smoothBinary(e expr.E, t *graph.Value, s float64) *graph.Value {
	if s == 0 {
		return t
	}
	return e.AddC(e.MulC(t, 1-s), 0.5*s)
}

// binaryCrossentropy is -(t log p + (1-t) log(1-p)) per element.
func binaryCrossentropy(e expr.E, t, p *graph.Value, logits bool) *graph.Value {
	if logits {
		return e.Add(e.Mul(t, e.Softplus(e.Neg(p))), e.Mul(e.CSub(1, t), e.Softplus(p)))
	}
	p = clipProbs(e, p)
	return e.Neg(e.Add(e.Mul(t, e.Log(p)), e.Mul(e.CSub(1, t), e.Log(e.CSub(1, p)))))
}

// BinaryCrossentropy is the cross-entropy of targets between 0 and 1, averaged over Axis.
type BinaryCrossentropy struct {
	Config
	FromLogits     bool    `json:"from_logits"`
	LabelSmoothing float64 `json:"label_smoothing"`
	Axis           *int    `json:"axis"` // nil: the last
}

// Values implements Loss.
func (l BinaryCrossentropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	t = smoothBinary(e, t, l.LabelSmoothing)
	return e.Mean(binaryCrossentropy(e, t, p, l.FromLogits), false, axisOr(l.Axis)), nil
}

// BinaryFocalCrossentropy is BinaryCrossentropy times (1 - p of the true class) to the power of Gamma; with
// ApplyClassBalancing also times Alpha for class 1 and 1-Alpha for class 0.
type BinaryFocalCrossentropy struct {
	Config
	FromLogits          bool    `json:"from_logits"`
	LabelSmoothing      float64 `json:"label_smoothing"`
	Axis                *int    `json:"axis"` // nil: the last
	ApplyClassBalancing bool    `json:"apply_class_balancing"`
	Alpha               float64 `json:"alpha"`
	Gamma               float64 `json:"gamma"`
}

// Values implements Loss.
func (l BinaryFocalCrossentropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	t = smoothBinary(e, t, l.LabelSmoothing)
	if l.FromLogits {
		p = e.Sigmoid(p)
	}
	pt := e.Add(e.Mul(t, p), e.Mul(e.CSub(1, t), e.CSub(1, p)))
	v := e.Mul(e.PowC(e.CSub(1, pt), l.Gamma), binaryCrossentropy(e, t, p, false))
	if l.ApplyClassBalancing {
		v = e.Mul(e.Add(e.MulC(t, l.Alpha), e.MulC(e.CSub(1, t), 1-l.Alpha)), v)
	}
	return e.Mean(v, false, axisOr(l.Axis)), nil
}

// CategoricalCrossentropy is the cross-entropy of one-hot targets along Axis.
type CategoricalCrossentropy struct {
	Config
	FromLogits     bool    `json:"from_logits"`
	LabelSmoothing float64 `json:"label_smoothing"`
	Axis           *int    `json:"axis"` // nil: the last
}

// Values implements Loss.
func (l CategoricalCrossentropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	axis := axisOr(l.Axis)
	t = smoothClasses(e, t, p, l.LabelSmoothing, axis)
	return e.Neg(e.Sum(e.Mul(t, logProbs(e, p, l.FromLogits, axis)), false, axis)), nil
}

// Weights is one number for all classes, or one for each.
type Weights []float64

// UnmarshalJSON reads a number or a list.
func (w *Weights) UnmarshalJSON(p []byte) error {
	var v float64
	if json.Unmarshal(p, &v) == nil {
		*w = Weights{v}
		return nil
	}
	*w = nil
	return json.Unmarshal(p, (*[]float64)(w))
}

// MarshalJSON writes a single weight as a number.
func (w Weights) MarshalJSON() ([]byte, error) {
	if len(w) == 1 {
		return classes.Marshal(w[0])
	}
	return classes.Marshal([]float64(w))
}

// CategoricalFocalCrossentropy weights each class' cross-entropy by Alpha and by (1 - p) to the power of
// Gamma.
type CategoricalFocalCrossentropy struct {
	Config
	FromLogits     bool    `json:"from_logits"`
	LabelSmoothing float64 `json:"label_smoothing"`
	Axis           *int    `json:"axis"` // nil: the last
	Alpha          Weights `json:"alpha"`
	Gamma          float64 `json:"gamma"`
}

// Values implements Loss.
func (l CategoricalFocalCrossentropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	axis := axisOr(l.Axis)
	t = smoothClasses(e, t, p, l.LabelSmoothing, axis)
	if l.FromLogits {
		p = e.Softmax(p, axis)
	}
	p = clipProbs(e, e.Div(p, e.Sum(p, true, axis)))
	v := e.Neg(e.Mul(t, e.Log(p)))
	alpha := e.C(p, 0.25)
	if len(l.Alpha) == 1 {
		alpha = e.C(p, l.Alpha[0])
	} else if len(l.Alpha) > 1 {
		alpha = e.Vector(p, l.Alpha...)
	}
	weight := e.Mul(e.PowC(e.CSub(1, p), l.Gamma), alpha)
	return e.Sum(e.Mul(weight, v), false, axis), nil
}

// SparseCategoricalCrossentropy is the cross-entropy of class numbers as targets. Targets equal to
// IgnoreClass don't count.
type SparseCategoricalCrossentropy struct {
	Config
	FromLogits  bool `json:"from_logits"`
	IgnoreClass *int `json:"ignore_class"`
	Axis        *int `json:"axis"` // nil: the last
}

// Values implements Loss.
func (l SparseCategoricalCrossentropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	axis := axisOr(l.Axis)
	if axis < 0 {
		axis += p.Type.Rank()
	}
	t = classNumbers(e, "SparseCategoricalCrossentropy", t, p, axis)
	if l.IgnoreClass != nil {
		mask = e.Not(e.Eq(t, e.C(t, float64(*l.IgnoreClass))))
		t = e.Where(mask, t, e.C(t, 0))
		p = e.Where(e.Unsqueeze(mask, axis), p, e.C(p, 0))
	}
	onehot := e.OneHot(e.Cast(t, tensor.Int64), e.Dim(p, axis), axis, p.Type.DType)
	values = e.Neg(e.Sum(e.Mul(onehot, logProbs(e, p, l.FromLogits, axis)), false, axis))
	if mask != nil {
		values = e.Where(mask, values, e.C(values, 0))
	}
	return values, mask
}

// classNumbers is targets without the axis of 1 that stands for p's class axis.
func classNumbers(e expr.E, name string, t, p *graph.Value, axis int) *graph.Value {
	r := p.Type.Rank()
	if t.Type.Rank() == r && axis < r {
		if n, ok := t.Type.Dims[axis].Const(); ok && n == 1 {
			return e.Squeeze(t, axis)
		}
	}
	if t.Type.Rank() != r-1 {
		e.B.Fail(errs.Errorf("loss: %s takes class numbers for predictions %v, got %v", name, p.Type, t.Type))
		return e.Sum(p, false, axis)
	}
	return t
}

// CategoricalGeneralizedCrossEntropy is (1 - p^Q)/Q, p being the probability of the true class: it bears
// wrong labels (Zhang and Sabuncu 2018).
type CategoricalGeneralizedCrossEntropy struct {
	Config
	Q float64 `json:"q"`
}

// Values implements Loss.
func (l CategoricalGeneralizedCrossEntropy) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	axis := p.Type.Rank() - 1
	t = classNumbers(e, "CategoricalGeneralizedCrossEntropy", t, p, axis)
	onehot := e.OneHot(e.Cast(t, tensor.Int64), e.Dim(p, axis), axis, p.Type.DType)
	prob := e.Sum(e.Mul(p, onehot), false, -1)
	return e.DivC(e.CSub(1, e.PowC(prob, l.Q)), l.Q), nil
}
