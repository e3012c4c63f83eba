package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var activationRows = []row{
	{class: "Activation", make: func() Layer { return new(ActivationLayer) }, masks: true},
	{class: "ReLU", make: func() Layer { return new(ReLU) }, masks: true, aliases: []string{"Relu"}},
	{class: "LeakyReLU", make: func() Layer { return new(LeakyReLU) }, masks: true},
	{class: "PReLU", make: func() Layer { return new(PReLU) }, masks: true},
	{class: "ELU", make: func() Layer { return new(ELU) }, masks: true},
	{class: "Softmax", make: func() Layer { return new(Softmax) }, masks: true},
}

// ActivationLayer is Keras' Activation layer: a function of keras.activations.
type ActivationLayer struct {
	Base
	Activation Activation
}

// Call implements Layer.
func (l *ActivationLayer) Call(c *Call) []*graph.Value {
	x := c.X()
	if l.Activation != "" && l.Activation != "linear" {
		x = c.FloatArg(0)
	}
	return one(c.activate(x, l.Activation))
}

// ReLU is x above Threshold, up to MaxValue, and NegativeSlope * (x - Threshold) below.
type ReLU struct {
	Base
	MaxValue      *float64
	NegativeSlope float64 `def:"0.0"`
	Threshold     float64 `def:"0.0"`
}

// Call implements Layer.
func (l *ReLU) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	return one(c.relu(x, l.MaxValue, l.NegativeSlope, l.Threshold))
}

func (c *Call) relu(x *graph.Value, maxValue *float64, slope, threshold float64) *graph.Value {
	top := math.Inf(1)
	if maxValue != nil {
		top = *maxValue
	}
	if slope == 0 && threshold == 0 {
		if math.IsInf(top, 1) {
			return c.Add(ops.Relu{}, x)
		}
		return c.clip(x, 0, top)
	}
	if threshold == 0 && math.IsInf(top, 1) {
		return c.Add(ops.LeakyRelu{Alpha: slope}, x)
	}
	var y *graph.Value
	if threshold != 0 {
		y = c.threshold(x, threshold, 0)
	} else {
		y = c.Add(ops.Relu{}, x)
	}
	if !math.IsInf(top, 1) {
		y = c.clip(y, 0, top)
	}
	if slope == 0 {
		return y
	}
	below := c.Add(ops.Relu{}, c.sub(c.num(x, threshold), x))
	return c.sub(y, c.mulN(below, slope))
}

// LeakyReLU is x above zero and NegativeSlope * x below.
type LeakyReLU struct {
	Base
	NegativeSlope *float64 `def:"0.3"`
}

// Call implements Layer.
func (l *LeakyReLU) Call(c *Call) []*graph.Value {
	return one(c.Add(ops.LeakyRelu{Alpha: orFloat(l.NegativeSlope, 0.3)}, c.FloatArg(0)))
}

// PReLU is a leaky ReLU with learned slopes, one for each place of a sample or shared along some axes.
type PReLU struct {
	Base
	AlphaInitializer *Object `init:"Zeros"`
	AlphaRegularizer *Object
	AlphaConstraint  *Object
	SharedAxes       []int
}

// Call implements Layer.
func (l *PReLU) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	r := c.rank(x)
	if r < 1 {
		c.Failf("takes inputs with a batch, got %v", x.Type)
		return one(x)
	}
	shape := make([]int, r-1)
	for i := range shape {
		shape[i] = c.dim(x, i+1)
	}
	for _, a := range l.SharedAxes {
		if a = c.axis(a, r); a > 0 {
			shape[a-1] = 1
		}
	}
	alpha := c.Weight("alpha", shape, With(orInit(l.AlphaInitializer, "Zeros"), l.AlphaRegularizer, l.AlphaConstraint))
	return one(c.Add(ops.PRelu{}, x, alpha))
}

// ELU is x above zero and Alpha * (exp(x) - 1) below.
type ELU struct {
	Base
	Alpha *float64 `def:"1.0"`
}

// Call implements Layer.
func (l *ELU) Call(c *Call) []*graph.Value {
	return one(c.Add(ops.Elu{Alpha: orFloat(l.Alpha, 1)}, c.FloatArg(0)))
}

// Softmax normalizes exp(x) over an axis or several; a mask takes elements out.
type Softmax struct {
	Base
	Axis any `def:"-1"` // a number or a list of them; nil: -1
}

// Call implements Layer.
func (l *Softmax) Call(c *Call) []*graph.Value {
	axes := []int{-1}
	if l.Axis != nil {
		var err error
		if list, ok := l.Axis.([]int); ok {
			axes = list
		} else if axes, err = asShape(l.Axis); err != nil {
			c.Failf("axis: %v", err)
		}
	}
	x := c.FloatArg(0)
	mask := c.Kwarg("mask")
	if mask == nil && len(c.In) > 1 {
		mask = c.In[1]
	}
	if mask == nil {
		if m := c.Mask(c.In[0]); m != nil && m.Type.Rank() == x.Type.Rank() {
			mask = m
		}
	}
	return one(c.maskedSoftmax(x, mask, axes))
}

// maskedSoftmax is softmax over axes, of x where mask is true.
func (c *Call) maskedSoftmax(x, mask *graph.Value, axes []int) *graph.Value {
	if mask != nil {
		inv := c.sub(c.num(x, 1), c.cast(mask, x.Type.DType))
		x = c.add(x, c.mulN(inv, largeNegative(x)))
	}
	if len(axes) == 1 {
		return c.Add(ops.Softmax{Axis: axes[0]}, x)
	}
	e := c.Add(ops.Exp{}, c.sub(x, c.max(x, true, axes...)))
	return c.div(e, c.sum(e, true, axes...))
}

// largeNegative is what Keras adds to masked logits.
func largeNegative(x *graph.Value) float64 {
	if x.Type.DType.Size() == 2 {
		return -3e4
	}
	return -1e9
}
