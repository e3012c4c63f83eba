package keras

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// liftOps is the operators that are one class of keras.ops each.
var liftOps = [][2]string{
	{"Neg", "Negative"}, {"Abs", "Absolute"}, {"Sign", "Sign"}, {"Exp", "Exp"}, {"Log", "Log"}, {"Log1p", "Log1p"}, {"Expm1", "Expm1"}, {"Sqrt", "Sqrt"},
	{"Rsqrt", "Rsqrt"}, {"Reciprocal", "Reciprocal"}, {"Sin", "Sin"}, {"Cos", "Cos"}, {"Tan", "Tan"}, {"Asin", "Arcsin"}, {"Acos", "Arccos"}, {"Atan", "Arctan"},
	{"Sinh", "Sinh"}, {"Cosh", "Cosh"}, {"Asinh", "Arcsinh"}, {"Acosh", "Arccosh"}, {"Atanh", "Arctanh"}, {"Floor", "Floor"}, {"Ceil", "Ceil"}, {"Round", "Round"},
	{"Erf", "Erf"}, {"IsNaN", "Isnan"}, {"Not", "LogicalNot"}, {"StopGradient", "StopGradient"}, {"Det", "Det"}, {"Sub", "Subtract"}, {"Div", "TrueDivide"},
	{"Pow", "Power"}, {"FloorDiv", "FloorDivide"}, {"Atan2", "Arctan2"}, {"Greater", "Greater"}, {"GreaterOrEqual", "GreaterEqual"}, {"Less", "Less"},
	{"LessOrEqual", "LessEqual"}, {"Equal", "Equal"}, {"And", "LogicalAnd"}, {"Or", "LogicalOr"}, {"Xor", "LogicalXor"}, {"MatMul", "Matmul"}, {"Where", "Where"},
	{"Add", "Add"}, {"Mul", "Multiply"}, {"Max", "Maximum"}, {"Min", "Minimum"}, {"Log2", "Log2"},
}

// modules is where the classes of keras.ops are that are not in numpy.
var modules = [][2]string{
	{"math", "Rsqrt Erf TopK Logsumexp"}, {"core", "Cast StopGradient"}, {"linalg", "Det"},
	{"nn", "LogSoftmax Celu Gelu OneHot HardShrink SoftShrink Threshold"},
}

// module is the module of a class of keras.ops.
func module(class string) string {
	for _, m := range modules {
		if slices.Contains(strings.Fields(m[1]), class) {
			return "keras.src.ops." + m[0]
		}
	}
	return "keras.src.ops.numpy"
}

// liftActivations is the operators that are an activation of Keras without options.
var liftActivations = map[string]layers.Activation{
	"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish", "HardSwish": "hard_silu",
}

// node lifts one node.
func (l *lifter) node(n *graph.Node) {
	if a, ok := liftActivations[n.Op.Name()]; ok && l.in(n, 0) != nil {
		l.put(n, &layers.ActivationLayer{Base: l.base(n), Activation: a}, nil, l.in(n, 0))
		return
	}
	x := l.in(n, 0)
	switch op := n.Op.(type) {
	case ops.Identity, ops.Dropout:
		if x != nil {
			l.vals[n.Out[0]] = x // in inference
			return
		}
	case ops.Conv:
		l.conv(n, op)
		return
	case ops.ConvTranspose:
		if !l.convTranspose(n, op) {
			l.refuse(n, "its groups or padding are not those of a Keras layer")
		}
		return
	case ops.Gemm:
		l.gemm(n, op)
		return
	case ops.BatchNormalization:
		l.batchNorm(n, op)
		return
	case ops.LayerNormalization:
		l.layerNorm(n, op)
		return
	case ops.MaxPool:
		l.pool(n, true, op.KernelShape, op.Strides, op.Pads, op.Dilations, op.AutoPad, op.CeilMode, false, op.Format)
		return
	case ops.AveragePool:
		l.pool(n, false, op.KernelShape, op.Strides, op.Pads, op.Dilations, op.AutoPad, op.CeilMode, op.CountIncludePad, op.Format)
		return
	case ops.MatMul:
		if w := constOf(n.In[1]); x != nil && w != nil && w.Rank() == 2 && w.DType().IsFloat() && n.In[0].Type.Rank() >= 2 {
			l.dense(n, w, nil, n.Out[0])
			return
		}
	case ops.LSTM, ops.GRU, ops.RNN:
		if !l.recurrent(n) {
			l.refuse(n, "no layer has its activations, its peepholes, clipping or computed weights")
		}
		return
	case ops.Resize:
		if !l.resize(n, op) {
			l.refuse(n, "Keras has no such interpolation between sizes that are open")
		}
		return
	case ops.Expand, ops.ConstantOfShape, ops.Range, ops.Shape:
		if !l.sized(n) {
			l.refuse(n, "it makes a shape that no tensor of the model has")
		}
		return
	case ops.Gather:
		if l.gather(n, op) {
			return
		}
	}
	if !l.simple(n, x) && !l.shapes(n, x) && !l.composed(n, x) && !l.decomposed(n) {
		l.general(n)
	}
}

// general lifts what is a keras.ops function of its inputs.
func (l *lifter) general(n *graph.Node) {
	spec := ""
	for _, row := range liftOps {
		if row[0] == n.Op.Name() {
			spec = row[1]
		}
	}
	var args []any
	if op, isEinsum := n.Op.(ops.Einsum); isEinsum {
		spec, args = "Einsum subscripts", append(args, op.Equation)
	}
	if spec != "" && (len(n.In) <= 2 || spec == "Where" || args != nil) {
		for i := range n.In {
			a, ok := l.operand(n, i)
			if !ok {
				l.refuse(n, "operand %d is a constant of %v, too large for a config", i, n.In[i].Type)
				return
			}
			args = append(args, a)
		}
		l.op(n, spec, args...)
		return
	}
	l.refuse(n, "no layer or operation of Keras stands for it")
}

// simple lifts activations with options, reductions and other operators on one tensor.
func (l *lifter) simple(n *graph.Node, x *layers.Tensor) bool {
	if x == nil {
		return false
	}
	r := n.In[0].Type.Rank()
	switch op := n.Op.(type) {
	case ops.Softmax:
		l.put(n, &layers.Softmax{Base: l.base(n), Axis: num(op.Axis)}, nil, x)
	case ops.LogSoftmax:
		l.op(n, "LogSoftmax axis", num(op.Axis), x)
	case ops.LeakyRelu:
		l.put(n, &layers.LeakyReLU{Base: l.base(n), NegativeSlope: &op.Alpha}, nil, x)
	case ops.Elu:
		l.put(n, &layers.ELU{Base: l.base(n), Alpha: &op.Alpha}, nil, x)
	case ops.Celu:
		l.op(n, "Celu alpha", op.Alpha, x)
	case ops.Selu:
		if math.Abs(op.Alpha-1.6732632) > 1e-6 || math.Abs(op.Gamma-1.050701) > 1e-6 {
			return false
		}
		l.put(n, &layers.ActivationLayer{Base: l.base(n), Activation: "selu"}, nil, x)
	case ops.HardSigmoid:
		a := layers.Activation("")
		if math.Abs(op.Beta-0.5) < 1e-7 && math.Abs(op.Alpha-0.2) < 1e-7 {
			a = layers.Keras2HardSigmoid
		} else if math.Abs(op.Beta-0.5) < 1e-7 && math.Abs(op.Alpha-1.0/6) < 1e-7 {
			a = "hard_sigmoid"
		} else {
			return false
		}
		l.put(n, &layers.ActivationLayer{Base: l.base(n), Activation: a}, nil, x)
	case ops.Gelu:
		l.op(n, "Gelu approximate", op.Approximate == "tanh", x)
	case ops.Clip:
		return l.clip(n, x)
	case ops.PRelu:
		return l.prelu(n, x)
	case ops.GlobalAveragePool:
		return l.global(n, x, r, op.Format, false)
	case ops.GlobalMaxPool:
		return l.global(n, x, r, op.Format, true)
	case ops.Cast:
		l.op(n, "Cast dtype", op.To.String(), x)
	case ops.ReduceMean:
		return l.reduce(n, x, "Mean", op.Keepdims)
	case ops.ReduceSum:
		return l.reduce(n, x, "Sum", op.Keepdims)
	case ops.ReduceMax:
		return l.reduce(n, x, "Max", op.Keepdims)
	case ops.ReduceMin:
		return l.reduce(n, x, "Min", op.Keepdims)
	case ops.ReduceProd:
		return l.reduce(n, x, "Prod", op.Keepdims)
	case ops.InstanceNormalization:
		return l.groupNorm(n, -1, op.Epsilon, op.Format, x)
	case ops.ArgMax:
		l.op(n, "Argmax axis keepdims", num(op.Axis), op.Keepdims, x)
		l.cast(n, tensor.Int64)
	default:
		return false
	}
	return true
}

// cast makes a node's output another type.
func (l *lifter) cast(n *graph.Node, dt tensor.DType) {
	l.vals[n.Out[0]] = l.apply(n.Out[0].Name, "Cast dtype", dt.String(), l.vals[n.Out[0]])
}

//go:noinline
func num(i int) any { return json.Number(strconv.Itoa(i)) }

func nums(vs []int) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = num(v)
	}
	return out
}

func (l *lifter) clip(n *graph.Node, x *layers.Tensor) bool {
	bound := func(i int, def float64) (float64, bool) {
		if i >= len(n.In) {
			return def, true
		}
		return float(n.In[i], def)
	}
	lo, ok1 := bound(1, math.Inf(-1))
	hi, ok2 := bound(2, math.Inf(1))
	switch {
	case !ok1 || !ok2:
		return false
	case lo == 0 && !math.IsInf(hi, 1):
		l.put(n, &layers.ReLU{Base: l.base(n), MaxValue: &hi}, nil, x)
	default:
		l.op(n, "Clip x_min x_max", lo, hi, x)
	}
	return true
}

func (l *lifter) prelu(n *graph.Node, x *layers.Tensor) bool {
	slope := constOf(n.In[1])
	r := n.In[0].Type.Rank()
	if slope == nil || r < 2 {
		return false
	}
	s := slope.Shape()
	for len(s) < r {
		s = append([]int{1}, s...)
	}
	if s[0] != 1 {
		return false
	}
	layer := &layers.PReLU{Base: l.base(n)}
	for i := 1; i < r; i++ {
		if d, ok := n.In[0].Type.Dims[i].Const(); s[i] == 1 && (!ok || d != 1) {
			layer.SharedAxes = append(layer.SharedAxes, i)
		}
	}
	t, err := slope.Reshape(s[1:]...)
	if err != nil {
		return false
	}
	l.put(n, layer, map[string]*tensor.Tensor{"alpha": t}, x)
	return true
}

func (l *lifter) reduce(n *graph.Node, x *layers.Tensor, class string, keep bool) bool {
	var axes any
	if len(n.In) > 1 && n.In[1] != nil {
		as, ok := ints(n.In[1])
		if !ok {
			return false
		}
		axes = nums(as)
		if len(as) == 0 {
			axes = nil
		}
	}
	l.op(n, class+" axis keepdims", axes, keep, x)
	return true
}

func dataFormat(f ops.Format) string {
	if f == ops.NHWC {
		return "channels_last"
	}
	return "channels_first"
}

func (l *lifter) global(n *graph.Node, x *layers.Tensor, r int, f ops.Format, isMax bool) bool {
	c := layers.GlobalPoolConfig{Base: l.base(n), DataFormat: dataFormat(f), Keepdims: true}
	var layer layers.Layer
	switch {
	case r == 3 && isMax:
		layer = (*layers.GlobalMaxPooling1D)(&c)
	case r == 4 && isMax:
		layer = (*layers.GlobalMaxPooling2D)(&c)
	case r == 5 && isMax:
		layer = (*layers.GlobalMaxPooling3D)(&c)
	case r == 3:
		layer = (*layers.GlobalAveragePooling1D)(&c)
	case r == 4:
		layer = (*layers.GlobalAveragePooling2D)(&c)
	case r == 5:
		layer = (*layers.GlobalAveragePooling3D)(&c)
	default:
		return false
	}
	l.put(n, layer, nil, x)
	return true
}

// gather is an Embedding, or Take.
func (l *lifter) gather(n *graph.Node, op ops.Gather) bool {
	table := constOf(n.In[0])
	idx := l.in(n, 1)
	if table != nil && table.Rank() == 2 && op.Axis == 0 && idx != nil && table.DType().IsFloat() {
		l.put(n, &layers.Embedding{Base: l.base(n), InputDim: table.Dim(0), OutputDim: table.Dim(1)}, map[string]*tensor.Tensor{"embeddings": table}, idx)
		return true
	}
	a, ok := l.operand(n, 0)
	b, ok2 := l.operand(n, 1)
	if !ok || !ok2 {
		return false
	}
	l.op(n, "Take axis", num(op.Axis), a, b)
	return true
}

// dense is a product with a known matrix and a bias that may come in the node behind it.
func (l *lifter) dense(n *graph.Node, w, bias *tensor.Tensor, out *graph.Value) {
	weights := map[string]*tensor.Tensor{"kernel": w}
	layer := &layers.Dense{Base: l.base(n), Units: w.Dim(1), NoBias: bias == nil}
	if bias == nil {
		if add := l.only(out); add != nil {
			if _, ok := add.Op.(ops.Add); ok {
				other := add.In[0]
				if other == out {
					other = add.In[1]
				}
				if b := constOf(other); b != nil && b.Len() == w.Dim(1) && b.Rank() == 1 && b.DType() == w.DType() {
					bias, out = b, add.Out[0]
					l.done[add], layer.NoBias = true, false
				}
			}
		}
	}
	if bias != nil {
		weights["bias"] = bias
	}
	l.vals[out] = l.m.Apply(layer, l.in(n, 0))
	l.vals[n.Out[0]] = l.vals[out]
	l.pending = append(l.pending, pendingWeights{layer, weights})
}

// plainType is the dtype of a layer with weights of that type; float32 is what layers have anyway.
func plainType(dt tensor.DType) string {
	if dt == tensor.Float32 {
		return ""
	}
	return dt.String()
}

func (l *lifter) gemm(n *graph.Node, op ops.Gemm) {
	w := constOf(n.In[1])
	x := l.in(n, 0)
	var bias *tensor.Tensor
	if len(n.In) > 2 && n.In[2] != nil {
		if bias = constOf(n.In[2]); bias == nil {
			l.refuse(n, "its bias is computed")
			return
		}
	}
	if w == nil || x == nil || op.TransA {
		l.refuse(n, "its matrix is computed, or its first operand is transposed")
		return
	}
	var err error
	if op.TransB {
		if w, err = transpose(w, 1, 0); err != nil {
			l.refuse(n, "%v", err)
			return
		}
	}
	if op.Alpha != 1 {
		w = scaled(w, op.Alpha)
	}
	if bias != nil {
		if op.Beta != 1 {
			bias = scaled(bias, op.Beta)
		}
		if bias.Len() == 1 && w.Dim(1) > 1 { // broadcast
			v, _ := bias.Float64s()
			t := tensor.New(bias.DType(), w.Dim(1))
			_ = t.SetFloat64s(slices.Repeat(v, w.Dim(1)))
			bias = t
		}
		if bias.Len() != w.Dim(1) {
			l.refuse(n, "its bias is %v for %d units", bias.Shape(), w.Dim(1))
			return
		}
		if bias, err = bias.Reshape(w.Dim(1)); err != nil {
			l.refuse(n, "%v", err)
			return
		}
		l.dense(n, w, bias, n.Out[0])
		return
	}
	l.dense(n, w, nil, n.Out[0])
}

func scaled(t *tensor.Tensor, by float64) *tensor.Tensor {
	vs, err := t.Float64s()
	if err != nil {
		return t
	}
	out := tensor.New(t.DType(), t.Shape()...)
	for i := range vs {
		vs[i] *= by
	}
	_ = out.SetFloat64s(vs)
	return out
}

func (l *lifter) batchNorm(n *graph.Node, op ops.BatchNormalization) {
	x := l.in(n, 0)
	axis := 1
	if op.Format == ops.NHWC {
		axis = -1
	}
	weights := map[string]*tensor.Tensor{}
	for i, name := range []string{"gamma", "beta", "moving_mean", "moving_variance"} {
		if weights[name] = constOf(n.In[i+1]); weights[name] == nil {
			l.refuse(n, "its %s is computed", name)
			return
		}
	}
	if x == nil || op.TrainingMode {
		l.refuse(n, "it is in training form")
		return
	}
	l.put(n, &layers.BatchNormalization{Base: l.base(n), Axis: &axis, Epsilon: &op.Epsilon, Momentum: &op.Momentum}, weights, x)
}

func (l *lifter) layerNorm(n *graph.Node, op ops.LayerNormalization) {
	x, r := l.in(n, 0), n.In[0].Type.Rank()
	gamma := constOf(n.In[1])
	if x == nil || gamma == nil || r < 1 || len(n.Out) > 1 && len(l.uses[n.Out[1]]) > 0 {
		l.refuse(n, "its scale is computed, or its mean is used")
		return
	}
	axis := op.Axis
	if axis < 0 {
		axis += r
	}
	layer := &layers.LayerNormalization{Base: l.base(n), Epsilon: &op.Epsilon, NoCenter: true}
	for i := axis; i < r; i++ {
		layer.Axis = append(layer.Axis, i)
	}
	weights := map[string]*tensor.Tensor{"gamma": gamma}
	if len(n.In) > 2 && n.In[2] != nil {
		if weights["beta"] = constOf(n.In[2]); weights["beta"] == nil {
			l.refuse(n, "its bias is computed")
			return
		}
		layer.NoCenter = false
	}
	l.put(n, layer, weights, x)
}
