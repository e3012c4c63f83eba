package graph

import (
	"strconv"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Builder appends nodes to a graph, infers their types, and holds the first error: after it every call
// returns a placeholder, and the caller asks Err once. It is not safe for concurrent use.
type Builder struct {
	g      *Graph
	err    error
	origin string
	names  map[string]bool
	kept   map[string]bool // names that only Rename may give
	next   int
}

// NewBuilder starts on g, which may already have nodes.
func NewBuilder(g *Graph) *Builder {
	b := &Builder{g: g, names: map[string]bool{}, kept: map[string]bool{}}
	mark := func(vs []*Value) {
		for _, v := range vs {
			if v != nil {
				b.names[v.Name] = true
			}
		}
	}
	mark(g.Inputs)
	mark(g.Params)
	for _, n := range g.Nodes {
		mark(n.In)
		mark(n.Out)
	}
	return b
}

// Graph is the graph being built.
func (b *Builder) Graph() *Graph { return b.g }

// Err is the first error, if any.
//
//go:noinline
func (b *Builder) Err() error { return b.err }

// Fail records err, if it is the first.
//
//go:noinline
func (b *Builder) Fail(err error) {
	if b.err == nil && err != nil {
		b.err = err
	}
}

// SetOrigin names the layer or ONNX node that the following nodes come from, and returns the former name.
func (b *Builder) SetOrigin(origin string) (former string) {
	former, b.origin = b.origin, origin
	return former
}

// Unique is name, or name with a number behind it where another value has it already; it is then taken.
func (b *Builder) Unique(name string) string {
	if name == "" {
		name = "v"
	}
	got := name
	for b.names[got] || b.kept[got] {
		b.next++
		got = name + "_" + strconv.Itoa(b.next)
	}
	b.names[got] = true
	return got
}

// Reserve keeps a name for a Rename to come, so that no value is called so by chance.
func (b *Builder) Reserve(name string) { b.kept[name] = true }

// Input adds a graph input.
func (b *Builder) Input(name string, t Type) *Value {
	v := &Value{Name: b.Unique(name), Type: t.WithoutValue()}
	b.g.Inputs = append(b.g.Inputs, v)
	return v
}

// Param adds a trainable (or at least changeable) parameter with its initial value.
func (b *Builder) Param(name string, data *tensor.Tensor) *Value {
	v := &Value{Name: b.Unique(name), Type: ConstOf(data).WithoutValue(), Data: data}
	b.g.Params = append(b.g.Params, v)
	return v
}

// Const makes a constant.
func (b *Builder) Const(name string, data *tensor.Tensor) *Value {
	return &Value{Name: b.Unique(name), Type: ConstOf(data), Data: data}
}

// Ints makes an int64 vector constant.
func (b *Builder) Ints(vs ...int64) *Value { return b.Const("ints", tensor.Of(vs)) }

// Float makes a rank-0 float32 constant.
func (b *Builder) Float(v float32) *Value { return b.Const("scalar", tensor.Scalar(v)) }

// Add appends a node with a single output.
//
//go:noinline
func (b *Builder) Add(op Op, in ...*Value) *Value { return b.add(op, in)[0] }

// AddN appends a node (in is copied) and returns its outputs, as many as Infer gives (at least one), in a
// slice of the caller's.
//
//go:noinline
func (b *Builder) AddN(op Op, in ...*Value) []*Value { return append([]*Value(nil), b.add(op, in)...) }

// add gives the node's own list of outputs.
func (b *Builder) add(op Op, in []*Value) []*Value {
	if b.err != nil {
		return placeholders(op)
	}
	types := make([]Type, len(in))
	for i, v := range in {
		if v != nil {
			types[i] = v.Type
		}
	}
	name := b.origin
	if name == "" {
		name = op.Name()
	}
	outs, err := op.Infer(types)
	if err == nil && len(outs) == 0 {
		err = errs.Errorf("no outputs")
	}
	if err != nil {
		b.err = &TypeError{Op: op.Name(), Node: name, Origin: b.origin, Msg: err.Error(), Err: err}
		return placeholders(op)
	}
	// in is copied so that it doesn't escape: a caller's list of inputs stays on its stack, which makes the
	// thousands of calls a third shorter.
	n := &Node{Op: op, In: append([]*Value(nil), in...), Origin: b.origin}
	for i, t := range outs {
		out := name
		if i > 0 {
			out = name + ":" + strconv.Itoa(i)
		}
		out = b.Unique(out)
		n.Out = append(n.Out, &Value{Name: out, Type: Freshen(t, out), Def: n})
	}
	b.g.Nodes = append(b.g.Nodes, n)
	return n.Out
}

// placeholders lets code go on after an error: enough values for any indexing that the op would allow.
func placeholders(op Op) []*Value {
	vs := make([]*Value, 64)
	for i := range vs {
		vs[i] = &Value{Name: op.Name(), Type: UnrankedOf(tensor.Float32)}
	}
	return vs
}

// Output marks values as graph outputs.
//
//go:noinline
func (b *Builder) Output(vs ...*Value) { b.g.Outputs = append(b.g.Outputs, vs...) }

// Rename gives v the name the source file has for it, if no other value has it.
//
//go:noinline
func (b *Builder) Rename(v *Value, name string) {
	if v == nil || name == "" || v.Name == name || b.names[name] {
		return
	}
	delete(b.names, v.Name)
	b.names[name] = true
	v.Name = name
}

// Inline adds the nodes of g with its inputs replaced, as many as it has, and returns its outputs. Constants
// and parameters of g are taken over as they are.
func (b *Builder) Inline(g *Graph, in ...*Value) []*Value {
	if len(in) < len(g.Inputs) {
		b.Fail(errs.Errorf("graph: %d values for the %d inputs of %q", len(in), len(g.Inputs), g.Name))
		return nil
	}
	m := map[*Value]*Value{}
	for i, v := range g.Inputs {
		m[v] = in[i]
	}
	get := func(v *Value) *Value {
		if w, ok := m[v]; ok {
			return w
		}
		return v
	}
	for _, n := range g.Nodes {
		args := make([]*Value, len(n.In))
		for i, v := range n.In {
			args[i] = get(v)
		}
		for i, w := range b.AddN(n.Op, args...) {
			if i < len(n.Out) {
				m[n.Out[i]] = w
			}
		}
	}
	out := make([]*Value, len(g.Outputs))
	for i, v := range g.Outputs {
		out[i] = get(v)
	}
	return out
}
