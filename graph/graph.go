// Package graph is the one intermediate representation of nnrt: typed values in single-assignment form
// over nodes whose operators are plain Go structs. It knows the interfaces that operators meet, not the
// operators; it runs nothing.
//
// A graph is in one of two states. Canonical graphs come from importers, layers and autodiff, and are
// what exporters read. Lowered graphs are made by runtime.Compile for one device, and go nowhere else.
package graph

import (
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/tensor"
)

// Kind says what a value is at run time.
type Kind uint8

// The kinds of value.
const (
	TensorKind Kind = iota
	SequenceKind
	OptionalKind
	MapKind
)

// String is the kind's ONNX name.
func (k Kind) String() string {
	return [...]string{"tensor", "seq", "optional", "map"}[k&3]
}

// Layout is the physical order of a value's elements; everything but Canonical exists only in lowered graphs.
type Layout uint8

// The layouts. NCHW8c and NCHW16c block the channels of a rank-4 NCHW (or NHWC, logically) value.
const (
	Canonical Layout = iota
	NCHW8c
	NCHW16c
)

// Type is everything known about a value before running it.
type Type struct {
	Kind     Kind
	DType    tensor.DType // element type of a tensor; of a map, the values'
	Key      tensor.DType // of a map: the keys'
	Elem     *Type        // of a sequence or optional
	Unranked bool         // the rank of a tensor is unknown, Dims says nothing
	Dims     []Dim
	Layout   Layout
	Const    *tensor.Tensor // the value itself, where it is known
	Ints     []Dim          // or, for small integer tensors, its contents in symbols (row-major)
}

// TensorOf is the type of a tensor with those dimensions.
//
//go:noinline
func TensorOf(dt tensor.DType, dims ...Dim) Type {
	if dims == nil {
		dims = []Dim{}
	}
	return Type{DType: dt, Dims: dims}
}

// UnrankedOf is the type of a tensor of which not even the rank is known.
//
//go:noinline
func UnrankedOf(dt tensor.DType) Type { return Type{DType: dt, Unranked: true} }

// ConstOf is the type of a tensor that is known.
//
//go:noinline
func ConstOf(t *tensor.Tensor) Type {
	return Type{DType: t.DType(), Dims: Dims(t.Shape()...), Const: t}
}

// SequenceOf is the type of a sequence of elem.
//
//go:noinline
func SequenceOf(elem Type) Type { return Type{Kind: SequenceKind, DType: elem.DType, Elem: &elem} }

// OptionalOf is the type of an optional elem.
//
//go:noinline
func OptionalOf(elem Type) Type { return Type{Kind: OptionalKind, DType: elem.DType, Elem: &elem} }

// Rank is the number of dimensions, or -1 where it is unknown or t is no tensor.
//
//go:noinline
func (t Type) Rank() int {
	if t.Kind != TensorKind || t.Unranked {
		return -1
	}
	return len(t.Dims)
}

// Shape is the dimensions as numbers, if all are.
//
//go:noinline
func (t Type) Shape() ([]int, bool) {
	if t.Kind != TensorKind || t.Unranked {
		return nil, false
	}
	out := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		n, ok := d.Const()
		if !ok || n < 0 {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

// Static reports whether t is a tensor whose dimensions are all numbers.
//
//go:noinline
func (t Type) Static() bool {
	if t.Kind != TensorKind || t.Unranked {
		return false
	}
	for _, d := range t.Dims {
		if n, ok := d.Const(); !ok || n < 0 {
			return false
		}
	}
	return true
}

// Contents is what is known of an integer tensor's elements, from Const or Ints.
func (t Type) Contents() ([]Dim, bool) {
	if t.Ints != nil {
		return t.Ints, true
	}
	if t.Const == nil {
		return nil, false
	}
	vs, err := t.Const.Int64s()
	if err != nil {
		return nil, false
	}
	out := make([]Dim, len(vs))
	for i, v := range vs {
		out[i] = D(int(v))
	}
	return out, true
}

// WithoutValue is t with Const and Ints forgotten: only the type proper.
//
//go:noinline
func (t Type) WithoutValue() Type {
	t.Const, t.Ints = nil, nil
	return t
}

// String spells t as "float32[N,3,224,224]".
func (t Type) String() string {
	switch t.Kind {
	case SequenceKind, OptionalKind:
		if t.Elem != nil {
			return fmt.Sprintf("%v(%v)", t.Kind, *t.Elem)
		}
		return t.Kind.String()
	case MapKind:
		return fmt.Sprintf("map(%v,%v)", t.Key, t.DType)
	}
	if t.Unranked {
		return t.DType.String() + "[...]"
	}
	s := t.DType.String() + "["
	for i, d := range t.Dims {
		if i > 0 {
			s += ","
		}
		s += d.String()
	}
	s += "]"
	if t.Layout != Canonical {
		s += fmt.Sprintf("@%d", t.Layout)
	}
	return s
}

// An Op is an immutable value type whose exported fields are its attributes. Everything beyond Infer is a
// small optional interface, found by type assertion.
type Op interface {
	// Name is the operator's own name, unique in the registry.
	Name() string
	// Infer gives the output types for the input types, or an error that gives both sides. An omitted
	// optional input has DType Invalid. What can't be known yet is a fresh symbol (Unknown) or Unranked.
	// The number of outputs that Infer returns is the number the node has.
	Infer(in []Type) ([]Type, error)
}

// Differentiable ops write their gradient as more graph. A nil dy[i] is zero; need[i] says whether the
// gradient of input i is wanted; a nil dx[i] is zero.
type Differentiable interface {
	VJP(b *Builder, n *Node, dy []*Value, need []bool) (dx []*Value)
}

// Decomposer ops can spell themselves in simpler ops. Nil means that these inputs allow no decomposition.
type Decomposer interface {
	Decompose(b *Builder, in []*Value) []*Value
}

// Aliaser reports that output out may be written over input in.
type Aliaser interface{ MayAlias(in, out int) bool }

// Stateful ops give other results each time (random numbers without a key): never folded, merged or dropped.
type Stateful interface{ Stateful() bool }

// Subgrapher ops hold graphs (If, Loop, Scan): passes and printers go down into them.
type Subgrapher interface {
	Subgraphs() []*Graph
	// WithSubgraphs is the op with its graphs replaced, in the same order.
	WithSubgraphs(gs []*Graph) Op
}

// A Value has one definition and many uses.
type Value struct {
	Name string // the importer's name; survives every pass
	Type Type
	Def  *Node          // nil for inputs, params and constants
	Data *tensor.Tensor // the value of a constant, the initial value of a param
}

// IsConst reports whether v is a constant (not a param, which training may change).
//
//go:noinline
func (v *Value) IsConst() bool { return v != nil && v.Def == nil && v.Type.Const != nil }

// Node applies Op to In. An In that is nil is an omitted optional input; an Out is never nil, though it
// may have no use.
type Node struct {
	Op      Op
	In, Out []*Value
	Origin  string // source layer or ONNX node: for errors, profiles and export
}

// Update assigns Value to Param at the end of a run.
type Update struct{ Param, Value *Value }

// Graph is a list of nodes in an order that defines before it uses.
type Graph struct {
	Name                    string
	Doc                     string
	Nodes                   []*Node
	Inputs, Params, Outputs []*Value
	Updates                 []Update
	Meta                    map[string]string // metadata of the file it came from
}

// NotePrefix starts the keys of Graph.Meta that say something of single nodes and values, not of the model.
const NotePrefix = "note."

// Param finds the parameter of that name, or nil.
func (g *Graph) Param(name string) *Value {
	i := slices.IndexFunc(g.Params, func(v *Value) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return g.Params[i]
}

// Input finds the input of that name, or nil.
func (g *Graph) Input(name string) *Value {
	i := slices.IndexFunc(g.Inputs, func(v *Value) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return g.Inputs[i]
}

// TypeError says which node does not accept its inputs, and why.
type TypeError struct {
	Op     string // operator name
	Node   string // name of the node's first output
	Origin string // where it came from
	Msg    string // the two sides
	Err    error
}

// Error is one line: Op "origin": message.
func (e *TypeError) Error() string {
	where := e.Origin
	if where == "" {
		where = e.Node
	}
	return fmt.Sprintf("%s %q: %s", e.Op, where, e.Msg)
}

// Unwrap is the error that Infer gave.
func (e *TypeError) Unwrap() error { return e.Err }
