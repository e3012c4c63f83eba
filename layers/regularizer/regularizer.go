// Package regularizer holds Keras' penalties on weights and activities, written as graph nodes.
package regularizer

import (
	"encoding/json"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops/expr"
)

// Regularizer gives the penalty of a tensor, a rank-0 value to be added to the loss. The exported fields
// are Keras' config.
type Regularizer interface {
	Penalty(b *graph.Builder, x *graph.Value) *graph.Value
}

// L1 is L1 times the sum of absolute values.
type L1 struct {
	L1 float64 `json:"l1"`
}

// Penalty implements Regularizer.
func (r L1) Penalty(b *graph.Builder, x *graph.Value) *graph.Value {
	e := expr.E{B: b}
	return e.MulC(e.Sum(e.Abs(x), false), r.L1)
}

// L2 is L2 times the sum of squares.
type L2 struct {
	L2 float64 `json:"l2"`
}

// Penalty implements Regularizer.
func (r L2) Penalty(b *graph.Builder, x *graph.Value) *graph.Value {
	e := expr.E{B: b}
	return e.MulC(e.Sum(e.Square(x), false), r.L2)
}

// L1L2 is the sum of both penalties.
type L1L2 struct {
	L1 float64 `json:"l1"`
	L2 float64 `json:"l2"`
}

// Penalty implements Regularizer.
func (r L1L2) Penalty(b *graph.Builder, x *graph.Value) *graph.Value {
	e := expr.E{B: b}
	switch {
	case r.L1 == 0 && r.L2 == 0:
		return e.C(x, 0)
	case r.L1 == 0:
		return L2{r.L2}.Penalty(b, x)
	case r.L2 == 0:
		return L1{r.L1}.Penalty(b, x)
	}
	return e.Add(L1{r.L1}.Penalty(b, x), L2{r.L2}.Penalty(b, x))
}

// Orthogonal pushes the rows (or columns) of a matrix to be orthogonal to each other.
type Orthogonal struct {
	Factor float64 `json:"factor"`
	Mode   string  `json:"mode"` // rows or columns
}

// Penalty implements Regularizer.
func (r Orthogonal) Penalty(b *graph.Builder, x *graph.Value) *graph.Value {
	e := expr.E{B: b}
	shape, ok := x.Type.Shape()
	if !ok || len(shape) != 2 || r.Mode != "rows" && r.Mode != "columns" {
		b.Fail(errs.Errorf("regularizer: OrthogonalRegularizer of mode %q takes a matrix, got %v", r.Mode, x.Type))
		return e.C(x, 0)
	}
	axis, size := 1, shape[0]
	if r.Mode == "columns" {
		axis, size = 0, shape[1]
	}
	// Keras' normalize keeps rows of zeros finite by a floor of 1e-12 under the norm.
	x = e.Div(x, e.MaxC(e.Norm(x, true, axis), 1e-12))
	y := e.Transpose(x, 1, 0)
	product := e.MatMul(x, y)
	if r.Mode == "columns" {
		product = e.MatMul(y, x)
	}
	mask := make([]float64, size*size)
	for i := range mask {
		if i/size != i%size {
			mask[i] = 1
		}
	}
	product = e.Mul(product, e.Reshape(e.Vector(x, mask...), size, size))
	pairs := float64(size) * (float64(size) - 1) / 2
	return e.MulC(e.Sum(e.Abs(product), false), r.Factor*0.5/pairs)
}

// table is every regularizer with Keras' defaults; the first name is the class.
var table = classes.Table{Package: "regularizer", Kind: "regularizer", Rows: []classes.Row{
	{Default: L1L2{}, Names: []string{"L1L2", "l1_l2"}},
	{Default: L1{L1: 0.01}, Names: []string{"L1", "l1"}},
	{Default: L2{L2: 0.01}, Names: []string{"L2", "l2"}},
	{Default: Orthogonal{Factor: 0.01, Mode: "rows"}, Names: []string{"OrthogonalRegularizer", "orthogonal_regularizer"}},
}}

// New is the regularizer of a Keras name ("l2", "L2") with its default config.
func New(name string) (Regularizer, error) { return Decode(name, nil) }

// Decode makes the regularizer of a Keras class name from its config; absent keys take Keras' defaults.
func Decode(name string, config json.RawMessage) (Regularizer, error) {
	v, err := table.Decode(name, config)
	if err != nil {
		return nil, err
	}
	return v.(Regularizer), nil
}

// Encode is r's class name and config as Keras writes them.
func Encode(r Regularizer) (class string, config json.RawMessage, err error) {
	return table.Encode(r)
}
