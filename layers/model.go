package layers

import (
	"errors"
	"slices"
	"strconv"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Model is a network of layers: what Keras calls Functional or Sequential. A Model is a Layer itself, and
// can be called inside another one. The zero Model is empty and functional.
type Model struct {
	Base
	// IsSequential is a Sequential model: each layer is called on what the one before it gave.
	IsSequential bool
	// BuildInputShape is the input shape of a Sequential without an InputLayer, batch included.
	BuildInputShape []int
	// Class is the class name that the model has in a file, where it isn't Functional or Sequential.
	Class string
	// OldMasks is a model of Keras 1 or 2, where masks do other things to some layers: see MaskDialect.
	OldMasks bool
	// Ordered is a model whose layers stand in the order of a file, which SortLayers leaves as it is.
	Ordered bool

	layers    []Layer
	nodes     []*node
	inputs    []*Tensor
	outputs   []*Tensor
	inKeys    []string // keys of dict inputs, parallel to inputs; nil where they are a list
	outKeys   []string
	inSingle  bool // written as a single tensor rather than a list of one
	outSingle bool
	err       error

	root *root
	old  *state // of the model before its last change: where weights keep their values
}

// node is one call of a layer. The leaves of its arguments are *Tensor, numbers, strings, booleans or nil.
type node struct {
	layer  Layer
	args   []any
	kwargs map[string]any
}

// Tensor is a symbolic value in a functional model: output Index of one call of a layer.
type Tensor struct {
	node  *node
	index int
}

// Out is output i of the call that gave t.
func (t *Tensor) Out(i int) *Tensor { return &Tensor{node: t.node, index: i} }

// Layer is the layer whose call gave t.
func (t *Tensor) Layer() Layer { return t.node.layer }

// Index says which output of the call t is.
func (t *Tensor) Index() int { return t.index }

// root is what only the outermost model has: the state of every layer in it.
type root struct {
	st     *state
	names  map[string]int
	named  map[Layer]bool
	calls  map[Layer][][]graph.Type // output types of each call, in order, of the last expansion
	inputs map[Layer][][]graph.Type
	// implied is the calls given masks that are those their inputs carry anyway, of the last expansion
	implied map[*node]bool
	built   bool
	// dialect is the layers that masks reach and to which they mean something else in Keras 2 than in 3.
	dialect []string
}

// NewModel is an empty functional model.
func NewModel(name string) *Model { return &Model{Base: Base{Name: name}} }

// NewSequential is a model that calls layers one after the other. The first may be an *InputLayer, or have
// a BatchInputShape.
func NewSequential(name string, layers ...Layer) *Model {
	m := &Model{Base: Base{Name: name}, IsSequential: true}
	for _, l := range layers {
		m.Append(l)
	}
	return m
}

// MaskDialect names the layers of a built model that compute something else in Keras 2 than in Keras 3 because
// of the masks that reach them: Multiply, Maximum and Minimum, which leave out masked steps in Keras 3;
// Concatenate of features of which not all are masked alike; and recurrent layers that are called with
// states, which in Keras 3 take no mask from the sequence. OldMasks says which of the two this model means.
func (m *Model) MaskDialect() []string { return m.ensureRoot().dialect }

// oldMasks is OldMasks of the model, asked where it makes a difference to this call.
func (c *Call) oldMasks() bool {
	if r := c.x.m.root; !slices.Contains(r.dialect, c.st.path) {
		r.dialect = append(r.dialect, c.st.path)
	}
	return c.x.m.OldMasks
}

// Append adds a layer to a sequential model.
func (m *Model) Append(l Layer) *Model {
	m.change()
	m.layers = append(m.layers, l)
	return m
}

// Layers is the model's layers in order, an InputLayer for each input included; those of inner models are
// not listed.
func (m *Model) Layers() []Layer { return m.layers }

// Layer finds the layer of that name, or nil.
func (m *Model) Layer(name string) Layer {
	for _, l := range m.layers {
		if l.Common().Name == name {
			return l
		}
	}
	return nil
}

// AddInput adds an input to a functional model. The shape is without the batch; -1 is a size left open.
func (m *Model) AddInput(name string, shape ...int) *Tensor {
	return m.Apply(&InputLayer{Base: Named(name), BatchShape: append([]int{-1}, shape...)})
}

// Apply calls l on the inputs, adding it to the model if it's new there, and returns its first output.
func (m *Model) Apply(l Layer, in ...*Tensor) *Tensor {
	args := make([]any, len(in))
	for i, t := range in {
		args[i] = t
	}
	return m.ApplyArgs(l, args, nil)
}

// ApplyArgs is Apply with arguments and keyword arguments that hold tensors, numbers, strings, booleans,
// nil, and lists ([]any) and dicts (map[string]any) of them.
func (m *Model) ApplyArgs(l Layer, args []any, kwargs map[string]any) *Tensor {
	m.change()
	n := &node{layer: l, args: args, kwargs: kwargs}
	m.nodes = append(m.nodes, n)
	if !slices.Contains(m.layers, l) {
		m.layers = append(m.layers, l)
	}
	t := &Tensor{node: n}
	if _, ok := l.(*InputLayer); ok {
		m.inputs = append(m.inputs, t)
	}
	return t
}

// SetOutputs makes those tensors the model's outputs.
func (m *Model) SetOutputs(ts ...*Tensor) *Model {
	m.change()
	m.outputs = ts
	m.outSingle = len(ts) == 1
	return m
}

// SetInputs gives the model's inputs their order, where it isn't that of their making.
func (m *Model) SetInputs(ts ...*Tensor) *Model {
	m.change()
	m.inputs = ts
	return m
}

// SetKeys makes inputs and outputs dicts with those keys (nil: lists).
func (m *Model) SetKeys(in, out []string) { m.inKeys, m.outKeys = in, out }

// SetSingle says that the config writes the inputs or outputs as one tensor rather than a list of one.
func (m *Model) SetSingle(in, out bool) { m.inSingle, m.outSingle = in, out }

// Keys is the keys of dict inputs and outputs; nil where they are lists.
func (m *Model) Keys() (in, out []string) { return m.inKeys, m.outKeys }

// Single is what SetSingle said.
func (m *Model) Single() (in, out bool) { return m.inSingle, m.outSingle }

// Inputs is the model's inputs in order.
func (m *Model) Inputs() []*Tensor { return m.inputs }

// Outputs is the model's outputs in order.
func (m *Model) Outputs() []*Tensor { return m.outputs }

// A Node is one call of a layer in a functional model, for those who walk it.
type Node struct {
	Layer  Layer
	Args   []any // leaves: *Tensor, numbers, strings, booleans, nil
	Kwargs map[string]any
	Index  int // which call of its layer this is
}

// Nodes is the calls in a functional model, in order.
//
//go:noinline
func (m *Model) Nodes() []Node {
	out := make([]Node, len(m.nodes))
	count := map[Layer]int{}
	for i, n := range m.nodes {
		out[i] = Node{n.layer, n.args, n.kwargs, count[n.layer]}
		count[n.layer]++
	}
	return out
}

// NodeIndex says which call of its layer gave t.
func (m *Model) NodeIndex(t *Tensor) int {
	i := 0
	for _, n := range m.nodes {
		if n == t.node {
			return i
		}
		if n.layer == t.node.layer {
			i++
		}
	}
	return -1
}

// Options says how Graph expands a model.
type Options struct {
	// Training expands noise and augmentation layers in their training form.
	Training bool
	// Seed is for the initializers of weights that have no value yet.
	Seed uint64
	// Taps are names of layers whose outputs become graph outputs too, after the model's own.
	Taps []string
	// MaxUnroll is the number of time steps up to which a recurrent layer is written out step by step
	// where no recurrent operator fits; longer or open-ended ones become a Scan. 0 is 64.
	MaxUnroll int

	extras *extras
}

// Build names every layer and declares every weight; Graph does it too. It fails where a layer doesn't
// accept its inputs.
func (m *Model) Build() error {
	if m.root != nil && m.root.built {
		return nil
	}
	_, err := m.expand(Options{})
	if err == nil {
		m.inherit()
	}
	return err
}

// Graph expands the model into canonical operators. Weights without a value get one from their initializer.
func (m *Model) Graph(opts Options) (*graph.Graph, error) {
	if err := m.Build(); err != nil {
		return nil, err
	}
	if err := m.initialize(opts.Seed); err != nil {
		return nil, err
	}
	return m.expand(opts)
}

func (m *Model) ensureRoot() *root {
	if m.root == nil {
		m.root = &root{names: map[string]int{}, named: map[Layer]bool{}}
		m.root.st = &state{layer: m}
		m.claimNames(m)
	}
	return m.root
}

// claimNames takes the names given by the caller, before any are made up.
func (m *Model) claimNames(inner *Model) {
	for _, l := range inner.layers {
		if name := l.Common().Name; name != "" {
			m.root.named[l] = true
			m.root.names[name]++
		}
		if sub, ok := l.(*Model); ok && sub != inner {
			m.claimNames(sub)
		}
	}
}

// nameLayer gives a layer without a name one as Keras does: its class in snake case, numbered from the second.
func (m *Model) nameLayer(l Layer) {
	base := l.Common()
	if base.Name != "" {
		return
	}
	stem := SnakeCase(ClassName(l))
	for name := stem; ; {
		n := m.root.names[stem]
		m.root.names[stem]++
		if n > 0 {
			name = stem + "_" + strconv.Itoa(n)
		}
		if n == 0 || m.root.names[name] == 0 {
			if n > 0 {
				m.root.names[name]++
			}
			base.Name = name
			return
		}
	}
}

const maxWeightElements = 1 << 31

func (m *Model) claim(shape []int) bool {
	n, err := tensor.NumElements(shape)
	return err == nil && n <= maxWeightElements
}

// graphInputs adds the graph's inputs: one for each input of the model.
func (m *Model) graphInputs(b *graph.Builder) ([]*graph.Value, error) {
	ins, err := m.InputLayers()
	if err != nil {
		return nil, err
	}
	out := make([]*graph.Value, len(ins))
	for i, l := range ins {
		m.nameLayer(l)
		t, err := l.typ()
		if err != nil {
			return nil, err
		}
		if len(t.Dims) > 0 && !m.stateful(0) { // a batch size that nothing depends on is open
			t.Dims[0] = graph.Sym("batch")
		}
		out[i] = b.Input(l.Name, t)
		b.Rename(out[i], l.Name)
	}
	return out, nil
}

// stateful reports whether a layer keeps states from run to run, which needs a fixed batch size.
func (m *Model) stateful(depth int) bool {
	return depth < 64 && slices.ContainsFunc(m.layers, func(l Layer) bool { return isStateful(l, depth) })
}

func isStateful(l Layer, depth int) bool {
	switch l := l.(type) {
	case *Model:
		return l.stateful(depth + 1)
	case recurrent:
		return l.flags().stateful
	case wrapper:
		return l.inner() != nil && isStateful(l.inner(), depth+1)
	}
	return false
}

// InputLayers is the InputLayer of each of the model's inputs. One is made up for a Sequential that knows
// its input shape in another way.
func (m *Model) InputLayers() ([]*InputLayer, error) {
	if !m.IsSequential {
		out := make([]*InputLayer, len(m.inputs))
		for i, t := range m.inputs {
			l, ok := t.node.layer.(*InputLayer)
			if !ok {
				return nil, errs.Errorf("layers: model %q: input %d is layer %q, not an InputLayer", m.Name, i, t.node.layer.Common().Name)
			}
			out[i] = l
		}
		if len(out) == 0 {
			return nil, errs.Errorf("layers: model %q has no inputs", m.Name)
		}
		return out, nil
	}
	if len(m.layers) == 0 {
		return nil, errs.Errorf("layers: model %q has no layers", m.Name)
	}
	first := m.layers[0]
	if l, ok := first.(*InputLayer); ok {
		return []*InputLayer{l}, nil
	}
	if sub, ok := first.(*Model); ok {
		return sub.InputLayers()
	}
	shape := first.Common().BatchInputShape
	if w, ok := first.(wrapper); ok && shape == nil {
		shape = w.inner().Common().BatchInputShape
	}
	if shape == nil {
		shape = m.BuildInputShape
	}
	if shape == nil {
		return nil, errs.Errorf("layers: model %q: the input shape is not known: give it an InputLayer", m.Name)
	}
	in := &InputLayer{Base: Base{Name: first.Common().Name + "_input"}, BatchShape: shape}
	if dt := first.Common().DType; dt != "" && firstTakesDType(first) {
		in.InputDType = policyInput(dt)
	}
	return []*InputLayer{in}, nil
}

// OutputNames is the name of each output: the dict's key, or the layer's name.
func (m *Model) OutputNames() []string {
	if m.outKeys != nil {
		return m.outKeys
	}
	if m.IsSequential {
		if n := len(m.layers); n > 0 {
			return []string{m.layers[n-1].Common().Name}
		}
		return nil
	}
	out := make([]string, len(m.outputs))
	for i, t := range m.outputs {
		out[i] = t.node.layer.Common().Name
	}
	return out
}

// Call implements Layer: it calls each of the model's layers on the inputs.
func (m *Model) Call(c *Call) []*graph.Value {
	if c.x.depth++; c.x.depth > 64 {
		c.Failf("models are nested too deeply")
		return c.In
	}
	defer func() { c.x.depth-- }()
	for _, l := range m.layers {
		c.x.m.nameLayer(l)
	}
	if m.IsSequential {
		return m.callSequential(c)
	}
	if len(c.In) < len(m.inputs) {
		c.Failf("takes %d inputs, got %d", len(m.inputs), len(c.In))
		return c.In
	}
	vals := map[*node][]*graph.Value{}
	for i, t := range m.inputs {
		vals[t.node] = c.enterInput(t.node.layer, c.In[i])
	}
	for _, n := range m.nodes {
		if _, done := vals[n]; done {
			continue
		}
		if c.Err() != nil {
			return c.In
		}
		args, err := resolve(n.args, vals)
		kwargs, err2 := resolve(n.kwargs, vals)
		if err = errors.Join(err, err2); err != nil {
			c.Fail(errs.Errorf("layers: model %q: layer %q: %w", m.Name, n.layer.Common().Name, err))
			return c.In
		}
		kw, _ := kwargs.(map[string]any)
		c.x.noteMasks(n, args.([]any), kw)
		vals[n] = c.x.call(c.Builder, c.enterLayer(n.layer), n.layer, args.([]any), kw)
	}
	out := make([]*graph.Value, len(m.outputs))
	for i, t := range m.outputs {
		vs := vals[t.node]
		if t.index >= len(vs) {
			c.Failf("output %d: layer %q has %d outputs, not %d", i, t.node.layer.Common().Name, len(vs), t.index+1)
			return c.In
		}
		out[i] = vs[t.index]
	}
	return out
}

func (m *Model) callSequential(c *Call) []*graph.Value {
	vs := c.In
	for i, l := range m.layers {
		if in, ok := l.(*InputLayer); ok && i == 0 {
			c.enterInput(in, c.Arg(0))
			continue
		}
		args := make([]any, len(vs))
		for j, v := range vs {
			args[j] = v
		}
		vs = c.x.call(c.Builder, c.enterLayer(l), l, args, nil)
		if c.Err() != nil {
			return c.In
		}
	}
	return vs
}

// enterLayer is the state of a layer of a model. The layers of the outermost model have paths without it.
func (c *Call) enterLayer(l Layer) *state { return c.enter("layers", true, l) }

// enterInput passes a value through an InputLayer of a model.
func (c *Call) enterInput(l Layer, v *graph.Value) []*graph.Value {
	c.enterLayer(l)
	c.x.record(l, nil, []*graph.Value{v})
	if in, ok := l.(*InputLayer); ok {
		if t, err := in.typ(); err == nil && t.DType != v.Type.DType && (t.DType.IsFloat() || v.Type.DType.IsFloat()) {
			mask := c.Mask(v)
			v = c.cast(v, t.DType)
			c.SetMask(v, mask)
		}
	}
	c.x.taps[l.Common().Name] = []*graph.Value{v}
	return []*graph.Value{v}
}

// AddLayer lists a layer of a functional model before it is called, which fixes its place in Layers.
func (m *Model) AddLayer(l Layer) {
	m.change()
	if !slices.Contains(m.layers, l) {
		m.layers = append(m.layers, l)
	}
}
