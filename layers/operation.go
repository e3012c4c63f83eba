package layers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Operation is a node of a functional model that is no layer: a call of keras.ops (Keras 3), of a
// TensorFlow function (TFOpLambda, SlicingOpLambda), or a TensorFlow NodeDef (TensorFlowOpLayer).
type Operation struct {
	Base
	Op       string         // class name in the file: "NotEqual", "TFOpLambda", "TensorFlowOpLayer"
	Module   string         // Keras 3's module of it
	Function string         // the function of a TFOpLambda; the op of a NodeDef
	Config   map[string]any // the rest of its config: arguments that are no tensors
	Raw      map[string]any // the config as a file had it, for writing back
}

// opArgs is a call of an operation with its arguments by name.
type opArgs struct {
	*Call
	vals map[string]any
}

// opDef is one operation: the names of its positional arguments, and what it computes.
type opDef struct {
	params string
	f      func(o *opArgs) []*graph.Value
}

// KnownOperation reports whether an operation of that class (and function) can be computed.
func KnownOperation(class, function string) bool {
	_, ok := findOperation(class, function)
	return ok
}

func findOperation(class, function string) (opDef, bool) {
	switch class {
	case "TFOpLambda", "SlicingOpLambda":
		d, ok := tensorflowFunctions[function]
		return d, ok
	case "TensorFlowOpLayer":
		d, ok := nodeDefs[function]
		return d, ok
	}
	d, ok := kerasOperations[class]
	return d, ok
}

// Call implements Layer.
func (l *Operation) Call(c *Call) []*graph.Value {
	def, ok := findOperation(l.Op, l.Function)
	if !ok {
		c.Failf("operation %s %s is not supported", l.Op, l.Function)
		return one(&graph.Value{Name: "missing", Type: graph.UnrankedOf(tensor.Float32)})
	}
	o := &opArgs{Call: c, vals: map[string]any{}}
	for k, v := range l.Config {
		if k != NodeConstants {
			o.vals[k] = v
		}
	}
	for k, v := range c.Kwargs {
		if k != "name" {
			o.vals[k] = v
		}
	}
	params := strings.Fields(def.params)
	args, err := l.withConstants(c.Args)
	if err != nil {
		c.Failf("%v", err)
		return one(c.X())
	}
	if len(params) == 1 && len(args) > 1 {
		args = []any{args}
	}
	for i, a := range args {
		if i < len(params) {
			o.vals[params[i]] = a
		} else {
			c.Failf("takes %d arguments, got %d", len(params), len(c.Args))
			return one(c.X())
		}
	}
	return def.f(o)
}

// NodeConstants is the key of Config under which a TensorFlowOpLayer has its constant inputs by index.
const NodeConstants = "__constants__"

// withConstants puts a NodeDef's constants into their places among its inputs.
func (l *Operation) withConstants(args []any) ([]any, error) {
	consts, _ := l.Config[NodeConstants].(map[string]any)
	if len(consts) == 0 {
		return args, nil
	}
	out := make([]any, len(args)+len(consts))
	filled := make([]bool, len(out))
	for k, v := range consts {
		i, err := strconv.Atoi(k)
		if err != nil || i < 0 || i >= len(out) {
			return nil, fmt.Errorf("constant %q of %d inputs", k, len(out))
		}
		out[i], filled[i] = v, true
	}
	next := 0
	for i := range out {
		if !filled[i] {
			out[i] = args[next]
			next++
		}
	}
	if n := len(out); n > 1 && strings.HasPrefix(l.Function, "Concat") { // values..., axis
		return []any{out[:n-1], out[n-1]}, nil
	}
	return out, nil
}

// get is the first of the named arguments that is given and isn't null.
func (o *opArgs) get(names ...string) any {
	for _, n := range names {
		if v := o.vals[n]; v != nil {
			return v
		}
	}
	return nil
}

// tensor is an argument as a tensor; a number is a constant of like's type (float32 without one).
func (o *opArgs) tensor(like *graph.Value, names ...string) *graph.Value {
	switch v := o.get(names...).(type) {
	case *graph.Value:
		return v
	case nil:
		o.Failf("argument %s is missing", names[0])
		return o.scalar(tensor.Float32, 0)
	case bool:
		return o.scalar(tensor.Bool, map[bool]float64{true: 1}[v])
	default:
		fs, err := asFloats(v)
		if err != nil {
			o.Failf("argument %s: %v", names[0], err)
			return o.scalar(tensor.Float32, 0)
		}
		dt := tensor.Float32
		if like != nil {
			dt = like.Type.DType
			if !dt.IsFloat() && slices.ContainsFunc(fs, func(f float64) bool { return f != float64(int64(f)) }) {
				dt = tensor.Float32
			}
		}
		if list, ok := v.([]any); ok {
			return o.constant(dt, fs, listShape(list)...)
		}
		return o.scalar(dt, fs[0])
	}
}

func listShape(l []any) []int {
	shape := []int{len(l)}
	for len(l) > 0 {
		inner, ok := l[0].([]any)
		if !ok {
			break
		}
		shape, l = append(shape, len(inner)), inner
	}
	return shape
}

// x is the first tensor argument.
func (o *opArgs) x() *graph.Value {
	return o.tensor(nil, "x", "x1", "input", "inputs", "value", "tensor", "a", "features", "logits", "input_tensor", "array")
}

// pair is the two operands of a binary operation, of one type.
func (o *opArgs) pair() (a, b *graph.Value) {
	an, bn := []string{"x1", "x", "a"}, []string{"x2", "y", "b"}
	if v, ok := o.get(an...).(*graph.Value); ok {
		a = v
		b = o.tensor(a, bn...)
	} else {
		b = o.tensor(nil, bn...)
		a = o.tensor(b, an...)
	}
	dt := promote(a.Type.DType, b.Type.DType)
	return o.cast(a, dt), o.cast(b, dt)
}

func (o *opArgs) int(def int, names ...string) int {
	v := o.get(names...)
	if v == nil {
		return def
	}
	if t, ok := v.(*graph.Value); ok && t.Type.Const != nil {
		if vs, err := t.Type.Const.Int64s(); err == nil && len(vs) == 1 {
			return int(vs[0])
		}
	}
	n, err := asInt(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return n
}

// ints is a list argument; ok is false where it isn't given.
func (o *opArgs) intList(names ...string) (vs []int, ok bool) {
	v := o.get(names...)
	if v == nil {
		return nil, false
	}
	if t, isValue := v.(*graph.Value); isValue {
		if t.Type.Const == nil {
			o.Failf("argument %s is computed; only constants are supported there", names[0])
			return nil, true
		}
		fs, err := t.Type.Const.Int64s()
		if err != nil {
			o.Failf("argument %s: %v", names[0], err)
		}
		for _, f := range fs {
			vs = append(vs, int(f))
		}
		return vs, true
	}
	if ints, isInts := v.([]int); isInts {
		return ints, true
	}
	vs, err := asShape(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return vs, true
}

func (o *opArgs) float(def float64, names ...string) float64 {
	v := o.get(names...)
	if v == nil {
		return def
	}
	f, err := asNumber(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return f
}

func (o *opArgs) bool(def bool, names ...string) bool {
	if b, ok := o.get(names...).(bool); ok {
		return b
	}
	return def
}

func (o *opArgs) str(def string, names ...string) string {
	if s, ok := o.get(names...).(string); ok {
		return s
	}
	return def
}

// list is an argument that is a list of tensors.
func (o *opArgs) list(names ...string) []*graph.Value {
	vs := leaves(nil, o.get(names...))
	if len(vs) == 0 {
		o.Failf("argument %s holds no tensors", names[0])
	}
	return vs
}

// axes is an axis argument: all axes where it isn't given.
func (o *opArgs) axes(x *graph.Value, names ...string) []int {
	as, ok := o.intList(names...)
	if !ok {
		return identityPerm(o.rank(x))
	}
	return as
}

// dtype is a dtype argument, or def.
func (o *opArgs) dtype(def tensor.DType, names ...string) tensor.DType {
	name := o.str("", names...)
	if name == "" {
		return def
	}
	dt, err := tensor.ParseDType(strings.TrimPrefix(name, "tf."))
	if err != nil {
		o.Fail(err)
	}
	return dt
}

// The shapes that many operations have.
func unary(op graph.Op) opDef {
	return opDef{"x", func(o *opArgs) []*graph.Value { return one(o.Add(op, o.x())) }}
}

// unaryFloat is unary on a floating-point number.
func unaryFloat(op graph.Op) opDef {
	return opDef{"x", func(o *opArgs) []*graph.Value { return one(o.Add(op, o.floatX())) }}
}

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
var kerasOperations = map[string]opDef{
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
	"Dot": binary(ops.MatMul{}),

	"Negative": unary(ops.Neg{}), "Absolute": unary(ops.Abs{}), "Abs": unary(ops.Abs{}), "Sign": unary(ops.Sign{}),
	"Exp": unaryFloat(ops.Exp{}), "Expm1": unaryFloat(ops.Expm1{}), "Log": unaryFloat(ops.Log{}), "Log1p": unaryFloat(ops.Log1p{}),
	"Log2":  {"x", func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 1.4426950408889634)) }},
	"Log10": {"x", func(o *opArgs) []*graph.Value { return one(o.mulN(o.Add(ops.Log{}, o.floatX()), 0.4342944819032518)) }},
	"Sqrt":  unaryFloat(ops.Sqrt{}), "Rsqrt": unaryFloat(ops.Rsqrt{}), "Reciprocal": unaryFloat(ops.Reciprocal{}),
	"Square": square, "Sin": unaryFloat(ops.Sin{}), "Cos": unaryFloat(ops.Cos{}), "Tan": unaryFloat(ops.Tan{}),
	"Arcsin": unaryFloat(ops.Asin{}), "Arccos": unaryFloat(ops.Acos{}), "Arctan": unaryFloat(ops.Atan{}),
	"Sinh": unaryFloat(ops.Sinh{}), "Cosh": unaryFloat(ops.Cosh{}), "Tanh": unaryFloat(ops.Tanh{}),
	"Arcsinh": unaryFloat(ops.Asinh{}), "Arccosh": unaryFloat(ops.Acosh{}), "Arctanh": unaryFloat(ops.Atanh{}),
	"Floor": unaryFloat(ops.Floor{}), "Ceil": unaryFloat(ops.Ceil{}), "Round": unaryFloat(ops.Round{}), "Erf": unaryFloat(ops.Erf{}),
	"Isnan": unaryFloat(ops.IsNaN{}), "StopGradient": unary(ops.StopGradient{}),
	"ConvertToTensor": {"x", func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	"Cast":            {"x dtype", func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	"Copy":            unary(ops.Identity{}), "Identity": unary(ops.Identity{}),
	"Clip": {"x x_min x_max", func(o *opArgs) []*graph.Value {
		x := o.x()
		return one(o.clip(x, o.float(0, "x_min"), o.float(0, "x_max")))
	}},

	"Relu": activationOp("relu"), "Relu6": activationOp("relu6"), "Sigmoid": activationOp("sigmoid"), "Silu": activationOp("silu"),
	"Softplus": activationOp("softplus"), "Softsign": activationOp("softsign"), "HardSigmoid": activationOp("hard_sigmoid"),
	"HardSilu": activationOp("hard_silu"), "HardTanh": activationOp("hard_tanh"), "LogSigmoid": activationOp("log_sigmoid"),
	"Mish": activationOp("mish"), "Selu": activationOp("selu"), "TanhShrink": activationOp("tanh_shrink"),
	"SparsePlus": activationOp("sparse_plus"), "SparseSigmoid": activationOp("sparse_sigmoid"), "Sparsemax": activationOp("sparsemax"),
	"Glu": activationOp("glu"), "Squareplus": activationOp("squareplus"),
	"Gelu": {"x approximate", func(o *opArgs) []*graph.Value {
		if o.bool(true, "approximate") {
			return one(o.activate(o.floatX(), "gelu_tanh"))
		}
		return one(o.activate(o.floatX(), "gelu"))
	}},
	"LeakyRelu": {"x negative_slope", func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.LeakyRelu{Alpha: o.float(0.2, "negative_slope", "alpha")}, o.floatX()))
	}},
	"Elu":        {"x alpha", func(o *opArgs) []*graph.Value { return one(o.Add(ops.Elu{Alpha: o.float(1, "alpha")}, o.floatX())) }},
	"Celu":       {"x alpha", func(o *opArgs) []*graph.Value { return one(o.Add(ops.Celu{Alpha: o.float(1, "alpha")}, o.floatX())) }},
	"Softmax":    softmaxOp(false),
	"LogSoftmax": softmaxOp(true),

	"Sum": reduction((*opArgs).reduceSum), "Mean": reduction((*opArgs).reduceMean),
	"Max": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { return o.max(x, k, a...) }), "Amax": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { return o.max(x, k, a...) }),
	"Min": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceMin{Keepdims: k}, x, o.ints(a...))
	}),
	"Amin": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceMin{Keepdims: k}, x, o.ints(a...))
	}),
	"Prod": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceProd{Keepdims: k}, x, o.ints(a...))
	}),
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
	"Cumsum": {"x axis", func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.CumSum{}, o.x(), o.Const("axis", tensor.Scalar(int64(o.int(0, "axis"))))))
	}},
	"Norm": reduction(func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceL2{Keepdims: k}, x, o.ints(a...))
	}),
	"Normalize": {"x axis", func(o *opArgs) []*graph.Value { return one(o.l2normalize(o.floatX(), o.int(-1, "axis"))) }},

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
	"Where":     {"condition x1 x2", (*opArgs).whereOp},
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
	"OneHot": {"x num_classes axis dtype", func(o *opArgs) []*graph.Value { return one(o.oneHotOp("num_classes", "depth")) }},
	"Einsum": {"subscripts operands", func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.Einsum{Equation: o.str("", "subscripts", "equation")}, o.list("operands", "inputs")...))
	}},
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

func (o *opArgs) reduceSum(x *graph.Value, keep bool, axes []int) *graph.Value {
	if x.Type.DType == tensor.Bool {
		x = o.cast(x, tensor.Int32)
	}
	return o.sum(x, keep, axes...)
}

func (o *opArgs) reduceMean(x *graph.Value, keep bool, axes []int) *graph.Value {
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	return o.mean(x, keep, axes...)
}

func (o *opArgs) reduceVar(x *graph.Value, keep bool, axes []int) *graph.Value {
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	d := o.sub(x, o.mean(x, true, axes...))
	return o.mean(o.mul(d, d), keep, axes...)
}

func argOp(isMax bool) opDef {
	return opDef{"x axis keepdims", func(o *opArgs) []*graph.Value {
		x := o.x()
		axis := o.int(0, "axis", "dimension")
		keep := o.bool(false, "keepdims")
		if o.get("axis", "dimension") == nil {
			x = o.reshapeTo(x, -1)
		}
		var y *graph.Value
		if isMax {
			y = o.Add(ops.ArgMax{Axis: axis, Keepdims: keep}, x)
		} else {
			y = o.Add(ops.ArgMin{Axis: axis, Keepdims: keep}, x)
		}
		return one(o.cast(y, o.dtype(tensor.Int32, "output_type")))
	}}
}

func (o *opArgs) normAxes(axes []int, rank int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = o.axis(a, rank)
	}
	if len(out) != rank {
		o.Failf("axes %v for rank %d", axes, rank)
		return identityPerm(rank)
	}
	return out
}

func (o *opArgs) moveaxis() []*graph.Value {
	x := o.x()
	src, _ := o.intList("source")
	dst, _ := o.intList("destination")
	r := o.rank(x)
	if len(src) != len(dst) || o.Err() != nil {
		o.Failf("source %v, destination %v", src, dst)
		return one(x)
	}
	perm := repeat(-1, r)
	used := map[int]bool{}
	for i := range src {
		s, d := o.axis(src[i], r), o.axis(dst[i], r)
		perm[d], used[s] = s, true
	}
	next := 0
	for i := range perm {
		if perm[i] >= 0 {
			continue
		}
		for used[next] {
			next++
		}
		perm[i] = next
		next++
	}
	return one(o.transpose(x, perm...))
}

// reshapeOp is x in the named shape, in which one size may be -1 and null stands for the batch.
func (o *opArgs) reshapeOp(names ...string) *graph.Value {
	x := o.x()
	if list, ok := o.get(names...).([]any); ok && len(leaves(nil, list)) > 0 {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.shapeList(list))
	}
	if v, ok := o.get(names...).(*graph.Value); ok && v.Type.Const == nil {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.cast(v, tensor.Int64))
	}
	sizes, _ := o.intList(names...)
	open := 0
	dims := make([]graph.Dim, len(sizes))
	for i, n := range sizes {
		dims[i] = graph.D(n)
		if n < 0 {
			open++
		}
	}
	if open > 1 && sizes[0] == -1 { // null batch and a -1
		sizes[0] = 0
	}
	if slices.Contains(sizes, 0) && open <= 1 {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.ints(sizes...))
	}
	return o.reshapeTo(x, sizes...)
}

// shapeList joins numbers and computed sizes to a shape.
func (o *opArgs) shapeList(list []any) *graph.Value {
	parts := make([]*graph.Value, len(list))
	for i, e := range list {
		if v, ok := e.(*graph.Value); ok {
			parts[i] = o.reshapeTo(o.cast(v, tensor.Int64), 1)
			continue
		}
		n, err := asInt(e)
		if err != nil {
			o.Failf("shape: %v", err)
		}
		parts[i] = o.ints(n)
	}
	return o.concat(0, parts...)
}

func (o *opArgs) sameType(vs []*graph.Value) []*graph.Value {
	dt := vs[0].Type.DType
	for _, v := range vs {
		dt = promote(dt, v.Type.DType)
	}
	out := make([]*graph.Value, len(vs))
	for i, v := range vs {
		out[i] = o.cast(v, dt)
	}
	return out
}

func (o *opArgs) concatOp(names ...string) *graph.Value {
	vs := o.list(names...)
	if len(vs) == 0 {
		return o.x()
	}
	return o.concat(o.axis(o.int(0, "axis", "concat_dim"), o.rank(vs[0])), o.sameType(vs)...)
}

func (o *opArgs) stackOp(names ...string) *graph.Value {
	vs := o.list(names...)
	if len(vs) == 0 {
		return o.x()
	}
	axis := o.axis(o.int(0, "axis"), o.rank(vs[0])+1)
	vs = o.sameType(vs)
	for i := range vs {
		vs[i] = o.expandDims(vs[i], axis)
	}
	return o.concat(axis, vs...)
}

func (o *opArgs) splitOp() []*graph.Value {
	x := o.x()
	axis := o.axis(o.int(0, "axis"), o.rank(x))
	n := o.dim(x, axis)
	at, _ := o.intList("indices_or_sections", "num_or_size_splits")
	if n < 0 || len(at) == 0 {
		o.Failf("splits %v of %v", at, x.Type)
		return one(x)
	}
	_, isList := o.get("indices_or_sections", "num_or_size_splits").([]any)
	var sizes []int
	switch {
	case !isList:
		if at[0] < 1 || n%at[0] != 0 {
			o.Failf("%d can't be split into %d", n, at[0])
			return one(x)
		}
		sizes = repeat(n/at[0], at[0])
	case o.vals["num_or_size_splits"] != nil:
		sizes = at
	default:
		prev := 0
		for _, i := range append(at, n) {
			sizes = append(sizes, i-prev)
			prev = i
		}
	}
	return o.split(x, axis, sizes...)
}

func (o *opArgs) whereOp() []*graph.Value {
	cond := o.cast(o.tensor(nil, "condition"), tensor.Bool)
	a, b := o.pair()
	return one(o.Add(ops.Where{}, cond, a, b))
}

func (o *opArgs) fillLike(v float64) *graph.Value {
	x := o.x()
	return o.expand(o.scalar(o.dtype(x.Type.DType, "dtype"), v), x.Type.Dims, x)
}

func (o *opArgs) oneHotOp(names ...string) *graph.Value {
	x := o.tensor(nil, "x", "indices")
	dt := o.dtype(tensor.Float32, "dtype")
	return o.oneHot(x, o.int(0, names...), o.int(-1, "axis"), dt, o.float(1, "on_value"), o.float(0, "off_value"))
}

// oneHot is on at the place that x names along a new axis, off elsewhere; x outside is off everywhere.
func (c *Call) oneHot(x *graph.Value, depth, axis int, dt tensor.DType, on, off float64) *graph.Value {
	if depth < 1 {
		c.Failf("a one-hot code of %d places", depth)
		return x
	}
	ids := make([]float64, depth)
	for i := range ids {
		ids[i] = float64(i)
	}
	shape := repeat(1, c.rank(x)+1)
	a := c.axis(axis, c.rank(x)+1)
	shape[a] = depth
	x = c.cast(x, tensor.Int64)
	eq := c.Add(ops.Equal{}, c.expandDims(x, a), c.constant(tensor.Int64, ids, shape...))
	y := c.cast(eq, dt)
	if on == 1 && off == 0 {
		return y
	}
	return c.addN(c.mulN(y, on-off), off)
}

func (o *opArgs) padOp() []*graph.Value {
	x := o.x()
	r := o.rank(x)
	pairs, err := asPairs(o.get("pad_width", "paddings"))
	if err != nil {
		o.Failf("pad_width: %v", err)
		return one(x)
	}
	if len(pairs) == 2 && pairs[1] == [2]int{-1, -1} {
		pairs = pairs[:1]
	}
	for len(pairs) == 1 && len(pairs) < r {
		p := pairs[0]
		pairs = nil
		for range r {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) != r {
		o.Failf("pad_width has %d pairs for %v", len(pairs), x.Type)
		return one(x)
	}
	pads := make([]int, 2*r)
	for i, p := range pairs {
		pads[i], pads[r+i] = p[0], p[1]
	}
	mode := strings.ToLower(o.str("constant", "mode"))
	if mode != "constant" && mode != "reflect" && mode != "edge" {
		o.Failf("pad mode %q is not supported", mode)
	}
	return one(o.Add(ops.Pad{Mode: mode}, x, o.ints(pads...), o.num(x, o.float(0, "constant_values"))))
}

// getItem is x[key] for integers, slices, None and the ellipsis.
func (o *opArgs) getItem() []*graph.Value {
	x := o.x()
	key, ok := o.vals["key"].([]any)
	if !ok {
		key = []any{o.vals["key"]}
	}
	return one(o.index2(x, key))
}

// index2 applies a Python index: each part an integer, null (a new axis), {"slice": ...} as Keras writes
// slices, or "...".
func (o *opArgs) index2(x *graph.Value, key []any) *graph.Value {
	r := o.rank(x)
	consumed := 0
	for _, k := range key {
		if k != nil && !isEllipsis(k) {
			consumed++
		}
	}
	axis, out := 0, x
	var drop, add []int
	outAxis := 0
	for _, k := range key {
		switch {
		case k == nil:
			add = append(add, outAxis)
			outAxis++
		case isEllipsis(k):
			axis += r - consumed
			outAxis += r - consumed
		default:
			if start, stop, step, isSlice := sliceParts(k); isSlice {
				s, e, st := 0, maxInt, orInt(step, 1)
				if st < 0 {
					s, e = maxInt, -maxInt
				}
				out = o.Add(ops.Slice{}, out, o.ints(orInt(start, s)), o.ints(orInt(stop, e)), o.ints(axis), o.ints(st))
				axis++
				outAxis++
				continue
			}
			n, err := asInt(k)
			if err != nil {
				o.Failf("index %v: %v", k, err)
				return x
			}
			end := n + 1
			if n == -1 {
				end = maxInt
			}
			out = o.slice(out, axis, n, end)
			drop = append(drop, axis)
			axis++
		}
	}
	if len(drop) > 0 {
		out = o.squeeze(out, drop...)
	}
	if len(add) > 0 {
		out = o.expandDims(out, add...)
	}
	return out
}

func isEllipsis(k any) bool {
	if s, ok := k.(string); ok {
		return s == "..." || s == "Ellipsis"
	}
	if m, ok := k.(map[string]any); ok {
		return m["class_name"] == "__ellipsis__"
	}
	return false
}

// sliceParts reads a slice in Keras 3's form ({"class_name": "__slice__", "config": {...}}) or tf.keras'
// ({"start":, "stop":, "step":}).
func sliceParts(k any) (start, stop, step *int, ok bool) {
	m, isMap := k.(map[string]any)
	if !isMap {
		return nil, nil, nil, false
	}
	if cfg, has := m["config"].(map[string]any); has {
		m = cfg
	}
	part := func(name string) *int {
		n, err := asInt(m[name])
		if m[name] == nil || err != nil {
			return nil
		}
		return &n
	}
	_, hasStart := m["start"]
	_, hasStop := m["stop"]
	return part("start"), part("stop"), part("step"), hasStart || hasStop
}
