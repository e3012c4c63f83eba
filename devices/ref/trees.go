package ref

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// treeNode is an inner node or a leaf of any of the tree operators.
type treeNode struct {
	leaf        bool
	mode        uint8 // as in ops.TreeEnsemble.NodesModes
	feature     int
	split       float64
	members     []float64
	trackMissed bool
	yes, no     int
	votes       []vote
}

// vote is what a leaf adds to a target.
type vote struct {
	target int
	weight float64
}

// forest is trees over one list of nodes.
type forest struct {
	nodes []treeNode
	roots []int
}

// leafOf walks from a root to the leaf for a row.
func (f *forest) leafOf(root int, row []float64) (*treeNode, error) {
	at := root
	for range len(f.nodes) + 1 {
		n := &f.nodes[at]
		if n.leaf {
			return n, nil
		}
		if n.goesYes(row[n.feature]) {
			at = n.yes
		} else {
			at = n.no
		}
	}
	return nil, errs.Errorf("a tree has a cycle")
}

func (n *treeNode) goesYes(x float64) bool {
	if math.IsNaN(x) && n.trackMissed {
		return true
	}
	switch n.mode {
	case 0:
		return x <= n.split
	case 1:
		return x < n.split
	case 2:
		return x >= n.split
	case 3:
		return x > n.split
	case 4:
		return x == n.split
	case 5:
		return x != n.split
	}
	for _, m := range n.members {
		if x == m {
			return true
		}
	}
	return false
}

// aggregate folds the votes of all trees for one row: 0 average, 1 sum, 2 min, 3 max. has tells which
// targets got any vote.
func (f *forest) aggregate(row []float64, how, targets int) (sum []float64, has []bool, err error) {
	sum, has = make([]float64, targets), make([]bool, targets)
	for _, root := range f.roots {
		leaf, err := f.leafOf(root, row)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range leaf.votes {
			switch {
			case how == 2 && has[v.target]:
				sum[v.target] = math.Min(sum[v.target], v.weight)
			case how == 3 && has[v.target]:
				sum[v.target] = math.Max(sum[v.target], v.weight)
			case how >= 2:
				sum[v.target] = v.weight
			default:
				sum[v.target] += v.weight
			}
			has[v.target] = true
		}
	}
	if how == 0 && len(f.roots) > 0 {
		for i := range sum {
			sum[i] /= float64(len(f.roots))
		}
	}
	return sum, has, nil
}

// doubles is a list of floats as the operator means them: float32, unless the tensor form holds doubles.
func doubles(list []float64, t *tensor.Tensor) ([]float64, error) {
	if t != nil {
		return t.Float64s()
	}
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = float64(float32(v))
	}
	return out, nil
}

var nodeModes = map[string]uint8{"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3, "BRANCH_EQ": 4, "BRANCH_NEQ": 5}

// oldForest builds a forest of the older operators' tuples.
func oldForest(t ops.Trees, trees, nodes, targets []int, weights []float64) (*forest, error) {
	values, err := doubles(t.NodesValues, t.NodesValuesAsTensor)
	if err != nil {
		return nil, err
	}
	f := &forest{nodes: make([]treeNode, len(t.NodesNodeids))}
	at := map[[2]int]int{}
	for i, id := range t.NodesNodeids {
		at[[2]int{t.NodesTreeids[i], id}] = i
	}
	child := map[int]bool{}
	for i := range f.nodes {
		n := treeNode{leaf: t.NodesModes[i] == "LEAF", mode: nodeModes[t.NodesModes[i]], feature: t.NodesFeatureids[i], split: values[i],
			trackMissed: i < len(t.NodesMissingValueTracksTrue) && t.NodesMissingValueTracksTrue[i] != 0}
		if !n.leaf {
			var ok1, ok2 bool
			n.yes, ok1 = at[[2]int{t.NodesTreeids[i], t.NodesTruenodeids[i]}]
			n.no, ok2 = at[[2]int{t.NodesTreeids[i], t.NodesFalsenodeids[i]}]
			if !ok1 || !ok2 {
				return nil, errs.Errorf("node %d of tree %d leads to a node that isn't there", t.NodesNodeids[i], t.NodesTreeids[i])
			}
			child[n.yes], child[n.no] = true, true
		}
		f.nodes[i] = n
	}
	seen := map[int]bool{}
	for i, tree := range t.NodesTreeids {
		if !child[i] && !seen[tree] {
			seen[tree] = true
			f.roots = append(f.roots, i)
		}
	}
	for i, k := range targets {
		leaf, ok := at[[2]int{trees[i], nodes[i]}]
		if !ok {
			return nil, errs.Errorf("a vote at node %d of tree %d, which isn't there", nodes[i], trees[i])
		}
		f.nodes[leaf].votes = append(f.nodes[leaf].votes, vote{k, weights[i]})
	}
	return f, nil
}

func treeEnsembleRegressor(op ops.TreeEnsembleRegressor, c *Call) error {
	weights, err := doubles(op.TargetWeights, op.TargetWeightsAsTensor)
	if err != nil {
		return err
	}
	base, err := doubles(op.BaseValues, op.BaseValuesAsTensor)
	if err != nil {
		return err
	}
	f, err := oldForest(op.Trees, op.TargetTreeids, op.TargetNodeids, op.TargetIds, weights)
	if err != nil {
		return err
	}
	how := map[string]int{"AVERAGE": 0, "": 1, "SUM": 1, "MIN": 2, "MAX": 3}[op.AggregateFunction]
	return regress(c, f, how, op.NTargets, base, op.PostTransform)
}

func regress(c *Call, f *forest, how, targets int, base []float64, post string) error {
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	out := make([]float64, 0, n*targets)
	for r := range n {
		sum, _, err := f.aggregate(x[r*cols:][:cols], how, targets)
		if err != nil {
			return err
		}
		for i := range sum {
			if i < len(base) {
				sum[i] += base[i]
			} else if len(base) == 1 {
				sum[i] += base[0]
			}
		}
		postTransform(post, sum)
		out = append(out, sum...)
	}
	return c.Out(0).SetFloat64s(out)
}

func treeEnsemble(op ops.TreeEnsemble, c *Call) error {
	splits, err := op.NodesSplits.Float64s()
	if err != nil {
		return err
	}
	weights, err := op.LeafWeights.Float64s()
	if err != nil {
		return err
	}
	modes := tensor.As[uint8](op.NodesModes)
	var sets [][]float64
	if op.MembershipValues != nil {
		v, err := op.MembershipValues.Float64s()
		if err != nil {
			return err
		}
		sets = append(sets, nil)
		for _, x := range v {
			if math.IsNaN(x) {
				sets = append(sets, nil)
				continue
			}
			sets[len(sets)-1] = append(sets[len(sets)-1], x)
		}
	}
	inner := len(op.NodesFeatureids)
	f := &forest{nodes: make([]treeNode, inner+len(op.LeafTargetids)), roots: op.TreeRoots}
	for i := range inner {
		n := treeNode{mode: modes[i], feature: op.NodesFeatureids[i], split: splits[i], yes: op.NodesTruenodeids[i], no: op.NodesFalsenodeids[i],
			trackMissed: i < len(op.NodesMissingValueTracksTrue) && op.NodesMissingValueTracksTrue[i] != 0}
		if op.NodesTrueleafs[i] != 0 {
			n.yes += inner
		}
		if op.NodesFalseleafs[i] != 0 {
			n.no += inner
		}
		if n.mode == 6 {
			if len(sets) == 0 {
				return errs.Errorf("node %d tests membership, and membership_values has no set for it", i)
			}
			n.members, sets = sets[0], sets[1:]
		} else if n.mode > 6 {
			return errs.Errorf("node %d has mode %d", i, n.mode)
		}
		f.nodes[i] = n
	}
	for i, k := range op.LeafTargetids {
		f.nodes[inner+i] = treeNode{leaf: true, votes: []vote{{k, weights[i]}}}
	}
	posts := []string{ops.PostNone, ops.PostSoftmax, ops.PostLogistic, ops.PostSoftmaxZero, ops.PostProbit}
	return regress(c, f, op.AggregateFunction, op.NTargets, nil, posts[op.PostTransform])
}

func treeEnsembleClassifier(op ops.TreeEnsembleClassifier, c *Call) error {
	weights, err := doubles(op.ClassWeights, op.ClassWeightsAsTensor)
	if err != nil {
		return err
	}
	base, err := doubles(op.BaseValues, op.BaseValuesAsTensor)
	if err != nil {
		return err
	}
	f, err := oldForest(op.Trees, op.ClassTreeids, op.ClassNodeids, op.ClassIds, weights)
	if err != nil {
		return err
	}
	x, n, cols, err := matrix(c.In(0))
	if err != nil {
		return err
	}
	positive := true
	voted := map[int]bool{}
	for i, k := range op.ClassIds {
		voted[k] = true
		positive = positive && weights[i] >= 0
	}
	k := max(len(op.ClasslabelsInt64s)+len(op.ClasslabelsStrings), 1)
	classes, scores := make([]int, n), []float64{}
	for r := range n {
		sum, has, err := f.aggregate(x[r*cols:][:cols], 1, k)
		if err != nil {
			return err
		}
		if k <= 2 && len(voted) == 1 {
			s := 0.0
			for i, v := range sum {
				if has[i] {
					s += v
				}
			}
			if len(base) > 0 {
				s += base[len(base)-1]
			}
			class, two := binaryVote(s, positive, op.PostTransform)
			classes[r] = class
			scores = append(scores, two...)
			continue
		}
		for i := range sum {
			if i < len(base) {
				sum[i] += base[i]
			}
		}
		classes[r] = argmax(sum)
		postTransform(op.PostTransform, sum)
		scores = append(scores, sum...)
	}
	setLabels(c.Out(0), classes, op.ClasslabelsStrings, op.ClasslabelsInt64s)
	return c.Out(1).SetFloat64s(scores)
}

// binaryVote is the class and two scores of a single score for two classes. Weights that are all
// positive are probabilities, others margins, as the runtimes take them.
func binaryVote(s float64, positive bool, post string) (class int, scores []float64) {
	threshold := 0.0
	if positive {
		threshold = 0.5
	}
	if s > threshold {
		class = 1
	}
	if post == ops.PostProbit {
		one := []float64{s}
		postTransform(post, one)
		return class, []float64{1 - one[0], one[0]}
	}
	if positive {
		return class, []float64{1 - s, s}
	}
	two := []float64{-s, s}
	if post != ops.PostSoftmaxZero {
		postTransform(post, two)
	}
	return class, two
}
