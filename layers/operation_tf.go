package layers

import (
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// renamed is an operation whose positional arguments have other names.
//
//go:noinline
func renamed(name, params string) opDef {
	d := kerasOperations[name]
	d.params = params
	return d
}

// tensorflowFunctions is the functions that a TFOpLambda may call, by TensorFlow's symbol.
var tensorflowFunctions = map[string]opDef{
	"math.add": renamed("Add", "x y name"), "__operators__.add": renamed("Add", "x y name"), "math.add_n": {"inputs", addN},
	"math.subtract": renamed("Subtract", "x y name"), "math.multiply": renamed("Multiply", "x y name"),
	"math.divide": renamed("Divide", "x y name"), "math.truediv": renamed("Divide", "x y name"), "math.floordiv": renamed("FloorDivide", "x y name"),
	"math.floormod": renamed("Mod", "x y name"), "math.divide_no_nan": renamed("DivideNoNan", "x y name"),
	"math.pow": renamed("Power", "x y name"), "math.maximum": renamed("Maximum", "x y name"), "math.minimum": renamed("Minimum", "x y name"),
	"math.greater": renamed("Greater", "x y name"), "math.greater_equal": renamed("GreaterEqual", "x y name"),
	"math.less": renamed("Less", "x y name"), "math.less_equal": renamed("LessEqual", "x y name"),
	"math.equal": renamed("Equal", "x y name"), "math.not_equal": renamed("NotEqual", "x y name"),
	"__operators__.eq": renamed("Equal", "x y name"), "__operators__.ne": renamed("NotEqual", "x y name"),
	"math.logical_and": renamed("LogicalAnd", "x y name"), "math.logical_or": renamed("LogicalOr", "x y name"), "math.logical_not": renamed("LogicalNot", "x name"),
	"linalg.matmul": {"a b transpose_a transpose_b", matmulTF},
	"math.negative": renamed("Negative", "x name"), "math.abs": renamed("Absolute", "x name"), "math.sign": renamed("Sign", "x name"),
	"math.exp": renamed("Exp", "x name"), "math.log": renamed("Log", "x name"), "math.log1p": renamed("Log1p", "x name"), "math.expm1": renamed("Expm1", "x name"),
	"math.sqrt": renamed("Sqrt", "x name"), "math.rsqrt": renamed("Rsqrt", "x name"), "math.square": renamed("Square", "x name"),
	"math.sin": renamed("Sin", "x name"), "math.cos": renamed("Cos", "x name"), "math.tan": renamed("Tan", "x name"), "math.tanh": renamed("Tanh", "x name"),
	"math.sigmoid": renamed("Sigmoid", "x name"), "math.floor": renamed("Floor", "x name"), "math.ceil": renamed("Ceil", "x name"), "math.round": renamed("Round", "x name"),
	"math.erf": renamed("Erf", "x name"), "math.reciprocal": renamed("Reciprocal", "x name"), "math.softplus": renamed("Softplus", "features name"),
	"math.reduce_sum": renamed("Sum", "input_tensor axis keepdims name"), "math.reduce_mean": renamed("Mean", "input_tensor axis keepdims name"),
	"math.reduce_max": renamed("Max", "input_tensor axis keepdims name"), "math.reduce_min": renamed("Min", "input_tensor axis keepdims name"),
	"math.reduce_prod": renamed("Prod", "input_tensor axis keepdims name"), "math.reduce_any": renamed("Any", "input_tensor axis keepdims name"),
	"math.reduce_all": renamed("All", "input_tensor axis keepdims name"), "math.reduce_std": renamed("Std", "input_tensor axis keepdims name"),
	"math.reduce_variance": renamed("Var", "input_tensor axis keepdims name"), "math.reduce_logsumexp": renamed("Logsumexp", "input_tensor axis keepdims name"),
	"math.argmax": renamed("Argmax", "input axis output_type name"), "math.argmin": renamed("Argmin", "input axis output_type name"),
	"math.cumsum": renamed("Cumsum", "x axis"), "math.l2_normalize": {"x axis epsilon name", l2NormalizeTF},
	"nn.relu": renamed("Relu", "features name"), "nn.relu6": renamed("Relu6", "features name"), "nn.sigmoid": renamed("Sigmoid", "x name"),
	"nn.tanh": renamed("Tanh", "x name"), "nn.softplus": renamed("Softplus", "features name"), "nn.softsign": renamed("Softsign", "features name"),
	"nn.elu": renamed("Elu", "features name"), "nn.selu": renamed("Selu", "features name"), "nn.silu": renamed("Silu", "features beta"), "nn.swish": renamed("Silu", "features beta"),
	"nn.leaky_relu": renamed("LeakyRelu", "features alpha name"), "nn.softmax": renamed("Softmax", "logits axis name"), "nn.log_softmax": renamed("LogSoftmax", "logits axis name"),
	"nn.l2_normalize": {"x axis epsilon name", l2NormalizeTF},
	"nn.gelu":         {"features approximate name", geluTF}, "nn.bias_add": {"value bias", biasAddTF},
	"math.l2_norm": renamed("Norm", "x axis"),
	"reshape":      renamed("Reshape", "tensor shape name"), "transpose": renamed("Transpose", "a perm"), "expand_dims": renamed("ExpandDims", "input axis name"),
	"squeeze": renamed("Squeeze", "input axis name"), "concat": renamed("Concatenate", "values axis name"), "stack": renamed("Stack", "values axis name"),
	"split": renamed("Split", "value num_or_size_splits axis"), "tile": renamed("Tile", "input multiples name"), "cast": renamed("Cast", "x dtype name"),
	"compat.v1.transpose": renamed("Transpose", "a perm"), "compat.v1.squeeze": renamed("Squeeze", "input axis name"),
	"one_hot": {"indices depth on_value off_value axis dtype name", func(o *opArgs) []*graph.Value { return one(o.oneHotOp("depth")) }},
	"gather":  {"params indices validate_indices axis", gatherTF},
	"where":   {"condition x y name", (*opArgs).whereOp}, "identity": renamed("Identity", "input name"), "stop_gradient": renamed("StopGradient", "input name"),
	"zeros_like": renamed("ZerosLike", "input dtype name"), "ones_like": renamed("OnesLike", "input dtype name"), "clip_by_value": {"t clip_value_min clip_value_max name", clipTF},
	"reverse": renamed("Flip", "x axis name"), "repeat": renamed("Repeat", "input repeats axis name"), "einsum": {"equation inputs", einsumTF},
	"convert_to_tensor":     renamed("ConvertToTensor", "value dtype"),
	"__operators__.getitem": {"_check_args_0 slice_spec", getItemTF},
	"_slice_helper":         {"tensor slice_spec var", getItemTF},
	"pad":                   renamed("Pad", "tensor paddings mode constant_values name"),
	"space_to_depth":        {"input block_size", spaceToDepthTF}, "nn.space_to_depth": {"input block_size", spaceToDepthTF},
	"depth_to_space": {"input block_size", depthToSpaceTF}, "nn.depth_to_space": {"input block_size", depthToSpaceTF},
	"math.squared_difference": {"x y name", func(o *opArgs) []*graph.Value { a, b := o.pair(); d := o.sub(a, b); return one(o.mul(d, d)) }},
	"math.mod":                renamed("Mod", "x y name"), "math.atan2": renamed("Arctan2", "y x name"), "math.asin": renamed("Arcsin", "x name"), "math.acos": renamed("Arccos", "x name"),
	"math.atan": renamed("Arctan", "x name"), "math.sinh": renamed("Sinh", "x name"), "math.cosh": renamed("Cosh", "x name"), "math.asinh": renamed("Arcsinh", "x name"),
	"math.acosh": renamed("Arccosh", "x name"), "math.atanh": renamed("Arctanh", "x name"), "math.is_nan": renamed("Isnan", "x name"), "math.is_inf": renamed("Isinf", "x name"), "math.is_finite": renamed("Isfinite", "x name"),
	"math.logical_xor": renamed("LogicalXor", "x y name"), "math.count_nonzero": {"input axis keepdims", countNonzero}, "math.cumprod": renamed("Cumprod", "x axis"), "math.top_k": renamed("TopK", "input k sorted name"),
	"math.log_sigmoid": renamed("LogSigmoid", "x name"), "math.softsign": renamed("Softsign", "features name"), "math.erfc": renamed("Erfc", "x name"), "math.erfinv": renamed("Erfinv", "x name"),
	"linalg.norm": renamed("Norm", "tensor ord axis keepdims name"), "norm": renamed("Norm", "tensor ord axis keepdims name"), "linalg.einsum": {"equation inputs", einsumTF},
	"linalg.det": renamed("Det", "input name"), "linalg.inv": renamed("Inv", "input adjoint name"), "linalg.diag_part": renamed("Diagonal", "input name"), "linalg.matrix_transpose": {"a name", func(o *opArgs) []*graph.Value { return one(o.swapLast(o.x())) }},
	"linalg.tensordot": renamed("Tensordot", "a b axes name"), "tensordot": renamed("Tensordot", "a b axes name"), "linalg.cross": renamed("Cross", "a b name"),
	"roll": renamed("Roll", "input shift axis name"), "unstack": renamed("Unstack", "value num axis name"), "sort": renamed("Sort", "values axis"), "argsort": renamed("Argsort", "values axis"),
	"broadcast_to": renamed("BroadcastTo", "input shape name"), "boolean_mask": {"tensor mask", func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.Compress{HasAxis: true}, o.x(), o.tensor(nil, "mask")))
	}},
	"nn.moments": renamed("Moments", "x axes shift keepdims name"), "nn.batch_normalization": {"x mean variance offset scale variance_epsilon name", batchNormTF},
	"nn.conv2d": {"input filters strides padding data_format dilations name", convTF("Conv", "filters")}, "nn.depthwise_conv2d": {"input filter strides padding data_format dilations name", convTF("DepthwiseConv", "filter")},
	"nn.max_pool2d": {"input ksize strides padding data_format name", poolTF(true)}, "nn.avg_pool2d": {"input ksize strides padding data_format name", poolTF(false)},
	"nn.max_pool": {"input ksize strides padding data_format name", poolTF(true)}, "nn.avg_pool": {"input ksize strides padding data_format name", poolTF(false)},
	"image.resize": {"images size method preserve_aspect_ratio antialias name", imageResizeTF}, "image.rgb_to_grayscale": {"images name", func(o *opArgs) []*graph.Value {
		_, p := o.planes(o.x(), false)
		return one(o.add(o.add(o.mulN(p[0], 0.2989), o.mulN(p[1], 0.587)), o.mulN(p[2], 0.114)))
	}},
	"shape": {"input out_type name", func(o *opArgs) []*graph.Value {
		return one(o.cast(o.Add(ops.Shape{}, o.x()), tensor.Int32))
	}},
}

func addN(o *opArgs) []*graph.Value {
	vs := o.list("inputs")
	if len(vs) == 0 {
		return one(o.x())
	}
	y := vs[0]
	for _, v := range vs[1:] {
		y = o.add(y, v)
	}
	return one(y)
}

func matmulTF(o *opArgs) []*graph.Value {
	a, b := o.pair()
	flip := func(v *graph.Value, names ...string) *graph.Value {
		if !o.bool(false, names...) {
			return v
		}
		r := o.rank(v)
		p := identityPerm(r)
		if r >= 2 {
			p[r-1], p[r-2] = r-2, r-1
		}
		return o.transpose(v, p...)
	}
	return one(o.Add(ops.MatMul{}, flip(a, "transpose_a", "adj_x"), flip(b, "transpose_b", "adj_y")))
}

// l2NormalizeTF bounds the sum of squares, where Keras bounds the norm.
func l2NormalizeTF(o *opArgs) []*graph.Value {
	x := o.floatX()
	s := o.sum(o.mul(x, x), true, o.axes(x, "axis", "dim")...)
	return one(o.div(x, o.Add(ops.Sqrt{}, o.Add(ops.Max{}, s, o.num(s, o.float(1e-12, "epsilon"))))))
}

func geluTF(o *opArgs) []*graph.Value {
	if o.bool(false, "approximate") {
		return one(o.activate(o.x(), "gelu_tanh"))
	}
	return one(o.activate(o.x(), "gelu"))
}

func biasAddTF(o *opArgs) []*graph.Value {
	x := o.x()
	b := o.tensor(x, "bias")
	if f := o.str("NHWC", "data_format"); strings.HasPrefix(f, "NC") || f == "channels_first" {
		b = o.reshapeTo(b, append([]int{-1}, repeat(1, max(o.rank(x)-2, 0))...)...)
	}
	return one(o.add(x, b))
}

func gatherTF(o *opArgs) []*graph.Value {
	x := o.tensor(nil, "params")
	if o.int(0, "batch_dims") != 0 {
		o.Failf("batch_dims is not supported")
	}
	o.get("validate_indices")
	idx := o.cast(o.tensor(nil, "indices"), tensor.Int64)
	return one(o.Add(ops.Gather{Axis: o.int(0, "axis")}, x, idx))
}

func clipTF(o *opArgs) []*graph.Value {
	return one(o.clip(o.tensor(nil, "t"), o.float(0, "clip_value_min"), o.float(0, "clip_value_max")))
}

// batchNormTF scales by vectors along the last axis, or by what broadcasts.
func batchNormTF(o *opArgs) []*graph.Value {
	x := o.floatX()
	y := o.div(o.sub(x, o.tensor(x, "mean")), o.Add(ops.Sqrt{}, o.addN(o.tensor(x, "variance"), o.float(0, "variance_epsilon"))))
	if o.get("scale") != nil {
		y = o.mul(y, o.tensor(x, "scale"))
	}
	if o.get("offset") != nil {
		y = o.add(y, o.tensor(x, "offset"))
	}
	return one(y)
}

// spatialTF gives a TensorFlow image function's arguments Keras' names and forms.
func (o *opArgs) spatialTF() {
	o.vals["inputs"] = o.get("input")
	first := false
	switch f := o.str("NHWC", "data_format"); f {
	case "NHWC":
		o.vals["data_format"] = "channels_last"
	case "NCHW":
		o.vals["data_format"], first = "channels_first", true
	default:
		o.Failf("data_format %q", f)
	}
	if p, ok := o.get("padding").(string); ok {
		o.vals["padding"] = strings.ToLower(p)
	} else {
		o.Failf("padding %v: only VALID and SAME are supported", o.get("padding"))
	}
	for from, to := range map[string]string{"strides": "strides", "dilations": "dilation_rate", "ksize": "pool_size"} {
		vs, ok := o.intList(from)
		if !ok {
			continue
		}
		if len(vs) == 4 && first {
			vs = vs[2:]
		} else if len(vs) == 4 {
			vs = vs[1:3]
		}
		o.vals[to] = vs
	}
}

func convTF(name, kernel string) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		o.spatialTF()
		o.vals["kernel"] = o.get(kernel)
		return nnOperations[name].f(o)
	}
}

func poolTF(isMax bool) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		o.spatialTF()
		p := PoolConfig{Padding: o.str("valid", "padding"), DataFormat: o.str("", "data_format")}
		p.PoolSize, _ = o.intList("pool_size")
		p.Strides, _ = o.intList("strides")
		c := *o.Call
		c.In = one(o.tensor(nil, "input"))
		return p.call(&c, 2, isMax)
	}
}

func imageResizeTF(o *opArgs) []*graph.Value {
	x := o.image()
	if o.bool(false, "preserve_aspect_ratio") {
		o.Failf("preserve_aspect_ratio is not supported")
	}
	size, _ := o.intList("size")
	h, w, ok := o.imageAxes(x, "")
	if !ok || len(size) != 2 {
		o.Failf("size %v", size)
		return one(x)
	}
	method := o.str("bilinear", "method")
	if method == "bicubic" && !o.bool(false, "antialias") {
		return one(o.Add(ops.Resize{Axes: []int{h, w}, Mode: "cubic", CubicCoeffA: -0.5, ExcludeOutside: true, CoordinateTransformationMode: "half_pixel"}, x, nil, nil, o.ints(size...)))
	}
	return one(o.resizeImage(x, h, w, size[0], size[1], method, o.bool(false, "antialias")))
}

func einsumTF(o *opArgs) []*graph.Value {
	return one(o.Add(ops.Einsum{Equation: o.str("", "equation")}, o.list("inputs")...))
}

func getItemTF(o *opArgs) []*graph.Value {
	x := o.tensor(nil, "tensor", "_check_args_0", "x")
	key, ok := o.get("slice_spec", "key").([]any)
	if !ok {
		key = []any{o.get("slice_spec", "key")}
	}
	return one(o.index2(x, key))
}

func (o *opArgs) wantNHWC() {
	if f := o.str("NHWC", "data_format"); f != "NHWC" {
		o.Failf("data_format %q is not supported", f)
	}
}

func spaceToDepthTF(o *opArgs) []*graph.Value {
	o.wantNHWC()
	return one(o.SpaceToDepth(o.x(), o.int(2, "block_size")))
}

func depthToSpaceTF(o *opArgs) []*graph.Value {
	o.wantNHWC()
	return one(o.DepthToSpace(o.x(), o.int(2, "block_size")))
}

// SpaceToDepth moves blocks of n by n pixels of channels-last images into their channels, as TensorFlow does.
func (c *Call) SpaceToDepth(x *graph.Value, n int) *graph.Value {
	if !c.wantRank(x, 4) || n < 1 {
		c.Failf("blocks of %d of %v", n, x.Type)
		return x
	}
	d := x.Type.Dims
	b := graph.D(n)
	y := c.reshape(x, []graph.Dim{d[0], d[1].Div(b), b, d[2].Div(b), b, d[3]})
	y = c.transpose(y, 0, 1, 3, 2, 4, 5)
	return c.reshape(y, []graph.Dim{d[0], d[1].Div(b), d[2].Div(b), d[3].Mul(b).Mul(b)}, x)
}

// DepthToSpace is the inverse of SpaceToDepth.
func (c *Call) DepthToSpace(x *graph.Value, n int) *graph.Value {
	if !c.wantRank(x, 4) || n < 1 {
		c.Failf("blocks of %d of %v", n, x.Type)
		return x
	}
	d := x.Type.Dims
	b := graph.D(n)
	ch := d[3].Div(b.Mul(b))
	y := c.reshape(x, []graph.Dim{d[0], d[1], d[2], b, b, ch})
	y = c.transpose(y, 0, 1, 3, 2, 4, 5)
	return c.reshape(y, []graph.Dim{d[0], d[1].Mul(b), d[2].Mul(b), ch}, x)
}

// nodeDefs is the operations that a TensorFlowOpLayer's NodeDef may have. formats/keras passes inputs and
// constants as positional arguments in the NodeDef's order, and its attributes by name.
var nodeDefs = map[string]opDef{
	"Add": renamed("Add", "x y"), "AddV2": renamed("Add", "x y"), "Sub": renamed("Subtract", "x y"), "Mul": renamed("Multiply", "x y"),
	"RealDiv": renamed("Divide", "x y"), "Div": renamed("Divide", "x y"), "FloorDiv": renamed("FloorDivide", "x y"), "FloorMod": renamed("Mod", "x y"),
	"Pow": renamed("Power", "x y"), "Maximum": renamed("Maximum", "x y"), "Minimum": renamed("Minimum", "x y"),
	"Greater": renamed("Greater", "x y"), "GreaterEqual": renamed("GreaterEqual", "x y"), "Less": renamed("Less", "x y"), "LessEqual": renamed("LessEqual", "x y"),
	"Equal": renamed("Equal", "x y"), "NotEqual": renamed("NotEqual", "x y"), "LogicalAnd": renamed("LogicalAnd", "x y"), "LogicalOr": renamed("LogicalOr", "x y"),
	"LogicalNot": renamed("LogicalNot", "x"), "SquaredDifference": {"x y", func(o *opArgs) []*graph.Value { a, b := o.pair(); d := o.sub(a, b); return one(o.mul(d, d)) }},
	"MatMul": {"a b", matmulTF}, "BatchMatMul": {"a b", matmulTF}, "BatchMatMulV2": {"a b", matmulTF},
	"Neg": renamed("Negative", "x"), "Abs": renamed("Absolute", "x"), "Sign": renamed("Sign", "x"), "Exp": renamed("Exp", "x"), "Log": renamed("Log", "x"),
	"Log1p": renamed("Log1p", "x"), "Sqrt": renamed("Sqrt", "x"), "Rsqrt": renamed("Rsqrt", "x"), "Square": renamed("Square", "x"), "Reciprocal": renamed("Reciprocal", "x"),
	"Sin": renamed("Sin", "x"), "Cos": renamed("Cos", "x"), "Tan": renamed("Tan", "x"), "Tanh": renamed("Tanh", "x"), "Sigmoid": renamed("Sigmoid", "x"),
	"Floor": renamed("Floor", "x"), "Ceil": renamed("Ceil", "x"), "Round": renamed("Round", "x"), "Erf": renamed("Erf", "x"),
	"Relu": renamed("Relu", "features"), "Relu6": renamed("Relu6", "features"), "Elu": renamed("Elu", "features"), "Selu": renamed("Selu", "features"),
	"LeakyRelu": renamed("LeakyRelu", "features"), "Softplus": renamed("Softplus", "features"), "Softsign": renamed("Softsign", "features"),
	"Softmax": renamed("Softmax", "logits"), "LogSoftmax": renamed("LogSoftmax", "logits"),
	"Sum": nodeReduction("Sum"), "Mean": nodeReduction("Mean"), "Max": nodeReduction("Max"), "Min": nodeReduction("Min"), "Prod": nodeReduction("Prod"),
	"Any": nodeReduction("Any"), "All": nodeReduction("All"), "ArgMax": renamed("Argmax", "input axis"), "ArgMin": renamed("Argmin", "input axis"),
	"Reshape": renamed("Reshape", "tensor shape"), "Transpose": renamed("Transpose", "a perm"), "ExpandDims": renamed("ExpandDims", "input axis"),
	"Squeeze": renamed("Squeeze", "input"), "Identity": renamed("Identity", "input"), "StopGradient": renamed("StopGradient", "input"), "Tile": renamed("Tile", "input multiples"),
	"Cast": {"x", castNode}, "ConcatV2": {"values axis", func(o *opArgs) []*graph.Value { return one(o.concatOp("values")) }}, "Pack": {"values", func(o *opArgs) []*graph.Value { return one(o.stackOp("values")) }}, "Shape": {"input", func(o *opArgs) []*graph.Value { return one(o.cast(o.Add(ops.Shape{}, o.x()), tensor.Int32)) }},
	"BiasAdd": {"value bias", biasAddTF}, "SpaceToDepth": {"input", spaceToDepthTF}, "DepthToSpace": {"input", depthToSpaceTF},
	"GatherV2": {"params indices axis", gatherTF}, "ReverseV2": renamed("Flip", "x axis"), "Pad": renamed("Pad", "tensor paddings"), "PadV2": renamed("Pad", "tensor paddings constant_values"),
	"ZerosLike": renamed("ZerosLike", "input"), "OnesLike": renamed("OnesLike", "input"), "Select": {"condition x y", (*opArgs).whereOp}, "SelectV2": {"condition x y", (*opArgs).whereOp},
	"AddN": {"inputs", addN}, "ClipByValue": {"t clip_value_min clip_value_max", clipTF},
	"StridedSlice": {"x begin end strides", stridedSlice},
}

func nodeReduction(name string) opDef {
	d := kerasOperations[name]
	return opDef{"input axis", d.f}
}

func castNode(o *opArgs) []*graph.Value {
	x := o.x()
	return one(o.cast(x, o.dtype(x.Type.DType, "DstT")))
}

func stridedSlice(o *opArgs) []*graph.Value {
	x := o.x()
	begin, _ := o.intList("begin")
	end, _ := o.intList("end")
	step, _ := o.intList("strides")
	if len(begin) != len(end) || len(begin) != len(step) {
		o.Failf("begin %v, end %v, strides %v", begin, end, step)
		return one(x)
	}
	bits := func(name string) int { return o.int(0, name) }
	bm, em, el, na, sh := bits("begin_mask"), bits("end_mask"), bits("ellipsis_mask"), bits("new_axis_mask"), bits("shrink_axis_mask")
	var key []any
	for i := range begin {
		switch {
		case el>>i&1 == 1:
			key = append(key, "...")
		case na>>i&1 == 1:
			key = append(key, nil)
		case sh>>i&1 == 1:
			key = append(key, begin[i])
		default:
			m := map[string]any{"start": begin[i], "stop": end[i], "step": step[i]}
			if bm>>i&1 == 1 {
				m["start"] = nil
			}
			if em>>i&1 == 1 {
				m["stop"] = nil
			}
			key = append(key, m)
		}
	}
	return one(o.index2(x, key))
}
