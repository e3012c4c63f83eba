package layers

import (
	"maps"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// The shapes that many operations have.
func unary(op graph.Op) opDef {
	return opDef{"x", func(o *opArgs) []*graph.Value { return one(o.Add(op, o.x())) }}
}

// unaryFloat is unary on a floating-point number.
func unaryFloat(op graph.Op) opDef {
	return opDef{"x", func(o *opArgs) []*graph.Value { return one(o.Add(op, o.floatX())) }}
}

//go:noinline
func (o *opArgs) floatX() *graph.Value {
	x := o.x()
	if !x.Type.DType.IsFloat() {
		return o.cast(x, tensor.Float32)
	}
	return x
}

func activationOp(name Activation) opDef {
	return opDef{"x", func(o *opArgs) []*graph.Value { return one(o.activate(o.floatX(), name)) }}
}

func binary(op graph.Op) opDef {
	return opDef{"x1 x2", func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.Add(op, a, b)) }}
}

func logical(op graph.Op) opDef {
	return opDef{"x1 x2", func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		return one(o.Add(op, o.cast(a, tensor.Bool), o.cast(b, tensor.Bool)))
	}}
}

func reduction(f func(o *opArgs, x *graph.Value, keep bool, axes []int) *graph.Value) opDef {
	return opDef{"x axis keepdims", func(o *opArgs) []*graph.Value {
		x := o.x()
		return one(f(o, x, o.bool(false, "keepdims", "keep_dims"), o.axes(x, "axis", "reduction_indices")))
	}}
}

// kerasOperations is the classes of keras.ops.
var kerasOperations = joinOps(basicOperations, numpyOperations, arrayOperations, statsOperations, nnOperations, mathOperations, imageOperations)

func joinOps(tables ...map[string]opDef) map[string]opDef {
	all := map[string]opDef{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// basicOperations is what functional models hold most.
var basicOperations = map[string]opDef{
	"Add": binary(ops.Add{}), "Subtract": binary(ops.Sub{}), "Multiply": binary(ops.Mul{}),
	"Divide": divide, "TrueDivide": divide, "FloorDivide": floorDivide,
	"DivideNoNan": {"x1 x2", func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		zero := o.Add(ops.Equal{}, b, o.num(b, 0))
		q := o.div(a, o.Add(ops.Where{}, zero, o.num(b, 1), b))
		return one(o.Add(ops.Where{}, zero, o.num(q, 0), q))
	}},
	"Power": binary(ops.Pow{}), "Maximum": binary(ops.Max{}), "Minimum": binary(ops.Min{}),
	"Mod":     {"x1 x2", func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.modulo(a, b)) }},
	"Greater": binary(ops.Greater{}), "GreaterEqual": binary(ops.GreaterOrEqual{}),
	"Less": binary(ops.Less{}), "LessEqual": binary(ops.LessOrEqual{}), "Equal": binary(ops.Equal{}),
	"NotEqual": {"x1 x2", func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		return one(o.Add(ops.Not{}, o.Add(ops.Equal{}, a, b)))
	}},
	"LogicalAnd": logical(ops.And{}), "LogicalOr": logical(ops.Or{}), "LogicalXor": logical(ops.Xor{}),
	"LogicalNot": {"x", func(o *opArgs) []*graph.Value { return one(o.Add(ops.Not{}, o.cast(o.x(), tensor.Bool))) }},
	"Matmul":     binary(ops.MatMul{}), "Arctan2": binary(ops.Atan2{}),

	"Negative": unary(ops.Neg{}), "Absolute": unary(ops.Abs{}), "Abs": unary(ops.Abs{}), "Sign": unary(ops.Sign{}),
	"Exp": unaryFloat(ops.Exp{}), "Expm1": unaryFloat(ops.Expm1{}), "Log": unaryFloat(ops.Log{}), "Log1p": unaryFloat(ops.Log1p{}),
	"Log2":  {"x", func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 1.4426950408889634)) }},
	"Log10": {"x", func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 0.4342944819032518)) }},
	"Sqrt":  unaryFloat(ops.Sqrt{}), "Rsqrt": unaryFloat(ops.Rsqrt{}), "Reciprocal": unaryFloat(ops.Reciprocal{}),
	"Square": square, "Sin": unaryFloat(ops.Sin{}), "Cos": unaryFloat(ops.Cos{}), "Tan": unaryFloat(ops.Tan{}),
	"Arcsin": unaryFloat(ops.Asin{}), "Arccos": unaryFloat(ops.Acos{}), "Arctan": unaryFloat(ops.Atan{}),
	"Sinh": unaryFloat(ops.Sinh{}), "Cosh": unaryFloat(ops.Cosh{}), "Tanh": unaryFloat(ops.Tanh{}),
	"Arcsinh": unaryFloat(ops.Asinh{}), "Arccosh": unaryFloat(ops.Acosh{}), "Arctanh": unaryFloat(ops.Atanh{}),
	"Floor": unaryFloat(ops.Floor{}), "Ceil": unaryFloat(ops.Ceil{}), "Erf": unaryFloat(ops.Erf{}),
	"Isnan": unaryFloat(ops.IsNaN{}), "StopGradient": unary(ops.StopGradient{}),
	"ConvertToTensor": {"x", func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	"Cast":            {"x dtype", func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	"Copy":            unary(ops.Identity{}), "Identity": unary(ops.Identity{}),

	"Relu": activationOp("relu"), "Relu6": activationOp("relu6"), "Sigmoid": activationOp("sigmoid"), "Silu": activationOp("silu"),
	"Softplus": activationOp("softplus"), "Softsign": activationOp("softsign"), "HardSigmoid": activationOp("hard_sigmoid"),
	"HardSilu": activationOp("hard_silu"), "HardTanh": activationOp("hard_tanh"), "LogSigmoid": activationOp("log_sigmoid"),
	"Mish": activationOp("mish"), "Selu": activationOp("selu"), "TanhShrink": activationOp("tanh_shrink"),
	"SparsePlus": activationOp("sparse_plus"), "SparseSigmoid": activationOp("sparse_sigmoid"),
	"Gelu": {"x approximate", func(o *opArgs) []*graph.Value {
		if o.bool(true, "approximate") {
			return one(o.activate(o.floatX(), "gelu_tanh"))
		}
		return one(o.activate(o.floatX(), "gelu"))
	}},
	"LeakyRelu": {"x negative_slope", func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.LeakyRelu{Alpha: o.float(0.2, "negative_slope", "alpha")}, o.floatX()))
	}},
	"Elu":  {"x alpha", func(o *opArgs) []*graph.Value { return one(o.Add(ops.Elu{Alpha: o.float(1, "alpha")}, o.floatX())) }},
	"Celu": {"x alpha", func(o *opArgs) []*graph.Value { return one(o.Add(ops.Celu{Alpha: o.float(1, "alpha")}, o.floatX())) }},

	"Sum": reduction((*opArgs).reduceSum), "Mean": reduction((*opArgs).reduceMean),
	"Logsumexp": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceLogSumExp{Keepdims: k}, x, o.ints(a...))
	}),
	"Any": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.any(o.cast(x, tensor.Bool), k, a...)
	}),
	"All": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		m := o.Add(ops.ReduceMin{Keepdims: k}, o.cast(o.cast(x, tensor.Bool), tensor.Int32), o.ints(a...))
		return o.cast(m, tensor.Bool)
	}),
	"Var": reduction((*opArgs).reduceVar),
	"Std": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.Sqrt{}, o.reduceVar(x, k, a))
	}),
	"Argmax": argOp(true), "Argmin": argOp(false),

	"Reshape": {"x newshape", func(o *opArgs) []*graph.Value { return one(o.reshapeOp("newshape", "shape")) }},
	"Ravel":   {"x", func(o *opArgs) []*graph.Value { return one(o.reshapeTo(o.x(), -1)) }},
	"Transpose": {"x axes", func(o *opArgs) []*graph.Value {
		x := o.x()
		perm, ok := o.intList("axes", "perm")
		if !ok {
			perm = identityPerm(o.rank(x))
			slices.Reverse(perm)
		}
		return one(o.transpose(x, o.normAxes(perm, o.rank(x))...))
	}},
	"Swapaxes": {"x axis1 axis2", func(o *opArgs) []*graph.Value {
		x := o.x()
		p := identityPerm(o.rank(x))
		i, j := o.axis(o.int(0, "axis1"), len(p)), o.axis(o.int(0, "axis2"), len(p))
		if o.Err() == nil {
			p[i], p[j] = p[j], p[i]
		}
		return one(o.transpose(x, p...))
	}},
	"Moveaxis": {"x source destination", (*opArgs).moveaxis},
	"ExpandDims": {"x axis", func(o *opArgs) []*graph.Value {
		x := o.x()
		as, _ := o.intList("axis", "dim")
		return one(o.expandDims(x, as...))
	}},
	"Squeeze": {"x axis", func(o *opArgs) []*graph.Value {
		x := o.x()
		if as, ok := o.intList("axis", "squeeze_dims"); ok && len(as) > 0 {
			return one(o.squeeze(x, as...))
		}
		return one(o.Add(ops.Squeeze{}, x))
	}},
	"Concatenate": {"xs axis", func(o *opArgs) []*graph.Value { return one(o.concatOp("xs", "values", "x")) }},
	"Stack":       {"x axis", func(o *opArgs) []*graph.Value { return one(o.stackOp("x", "arrays", "values")) }},
	"Split":       {"x indices_or_sections axis", (*opArgs).splitOp},
	"Flip": {"x axis", func(o *opArgs) []*graph.Value {
		x := o.x()
		y := x
		for _, a := range o.axes(x, "axis") {
			y = o.reverse(y, a)
		}
		return one(y)
	}},
	"Repeat": {"x repeats axis", func(o *opArgs) []*graph.Value {
		x := o.x()
		if o.get("axis") == nil {
			return one(o.repeatAxis(o.reshapeTo(x, -1), 0, o.int(1, "repeats")))
		}
		return one(o.repeatAxis(x, o.axis(o.int(0, "axis"), o.rank(x)), o.int(1, "repeats")))
	}},
	"Tile": {"x repeats", func(o *opArgs) []*graph.Value {
		x := o.x()
		reps, _ := o.intList("repeats", "multiples")
		for len(reps) < o.rank(x) {
			reps = append([]int{1}, reps...)
		}
		for o.Err() == nil && x.Type.Rank() < len(reps) {
			x = o.expandDims(x, 0)
		}
		return one(o.Add(ops.Tile{}, x, o.ints(reps...)))
	}},
	"ZerosLike": {"x dtype", func(o *opArgs) []*graph.Value { return one(o.fillLike(0)) }},
	"OnesLike":  {"x dtype", func(o *opArgs) []*graph.Value { return one(o.fillLike(1)) }},
	"Take": {"x indices axis", func(o *opArgs) []*graph.Value {
		x := o.x()
		idx := o.cast(o.tensor(nil, "indices"), tensor.Int64)
		if o.get("axis") == nil {
			x = o.reshapeTo(x, -1)
		}
		return one(o.Add(ops.Gather{Axis: o.int(0, "axis")}, x, idx))
	}},
	"OneHot":  {"x num_classes axis dtype", func(o *opArgs) []*graph.Value { return one(o.oneHotOp("num_classes", "depth")) }},
	"GetItem": {"x key", (*opArgs).getItem},
	"Pad":     {"x pad_width mode constant_values", (*opArgs).padOp},
	"BroadcastTo": {"x shape", func(o *opArgs) []*graph.Value {
		s, _ := o.intList("shape")
		return one(o.Add(ops.Expand{}, o.x(), o.ints(s...)))
	}},
}

var (
	divide      = opDef{"x1 x2", func(o *opArgs) []*graph.Value { a, b := o.floatPair(); return one(o.div(a, b)) }}
	floorDivide = opDef{"x1 x2", func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.Add(ops.FloorDiv{}, a, b)) }}
	square      = opDef{"x", func(o *opArgs) []*graph.Value { x := o.x(); return one(o.mul(x, x)) }}
)

//go:noinline
func (o *opArgs) floatPair() (a, b *graph.Value) {
	a, b = o.pair()
	if !a.Type.DType.IsFloat() {
		a, b = o.cast(a, tensor.Float32), o.cast(b, tensor.Float32)
	}
	return a, b
}

// modulo has the sign of b, as Python's.
func (o *opArgs) modulo(a, b *graph.Value) *graph.Value {
	if a.Type.DType.IsInt() {
		return o.Add(ops.Mod{}, a, b)
	}
	return o.sub(a, o.mul(o.Add(ops.Floor{}, o.div(a, b)), b))
}

func softmaxOp(log bool) opDef {
	return opDef{"x axis", func(o *opArgs) []*graph.Value {
		x := o.floatX()
		axes, ok := o.intList("axis")
		if !ok {
			axes = []int{-1}
		}
		if log {
			return one(o.Add(ops.LogSoftmax{Axis: axes[0]}, x))
		}
		return one(o.maskedSoftmax(x, nil, axes))
	}}
}
