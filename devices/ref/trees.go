package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// treeNode is an inner node of any of the tree operators. Its branches are indices of inner nodes, or ^i for leaf i.
type treeNode struct {
	split   float64
	yes, no int32
	feature int32
	set     int32 // of forest.sets, where mode is member
	mode    uint8 // as in ops.TreeEnsemble.NodesModes
	missing bool  // NaN goes the way of yes
}

// member is the mode of a node that tests for one of a set of values.
const member = 6

// vote is what a leaf adds to a target.
type vote struct {
	target int
	weight float64
}

// forest is trees over one list of nodes.
type forest struct {
	nodes   []treeNode
	sets    [][]float64
	roots   []int32 // as the branches of a node
	first   []int32 // the votes of leaf i are votes[first[i]:first[i+1]]
	votes   []vote
	columns int // that the nodes look at: the highest feature, plus one
}

// leafOf walks from a root to the leaf for a row: its ^index, or an inner node if there is a cycle.
func leafOf[T float32 | float64](f *forest, root int32, row []T) int32 {
	at := root
	for range len(f.nodes) + 1 {
		if at < 0 {
			break
		}
		n := &f.nodes[at]
		if n.goesYes(f, float64(row[n.feature])) {
			at = n.yes
		} else {
			at = n.no
		}
	}
	return at
}

func (n *treeNode) goesYes(f *forest, x float64) bool {
	switch {
	case n.mode == 0 && !n.missing:
		return x <= n.split
	case n.missing && x != x:
		return true
	}
	return n.test(f, x)
}

//go:noinline
func (n *treeNode) test(f *forest, x float64) bool {
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
	for _, m := range f.sets[n.set] {
		if x == m {
			return true
		}
	}
	return false
}

// look gives the node at place i a feature to look at.
func (f *forest) look(i, feature int) error {
	if feature < 0 || feature >= math.MaxInt32 {
		return errs.Errorf("node %d looks at feature %d", i, feature)
	}
	f.nodes[i].feature, f.columns = int32(feature), max(f.columns, feature+1)
	return nil
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
	f, leaves := &forest{}, int32(0)
	at := make(map[[2]int]int, len(t.NodesNodeids))
	link := make([]int32, len(t.NodesNodeids)) // of each tuple, as the branches of a node
	for i, id := range t.NodesNodeids {
		at[[2]int{t.NodesTreeids[i], id}] = i
		if t.NodesModes[i] == "LEAF" {
			link[i] = ^leaves
			leaves++
			continue
		}
		link[i] = int32(len(f.nodes))
		f.nodes = append(f.nodes, treeNode{mode: nodeModes[t.NodesModes[i]], split: values[i],
			missing: i < len(t.NodesMissingValueTracksTrue) && t.NodesMissingValueTracksTrue[i] != 0})
		if err := f.look(len(f.nodes)-1, t.NodesFeatureids[i]); err != nil {
			return nil, err
		}
	}
	child := make([]bool, len(link))
	for i, l := range link {
		if l < 0 {
			continue
		}
		yes, ok1 := at[[2]int{t.NodesTreeids[i], t.NodesTruenodeids[i]}]
		no, ok2 := at[[2]int{t.NodesTreeids[i], t.NodesFalsenodeids[i]}]
		if !ok1 || !ok2 {
			return nil, errs.Errorf("node %d of tree %d leads to a node that isn't there", t.NodesNodeids[i], t.NodesTreeids[i])
		}
		child[yes], child[no] = true, true
		f.nodes[l].yes, f.nodes[l].no = link[yes], link[no]
	}
	seen := map[int]bool{}
	for i, tree := range t.NodesTreeids {
		if !child[i] && !seen[tree] {
			seen[tree] = true
			f.roots = append(f.roots, link[i])
		}
	}
	of := make([]int32, len(targets)) // the leaf of each vote
	for i := range targets {
		leaf, ok := at[[2]int{trees[i], nodes[i]}]
		if !ok {
			return nil, errs.Errorf("a vote at node %d of tree %d, which isn't there", nodes[i], trees[i])
		}
		of[i] = ^link[leaf] // negative at an inner node, where no vote counts
	}
	f.vote(int(leaves), of, targets, weights)
	return f, nil
}

// vote sorts votes by their leaves; those of one leaf stay in order.
func (f *forest) vote(leaves int, of []int32, targets []int, weights []float64) {
	f.first = make([]int32, leaves+1)
	count := 0
	for _, l := range of {
		if l >= 0 {
			f.first[l+1]++
			count++
		}
	}
	for l := range leaves {
		f.first[l+1] += f.first[l]
	}
	next := append([]int32{}, f.first...)
	f.votes = make([]vote, count)
	for i, l := range of {
		if l >= 0 {
			f.votes[next[l]] = vote{targets[i], weights[i]}
			next[l]++
		}
	}
}

// newForest builds a forest of the newest operator's lists.
func newForest(op ops.TreeEnsemble) (*forest, error) {
	splits, weights, err := floatPair(op.NodesSplits, op.LeafWeights)
	if err != nil {
		return nil, err
	}
	if op.NodesModes.DType() != tensor.Uint8 {
		return nil, errs.Errorf("nodes_modes are %v, where %v is meant", op.NodesModes.DType(), tensor.Uint8)
	}
	modes := tensor.As[uint8](op.NodesModes)
	f := &forest{nodes: make([]treeNode, len(op.NodesFeatureids))}
	if op.MembershipValues != nil {
		v, err := op.MembershipValues.Float64s()
		if err != nil {
			return nil, err
		}
		f.sets = append(f.sets, nil)
		for _, x := range v {
			if math.IsNaN(x) {
				f.sets = append(f.sets, nil)
				continue
			}
			f.sets[len(f.sets)-1] = append(f.sets[len(f.sets)-1], x)
		}
	}
	set := int32(0)
	for i := range f.nodes {
		n := &f.nodes[i]
		*n = treeNode{mode: modes[i], split: splits[i], yes: int32(op.NodesTruenodeids[i]), no: int32(op.NodesFalsenodeids[i]),
			missing: i < len(op.NodesMissingValueTracksTrue) && op.NodesMissingValueTracksTrue[i] != 0}
		if op.NodesTrueleafs[i] != 0 {
			n.yes = ^n.yes
		}
		if op.NodesFalseleafs[i] != 0 {
			n.no = ^n.no
		}
		if err := f.look(i, op.NodesFeatureids[i]); err != nil {
			return nil, err
		}
		if n.mode == member {
			if int(set) == len(f.sets) {
				return nil, errs.Errorf("node %d tests membership, and membership_values has no set for it", i)
			}
			n.set = set
			set++
		} else if n.mode > member {
			return nil, errs.Errorf("node %d has mode %d", i, n.mode)
		}
	}
	for _, r := range op.TreeRoots {
		f.roots = append(f.roots, int32(r))
	}
	of := make([]int32, len(op.LeafTargetids))
	for i := range of {
		of[i] = int32(i)
	}
	f.vote(len(of), of, op.LeafTargetids, weights)
	return f, nil
}

// treeKernels run what NewEnsemble prepares.
func treeKernels() []*devices.Kernel {
	list := []*devices.Kernel{
		new(devices.For[ops.TreeEnsemble]("ref/TreeEnsemble", nil, nil)),
		new(devices.For[ops.TreeEnsembleClassifier]("ref/TreeEnsembleClassifier", nil, nil)),
		new(devices.For[ops.TreeEnsembleRegressor]("ref/TreeEnsembleRegressor", nil, nil)),
	}
	for i := range list {
		list[i].Prepare = func(r devices.Request) (devices.Step, error) {
			e, err := NewEnsemble(r)
			return ensembleStep{e}, err
		}
	}
	return list
}

type ensembleStep struct{ e *Ensemble }

func (ensembleStep) Scratch() int { return 0 }

func (s ensembleStep) Run(a *devices.Args) error {
	var r EnsembleRun
	rows, err := r.Start(s.e, a)
	if err != nil {
		return err
	}
	for at := 0; at < rows; at += s.e.Block() {
		r.Rows(at, min(at+s.e.Block(), rows))
	}
	return r.Finish()
}
