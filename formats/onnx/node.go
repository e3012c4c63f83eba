package onnx

import (
	"fmt"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Node is one node of a file on its way into a graph. Rows and custom operators read its attributes by
// name and type; an attribute that nobody asked for is refused by name afterwards.
type Node struct {
	*graph.Builder
	// In is the inputs; nil where omitted.
	In []*graph.Value
	// NumOut is how many outputs the node names, up to the last that has a name.
	NumOut int
	// Opset is the version of the node's domain that the file asks for.
	Opset int

	im     *importer
	sc     *scope
	p      *pb.NodeProto
	attrs  map[string]*pb.AttributeProto
	asked  map[string]bool
	refuse string
}

// OpType is the operator's name in the file.
func (n *Node) OpType() string { return n.p.OpType }

// Input is input i, nil where it is omitted.
//
//go:noinline
func (n *Node) Input(i int) *graph.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}

// Refuse says why the node can't be loaded; the first reason counts.
//
//go:noinline
func (n *Node) Refuse(format string, args ...any) {
	if n.refuse == "" {
		n.refuse = fmt.Sprintf(format, args...)
	}
}

// attr is the attribute of that name where the file gives it and it has type t.
func (n *Node) attr(name string, t pb.AttributeType) *pb.AttributeProto {
	n.asked[name] = true
	a := n.attrs[name]
	if a == nil {
		return nil
	}
	if a.Type != t {
		n.Refuse("attribute %s is of type %v, not %v", name, a.Type, t)
		return nil
	}
	return a
}

// Has reports whether the file gives an attribute. It doesn't count as asking for it.
func (n *Node) Has(name string) bool { return n.attrs[name] != nil }

// Ignore marks attributes that say nothing about the result.
func (n *Node) Ignore(names ...string) {
	for _, name := range names {
		n.asked[name] = true
	}
}

// Int is an integer attribute, or def where the file has none.
//
//go:noinline
func (n *Node) Int(name string, def int) int {
	if a := n.attr(name, pb.AttrInt); a != nil {
		return int(a.I)
	}
	return def
}

// Bool is an integer attribute that is used as a truth value.
//
//go:noinline
func (n *Node) Bool(name string, def bool) bool {
	if a := n.attr(name, pb.AttrInt); a != nil {
		return a.I != 0
	}
	return def
}

// Float is a float attribute, or def.
//
//go:noinline
func (n *Node) Float(name string, def float64) float64 {
	if a := n.attr(name, pb.AttrFloat); a != nil {
		return float64(a.F)
	}
	return def
}

// String is a string attribute, or def.
func (n *Node) String(name, def string) string {
	if a := n.attr(name, pb.AttrString); a != nil {
		return string(a.S)
	}
	return def
}

// Ints is a list of integers, nil where the file has none. An empty list in the file is empty, not nil.
//
//go:noinline
func (n *Node) Ints(name string) []int {
	a := n.attr(name, pb.AttrInts)
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = int(v)
	}
	return out
}

// Floats is a list of floats, nil where the file has none.
func (n *Node) Floats(name string) []float64 {
	a := n.attr(name, pb.AttrFloats)
	if a == nil {
		return nil
	}
	out := make([]float64, len(a.Floats))
	for i, v := range a.Floats {
		out[i] = float64(v)
	}
	return out
}

// Strings is a list of strings, nil where the file has none.
func (n *Node) Strings(name string) []string {
	a := n.attr(name, pb.AttrStrings)
	if a == nil {
		return nil
	}
	out := make([]string, len(a.Strings))
	for i, v := range a.Strings {
		out[i] = string(v)
	}
	return out
}

// Tensor is a tensor attribute, nil where the file has none.
func (n *Node) Tensor(name string) *tensor.Tensor {
	a := n.attr(name, pb.AttrTensor)
	if a == nil || a.T == nil {
		return nil
	}
	t, err := n.im.tensor(a.T)
	if err != nil {
		n.Refuse("attribute %s: %v", name, err)
	}
	return t
}

// DType is an integer attribute that names an element type, or def.
func (n *Node) DType(name string, def tensor.DType) tensor.DType {
	a := n.attr(name, pb.AttrInt)
	if a == nil || a.I == 0 {
		return def
	}
	dt, err := dtypeOf(pb.DataType(a.I))
	if err != nil {
		n.Refuse("attribute %s: %v", name, err)
	}
	return dt
}

// graph is a subgraph attribute; the node is refused where the file has none.
func (n *Node) graph(name string) *pb.GraphProto {
	if a := n.attr(name, pb.AttrGraph); a != nil && a.G != nil {
		return a.G
	}
	n.Refuse("it has no subgraph %s", name)
	return nil
}

// unasked is the attributes that nobody asked for.
func (n *Node) unasked() []string {
	var out []string
	for _, a := range n.p.Attribute {
		if !n.asked[a.Name] {
			out = append(out, a.Name)
		}
	}
	return out
}

// rank is the number of dimensions of a value, -1 where it is unknown.
//
//go:noinline
func rank(v *graph.Value) int {
	if v == nil {
		return -1
	}
	return v.Type.Rank()
}

// optInts makes a constant of a list of integers, or an omitted input of none at all.
func (n *Node) optInts(vs []int) *graph.Value {
	if vs == nil {
		return nil
	}
	return n.ints(vs...)
}

// ints makes an int64 vector constant, also an empty one.
func (n *Node) ints(vs ...int) *graph.Value {
	t := tensor.New(tensor.Int64, len(vs))
	for i, v := range vs {
		tensor.As[int64](t)[i] = int64(v)
	}
	return n.Const("ints", t)
}

// scalar makes a rank-0 constant of one number in the element type of a value.
func (n *Node) scalar(v float64, like *graph.Value) *graph.Value {
	if like == nil || !like.Type.DType.Valid() {
		n.Refuse("an input is missing")
		return nil
	}
	t := tensor.New(like.Type.DType)
	if err := setNumber(t, v); err != nil {
		n.Fail(err)
	}
	return n.Const("scalar", t)
}

// constInts is the contents of an integer input that the file fixes.
func (n *Node) constInts(i int) ([]int, bool) {
	v := n.Input(i)
	if v == nil {
		return nil, false
	}
	ds, ok := v.Type.Contents()
	if !ok {
		return nil, false
	}
	out := make([]int, len(ds))
	for j, d := range ds {
		if out[j], ok = d.Const(); !ok {
			return nil, false
		}
	}
	return out, true
}

// one is the imp of a row that makes one value.
func one(v *graph.Value) []*graph.Value { return []*graph.Value{v} }

// trimmed is inputs without the omitted ones at the end.
func trimmed(in ...*graph.Value) []*graph.Value {
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	return in
}

// trailingOnes appends count dimensions of 1 to a value of known rank.
func (n *Node) trailingOnes(v *graph.Value, count int) *graph.Value {
	if count <= 0 {
		return v
	}
	axes := make([]int, count)
	for i := range axes {
		axes[i] = rank(v) + i
	}
	return n.Add(ops.Unsqueeze{}, v, n.ints(axes...))
}
