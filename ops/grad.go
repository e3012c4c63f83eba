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

// mulC is x times the constant c.
func mulC(b *graph.Builder, x *graph.Value, c float64) *graph.Value {
	if c == 1 {
		return x
	}
	return b.Add(Mul{}, x, constLike(b, x, c))
}

// addC is x plus the constant c.
func addC(b *graph.Builder, x *graph.Value, c float64) *graph.Value {
	return b.Add(Add{}, x, constLike(b, x, c))
}

// oneMinus is 1 - x.
func oneMinus(b *graph.Builder, x *graph.Value) *graph.Value {
	return b.Add(Sub{}, constLike(b, x, 1), x)
}

// square is x * x.
//
//go:noinline
func square(b *graph.Builder, x *graph.Value) *graph.Value { return b.Add(Mul{}, x, x) }

// zeroWhere is dy where cond is false and 0 where it holds.
func zeroWhere(b *graph.Builder, cond, dy *graph.Value) *graph.Value {
	return b.Add(Where{}, cond, constLike(b, dy, 0), dy)
}

// keepWhere is dy where cond holds and 0 elsewhere.
func keepWhere(b *graph.Builder, cond, dy *graph.Value) *graph.Value {
	return b.Add(Where{}, cond, dy, constLike(b, dy, 0))
}

// positive is x > 0.
func positive(b *graph.Builder, x *graph.Value) *graph.Value {
	return b.Add(Greater{}, x, constLike(b, x, 0))
}

// one is the gradient list of an operator with a single input.
//
//go:noinline
func one(v *graph.Value) []*graph.Value { return []*graph.Value{v} }
