package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/tensor"
)

// refAttr refers to an attribute of the function that the node is in.
func refAttr(name string, t pb.AttributeType, of string) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: t, RefAttrName: of}
}

func call(name string, in, out []string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	return &pb.NodeProto{OpType: name, Domain: "my", Input: in, Output: out, Attribute: attrs}
}

// leaky is a function of one LeakyRelu, whose slope is its attribute "slope".
func leaky(overload string) *pb.FunctionProto {
	return &pb.FunctionProto{Name: "Leaky", Domain: "my", Overload: overload, Input: []string{"in"}, Output: []string{"out"}, Attribute: []string{"slope"},
		Node: []*pb.NodeProto{node("LeakyRelu", []string{"in"}, []string{"out"}, refAttr("alpha", pb.AttrFloat, "slope"))}}
}

// branchOf is a subgraph of some nodes, without inputs, that gives a value.
func branchOf(out string, nodes ...*pb.NodeProto) *pb.GraphProto {
	return &pb.GraphProto{Name: "branch", Node: nodes, Output: []*pb.ValueInfoProto{{Name: out}}}
}

// TestFunctionCalls: what a model's own functions mean, on the input -2, 0, 4.
func TestFunctionCalls(t *testing.T) {
	in, out := []string{"x"}, []string{"y"}
	slope := floatAttr("slope", 0.5)
	for name, tc := range map[string]struct {
		nodes []*pb.NodeProto
		funcs []*pb.FunctionProto
		want  []float32
	}{
		"attribute given":     {[]*pb.NodeProto{call("Leaky", in, out, slope)}, []*pb.FunctionProto{leaky("")}, []float32{-1, 0, 4}},
		"attribute left out":  {[]*pb.NodeProto{call("Leaky", in, out)}, []*pb.FunctionProto{leaky("")}, []float32{-.02, 0, 4}},
		"attribute defaulted": {[]*pb.NodeProto{call("Leaky", in, out)}, []*pb.FunctionProto{defaulted(leaky(""))}, []float32{-.2, 0, 4}},
		"default overridden":  {[]*pb.NodeProto{call("Leaky", in, out, slope)}, []*pb.FunctionProto{defaulted(leaky(""))}, []float32{-1, 0, 4}},
		"overloads": {[]*pb.NodeProto{{OpType: "Leaky", Domain: "my", Overload: "two", Input: in, Output: out}},
			[]*pb.FunctionProto{leaky("one"), defaulted(leaky("two"))}, []float32{-.2, 0, 4}},
		"twice": {[]*pb.NodeProto{call("Leaky", in, []string{"h"}, slope), call("Leaky", []string{"h"}, out, slope)},
			[]*pb.FunctionProto{leaky("")}, []float32{-.5, 0, 4}},
		"nested, the attribute handed on": {[]*pb.NodeProto{call("Outer", in, out, floatAttr("s", 0.25))}, []*pb.FunctionProto{leaky(""),
			{Name: "Outer", Domain: "my", Input: []string{"a"}, Output: []string{"b"}, Attribute: []string{"s"}, Node: []*pb.NodeProto{
				call("Leaky", []string{"a"}, []string{"in"}, refAttr("slope", pb.AttrFloat, "s")), node("Neg", []string{"in"}, []string{"b"})}}},
			[]float32{.5, 0, -4}},
		"nested, the attribute not handed on": {[]*pb.NodeProto{call("Outer", in, out)}, []*pb.FunctionProto{defaulted(leaky("")),
			{Name: "Outer", Domain: "my", Input: []string{"a"}, Output: []string{"b"}, Attribute: []string{"s"}, Node: []*pb.NodeProto{
				call("Leaky", []string{"a"}, []string{"b"}, refAttr("slope", pb.AttrFloat, "s"))}}}, []float32{-.2, 0, 4}},
		"names of its own": {[]*pb.NodeProto{node("Abs", in, []string{"out"}), call("Leaky", in, []string{"in"}, slope), node("Add", []string{"out", "in"}, out)},
			[]*pb.FunctionProto{leaky("")}, []float32{1, 0, 8}},
		"input handed through": {[]*pb.NodeProto{call("Same", in, out)}, []*pb.FunctionProto{{Name: "Same", Domain: "my", Input: []string{"a"}, Output: []string{"a"}}},
			[]float32{-2, 0, 4}},
		"one input twice": {[]*pb.NodeProto{call("Sum2", []string{"x", "x"}, out)}, []*pb.FunctionProto{{Name: "Sum2", Domain: "my", Input: []string{"a", "b"},
			Output: []string{"c"}, Node: []*pb.NodeProto{node("Add", []string{"a", "b"}, []string{"c"})}}}, []float32{-4, 0, 8}},
		"fewer outputs": {[]*pb.NodeProto{call("Two", in, []string{"", "y"})}, []*pb.FunctionProto{{Name: "Two", Domain: "my", Input: []string{"a"},
			Output: []string{"b", "c"}, Node: []*pb.NodeProto{node("Neg", []string{"a"}, []string{"b"}), node("Abs", []string{"a"}, []string{"c"})}}}, []float32{2, 0, 4}},
		"omitted input": {[]*pb.NodeProto{call("Clip2", []string{"x", "", "x"}, out)}, []*pb.FunctionProto{{Name: "Clip2", Domain: "my", Input: []string{"a", "lo", "hi"},
			Output: []string{"b"}, Node: []*pb.NodeProto{node("Clip", []string{"a", "lo"}, []string{"c"}), node("Add", []string{"c", "hi"}, []string{"b"})}}}, []float32{-4, 0, 8}},
		"omitted input, in a branch": {[]*pb.NodeProto{call("Clip2", in, out)}, []*pb.FunctionProto{{Name: "Clip2", Domain: "my", Input: []string{"a", "lo"}, Output: []string{"b"},
			Node: []*pb.NodeProto{node("Constant", nil, []string{"yes"}, &pb.AttributeProto{Name: "value", Type: pb.AttrTensor, T: &pb.TensorProto{DataType: pb.Bool, Int32Data: []int32{1}}}),
				node("If", []string{"yes"}, []string{"b"}, graphAttr("then_branch", branchOf("p", node("Clip", []string{"a", "lo"}, []string{"p"}))),
					graphAttr("else_branch", branchOf("q", node("Neg", []string{"a"}, []string{"q"}))))}}}, []float32{-2, 0, 4}},
		"attribute in a branch": {[]*pb.NodeProto{call("Cond", in, out, slope)}, []*pb.FunctionProto{{Name: "Cond", Domain: "my", Input: []string{"a"}, Output: []string{"b"},
			Attribute: []string{"slope"}, Node: []*pb.NodeProto{
				node("Constant", nil, []string{"yes"}, &pb.AttributeProto{Name: "value", Type: pb.AttrTensor, T: &pb.TensorProto{DataType: pb.Bool, Int32Data: []int32{1}}}),
				node("If", []string{"yes"}, []string{"b"}, graphAttr("then_branch", branchOf("p", node("LeakyRelu", []string{"a"}, []string{"p"}, refAttr("alpha", pb.AttrFloat, "slope")))),
					graphAttr("else_branch", branchOf("q", node("Neg", []string{"a"}, []string{"q"}))))}}}, []float32{-1, 0, 4}},
		"operator set of its own": {[]*pb.NodeProto{call("Old", in, out)}, []*pb.FunctionProto{{Name: "Old", Domain: "my", Input: []string{"a"}, Output: []string{"b"},
			OpsetImport: []*pb.OperatorSetIdProto{{Version: 6}}, Node: []*pb.NodeProto{node("Clip", []string{"a"}, []string{"b"}, floatAttr("max", 1))}}}, []float32{-2, 0, 1}},
		"of an operator of the standard that is too new": {[]*pb.NodeProto{node("Swish", in, []string{"h"}), node("Neg", in, out)},
			[]*pb.FunctionProto{{Name: "Swish", Input: []string{"a"}, Output: []string{"b"}, Node: []*pb.NodeProto{node("Abs", []string{"a"}, []string{"b"})}}}, []float32{2, 0, -4}},
		"in a branch of the model": {[]*pb.NodeProto{node("If", []string{"cond"}, out, graphAttr("then_branch", branchOf("in", call("Leaky", in, []string{"in"}, slope))),
			graphAttr("else_branch", branchOf("q", node("Neg", in, []string{"q"}))))}, []*pb.FunctionProto{leaky("")}, []float32{-1, 0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(tc.nodes...)
			m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: "my", Version: 1})
			m.Functions = tc.funcs
			m.Graph.Initializer = []*pb.TensorProto{{Name: "cond", DataType: pb.Bool, Int32Data: []int32{1}}}
			g, err := read(m)
			require.NoError(t, err)
			require.NoError(t, g.Verify())
			require.InDeltaSlice(t, tc.want, tensor.As[float32](run(t, g, f32([]int{1, 3}, -2, 0, 4))), 1e-6)
			require.Equal(t, "y", g.Outputs[0].Name)
		})
	}
}

// defaulted gives the function's slope a default of 0.1.
func defaulted(f *pb.FunctionProto) *pb.FunctionProto {
	f.Attribute, f.AttributeProto = nil, []*pb.AttributeProto{floatAttr("slope", 0.1)}
	return f
}

// TestShadows: a name in a branch or body that is also one outside means the inner value.
func TestShadows(t *testing.T) {
	in, out := []string{"x"}, []string{"y"}
	for name, tc := range map[string]struct {
		nodes []*pb.NodeProto
		want  []float32
	}{
		"of a node": {[]*pb.NodeProto{node("Abs", in, []string{"h"}), node("If", []string{"cond"}, []string{"r"},
			graphAttr("then_branch", branchOf("h", node("Neg", in, []string{"h"}))), graphAttr("else_branch", branchOf("q", node("Relu", in, []string{"q"})))),
			node("Add", []string{"h", "r"}, out)}, []float32{4, 0, 0}},
		"of the result": {[]*pb.NodeProto{node("If", []string{"cond"}, out,
			graphAttr("then_branch", branchOf("y", node("Neg", in, []string{"y"}))), graphAttr("else_branch", branchOf("y", node("Relu", in, []string{"y"}))))}, []float32{2, 0, -4}},
		"a captured value as the result": {[]*pb.NodeProto{node("Abs", in, []string{"h"}), node("If", []string{"cond"}, out,
			graphAttr("then_branch", branchOf("h")), graphAttr("else_branch", branchOf("x")))}, []float32{2, 0, 4}},
		"two deep": {[]*pb.NodeProto{node("Abs", in, []string{"h"}), node("If", []string{"cond"}, out,
			graphAttr("then_branch", branchOf("k", node("If", []string{"cond"}, []string{"k"},
				graphAttr("then_branch", branchOf("k", node("Add", []string{"h", "x"}, []string{"k"}))), graphAttr("else_branch", branchOf("x"))))),
			graphAttr("else_branch", branchOf("x")))}, []float32{0, 0, 8}},
		"defined behind its use outside": {[]*pb.NodeProto{node("If", []string{"cond"}, out,
			graphAttr("then_branch", branchOf("k", node("Neg", []string{"h"}, []string{"k"}))), graphAttr("else_branch", branchOf("x"))), node("Abs", in, []string{"h"})},
			[]float32{-2, 0, -4}},
		"body's initializer": {[]*pb.NodeProto{node("If", []string{"cond"}, out, graphAttr("then_branch", &pb.GraphProto{Name: "b",
			Initializer: []*pb.TensorProto{floats(t, "w", []float32{10}, 1)}, Node: []*pb.NodeProto{node("Mul", []string{"x", "w"}, []string{"k"})},
			Output: []*pb.ValueInfoProto{{Name: "k"}}}), graphAttr("else_branch", branchOf("w")))}, []float32{-20, 0, 40}},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(tc.nodes...)
			m.Graph.Initializer = []*pb.TensorProto{{Name: "cond", DataType: pb.Bool, Int32Data: []int32{1}}, floats(t, "w", []float32{1, 1, 1}, 1, 3)}
			g, err := read(m)
			require.NoError(t, err)
			require.NoError(t, g.Verify())
			require.Equal(t, tc.want, tensor.As[float32](run(t, g, f32([]int{1, 3}, -2, 0, 4))))
		})
	}
}
