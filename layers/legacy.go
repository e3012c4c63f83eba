package layers

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var legacyRows = []row{
	{class: "ThresholdedReLU", make: func() Layer { return new(ThresholdedReLU) }, masks: true},
	{class: "MaxoutDense", make: func() Layer { return new(MaxoutDense) }},
	{class: "Highway", make: func() Layer { return new(Highway) }},
	{class: "LocallyConnected1D", make: func() Layer { return new(LocallyConnected1D) }},
	{class: "LocallyConnected2D", make: func() Layer { return new(LocallyConnected2D) }},
	{class: "LayerScale", make: func() Layer { return new(LayerScale) }},
	{class: "CustomScaleLayer", make: func() Layer { return new(CustomScaleLayer) }},
}

// ThresholdedReLU (Keras 1 and 2) is x above Theta, and 0 elsewhere.
type ThresholdedReLU struct {
	Base
	Theta *float64 `def:"1.0"`
}

// Call implements Layer.
func (l *ThresholdedReLU) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	return one(c.threshold(x, orFloat(l.Theta, 1), 0))
}

// MaxoutDense (Keras 1) is the largest of NbFeature affine maps.
type MaxoutDense struct {
	Base
	OutputDim int
	NbFeature int  `def:"4"`
	NoBias    bool `keras:"bias,not"`
	Init      any
}

// Call implements Layer.
func (l *MaxoutDense) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, 2) {
		return one(x)
	}
	n := orOne(l.NbFeature, 4)
	w := c.Weight("W", []int{n, c.dim(x, -1), l.OutputDim}, From("GlorotUniform"))
	y := c.Add(ops.MatMul{}, x, w) // (features, batch, out)
	if !l.NoBias {
		y = c.add(y, c.expandDims(c.Weight("b", []int{n, l.OutputDim}, From("Zeros")), 1))
	}
	return one(c.max(y, false, 0))
}

// Highway (Keras 1) mixes its input with a dense layer of it by a learned gate.
type Highway struct {
	Base
	Activation Activation
	NoBias     bool `keras:"bias,not"`
	Init       any
}

// Call implements Layer.
func (l *Highway) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, 2) {
		return one(x)
	}
	n := c.dim(x, -1)
	w := c.Weight("W", []int{n, n}, From("GlorotUniform"))
	carry := c.Weight("W_carry", []int{n, n}, From("GlorotUniform"))
	var b, bc *graph.Value
	if !l.NoBias {
		b = c.Weight("b", []int{n}, From("Zeros"))
		bc = c.Weight("b_carry", []int{n}, From("Ones"))
	}
	gate := c.Add(ops.Sigmoid{}, c.affine(x, carry, bc))
	y := c.mul(c.activate(c.affine(x, w, b), l.Activation), gate)
	return one(c.add(y, c.mul(c.sub(c.num(x, 1), gate), x)))
}

// LocallyConnectedConfig is the config of the locally connected layers of Keras 1 and 2.
type LocallyConnectedConfig struct {
	Base
	Filters             int
	KernelSize          []int
	Strides             []int  // nil: 1
	Padding             string `def:"\"valid\""`
	DataFormat          string `def:"\"channels_last\""`
	Activation          Activation
	NoBias              bool    `keras:"use_bias,not"`
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
	Implementation      int `def:"1"`
}

// LocallyConnected1D is a Conv1D with kernels of their own at every place.
type LocallyConnected1D LocallyConnectedConfig

// LocallyConnected2D is a Conv2D with kernels of their own at every place.
type LocallyConnected2D LocallyConnectedConfig

// Call implements Layer.
func (l *LocallyConnected1D) Call(c *Call) []*graph.Value {
	return (*LocallyConnectedConfig)(l).call(c, 1)
}

// Call implements Layer.
func (l *LocallyConnected2D) Call(c *Call) []*graph.Value {
	return (*LocallyConnectedConfig)(l).call(c, 2)
}

func (l *LocallyConnectedConfig) call(c *Call, rank int) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	if p := orString(l.Padding, "valid"); p != "valid" || l.Implementation > 1 {
		c.Failf("padding %q with implementation %d is not supported", p, l.Implementation)
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	l.KernelSize = c.spread("kernel_size", l.KernelSize, rank, 1)
	l.Strides = c.spread("strides", l.Strides, rank, 1)
	places, patch := 1, c.dim(x, channelAxis(cf))
	var spatial []int
	for i := range rank {
		n := c.dim(x, spatialAxis(i, cf))
		if n < l.KernelSize[i] || l.Strides[i] < 1 {
			c.Failf("needs known sizes of at least the kernel's, got %v", x.Type)
			return one(x)
		}
		o := (n-l.KernelSize[i])/l.Strides[i] + 1
		spatial = append(spatial, o)
		places *= o
		patch *= l.KernelSize[i]
	}
	k := c.Weight("kernel", []int{places, patch, l.Filters}, With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	b := c.bias(l.NoBias, append(spatial, l.Filters), l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint)
	y := c.Add(ops.LocallyConnected{KernelShape: l.KernelSize, Strides: l.Strides, Format: format(cf)}, x, k, b)
	return one(c.activate(y, l.Activation))
}

// LayerScale is keras.applications.convnext's: it multiplies each channel by a weight.
type LayerScale struct {
	Base
	InitValues    float64
	ProjectionDim int
}

// Call implements Layer.
func (l *LayerScale) Call(c *Call) []*graph.Value {
	init := &Object{Class: "Constant", Config: map[string]any{"value": l.InitValues}}
	return one(c.mul(c.FloatArg(0), c.Weight("variable", []int{l.ProjectionDim}, With(init, nil, nil))))
}

// CustomScaleLayer is keras.applications.inception_resnet_v2's: first input + second * Scale.
type CustomScaleLayer struct {
	Base
	Scale float64
}

// Call implements Layer.
func (l *CustomScaleLayer) Call(c *Call) []*graph.Value {
	return one(c.add(c.FloatArg(0), c.mulN(c.FloatArg(1), l.Scale)))
}
