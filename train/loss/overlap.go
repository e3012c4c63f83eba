package loss

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

// Dice is 1 minus twice the overlap over the sum of both sides, summed over Axis.
type Dice struct {
	Config
	Axis initializer.Axes `json:"axis"` // nil: all
}

// Values implements Loss.
func (l Dice) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	both := e.MulC(e.Sum(e.Mul(t, p), false, l.Axis...), 2)
	sum := e.Add(e.Sum(t, false, l.Axis...), e.Sum(p, false, l.Axis...))
	return e.CSub(1, e.Div(both, e.AddC(sum, Epsilon))), nil
}

// Tversky is Dice with the two kinds of misses weighted. Keras says of Alpha that it weighs false positives, but
// multiplies by it what of the targets the predictions lack, and by Beta what they have too much; so does this.
type Tversky struct {
	Config
	Alpha float64          `json:"alpha"`
	Beta  float64          `json:"beta"`
	Axis  initializer.Axes `json:"axis"` // nil: all
}

// Values implements Loss.
func (l Tversky) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	both := e.Sum(e.Mul(t, p), false, l.Axis...)
	lacking := e.Sum(e.Mul(t, e.CSub(1, p)), false, l.Axis...)
	surplus := e.Sum(e.Mul(e.CSub(1, t), p), false, l.Axis...)
	den := e.AddC(e.Add(both, e.Add(e.MulC(lacking, l.Alpha), e.MulC(surplus, l.Beta))), Epsilon)
	return e.CSub(1, e.Div(both, den)), nil
}

// low stands for minus infinity where infinities would turn gradients into NaN.
const low = -1e30

// Circle pulls embeddings of one class together and pushes others apart (Sun et al., "Circle loss", 2020).
// Targets are class numbers, predictions unit vectors.
type Circle struct {
	Config
	Gamma          float64 `json:"gamma"`
	Margin         float64 `json:"margin"`
	RemoveDiagonal bool    `json:"remove_diagonal"`
}

// Values implements Loss.
func (l Circle) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	rank(e, "Circle", "predictions", p, 2)
	dist := e.MaxC(e.CSub(1, e.MatMul(p, e.Transpose(p, 1, 0))), 0)
	labels := e.Reshape(t, -1, 1)
	same := e.Eq(labels, e.Transpose(labels, 1, 0))
	other := e.Not(same)
	if l.RemoveDiagonal {
		n := e.B.Add(eyeLike(dist), dist)
		same = e.And(same, e.Not(e.Cast(n, tensor.Bool)))
	}
	weigh := func(w, d *graph.Value, where *graph.Value, sign float64) *graph.Value {
		w = e.MaxC(e.Mul(w, e.Cast(where, w.Type.DType)), 0)
		v := e.MulC(e.Mul(w, d), sign*l.Gamma)
		return e.LogSumExp(e.Where(where, v, e.C(v, low)), false, 1)
	}
	pos := weigh(e.AddC(dist, l.Margin), e.CSub(l.Margin, dist), same, -1)
	neg := weigh(e.CSub(1+l.Margin, dist), e.CSub(1-l.Margin, dist), other, 1)
	values = e.Softplus(e.Add(pos, neg))
	return values, e.Gt(values, e.C(values, 0))
}
