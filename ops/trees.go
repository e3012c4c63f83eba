package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// TreeEnsemble is the newest form of decision trees: inner nodes and leaves in lists of their own, linked
// by index. AggregateFunction is 0 AVERAGE, 1 SUM, 2 MIN, 3 MAX; PostTransform 0 NONE, 1 SOFTMAX,
// 2 LOGISTIC, 3 SOFTMAX_ZERO, 4 PROBIT; NodesModes 0 <=, 1 <, 2 >=, 3 >, 4 ==, 5 !=, 6 member of a set.
type TreeEnsemble struct {
	AggregateFunction           int
	LeafTargetids               []int
	LeafWeights                 *tensor.Tensor
	MembershipValues            *tensor.Tensor
	NTargets                    int `onnx:"n_targets"`
	NodesFalseleafs             []int
	NodesFalsenodeids           []int
	NodesFeatureids             []int
	NodesHitrates               *tensor.Tensor
	NodesMissingValueTracksTrue []int
	NodesModes                  *tensor.Tensor
	NodesSplits                 *tensor.Tensor
	NodesTrueleafs              []int
	NodesTruenodeids            []int
	PostTransform               int
	TreeRoots                   []int
}

// Name implements graph.Op.
func (TreeEnsemble) Name() string { return "TreeEnsemble" }

// Infer implements graph.Op.
func (t TreeEnsemble) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	if t.NodesModes == nil || t.NodesSplits == nil || t.LeafWeights == nil {
		return nil, errs.Errorf("nodes_modes, nodes_splits and leaf_weights are needed")
	}
	n, leaves := len(t.NodesFeatureids), len(t.LeafTargetids)
	for _, l := range []int{len(t.NodesFalseleafs), len(t.NodesFalsenodeids), len(t.NodesTrueleafs), len(t.NodesTruenodeids),
		t.NodesModes.Len(), t.NodesSplits.Len()} {
		if l != n {
			return nil, errs.Errorf("lists of nodes have %d and %d entries", n, l)
		}
	}
	if t.LeafWeights.Len() != leaves {
		return nil, errs.Errorf("%d leaf_weights for %d leaves", t.LeafWeights.Len(), leaves)
	}
	for i := range n {
		if err := t.checkNode(i, n, leaves); err != nil {
			return nil, err
		}
	}
	for _, r := range t.TreeRoots {
		if r < 0 || r >= n {
			return nil, errs.Errorf("a root is node %d of %d", r, n)
		}
	}
	for _, k := range t.LeafTargetids {
		if k < 0 || k >= t.NTargets {
			return nil, errs.Errorf("a leaf's target is %d of %d", k, t.NTargets)
		}
	}
	if t.AggregateFunction < 0 || t.AggregateFunction > 3 || t.PostTransform < 0 || t.PostTransform > 4 {
		return nil, errs.Errorf("aggregate_function %d, post_transform %d", t.AggregateFunction, t.PostTransform)
	}
	rows, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	if err := checkFeatures(t.NodesFeatureids, c); err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(in[0].DType, rows, graph.D(t.NTargets))}, nil
}

func (t TreeEnsemble) checkNode(i, nodes, leaves int) error {
	for _, link := range [][2]int{{t.NodesTrueleafs[i], t.NodesTruenodeids[i]}, {t.NodesFalseleafs[i], t.NodesFalsenodeids[i]}} {
		limit := nodes
		if link[0] != 0 {
			limit = leaves
		}
		if link[1] < 0 || link[1] >= limit {
			return errs.Errorf("node %d leads to %d of %d", i, link[1], limit)
		}
	}
	return nil
}

func checkFeatures(ids []int, columns graph.Dim) error {
	n, ok := columns.Const()
	for _, f := range ids {
		if f < 0 || ok && f >= n {
			return errs.Errorf("feature %d of %v", f, columns)
		}
	}
	return nil
}

// Trees is what the two older forms have in common: nodes as tuples, leaves among them.
type Trees struct {
	NodesFalsenodeids           []int
	NodesFeatureids             []int
	NodesHitrates               []float64
	NodesHitratesAsTensor       *tensor.Tensor
	NodesMissingValueTracksTrue []int
	NodesModes                  []string // BRANCH_LEQ, _LT, _GTE, _GT, _EQ, _NEQ, LEAF
	NodesNodeids                []int
	NodesTreeids                []int
	NodesTruenodeids            []int
	NodesValues                 []float64
	NodesValuesAsTensor         *tensor.Tensor
}

// check holds the lists of nodes against each other.
func (t Trees) check() error {
	n := len(t.NodesNodeids)
	values := len(t.NodesValues)
	if t.NodesValuesAsTensor != nil {
		values = t.NodesValuesAsTensor.Len()
	}
	for _, l := range []int{len(t.NodesFalsenodeids), len(t.NodesFeatureids), len(t.NodesModes), len(t.NodesTreeids),
		len(t.NodesTruenodeids), values} {
		if l != n {
			return errs.Errorf("lists of nodes have %d and %d entries", n, l)
		}
	}
	for _, m := range t.NodesModes {
		switch m {
		case "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF":
		default:
			return errs.Errorf("unknown node mode %q", m)
		}
	}
	return nil
}

// TreeEnsembleClassifier is decision trees whose leaves vote for classes; outputs labels and scores.
type TreeEnsembleClassifier struct {
	Trees
	BaseValues           []float64
	BaseValuesAsTensor   *tensor.Tensor
	ClassIds             []int
	ClassNodeids         []int
	ClassTreeids         []int
	ClassWeights         []float64
	ClassWeightsAsTensor *tensor.Tensor
	ClasslabelsInt64s    []int64 `onnx:"classlabels_int64s"`
	ClasslabelsStrings   []string
	PostTransform        string
}

// Name implements graph.Op.
func (TreeEnsembleClassifier) Name() string { return "TreeEnsembleClassifier" }

// Infer implements graph.Op.
func (t TreeEnsembleClassifier) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	n := max(len(t.ClasslabelsInt64s)+len(t.ClasslabelsStrings), 1)
	for _, k := range t.ClassIds {
		if k < 0 || k >= n {
			return nil, errs.Errorf("a vote for class %d of %d", k, n)
		}
	}
	if len(t.ClassIds) != len(t.ClassNodeids) || len(t.ClassIds) != len(t.ClassTreeids) ||
		len(t.ClassIds) != max(len(t.ClassWeights), lenOf(t.ClassWeightsAsTensor)) {
		return nil, errs.Errorf("lists of votes differ in length")
	}
	out, err := classified(in, t.ClasslabelsStrings, t.ClasslabelsInt64s, max(n, 2))
	if err != nil {
		return nil, err
	}
	_, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	if err := checkFeatures(t.NodesFeatureids, c); err != nil {
		return nil, err
	}
	return out, checkPost(t.PostTransform)
}

func lenOf(t *tensor.Tensor) int {
	if t == nil {
		return 0
	}
	return t.Len()
}

// TreeEnsembleRegressor is decision trees whose leaves add to targets. AggregateFunction is SUM, AVERAGE,
// MIN or MAX.
type TreeEnsembleRegressor struct {
	Trees
	AggregateFunction     string
	BaseValues            []float64
	BaseValuesAsTensor    *tensor.Tensor
	NTargets              int `onnx:"n_targets"`
	PostTransform         string
	TargetIds             []int
	TargetNodeids         []int
	TargetTreeids         []int
	TargetWeights         []float64
	TargetWeightsAsTensor *tensor.Tensor
}

// Name implements graph.Op.
func (TreeEnsembleRegressor) Name() string { return "TreeEnsembleRegressor" }

// Infer implements graph.Op.
func (t TreeEnsembleRegressor) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	switch t.AggregateFunction {
	case "", "SUM", "AVERAGE", "MIN", "MAX":
	default:
		return nil, errs.Errorf("unknown aggregate_function %q", t.AggregateFunction)
	}
	for _, k := range t.TargetIds {
		if k < 0 || k >= t.NTargets {
			return nil, errs.Errorf("a leaf's target is %d of %d", k, t.NTargets)
		}
	}
	if len(t.TargetIds) != len(t.TargetNodeids) || len(t.TargetIds) != len(t.TargetTreeids) ||
		len(t.TargetIds) != max(len(t.TargetWeights), lenOf(t.TargetWeightsAsTensor)) {
		return nil, errs.Errorf("lists of targets differ in length")
	}
	n, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	if err := checkFeatures(t.NodesFeatureids, c); err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(tensor.Float32, n, graph.D(t.NTargets))}, checkPost(t.PostTransform)
}

// sampleTrees is one tree of a root and two leaves.
func sampleTrees() Trees {
	return Trees{NodesFalsenodeids: []int{2, 0, 0}, NodesFeatureids: []int{1, 0, 0}, NodesModes: []string{"BRANCH_LEQ", "LEAF", "LEAF"},
		NodesNodeids: []int{0, 1, 2}, NodesTreeids: []int{0, 0, 0}, NodesTruenodeids: []int{1, 0, 0}, NodesValues: []float64{0.1, 0, 0}}
}

func (t Trees) classifier() TreeEnsembleClassifier {
	return TreeEnsembleClassifier{Trees: t, ClassIds: []int{0, 1, 2}, ClassNodeids: []int{1, 2, 2}, ClassTreeids: []int{0, 0, 0},
		ClassWeights: []float64{1, 0.5, 0.7}, ClasslabelsInt64s: []int64{3, 4, 5}}
}

func (t Trees) regressor() TreeEnsembleRegressor {
	return TreeEnsembleRegressor{Trees: t, NTargets: 1, TargetIds: []int{0, 0}, TargetNodeids: []int{1, 2}, TargetTreeids: []int{0, 0},
		TargetWeights: []float64{2, 3}}
}
