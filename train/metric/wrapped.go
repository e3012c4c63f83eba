package metric

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// wrap is Keras' MeanMetricWrapper: the mean of a function of targets and predictions.
func (b *Base) wrap(yTrue, yPred, weight *tensor.Tensor, f func(t, p array) (array, error)) error {
	t, p, err := both(yTrue, yPred)
	if err != nil {
		return err
	}
	v, err := f(t, p)
	if err != nil {
		return errs.Errorf("%s: %w", b.Name(), err)
	}
	return b.add(v, weight)
}

// fnMetric is a metric without parameters that averages a function.
type fnMetric struct {
	Base
	f func(t, p array) (array, error)
}

// Update implements Metric.
func (m *fnMetric) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, m.f)
}

// Result implements Metric.
func (m *fnMetric) Result() []float64 { return []float64{m.mean()} }

// BinaryAccuracy is how often predictions above Threshold match the targets.
type BinaryAccuracy struct {
	Base
	Threshold *float64 `json:"threshold"` // nil: 0.5
}

// Update implements Metric.
func (m *BinaryAccuracy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	th := float32(0.5)
	if m.Threshold != nil {
		th = float32(*m.Threshold)
	}
	return m.wrap(yTrue, yPred, weight, func(t, p array) (array, error) {
		return elementwise(t, p, func(t, p float64) bool {
			above := 0.0
			if float32(p) > th {
				above = 1
			}
			return t == above
		})
	})
}

// Result implements Metric.
func (m *BinaryAccuracy) Result() []float64 { return []float64{m.mean()} }

// TopKCategoricalAccuracy is how often the class of a one-hot target is among the K best predictions.
type TopKCategoricalAccuracy struct {
	Base
	K int `json:"k"` // 0: 5
}

// Update implements Metric.
func (m *TopKCategoricalAccuracy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, func(t, p array) (array, error) { return topK(t, p, orFive(m.K), false, false) })
}

func orFive(k int) int {
	if k == 0 {
		return 5
	}
	return k
}

// Result implements Metric.
func (m *TopKCategoricalAccuracy) Result() []float64 { return []float64{m.mean()} }

// SparseTopKCategoricalAccuracy is TopKCategoricalAccuracy for class numbers as targets.
type SparseTopKCategoricalAccuracy struct {
	Base
	K             int  `json:"k"` // 0: 5
	FromSortedIDs bool `json:"from_sorted_ids"`
}

// Update implements Metric.
func (m *SparseTopKCategoricalAccuracy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, func(t, p array) (array, error) {
		return topK(t, p, orFive(m.K), true, m.FromSortedIDs)
	})
}

// Result implements Metric.
func (m *SparseTopKCategoricalAccuracy) Result() []float64 { return []float64{m.mean()} }

// BinaryCrossentropy is the cross-entropy of targets that are 0, 1 or between.
type BinaryCrossentropy struct {
	Base
	FromLogits     bool    `json:"from_logits"`
	LabelSmoothing float64 `json:"label_smoothing"`
}

// Update implements Metric.
func (m *BinaryCrossentropy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, binaryCrossentropy(m.FromLogits, m.LabelSmoothing))
}

// Result implements Metric.
func (m *BinaryCrossentropy) Result() []float64 { return []float64{m.mean()} }

// CategoricalCrossentropy is the cross-entropy of one-hot targets.
type CategoricalCrossentropy struct {
	Base
	FromLogits     bool    `json:"from_logits"`
	LabelSmoothing float64 `json:"label_smoothing"`
	Axis           *int    `json:"axis"` // nil: the last
}

// Update implements Metric.
func (m *CategoricalCrossentropy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, categoricalCrossentropy(m.FromLogits, m.LabelSmoothing, axisOr(m.Axis)))
}

func axisOr(a *int) int {
	if a == nil {
		return -1
	}
	return *a
}

// Result implements Metric.
func (m *CategoricalCrossentropy) Result() []float64 { return []float64{m.mean()} }

// SparseCategoricalCrossentropy is the cross-entropy of class numbers as targets; targets equal to
// IgnoreClass don't count.
type SparseCategoricalCrossentropy struct {
	Base
	FromLogits  bool `json:"from_logits"`
	IgnoreClass *int `json:"ignore_class"`
	Axis        *int `json:"axis"` // nil: the last
}

// Update implements Metric.
func (m *SparseCategoricalCrossentropy) Update(yTrue, yPred, weight *tensor.Tensor) error {
	t, p, err := both(yTrue, yPred)
	if err == nil {
		p, err = axisLast(p, axisOr(m.Axis))
	}
	if err == nil {
		t, err = classRows(t, p)
	}
	if err != nil {
		return errs.Errorf("%s: %w", m.Name(), err)
	}
	n := p.dim(-1)
	out := array{t.shape, make([]float64, len(t.v))}
	mask := tensor.New(tensor.Float64, t.shape...)
	kept := tensor.As[float64](mask)
	for i, c := range t.v {
		if m.IgnoreClass != nil && c == float64(*m.IgnoreClass) {
			continue
		}
		if c < 0 || int(c) >= n {
			return errs.Errorf("%s: class %v of %d", m.Name(), c, n)
		}
		out.v[i] = -logProbs(p.v[i*n:(i+1)*n], m.FromLogits)[int(c)]
		kept[i] = 1
	}
	if m.IgnoreClass == nil {
		return m.add(out, weight)
	}
	if weight != nil {
		w, err := of(weight)
		if err != nil {
			return err
		}
		k, w := sameRank(array{t.shape, kept}, w, true)
		shape, err := joint(k.shape, w.shape)
		if err != nil {
			return err
		}
		k, w = broadcast(k, shape), broadcast(w, shape)
		mask = tensor.New(tensor.Float64, shape...)
		for i := range k.v {
			tensor.As[float64](mask)[i] = k.v[i] * w.v[i]
		}
	}
	return m.add(out, mask)
}

// Result implements Metric.
func (m *SparseCategoricalCrossentropy) Result() []float64 { return []float64{m.mean()} }

// alongAxis is a metric that averages a function of the vectors along Axis.
type alongAxis struct {
	Base
	Axis *int `json:"axis"` // nil: the last
}

// Result implements Metric.
func (m *alongAxis) Result() []float64 { return []float64{m.mean()} }

// CosineSimilarity is the cosine between targets and predictions.
type CosineSimilarity struct{ alongAxis }

// Update implements Metric.
func (m *CosineSimilarity) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, onAxis(axisOr(m.Axis), cosine))
}

// PearsonCorrelation is the correlation of targets and predictions.
type PearsonCorrelation struct{ alongAxis }

// Update implements Metric.
func (m *PearsonCorrelation) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, onAxis(axisOr(m.Axis), pearson))
}

// ConcordanceCorrelation is Lin's concordance as Keras computes it.
type ConcordanceCorrelation struct{ alongAxis }

// Update implements Metric.
func (m *ConcordanceCorrelation) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, onAxis(axisOr(m.Axis), concordance))
}

// RootMeanSquaredError is the root of the mean squared error over all elements.
type RootMeanSquaredError struct{ Base }

// Update implements Metric.
func (m *RootMeanSquaredError) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.wrap(yTrue, yPred, weight, func(t, p array) (array, error) {
		t, p, err := aligned(t, p)
		if err != nil {
			return p, err
		}
		out := array{p.shape, make([]float64, len(p.v))}
		for i := range p.v {
			out.v[i] = squaredError(t.v[i], p.v[i])
		}
		return out, nil
	})
}

// Result implements Metric.
func (m *RootMeanSquaredError) Result() []float64 { return []float64{math.Sqrt(m.mean())} }
