package loss

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops/expr"
)

// MeanSquaredError is the mean of (y - p)² over the last axis.
type MeanSquaredError struct{ Config }

// Values implements Loss.
func (MeanSquaredError) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	return e.Mean(e.Square(e.Sub(t, p)), false, -1), nil
}

// MeanAbsoluteError is the mean of |y - p| over the last axis.
type MeanAbsoluteError struct{ Config }

// Values implements Loss.
func (MeanAbsoluteError) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	return e.Mean(e.Abs(e.Sub(t, p)), false, -1), nil
}

// MeanAbsolutePercentageError is the mean of 100 |y - p| / |y| over the last axis.
type MeanAbsolutePercentageError struct{ Config }

// Values implements Loss.
func (MeanAbsolutePercentageError) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	d := e.Abs(e.Div(e.Sub(t, p), e.MaxC(e.Abs(t), Epsilon)))
	return e.MulC(e.Mean(d, false, -1), 100), nil
}

// MeanSquaredLogarithmicError is the mean of (log(1+y) - log(1+p))² over the last axis.
type MeanSquaredLogarithmicError struct{ Config }

// Values implements Loss.
func (MeanSquaredLogarithmicError) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	log1 := func(x *graph.Value) *graph.Value { return e.Log(e.AddC(e.MaxC(x, Epsilon), 1)) }
	return e.Mean(e.Square(e.Sub(log1(p), log1(t))), false, -1), nil
}

// Huber is half the squared error up to Delta, and linear beyond.
type Huber struct {
	Config
	Delta float64 `json:"delta"` // 0: 1
}

// Values implements Loss.
func (l Huber) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	d := l.Delta
	if d == 0 {
		d = 1
	}
	err := e.Sub(p, t)
	abs := e.Abs(err)
	small := e.MulC(e.Square(err), 0.5)
	large := e.AddC(e.MulC(abs, d), -0.5*d*d)
	return e.Mean(e.Where(e.Ge(e.C(abs, d), abs), small, large), false, -1), nil
}

// LogCosh is the mean of log(cosh(p - y)) over the last axis.
type LogCosh struct{ Config }

// Values implements Loss.
func (LogCosh) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	x := e.Sub(p, t)
	return e.Mean(e.AddC(e.Add(x, e.Softplus(e.MulC(x, -2))), -math.Ln2), false, -1), nil
}

// Poisson is the mean of p - y log p over the last axis.
type Poisson struct{ Config }

// Values implements Loss.
func (Poisson) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	return e.Mean(e.Sub(p, e.Mul(t, e.Log(e.AddC(p, Epsilon)))), false, -1), nil
}

// KLDivergence is the sum of y log(y/p) over the last axis.
type KLDivergence struct{ Config }

// Values implements Loss.
func (KLDivergence) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	t, p = e.Clip(t, Epsilon, 1), e.Clip(p, Epsilon, 1)
	return e.Sum(e.Mul(t, e.Log(e.Div(t, p))), false, -1), nil
}

// CosineSimilarity is minus the cosine between targets and predictions along Axis.
type CosineSimilarity struct {
	Config
	Axis *int `json:"axis"` // nil: the last
}

// Values implements Loss.
func (l CosineSimilarity) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	axis := axisOr(l.Axis)
	unit := func(x *graph.Value) *graph.Value { return e.Div(x, e.MaxC(e.Norm(x, true, axis), 1e-12)) }
	return e.Neg(e.Sum(e.Mul(unit(t), unit(p)), false, axis)), nil
}

func axisOr(a *int) int {
	if a == nil {
		return -1
	}
	return *a
}

// hingeLabels turns labels 0/1 into -1/1, where all are 0 or 1.
func hingeLabels(e expr.E, t *graph.Value) *graph.Value {
	// t(t-1) is 0 for 0 and 1 only.
	off := e.Sum(e.Abs(e.Mul(t, e.AddC(t, -1))), false)
	return e.Where(e.Eq(off, e.C(off, 0)), e.AddC(e.MulC(t, 2), -1), t)
}

// Hinge is the mean of max(1 - yp, 0) over the last axis; labels 0 and 1 are taken as -1 and 1.
type Hinge struct{ Config }

// Values implements Loss.
func (Hinge) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	return e.Mean(e.MaxC(e.CSub(1, e.Mul(hingeLabels(e, t), p)), 0), false, -1), nil
}

// SquaredHinge is the mean of max(1 - yp, 0)² over the last axis.
type SquaredHinge struct{ Config }

// Values implements Loss.
func (SquaredHinge) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	return e.Mean(e.Square(e.MaxC(e.CSub(1, e.Mul(hingeLabels(e, t), p)), 0)), false, -1), nil
}

// CategoricalHinge is max(neg - pos + 1, 0), where pos is the score of the true class and neg the best of
// the others.
type CategoricalHinge struct{ Config }

// Values implements Loss.
func (CategoricalHinge) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	pos := e.Sum(e.Mul(t, p), false, -1)
	neg := e.Largest(e.Mul(e.CSub(1, t), p), false, -1)
	return e.MaxC(e.AddC(e.Sub(neg, pos), 1), 0), nil
}
