package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// importConstant reads a constant in any of its spellings.
func importConstant(n *Node) []*graph.Value {
	t := n.Tensor("value")
	set := func(v *tensor.Tensor) {
		if v != nil {
			t = v
		}
	}
	if n.Has("value_int") {
		set(tensor.Scalar(int64(n.Int("value_int", 0))))
	}
	if n.Has("value_float") {
		set(tensor.Scalar(float32(n.Float("value_float", 0))))
	}
	if vs := n.Ints("value_ints"); vs != nil {
		set(n.ints(vs...).Data)
	}
	if vs := n.Floats("value_floats"); vs != nil {
		fs := make([]float32, len(vs))
		for i, v := range vs {
			fs[i] = float32(v)
		}
		set(tensor.Of(fs))
	}
	if n.Has("value_string") {
		s, err := tensor.FromStrings([]string{n.String("value_string", "")})
		n.Fail(err)
		set(s)
	}
	if vs := n.Strings("value_strings"); vs != nil {
		s, err := tensor.FromStrings(vs, len(vs))
		n.Fail(err)
		set(s)
	}
	if a := n.attr("sparse_value", pb.AttrSparseTensor); a != nil {
		s, err := n.im.sparse(a.SparseTensor)
		if err != nil {
			n.Refuse("sparse_value: %v", err)
		}
		set(s)
	}
	if t == nil {
		n.Refuse("it has no value")
		return nil
	}
	return one(n.Const(n.p.Output[0], t))
}
