package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// constLike is a rank-0 constant of v in the type of like, to be broadcast.
func constLike(b *graph.Builder, like *graph.Value, v float64) *graph.Value {
	t := tensor.New(like.Type.DType)
	if err := t.SetFloat64s([]float64{v}); err != nil {
		b.Fail(err)
	}
	return b.Const("c", t)
}

// sumTo is the gradient of broadcasting: it sums dy over what was stretched from x's shape.
func sumTo(b *graph.Builder, dy, x *graph.Value) *graph.Value {
	if x.Type.Rank() >= 0 && dy.Type.Rank() == x.Type.Rank() {
		same := true
		for i, d := range x.Type.Dims {
			same = same && d == dy.Type.Dims[i]
		}
		if same {
			return dy
		}
	}
	return b.Add(SumTo{}, dy, b.Add(Shape{}, x))
}
