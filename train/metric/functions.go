package metric

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
)

// Each function below is Keras' of that name: one value per row (the last axis gone) or per element.

// perRow aligns both sides and applies f to rows.
func perRow(f func(t, p []float64) float64) func(t, p array) (array, error) {
	return func(t, p array) (array, error) {
		t, p, err := aligned(t, p)
		if err != nil {
			return t, err
		}
		return rows(t, p, f), nil
	}
}

// meanOf makes the mean over a row of f of each pair.
func meanOf(f func(t, p float64) float64) func(t, p array) (array, error) {
	return perRow(func(t, p []float64) float64 {
		var s float64
		for i := range p {
			s += f(t[i], p[i])
		}
		return s / float64(len(p))
	})
}

func squaredError(t, p float64) float64  { return (t - p) * (t - p) }
func absoluteError(t, p float64) float64 { return math.Abs(t - p) }
func percentageError(t, p float64) float64 {
	return 100 * math.Abs((t-p)/max(math.Abs(t), Epsilon))
}
func squaredLogError(t, p float64) float64 {
	d := math.Log(max(p, Epsilon)+1) - math.Log(max(t, Epsilon)+1)
	return d * d
}
func logCosh(t, p float64) float64 {
	x := p - t
	return x + softplus(-2*x) - math.Ln2
}
func poisson(t, p float64) float64 { return p - t*math.Log(p+Epsilon) }

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// clipProb is the clip of probabilities in float32, whose 1-ε is not 1-1e-7.
func clipProb(p float64) float64 {
	return min(max(p, float64(float32(Epsilon))), float64(float32(1-Epsilon)))
}

// hingeLabels turns labels 0/1 into -1/1, where all are 0 or 1.
func hingeLabels(t array) array {
	for _, v := range t.v {
		if v != 0 && v != 1 {
			return t
		}
	}
	out := array{t.shape, make([]float64, len(t.v))}
	for i, v := range t.v {
		out.v[i] = 2*v - 1
	}
	return out
}

func hinge(t, p array) (array, error) {
	return meanOf(func(t, p float64) float64 { return max(1-t*p, 0) })(hingeLabels(t), p)
}

func squaredHinge(t, p array) (array, error) {
	return meanOf(func(t, p float64) float64 { return max(1-t*p, 0) * max(1-t*p, 0) })(hingeLabels(t), p)
}

func categoricalHinge(t, p []float64) float64 {
	pos, neg := 0.0, math.Inf(-1)
	for i := range p {
		pos += t[i] * p[i]
		neg = max(neg, (1-t[i])*p[i])
	}
	return max(neg-pos+1, 0)
}

func klDivergence(t, p []float64) float64 {
	var s float64
	for i := range p {
		a, b := min(max(t[i], Epsilon), 1), min(max(p[i], Epsilon), 1)
		s += a * math.Log(a/b)
	}
	return s
}

func cosine(t, p []float64) float64 {
	var dot, tt, pp float64
	for i := range p {
		dot += t[i] * p[i]
		tt += t[i] * t[i]
		pp += p[i] * p[i]
	}
	return dot / (max(math.Sqrt(tt), 1e-12) * max(math.Sqrt(pp), 1e-12))
}

func pearson(t, p []float64) float64 {
	n := float64(len(p))
	mt, mp := sum(t)/n, sum(p)/n
	var c, vt, vp float64
	for i := range p {
		c += (t[i] - mt) * (p[i] - mp)
		vt += (t[i] - mt) * (t[i] - mt)
		vp += (p[i] - mp) * (p[i] - mp)
	}
	return c / math.Sqrt(vt*vp)
}

// concordance follows Keras to the letter: its covariance takes the predictions' mean on both sides.
func concordance(t, p []float64) float64 {
	n := float64(len(p))
	mt, mp := sum(t)/n, sum(p)/n
	var c, vt, vp float64
	for i := range p {
		c += (t[i] - mp) * (p[i] - mp)
		vt += (t[i] - mt) * (t[i] - mt)
		vp += (p[i] - mp) * (p[i] - mp)
	}
	return 2 * c / n / (vt/n + vp/n + (mt-mp)*(mt-mp) + Epsilon)
}

// onAxis is perRow along another axis than the last.
func onAxis(axis int, f func(t, p []float64) float64) func(t, p array) (array, error) {
	return func(t, p array) (array, error) {
		t, p, err := aligned(t, p)
		if err == nil {
			t, err = axisLast(t, axis)
		}
		if err == nil {
			p, err = axisLast(p, axis)
		}
		if err != nil {
			return t, err
		}
		return rows(t, p, f), nil
	}
}

func binaryCrossentropy(logits bool, smooth float64) func(t, p array) (array, error) {
	return meanOf(func(t, p float64) float64 {
		t = t*(1-smooth) + 0.5*smooth
		if logits {
			return max(p, 0) - p*t + math.Log1p(math.Exp(-math.Abs(p)))
		}
		p = clipProb(p)
		return -(t*math.Log(p) + (1-t)*math.Log(1-p))
	})
}

// logProbs is the log-probabilities of a row of logits or of (unnormalised) probabilities.
func logProbs(p []float64, logits bool) []float64 {
	out := make([]float64, len(p))
	if logits {
		m := slices.Max(p)
		var s float64
		for _, v := range p {
			s += math.Exp(v - m)
		}
		for i, v := range p {
			out[i] = v - m - math.Log(s)
		}
		return out
	}
	s := sum(p)
	for i, v := range p {
		out[i] = math.Log(clipProb(v / s))
	}
	return out
}

func categoricalCrossentropy(logits bool, smooth float64, axis int) func(t, p array) (array, error) {
	return onAxis(axis, func(t, p []float64) float64 {
		var s float64
		for i, l := range logProbs(p, logits) {
			s -= (t[i]*(1-smooth) + smooth/float64(len(p))) * l
		}
		return s
	})
}

// classRows prepares integer targets against rows of scores: the targets without a last axis of 1.
func classRows(t, p array) (array, error) {
	if t.rank() == p.rank() && t.rank() > 0 && t.dim(-1) == 1 {
		t.shape = t.shape[:t.rank()-1]
	}
	if p.rank() == 0 || !slices.Equal(t.shape, p.shape[:p.rank()-1]) {
		return t, errs.Errorf("metric: class numbers %v for scores %v", t.shape, p.shape)
	}
	return t, nil
}

func argmax(v []float64) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}

func equal(t, p array) (array, error) {
	return elementwise(t, p, func(t, p float64) bool { return t == p })
}

func elementwise(t, p array, f func(t, p float64) bool) (array, error) {
	t, p, err := aligned(t, p)
	out := array{p.shape, make([]float64, len(p.v))}
	if err != nil {
		return out, err
	}
	for i := range p.v {
		if f(t.v[i], p.v[i]) {
			out.v[i] = 1
		}
	}
	return out, nil
}

func categoricalAccuracy(t, p array) (array, error) {
	if t.rank() != p.rank() {
		return t, errs.Errorf("metric: one-hot targets %v for scores %v", t.shape, p.shape)
	}
	return perRow(func(t, p []float64) float64 {
		if argmax(t) == argmax(p) {
			return 1
		}
		return 0
	})(t, p)
}

func sparseAccuracy(t, p array) (array, error) {
	t, err := classRows(t, p)
	if err != nil {
		return t, err
	}
	n := p.dim(-1)
	out := array{t.shape, make([]float64, len(t.v))}
	for i, c := range t.v {
		if float64(argmax(p.v[i*n:(i+1)*n])) == c {
			out.v[i] = 1
		}
	}
	if out.rank() > 1 && out.dim(-1) == 1 {
		out.shape = out.shape[:out.rank()-1]
	}
	return out, nil
}

// inTopK reports whether class c's score is among the k largest; ties count as in.
func inTopK(scores []float64, c, k int) bool {
	if c < 0 || c >= len(scores) || math.IsNaN(scores[c]) || math.IsInf(scores[c], 0) {
		return false
	}
	larger := 0
	for _, s := range scores {
		if s > scores[c] {
			larger++
		}
	}
	return larger < k
}

func topK(t array, p array, k int, sparse, sorted bool) (array, error) {
	var err error
	if sparse {
		t, err = classRows(t, p)
	} else {
		if !slices.Equal(t.shape, p.shape) || p.rank() == 0 {
			return t, errs.Errorf("metric: one-hot targets %v for scores %v", t.shape, p.shape)
		}
		t = rows(t, p, func(t, _ []float64) float64 { return float64(argmax(t)) })
	}
	if err != nil {
		return t, err
	}
	n := p.dim(-1)
	out := array{t.shape, make([]float64, len(t.v))}
	for i, c := range t.v {
		row := p.v[i*n : (i+1)*n]
		hit := false
		if sorted {
			hit = slices.Contains(row[:min(k, n)], c)
		} else {
			hit = inTopK(row, int(c), k)
		}
		if hit {
			out.v[i] = 1
		}
	}
	return out, nil
}
