package inspect

import (
	"context"
	"fmt"
	"math"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/bench"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// CompareOptions steers Compare. An element agrees where |a-b| <= AbsTol + RelTol*|a|.
type CompareOptions struct {
	RelTol, AbsTol float64        // both 0: 1e-4 and 1e-5
	Dims           map[string]int // free dimensions by name; 1 where absent
	Batch          int            // rows, where the first dimension is free
}

func (o CompareOptions) withDefaults() CompareOptions {
	if o.RelTol == 0 && o.AbsTol == 0 {
		o.RelTol, o.AbsTol = 1e-4, 1e-5
	}
	return o
}

// Comparison is how far two models agree on one random input.
type Comparison struct {
	Outputs []OutputDiff `json:"outputs"`
	Equal   bool         `json:"equal"` // within the tolerance
}

// OutputDiff is one output's largest differences.
type OutputDiff struct {
	Name   string  `json:"name"`
	Shape  []int   `json:"shape"`
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`
	MaxULP float64 `json:"max_ulp"` // in units of the last place of the type
	Bad    int     `json:"bad"`     // elements out of tolerance
	Reason string  `json:"reason,omitempty"`
}

// Compare runs two models on the same random input, fed by position, and compares their outputs by position.
func Compare(ctx context.Context, a, b *nnrt.Model, opts CompareOptions) (Comparison, error) {
	opts = opts.withDefaults()
	in, x, err := runAny(ctx, a, opts)
	if err != nil {
		return Comparison{}, err
	}
	y, err := b.RunValues(ctx, in)
	if err != nil {
		return Comparison{}, err
	}
	if len(x) != len(y) {
		return Comparison{}, errs.Errorf("the models have %d and %d outputs", len(x), len(y))
	}
	c := Comparison{Equal: true}
	for i, v := range a.Outputs() {
		d := diff(x[i], y[i], opts)
		d.Name = v.Name
		c.Outputs = append(c.Outputs, d)
		c.Equal = c.Equal && d.Bad == 0 && d.Reason == ""
	}
	return c, nil
}

// runAny runs a model on random inputs.
func runAny(ctx context.Context, a *nnrt.Model, opts CompareOptions) (in, out []tensor.Value, err error) {
	for _, size := range []int{1, 32, 96} { // pictures of free size have a least one that fits
		dims := freeDims(a, opts.Dims, size)
		if in, _, err = bench.Inputs(a, bench.Options{Dims: dims, Batch: opts.Batch}); err != nil {
			return nil, nil, err
		}
		if out, err = a.RunValues(ctx, in); err == nil {
			break
		}
	}
	return in, out, err
}

// freeDims gives every free dimension of a model's inputs, other than the first, a size where it has none.
func freeDims(m *nnrt.Model, given map[string]int, size int) map[string]int {
	dims := map[string]int{}
	for _, v := range m.Inputs() {
		set := map[string]bool{}
		for i, d := range v.Type.Dims {
			if i > 0 {
				d.Symbols(set)
			}
		}
		for s := range set {
			dims[s] = size
		}
	}
	for s, n := range given {
		dims[s] = n
	}
	return dims
}

func diff(a, b tensor.Value, opts CompareOptions) OutputDiff {
	x, ok1 := a.(*tensor.Tensor)
	y, ok2 := b.(*tensor.Tensor)
	if !ok1 || !ok2 {
		if fmt.Sprint(a) == fmt.Sprint(b) {
			return OutputDiff{}
		}
		return diffSequences(a, b, opts)
	}
	d := OutputDiff{Shape: x.Shape()}
	if !tensor.SameShape(x, y) || x.DType() != y.DType() {
		d.Reason = fmt.Sprintf("%v%v and %v%v", x.DType(), x.Shape(), y.DType(), y.Shape())
		return d
	}
	if x.DType() == tensor.String {
		for i, s := range x.Strings() {
			if s != y.Strings()[i] {
				d.Bad++
			}
		}
		return d
	}
	p, err1 := x.Float64s()
	q, err2 := y.Float64s()
	if err1 != nil || err2 != nil {
		d.Reason = fmt.Sprintf("%v can't be compared", x.DType())
		return d
	}
	for i, v := range p {
		w := q[i]
		if v == w || math.IsNaN(v) && math.IsNaN(w) {
			continue
		}
		abs := math.Abs(v - w)
		d.MaxAbs = math.Max(d.MaxAbs, abs)
		d.MaxRel = math.Max(d.MaxRel, abs/math.Max(math.Abs(v), 1e-30))
		d.MaxULP = math.Max(d.MaxULP, abs/ulp(x.DType(), v))
		if !(abs <= opts.AbsTol+opts.RelTol*math.Abs(v)) {
			d.Bad++
		}
	}
	return d
}

// ulp is the distance of v to the next number of its type; 1 for integers.
func ulp(t tensor.DType, v float64) float64 {
	bits, least := 1, 0 // of the significand, and the exponent of the last place of the smallest normal number
	switch t {
	case tensor.Float64:
		bits, least = 53, -1074
	case tensor.Float32:
		bits, least = 24, -149
	case tensor.BFloat16:
		bits, least = 8, -133
	case tensor.Float16:
		bits, least = 11, -24
	default:
		return 1
	}
	_, exp := math.Frexp(v)
	return math.Ldexp(1, max(exp-bits, least))
}

// diffSequences compares sequences element by element, and maps by their values.
func diffSequences(a, b tensor.Value, opts CompareOptions) OutputDiff {
	switch x := a.(type) {
	case *tensor.Sequence:
		y, ok := b.(*tensor.Sequence)
		if !ok || len(x.Elems) != len(y.Elems) {
			return OutputDiff{Reason: "sequences of different lengths"}
		}
		d := OutputDiff{}
		for i := range x.Elems {
			e := diff(x.Elems[i], y.Elems[i], opts)
			d.MaxAbs, d.MaxRel = math.Max(d.MaxAbs, e.MaxAbs), math.Max(d.MaxRel, e.MaxRel)
			d.Bad += e.Bad
			if d.Reason == "" {
				d.Reason = e.Reason
			}
		}
		return d
	case *tensor.Map:
		y, ok := b.(*tensor.Map)
		if !ok {
			return OutputDiff{Reason: "a map and something else"}
		}
		if k := diff(x.Keys, y.Keys, opts); k.Bad > 0 || k.Reason != "" {
			return OutputDiff{Reason: "maps with different keys"}
		}
		return diff(x.Values, y.Values, opts)
	case *tensor.Optional:
		if y, ok := b.(*tensor.Optional); ok && x.Elem != nil && y.Elem != nil {
			return diff(x.Elem, y.Elem, opts)
		}
	}
	return OutputDiff{Reason: fmt.Sprintf("%T and %T", a, b)}
}
