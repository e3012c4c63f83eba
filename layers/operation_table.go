package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// opRow is one operation of a table. Rows are data, not code, and small: there are hundreds.
type opRow struct {
	name   string
	params string
	// f computes it: func(*opArgs) []*graph.Value, or with op as what follows; a reducer over axes; an
	// Activation; as, the class of keras.ops that it is under other names of arguments; or an opDef.
	f  any
	op graph.Op
}

// as is a class of keras.ops that another operation is.
type as string

// reducer computes a reduction over axes.
type reducer = func(o *opArgs, x *graph.Value, keep bool, axes []int) *graph.Value

// find is the operation of that name in the first of some tables that has it.
func find(name string, tables ...[]opRow) (opDef, bool) {
	for _, rows := range tables {
		for i := range rows {
			if rows[i].name == name {
				return rows[i].resolve(), true
			}
		}
	}
	return opDef{}, false
}

func (r *opRow) resolve() opDef {
	switch f := r.f.(type) {
	case func(o *opArgs) []*graph.Value:
		return opDef{r.params, f}
	case func(o *opArgs, op graph.Op) []*graph.Value:
		return opDef{r.params, func(o *opArgs) []*graph.Value { return f(o, r.op) }}
	case reducer:
		return opDef{r.params, func(o *opArgs) []*graph.Value {
			x := o.x()
			return one(f(o, x, o.bool(false, "keepdims", "keep_dims"), o.axes(x, "axis", "reduction_indices")))
		}}
	case Activation:
		return opDef{r.params, func(o *opArgs) []*graph.Value { return one(o.activate(o.floatX(), f)) }}
	case as:
		d, _ := kerasOperation(string(f))
		d.params = r.params
		return d
	case opDef:
		return f
	}
	return opDef{}
}

// kerasOperation is a class of keras.ops.
func kerasOperation(class string) (opDef, bool) {
	return find(class, basicOperations, numpyOperations, arrayOperations, statsOperations, nnOperations, mathOperations, imageOperations)
}

// The forms that many operations have.

func unary(o *opArgs, op graph.Op) []*graph.Value { return one(o.Add(op, o.x())) }

func unaryFloat(o *opArgs, op graph.Op) []*graph.Value { return one(o.Add(op, o.floatX())) }

func binary(o *opArgs, op graph.Op) []*graph.Value { a, b := o.pair(); return one(o.Add(op, a, b)) }

func logical(o *opArgs, op graph.Op) []*graph.Value {
	a, b := o.pair()
	return one(o.Add(op, o.cast(a, tensor.Bool), o.cast(b, tensor.Bool)))
}

//go:noinline
func (o *opArgs) floatX() *graph.Value {
	x := o.x()
	if !x.Type.DType.IsFloat() {
		return o.cast(x, tensor.Float32)
	}
	return x
}

// basicOperations is what functional models hold most.
var basicOperations = []opRow{
	{name: "Add", params: "x1 x2", f: binary, op: ops.Add{}}, {name: "Subtract", params: "x1 x2", f: binary, op: ops.Sub{}}, {name: "Multiply", params: "x1 x2", f: binary, op: ops.Mul{}},
	{name: "Divide", params: "x1 x2", f: divide}, {name: "TrueDivide", params: "x1 x2", f: divide}, {name: "FloorDivide", params: "x1 x2", f: floorDivide},
	{name: "DivideNoNan", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		zero := o.Add(ops.Equal{}, b, o.num(b, 0))
		q := o.div(a, o.Add(ops.Where{}, zero, o.num(b, 1), b))
		return one(o.Add(ops.Where{}, zero, o.num(q, 0), q))
	}},
	{name: "Power", params: "x1 x2", f: binary, op: ops.Pow{}}, {name: "Maximum", params: "x1 x2", f: binary, op: ops.Max{}}, {name: "Minimum", params: "x1 x2", f: binary, op: ops.Min{}},
	{name: "Mod", params: "x1 x2", f: func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.modulo(a, b)) }},
	{name: "Greater", params: "x1 x2", f: binary, op: ops.Greater{}}, {name: "GreaterEqual", params: "x1 x2", f: binary, op: ops.GreaterOrEqual{}},
	{name: "Less", params: "x1 x2", f: binary, op: ops.Less{}}, {name: "LessEqual", params: "x1 x2", f: binary, op: ops.LessOrEqual{}}, {name: "Equal", params: "x1 x2", f: binary, op: ops.Equal{}},
	{name: "NotEqual", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		return one(o.Add(ops.Not{}, o.Add(ops.Equal{}, a, b)))
	}},
	{name: "LogicalAnd", params: "x1 x2", f: logical, op: ops.And{}}, {name: "LogicalOr", params: "x1 x2", f: logical, op: ops.Or{}}, {name: "LogicalXor", params: "x1 x2", f: logical, op: ops.Xor{}},
	{name: "LogicalNot", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.Add(ops.Not{}, o.cast(o.x(), tensor.Bool))) }},
	{name: "Matmul", params: "x1 x2", f: binary, op: ops.MatMul{}}, {name: "Arctan2", params: "x1 x2", f: binary, op: ops.Atan2{}},

	{name: "Negative", params: "x", f: unary, op: ops.Neg{}}, {name: "Absolute", params: "x", f: unary, op: ops.Abs{}}, {name: "Abs", params: "x", f: unary, op: ops.Abs{}}, {name: "Sign", params: "x", f: unary, op: ops.Sign{}},
	{name: "Exp", params: "x", f: unaryFloat, op: ops.Exp{}}, {name: "Expm1", params: "x", f: unaryFloat, op: ops.Expm1{}}, {name: "Log", params: "x", f: unaryFloat, op: ops.Log{}}, {name: "Log1p", params: "x", f: unaryFloat, op: ops.Log1p{}},
	{name: "Log2", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 1.4426950408889634)) }},
	{name: "Log10", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 0.4342944819032518)) }},
	{name: "Sqrt", params: "x", f: unaryFloat, op: ops.Sqrt{}}, {name: "Rsqrt", params: "x", f: unaryFloat, op: ops.Rsqrt{}}, {name: "Reciprocal", params: "x", f: unaryFloat, op: ops.Reciprocal{}},
	{name: "Square", params: "x", f: square}, {name: "Sin", params: "x", f: unaryFloat, op: ops.Sin{}}, {name: "Cos", params: "x", f: unaryFloat, op: ops.Cos{}}, {name: "Tan", params: "x", f: unaryFloat, op: ops.Tan{}},
	{name: "Arcsin", params: "x", f: unaryFloat, op: ops.Asin{}}, {name: "Arccos", params: "x", f: unaryFloat, op: ops.Acos{}}, {name: "Arctan", params: "x", f: unaryFloat, op: ops.Atan{}},
	{name: "Sinh", params: "x", f: unaryFloat, op: ops.Sinh{}}, {name: "Cosh", params: "x", f: unaryFloat, op: ops.Cosh{}}, {name: "Tanh", params: "x", f: unaryFloat, op: ops.Tanh{}},
	{name: "Arcsinh", params: "x", f: unaryFloat, op: ops.Asinh{}}, {name: "Arccosh", params: "x", f: unaryFloat, op: ops.Acosh{}}, {name: "Arctanh", params: "x", f: unaryFloat, op: ops.Atanh{}},
	{name: "Floor", params: "x", f: unaryFloat, op: ops.Floor{}}, {name: "Ceil", params: "x", f: unaryFloat, op: ops.Ceil{}}, {name: "Erf", params: "x", f: unaryFloat, op: ops.Erf{}},
	{name: "Isnan", params: "x", f: unaryFloat, op: ops.IsNaN{}}, {name: "StopGradient", params: "x", f: unary, op: ops.StopGradient{}},
	{name: "ConvertToTensor", params: "x", f: func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	{name: "Cast", params: "x dtype", f: func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	{name: "Copy", params: "x", f: unary, op: ops.Identity{}}, {name: "Identity", params: "x", f: unary, op: ops.Identity{}},

	{name: "Relu", params: "x", f: Activation("relu")}, {name: "Relu6", params: "x", f: Activation("relu6")}, {name: "Sigmoid", params: "x", f: Activation("sigmoid")}, {name: "Silu", params: "x", f: Activation("silu")},
	{name: "Softplus", params: "x", f: Activation("softplus")}, {name: "Softsign", params: "x", f: Activation("softsign")}, {name: "HardSigmoid", params: "x", f: Activation("hard_sigmoid")},
	{name: "HardSilu", params: "x", f: Activation("hard_silu")}, {name: "HardTanh", params: "x", f: Activation("hard_tanh")}, {name: "LogSigmoid", params: "x", f: Activation("log_sigmoid")},
	{name: "Mish", params: "x", f: Activation("mish")}, {name: "Selu", params: "x", f: Activation("selu")}, {name: "TanhShrink", params: "x", f: Activation("tanh_shrink")},
	{name: "SparsePlus", params: "x", f: Activation("sparse_plus")}, {name: "SparseSigmoid", params: "x", f: Activation("sparse_sigmoid")},
	{name: "Gelu", params: "x approximate", f: func(o *opArgs) []*graph.Value {
		if o.bool(true, "approximate") {
			return one(o.activate(o.floatX(), "gelu_tanh"))
		}
		return one(o.activate(o.floatX(), "gelu"))
	}},
	{name: "LeakyRelu", params: "x negative_slope", f: func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.LeakyRelu{Alpha: o.float(0.2, "negative_slope", "alpha")}, o.floatX()))
	}},
	{name: "Elu", params: "x alpha", f: func(o *opArgs) []*graph.Value { return one(o.Add(ops.Elu{Alpha: o.float(1, "alpha")}, o.floatX())) }},
	{name: "Celu", params: "x alpha", f: func(o *opArgs) []*graph.Value { return one(o.Add(ops.Celu{Alpha: o.float(1, "alpha")}, o.floatX())) }},

	{name: "Sum", params: "x axis keepdims", f: (*opArgs).reduceSum}, {name: "Mean", params: "x axis keepdims", f: (*opArgs).reduceMean},
	{name: "Logsumexp", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceLogSumExp{Keepdims: k}, x, o.ints(a...))
	}},
	{name: "Any", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.any(o.cast(x, tensor.Bool), k, a...)
	}},
	{name: "All", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		m := o.Add(ops.ReduceMin{Keepdims: k}, o.cast(o.cast(x, tensor.Bool), tensor.Int32), o.ints(a...))
		return o.cast(m, tensor.Bool)
	}},
	{name: "Var", params: "x axis keepdims", f: (*opArgs).reduceVar},
	{name: "Std", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.Sqrt{}, o.reduceVar(x, k, a))
	}},
	{name: "Argmax", f: argOp(true)}, {name: "Argmin", f: argOp(false)},

	{name: "Reshape", params: "x newshape", f: func(o *opArgs) []*graph.Value { return one(o.reshapeOp("newshape", "shape")) }},
	{name: "Ravel", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.reshapeTo(o.x(), -1)) }},
	{name: "Transpose", params: "x axes", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		perm, ok := o.intList("axes", "perm")
		if !ok {
			perm = identityPerm(o.rank(x))
			slices.Reverse(perm)
		}
		return one(o.transpose(x, o.normAxes(perm, o.rank(x))...))
	}},
	{name: "Swapaxes", params: "x axis1 axis2", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		p := identityPerm(o.rank(x))
		i, j := o.axis(o.int(0, "axis1"), len(p)), o.axis(o.int(0, "axis2"), len(p))
		if o.Err() == nil {
			p[i], p[j] = p[j], p[i]
		}
		return one(o.transpose(x, p...))
	}},
	{name: "Moveaxis", params: "x source destination", f: (*opArgs).moveaxis},
	{name: "ExpandDims", params: "x axis", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		as, _ := o.intList("axis", "dim")
		return one(o.expandDims(x, as...))
	}},
	{name: "Squeeze", params: "x axis", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		if as, ok := o.intList("axis", "squeeze_dims"); ok && len(as) > 0 {
			return one(o.squeeze(x, as...))
		}
		return one(o.Add(ops.Squeeze{}, x))
	}},
	{name: "Concatenate", params: "xs axis", f: func(o *opArgs) []*graph.Value { return one(o.concatOp("xs", "values", "x")) }},
	{name: "Stack", params: "x axis", f: func(o *opArgs) []*graph.Value { return one(o.stackOp("x", "arrays", "values")) }},
	{name: "Split", params: "x indices_or_sections axis", f: (*opArgs).splitOp},
	{name: "Flip", params: "x axis", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		y := x
		for _, a := range o.axes(x, "axis") {
			y = o.reverse(y, a)
		}
		return one(y)
	}},
	{name: "Repeat", params: "x repeats axis", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		if o.get("axis") == nil {
			return one(o.repeatAxis(o.reshapeTo(x, -1), 0, o.int(1, "repeats")))
		}
		return one(o.repeatAxis(x, o.axis(o.int(0, "axis"), o.rank(x)), o.int(1, "repeats")))
	}},
	{name: "Tile", params: "x repeats", f: func(o *opArgs) []*graph.Value {
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
	{name: "ZerosLike", params: "x dtype", f: func(o *opArgs) []*graph.Value { return one(o.fillLike(0)) }},
	{name: "OnesLike", params: "x dtype", f: func(o *opArgs) []*graph.Value { return one(o.fillLike(1)) }},
	{name: "Take", params: "x indices axis", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		idx := o.cast(o.tensor(nil, "indices"), tensor.Int64)
		if o.get("axis") == nil {
			x = o.reshapeTo(x, -1)
		}
		return one(o.Add(ops.Gather{Axis: o.int(0, "axis")}, x, idx))
	}},
	{name: "OneHot", params: "x num_classes axis dtype", f: func(o *opArgs) []*graph.Value { return one(o.oneHotOp("num_classes", "depth")) }},
	{name: "GetItem", params: "x key", f: (*opArgs).getItem},
	{name: "Pad", params: "x pad_width mode constant_values", f: (*opArgs).padOp},
	{name: "BroadcastTo", params: "x shape", f: func(o *opArgs) []*graph.Value {
		s, _ := o.intList("shape")
		return one(o.Add(ops.Expand{}, o.x(), o.ints(s...)))
	}},
}

func divide(o *opArgs) []*graph.Value { a, b := o.floatPair(); return one(o.div(a, b)) }

func floorDivide(o *opArgs) []*graph.Value {
	a, b := o.pair()
	return one(o.Add(ops.FloorDiv{}, a, b))
}

func square(o *opArgs) []*graph.Value { x := o.x(); return one(o.mul(x, x)) }

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
