package metric

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// FBetaScore is the weighted harmonic mean of precision and recall. Average is micro, macro, weighted, or
// empty for one number a class.
type FBetaScore struct {
	Base
	Average   string   `json:"average"`
	Beta      float64  `json:"beta"`      // 0: 1
	Threshold *float64 `json:"threshold"` // nil: the best class of each row is predicted
}

// Update implements Metric.
func (m *FBetaScore) Update(yTrue, yPred, weight *tensor.Tensor) error {
	t, p, err := both(yTrue, yPred)
	if err != nil {
		return err
	}
	switch {
	case m.Average != "" && m.Average != "micro" && m.Average != "macro" && m.Average != "weighted":
		return errs.Errorf("metric: FBetaScore average %q is none of micro, macro, weighted", m.Average)
	case p.rank() != 2 || !slices.Equal(t.shape, p.shape):
		return errs.Errorf("metric: FBetaScore takes two matrices, got %v and %v", t.shape, p.shape)
	}
	w := array{[]int{}, []float64{1}}
	if weight != nil {
		if w, err = of(weight); err != nil {
			return err
		}
		for w.rank() < 2 {
			w.shape = append(slices.Clone(w.shape), 1)
		}
	}
	if shape, err := joint(w.shape, p.shape); err != nil || !slices.Equal(shape, p.shape) {
		return errs.Errorf("metric: weights %v for predictions %v", w.shape, p.shape)
	}
	w = broadcast(w, p.shape)
	classes := p.dim(1)
	cols := classes
	if m.Average == "micro" {
		cols = 1
	}
	s := m.need(4 * cols)
	for i, truth := range t.v {
		c := i % classes % cols
		row := p.v[i-i%classes : i-i%classes+classes]
		pred := 0.0
		if m.predicted(p.v[i], row) {
			pred = 1
		}
		s[c] += w.v[i] * pred * truth
		s[cols+c] += w.v[i] * pred * (1 - truth)
		s[2*cols+c] += w.v[i] * (1 - pred) * truth
		s[3*cols+c] += w.v[i] * truth
	}
	return nil
}

func (m *FBetaScore) predicted(p float64, row []float64) bool {
	if m.Threshold != nil {
		return float32(p) > float32(*m.Threshold)
	}
	return p >= slices.Max(row) && math.Abs(p) > 1e-9
}

// Result implements Metric.
func (m *FBetaScore) Result() []float64 {
	n := len(m.s) / 4
	if n == 0 {
		return []float64{0}
	}
	beta := m.Beta
	if beta == 0 {
		beta = 1
	}
	scores := make([]float64, n)
	for c := range scores {
		prec := m.s[c] / (m.s[c] + m.s[n+c] + Epsilon)
		rec := m.s[c] / (m.s[c] + m.s[2*n+c] + Epsilon)
		scores[c] = prec * rec / (beta*beta*prec + rec + Epsilon) * (1 + beta*beta)
	}
	switch m.Average {
	case "weighted":
		total, out := sum(m.s[3*n:])+Epsilon, 0.0
		for c, f := range scores {
			out += f * m.s[3*n+c] / total
		}
		return []float64{out}
	case "micro", "macro":
		return []float64{sum(scores) / float64(n)}
	}
	return scores
}

// F1Score is FBetaScore with Beta 1.
type F1Score struct{ FBetaScore }

// R2Score is the coefficient of determination. ClassAggregation is uniform_average,
// variance_weighted_average, or "none" for one number an output.
type R2Score struct {
	Base
	ClassAggregation Aggregation `json:"class_aggregation"`
	NumRegressors    int         `json:"num_regressors"` // above 0: the adjusted score
}

// Aggregation is a way to join outputs; Keras writes "none" as null.
type Aggregation string

// UnmarshalJSON reads a string or null.
func (a *Aggregation) UnmarshalJSON(p []byte) error {
	if string(p) == "null" {
		*a = "none"
		return nil
	}
	*a = Aggregation(p[1 : len(p)-1])
	return nil
}

// Update implements Metric.
func (m *R2Score) Update(yTrue, yPred, weight *tensor.Tensor) error {
	t, p, err := both(yTrue, yPred)
	if err != nil {
		return err
	}
	t, p = sameRank(t, p, true)
	if p.rank() != 2 || !slices.Equal(t.shape, p.shape) {
		return errs.Errorf("metric: R2Score takes two matrices, got %v and %v", t.shape, p.shape)
	}
	w := array{[]int{}, []float64{1}}
	if weight != nil {
		if w, err = of(weight); err != nil {
			return err
		}
		if w.rank() == 1 {
			w.shape = []int{w.shape[0], 1}
		}
	}
	if shape, err := joint(w.shape, p.shape); err != nil || !slices.Equal(shape, p.shape) {
		return errs.Errorf("metric: weights %v for predictions %v", w.shape, p.shape)
	}
	w = broadcast(w, p.shape)
	n := p.dim(1)
	s := m.need(4*n + 1)
	for i, y := range t.v {
		c := i % n
		s[c] += y * w.v[i]
		s[n+c] += y * y * w.v[i]
		s[2*n+c] += squaredError(y, p.v[i]) * w.v[i]
		s[3*n+c] += w.v[i]
	}
	s[4*n] += float64(len(t.v)) // Keras counts numbers, not rows
	return nil
}

// Result implements Metric.
func (m *R2Score) Result() []float64 {
	n := len(m.s) / 4
	if n == 0 {
		return []float64{0}
	}
	s := m.s
	raw, total := make([]float64, n), make([]float64, n)
	for c := range raw {
		total[c] = s[n+c] - s[c]*(s[c]/s[3*n+c])
		if raw[c] = 1 - s[2*n+c]/total[c]; math.IsInf(raw[c], 0) {
			raw[c] = 0
		}
	}
	out := raw
	switch m.ClassAggregation {
	case "", "uniform_average":
		out = []float64{sum(raw) / float64(n)}
	case "variance_weighted_average":
		var weighted float64
		for c := range raw {
			weighted += raw[c] * total[c]
		}
		out = []float64{weighted / sum(total)}
	}
	if p, k := float64(m.NumRegressors), s[4*n]; p > 0 && p < k-1 {
		for i := range out {
			out[i] = 1 - (1-out[i])*(k-1)/(k-p-1)
		}
	}
	return out
}

// iou is the confusion matrix of classes, from which the IoU family takes its results. Counts are whole
// numbers, as in Keras: a weight is truncated.
type iou struct {
	Base
	NumClasses     int   `json:"num_classes"`
	TargetClassIDs []int `json:"target_class_ids"`
	IgnoreClass    *int  `json:"ignore_class"`
	SparseYTrue    *bool `json:"sparse_y_true"`
	SparseYPred    *bool `json:"sparse_y_pred"`
	Axis           *int  `json:"axis"`
	DType          Type  `json:"dtype"` // float32 keeps fractional weights
}

// Type is an element type's name, or null.
type Type string

// UnmarshalJSON reads a string, a policy object or null.
func (t *Type) UnmarshalJSON(p []byte) error {
	if len(p) > 1 && p[0] == '"' {
		*t = Type(p[1 : len(p)-1])
	}
	return nil
}

func (m *iou) fractional() bool { return len(m.DType) > 5 && m.DType[:5] == "float" }

func (m *iou) update(yTrue, yPred, weight *tensor.Tensor, sparseTrue, sparsePred bool) error {
	t, p, err := both(yTrue, yPred)
	if err == nil {
		t, err = m.classes(t, sparseTrue)
	}
	if err == nil {
		p, err = m.classes(p, sparsePred)
	}
	if err != nil {
		return err
	}
	if m.NumClasses <= 0 {
		return errs.Errorf("metric: %s needs a positive num_classes", m.Name())
	}
	if len(t.v) != len(p.v) {
		return errs.Errorf("metric: targets %v against predictions %v", t.shape, p.shape)
	}
	w := make([]float64, len(t.v))
	for i := range w {
		w[i] = 1
	}
	if weight != nil {
		a, err := of(weight)
		if err != nil {
			return err
		}
		if len(a.v) != len(w) && len(a.v) != 1 {
			return errs.Errorf("metric: %d weights for %d elements", len(a.v), len(w))
		}
		for i := range w {
			w[i] = a.v[min(i, len(a.v)-1)]
			if !m.fractional() {
				w[i] = math.Trunc(w[i])
			}
		}
	}
	n := m.NumClasses
	s := m.need(n * n)
	for i := range t.v {
		a, b := int(t.v[i]), int(p.v[i])
		if a < 0 || a >= n || b < 0 || b >= n || m.IgnoreClass != nil && a == *m.IgnoreClass {
			continue
		}
		s[a*n+b] += w[i]
	}
	return nil
}

func (m *iou) classes(a array, sparse bool) (array, error) {
	if sparse {
		return a, nil
	}
	a, err := axisLast(a, axisOr(m.Axis))
	if err != nil {
		return a, err
	}
	return rows(a, a, func(v, _ []float64) float64 { return float64(argmax(v)) }), nil
}

func boolOr(b *bool, def bool) bool {
	if b == nil {
		return def
	}
	return *b
}

func (m *iou) over(targets []int) []float64 {
	n := m.NumClasses
	s := m.need(n * n)
	var total, valid float64
	for _, c := range targets {
		if c < 0 || c >= n {
			return []float64{math.NaN()}
		}
		var row, col float64
		for k := range n {
			row += s[c*n+k]
			col += s[k*n+c]
		}
		if den := row + col - s[c*n+c]; den > 1e-9 {
			total += s[c*n+c] / (den + Epsilon)
			valid++
		}
	}
	return []float64{total / (valid + Epsilon)}
}

func (m *iou) all() []int {
	ids := make([]int, m.NumClasses)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// IoU is the intersection over union of TargetClassIDs, averaged.
type IoU struct{ iou }

// Update implements Metric.
func (m *IoU) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.update(yTrue, yPred, weight, boolOr(m.SparseYTrue, true), boolOr(m.SparseYPred, true))
}

// Result implements Metric.
func (m *IoU) Result() []float64 { return m.over(m.TargetClassIDs) }

// MeanIoU is IoU over all classes.
type MeanIoU struct{ iou }

// Update implements Metric.
func (m *MeanIoU) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.update(yTrue, yPred, weight, boolOr(m.SparseYTrue, true), boolOr(m.SparseYPred, true))
}

// Result implements Metric.
func (m *MeanIoU) Result() []float64 { return m.over(m.all()) }

// OneHotIoU is IoU of one-hot targets and of predictions with one score a class.
type OneHotIoU struct{ iou }

// Update implements Metric.
func (m *OneHotIoU) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.update(yTrue, yPred, weight, false, boolOr(m.SparseYPred, false))
}

// Result implements Metric.
func (m *OneHotIoU) Result() []float64 { return m.over(m.TargetClassIDs) }

// OneHotMeanIoU is OneHotIoU over all classes.
type OneHotMeanIoU struct{ iou }

// Update implements Metric.
func (m *OneHotMeanIoU) Update(yTrue, yPred, weight *tensor.Tensor) error {
	return m.update(yTrue, yPred, weight, false, boolOr(m.SparseYPred, false))
}

// Result implements Metric.
func (m *OneHotMeanIoU) Result() []float64 { return m.over(m.all()) }

// BinaryIoU is IoU of two classes, told apart by Threshold.
type BinaryIoU struct {
	iou
	Threshold *float64 `json:"threshold"` // nil: 0.5
}

// Update implements Metric.
func (m *BinaryIoU) Update(yTrue, yPred, weight *tensor.Tensor) error {
	p, err := of(yPred)
	if err != nil {
		return err
	}
	th := float32(0.5)
	if m.Threshold != nil {
		th = float32(*m.Threshold)
	}
	m.NumClasses = 2
	classes := tensor.New(tensor.Float64, p.shape...)
	for i, v := range p.v {
		if float32(v) >= th {
			tensor.As[float64](classes)[i] = 1
		}
	}
	return m.update(yTrue, classes, weight, true, true)
}

// Result implements Metric.
func (m *BinaryIoU) Result() []float64 {
	m.NumClasses = 2
	if m.TargetClassIDs == nil {
		return m.over([]int{0, 1})
	}
	return m.over(m.TargetClassIDs)
}
