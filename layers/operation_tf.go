package layers

import (
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// tensorflowFunctions is the functions that a TFOpLambda may call, by TensorFlow's symbol.
var tensorflowFunctions = []opRow{
	{name: "math.add", params: "x y name", f: as("Add")}, {name: "__operators__.add", params: "x y name", f: as("Add")}, {name: "math.add_n", params: "inputs", f: addN},
	{name: "math.subtract", params: "x y name", f: as("Subtract")}, {name: "math.multiply", params: "x y name", f: as("Multiply")},
	{name: "math.divide", params: "x y name", f: as("Divide")}, {name: "math.truediv", params: "x y name", f: as("Divide")}, {name: "math.floordiv", params: "x y name", f: as("FloorDivide")},
	{name: "math.floormod", params: "x y name", f: as("Mod")}, {name: "math.divide_no_nan", params: "x y name", f: as("DivideNoNan")},
	{name: "math.pow", params: "x y name", f: as("Power")}, {name: "math.maximum", params: "x y name", f: as("Maximum")}, {name: "math.minimum", params: "x y name", f: as("Minimum")},
	{name: "math.greater", params: "x y name", f: as("Greater")}, {name: "math.greater_equal", params: "x y name", f: as("GreaterEqual")},
	{name: "math.less", params: "x y name", f: as("Less")}, {name: "math.less_equal", params: "x y name", f: as("LessEqual")},
	{name: "math.equal", params: "x y name", f: as("Equal")}, {name: "math.not_equal", params: "x y name", f: as("NotEqual")},
	{name: "__operators__.eq", params: "x y name", f: as("Equal")}, {name: "__operators__.ne", params: "x y name", f: as("NotEqual")},
	{name: "math.logical_and", params: "x y name", f: as("LogicalAnd")}, {name: "math.logical_or", params: "x y name", f: as("LogicalOr")}, {name: "math.logical_not", params: "x name", f: as("LogicalNot")},
	{name: "linalg.matmul", params: "a b transpose_a transpose_b", f: matmulTF},
	{name: "math.negative", params: "x name", f: as("Negative")}, {name: "math.abs", params: "x name", f: as("Absolute")}, {name: "math.sign", params: "x name", f: as("Sign")},
	{name: "math.exp", params: "x name", f: as("Exp")}, {name: "math.log", params: "x name", f: as("Log")}, {name: "math.log1p", params: "x name", f: as("Log1p")}, {name: "math.expm1", params: "x name", f: as("Expm1")},
	{name: "math.sqrt", params: "x name", f: as("Sqrt")}, {name: "math.rsqrt", params: "x name", f: as("Rsqrt")}, {name: "math.square", params: "x name", f: as("Square")},
	{name: "math.sin", params: "x name", f: as("Sin")}, {name: "math.cos", params: "x name", f: as("Cos")}, {name: "math.tan", params: "x name", f: as("Tan")}, {name: "math.tanh", params: "x name", f: as("Tanh")},
	{name: "math.sigmoid", params: "x name", f: as("Sigmoid")}, {name: "math.floor", params: "x name", f: as("Floor")}, {name: "math.ceil", params: "x name", f: as("Ceil")}, {name: "math.round", params: "x name", f: as("Round")},
	{name: "math.erf", params: "x name", f: as("Erf")}, {name: "math.reciprocal", params: "x name", f: as("Reciprocal")}, {name: "math.softplus", params: "features name", f: as("Softplus")},
	{name: "math.reduce_sum", params: "input_tensor axis keepdims name", f: as("Sum")}, {name: "math.reduce_mean", params: "input_tensor axis keepdims name", f: as("Mean")},
	{name: "math.reduce_max", params: "input_tensor axis keepdims name", f: as("Max")}, {name: "math.reduce_min", params: "input_tensor axis keepdims name", f: as("Min")},
	{name: "math.reduce_prod", params: "input_tensor axis keepdims name", f: as("Prod")}, {name: "math.reduce_any", params: "input_tensor axis keepdims name", f: as("Any")},
	{name: "math.reduce_all", params: "input_tensor axis keepdims name", f: as("All")}, {name: "math.reduce_std", params: "input_tensor axis keepdims name", f: as("Std")},
	{name: "math.reduce_variance", params: "input_tensor axis keepdims name", f: as("Var")}, {name: "math.reduce_logsumexp", params: "input_tensor axis keepdims name", f: as("Logsumexp")},
	{name: "math.argmax", params: "input axis output_type name", f: as("Argmax")}, {name: "math.argmin", params: "input axis output_type name", f: as("Argmin")},
	{name: "math.cumsum", params: "x axis", f: as("Cumsum")}, {name: "math.l2_normalize", params: "x axis epsilon name", f: l2NormalizeTF},
	{name: "nn.relu", params: "features name", f: as("Relu")}, {name: "nn.relu6", params: "features name", f: as("Relu6")}, {name: "nn.sigmoid", params: "x name", f: as("Sigmoid")},
	{name: "nn.tanh", params: "x name", f: as("Tanh")}, {name: "nn.softplus", params: "features name", f: as("Softplus")}, {name: "nn.softsign", params: "features name", f: as("Softsign")},
	{name: "nn.elu", params: "features name", f: as("Elu")}, {name: "nn.selu", params: "features name", f: as("Selu")}, {name: "nn.silu", params: "features beta", f: as("Silu")}, {name: "nn.swish", params: "features beta", f: as("Silu")},
	{name: "nn.leaky_relu", params: "features alpha name", f: as("LeakyRelu")}, {name: "nn.softmax", params: "logits axis name", f: as("Softmax")}, {name: "nn.log_softmax", params: "logits axis name", f: as("LogSoftmax")},
	{name: "nn.l2_normalize", params: "x axis epsilon name", f: l2NormalizeTF},
	{name: "nn.gelu", params: "features approximate name", f: geluTF}, {name: "nn.bias_add", params: "value bias", f: biasAddTF},
	{name: "math.l2_norm", params: "x axis", f: as("Norm")},
	{name: "reshape", params: "tensor shape name", f: as("Reshape")}, {name: "transpose", params: "a perm", f: as("Transpose")}, {name: "expand_dims", params: "input axis name", f: as("ExpandDims")},
	{name: "squeeze", params: "input axis name", f: as("Squeeze")}, {name: "concat", params: "values axis name", f: as("Concatenate")}, {name: "stack", params: "values axis name", f: as("Stack")},
	{name: "split", params: "value num_or_size_splits axis", f: as("Split")}, {name: "tile", params: "input multiples name", f: as("Tile")}, {name: "cast", params: "x dtype name", f: as("Cast")},
	{name: "compat.v1.transpose", params: "a perm", f: as("Transpose")}, {name: "compat.v1.squeeze", params: "input axis name", f: as("Squeeze")},
	{name: "one_hot", params: "indices depth on_value off_value axis dtype name", f: func(o *opArgs) []*graph.Value { return one(o.oneHotOp("depth")) }},
	{name: "gather", params: "params indices validate_indices axis", f: gatherTF},
	{name: "where", params: "condition x y name", f: (*opArgs).whereOp}, {name: "identity", params: "input name", f: as("Identity")}, {name: "stop_gradient", params: "input name", f: as("StopGradient")},
	{name: "zeros_like", params: "input dtype name", f: as("ZerosLike")}, {name: "ones_like", params: "input dtype name", f: as("OnesLike")}, {name: "clip_by_value", params: "t clip_value_min clip_value_max name", f: clipTF},
	{name: "reverse", params: "x axis name", f: as("Flip")}, {name: "repeat", params: "input repeats axis name", f: as("Repeat")}, {name: "einsum", params: "equation inputs", f: einsumTF},
	{name: "convert_to_tensor", params: "value dtype", f: as("ConvertToTensor")},
	{name: "__operators__.getitem", params: "_check_args_0 slice_spec", f: getItemTF},
	{name: "_slice_helper", params: "tensor slice_spec var", f: getItemTF},
	{name: "pad", params: "tensor paddings mode constant_values name", f: as("Pad")},
	{name: "space_to_depth", params: "input block_size", f: spaceToDepthTF}, {name: "nn.space_to_depth", params: "input block_size", f: spaceToDepthTF},
	{name: "depth_to_space", params: "input block_size", f: depthToSpaceTF}, {name: "nn.depth_to_space", params: "input block_size", f: depthToSpaceTF},
	{name: "math.squared_difference", params: "x y name", f: func(o *opArgs) []*graph.Value { a, b := o.pair(); d := o.sub(a, b); return one(o.mul(d, d)) }},
	{name: "math.mod", params: "x y name", f: as("Mod")}, {name: "math.atan2", params: "y x name", f: as("Arctan2")}, {name: "math.asin", params: "x name", f: as("Arcsin")}, {name: "math.acos", params: "x name", f: as("Arccos")},
	{name: "math.atan", params: "x name", f: as("Arctan")}, {name: "math.sinh", params: "x name", f: as("Sinh")}, {name: "math.cosh", params: "x name", f: as("Cosh")}, {name: "math.asinh", params: "x name", f: as("Arcsinh")},
	{name: "math.acosh", params: "x name", f: as("Arccosh")}, {name: "math.atanh", params: "x name", f: as("Arctanh")}, {name: "math.is_nan", params: "x name", f: as("Isnan")}, {name: "math.is_inf", params: "x name", f: as("Isinf")}, {name: "math.is_finite", params: "x name", f: as("Isfinite")},
	{name: "math.logical_xor", params: "x y name", f: as("LogicalXor")}, {name: "math.count_nonzero", params: "input axis keepdims", f: countNonzero}, {name: "math.cumprod", params: "x axis", f: as("Cumprod")}, {name: "math.top_k", params: "input k sorted name", f: as("TopK")},
	{name: "math.log_sigmoid", params: "x name", f: as("LogSigmoid")}, {name: "math.softsign", params: "features name", f: as("Softsign")}, {name: "math.erfc", params: "x name", f: as("Erfc")}, {name: "math.erfinv", params: "x name", f: as("Erfinv")},
	{name: "linalg.norm", params: "tensor ord axis keepdims name", f: as("Norm")}, {name: "norm", params: "tensor ord axis keepdims name", f: as("Norm")}, {name: "linalg.einsum", params: "equation inputs", f: einsumTF},
	{name: "linalg.det", params: "input name", f: as("Det")}, {name: "linalg.inv", params: "input adjoint name", f: as("Inv")}, {name: "linalg.diag_part", params: "input name", f: as("Diagonal")}, {name: "linalg.matrix_transpose", params: "a name", f: func(o *opArgs) []*graph.Value { return one(o.swapLast(o.x())) }},
	{name: "linalg.tensordot", params: "a b axes name", f: as("Tensordot")}, {name: "tensordot", params: "a b axes name", f: as("Tensordot")}, {name: "linalg.cross", params: "a b name", f: as("Cross")},
	{name: "roll", params: "input shift axis name", f: as("Roll")}, {name: "unstack", params: "value num axis name", f: as("Unstack")}, {name: "sort", params: "values axis", f: as("Sort")}, {name: "argsort", params: "values axis", f: as("Argsort")},
	{name: "broadcast_to", params: "input shape name", f: as("BroadcastTo")}, {name: "boolean_mask", params: "tensor mask", f: func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.Compress{HasAxis: true}, o.x(), o.tensor(nil, "mask")))
	}},
	{name: "nn.moments", params: "x axes shift keepdims name", f: as("Moments")}, {name: "nn.batch_normalization", params: "x mean variance offset scale variance_epsilon name", f: batchNormTF},
	{name: "nn.conv2d", params: "input filters strides padding data_format dilations name", f: convTF("Conv", "filters")}, {name: "nn.depthwise_conv2d", params: "input filter strides padding data_format dilations name", f: convTF("DepthwiseConv", "filter")},
	{name: "nn.max_pool2d", params: "input ksize strides padding data_format name", f: poolTF(true)}, {name: "nn.avg_pool2d", params: "input ksize strides padding data_format name", f: poolTF(false)},
	{name: "nn.max_pool", params: "input ksize strides padding data_format name", f: poolTF(true)}, {name: "nn.avg_pool", params: "input ksize strides padding data_format name", f: poolTF(false)},
	{name: "image.resize", params: "images size method preserve_aspect_ratio antialias name", f: imageResizeTF}, {name: "image.rgb_to_grayscale", params: "images name", f: func(o *opArgs) []*graph.Value {
		_, p := o.planes(o.x(), false)
		return one(o.add(o.add(o.mulN(p[0], 0.2989), o.mulN(p[1], 0.587)), o.mulN(p[2], 0.114)))
	}},
	{name: "shape", params: "input out_type name", f: func(o *opArgs) []*graph.Value {
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
		d, _ := find(name, nnOperations)
		return d.f(o)
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
var nodeDefs = []opRow{
	{name: "Add", params: "x y", f: as("Add")}, {name: "AddV2", params: "x y", f: as("Add")}, {name: "Sub", params: "x y", f: as("Subtract")}, {name: "Mul", params: "x y", f: as("Multiply")},
	{name: "RealDiv", params: "x y", f: as("Divide")}, {name: "Div", params: "x y", f: as("Divide")}, {name: "FloorDiv", params: "x y", f: as("FloorDivide")}, {name: "FloorMod", params: "x y", f: as("Mod")},
	{name: "Pow", params: "x y", f: as("Power")}, {name: "Maximum", params: "x y", f: as("Maximum")}, {name: "Minimum", params: "x y", f: as("Minimum")},
	{name: "Greater", params: "x y", f: as("Greater")}, {name: "GreaterEqual", params: "x y", f: as("GreaterEqual")}, {name: "Less", params: "x y", f: as("Less")}, {name: "LessEqual", params: "x y", f: as("LessEqual")},
	{name: "Equal", params: "x y", f: as("Equal")}, {name: "NotEqual", params: "x y", f: as("NotEqual")}, {name: "LogicalAnd", params: "x y", f: as("LogicalAnd")}, {name: "LogicalOr", params: "x y", f: as("LogicalOr")},
	{name: "LogicalNot", params: "x", f: as("LogicalNot")}, {name: "SquaredDifference", params: "x y", f: func(o *opArgs) []*graph.Value { a, b := o.pair(); d := o.sub(a, b); return one(o.mul(d, d)) }},
	{name: "MatMul", params: "a b", f: matmulTF}, {name: "BatchMatMul", params: "a b", f: matmulTF}, {name: "BatchMatMulV2", params: "a b", f: matmulTF},
	{name: "Neg", params: "x", f: as("Negative")}, {name: "Abs", params: "x", f: as("Absolute")}, {name: "Sign", params: "x", f: as("Sign")}, {name: "Exp", params: "x", f: as("Exp")}, {name: "Log", params: "x", f: as("Log")},
	{name: "Log1p", params: "x", f: as("Log1p")}, {name: "Sqrt", params: "x", f: as("Sqrt")}, {name: "Rsqrt", params: "x", f: as("Rsqrt")}, {name: "Square", params: "x", f: as("Square")}, {name: "Reciprocal", params: "x", f: as("Reciprocal")},
	{name: "Sin", params: "x", f: as("Sin")}, {name: "Cos", params: "x", f: as("Cos")}, {name: "Tan", params: "x", f: as("Tan")}, {name: "Tanh", params: "x", f: as("Tanh")}, {name: "Sigmoid", params: "x", f: as("Sigmoid")},
	{name: "Floor", params: "x", f: as("Floor")}, {name: "Ceil", params: "x", f: as("Ceil")}, {name: "Round", params: "x", f: as("Round")}, {name: "Erf", params: "x", f: as("Erf")},
	{name: "Relu", params: "features", f: as("Relu")}, {name: "Relu6", params: "features", f: as("Relu6")}, {name: "Elu", params: "features", f: as("Elu")}, {name: "Selu", params: "features", f: as("Selu")},
	{name: "LeakyRelu", params: "features", f: as("LeakyRelu")}, {name: "Softplus", params: "features", f: as("Softplus")}, {name: "Softsign", params: "features", f: as("Softsign")},
	{name: "Softmax", params: "logits", f: as("Softmax")}, {name: "LogSoftmax", params: "logits", f: as("LogSoftmax")},
	{name: "Sum", params: "input axis", f: as("Sum")}, {name: "Mean", params: "input axis", f: as("Mean")}, {name: "Max", params: "input axis", f: as("Max")}, {name: "Min", params: "input axis", f: as("Min")}, {name: "Prod", params: "input axis", f: as("Prod")},
	{name: "Any", params: "input axis", f: as("Any")}, {name: "All", params: "input axis", f: as("All")}, {name: "ArgMax", params: "input axis", f: as("Argmax")}, {name: "ArgMin", params: "input axis", f: as("Argmin")},
	{name: "Reshape", params: "tensor shape", f: as("Reshape")}, {name: "Transpose", params: "a perm", f: as("Transpose")}, {name: "ExpandDims", params: "input axis", f: as("ExpandDims")},
	{name: "Squeeze", params: "input", f: as("Squeeze")}, {name: "Identity", params: "input", f: as("Identity")}, {name: "StopGradient", params: "input", f: as("StopGradient")}, {name: "Tile", params: "input multiples", f: as("Tile")},
	{name: "Cast", params: "x", f: castNode}, {name: "ConcatV2", params: "values axis", f: func(o *opArgs) []*graph.Value { return one(o.concatOp("values")) }}, {name: "Pack", params: "values", f: func(o *opArgs) []*graph.Value { return one(o.stackOp("values")) }}, {name: "Shape", params: "input", f: func(o *opArgs) []*graph.Value { return one(o.cast(o.Add(ops.Shape{}, o.x()), tensor.Int32)) }},
	{name: "BiasAdd", params: "value bias", f: biasAddTF}, {name: "SpaceToDepth", params: "input", f: spaceToDepthTF}, {name: "DepthToSpace", params: "input", f: depthToSpaceTF},
	{name: "GatherV2", params: "params indices axis", f: gatherTF}, {name: "ReverseV2", params: "x axis", f: as("Flip")}, {name: "Pad", params: "tensor paddings", f: as("Pad")}, {name: "PadV2", params: "tensor paddings constant_values", f: as("Pad")},
	{name: "ZerosLike", params: "input", f: as("ZerosLike")}, {name: "OnesLike", params: "input", f: as("OnesLike")}, {name: "Select", params: "condition x y", f: (*opArgs).whereOp}, {name: "SelectV2", params: "condition x y", f: (*opArgs).whereOp},
	{name: "AddN", params: "inputs", f: addN}, {name: "ClipByValue", params: "t clip_value_min clip_value_max", f: clipTF},
	{name: "StridedSlice", params: "x begin end strides", f: stridedSlice},
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
