// Package layers holds the layers of Keras as Go structs and the models made of them.
//
// A layer is a pointer to a struct whose exported fields are its Keras config under Go's spelling of the
// names: kernel_size is KernelSize. The zero value of a field is Keras' default. Three conventions make
// that so: a switch that Keras has on by default is spelled as its opposite (use_bias is NoBias, trainable
// is Frozen); a number whose default isn't zero but for which zero means something is a pointer, nil being
// the default (Epsilon: new(1e-5)); and a size that can't be zero takes its default from zero (Strides,
// Groups, DilationRate). Every layer embeds Base, which holds name, trainable and dtype.
//
// A Model is a graph of calls of layers, functional or sequential. Model.Graph expands it into canonical
// operators: each weight is a parameter named like "block1_conv1/kernel" and each node's Origin is the
// name of its layer.
//
// What layers do only in training. Dropout of every kind is ops.Dropout without its training input, and
// BatchNormalization is ops.BatchNormalization in inference form; both are identities (or plain
// arithmetic) until train.Prepare switches them. All other noise and augmentation layers are expanded in
// their training form only by Options.Training.
package layers

import (
	"errors"
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Layer is one Keras layer. Pointers to the structs of this package are layers; a caller's own type is one
// by embedding Base and having Call (and ClassName, to be written to files).
//
// A layer may be called several times in a model, and then shares its weights. It is identified by its
// pointer.
type Layer interface {
	// Common is the config that every layer has.
	Common() *Base
	// Call adds the operators that compute the layer to c and returns its outputs. It declares the
	// layer's weights by c.Weight, in Keras' order, and reports errors by c.Failf.
	Call(c *Call) []*graph.Value
}

// ClassNamer is a layer that is not in this package's table and says under which class name Keras knows it.
type ClassNamer interface{ ClassName() string }

// MaskPasser is a layer outside this package's table that hands its first input's mask on to its outputs.
type MaskPasser interface{ SupportsMasking() bool }

// Base is the part of the config that every layer has.
type Base struct {
	Name   string // unique in its model; made from the class where empty
	Frozen bool   // Keras' trainable=False
	DType  string // dtype or dtype policy: "float32", "mixed_float16", ...; empty is the model's
	// BatchInputShape is the input shape that a Sequential model's first layer may carry, batch included,
	// -1 for None.
	BatchInputShape []int
	// Extra holds config entries that nnrt has no use for, kept for writing back.
	Extra map[string]any
}

// Common implements Layer.
func (b *Base) Common() *Base { return b }

// Named is the Base of a layer with that name.
//
//go:noinline
func Named(name string) Base { return Base{Name: name} }

// Object is a serialized Keras object other than a layer: an initializer, a regularizer, a constraint.
type Object struct {
	Class  string         // "GlorotUniform", or a lower-case alias as "he_normal"
	Config map[string]any // nil is all defaults
	Module string         // where a file gave one; "" is the usual keras module
}

// Init is an initializer, regularizer or constraint of that name, with its default config.
//
//go:noinline
func Init(class string) *Object { return &Object{Class: class} }

// L1 is the regularizer v*sum|w|.
func L1(v float64) *Object { return &Object{Class: "L1", Config: map[string]any{"l1": v}} }

// L2 is the regularizer v*sum(w*w).
func L2(v float64) *Object { return &Object{Class: "L2", Config: map[string]any{"l2": v}} }

// MaxNorm limits the norm of each output unit's weights.
func MaxNorm(v float64) *Object {
	return &Object{Class: "MaxNorm", Config: map[string]any{"max_value": v, "axis": 0}}
}

// Weight is one variable of a layer.
type Weight struct {
	Name        string // the last part of Path: "kernel"
	Path        string // "block1_conv1/kernel", the name of the graph's parameter
	Shape       []int
	DType       tensor.DType
	Trainable   bool    // of itself; see Model.Trainable for layers that are frozen
	Initializer *Object // nil: zeros
	Regularizer *Object
	Constraint  *Object
	Layer       Layer // the layer that declared it
	State       bool  // a stateful RNN's state: not a weight to Keras, and in no file
	// Data is the value: what a file held, or what the initializer gave. Nil until either.
	Data *tensor.Tensor
}

// WeightOption sets a property of a weight being declared.
type WeightOption func(*Weight)

// With gives a weight its initializer, regularizer and constraint.
//
//go:noinline
func With(initializer, regularizer, constraint *Object) WeightOption {
	return func(w *Weight) { w.Initializer, w.Regularizer, w.Constraint = initializer, regularizer, constraint }
}

// From gives a weight its initializer by name.
func From(initializer string) WeightOption {
	return func(w *Weight) { w.Initializer = Init(initializer) }
}

// NotTrainable makes a weight that no gradient changes.
func NotTrainable() WeightOption { return func(w *Weight) { w.Trainable = false } }

// OfType gives a weight an element type of its own.
func OfType(dt tensor.DType) WeightOption { return func(w *Weight) { w.DType = dt } }

// state is what a model knows of one layer: its weights and the layers inside it.
type state struct {
	layer   Layer
	path    string
	attr    string // attribute that holds it in its parent, as in .keras files; "" in a model
	inList  bool   // attr names a list of layers
	parent  *state
	weights []*Weight // in order of declaration
	shared  []*Weight // weights of inner layers that Keras tracks on this one too
	subs    []*state
}

func (s *state) weight(name string) *Weight {
	for _, w := range s.weights {
		if w.Name == name {
			return w
		}
	}
	return nil
}

func (s *state) sub(l Layer) *state {
	for _, t := range s.subs {
		if t.layer == l {
			return t
		}
	}
	return nil
}

// Call is one application of a layer: its inputs, and the builder to which it adds operators.
type Call struct {
	*graph.Builder
	In     []*graph.Value // the tensors among the positional arguments, in order
	Args   []any          // the positional arguments: *graph.Value, numbers, strings, nil, []any
	Kwargs map[string]any // likewise, by name
	Layer  Layer
	Opts   Options

	x  *expansion
	st *state
}

// Failf records the error of a layer whose inputs or config don't fit.
func (c *Call) Failf(format string, args ...any) {
	c.Fail(errs.Errorf("layers: %s %q: %s", ClassName(c.Layer), c.st.path, fmt.Sprintf(format, args...)))
}

// unsupportedf is Failf for what the layer does but no graph can: it records an errors.ErrUnsupported.
func (c *Call) unsupportedf(format string, args ...any) {
	c.Fail(fmt.Errorf("layers: %s %q: %s: %w", ClassName(c.Layer), c.st.path, fmt.Sprintf(format, args...), errors.ErrUnsupported))
}

// X is the first input. Where there is none it records an error and returns a placeholder.
//
//go:noinline
func (c *Call) X() *graph.Value { return c.Arg(0) }

// Arg is input i. Where there are fewer it records an error and returns a placeholder.
func (c *Call) Arg(i int) *graph.Value {
	if i >= len(c.In) {
		c.Failf("takes at least %d inputs, got %d", i+1, len(c.In))
		return &graph.Value{Name: "missing", Type: graph.UnrankedOf(tensor.Float32)}
	}
	return c.In[i]
}

// FloatArg is input i as the layer's compute type: integers and booleans are cast.
func (c *Call) FloatArg(i int) *graph.Value { return c.cast(c.Arg(i), c.ComputeType()) }

// Kwarg is the tensor passed by that name, or nil.
func (c *Call) Kwarg(name string) *graph.Value {
	v, _ := c.Kwargs[name].(*graph.Value)
	return v
}

// BoolArg is the boolean passed by that name, or def.
func (c *Call) BoolArg(name string, def bool) bool {
	if v, ok := c.Kwargs[name].(bool); ok {
		return v
	}
	return def
}

// Mask is the mask that v carries, or nil: a boolean tensor, false where a time step is to be skipped.
func (c *Call) Mask(v *graph.Value) *graph.Value { return c.x.masks[v] }

// InMask is the mask for input 0: the argument mask, or what the input carries.
func (c *Call) InMask() *graph.Value {
	switch m := c.Kwargs["mask"].(type) {
	case *graph.Value:
		return m
	case []any:
		if len(m) > 0 {
			if v, ok := m[0].(*graph.Value); ok {
				return v
			}
		}
	}
	if len(c.In) == 0 {
		return nil
	}
	return c.Mask(c.In[0])
}

// SetMask makes v carry mask, or none where mask is nil.
func (c *Call) SetMask(v, mask *graph.Value) {
	if mask == nil {
		delete(c.x.masks, v)
		return
	}
	c.x.masks[v] = mask
}

// Weight declares a weight in the first call of the layer, and finds it again in later ones. The value is
// in the layer's compute type. A dimension below 0 is an error: the input shape has to be known there.
func (c *Call) Weight(name string, shape []int, opts ...WeightOption) *graph.Value {
	return c.cast(c.Variable(name, shape, opts...), c.ComputeType())
}

// Variable is Weight in the weight's own type.
func (c *Call) Variable(name string, shape []int, opts ...WeightOption) *graph.Value {
	w := c.st.weight(name)
	if w == nil {
		for _, d := range shape {
			if d < 0 {
				c.Failf("weight %q needs a size that the input shape leaves open: %v", name, shape)
				shape = nil
				break
			}
		}
		if !c.x.m.claim(shape) {
			c.Failf("weight %q is too large: %v", name, shape)
			shape = nil
		}
		w = &Weight{
			Name: name, Path: c.st.path + "/" + name, Shape: append([]int{}, shape...),
			DType: c.variableType(), Trainable: true, Layer: c.Layer,
		}
		for _, o := range opts {
			o(w)
		}
		c.st.weights = append(c.st.weights, w)
	}
	return c.x.param(c.Builder, w)
}

// Sub calls a layer that this one holds in the attribute attr (the name that .keras files use).
func (c *Call) Sub(attr string, l Layer, in ...*graph.Value) []*graph.Value {
	args := make([]any, len(in))
	for i, v := range in {
		args[i] = v
	}
	return c.SubCall(attr, false, l, args, nil)
}

// SubCall is Sub with arguments and keyword arguments; list says that attr is a list of layers.
func (c *Call) SubCall(attr string, list bool, l Layer, args []any, kwargs map[string]any) []*graph.Value {
	return c.x.call(c.Builder, c.enter(attr, list, l), l, args, kwargs)
}

// enter finds or makes the state of an inner layer.
func (c *Call) enter(attr string, list bool, l Layer) *state {
	st := c.st.sub(l)
	if st == nil {
		c.x.m.nameLayer(l)
		st = &state{layer: l, path: joinPath(c.st.path, l.Common().Name), attr: attr, inList: list, parent: c.st}
		c.st.subs = append(c.st.subs, st)
	}
	return st
}

// scope is a Call of an inner layer without inputs, for layers that use the other's weights themselves.
func (c *Call) scope(attr string, list bool, l Layer) *Call {
	st := c.enter(attr, list, l)
	return &Call{Builder: c.Builder, Layer: l, Opts: c.Opts, x: c.x, st: st}
}

func joinPath(a, b string) string {
	if a == "" {
		return b
	}
	return a + "/" + b
}

// ComputeType is the type the layer computes in by its dtype policy.
func (c *Call) ComputeType() tensor.DType {
	compute, _ := policyTypes(c.policy())
	return compute
}

func (c *Call) variableType() tensor.DType {
	_, variable := policyTypes(c.policy())
	return variable
}

// policy is the layer's dtype policy, or that of the layer around it.
func (c *Call) policy() string {
	for s := c.st; s != nil; s = s.parent {
		if p := s.layer.Common().DType; p != "" {
			return p
		}
	}
	return "float32"
}

// policyTypes is the compute and the variable type of a dtype policy. Quantized policies
// ("int8_from_mixed_bfloat16") have those of the policy they were made from.
func policyTypes(policy string) (compute, variable tensor.DType) {
	for i := 0; i+6 <= len(policy); i++ {
		if policy[i:i+6] == "_from_" {
			return policyTypes(policy[i+6:])
		}
	}
	switch policy {
	case "mixed_float16":
		return tensor.Float16, tensor.Float32
	case "mixed_bfloat16":
		return tensor.BFloat16, tensor.Float32
	}
	dt, err := tensor.ParseDType(policy)
	if err != nil || !dt.IsFloat() {
		return tensor.Float32, tensor.Float32
	}
	return dt, dt
}
