// Package constraint holds Keras' constraints on weights, written as graph nodes that follow the
// optimizer's update.
package constraint

import (
	"encoding/json"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/ops/expr"
)

// epsilon is Keras' fuzz factor.
const epsilon = 1e-7

// Constraint projects a weight. The exported fields are Keras' config.
type Constraint interface {
	Apply(b *graph.Builder, w *graph.Value) *graph.Value
}

// Axes is the axes along which a norm is taken; Keras writes one or a list.
type Axes = initializer.Axes

// MaxNorm holds the norm along Axis at MaxValue or below.
type MaxNorm struct {
	MaxValue float64 `json:"max_value"`
	Axis     Axes    `json:"axis"`
}

// Apply implements Constraint.
func (c MaxNorm) Apply(b *graph.Builder, w *graph.Value) *graph.Value {
	e := expr.E{B: b}
	norm := e.Norm(w, true, c.Axis...)
	return e.Mul(w, e.Div(e.Clip(norm, 0, c.MaxValue), e.AddC(norm, epsilon)))
}

// NonNeg replaces negative weights by 0.
type NonNeg struct{}

// Apply implements Constraint.
func (NonNeg) Apply(b *graph.Builder, w *graph.Value) *graph.Value { return expr.E{B: b}.MaxC(w, 0) }

// UnitNorm makes the norm along Axis 1.
type UnitNorm struct {
	Axis Axes `json:"axis"`
}

// Apply implements Constraint.
func (c UnitNorm) Apply(b *graph.Builder, w *graph.Value) *graph.Value {
	e := expr.E{B: b}
	return e.Div(w, e.AddC(e.Norm(w, true, c.Axis...), epsilon))
}

// MinMaxNorm moves the norm along Axis into [MinValue, MaxValue], by Rate of the way.
type MinMaxNorm struct {
	MinValue float64 `json:"min_value"`
	MaxValue float64 `json:"max_value"`
	Rate     float64 `json:"rate"`
	Axis     Axes    `json:"axis"`
}

// Apply implements Constraint.
func (c MinMaxNorm) Apply(b *graph.Builder, w *graph.Value) *graph.Value {
	e := expr.E{B: b}
	norm := e.Norm(w, true, c.Axis...)
	want := e.MulC(e.Clip(norm, c.MinValue, c.MaxValue), c.Rate)
	if c.Rate != 1 {
		want = e.Add(want, e.MulC(norm, 1-c.Rate))
	}
	return e.Mul(w, e.Div(want, e.AddC(norm, epsilon)))
}

// table is every constraint with Keras' defaults; the first name is the class.
var table = classes.Table{Package: "constraint", Kind: "constraint", Rows: []classes.Row{
	{Default: MaxNorm{MaxValue: 2, Axis: Axes{0}}, Names: []string{"MaxNorm", "max_norm"}},
	{Default: NonNeg{}, Names: []string{"NonNeg", "non_neg"}},
	{Default: UnitNorm{Axis: Axes{0}}, Names: []string{"UnitNorm", "unit_norm"}},
	{Default: MinMaxNorm{MaxValue: 1, Rate: 1, Axis: Axes{0}}, Names: []string{"MinMaxNorm", "min_max_norm"}},
}}

// New is the constraint of a Keras name ("max_norm", "MaxNorm") with its default config.
func New(name string) (Constraint, error) { return Decode(name, nil) }

// Decode makes the constraint of a Keras class name from its config; absent keys take Keras' defaults.
func Decode(name string, config json.RawMessage) (Constraint, error) {
	v, err := table.Decode(name, config)
	if err != nil {
		return nil, err
	}
	return v.(Constraint), nil
}

// Encode is c's class name and config as Keras writes them.
func Encode(c Constraint) (class string, config json.RawMessage, err error) {
	return table.Encode(c)
}
