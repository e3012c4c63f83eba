package onnx

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// expand spells an operator that ONNX lacks in others, or gives nil.
func expand(b *graph.Builder, op graph.Op, in []*graph.Value) []*graph.Value {
	num := func(v float64) *graph.Value {
		t := tensor.New(in[0].Type.DType)
		if err := setNumber(t, v); err != nil {
			b.Fail(err)
		}
		return b.Const("scalar", t)
	}
	switch op := op.(type) {
	case ops.Rsqrt:
		return one(b.Add(ops.Reciprocal{}, b.Add(ops.Sqrt{}, in[0])))
	case ops.Expm1:
		return one(b.Add(ops.Sub{}, b.Add(ops.Exp{}, in[0]), num(1)))
	case ops.Log1p:
		return one(b.Add(ops.Log{}, b.Add(ops.Add{}, in[0], num(1))))
	case ops.StopGradient:
		return one(b.Add(ops.Identity{}, in[0]))
	case ops.FloorDiv:
		return floorDiv(b, in, num)
	case ops.Atan2:
		return atan2(b, in, num)
	case ops.SumTo:
		return sumTo(b, in)
	case ops.Im2Col:
		return im2col(b, op, in)
	case graph.Decomposer:
		return op.Decompose(b, in)
	}
	return nil
}

// floorDiv rounds the quotient down, where Div of integers rounds toward zero.
func floorDiv(b *graph.Builder, in []*graph.Value, num func(float64) *graph.Value) []*graph.Value {
	if in[0].Type.DType.IsFloat() {
		return one(b.Add(ops.Floor{}, b.Add(ops.Div{}, in[0], in[1])))
	}
	rest := b.Add(ops.Mod{}, in[0], in[1]) // has the divisor's sign: what is left divides exactly
	return one(b.Add(ops.Div{}, b.Add(ops.Sub{}, in[0], rest), in[1]))
}

// atan2 is the angle of (x, y) = (in[1], in[0]).
func atan2(b *graph.Builder, in []*graph.Value, num func(float64) *graph.Value) []*graph.Value {
	y, x := in[0], in[1]
	zero := num(0)
	neg := b.Add(ops.Less{}, x, zero)
	down := b.Add(ops.Less{}, y, zero)
	safe := b.Add(ops.Where{}, b.Add(ops.Equal{}, x, zero), num(1), x)
	base := b.Add(ops.Atan{}, b.Add(ops.Div{}, y, safe))
	turn := b.Add(ops.Where{}, down, num(-math.Pi), num(math.Pi))
	side := b.Add(ops.Where{}, neg, b.Add(ops.Add{}, base, turn), base)
	up := b.Add(ops.Mul{}, b.Add(ops.Sign{}, y), num(math.Pi/2))
	return one(b.Add(ops.Where{}, b.Add(ops.Equal{}, x, zero), up, side))
}

// sumTo sums over the dimensions that broadcasting made or stretched, where both shapes are known.
func sumTo(b *graph.Builder, in []*graph.Value) []*graph.Value {
	want, ok := in[1].Type.Contents()
	r := rank(in[0])
	if !ok || r < len(want) {
		return nil
	}
	var axes []int64
	lead := r - len(want)
	for i, d := range in[0].Type.Dims {
		if i < lead || want[i-lead] != d {
			if n, ok := d.Const(); i >= lead && !ok || i >= lead && want[i-lead] != graph.D(1) && n != 1 {
				return nil // whether this dimension was stretched is not known
			}
			axes = append(axes, int64(i))
		}
	}
	y := in[0]
	if axes != nil {
		y = b.Add(ops.ReduceSum{Keepdims: true}, y, b.Ints(axes...))
	}
	return one(b.Add(ops.Reshape{}, y, in[1]))
}

// im2col takes patches apart by a convolution whose kernels each pick one element.
func im2col(b *graph.Builder, op ops.Im2Col, in []*graph.Value) []*graph.Value {
	x, r := in[0], rank(in[0])
	if r != len(op.KernelShape)+2 {
		return nil
	}
	channels, ok := x.Type.Dims[op.Format.Channel(r)].Const()
	if !ok {
		return nil
	}
	size := 1
	for _, k := range op.KernelShape {
		size *= k
	}
	eye := tensor.New(tensor.Float32, append([]int{channels * size, 1}, op.KernelShape...)...)
	for i := range channels * size {
		tensor.As[float32](eye)[i*size+i%size] = 1
	}
	w, err := tensor.Cast(eye, x.Type.DType, tensor.CastOptions{})
	if err != nil {
		return nil
	}
	if op.Format == ops.NHWC {
		x = b.Add(ops.Transpose{Perm: toFirst(r)}, x)
	}
	conv := ops.Conv{KernelShape: op.KernelShape, Strides: op.Strides, Dilations: op.Dilations, Pads: op.Pads, Group: channels}
	y := b.Add(conv, x, b.Const("patch", w))
	if op.Format == ops.NCHW {
		return one(b.Add(ops.Reshape{}, y, b.Ints(0, int64(channels*size), -1)))
	}
	y = b.Add(ops.Reshape{}, y, b.Ints(0, int64(channels), int64(size), -1))
	y = b.Add(ops.Transpose{Perm: []int{0, 3, 2, 1}}, y)
	return one(b.Add(ops.Reshape{}, y, b.Ints(0, 0, int64(channels*size))))
}
