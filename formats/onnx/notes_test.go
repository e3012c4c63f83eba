package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
)

// TestNotes holds that what a file says of its model, graph, nodes and values is written again.
func TestNotes(t *testing.T) {
	prop := func(k, v string) []*pb.StringStringEntryProto {
		return []*pb.StringStringEntryProto{{Key: k, Value: v}}
	}
	first := node("Mul", []string{"x", "w"}, []string{"h"})
	first.Name, first.DocString, first.MetadataProps = "scale", "scales the input", prop("pkg.torch.onnx.fx_node", "mul")
	branch := func() *pb.GraphProto {
		n := node("Relu", []string{"h"}, []string{"z"})
		n.Name, n.DocString = "inner", "inside a branch"
		return &pb.GraphProto{Name: "branch", DocString: "a branch", Node: []*pb.NodeProto{n}, Output: []*pb.ValueInfoProto{info("z", "N", 3)}}
	}
	choose := node("If", []string{"c"}, []string{"y"}, graphAttr("then_branch", branch()), graphAttr("else_branch", branch()))
	choose.Name = "choose"
	m := model(first, choose)
	m.DocString, m.Domain, m.ModelVersion, m.ProducerName, m.ProducerVersion = "a model", "org.example", 7, "maker", "1.2"
	m.MetadataProps = prop("author", "me")
	g := m.Graph
	g.DocString, g.MetadataProps = "the graph", prop("k", "v")
	g.Initializer = []*pb.TensorProto{floats(t, "w", []float32{1, 2, 3})}
	g.Initializer[0].DocString, g.Initializer[0].MetadataProps = "weights", prop("unit", "m")
	cond := info("c")
	cond.Type.TensorType.ElemType = pb.Bool
	g.Input = append(g.Input, cond)
	g.Input[0].DocString, g.Input[0].Type.Denotation, g.Input[0].MetadataProps = "the input", "IMAGE", prop("range", "0-1")
	g.Input[0].Type.TensorType.Shape.Dim[0].Denotation = "DATA_BATCH"
	g.Output[0].DocString = "the output"
	g.ValueInfo = []*pb.ValueInfoProto{info("h", "N", 3)}
	g.ValueInfo[0].DocString = "in between"

	read, err := read(m)
	require.NoError(t, err)
	e, err := onnx.Encode(read, onnx.WriteOptions{Opset: 21})
	require.NoError(t, err)
	got := &pb.ModelProto{}
	require.NoError(t, pb.Unmarshal(e.Bytes(), got, pb.Limits{}))

	require.Equal(t, m.MetadataProps, got.MetadataProps)
	require.Equal(t, []any{m.DocString, m.Domain, m.ModelVersion, m.ProducerName, m.ProducerVersion},
		[]any{got.DocString, got.Domain, got.ModelVersion, got.ProducerName, got.ProducerVersion})
	h := got.Graph
	require.Equal(t, []any{g.Name, g.DocString, g.MetadataProps}, []any{h.Name, h.DocString, h.MetadataProps})
	require.Equal(t, g.Input, h.Input)
	require.Equal(t, g.Output, h.Output)
	require.Equal(t, g.ValueInfo, h.ValueInfo)
	require.Equal(t, []any{g.Initializer[0].DocString, g.Initializer[0].MetadataProps},
		[]any{h.Initializer[0].DocString, h.Initializer[0].MetadataProps})
	require.Len(t, h.Node, 2)
	require.Equal(t, first, h.Node[0])
	inner := h.Node[1].Attr("else_branch").G
	require.Equal(t, []string{"a branch", "inside a branch"}, []string{inner.DocString, inner.Node[0].DocString})
}
