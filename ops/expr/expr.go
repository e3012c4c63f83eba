// Package expr spells graph arithmetic in few words, for packages that build formulas: losses, optimizers,
// regularizers, constraints. Constants take the type of the value they meet.
package expr

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Value is graph.Value.
type Value = graph.Value

// E writes formulas with a builder, whose first error sticks.
type E struct{ B *graph.Builder }

// C is a rank-0 constant of v in x's element type.
//
//go:noinline
func (e E) C(x *Value, v float64) *Value { return e.Scalar(x.Type.DType, v) }

// Scalar is a rank-0 constant of v.
func (e E) Scalar(dt tensor.DType, v float64) *Value {
	t, err := tensor.Make(dt, nil)
	if err == nil {
		err = t.SetFloat64s([]float64{v})
	}
	if err != nil {
		e.B.Fail(errs.Errorf("expr: constant %v: %w", v, err))
		return e.B.Float(float32(v))
	}
	return e.B.Const("c", t)
}

// Vector is a constant vector in x's element type.
func (e E) Vector(x *Value, vs ...float64) *Value {
	t := tensor.New(x.Type.DType, len(vs))
	if err := t.SetFloat64s(vs); err != nil {
		e.B.Fail(errs.Errorf("expr: constant %v: %w", vs, err))
	}
	return e.B.Const("c", t)
}

// Add is x + y.
//
//go:noinline
func (e E) Add(x, y *Value) *Value { return e.B.Add(ops.Add{}, x, y) }

// Sub is x - y.
//
//go:noinline
func (e E) Sub(x, y *Value) *Value { return e.B.Add(ops.Sub{}, x, y) }

// Mul is x * y.
//
//go:noinline
func (e E) Mul(x, y *Value) *Value { return e.B.Add(ops.Mul{}, x, y) }

// Div is x / y.
//
//go:noinline
func (e E) Div(x, y *Value) *Value { return e.B.Add(ops.Div{}, x, y) }

// AddC is x + v.
func (e E) AddC(x *Value, v float64) *Value { return e.Add(x, e.C(x, v)) }

// MulC is x * v.
func (e E) MulC(x *Value, v float64) *Value { return e.Mul(x, e.C(x, v)) }

// DivC is x / v.
func (e E) DivC(x *Value, v float64) *Value { return e.Div(x, e.C(x, v)) }

// CSub is v - x.
func (e E) CSub(v float64, x *Value) *Value { return e.Sub(e.C(x, v), x) }

// Max is the larger of x and y.
func (e E) Max(x, y *Value) *Value { return e.B.Add(ops.Max{}, x, y) }

// MaxC is the larger of x and v.
func (e E) MaxC(x *Value, v float64) *Value { return e.Max(x, e.C(x, v)) }

// Min is the smaller of x and y.
func (e E) Min(x, y *Value) *Value { return e.B.Add(ops.Min{}, x, y) }

// MinC is the smaller of x and v.
func (e E) MinC(x *Value, v float64) *Value { return e.Min(x, e.C(x, v)) }

// Clip is x held between lo and hi.
func (e E) Clip(x *Value, lo, hi float64) *Value {
	return e.B.Add(ops.Clip{}, x, e.C(x, lo), e.C(x, hi))
}

// Pow is x to the power of y.
func (e E) Pow(x, y *Value) *Value { return e.B.Add(ops.Pow{}, x, y) }

// PowC is x to the power of v.
func (e E) PowC(x *Value, v float64) *Value { return e.Pow(x, e.C(x, v)) }

// Square is x * x.
func (e E) Square(x *Value) *Value { return e.Mul(x, x) }

// Sqrt is the square root.
func (e E) Sqrt(x *Value) *Value { return e.B.Add(ops.Sqrt{}, x) }

// Exp is the exponential.
func (e E) Exp(x *Value) *Value { return e.B.Add(ops.Exp{}, x) }

// Log is the natural logarithm.
func (e E) Log(x *Value) *Value { return e.B.Add(ops.Log{}, x) }

// Abs is the absolute value.
func (e E) Abs(x *Value) *Value { return e.B.Add(ops.Abs{}, x) }

// Neg is -x.
func (e E) Neg(x *Value) *Value { return e.B.Add(ops.Neg{}, x) }

// Sign is -1, 0 or 1.
func (e E) Sign(x *Value) *Value { return e.B.Add(ops.Sign{}, x) }

// Floor is the largest whole number not above x.
func (e E) Floor(x *Value) *Value { return e.B.Add(ops.Floor{}, x) }

// Sigmoid is 1/(1+exp(-x)).
func (e E) Sigmoid(x *Value) *Value { return e.B.Add(ops.Sigmoid{}, x) }

// Softplus is log(1+exp(x)).
func (e E) Softplus(x *Value) *Value { return e.B.Add(ops.Softplus{}, x) }

// Softmax normalises along axis.
func (e E) Softmax(x *Value, axis int) *Value { return e.B.Add(ops.Softmax{Axis: axis}, x) }

// LogSoftmax is the logarithm of Softmax.
func (e E) LogSoftmax(x *Value, axis int) *Value { return e.B.Add(ops.LogSoftmax{Axis: axis}, x) }

// MatMul is the matrix product.
func (e E) MatMul(x, y *Value) *Value { return e.B.Add(ops.MatMul{}, x, y) }

// Transpose permutes the axes; no perm reverses them.
func (e E) Transpose(x *Value, perm ...int) *Value { return e.B.Add(ops.Transpose{Perm: perm}, x) }

// Cast changes the element type, where it is not dt already.
//
//go:noinline
func (e E) Cast(x *Value, dt tensor.DType) *Value {
	if x.Type.DType == dt {
		return x
	}
	return e.B.Add(ops.Cast{To: dt, Saturate: true}, x)
}

// Where is a where cond holds, else b.
//
//go:noinline
func (e E) Where(cond, a, b *Value) *Value { return e.B.Add(ops.Where{}, cond, a, b) }

// Eq is x == y.
func (e E) Eq(x, y *Value) *Value { return e.B.Add(ops.Equal{}, x, y) }

// Gt is x > y.
func (e E) Gt(x, y *Value) *Value { return e.B.Add(ops.Greater{}, x, y) }

// Ge is x >= y.
func (e E) Ge(x, y *Value) *Value { return e.B.Add(ops.GreaterOrEqual{}, x, y) }

// Not is the negation of a condition.
func (e E) Not(x *Value) *Value { return e.B.Add(ops.Not{}, x) }

// And holds where both do.
func (e E) And(x, y *Value) *Value { return e.B.Add(ops.And{}, x, y) }

func ints(vs []int) []int64 {
	out := make([]int64, len(vs))
	for i, v := range vs {
		out[i] = int64(v)
	}
	return out
}

// axes is the operands of a reduction: without axes it is over all of them.
func (e E) axes(x *Value, axes []int) []*Value {
	if len(axes) == 0 {
		return []*Value{x}
	}
	return []*Value{x, e.B.Ints(ints(axes)...)}
}

// Sum adds over axes, or over all where none is given.
func (e E) Sum(x *Value, keep bool, axes ...int) *Value {
	var op ops.ReduceSum
	op.Keepdims = keep
	return e.B.Add(op, e.axes(x, axes)...)
}

// Mean averages over axes, or over all where none is given.
func (e E) Mean(x *Value, keep bool, axes ...int) *Value {
	var op ops.ReduceMean
	op.Keepdims = keep
	return e.B.Add(op, e.axes(x, axes)...)
}

// Largest is the maximum over axes, or over all where none is given.
func (e E) Largest(x *Value, keep bool, axes ...int) *Value {
	var op ops.ReduceMax
	op.Keepdims = keep
	return e.B.Add(op, e.axes(x, axes)...)
}

// LogSumExp is the logarithm of the sum of exponentials over axes.
func (e E) LogSumExp(x *Value, keep bool, axes ...int) *Value {
	var op ops.ReduceLogSumExp
	op.Keepdims = keep
	return e.B.Add(op, e.axes(x, axes)...)
}

// Unsqueeze inserts a dimension of 1 before each of axes (of the result).
func (e E) Unsqueeze(x *Value, axes ...int) *Value {
	return e.B.Add(ops.Unsqueeze{}, x, e.B.Ints(ints(axes)...))
}

// Squeeze drops dimensions of 1.
func (e E) Squeeze(x *Value, axes ...int) *Value {
	return e.B.Add(ops.Squeeze{}, x, e.B.Ints(ints(axes)...))
}

// Reshape gives x another shape; -1 is what is left over, 0 keeps a dimension.
func (e E) Reshape(x *Value, dims ...int) *Value {
	return e.B.Add(ops.Reshape{}, x, e.B.Ints(ints(dims)...))
}

// Slice is x[lo:hi] along axis.
func (e E) Slice(x *Value, axis, lo, hi int) *Value {
	return e.B.Add(ops.Slice{}, x, e.B.Ints(int64(lo)), e.B.Ints(int64(hi)), e.B.Ints(int64(axis)))
}

// Concat joins along axis.
func (e E) Concat(axis int, xs ...*Value) *Value { return e.B.Add(ops.Concat{Axis: axis}, xs...) }

// Shape is the dimensions as an int64 vector.
func (e E) Shape(x *Value) *Value { return e.B.Add(ops.Shape{}, x) }

// Dim is dimension axis of x as a vector of one int64.
func (e E) Dim(x *Value, axis int) *Value {
	if axis < 0 {
		axis += x.Type.Rank()
	}
	return e.B.Add(ops.Shape{Start: axis, End: axis + 1, HasEnd: true}, x)
}

// Expand broadcasts x to a shape.
func (e E) Expand(x, shape *Value) *Value { return e.B.Add(ops.Expand{}, x, shape) }

// Fill is a tensor of v in x's shape.
func (e E) Fill(x *Value, v float64) *Value { return e.Expand(e.C(x, v), e.Shape(x)) }

// Count is the number of x's elements, rank 0, in element type dt: a constant where the shape is known.
func (e E) Count(x *Value, dt tensor.DType) *Value {
	if shape, ok := x.Type.Shape(); ok {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return e.Scalar(dt, float64(n))
	}
	return e.Cast(e.B.Add(ops.Size{}, x), dt)
}

// Size is dimension axis of x, rank 0, in element type dt: a constant where it is known.
func (e E) Size(x *Value, axis int, dt tensor.DType) *Value {
	if axis < 0 {
		axis += x.Type.Rank()
	}
	if axis >= 0 && axis < x.Type.Rank() {
		if n, ok := x.Type.Dims[axis].Const(); ok {
			return e.Scalar(dt, float64(n))
		}
	}
	return e.Cast(e.Squeeze(e.Dim(x, axis), 0), dt)
}

// OneHot adds an axis at the place given: 1 at the index, else 0. Indices outside give no 1 at all.
func (e E) OneHot(index, depth *Value, axis int, dt tensor.DType) *Value {
	values := tensor.New(dt, 2)
	if err := values.SetFloat64s([]float64{0, 1}); err != nil {
		e.B.Fail(err)
	}
	return e.B.Add(ops.OneHot{Axis: axis}, index, depth, e.B.Const("offon", values))
}

// DivNoNaN is x / y, 0 where y is 0.
func (e E) DivNoNaN(x, y *Value) *Value {
	zero := e.Eq(y, e.C(y, 0))
	return e.Where(zero, e.C(x, 0), e.Div(x, e.Where(zero, e.C(y, 1), y)))
}

// Norm is the Euclidean norm over axes (all where none is given).
func (e E) Norm(x *Value, keep bool, axes ...int) *Value {
	return e.Sqrt(e.Sum(e.Square(x), keep, axes...))
}
