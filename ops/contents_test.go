package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// contents is what inference says of a value's elements.
func contents(t *testing.T, v *graph.Value) []string {
	t.Helper()
	ds, ok := v.Type.Contents()
	if !ok {
		return nil
	}
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = d.String()
	}
	return out
}

// TestShapeArithmetic holds that inference follows what graphs compute of shapes before any is known.
func TestShapeArithmetic(t *testing.T) {
	b := graph.NewBuilder(&graph.Graph{})
	n, h := graph.Sym("N"), graph.Sym("H")
	x := b.Input("x", graph.TensorOf(tensor.Float32, n, h, graph.D(6)))
	shape := b.Add(ops.Shape{}, x)
	scalar := func(v int64) *graph.Value { return b.Const("c", tensor.Scalar(v)) }
	for name, c := range map[string]struct {
		got  *graph.Value
		want []string
	}{
		"add":               {b.Add(ops.Add{}, shape, scalar(2)), []string{"N+2", "H+2", "8"}},
		"sub":               {b.Add(ops.Sub{}, shape, b.Ints(1, 2, 3)), []string{"N-1", "H-2", "3"}},
		"mul":               {b.Add(ops.Mul{}, shape, shape), []string{"N*N", "H*H", "36"}},
		"div":               {b.Add(ops.Div{}, shape, scalar(2)), []string{"floor(N/2)", "floor(H/2)", "3"}},
		"div of negatives":  {b.Add(ops.Div{}, b.Ints(-7, 7), b.Ints(2, -2)), []string{"-3", "-3"}},
		"floor div":         {b.Add(ops.FloorDiv{}, b.Ints(-7, 7), scalar(2)), []string{"-4", "3"}},
		"mod":               {b.Add(ops.Mod{}, b.Ints(-7, 7), scalar(3)), []string{"2", "1"}},
		"neg":               {b.Add(ops.Neg{}, shape), []string{"-N", "-H", "-6"}},
		"max":               {b.Add(ops.Max{}, shape, scalar(6)), []string{"max(6,N)", "max(6,H)", "6"}},
		"sum":               {b.Add(ops.Sum{}, shape, shape), []string{"2*N", "2*H", "12"}},
		"cast":              {b.Add(ops.Cast{To: tensor.Int32}, shape), []string{"N", "H", "6"}},
		"identity":          {b.Add(ops.Identity{}, shape), []string{"N", "H", "6"}},
		"equal":             {b.Add(ops.Equal{}, shape, scalar(-1)), []string{"0", "0", "0"}},
		"equal, undecided":  {b.Add(ops.Equal{}, shape, scalar(3)), nil},
		"where":             {b.Add(ops.Where{}, b.Add(ops.Equal{}, b.Ints(-1, 4, -1), scalar(-1)), shape, b.Ints(9, 4, 9)), []string{"N", "4", "6"}},
		"product":           {b.Add(ops.ReduceProd{}, shape), []string{"6*H*N"}},
		"product, kept":     {b.Add(ops.ReduceProd{Keepdims: true}, shape, b.Ints(0)), []string{"6*H*N"}},
		"sum of a shape":    {b.Add(ops.ReduceSum{}, shape), []string{"H+N+6"}},
		"no axes, no sum":   {b.Add(ops.ReduceSum{NoopWithEmptyAxes: true}, shape), nil},
		"greatest of shape": {b.Add(ops.ReduceMax{}, b.Add(ops.Shape{Start: 1}, x)), []string{"max(6,H)"}},
	} {
		require.Equal(t, c.want, contents(t, c.got), name)
	}
	require.NoError(t, b.Err())
}

// TestRefusals holds that inference says why it refuses.
func TestRefusals(t *testing.T) {
	f := func(dims ...int) graph.Type { return graph.TensorOf(tensor.Float32, graph.Dims(dims...)...) }
	i := func(dims ...int) graph.Type { return graph.TensorOf(tensor.Int64, graph.Dims(dims...)...) }
	for want, c := range map[string]struct {
		op graph.Op
		in []graph.Type
	}{
		"float32[2] × float32[3]":                {ops.Add{}, []graph.Type{f(2), f(3)}},
		"input 1 is int64 where the first is":    {ops.Mul{}, []graph.Type{f(2), i(2)}},
		"takes 2 inputs, got 1":                  {ops.Sub{}, []graph.Type{f(2)}},
		"not of a float type":                    {ops.Exp{}, []graph.Type{i(2)}},
		"not bool":                               {ops.And{}, []graph.Type{f(2), f(2)}},
		"inner dims differ":                      {ops.MatMul{}, []graph.Type{f(2, 3), f(4, 5)}},
		"inner dims differ: 3 and 4":             {ops.Gemm{}, []graph.Type{f(2, 3), f(4, 5)}},
		"axis 2 is outside rank 2":               {ops.Softmax{Axis: 2}, []graph.Type{f(2, 3)}},
		"axis -3 is outside rank 2":              {ops.ArgMax{Axis: -3}, []graph.Type{f(2, 3)}},
		"label 'j' has two sizes":                {ops.Einsum{Equation: "ij,jk"}, []graph.Type{f(2, 3), f(4, 5)}},
		"does not fit rank 3":                    {ops.Einsum{Equation: "ij->i"}, []graph.Type{f(2, 3, 4)}},
		"output label 'z' is in no input":        {ops.Einsum{Equation: "ij->z"}, []graph.Type{f(2, 3)}},
		"holds no square matrices":               {ops.Det{}, []graph.Type{f(2, 3)}},
		"4 channels do not divide into 3 groups": {ops.GroupNormalization{NumGroups: 3}, []graph.Type{f(1, 4, 2), f(4), f(4)}},
		"is not a vector of the 4 channels":      {ops.BatchNormalization{}, []graph.Type{f(1, 4, 2), f(4), f(4), f(3), f(4)}},
		"labels do not fit the scores":           {ops.SoftmaxCrossEntropyLoss{Reduction: "mean"}, []graph.Type{f(2, 3), i(3)}},
		`reduction is "max"`:                     {ops.SoftmaxCrossEntropyLoss{Reduction: "max"}, []graph.Type{f(2, 3), i(2)}},
		"do not have the same width":             {ops.BitCast{To: tensor.Int64}, []graph.Type{f(2)}},
		"slope does not broadcast":               {ops.PRelu{}, []graph.Type{f(2, 3), f(4)}},
		`direction is "UP"`:                      {ops.BitShift{Direction: "UP"}, []graph.Type{i(2), i(2)}},
		"the key":                                {ops.PhiloxUniform{Dtype: tensor.Float32}, []graph.Type{i(2), i(3)}},
		"rate, a count and 3 tensors":            {ops.Momentum{Mode: "standard"}, []graph.Type{f(), i(), f(2), f(2)}},
	} {
		_, err := c.op.Infer(c.in)
		require.ErrorContains(t, err, want, c.op.Name())
	}
}
