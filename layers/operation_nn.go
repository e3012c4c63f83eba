package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// nnOperations is keras.ops.nn, but for what is in basicOperations.
var nnOperations = []opRow{
	{name: "SoftShrink", params: "x", f: func(o *opArgs) []*graph.Value {
		l := o.float(0.5, "threshold")
		return one(o.Add(ops.Shrink{Lambd: l, Bias: l}, o.floatX()))
	}},
	{name: "HardShrink", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.Shrink{Lambd: o.float(0.5, "threshold")}, o.floatX()))
	}},
	{name: "Threshold", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.threshold(o.floatX(), o.float(1, "threshold"), o.float(0, "default_value")))
	}},
	{name: "Squareplus", params: "x", f: func(o *opArgs) []*graph.Value { return one(squareplus(o.Call, o.floatX(), o.float(4, "b"))) }},
	{name: "Glu", params: "x", f: lastAxis(glu)}, {name: "Sparsemax", params: "x", f: lastAxis(sparsemax)},
	{name: "Softmax", f: softmaxOp(false)}, {name: "LogSoftmax", f: softmaxOp(true)},
	{name: "MaxPool", f: poolOp(true)}, {name: "AveragePool", f: poolOp(false)},
	{name: "AdaptiveMaxPool", f: adaptivePoolOp(true)}, {name: "AdaptiveAveragePool", f: adaptivePoolOp(false)},
	{name: "Conv", params: "inputs kernel", f: func(o *opArgs) []*graph.Value {
		x, s, k := o.convArgs("kernel")
		if in, per := o.dim(x, channelAxis(s.channelsFirst)), o.dim(k, -2); in > 0 && per > 0 {
			s.groups = max(in/per, 1)
		}
		return one(o.conv(x, k, nil, s))
	}},
	{name: "DepthwiseConv", params: "inputs kernel", f: func(o *opArgs) []*graph.Value {
		x, s, k := o.convArgs("kernel")
		s.groups = o.dim(x, channelAxis(s.channelsFirst))
		return one(o.depthwise(x, k, nil, s, o.dim(k, -1)))
	}},
	{name: "SeparableConv", params: "inputs depthwise_kernel pointwise_kernel", f: func(o *opArgs) []*graph.Value {
		x, s, k := o.convArgs("depthwise_kernel")
		s.groups = o.dim(x, channelAxis(s.channelsFirst))
		y := o.depthwise(x, k, nil, s, o.dim(k, -1))
		ones := repeat(1, len(s.strides))
		return one(o.conv(y, o.cast(o.tensor(nil, "pointwise_kernel"), x.Type.DType), nil, convSpec{ones, ones, "valid", 1, s.channelsFirst}))
	}},
	{name: "ConvTranspose", params: "inputs kernel", f: convTransposeOp},
	{name: "BinaryCrossentropy", params: "target output", f: func(o *opArgs) []*graph.Value {
		y := o.tensor(nil, "output")
		t := o.cast(o.tensor(y, "target"), y.Type.DType)
		if o.bool(false, "from_logits") { // max(y, 0) - y*t + log(1 + exp(-|y|))
			l := o.Add(ops.Log1p{}, o.Add(ops.Exp{}, o.Add(ops.Neg{}, o.Add(ops.Abs{}, y))))
			return one(o.add(o.sub(o.Add(ops.Relu{}, y), o.mul(y, t)), l))
		}
		y = o.clip(y, 1e-7, 1-1e-7)
		not := func(v *graph.Value) *graph.Value { return o.sub(o.num(v, 1), v) }
		s := o.add(o.mul(t, o.Add(ops.Log{}, y)), o.mul(not(t), o.Add(ops.Log{}, not(y))))
		return one(o.Add(ops.Neg{}, s))
	}},
	{name: "CategoricalCrossentropy", params: "target output", f: func(o *opArgs) []*graph.Value {
		axis, lp := o.logProbabilities()
		t := o.cast(o.tensor(lp, "target"), lp.Type.DType)
		return one(o.Add(ops.Neg{}, o.sum(o.mul(t, lp), false, axis)))
	}},
	{name: "SparseCategoricalCrossentropy", params: "target output", f: func(o *opArgs) []*graph.Value {
		axis, lp := o.logProbabilities()
		t := o.tensor(nil, "target")
		if o.rank(t) == o.rank(lp) && o.dim(t, -1) == 1 {
			t = o.squeeze(t, -1)
		}
		hot := o.oneHot(t, o.dim(lp, axis), axis, lp.Type.DType, 1, 0)
		return one(o.Add(ops.Neg{}, o.sum(o.mul(hot, lp), false, axis)))
	}},
	{name: "MultiHot", params: "inputs", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		hot := o.oneHot(x, o.int(0, "num_classes", "num_tokens"), o.int(-1, "axis"), o.dtype(tensor.Float32, "dtype"), 1, 0)
		return one(o.max(hot, false, min(o.rank(x)-1, 1)))
	}},
	{name: "Moments", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.floatX()
		axes, keep := o.axes(x, "axes"), o.bool(false, "keepdims")
		m := o.mean(x, true, axes...)
		v := o.sub(o.mean(o.mul(x, x), true, axes...), o.mul(m, m))
		if !keep {
			m, v = o.squeeze(m, axes...), o.squeeze(v, axes...)
		}
		return []*graph.Value{m, v}
	}},
	{name: "BatchNorm", params: "x mean variance offset scale", f: batchNormOp},
	{name: "PSNR", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		d := o.sub(a, b)
		mse := o.Add(ops.ReduceMean{}, o.mul(d, d))
		return one(o.addN(o.mulN(o.Add(ops.Log{}, mse), -10/math.Ln10), 20*math.Log10(o.float(1, "max_val"))))
	}},
	{name: "DotProductAttention", params: "query key value bias mask scale", f: dotProductAttention},
	{name: "RMSNorm", params: "x scale", f: func(o *opArgs) []*graph.Value {
		x := o.floatX()
		axes, shape := o.normShape(x)
		y := o.div(x, o.Add(ops.Sqrt{}, o.addN(o.mean(o.mul(x, x), true, axes...), o.float(1e-7, "epsilon"))))
		if o.get("scale") != nil {
			y = o.mul(y, o.shaped(o.tensor(x, "scale"), shape))
		}
		return one(y)
	}},
	{name: "LayerNorm", params: "x gamma beta", f: layerNormOp},
	{name: "Unfold", params: "x", f: func(o *opArgs) []*graph.Value {
		w := o.patchWindow()
		return one(o.Add(ops.Im2Col{KernelShape: w.kernel, Strides: w.strides, Dilations: w.dilations, Pads: w.pads}, o.x()))
	}},
	{name: "Fold", params: "x", f: func(o *opArgs) []*graph.Value {
		w := o.patchWindow()
		size, _ := o.intList("output_size")
		return one(o.Add(ops.Col2Im{Strides: w.strides, Dilations: w.dilations, Pads: w.pads}, o.x(), o.ints(o.spread("output_size", size, 2, 1)...), o.ints(w.kernel...)))
	}},
	{name: "DepthToSpace", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.shuffled(func(x *graph.Value, n int) *graph.Value { return o.DepthToSpace(x, n) }, true))
	}},
	{name: "SpaceToDepth", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.shuffled(func(x *graph.Value, n int) *graph.Value { return o.SpaceToDepth(x, n) }, false))
	}},
}

// lastAxis applies f, which works on the last axis, along another one.
func lastAxis(f func(c *Call, x *graph.Value) *graph.Value) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		x := o.floatX()
		r := o.rank(x)
		axis := o.axis(o.int(-1, "axis"), r)
		p := identityPerm(r)
		if o.Err() != nil {
			return one(x)
		}
		p[axis], p[r-1] = r-1, axis
		return one(o.transpose(f(o.Call, o.transpose(x, p...)), p...))
	}
}

// channels reads data_format.
func (o *opArgs) channels() bool { return o.channelsFirst(o.str("", "data_format")) }

func poolOp(isMax bool) opDef {
	return opDef{"inputs", func(o *opArgs) []*graph.Value {
		x := o.x()
		p := PoolConfig{Padding: o.str("valid", "padding"), DataFormat: o.str("", "data_format")}
		if p.Padding == "same" && !isMax {
			p.Padding = TorchSame
		}
		p.PoolSize, _ = o.intList("pool_size")
		if s, ok := o.intList("strides"); ok {
			p.Strides = s
		}
		c := *o.Call
		c.In = one(x)
		return p.call(&c, o.rank(x)-2, isMax)
	}}
}

func adaptivePoolOp(isMax bool) opDef {
	return opDef{"inputs", func(o *opArgs) []*graph.Value {
		x := o.x()
		p := AdaptivePoolConfig{DataFormat: o.str("", "data_format")}
		p.OutputSize, _ = o.intList("output_size")
		c := *o.Call
		c.In = one(x)
		return p.call(&c, o.rank(x)-2, isMax)
	}}
}

// convArgs is what every convolution takes.
func (o *opArgs) convArgs(kernel string) (x *graph.Value, s convSpec, k *graph.Value) {
	x = o.floatX()
	k = o.cast(o.tensor(x, kernel), x.Type.DType)
	rank := max(o.rank(x)-2, 0)
	strides, _ := o.intList("strides")
	dilations, _ := o.intList("dilation_rate")
	s = convSpec{o.spread("strides", strides, rank, 1), o.spread("dilation_rate", dilations, rank, 1), o.str("valid", "padding"), 1, o.channels()}
	if o.rank(k) != rank+2 {
		o.Failf("kernel %v for %v", k.Type, x.Type)
	}
	return x, s, k
}

func convTransposeOp(o *opArgs) []*graph.Value {
	x, s, k := o.convArgs("kernel")
	rank := len(s.strides)
	sizes := make([]int, rank)
	for i := range sizes {
		sizes[i] = o.dim(k, i)
	}
	var extra []int
	if e, ok := o.intList("output_padding"); ok {
		extra = o.spread("output_padding", e, rank, 0)
	}
	pads, outPad, msg := transposePads(sizes, s.strides, s.dilations, extra, s.padding)
	if msg != "" || o.Err() != nil {
		o.Failf("%s", msg)
		return one(x)
	}
	if s.channelsFirst {
		perm := []int{rank + 1, rank}
		for i := range rank {
			perm = append(perm, i)
		}
		k = o.transpose(k, perm...)
	}
	return one(o.Add(ops.ConvTranspose{
		KernelShape: sizes, Strides: s.strides, Dilations: s.dilations, Group: 1,
		Pads: pads, OutputPadding: outPad, Format: format(s.channelsFirst),
	}, x, k))
}

// logProbabilities is the log of output as probabilities, or of its softmax.
func (o *opArgs) logProbabilities() (axis int, lp *graph.Value) {
	y := o.tensor(nil, "output")
	axis = o.axis(o.int(-1, "axis"), o.rank(y))
	if o.bool(false, "from_logits") {
		return axis, o.Add(ops.LogSoftmax{Axis: axis}, y)
	}
	y = o.div(y, o.sum(y, true, axis))
	return axis, o.Add(ops.Log{}, o.clip(y, 1e-7, 1-1e-7))
}

func batchNormOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	shape := repeat(1, o.rank(x))
	shape[o.axis(o.int(-1, "axis"), len(shape))] = -1
	at := func(name string) *graph.Value { return o.reshapeTo(o.tensor(x, name), shape...) }
	y := o.div(o.sub(x, at("mean")), o.Add(ops.Sqrt{}, o.addN(at("variance"), o.float(1e-3, "epsilon"))))
	if o.get("scale") != nil {
		y = o.mul(y, at("scale"))
	}
	if o.get("offset") != nil {
		y = o.add(y, at("offset"))
	}
	return one(y)
}

// normShape is the axes of a normalization, and the shape of its scale against x.
func (o *opArgs) normShape(x *graph.Value) (axes, shape []int) {
	axes, ok := o.intList("axis")
	if !ok {
		axes = []int{-1}
	}
	axes = slices.Clone(axes)
	shape = repeat(1, o.rank(x))
	for i, a := range axes {
		axes[i] = o.axis(a, len(shape))
		shape[axes[i]] = o.dim(x, axes[i])
	}
	slices.Sort(axes)
	return axes, shape
}

func (o *opArgs) shaped(v *graph.Value, shape []int) *graph.Value {
	if o.rank(v) == len(shape) {
		return v
	}
	return o.reshapeTo(v, shape...)
}

func layerNormOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	axes, shape := o.normShape(x)
	d := o.sub(x, o.mean(x, true, axes...))
	inv := o.Add(ops.Sqrt{}, o.addN(o.mean(o.mul(d, d), true, axes...), o.float(1e-7, "epsilon")))
	y := o.div(d, inv)
	if o.bool(false, "rms_scaling") {
		y = o.div(x, inv)
	}
	if o.get("gamma") != nil {
		y = o.mul(y, o.shaped(o.tensor(x, "gamma"), shape))
	}
	if o.get("beta") != nil {
		y = o.add(y, o.shaped(o.tensor(x, "beta"), shape))
	}
	return one(y)
}

// dotProductAttention takes batch, length, heads, size; heads of the query may share those of key and value.
func dotProductAttention(o *opArgs) []*graph.Value {
	q, k, v := o.tensor(nil, "query"), o.tensor(nil, "key"), o.tensor(nil, "value")
	o.get("flash_attention")
	if !o.wantRank(q, 4) || !o.wantRank(k, 4) || !o.wantRank(v, 4) || o.get("attn_logits_soft_cap") != nil {
		o.Failf("attn_logits_soft_cap is not supported")
		return one(q)
	}
	heads := func(x *graph.Value) *graph.Value { return o.transpose(x, 0, 2, 1, 3) }
	q, k, v = heads(q), heads(k), heads(v)
	if n, m := o.dim(q, 1), o.dim(k, 1); n > m && m > 1 {
		k, v = o.repeatAxis(k, 1, n/m), o.repeatAxis(v, 1, n/m)
	}
	scale := o.float(1/math.Sqrt(float64(max(o.dim(q, -1), 1))), "scale")
	s := o.Add(ops.MatMul{}, o.mulN(q, scale), o.transpose(k, 0, 1, 3, 2))
	if o.get("bias") != nil {
		s = o.add(s, o.cast(o.tensor(s, "bias"), s.Type.DType))
	}
	if o.get("mask") != nil {
		s = o.maskLogits(s, o.cast(o.tensor(nil, "mask"), tensor.Bool))
	}
	if o.bool(false, "is_causal") {
		d := s.Type.Dims
		causal := o.Add(ops.Trilu{}, o.expand(o.num(s, 1), d[2:], s), o.Const("k", tensor.Scalar(int64(0))))
		s = o.maskLogits(s, o.cast(causal, tensor.Bool))
	}
	return one(heads(o.Add(ops.MatMul{}, o.Add(ops.Softmax{Axis: -1}, s), v)))
}

type patchWindow struct{ kernel, strides, dilations, pads []int }

func (o *opArgs) patchWindow() patchWindow {
	pair := func(name string, def int) []int {
		v, _ := o.intList(name)
		return slices.Clone(o.spread(name, v, 2, def))
	}
	p := pair("padding", 0)
	return patchWindow{pair("kernel_size", 1), pair("stride", 1), pair("dilation", 1), append(p, p...)}
}

// shuffled applies a shuffle of channels-last images in either data format. Channels first, the channels
// come before the block's places, channels last after.
func (o *opArgs) shuffled(f func(*graph.Value, int) *graph.Value, toSpace bool) *graph.Value {
	x, n := o.x(), o.int(2, "block_size")
	if !o.channels() {
		return f(x, n)
	}
	if !o.wantRank(x, 4) || n < 1 {
		return x
	}
	d := x.Type.Dims
	b := graph.D(n)
	if toSpace {
		ch := d[1].Div(b.Mul(b))
		y := o.transpose(o.reshape(x, []graph.Dim{d[0], ch, b, b, d[2], d[3]}), 0, 1, 4, 2, 5, 3)
		return o.reshape(y, []graph.Dim{d[0], ch, d[2].Mul(b), d[3].Mul(b)}, x)
	}
	y := o.transpose(o.reshape(x, []graph.Dim{d[0], d[1], d[2].Div(b), b, d[3].Div(b), b}), 0, 1, 3, 5, 2, 4)
	return o.reshape(y, []graph.Dim{d[0], d[1].Mul(b).Mul(b), d[2].Div(b), d[3].Div(b)}, x)
}
