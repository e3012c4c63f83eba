package metric

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// AUC is the area under a curve over thresholds: Curve ROC, PR or PRGAIN, summed by SummationMethod
// interpolation, minoring or majoring.
type AUC struct {
	Base
	NumThresholds   int        `json:"num_thresholds"` // 0: 200
	Curve           string     `json:"curve"`
	SummationMethod string     `json:"summation_method"`
	Thresholds      Thresholds `json:"thresholds"` // those inside (0, 1), instead of even ones
	MultiLabel      bool       `json:"multi_label"`
	NumLabels       *int       `json:"num_labels"`
	LabelWeights    []float64  `json:"label_weights"`
	FromLogits      bool       `json:"from_logits"`
}

func (m *AUC) counts() *counts {
	c := &counts{}
	if len(m.Thresholds) > 0 {
		inner := slices.Sorted(slices.Values(m.Thresholds))
		c.even = evenly(slices.Concat([]float64{0}, inner, []float64{1}))
		c.thresholds = slices.Concat([]float64{-Epsilon}, inner, []float64{1 + Epsilon})
	} else {
		n := m.NumThresholds
		if n == 0 {
			n = 200
		}
		c.thresholds, c.even = linear(n, Epsilon), true
	}
	if m.MultiLabel {
		c.labels = -1
		if m.NumLabels != nil {
			c.labels = *m.NumLabels
		} else if n := len(m.s); n > 0 {
			c.labels = n / 4 / len(c.thresholds)
		}
	} else {
		c.labelWeights = m.LabelWeights
	}
	return c
}

func (m *AUC) check() error {
	switch m.Curve {
	case "", "ROC", "roc", "PR", "pr", "PRGAIN", "prgain":
	default:
		return errs.Errorf("metric: AUC curve %q is none of ROC, PR, PRGAIN", m.Curve)
	}
	switch m.SummationMethod {
	case "", "interpolation", "Interpolation", "minoring", "Minoring", "majoring", "Majoring":
	default:
		return errs.Errorf("metric: AUC summation method %q is none of interpolation, minoring, majoring",
			m.SummationMethod)
	}
	if m.NumThresholds == 1 || m.NumThresholds < 0 {
		return errs.Errorf("metric: AUC needs more than %d thresholds", m.NumThresholds)
	}
	return nil
}

// Update implements Metric.
func (m *AUC) Update(yTrue, yPred, weight *tensor.Tensor) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.FromLogits && yPred != nil {
		p, err := of(yPred)
		if err != nil {
			return err
		}
		yPred = tensor.New(tensor.Float32, p.shape...)
		for i, v := range p.v {
			tensor.As[float32](yPred)[i] = float32(sigmoid(v))
		}
	}
	return m.count(m.counts(), yTrue, yPred, weight)
}

// Result implements Metric.
func (m *AUC) Result() []float64 {
	c := m.counts()
	if c.labels < 0 {
		return []float64{0}
	}
	cols, th := c.columns(), len(c.thresholds)
	areas := make([]float64, cols)
	for l := range cols {
		var k [4][]float64
		for kind := range k {
			all := m.kind(kind, th*cols)
			for i := range th {
				k[kind] = append(k[kind], all[i*cols+l])
			}
		}
		areas[l] = m.area(k[0], k[1], k[2], k[3])
	}
	if !m.MultiLabel {
		return areas
	}
	if m.LabelWeights == nil {
		return []float64{sum(areas) / float64(cols)}
	}
	var s float64
	for l, a := range areas {
		s += a * m.LabelWeights[l]
	}
	return []float64{divNoNaN(s, sum(m.LabelWeights))}
}

func (m *AUC) area(tp, fp, tn, fn []float64) float64 {
	method := m.SummationMethod
	pr := m.Curve == "PR" || m.Curve == "pr"
	if pr && (method == "" || method == "interpolation" || method == "Interpolation") {
		return interpolatedPR(tp, fp, fn)
	}
	x, y := ratio(fp, tn), ratio(tp, fn)
	switch m.Curve {
	case "PR", "pr":
		x, y = ratio(tp, fn), ratio(tp, fp)
	case "PRGAIN", "prgain":
		x, y = gains(tp, fp, tn, fn)
	}
	var s float64
	for i := range len(x) - 1 {
		h := (y[i] + y[i+1]) / 2
		switch method {
		case "minoring", "Minoring":
			h = min(y[i], y[i+1])
		case "majoring", "Majoring":
			h = max(y[i], y[i+1])
		}
		s += (x[i] - x[i+1]) * h
	}
	return s
}

// gains are recall gain and precision gain.
func gains(tp, fp, tn, fn []float64) (x, y []float64) {
	for i := range tp {
		scale := divNoNaN(tp[i]+fn[i], tn[i]+fp[i])
		recall, prec := 1-scale*divNoNaN(fn[i], tp[i]), 1-scale*divNoNaN(fp[i], tp[i])
		if tp[i] == 0 {
			recall, prec = 0, 1
		}
		x, y = append(x, max(recall, 0)), append(y, prec)
	}
	return x, y
}

// interpolatedPR integrates precision over recall as Davis and Goadrich do ("The relationship between
// precision-recall and ROC curves", ICML 2006).
func interpolatedPR(tp, fp, fn []float64) float64 {
	var s float64
	for i := range len(tp) - 1 {
		dtp := tp[i] - tp[i+1]
		p0, p1 := tp[i]+fp[i], tp[i+1]+fp[i+1]
		slope := divNoNaN(dtp, max(p0-p1, 0))
		intercept := tp[i+1] - slope*p1
		r := 1.0
		if p0 > 0 && p1 > 0 {
			r = p0 / p1
		}
		s += divNoNaN(slope*(dtp+intercept*math.Log(r)), max(tp[i+1]+fn[i+1], 0))
	}
	return s
}
