package metric

import (
	"math"
	"slices"
	"sort"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// negInf is what Keras gives predictions outside the top k.
const negInf = -1e10

// Thresholds is one threshold or a list; Keras writes both.
type Thresholds []float64

// UnmarshalJSON reads a number, a list or null.
func (t *Thresholds) UnmarshalJSON(p []byte) error { return numberOrList(p, (*[]float64)(t)) }

// counts accumulates the four confusion counts for each threshold (and label), in the order tp, fp, tn, fn.
type counts struct {
	thresholds   []float64
	even         bool // evenly spaced over [0, 1]
	topK         int
	classID      *int
	labels       int // 0: all labels together
	labelWeights []float64
}

// evenly is Keras' test, numpy.allclose with the fuzz factor.
func evenly(th []float64) bool {
	if len(th) < 3 {
		return false
	}
	for i, v := range th {
		want := float64(float32(i) / float32(len(th)-1))
		if math.Abs(v-want) > Epsilon+1e-5*math.Abs(want) {
			return false
		}
	}
	return true
}

func checkThresholds(th []float64) error {
	for _, v := range th {
		if !(v >= 0 && v <= 1) {
			return errs.Errorf("metric: threshold %v is outside [0, 1]", v)
		}
	}
	return nil
}

// confusion is a batch ready to be counted: predictions, truth and weight per element.
type confusion struct {
	p      []float32
	t      []bool
	w      []float64
	labels int // elements in a row
}

func (c *counts) prepare(yTrue, yPred, weight *tensor.Tensor) (confusion, error) {
	t, p, err := both(yTrue, yPred)
	if err != nil {
		return confusion{}, err
	}
	p, t = sameRank(p, t, true)
	if !slices.Equal(t.shape, p.shape) {
		return confusion{}, errs.Errorf("metric: targets %v against predictions %v", t.shape, p.shape)
	}
	w := array{[]int{}, []float64{1}}
	if weight != nil {
		if w, err = of(weight); err != nil {
			return confusion{}, err
		}
		w.shape = append(slices.Clone(w.shape), 1)
		if w.rank() == t.rank()+1 {
			w.shape = w.shape[:t.rank()]
		}
	}
	if c.topK > 0 && p.rank() > 0 {
		p = filterTopK(p, c.topK)
	}
	if c.classID != nil {
		if p, t, err = oneClass(p, t, *c.classID); err != nil {
			return confusion{}, err
		}
	}
	if shape, err := joint(w.shape, p.shape); err != nil || !slices.Equal(shape, p.shape) {
		return confusion{}, errs.Errorf("metric: weights %v for predictions %v", w.shape, p.shape)
	}
	out := confusion{w: slices.Clone(broadcast(w, p.shape).v), labels: 1}
	if p.rank() > 1 {
		out.labels = p.dim(-1)
	}
	for i, v := range p.v {
		out.p = append(out.p, float32(v))
		out.t = append(out.t, t.v[i] != 0)
		if c.labelWeights != nil && c.labels == 0 {
			if len(c.labelWeights) != out.labels {
				return out, errs.Errorf("metric: %d label weights for %d labels", len(c.labelWeights), out.labels)
			}
			out.w[i] *= c.labelWeights[i%out.labels]
		}
	}
	return out, nil
}

func filterTopK(p array, k int) array {
	n := p.dim(-1)
	out := array{p.shape, slices.Clone(p.v)}
	for i := 0; i+n <= len(p.v); i += n {
		order := make([]int, n)
		for j := range order {
			order[j] = j
		}
		row := p.v[i : i+n]
		sort.SliceStable(order, func(a, b int) bool { return row[order[a]] > row[order[b]] })
		for _, j := range order[min(k, n):] {
			out.v[i+j] = negInf
		}
	}
	return out
}

func oneClass(p, t array, id int) (array, array, error) {
	if p.rank() < 2 {
		return p, t, errs.Errorf("metric: class_id needs predictions of rank 2, got %v", p.shape)
	}
	n := p.dim(-1)
	if id < -n || id >= n {
		return p, t, errs.Errorf("metric: class_id %d of %d classes", id, n)
	}
	id = (id + n) % n
	shape := append(slices.Clone(p.shape[:p.rank()-1]), 1)
	q, u := array{shape, nil}, array{shape, nil}
	for i := id; i < len(p.v); i += n {
		q.v, u.v = append(q.v, p.v[i]), append(u.v, t.v[i])
	}
	return q, u, nil
}

// columns is the number of label columns that are counted apart.
func (c *counts) columns() int { return max(1, c.labels) }

// update adds a batch to s, which holds tp, fp, tn, fn, each thresholds × columns.
func (c *counts) update(s []float64, b confusion) {
	th, cols := len(c.thresholds), c.columns()
	at := func(kind, i, l int) *float64 { return &s[(kind*th+i)*cols+l] }
	withEpsilon := c.thresholds[0] < 0 || c.thresholds[th-1] > 1
	limits := make([]float32, th)
	for i, v := range c.thresholds {
		limits[i] = float32(v)
	}
	for e, p := range b.p {
		l := 0
		if c.labels > 0 {
			l = e % b.labels
		}
		above := 0 // the thresholds 0 to above-1 are exceeded
		if c.even {
			p = min(max(p, 0), 1)
			bucket := int(math.Ceil(float64(p*float32(th-1)))) - 1
			if withEpsilon {
				bucket = max(bucket, 0)
			}
			above = bucket + 1
		}
		for i := range limits {
			pos := i < above
			if !c.even {
				pos = p > limits[i]
			}
			switch {
			case pos && b.t[e]:
				*at(0, i, l) += b.w[e]
			case pos:
				*at(1, i, l) += b.w[e]
			case b.t[e]:
				*at(3, i, l) += b.w[e]
			default:
				*at(2, i, l) += b.w[e]
			}
		}
	}
}

// add prepares and counts a batch into the metric's state.
func (b *Base) count(c *counts, yTrue, yPred, weight *tensor.Tensor) error {
	batch, err := c.prepare(yTrue, yPred, weight)
	if err != nil {
		return errs.Errorf("%s: %w", b.Name(), err)
	}
	if c.labels < 0 {
		c.labels = batch.labels
	}
	if c.labels > 0 && c.labels != batch.labels {
		return errs.Errorf("%s: %d labels, expected %d", b.Name(), batch.labels, c.labels)
	}
	c.update(b.need(4*len(c.thresholds)*c.columns()), batch)
	return nil
}

// kind is one of the four counts, per threshold (and label).
func (b *Base) kind(i, n int) []float64 {
	s := b.need(4 * n)
	return s[i*n : (i+1)*n]
}

// conditionCount counts one of the four cases.
type conditionCount struct {
	Base
	Thresholds Thresholds `json:"thresholds"` // none: 0.5
	which      int
}

func thresholdsOr(th Thresholds, def float64) []float64 {
	if len(th) == 0 {
		return []float64{def}
	}
	return th
}

// Update implements Metric.
func (m *conditionCount) Update(yTrue, yPred, weight *tensor.Tensor) error {
	th := thresholdsOr(m.Thresholds, 0.5)
	if err := checkThresholds(th); err != nil {
		return err
	}
	return m.count(&counts{thresholds: th, even: evenly(th)}, yTrue, yPred, weight)
}

// Result implements Metric.
func (m *conditionCount) Result() []float64 {
	return slices.Clone(m.kind(m.which, len(thresholdsOr(m.Thresholds, 0.5))))
}

// rate is Precision or Recall: true positives over them and another count.
type rate struct {
	Base
	Thresholds Thresholds `json:"thresholds"` // none: 0.5, or with TopK none at all
	TopK       *int       `json:"top_k"`
	ClassID    *int       `json:"class_id"`
}

func (m *rate) thresholds() []float64 {
	if m.TopK != nil {
		return thresholdsOr(m.Thresholds, negInf)
	}
	return thresholdsOr(m.Thresholds, 0.5)
}

// Update implements Metric.
func (m *rate) Update(yTrue, yPred, weight *tensor.Tensor) error {
	if err := checkThresholds(m.Thresholds); err != nil {
		return err
	}
	c := &counts{thresholds: m.thresholds(), even: evenly(m.thresholds()), classID: m.ClassID}
	if m.TopK != nil {
		c.topK = *m.TopK
	}
	return m.count(c, yTrue, yPred, weight)
}

// against is true positives over themselves and another kind.
func (m *rate) against(other int) []float64 {
	n := len(m.thresholds())
	return ratio(m.kind(0, n), m.kind(other, n))
}

// ratio is a/(a+b), 0 where there is nothing.
func ratio(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = divNoNaN(a[i], a[i]+b[i])
	}
	return out
}

// Precision is the share of true ones among those predicted.
type Precision struct{ rate }

// Result implements Metric.
func (m *Precision) Result() []float64 { return m.against(1) }

// Recall is the share of true ones that were predicted.
type Recall struct{ rate }

// Result implements Metric.
func (m *Recall) Result() []float64 { return m.against(3) }

// constrained is the best of one rate where another is at least Value.
type constrained struct {
	Base
	NumThresholds int  `json:"num_thresholds"` // 0: 200
	ClassID       *int `json:"class_id"`
}

func (m *constrained) thresholds() []float64 {
	n := m.NumThresholds
	if n == 0 {
		n = 200
	}
	if n == 1 {
		return []float64{0.5}
	}
	return linear(n, 0)
}

// linear is n thresholds from 0-eps to 1+eps, evenly spaced inside.
func linear(n int, eps float64) []float64 {
	th := make([]float64, n)
	for i := range th {
		th[i] = float64(i) / float64(n-1)
	}
	th[0], th[n-1] = -eps, 1+eps
	return th
}

// Update implements Metric.
func (m *constrained) Update(yTrue, yPred, weight *tensor.Tensor) error {
	th := m.thresholds()
	return m.count(&counts{thresholds: th, even: len(th) > 1, classID: m.ClassID}, yTrue, yPred, weight)
}

// best is the largest of dep where con is at least value: each is a pair of kinds (tp 0, fp 1, tn 2, fn 3).
func (m *constrained) best(con, dep [2]int, value float64) []float64 {
	n := len(m.thresholds())
	c := ratio(m.kind(con[0], n), m.kind(con[1], n))
	d := ratio(m.kind(dep[0], n), m.kind(dep[1], n))
	out := 0.0
	for i := range c {
		if float32(c[i]) >= float32(value) {
			out = max(out, d[i])
		}
	}
	return []float64{out}
}

var (
	sensitivity = [2]int{0, 3}
	specificity = [2]int{2, 1}
	precision   = [2]int{0, 1}
)

// SensitivityAtSpecificity is the best sensitivity at a threshold whose specificity is at least Specificity.
type SensitivityAtSpecificity struct {
	constrained
	Specificity float64 `json:"specificity"`
}

// Result implements Metric.
func (m *SensitivityAtSpecificity) Result() []float64 {
	return m.best(specificity, sensitivity, m.Specificity)
}

// SpecificityAtSensitivity is the best specificity at a threshold whose sensitivity is at least Sensitivity.
type SpecificityAtSensitivity struct {
	constrained
	Sensitivity float64 `json:"sensitivity"`
}

// Result implements Metric.
func (m *SpecificityAtSensitivity) Result() []float64 {
	return m.best(sensitivity, specificity, m.Sensitivity)
}

// PrecisionAtRecall is the best precision at a threshold whose recall is at least Recall.
type PrecisionAtRecall struct {
	constrained
	Recall float64 `json:"recall"`
}

// Result implements Metric.
func (m *PrecisionAtRecall) Result() []float64 { return m.best(sensitivity, precision, m.Recall) }

// RecallAtPrecision is the best recall at a threshold whose precision is at least Precision.
type RecallAtPrecision struct {
	constrained
	Precision float64 `json:"precision"`
}

// Result implements Metric.
func (m *RecallAtPrecision) Result() []float64 { return m.best(precision, sensitivity, m.Precision) }
