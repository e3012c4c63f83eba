package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// The post transforms of classifiers and regressors.
const (
	PostNone        = "NONE"
	PostSoftmax     = "SOFTMAX"
	PostLogistic    = "LOGISTIC"
	PostSoftmaxZero = "SOFTMAX_ZERO"
	PostProbit      = "PROBIT"
)

func checkPost(p string) error {
	switch p {
	case "", PostNone, PostSoftmax, PostLogistic, PostSoftmaxZero, PostProbit:
		return nil
	}
	return errs.Errorf("unknown post_transform %q", p)
}

// classified is the two outputs of a classifier: labels [N] and scores [N,E].
func classified(in []graph.Type, strings []string, ints []int64, scores int) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	n, _, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(labelType(strings, ints), n), graph.TensorOf(tensor.Float32, n, graph.D(scores))}, nil
}

// LinearClassifier scores rows by Coefficients [E,C] and Intercepts [E]; outputs labels and scores. A
// single score of two classes becomes two.
type LinearClassifier struct {
	ClasslabelsInts    []int64
	ClasslabelsStrings []string
	Coefficients       []float64
	Intercepts         []float64
	MultiClass         int
	PostTransform      string
}

// Name implements graph.Op.
func (LinearClassifier) Name() string { return "LinearClassifier" }

// Infer implements graph.Op.
func (l LinearClassifier) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	labels := len(l.ClasslabelsInts) + len(l.ClasslabelsStrings)
	_, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	scores := max(len(l.Intercepts), 1)
	if n, ok := c.Const(); ok {
		if scores = l.Scores(n); scores == 0 {
			return nil, errs.Errorf("%d coefficients and %d intercepts for %v", len(l.Coefficients), len(l.Intercepts), in[0])
		}
	}
	if scores == 1 && labels == 2 {
		scores = 2
	}
	out, err := classified(in, l.ClasslabelsStrings, l.ClasslabelsInts, scores)
	if err != nil {
		return nil, err
	}
	return out, checkPost(l.PostTransform)
}

// Scores is how many scores a row of that many features has: one for each intercept, whatever coefficients
// are left over (converters wrote such files, and other runtimes run them); without intercepts, as many as
// there are coefficients for. 0 means that they don't fit.
func (l LinearClassifier) Scores(features int) int {
	n := len(l.Intercepts)
	if features > 0 && n == 0 && len(l.Coefficients)%features == 0 {
		return len(l.Coefficients) / features
	}
	if features == 0 || n*features > len(l.Coefficients) {
		return 0
	}
	return n
}

// LinearRegressor is X times Coefficients [Targets,C], plus Intercepts.
type LinearRegressor struct {
	Coefficients  []float64
	Intercepts    []float64
	PostTransform string
	Targets       int
}

// Name implements graph.Op.
func (LinearRegressor) Name() string { return "LinearRegressor" }

// Infer implements graph.Op.
func (l LinearRegressor) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	n, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	if w, ok := c.Const(); ok && (l.Targets < 1 || len(l.Coefficients) != w*l.Targets) {
		return nil, errs.Errorf("%d coefficients for %d targets of %v", len(l.Coefficients), l.Targets, in[0])
	}
	if len(l.Intercepts) > 0 && len(l.Intercepts) != l.Targets {
		return nil, errs.Errorf("%d intercepts for %d targets", len(l.Intercepts), l.Targets)
	}
	return []graph.Type{graph.TensorOf(tensor.Float32, n, graph.D(l.Targets))}, checkPost(l.PostTransform)
}

// SVMClassifier is libsvm's classifier (with support vectors) or liblinear's (without). KernelParams are
// gamma, coef0, degree. Outputs labels and scores: probabilities where ProbA and ProbB are given, else
// one a pair of classes.
type SVMClassifier struct {
	ClasslabelsInts    []int64
	ClasslabelsStrings []string
	Coefficients       []float64
	KernelParams       []float64
	KernelType         string // LINEAR (also ""), POLY, RBF, SIGMOID
	PostTransform      string
	ProbA, ProbB       []float64
	Rho                []float64
	SupportVectors     []float64
	VectorsPerClass    []int
}

// Name implements graph.Op.
func (SVMClassifier) Name() string { return "SVMClassifier" }

// Classes is the number of classes, at least 1.
func (s SVMClassifier) Classes() int { return max(len(s.ClasslabelsInts)+len(s.ClasslabelsStrings), 1) }

// Vectors is the number of support vectors; 0 in liblinear's form.
func (s SVMClassifier) Vectors() int {
	n := 0
	for _, v := range s.VectorsPerClass {
		n += v
	}
	return n
}

// Infer implements graph.Op.
func (s SVMClassifier) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := checkKernel(s.KernelType, s.KernelParams); err != nil {
		return nil, err
	}
	k, v := s.Classes(), s.Vectors()
	pairs, scores := k*(k-1)/2, k
	if v > 0 {
		for _, n := range s.VectorsPerClass {
			if n < 0 {
				return nil, errs.Errorf("vectors_per_class is %v", s.VectorsPerClass)
			}
		}
		if len(s.VectorsPerClass) != k || len(s.SupportVectors)%v != 0 || len(s.Coefficients) != (k-1)*v || len(s.Rho) < pairs {
			return nil, errs.Errorf("%d classes, %d support vectors: %d coefficients, %d rhos, %v vectors a class", k, v,
				len(s.Coefficients), len(s.Rho), s.VectorsPerClass)
		}
		if len(s.ProbA) > 0 {
			if len(s.ProbA) < pairs || len(s.ProbB) < pairs {
				return nil, errs.Errorf("%d prob_a and %d prob_b for %d pairs", len(s.ProbA), len(s.ProbB), pairs)
			}
		} else if scores = pairs; pairs == 1 {
			scores = 2
		}
	} else if len(s.Coefficients) == 0 || len(s.Coefficients)%k != 0 || len(s.Rho) == 0 {
		return nil, errs.Errorf("%d coefficients for %d classes", len(s.Coefficients), k)
	}
	out, err := classified(in, s.ClasslabelsStrings, s.ClasslabelsInts, scores)
	if err != nil {
		return nil, err
	}
	return out, checkPost(s.PostTransform)
}

func checkKernel(kind string, params []float64) error {
	switch kind {
	case "", "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return errs.Errorf("unknown kernel_type %q", kind)
	}
	if n := len(params); n != 0 && n != 3 {
		return errs.Errorf("kernel_params are gamma, coef0 and degree, got %d numbers", n)
	}
	return nil
}

// SVMRegressor is libsvm's regressor, or its one-class novelty detection (OneClass: 1 or -1).
type SVMRegressor struct {
	Coefficients   []float64
	KernelParams   []float64
	KernelType     string
	NSupports      int `onnx:"n_supports"`
	OneClass       bool
	PostTransform  string
	Rho            []float64
	SupportVectors []float64
}

// Name implements graph.Op.
func (SVMRegressor) Name() string { return "SVMRegressor" }

// Infer implements graph.Op.
func (s SVMRegressor) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	if err := checkKernel(s.KernelType, s.KernelParams); err != nil {
		return nil, err
	}
	if len(s.Rho) == 0 || s.NSupports < 0 || s.NSupports > 0 && (len(s.SupportVectors)%s.NSupports != 0 || len(s.Coefficients) != s.NSupports) {
		return nil, errs.Errorf("%d support vectors: %d numbers, %d coefficients, %d rhos", s.NSupports, len(s.SupportVectors),
			len(s.Coefficients), len(s.Rho))
	}
	n, _, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(tensor.Float32, n, graph.D(1))}, checkPost(s.PostTransform)
}
