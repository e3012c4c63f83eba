package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var convRows = []row{
	{class: "Conv1D", make: func() Layer { return new(Conv1D) }, aliases: []string{"Convolution1D", "AtrousConvolution1D"}},
	{class: "Conv2D", make: func() Layer { return new(Conv2D) }, aliases: []string{"Convolution2D", "AtrousConvolution2D", "AtrousConv2D"}},
	{class: "Conv3D", make: func() Layer { return new(Conv3D) }, aliases: []string{"Convolution3D"}},
	{class: "Conv1DTranspose", make: func() Layer { return new(Conv1DTranspose) }, aliases: []string{"Convolution1DTranspose"}},
	{class: "Conv2DTranspose", make: func() Layer { return new(Conv2DTranspose) }, aliases: []string{"Convolution2DTranspose", "Deconvolution2D", "Deconv2D"}},
	{class: "Conv3DTranspose", make: func() Layer { return new(Conv3DTranspose) }, aliases: []string{"Convolution3DTranspose", "Deconvolution3D", "Deconv3D"}},
	{class: "DepthwiseConv1D", make: func() Layer { return new(DepthwiseConv1D) }},
	{class: "DepthwiseConv2D", make: func() Layer { return new(DepthwiseConv2D) }, aliases: []string{"DepthwiseConvolution2D"}},
	{class: "SeparableConv1D", make: func() Layer { return new(SeparableConv1D) }, aliases: []string{"SeparableConvolution1D"}},
	{class: "SeparableConv2D", make: func() Layer { return new(SeparableConv2D) }, aliases: []string{"SeparableConvolution2D"}},
}

// ConvConfig is the config of Conv1D, Conv2D and Conv3D.
type ConvConfig struct {
	Base
	Filters             int
	KernelSize          []int
	Strides             []int  // nil: 1
	Padding             string `def:"\"valid\""` // "valid" (also ""), "same", "causal"; TheanoSame
	DataFormat          string `def:"\"channels_last\""`
	DilationRate        []int  // nil: 1
	Groups              int    `def:"1"`
	Activation          Activation
	NoBias              bool    `keras:"use_bias,not"`
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
}

// TheanoSame is the padding "same" of a model that ran on Theano: half the (dilated) kernel on both sides,
// and the output cut to ceil(size/stride). It differs from "same" where the padding is uneven.
const TheanoSame = "theano_same"

// Conv1D is a convolution over one spatial dimension.
type Conv1D ConvConfig

// Conv2D is a convolution over two spatial dimensions.
type Conv2D ConvConfig

// Conv3D is a convolution over three spatial dimensions.
type Conv3D ConvConfig

// Call implements Layer.
func (l *Conv1D) Call(c *Call) []*graph.Value { return (*ConvConfig)(l).call(c, 1) }

// Call implements Layer.
func (l *Conv2D) Call(c *Call) []*graph.Value { return (*ConvConfig)(l).call(c, 2) }

// Call implements Layer.
func (l *Conv3D) Call(c *Call) []*graph.Value { return (*ConvConfig)(l).call(c, 3) }

func (l *ConvConfig) call(c *Call, rank int) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	c.spreadKernel(rank, &l.KernelSize, &l.Strides, &l.DilationRate)
	groups := max(l.Groups, 1)
	in := c.dim(x, channelAxis(cf))
	if in >= 0 && in%groups != 0 || l.Filters%groups != 0 {
		c.Failf("%d input channels and %d filters can't be cut into %d groups", in, l.Filters, groups)
		return one(x)
	}
	inGroup := -1
	if in >= 0 {
		inGroup = in / groups
	}
	k := c.Weight("kernel", append(slices.Clone(l.KernelSize), inGroup, l.Filters),
		With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	bias := c.bias(l.NoBias, []int{l.Filters}, l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint)
	y := c.conv(x, k, bias, convSpec{l.Strides, l.DilationRate, l.Padding, groups, cf})
	return one(c.activateChannels(y, l.Activation, cf))
}

// channelAxis is the axis of the channels of an image.
func channelAxis(channelsFirst bool) int {
	if channelsFirst {
		return 1
	}
	return -1
}

// activateChannels is activate for layers with a data format: Keras applies softmax to the last axis in
// either format, so this is activate.
func (c *Call) activateChannels(y *graph.Value, a Activation, _ bool) *graph.Value {
	return c.activate(y, a)
}

// convSpec is how a convolution walks over its input.
type convSpec struct {
	strides, dilations []int
	padding            string
	groups             int
	channelsFirst      bool
}

// conv is a correlation with a kernel in Keras' order: spatial..., in/groups, out.
func (c *Call) conv(x, kernel, bias *graph.Value, s convSpec) *graph.Value {
	rank := len(s.strides)
	sizes := make([]int, rank)
	for i := range sizes {
		sizes[i] = c.dim(kernel, i)
	}
	op := ops.Conv{
		KernelShape: sizes, Strides: s.strides, Dilations: s.dilations, Group: s.groups,
		Format: format(s.channelsFirst),
	}
	if s.channelsFirst { // the operator's kernel is out, in, spatial... there
		perm := []int{rank + 1, rank}
		for i := range rank {
			perm = append(perm, i)
		}
		kernel = c.transpose(kernel, perm...)
	}
	var cut []graph.Dim
	switch s.padding {
	case "", "valid":
		op.AutoPad = ops.Valid
	case "same":
		op.AutoPad = ops.SameUpper
	case "causal":
		op.Pads = make([]int, 2*rank)
		for i := range rank {
			op.Pads[i] = s.dilations[i] * (sizes[i] - 1)
		}
	case TheanoSame:
		if theanoIsSame(x, sizes, s) {
			op.AutoPad = ops.SameUpper
			break
		}
		op.Pads = make([]int, 2*rank)
		for i := range rank {
			half := ((sizes[i]-1)*s.dilations[i] + 1) / 2
			op.Pads[i], op.Pads[rank+i] = half, half
			cut = append(cut, spatialDim(x, i, s.channelsFirst).CeilDiv(graph.D(s.strides[i])))
		}
	default:
		c.Failf("unknown padding %q", s.padding)
		return x
	}
	y := c.Add(op, x, kernel, bias)
	for i, want := range cut {
		y = c.cutTo(y, spatialAxis(i, s.channelsFirst), want, x)
	}
	return y
}

// theanoIsSame reports whether TheanoSame and "same" come to the same thing.
func theanoIsSame(x *graph.Value, sizes []int, s convSpec) bool {
	for i := range sizes {
		n, ok := spatialDim(x, i, s.channelsFirst).Const()
		if !ok {
			return false
		}
		k := (sizes[i]-1)*s.dilations[i] + 1
		total := max(((n+s.strides[i]-1)/s.strides[i]-1)*s.strides[i]+k-n, 0)
		if k/2 != total/2 {
			return false
		}
	}
	return true
}

func spatialAxis(i int, channelsFirst bool) int {
	if channelsFirst {
		return i + 2
	}
	return i + 1
}

func spatialDim(x *graph.Value, i int, channelsFirst bool) graph.Dim {
	return x.Type.Dims[spatialAxis(i, channelsFirst)]
}

// cutTo drops what an axis of y has over size.
func (c *Call) cutTo(y *graph.Value, axis int, size graph.Dim, like *graph.Value) *graph.Value {
	if c.Err() != nil || y.Type.Dims[axis] == size {
		return y
	}
	n, ok := size.Const()
	if !ok {
		c.Failf("padding %q needs known sizes, got %v", TheanoSame, like.Type)
		return y
	}
	return c.slice(y, axis, 0, n)
}

// ConvTransposeConfig is the config of the transposed convolutions.
type ConvTransposeConfig struct {
	Base
	Filters             int
	KernelSize          []int
	Strides             []int  // nil: 1
	Padding             string `def:"\"valid\""` // "valid" (also "") or "same"
	OutputPadding       []int  // nil: what makes the output strides times the input
	DataFormat          string `def:"\"channels_last\""`
	DilationRate        []int  // nil: 1
	Activation          Activation
	NoBias              bool    `keras:"use_bias,not"`
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
}

// Conv1DTranspose is the transpose of a Conv1D.
type Conv1DTranspose ConvTransposeConfig

// Conv2DTranspose is the transpose of a Conv2D.
type Conv2DTranspose ConvTransposeConfig

// Conv3DTranspose is the transpose of a Conv3D.
type Conv3DTranspose ConvTransposeConfig

// Call implements Layer.
func (l *Conv1DTranspose) Call(c *Call) []*graph.Value {
	return (*ConvTransposeConfig)(l).call(c, 1)
}

// Call implements Layer.
func (l *Conv2DTranspose) Call(c *Call) []*graph.Value {
	return (*ConvTransposeConfig)(l).call(c, 2)
}

// Call implements Layer.
func (l *Conv3DTranspose) Call(c *Call) []*graph.Value {
	return (*ConvTransposeConfig)(l).call(c, 3)
}

func (l *ConvTransposeConfig) call(c *Call, rank int) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	c.spreadKernel(rank, &l.KernelSize, &l.Strides, &l.DilationRate)
	if l.OutputPadding != nil {
		l.OutputPadding = c.spread("output_padding", l.OutputPadding, rank, 0)
	}
	k := c.Weight("kernel", append(slices.Clone(l.KernelSize), l.Filters, c.dim(x, channelAxis(cf))),
		With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	bias := c.bias(l.NoBias, []int{l.Filters}, l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint)
	if c.Err() != nil {
		return one(x)
	}
	pads, outPad, err := transposePads(l.KernelSize, l.Strides, l.DilationRate, l.OutputPadding, l.Padding)
	if err != "" {
		c.Failf("%s", err)
		return one(x)
	}
	if cf { // the operator's kernel is in, out, spatial... there
		perm := []int{rank + 1, rank}
		for i := range rank {
			perm = append(perm, i)
		}
		k = c.transpose(k, perm...)
	}
	y := c.Add(ops.ConvTranspose{
		KernelShape: l.KernelSize, Strides: l.Strides, Dilations: l.DilationRate, Group: 1,
		Pads: pads, OutputPadding: outPad, Format: format(cf),
	}, x, k, bias)
	return one(c.activate(y, l.Activation))
}

// transposePads is the cropping of the full transposed convolution (size (n-1)*stride + dilated kernel) and
// what is added behind it. Keras' rule, for each dimension: the output has
//
//	valid: (n-1)*s + k + output_padding, or n*s + max(k-s, 0) where output_padding is none
//	same:  (n-1)*s + k - 2*(k//2) + output_padding, or n*s where output_padding is none
//
// and where that is less than the full size, what is cut off in front is the smaller half: the layer is the
// gradient of a forward convolution under TensorFlow's padding rule.
func transposePads(kernel, strides, dilations, outputPadding []int, padding string) (pads, outPad []int, msg string) {
	rank := len(kernel)
	pads, outPad = make([]int, 2*rank), make([]int, rank)
	for i := range rank {
		k, s := (kernel[i]-1)*dilations[i]+1, strides[i]
		var front, total int // cropped in front; full size + op - total is the output
		switch padding {
		case "", "valid":
			op := max(s-k, 0)
			if outputPadding != nil {
				op = outputPadding[i]
			}
			front, total = 0, -op
		case "same":
			total = k - s
			if outputPadding != nil {
				total = 2*(k/2) - outputPadding[i]
			}
			// the output is n*s + rest; a forward convolution over that gives n + ceil(rest/s) places
			rest := k - s - total
			places := -((-rest) / s)
			if rest > 0 {
				places = (rest + s - 1) / s
			}
			front = max((places-1)*s+k-rest, 0) / 2
		default:
			return nil, nil, "padding \"" + padding + "\" is neither valid nor same"
		}
		back := total - front
		pads[i] = front
		if back >= 0 {
			pads[rank+i] = back
		} else {
			outPad[i] = -back
		}
	}
	return pads, outPad, ""
}

// DepthwiseConfig is the config of the depthwise and the separable convolutions. Fields tagged "only" belong
// to the classes listed there: in others they must be left at zero.
type DepthwiseConfig struct {
	Base
	DepthMultiplier      int `def:"1"`
	Filters              int `only:"SeparableConv1D SeparableConv2D"`
	KernelSize           []int
	Strides              []int  // nil: 1
	Padding              string `def:"\"valid\""`
	DataFormat           string `def:"\"channels_last\""`
	DilationRate         []int  // nil: 1
	Activation           Activation
	NoBias               bool    `keras:"use_bias,not"`
	DepthwiseInitializer *Object `init:"GlorotUniform"`
	PointwiseInitializer *Object `init:"GlorotUniform" only:"SeparableConv1D SeparableConv2D"`
	BiasInitializer      *Object `init:"Zeros"`
	DepthwiseRegularizer *Object
	PointwiseRegularizer *Object `only:"SeparableConv1D SeparableConv2D"`
	BiasRegularizer      *Object
	ActivityRegularizer  *Object
	DepthwiseConstraint  *Object
	PointwiseConstraint  *Object `only:"SeparableConv1D SeparableConv2D"`
	BiasConstraint       *Object
}

// DepthwiseConv1D convolves each channel with kernels of its own.
type DepthwiseConv1D DepthwiseConfig

// DepthwiseConv2D convolves each channel with kernels of its own.
type DepthwiseConv2D DepthwiseConfig

// Call implements Layer.
func (l *DepthwiseConv1D) Call(c *Call) []*graph.Value {
	return (*DepthwiseConfig)(l).call(c, 1, false)
}

// Call implements Layer.
func (l *DepthwiseConv2D) Call(c *Call) []*graph.Value {
	return (*DepthwiseConfig)(l).call(c, 2, false)
}

// call convolves each channel by itself, and then at every place across the channels where separable.
func (l *DepthwiseConfig) call(c *Call, rank int, separable bool) []*graph.Value {
	x := c.FloatArg(0)
	c.ownFields()
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	c.spreadKernel(rank, &l.KernelSize, &l.Strides, &l.DilationRate)
	mult, in := max(l.DepthMultiplier, 1), c.dim(x, channelAxis(cf))
	name, out := "kernel", in*mult
	if separable {
		name, out = "depthwise_kernel", l.Filters
	}
	dk := c.Weight(name, append(slices.Clone(l.KernelSize), in, mult),
		With(orInit(l.DepthwiseInitializer, "GlorotUniform"), l.DepthwiseRegularizer, l.DepthwiseConstraint))
	var pk *graph.Value
	if separable {
		pk = c.Weight("pointwise_kernel", append(repeat(1, rank), in*mult, out),
			With(orInit(l.PointwiseInitializer, "GlorotUniform"), l.PointwiseRegularizer, l.PointwiseConstraint))
	}
	bias := c.bias(l.NoBias, []int{out}, l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint)
	spec := convSpec{l.Strides, l.DilationRate, l.Padding, in, cf}
	if !separable {
		return one(c.activate(c.depthwise(x, dk, bias, spec, mult), l.Activation))
	}
	y := c.depthwise(x, dk, nil, spec, mult)
	ones := repeat(1, rank)
	y = c.conv(y, pk, bias, convSpec{ones, ones, "valid", 1, cf})
	return one(c.activate(y, l.Activation))
}

// spreadKernel gives what a convolution walks by one number for each spatial dimension.
func (c *Call) spreadKernel(rank int, kernel, strides, dilations *[]int) {
	*kernel = c.spread("kernel_size", *kernel, rank, 1)
	*strides = c.spread("strides", *strides, rank, 1)
	*dilations = c.spread("dilation_rate", *dilations, rank, 1)
}

// bias declares a layer's bias, unless it has none.
//
//go:noinline
func (c *Call) bias(none bool, shape []int, initializer, regularizer, constraint *Object) *graph.Value {
	if none {
		return nil
	}
	return c.Weight("bias", shape, With(orInit(initializer, "Zeros"), regularizer, constraint))
}

// depthwise is a convolution with a kernel in Keras' order for it: spatial..., in, multiplier.
func (c *Call) depthwise(x, kernel, bias *graph.Value, s convSpec, mult int) *graph.Value {
	if c.Err() != nil {
		return x
	}
	shape := make([]int, len(s.strides))
	for i := range shape {
		shape[i] = c.dim(kernel, i)
	}
	kernel = c.reshapeTo(kernel, append(shape, 1, s.groups*mult)...)
	return c.conv(x, kernel, bias, s)
}

// SeparableConv1D is a depthwise convolution and one of size 1 over what it gives.
type SeparableConv1D DepthwiseConfig

// SeparableConv2D is a depthwise convolution and one of size 1 over what it gives.
type SeparableConv2D DepthwiseConfig

// Call implements Layer.
func (l *SeparableConv1D) Call(c *Call) []*graph.Value { return (*DepthwiseConfig)(l).call(c, 1, true) }

// Call implements Layer.
func (l *SeparableConv2D) Call(c *Call) []*graph.Value { return (*DepthwiseConfig)(l).call(c, 2, true) }
