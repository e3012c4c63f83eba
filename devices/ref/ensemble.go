package ref

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Ensemble is the trees of a TreeEnsemble, TreeEnsembleRegressor or TreeEnsembleClassifier, made ready to run: by this device row after
// row, by others in parallel over rows, with the same results. It is safe for concurrent use.
type Ensemble struct {
	f        *forest
	how      int // the votes are folded: 0 average, 1 sum, 2 min, 3 max
	targets  int // sums of a row
	width    int // scores of a row
	base     []float64
	post     string
	classify bool
	single   bool // a classifier of two classes all of whose votes are for one
	positive bool // no vote is negative
	strings  []string
	ints     []int64
	out      []tensor.DType
	free     sync.Pool // of *ensembleSums
}

// ensembleSums is the memory of a block of rows.
type ensembleSums struct {
	sum []float64
	has []bool
	two [2]float64
}

// NewEnsemble prepares the trees of a request's operator. Errors name the node at fault.
func NewEnsemble(r devices.Request) (*Ensemble, error) {
	e := &Ensemble{how: 1}
	for _, t := range r.Out {
		e.out = append(e.out, t.DType)
	}
	var err error
	switch op := r.Node.Op.(type) {
	case ops.TreeEnsemble:
		posts := []string{ops.PostNone, ops.PostSoftmax, ops.PostLogistic, ops.PostSoftmaxZero, ops.PostProbit}
		e.how, e.targets, e.post = op.AggregateFunction, op.NTargets, posts[op.PostTransform]
		e.f, err = newForest(op)
	case ops.TreeEnsembleRegressor:
		e.how = map[string]int{"AVERAGE": 0, "": 1, "SUM": 1, "MIN": 2, "MAX": 3}[op.AggregateFunction]
		e.targets, e.post = op.NTargets, op.PostTransform
		err = e.old(op.Trees, op.TargetTreeids, op.TargetNodeids, op.TargetIds, op.TargetWeights, op.TargetWeightsAsTensor)
		if err == nil {
			e.base, err = doubles(op.BaseValues, op.BaseValuesAsTensor)
		}
		if len(e.base) == 1 {
			for len(e.base) < e.targets {
				e.base = append(e.base, e.base[0])
			}
		}
	case ops.TreeEnsembleClassifier:
		e.classify, e.post, e.strings, e.ints = true, op.PostTransform, op.ClasslabelsStrings, op.ClasslabelsInt64s
		e.targets = max(len(op.ClasslabelsInt64s)+len(op.ClasslabelsStrings), 1)
		err = e.old(op.Trees, op.ClassTreeids, op.ClassNodeids, op.ClassIds, op.ClassWeights, op.ClassWeightsAsTensor)
		if err == nil {
			e.base, err = doubles(op.BaseValues, op.BaseValuesAsTensor)
		}
		voted := map[int]bool{}
		for _, k := range op.ClassIds {
			voted[k] = true
		}
		e.single = e.targets <= 2 && len(voted) == 1
	default:
		return nil, errs.Errorf("ref: %s is no ensemble of trees", op.Name())
	}
	if e.width = e.targets; e.single {
		e.width = 2
	}
	return e, err
}

// old takes the trees of one of the two older operators.
func (e *Ensemble) old(t ops.Trees, trees, nodes, targets []int, list []float64, asTensor *tensor.Tensor) error {
	weights, err := doubles(list, asTensor)
	if err != nil {
		return err
	}
	if len(weights) != len(targets) {
		return errs.Errorf("%d weights for %d votes", len(weights), len(targets))
	}
	e.positive = true
	for _, w := range weights {
		e.positive = e.positive && w >= 0
	}
	e.f, err = oldForest(t, trees, nodes, targets, weights)
	return err
}

// Block is how many rows to give to EnsembleRun.Rows at a time: few where there are many trees.
func (e *Ensemble) Block() int { return min(max(8192/(len(e.f.roots)+1), 1), 64) }

// EnsembleRun is one run of an Ensemble. The zero value is ready for Start, and again after Finish.
type EnsembleRun struct {
	e      *Ensemble
	cols   int
	x32    []float32 // the input, where it is Float32
	x64    []float64 // else
	y32    []float32 // the scores, where they are Float32
	y64    []float64 // else
	scores *tensor.Tensor
	labels *tensor.Tensor
	cyclic atomic.Bool
}

// Start takes a step's operands and returns the number of rows.
func (r *EnsembleRun) Start(e *Ensemble, a *devices.Args) (rows int, err error) {
	x := a.Tensor(0)
	rows, r.cols = 1, x.Len()
	if x.Rank() == 2 {
		rows, r.cols = x.Dim(0), x.Dim(1)
	}
	if r.cols < e.f.columns && rows > 0 {
		return 0, errs.Errorf("the trees look at feature %d, and rows have %d", e.f.columns-1, r.cols)
	}
	r.e, r.x32, r.x64, r.y32, r.y64, r.labels = e, nil, nil, nil, nil, nil
	r.cyclic.Store(false)
	if x.DType() == tensor.Float32 {
		r.x32 = tensor.As[float32](x)
	} else if r.x64, err = x.Float64s(); err != nil {
		return 0, err
	}
	at := 0
	if e.classify {
		if r.labels, err = r.output(a, 0, rows); err != nil {
			return 0, err
		}
		at = 1
	}
	if r.scores, err = r.output(a, at, rows, e.width); err != nil {
		return 0, err
	}
	if r.scores.DType() == tensor.Float32 {
		r.y32 = tensor.As[float32](r.scores)
	} else {
		r.y64 = make([]float64, rows*e.width)
	}
	return rows, nil
}

// output is output i, made here where its size was not known before.
func (r *EnsembleRun) output(a *devices.Args, i int, shape ...int) (*tensor.Tensor, error) {
	t := a.OutTensor(i)
	if t == nil {
		t, err := tensor.Make(r.e.out[i], append([]int{}, shape...))
		if err == nil {
			a.Out[i] = t
		}
		return t, err
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	if t.Len() != n {
		return nil, errs.Errorf("output %d has %d elements where %d are computed", i, t.Len(), n)
	}
	return t, nil
}

// Rows computes rows lo to hi-1. It may be called for different rows at once.
func (r *EnsembleRun) Rows(lo, hi int) {
	e := r.e
	s, _ := e.free.Get().(*ensembleSums)
	if s == nil {
		s = &ensembleSums{}
	}
	defer e.free.Put(s)
	if n := (hi - lo) * e.targets; cap(s.sum) < n {
		s.sum, s.has = make([]float64, n), make([]bool, n)
	} else {
		s.sum, s.has = s.sum[:n], s.has[:n]
		clear(s.sum)
		clear(s.has)
	}
	ok := true
	if r.x32 != nil {
		ok = foldTrees(e, s, r.x32[lo*r.cols:hi*r.cols], r.cols)
	} else {
		ok = foldTrees(e, s, r.x64[lo*r.cols:hi*r.cols], r.cols)
	}
	if !ok {
		r.cyclic.Store(true)
		return
	}
	for i := lo; i < hi; i++ {
		at := (i - lo) * e.targets
		row, class := e.finish(s, s.sum[at:at+e.targets], s.has[at:at+e.targets])
		if e.classify {
			setLabel(r.labels, i, class, e.strings, e.ints)
		}
		if r.y32 == nil {
			copy(r.y64[i*e.width:], row)
			continue
		}
		y := r.y32[i*e.width:][:e.width]
		for k, v := range row {
			y[k] = float32(v)
		}
	}
}

// Finish ends a run, after Rows of all rows.
func (r *EnsembleRun) Finish() error {
	if r.cyclic.Load() {
		return errs.Errorf("a tree has a cycle")
	}
	if r.y32 == nil {
		return r.scores.SetFloat64s(r.y64)
	}
	return nil
}

// foldTrees folds the votes of all trees for the rows of x into s, which is zero; false if there is a cycle. Trees are the outer loop so that
// one stays in the cache for all rows; each row gets its votes in the order of the trees.
func foldTrees[T float32 | float64](e *Ensemble, s *ensembleSums, x []T, cols int) bool {
	f, rows := e.f, len(s.sum)/max(e.targets, 1)
	for _, root := range f.roots {
		for i := range rows {
			leaf := ^leafOf(f, root, x[i*cols:][:cols])
			if leaf < 0 {
				return false
			}
			sum, has := s.sum[i*e.targets:][:e.targets], s.has[i*e.targets:][:e.targets]
			for _, v := range f.votes[f.first[leaf]:f.first[leaf+1]] {
				switch {
				case e.how < 2:
					sum[v.target] += v.weight
				case !has[v.target]:
					sum[v.target] = v.weight
				case e.how == 2:
					sum[v.target] = math.Min(sum[v.target], v.weight)
				default:
					sum[v.target] = math.Max(sum[v.target], v.weight)
				}
				has[v.target] = true
			}
		}
	}
	return true
}

// finish makes scores, and a classifier's class, of a row's sums. has tells which targets got any vote.
func (e *Ensemble) finish(s *ensembleSums, sum []float64, has []bool) (scores []float64, class int) {
	if e.single {
		v := 0.0
		for i, x := range sum {
			if has[i] {
				v += x
			}
		}
		if len(e.base) > 0 {
			v += e.base[len(e.base)-1]
		}
		return s.two[:], binaryVote(&s.two, v, e.positive, e.post)
	}
	if e.how == 0 && len(e.f.roots) > 0 {
		for i := range sum {
			sum[i] /= float64(len(e.f.roots))
		}
	}
	for i := range min(len(sum), len(e.base)) {
		sum[i] += e.base[i]
	}
	if e.classify {
		class = argmax(sum)
	}
	postTransform(e.post, sum)
	return sum, class
}

// binaryVote is the class and two scores of a single score for two classes. Weights that are all positive are probabilities, others margins,
// as the runtimes take them.
func binaryVote(scores *[2]float64, s float64, positive bool, post string) (class int) {
	threshold := 0.0
	if positive {
		threshold = 0.5
	}
	if s > threshold {
		class = 1
	}
	switch {
	case post == ops.PostProbit:
		scores[1] = s
		postTransform(post, scores[1:])
		scores[0] = 1 - scores[1]
	case positive:
		*scores = [2]float64{1 - s, s}
	default:
		*scores = [2]float64{-s, s}
		if post != ops.PostSoftmaxZero {
			postTransform(post, scores[:])
		}
	}
	return class
}
