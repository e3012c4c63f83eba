package layers

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var coreRows = []row{
	{class: "InputLayer", make: func() Layer { return new(InputLayer) }},
	{class: "Dense", make: func() Layer { return new(Dense) }, masks: true},
	{class: "TernaryDense", make: func() Layer { return new(TernaryDense) }, masks: true},
	{class: "EinsumDense", make: func() Layer { return new(EinsumDense) }},
	{class: "Embedding", make: func() Layer { return new(Embedding) }},
	{class: "ReversibleEmbedding", make: func() Layer { return new(ReversibleEmbedding) }},
	{class: "Identity", make: func() Layer { return new(Identity) }, masks: true, aliases: []string{"Pass"}},
	{class: "Masking", make: func() Layer { return new(Masking) }},
	{class: "Lambda", make: func() Layer { return new(Lambda) }, masks: true},
}

// InputLayer is an input of a model.
type InputLayer struct {
	Base
	BatchShape []int  // batch included, -1 for None
	InputDType string `keras:"dtype" def:"\"float32\""` // element type; empty is float32
	Sparse     bool
	Ragged     bool
	Optional   bool
}

// Call implements Layer; models give their inputs their values themselves.
func (l *InputLayer) Call(c *Call) []*graph.Value { return one(c.X()) }

// typ is the type of the graph input: the batch is the symbol "batch", other open sizes are the layer's own.
func (l *InputLayer) typ() (graph.Type, error) {
	dt := tensor.Float32
	if l.InputDType != "" {
		var err error
		if dt, err = tensor.ParseDType(policyInput(l.InputDType)); err != nil {
			return graph.Type{}, errs.Errorf("layers: InputLayer %q: %w", l.Name, err)
		}
	}
	shape := l.BatchShape
	if shape == nil {
		shape = l.BatchInputShape
	}
	dims := make([]graph.Dim, len(shape))
	for i, n := range shape {
		switch {
		case n >= 0:
			dims[i] = graph.D(n)
		case i == 0:
			dims[i] = graph.Sym("batch")
		default:
			dims[i] = graph.Sym(fmt.Sprintf("%s_%d", l.Name, i))
		}
	}
	return graph.TensorOf(dt, dims...), nil
}

// policyInput is the element type of an input where a dtype policy is given.
func policyInput(policy string) string {
	if _, err := tensor.ParseDType(policy); err == nil {
		return policy
	}
	compute, _ := policyTypes(policy)
	return compute.String()
}

// firstTakesDType reports whether a first layer's dtype is also its input's: not for an Embedding, whose
// dtype is that of its vectors.
func firstTakesDType(l Layer) bool {
	_, ok := l.(*Embedding)
	return !ok
}

// Dense is activation(x · kernel + bias) over the last axis.
type Dense struct {
	Base
	Units              int
	Activation         Activation
	NoBias             bool    `keras:"use_bias,not"`
	KernelInitializer  *Object `init:"GlorotUniform"`
	BiasInitializer    *Object `init:"Zeros"`
	KernelRegularizer  *Object
	BiasRegularizer    *Object
	KernelConstraint   *Object
	BiasConstraint     *Object
	QuantizationConfig any
	LoraRank           *int `keras:",omitzero"`
}

// Call implements Layer.
func (l *Dense) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if c.rank(x) < 1 {
		c.Failf("takes inputs of rank 1 or more, got %v", x.Type)
		return one(x)
	}
	k := c.Weight("kernel", []int{c.dim(x, -1), l.Units}, With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	b := c.bias(l.NoBias, []int{l.Units}, l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint)
	y := c.affine(x, k, b)
	return one(c.activate(y, l.Activation))
}

// orInit is o, or the initializer of that name.
//
//go:noinline
func orInit(o *Object, name string) *Object {
	if o == nil {
		return Init(name)
	}
	return o
}

// Embedding looks up a vector for each integer.
type Embedding struct {
	Base
	InputDim              int
	OutputDim             int
	EmbeddingsInitializer *Object `init:"RandomUniform"`
	EmbeddingsRegularizer *Object
	ActivityRegularizer   *Object
	EmbeddingsConstraint  *Object
	MaskZero              bool
	QuantizationConfig    any
	InputLength           any     `keras:"-"` // Keras 2: only declares the shape
	Dropout               float64 `keras:"-"` // Keras 1: drops whole rows in training
}

// Call implements Layer.
func (l *Embedding) Call(c *Call) []*graph.Value {
	y := l.lookup(c)
	if l.MaskZero {
		c.SetMask(y, c.notEqual(c.X(), 0))
	}
	return one(y)
}

func (l *Embedding) lookup(c *Call) *graph.Value {
	w := c.Weight("embeddings", []int{l.InputDim, l.OutputDim},
		With(orInit(l.EmbeddingsInitializer, "RandomUniform"), l.EmbeddingsRegularizer, l.EmbeddingsConstraint))
	return c.Add(ops.Gather{Axis: 0}, w, c.index(c.X()))
}

// index is x as an index: floating-point inputs are cut to integers.
func (c *Call) index(x *graph.Value) *graph.Value {
	if x.Type.DType == tensor.Int32 || x.Type.DType == tensor.Int64 {
		return x
	}
	return c.cast(x, tensor.Int32)
}

// ReversibleEmbedding is an Embedding that, called with reverse=True, maps vectors to scores for each integer.
type ReversibleEmbedding struct {
	Base
	InputDim              int
	OutputDim             int
	EmbeddingsInitializer *Object `init:"RandomUniform"`
	EmbeddingsRegularizer *Object
	ActivityRegularizer   *Object
	EmbeddingsConstraint  *Object
	MaskZero              bool
	QuantizationConfig    any
	NotTied               bool `keras:"tie_weights,not"`
	ReverseDtype          any
	LogitSoftCap          *float64
}

// Call implements Layer.
func (l *ReversibleEmbedding) Call(c *Call) []*graph.Value {
	opts := With(orInit(l.EmbeddingsInitializer, "RandomUniform"), l.EmbeddingsRegularizer, l.EmbeddingsConstraint)
	w := c.Weight("embeddings", []int{l.InputDim, l.OutputDim}, opts)
	var back *graph.Value
	if l.NotTied {
		back = c.Weight("reverse_embeddings", []int{l.OutputDim, l.InputDim}, opts)
	}
	if !c.BoolArg("reverse", false) {
		y := c.Add(ops.Gather{Axis: 0}, w, c.index(c.X()))
		if l.MaskZero {
			c.SetMask(y, c.notEqual(c.X(), 0))
		}
		return one(y)
	}
	if back == nil {
		back = c.transpose(w, 1, 0)
	}
	x := c.FloatArg(0)
	if name, err := PolicyName(l.ReverseDtype); err == nil && name != "" {
		dt, _ := policyTypes(name)
		x, back = c.cast(x, dt), c.cast(back, dt)
	}
	y := c.Add(ops.MatMul{}, x, back)
	if cap := l.LogitSoftCap; cap != nil && *cap != 0 {
		y = c.mulN(c.Add(ops.Tanh{}, c.mulN(y, 1 / *cap)), *cap)
	}
	return one(y)
}

// Identity is its input.
type Identity struct{ Base }

// Call implements Layer.
func (l *Identity) Call(c *Call) []*graph.Value { return one(c.X()) }

// Masking marks the time steps in which every feature equals MaskValue, and makes them zero.
type Masking struct {
	Base
	MaskValue float64
}

// Call implements Layer.
func (l *Masking) Call(c *Call) []*graph.Value {
	x := c.X()
	ne := c.notEqual(x, l.MaskValue)
	keep := c.any(ne, false, -1)
	y := c.mul(x, c.cast(c.expandDims(keep, -1), x.Type.DType))
	c.SetMask(y, keep)
	return one(y)
}

// Lambda is a function of the caller's. In a file it is Python bytecode, which nothing here runs: a
// Function has to be given, in Go or by formats/keras' registry.
type Lambda struct {
	Base
	// Function computes the layer.
	Function func(c *Call) []*graph.Value `keras:"-"`
	// Config is what the file said, for writing back.
	Config map[string]any `keras:"-"`
}

// Call implements Layer.
func (l *Lambda) Call(c *Call) []*graph.Value {
	if l.Function == nil {
		c.Failf("has no function: a file's is Python bytecode, which is not run")
		return one(c.X())
	}
	return l.Function(c)
}
