package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// someTrees makes trees of random shape: the tuples in any order but for the roots, and votes at their leaves.
func someTrees(r *rand.Rand, trees, features, targets int) (t ops.Trees, of, at, ids []int, weights []float64) {
	modes := []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}
	for tree := range trees {
		inner := r.IntN(8)
		for id := range 2*inner + 1 {
			mode, yes, no := "LEAF", 0, 0
			if id < inner { // the children of id are 2id+1 and 2id+2, as in a heap
				mode, yes, no = modes[r.IntN(len(modes))], 2*id+1, 2*id+2
			} else {
				for range r.IntN(3) {
					of, at, ids = append(of, tree), append(at, id), append(ids, r.IntN(targets))
					weights = append(weights, r.Float64()-0.3)
				}
			}
			t.NodesTreeids, t.NodesNodeids, t.NodesModes = append(t.NodesTreeids, tree), append(t.NodesNodeids, id), append(t.NodesModes, mode)
			t.NodesTruenodeids, t.NodesFalsenodeids = append(t.NodesTruenodeids, yes), append(t.NodesFalsenodeids, no)
			t.NodesFeatureids, t.NodesValues = append(t.NodesFeatureids, r.IntN(features)), append(t.NodesValues, float64(r.IntN(5)))
			t.NodesMissingValueTracksTrue = append(t.NodesMissingValueTracksTrue, r.IntN(2))
		}
	}
	return t, of, at, ids, weights
}

// naiveLeaf is the id of the leaf that a row comes to, from the tuples themselves.
func naiveLeaf(t ops.Trees, tree int, row []float32) int {
	id := 0
	for {
		i := 0
		for t.NodesTreeids[i] != tree || t.NodesNodeids[i] != id {
			i++
		}
		x, split := row[t.NodesFeatureids[i]], float32(t.NodesValues[i])
		if t.NodesModes[i] == "LEAF" {
			return id
		}
		yes := map[string]bool{"BRANCH_LEQ": x <= split, "BRANCH_LT": x < split, "BRANCH_GTE": x >= split, "BRANCH_GT": x > split,
			"BRANCH_EQ": x == split, "BRANCH_NEQ": x != split}[t.NodesModes[i]]
		if x != x && t.NodesMissingValueTracksTrue[i] != 0 {
			yes = true
		}
		if id = t.NodesFalsenodeids[i]; yes {
			id = t.NodesTruenodeids[i]
		}
	}
}

// TestTrees holds ensembles of both devices against a walk over the tuples: every mode, values that are missing, leaves with no vote and with
// several, rows of many tiles.
func TestTrees(t *testing.T) {
	d, err := New(Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	const rows, features, targets, trees = 203, 6, 3, 20
	r := rand.New(rand.NewPCG(7, 1))
	x := tensor.New(tensor.Float32, rows, features)
	for i := range tensor.As[float32](x) {
		if tensor.As[float32](x)[i] = float32(r.IntN(11)) / 2; r.IntN(9) == 0 {
			tensor.As[float32](x)[i] = float32(math.NaN())
		}
	}
	nodes, of, at, ids, weights := someTrees(r, trees, features, targets)
	base := []float64{0.25, -1, 0.5}
	for _, how := range []string{"SUM", "AVERAGE", "MIN", "MAX"} {
		op := ops.TreeEnsembleRegressor{Trees: nodes, AggregateFunction: how, NTargets: targets, BaseValues: base,
			TargetIds: ids, TargetNodeids: at, TargetTreeids: of, TargetWeights: weights}
		want := make([]float64, rows*targets)
		for row := range rows {
			naiveScores(op, tensor.As[float32](x)[row*features:][:features], want[row*targets:][:targets], trees)
		}
		for _, dev := range []devices.Device{d, ref.New()} {
			out := runTrees(t, dev, op, x)
			got, err := out[0].(*tensor.Tensor).Float64s()
			require.NoError(t, err)
			require.InDeltaSlice(t, want, got, 1e-6, "%s on %s", how, dev.Name())
		}
	}
	sum := ops.TreeEnsembleRegressor{Trees: nodes, NTargets: targets, TargetIds: ids, TargetNodeids: at, TargetTreeids: of, TargetWeights: weights}
	class := ops.TreeEnsembleClassifier{Trees: nodes, ClassIds: ids, ClassNodeids: at, ClassTreeids: of, ClassWeights: weights,
		ClasslabelsStrings: []string{"a", "b", "c"}}
	want := runTrees(t, ref.New(), sum, x)[0].(*tensor.Tensor)
	for _, dev := range []devices.Device{d, ref.New()} {
		out := runTrees(t, dev, class, x)
		require.Equal(t, want.Bytes(), out[1].(*tensor.Tensor).Bytes())
		for i, label := range out[0].(*tensor.Tensor).Strings() {
			v := tensor.As[float32](want)[i*targets:][:targets]
			require.Equal(t, max(v[0], v[1], v[2]), v[label[0]-'a'], "row %d is of class %s", i, label)
		}
	}
}

// naiveScores is the aggregated votes of one row.
func naiveScores(op ops.TreeEnsembleRegressor, row []float32, out []float64, trees int) {
	has := make([]bool, len(out))
	for tree := range trees {
		leaf := naiveLeaf(op.Trees, tree, row)
		for i, k := range op.TargetIds {
			if op.TargetTreeids[i] != tree || op.TargetNodeids[i] != leaf {
				continue
			}
			w := float64(float32(op.TargetWeights[i]))
			switch {
			case op.AggregateFunction == "SUM":
				out[k] += w
			case op.AggregateFunction == "AVERAGE":
				out[k] += w / float64(trees)
			case !has[k]:
				out[k] = w
			case op.AggregateFunction == "MIN":
				out[k] = min(out[k], w)
			default:
				out[k] = max(out[k], w)
			}
			has[k] = true
		}
	}
	for k := range out {
		out[k] += op.BaseValues[k]
	}
}

// runTrees runs op with the shapes known and unknown: the kernel makes the outputs itself in the second case.
func runTrees(t *testing.T, dev devices.Device, op graph.Op, x *tensor.Tensor) []tensor.Value {
	t.Helper()
	known, err := optest.Run(dev, op, []tensor.Value{x}, optest.Shapes)
	require.NoError(t, err)
	unknown, err := optest.Run(dev, op, []tensor.Value{x}, optest.Nothing)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(known), fmt.Sprint(unknown))
	return known
}

// TestTreesRefused holds that trees which can't be walked are told.
func TestTreesRefused(t *testing.T) {
	loop := ops.Trees{NodesFalsenodeids: []int{1, 2, 1}, NodesFeatureids: []int{0, 0, 0}, NodesModes: []string{"BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_LEQ"},
		NodesNodeids: []int{0, 1, 2}, NodesTreeids: []int{0, 0, 0}, NodesTruenodeids: []int{1, 2, 1}, NodesValues: []float64{0, 0, 0}}
	gone := loop
	gone.NodesTruenodeids = []int{1, 2, 7}
	for want, trees := range map[string]ops.Trees{"cycle": loop, "isn't there": gone} {
		_, err := optest.Run(ref.New(), ops.TreeEnsembleRegressor{Trees: trees, NTargets: 1}, []tensor.Value{tensor.New(tensor.Float32, 2, 1)}, optest.Shapes)
		require.ErrorContains(t, err, want)
	}
}
