package ref

import (
	"math"

	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// postTransform applies a post transform to a row of scores, in place.
func postTransform(kind string, row []float64) {
	switch kind {
	case ops.PostLogistic:
		for i, v := range row {
			row[i] = 1 / (1 + math.Exp(-v))
		}
	case ops.PostProbit:
		for i, v := range row {
			row[i] = math.Sqrt2 * math.Erfinv(2*v-1)
		}
	case ops.PostSoftmax, ops.PostSoftmaxZero:
		top, sum := math.Inf(-1), 0.0
		for _, v := range row {
			top = math.Max(top, v)
		}
		for i, v := range row {
			if kind == ops.PostSoftmaxZero && math.Abs(v) <= 1e-7 {
				row[i] = v * math.Exp(-top)
			} else {
				row[i] = math.Exp(v - top)
			}
			sum += row[i]
		}
		for i := range row {
			if row[i] /= sum; sum == 0 {
				row[i] = 0.5
			}
		}
	}
}

func argmax(row []float64) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

// setLabels writes the classes' labels; without any the class numbers themselves.
func setLabels(out *tensor.Tensor, classes []int, strings []string, ints []int64) {
	for i, k := range classes {
		setLabel(out, i, k, strings, ints)
	}
}

// setLabel writes the label of class k at element i.
func setLabel(out *tensor.Tensor, i, k int, strings []string, ints []int64) {
	switch {
	case len(strings) > 0:
		if k >= 0 && k < len(strings) {
			out.Strings()[i] = strings[k]
		}
	case len(ints) > 0 && k >= 0 && k < len(ints):
		tensor.As[int64](out)[i] = ints[k]
	case len(ints) == 0:
		tensor.As[int64](out)[i] = int64(k)
	}
}

func linearClassifier(op ops.LinearClassifier, c *Call) error {
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	k := op.Scores(cols)
	width := c.Out(1).Dim(1)
	scores, classes := make([]float64, 0, n*width), make([]int, n)
	for r := range n {
		row := make([]float64, k)
		for e := range row {
			row[e] = dot(op.Coefficients[e*cols:][:cols], x[r*cols:])
			if len(op.Intercepts) > 0 {
				row[e] += op.Intercepts[e]
			}
		}
		if k == 1 && width == 2 {
			row = []float64{-row[0], row[0]}
		}
		postTransform(op.PostTransform, row)
		if classes[r] = argmax(row); len(row) == 1 {
			threshold := 0.5
			if op.PostTransform == "" || op.PostTransform == ops.PostNone {
				threshold = 0
			}
			if classes[r] = -1; row[0] >= threshold { // the one label there is, or none: 0 or ""
				classes[r] = 0
			}
		}
		scores = append(scores, row...)
	}
	setLabels(c.Out(0), classes, op.ClasslabelsStrings, op.ClasslabelsInts)
	return c.Out(1).SetFloat64s(scores)
}

func linearRegressor(op ops.LinearRegressor, c *Call) error {
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	out := make([]float64, 0, n*op.Targets)
	for r := range n {
		row := make([]float64, op.Targets)
		for e := range row {
			row[e] = dot(op.Coefficients[e*cols:][:cols], x[r*cols:])
			if len(op.Intercepts) > 0 {
				row[e] += op.Intercepts[e]
			}
		}
		postTransform(op.PostTransform, row)
		out = append(out, row...)
	}
	return c.Out(0).SetFloat64s(out)
}

// svmKernel is the kernel function of support vector machines.
func svmKernel(kind string, params []float64, a, b []float64) float64 {
	var gamma, coef0, degree float64
	if len(params) == 3 {
		gamma, coef0, degree = params[0], params[1], params[2]
	}
	switch kind {
	case "POLY":
		return math.Pow(gamma*dot(a, b)+coef0, math.Trunc(degree))
	case "SIGMOID":
		return math.Tanh(gamma*dot(a, b) + coef0)
	case "RBF":
		s := 0.0
		for i, v := range a {
			s += (v - b[i]) * (v - b[i])
		}
		return math.Exp(-gamma * s)
	}
	return dot(a, b)
}

func svmRegressor(op ops.SVMRegressor, c *Call) error {
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	out := make([]float64, n)
	for r := range n {
		row := x[r*cols:][:cols]
		s := op.Rho[0]
		if op.NSupports > 0 {
			size := len(op.SupportVectors) / op.NSupports
			for j := range op.NSupports {
				s += op.Coefficients[j] * svmKernel(op.KernelType, op.KernelParams, row[:size], op.SupportVectors[j*size:][:size])
			}
		} else {
			s += dot(op.Coefficients, row)
		}
		one := []float64{s}
		if postTransform(op.PostTransform, one); op.OneClass {
			if one[0] = -1; s > 0 {
				one[0] = 1
			}
		}
		out[r] = one[0]
	}
	return c.Out(0).SetFloat64s(out)
}

func svmClassifier(op ops.SVMClassifier, c *Call) error {
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	k := op.Classes()
	positive := true
	for _, w := range op.Coefficients {
		positive = positive && w >= 0
	}
	classes, scores := make([]int, n), []float64{}
	for r := range n {
		row := x[r*cols:][:cols]
		var s, votes []float64
		proba := false
		if op.Vectors() == 0 {
			size := len(op.Coefficients) / k
			for j := range k {
				s = append(s, op.Rho[0]+dot(op.Coefficients[j*size:][:size], row))
			}
		} else {
			s, votes = svmPairs(op, row, k)
			if proba = len(op.ProbA) > 0; proba {
				s = svmProbabilities(op, s, k)
			}
		}
		label, out := svmDecide(op, s, votes, proba, positive)
		classes[r] = label
		scores = append(scores, out...)
	}
	setLabels(c.Out(0), classes, op.ClasslabelsStrings, op.ClasslabelsInts)
	return c.Out(1).SetFloat64s(scores)
}

// svmPairs is the decision value of each pair of classes, and their votes.
func svmPairs(op ops.SVMClassifier, row []float64, k int) (scores, votes []float64) {
	n := op.Vectors()
	size := len(op.SupportVectors) / n
	kernels, start := make([]float64, n), make([]int, k)
	for j := range n {
		kernels[j] = svmKernel(op.KernelType, op.KernelParams, row[:size], op.SupportVectors[j*size:][:size])
	}
	for i := 1; i < k; i++ {
		start[i] = start[i-1] + op.VectorsPerClass[i-1]
	}
	votes = make([]float64, k)
	for i := range k {
		for j := i + 1; j < k; j++ {
			ci, cj := op.VectorsPerClass[i], op.VectorsPerClass[j]
			s := op.Rho[len(scores)] + dot(op.Coefficients[(j-1)*n+start[i]:][:ci], kernels[start[i]:]) +
				dot(op.Coefficients[i*n+start[j]:][:cj], kernels[start[j]:])
			if scores = append(scores, s); s > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
		}
	}
	return scores, votes
}

// svmProbabilities couples the pairs' probabilities as libsvm does (Wu, Lin and Weng, 2004).
func svmProbabilities(op ops.SVMClassifier, pairs []float64, k int) []float64 {
	r := make([][]float64, k)
	for i := range r {
		r[i] = make([]float64, k)
	}
	at := 0
	for i := range k {
		for j := i + 1; j < k; j++ {
			v := 1 - 1/(1+math.Exp(-(pairs[at]*op.ProbA[at]+op.ProbB[at])))
			v = math.Min(math.Max(v, 1e-7), 1-1e-7)
			r[i][j], r[j][i] = v, 1-v
			at++
		}
	}
	q, p := make([][]float64, k), make([]float64, k)
	for t := range q {
		q[t] = make([]float64, k)
		p[t] = 1 / float64(k)
		for j := range k {
			if j != t {
				q[t][t] += r[j][t] * r[j][t]
				q[t][j] = -r[j][t] * r[t][j]
			}
		}
	}
	qp := make([]float64, k)
	for range max(100, k) {
		pqp := 0.0
		for t := range k {
			qp[t] = dot(q[t], p)
			pqp += p[t] * qp[t]
		}
		worst := 0.0
		for t := range k {
			worst = math.Max(worst, math.Abs(qp[t]-pqp))
		}
		if worst < 0.005/float64(k) {
			break
		}
		for t := range k {
			d := (pqp - qp[t]) / q[t][t]
			p[t] += d
			pqp = (pqp + d*(d*q[t][t]+2*qp[t])) / (1 + d) / (1 + d)
			for j := range k {
				p[j] /= 1 + d
				qp[j] = (qp[j] + d*q[t][j]) / (1 + d)
			}
		}
	}
	return p
}

// svmDecide is the class and the scores as the runtimes report them.
func svmDecide(op ops.SVMClassifier, s, votes []float64, proba, positive bool) (int, []float64) {
	ranked := s
	if votes != nil {
		ranked = votes
	}
	class := argmax(ranked)
	add := -1
	if labels := len(op.ClasslabelsInts) + len(op.ClasslabelsStrings); len(op.Rho) == 1 {
		top := ranked[class]
		switch {
		case labels == 2:
			if add = 2; !proba && positive && top >= 0.5 {
				class = 1
			}
		case top > 0:
			class = 1
		default:
			class = 0
		}
	}
	if len(s) > 1 {
		postTransform(op.PostTransform, s)
		return class, s
	}
	if op.PostTransform == ops.PostProbit {
		postTransform(op.PostTransform, s)
		return class, s
	}
	if add == 2 {
		two := []float64{-s[0], s[0]}
		postTransform(op.PostTransform, two)
		return class, two
	}
	return class, s
}
