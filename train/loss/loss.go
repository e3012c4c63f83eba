// Package loss writes Keras' losses as graph nodes: a value per sample from targets and predictions, then
// weights, mask and reduction.
package loss

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

// Epsilon is Keras' fuzz factor.
const Epsilon = 1e-7

// Loss is what training makes small. The exported fields of the structs in this package are Keras' config.
type Loss interface {
	// Values is the loss per sample (or per element, where the last axis is not all there is), and
	// optionally the mask of those that count. Both operands have the predictions' element type, unless
	// the targets are class numbers.
	Values(e expr.E, yTrue, yPred *graph.Value) (values, mask *graph.Value)
	// Common is the name and reduction.
	Common() Config
}

// Config is what all losses have.
type Config struct {
	Name      string    `json:"name"`
	Reduction Reduction `json:"reduction"` // empty: sum_over_batch_size
}

// Common implements Loss.
func (c Config) Common() Config { return c }

// Reduction joins the samples' losses.
type Reduction string

// The reductions. SumOverBatchSize and Mean are the same; MeanWithSampleWeight divides by the weights' sum.
const (
	SumOverBatchSize     Reduction = "sum_over_batch_size"
	Sum                  Reduction = "sum"
	Mean                 Reduction = "mean"
	MeanWithSampleWeight Reduction = "mean_with_sample_weight"
	None                 Reduction = "none"
)

// UnmarshalJSON reads a name, or null for None.
func (r *Reduction) UnmarshalJSON(p []byte) error {
	if string(p) == "null" {
		*r = None
		return nil
	}
	if len(p) > 1 {
		*r = Reduction(p[1 : len(p)-1])
	}
	return r.check()
}

func (r Reduction) check() error {
	switch r {
	case "", SumOverBatchSize, Sum, Mean, MeanWithSampleWeight, None:
		return nil
	}
	return errs.Errorf("loss: unknown reduction %q", string(r))
}

// Build is l of predictions against targets, reduced. weight (a number per sample or element) and mask (of
// the predictions, as layers pass it on) may be nil. It fails through b where shapes don't fit.
func Build(b *graph.Builder, l Loss, yTrue, yPred, weight, mask *graph.Value) *graph.Value {
	e := expr.E{B: b}
	if yTrue.Type.Rank() < 0 || yPred.Type.Rank() < 0 {
		b.Fail(errs.Errorf("loss: the ranks of targets %v and predictions %v must be known", yTrue.Type, yPred.Type))
		return e.C(yPred, 0)
	}
	if err := l.Common().Reduction.check(); err != nil {
		b.Fail(err)
	}
	yTrue = e.Cast(yTrue, yPred.Type.DType)
	yTrue, yPred = SameRank(e, yTrue, yPred, true)
	values, own := l.Values(e, yTrue, yPred)
	switch {
	case mask == nil:
		mask = own
	case own != nil:
		m, o := SameRank(e, e.Cast(mask, tensor.Bool), own, true)
		mask = e.And(m, o)
	}
	return Reduce(e, values, weight, mask, l.Common().Reduction)
}

// SameRank drops or adds a last dimension of 1 where the ranks differ by one. expand allows adding one to a
// vector.
func SameRank(e expr.E, x, y *graph.Value, expand bool) (*graph.Value, *graph.Value) {
	rx, ry := x.Type.Rank(), y.Type.Rank()
	one := func(v *graph.Value) bool {
		n, ok := v.Type.Dims[v.Type.Rank()-1].Const()
		return ok && n == 1
	}
	switch {
	case rx == ry+1 && one(x):
		if ry == 1 && expand {
			return x, e.Unsqueeze(y, -1)
		}
		return e.Squeeze(x, -1), y
	case ry == rx+1 && one(y):
		if rx == 1 && expand {
			return e.Unsqueeze(x, -1), y
		}
		return x, e.Squeeze(y, -1)
	}
	return x, y
}

// Reduce weights and masks values and joins them, as Keras' reduce_weighted_values does.
func Reduce(e expr.E, values, weight, mask *graph.Value, r Reduction) *graph.Value {
	dt := values.Type.DType
	if weight != nil {
		weight = e.Cast(weight, dt)
	}
	if mask != nil {
		weight = Mask(e, weight, mask, dt, r)
	}
	if weight != nil {
		values, weight = SameRank(e, values, weight, true)
		values = e.Mul(values, weight)
	}
	if r == None || values.Type.Rank() == 0 {
		return values
	}
	total := e.Sum(values, false)
	switch {
	case r == Sum:
		return total
	case r == MeanWithSampleWeight && weight != nil:
		return e.DivNoNaN(total, e.Sum(weight, false))
	}
	return e.Div(total, e.Count(values, dt))
}

// Mask is sample weights with a mask worked in. For means, what is left counts as if it were the whole.
func Mask(e expr.E, weight, mask *graph.Value, dt tensor.DType, r Reduction) *graph.Value {
	m := e.Cast(mask, dt)
	if r == "" || r == SumOverBatchSize || r == Mean {
		m = e.Mul(m, e.DivNoNaN(e.Count(mask, dt), e.Sum(m, false)))
	}
	if weight == nil {
		return m
	}
	m, weight = SameRank(e, m, e.Cast(weight, dt), true)
	return e.Mul(weight, m)
}

// rank fails where x's rank is not n.
func rank(e expr.E, name, what string, x *graph.Value, n int) {
	if x.Type.Rank() != n {
		e.B.Fail(errs.Errorf("loss: %s takes %s of rank %d, got %v", name, what, n, x.Type))
	}
}
