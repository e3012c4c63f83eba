package ops

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// sym is a float32 tensor whose dimensions are numbers and symbols.
func sym(dims ...any) graph.Type {
	ds := make([]graph.Dim, len(dims))
	for i, d := range dims {
		switch d := d.(type) {
		case int:
			ds[i] = graph.D(d)
		case string:
			dim, err := graph.ParseDim(d)
			if err != nil {
				panic(err)
			}
			ds[i] = dim
		}
	}
	return graph.TensorOf(tensor.Float32, ds...)
}

func vec(vs ...int64) graph.Type { return graph.ConstOf(tensor.Of(vs, len(vs))) }

// contentsOfShape is the type of Shape's result for t.
func contentsOfShape(t *testing.T, of graph.Type) graph.Type {
	t.Helper()
	out, err := Shape{}.Infer([]graph.Type{of})
	require.NoError(t, err)
	return out[0]
}

// TestSymbolicShapes holds what inference says about symbols.
func TestSymbolicShapes(t *testing.T) {
	f32 := func(vs ...float32) graph.Type { return graph.ConstOf(tensor.Of(vs, len(vs))) }
	for _, c := range []struct {
		op   graph.Op
		in   []graph.Type
		want string
	}{
		{Conv{Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, []graph.Type{sym("N", 3, "H", "W"), sym(8, 3, 3, 3)}, "[N,8,floor(H-1/2)+1,floor(W-1/2)+1]"},
		{Conv{AutoPad: SameUpper, Format: NHWC}, []graph.Type{sym("N", "H", "W", 3), sym(3, 3, 3, 8)}, "[N,H,W,8]"},
		{ConvTranspose{Strides: []int{2}, AutoPad: SameUpper}, []graph.Type{sym("N", 4, "T"), sym(4, 2, 3)}, "[N,2,2*T]"},
		{MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, []graph.Type{sym("N", 3, "2*H", 7)}, "[N,3,H,3]"},
		{Reshape{}, []graph.Type{sym("N", "T", 8), vec(0, -1, 4)}, "[N,2*T,4]"},
		{Reshape{}, []graph.Type{sym("N", "T", 8), vec(-1, 8)}, "[N*T,8]"},
		{Flatten{Axis: 1}, []graph.Type{sym("N", 3, "H")}, "[N,3*H]"},
		{Concat{Axis: 1}, []graph.Type{sym("N", "A"), sym("N", "B"), sym(2, 3)}, "[2,A+B+3]"},
		{Slice{}, []graph.Type{sym("N", "T"), vec(1), vec(math.MaxInt64), vec(1)}, "[N,T-min(1,T)]"},
		{Slice{}, []graph.Type{sym("N", 9), vec(-1), vec(-5), vec(1), vec(-2)}, "[N,2]"},
		{Split{NumOutputs: 2, Axis: 1}, []graph.Type{sym("N", 7)}, "[N,4]"},
		{Pad{}, []graph.Type{sym("N", "T"), vec(0, 1, 0, 2)}, "[N,T+3]"},
		{Expand{}, []graph.Type{sym("N", 1), contentsOfShape(t, sym("N", "K"))}, "[N,K]"},
		{Tile{}, []graph.Type{sym("N", 3), vec(2, 1)}, "[2*N,3]"},
		{Resize{}, []graph.Type{sym("N", 3, "H", 5), {}, f32(1, 1, 2, 0.5)}, "[N,3,2*H,2]"},
		{Transpose{Perm: []int{1, 0}}, []graph.Type{sym("N", "M")}, "[M,N]"},
		{Unsqueeze{}, []graph.Type{sym("N"), vec(0, -1)}, "[1,N,1]"},
		{Gather{Axis: 1}, []graph.Type{sym("N", "V", 4), vec(1, 2)}, "[N,2,4]"},
		{Squeeze{}, []graph.Type{sym("N", 1, 1), vec(1)}, "[N,1]"},
	} {
		out, err := c.op.Infer(c.in)
		require.NoError(t, err, "%s %+v", c.op.Name(), c.op)
		require.Equal(t, "float32"+c.want, out[0].String(), "%s %+v", c.op.Name(), c.op)
	}
}

// TestShapeArithmetic holds that contents of shape vectors survive what exporters do with them.
func TestShapeArithmetic(t *testing.T) {
	b := graph.NewBuilder(&graph.Graph{})
	x := b.Input("x", sym("N", "T", 6))
	shape := b.Add(Shape{}, x)
	n := b.Add(Gather{}, shape, b.Const("zero", tensor.Scalar(int64(0))))
	t1 := b.Add(Slice{}, shape, b.Ints(1), b.Ints(2))
	both := b.Add(Concat{}, b.Add(Unsqueeze{}, n, b.Ints(0)), b.Add(Mul{}, t1, b.Ints(2)), b.Ints(3))
	y := b.Add(Reshape{}, x, both)
	require.NoError(t, b.Err())
	require.Equal(t, "float32[N,2*T,3]", y.Type.String())

	r := b.Add(Range{}, b.Const("a", tensor.Scalar(int64(0))), n, b.Const("d", tensor.Scalar(int64(1))))
	require.NoError(t, b.Err())
	require.Equal(t, "int64[N]", r.Type.String())
}

// TestRefusals holds that impossible applications are errors that name both sides.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		op   graph.Op
		in   []graph.Type
		want string
	}{
		{Conv{}, []graph.Type{sym(1, 4, 8, 8), sym(8, 3, 3, 3)}, "4 channels"},
		{Conv{}, []graph.Type{sym(1, 3, 2, 8), sym(8, 3, 3, 3)}, "does not fit"},
		{Conv{Strides: []int{1}}, []graph.Type{sym(1, 3, 8, 8), sym(8, 3, 3, 3)}, "1 strides"},
		{MaxPool{KernelShape: []int{1 << 20, 1 << 20}}, []graph.Type{sym(1, 3, 8, 8)}, "kernel"},
		{Reshape{}, []graph.Type{sym(2, 3), vec(4, -1)}, "6 elements"},
		{Reshape{}, []graph.Type{sym(2, 3), vec(-1, -1)}, "more than one -1"},
		{Concat{}, []graph.Type{sym(2, 3), sym(2, 4)}, "axis 1 differs"},
		{Slice{}, []graph.Type{sym(4), vec(0), vec(2), vec(0), vec(0)}, "step of 0"},
		{Split{NumOutputs: 2}, []graph.Type{sym(4), vec(1, 2)}, "sizes"},
		{Tile{}, []graph.Type{sym(1 << 20), vec(1<<44 + 1)}, "overflow"},
		{Transpose{Perm: []int{0, 0}}, []graph.Type{sym(2, 3)}, "no permutation"},
		{Resize{}, []graph.Type{sym(1, 2)}, "either scales or sizes"},
		{TopK{Axis: -1}, []graph.Type{sym(3), vec(4)}, "k is 4"},
		{Pad{Mode: "mirror"}, []graph.Type{sym(3), vec(1, 1)}, "mirror"},
	} {
		_, err := c.op.Infer(c.in)
		require.ErrorContains(t, err, c.want, "%s %+v", c.op.Name(), c.op)
	}
}

// TestSliceRange compares with a list of what Python's slicing gives.
func TestSliceRange(t *testing.T) {
	bounds := []int{math.MinInt, -7, -5, -3, -1, 0, 1, 2, 4, 5, 6, math.MaxInt}
	for _, size := range []int{0, 1, 5} {
		for _, step := range []int{-3, -2, -1, 1, 2, 3, math.MinInt, math.MaxInt} {
			for _, start := range bounds {
				for _, end := range bounds {
					first, count := SliceRange(start, end, step, size)
					want := python(start, end, step, size)
					require.Len(t, want, count, "%d:%d:%d of %d", start, end, step, size)
					if count > 0 {
						require.Equal(t, want[0], first, fmt.Sprintf("%d:%d:%d of %d", start, end, step, size))
					}
				}
			}
		}
	}
}

// python walks start:end:step element by element.
func python(start, end, step, size int) []int {
	clamp := func(v int) int {
		if v < 0 && v > -1<<40 {
			v += size
		}
		if step > 0 {
			return min(max(v, 0), size)
		}
		return min(max(v, -1), size-1)
	}
	var at []int
	for i := clamp(start); step > 0 && i < clamp(end) || step < 0 && i > clamp(end); i += step {
		at = append(at, i)
		if step > size || step < -size {
			break
		}
	}
	return at
}

// TestReshapeOfNothing: where there are no elements, a -1 stands for what is left beside the dimensions that are
// copied, as it does for any other number of them.
func TestReshapeOfNothing(t *testing.T) {
	for _, tc := range []struct{ from, to, want []int }{
		{[]int{0, 0, 2, 128}, []int{0, 0, -1}, []int{0, 0, 256}},
		{[]int{0, 7, 8}, []int{0, -1, 2, 4}, []int{0, 7, 2, 4}},
		{[]int{0, 3}, []int{-1, 3}, []int{0, 3}},
		{[]int{2, 0, 3}, []int{0, -1}, []int{2, 0}},
	} {
		shape := tensor.New(tensor.Int64, len(tc.to))
		for i, d := range tc.to {
			tensor.As[int64](shape)[i] = int64(d)
		}
		out, err := Reshape{}.Infer([]graph.Type{graph.TensorOf(tensor.Float32, graph.Dims(tc.from...)...), graph.ConstOf(shape)})
		require.NoError(t, err)
		got, ok := out[0].Shape()
		require.True(t, ok)
		require.Equal(t, tc.want, got)
	}
	_, err := Reshape{Allowzero: true}.Infer([]graph.Type{graph.TensorOf(tensor.Float32, graph.Dims(0, 3)...), graph.ConstOf(tensor.Of([]int64{0, -1}))})
	require.Error(t, err)
}
