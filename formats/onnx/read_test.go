package onnx_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// info describes a float input or output; a dimension of -1 is unknown, names are symbols.
func info(name string, dims ...any) *pb.ValueInfoProto {
	s := &pb.TensorShapeProto{}
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			s.Dim = append(s.Dim, &pb.Dimension{DimValue: pb.DimValue{Kind: pb.DimIsValue, Value: int64(d)}})
		case string:
			s.Dim = append(s.Dim, &pb.Dimension{DimValue: pb.DimValue{Kind: pb.DimIsParam, Param: d}})
		}
	}
	return &pb.ValueInfoProto{Name: name, Type: &pb.TypeProto{TensorType: &pb.TensorType{ElemType: pb.Float, Shape: s}}}
}

func node(op string, in, out []string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	return &pb.NodeProto{OpType: op, Input: in, Output: out, Attribute: attrs}
}

func intAttr(name string, v int64) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrInt, I: v}
}

func graphAttr(name string, g *pb.GraphProto) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrGraph, G: g}
}

// model is a model of operator set 21 from x to y.
func model(nodes ...*pb.NodeProto) *pb.ModelProto {
	return &pb.ModelProto{IRVersion: 10, OpsetImport: []*pb.OperatorSetIdProto{{Version: 21}}, Graph: &pb.GraphProto{
		Name: "g", Node: nodes, Input: []*pb.ValueInfoProto{info("x", "N", 3)}, Output: []*pb.ValueInfoProto{info("y", "N", 3)}}}
}

func read(m *pb.ModelProto, opts ...onnx.Options) (*graph.Graph, error) {
	o := onnx.Options{}
	if len(opts) > 0 {
		o = opts[0]
	}
	return onnx.ReadBytes(pb.Marshal(m), o)
}

func floats(t *testing.T, name string, vs []float32, dims ...int) *pb.TensorProto {
	t.Helper()
	p, err := pb.FromTensor(name, tensor.Of(vs, dims...))
	require.NoError(t, err)
	return p
}

func TestUnsupportedListsAll(t *testing.T) {
	m := model(node("Relu", []string{"x"}, []string{"a"}), node("Foo", []string{"a"}, []string{"b"}),
		node("Gelu", []string{"b"}, []string{"c"}), node("Relu", []string{"c"}, []string{"d"}, intAttr("odd", 1)),
		&pb.NodeProto{OpType: "Bar", Domain: "com.example", Name: "bar", Input: []string{"x"}, Output: []string{"y"}},
		node("Relu", []string{"x"}, []string{"e"}, intAttr("odd", 1)))
	m.OpsetImport[0].Version = 13
	_, err := read(m)
	var un *formats.UnsupportedError
	require.ErrorAs(t, err, &un)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.Len(t, un.Items, 4)
	require.Equal(t, `Foo "Foo_b": unknown operator (operator set 13)`, un.Items[0].String())
	require.Equal(t, `Gelu "Gelu_c": new in operator set 20, the model has 13`, un.Items[1].String())
	require.Equal(t, "com.example.Bar", un.Items[2].What)
	require.Equal(t, `Relu "Relu_e": unknown attribute odd (operator set 13)`, un.Items[3].String())
}

func TestNewerOpsetIsRefused(t *testing.T) {
	m := model(node("Relu", []string{"x"}, []string{"y"}))
	m.OpsetImport[0].Version = onnx.Opset + 1
	_, err := read(m)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "newer than")
}

// TestMissingOpset: files of the time of IR 3 that import nothing mean operator set 8, whose Add broadcasts.
func TestMissingOpset(t *testing.T) {
	m := model(node("Add", []string{"x", "x"}, []string{"y"}))
	m.IRVersion, m.OpsetImport = 3, nil
	g, err := read(m)
	require.NoError(t, err)
	require.Equal(t, ops.Add{}, g.Nodes[0].Op)
}

func TestTypeErrorNamesBothSides(t *testing.T) {
	m := model(node("MatMul", []string{"x", "w"}, []string{"y"}))
	m.Graph.Node[0].Name = "fc1"
	m.Graph.Initializer = []*pb.TensorProto{floats(t, "w", make([]float32, 8), 4, 2)}
	_, err := read(m)
	var te *graph.TypeError
	require.ErrorAs(t, err, &te)
	require.Equal(t, `MatMul "fc1": inner dims differ: float32[N,3] × float32[4,2]`, err.Error())
}

// TestCycle: nodes that wait for each other are named, and a node that waits for itself.
func TestCycle(t *testing.T) {
	_, err := read(model(node("Add", []string{"x", "c"}, []string{"a"}), node("Relu", []string{"a"}, []string{"b"}),
		node("Tanh", []string{"b"}, []string{"c"}), node("Abs", []string{"c"}, []string{"y"})))
	require.EqualError(t, err, `ONNX: the nodes "Relu_b", "Tanh_c", "Add_a" form a cycle: each reads what the one before it makes`)
	_, err = read(model(node("Add", []string{"x", "y"}, []string{"y"})))
	require.EqualError(t, err, `ONNX: node "Add_y" (Add) reads "y": it is the node's own output`)
	_, err = read(model(node("Add", []string{"x", "z"}, []string{"y"})))
	require.EqualError(t, err, `ONNX: node "Add_y" (Add) reads "z": nothing defines it`)
}

// TestCut: a file that was cut says so, where, and in which field.
func TestCut(t *testing.T) {
	b := pb.Marshal(model(node("Relu", []string{"x"}, []string{"y"})))
	whole := model(node("Relu", []string{"x"}, []string{"y"}))
	whole.OpsetImport = nil
	for n := 2; n < len(b); n++ {
		if n == len(pb.Marshal(whole)) {
			continue // between the graph and the operator sets: as files from before there were any
		}
		_, err := onnx.ReadBytes(b[:n], onnx.Options{})
		var fe *formats.FormatError
		require.ErrorAs(t, err, &fe, "%d bytes", n)
		require.Regexp(t, `cut short, in its field (graph|opset_import)|no graph`, err.Error(), "%d bytes", n)
	}
}

func TestDimensions(t *testing.T) {
	for name, want := range map[string]string{"batch": "batch", "None": "u_x_0", "": "u_x_0", "?": "u_x_0"} {
		m := model(node("Relu", []string{"x"}, []string{"y"}))
		m.Graph.Input = []*pb.ValueInfoProto{info("x", name, -1)}
		g, err := read(m)
		require.NoError(t, err)
		require.Equal(t, want, g.Inputs[0].Type.Dims[0].String())
		require.Equal(t, "u_x_1", g.Inputs[0].Type.Dims[1].String())
	}
}

func TestParams(t *testing.T) {
	m := model(node("Mul", []string{"x", "w"}, []string{"y"}))
	m.Graph.Initializer = []*pb.TensorProto{floats(t, "w", []float32{1, 2, 3})}
	m.Graph.Input = append(m.Graph.Input, info("w", 3)) // weights listed as inputs too
	g, err := read(m)
	require.NoError(t, err)
	require.Len(t, g.Inputs, 1)
	require.Equal(t, []float32{1, 2, 3}, tensor.As[float32](g.Param("w").Data))
}

func TestUnsortedNodes(t *testing.T) {
	g, err := read(model(node("Relu", []string{"a"}, []string{"y"}), node("Tanh", []string{"x"}, []string{"a"})))
	require.NoError(t, err)
	require.Equal(t, ops.Tanh{}, g.Nodes[0].Op)
}

// TestCaptures: what branches read from outside becomes inputs of both, constants stay inside.
func TestCaptures(t *testing.T) {
	branch := func(op string) *pb.GraphProto {
		return &pb.GraphProto{Name: op, Node: []*pb.NodeProto{node(op, []string{"x", "a"}, []string{"z" + op})},
			Output: []*pb.ValueInfoProto{info("z"+op, "N", 3)}}
	}
	m := model(node("Relu", []string{"x"}, []string{"a"}), node("If", []string{"cond"}, []string{"y"},
		graphAttr("then_branch", branch("Add")), graphAttr("else_branch", branch("Mul"))))
	m.Graph.Input = append(m.Graph.Input, &pb.ValueInfoProto{Name: "cond", Type: &pb.TypeProto{TensorType: &pb.TensorType{
		ElemType: pb.Bool, Shape: &pb.TensorShapeProto{}}}})
	g, err := read(m)
	require.NoError(t, err)
	n := g.Nodes[1]
	require.Len(t, n.In, 3)
	op := n.Op.(ops.If)
	for _, sub := range op.Subgraphs() {
		require.Equal(t, "x", sub.Inputs[0].Name)
		require.Equal(t, "a", sub.Inputs[1].Name)
	}
}

func TestFunctions(t *testing.T) {
	m := model(&pb.NodeProto{OpType: "Twice", Domain: "my", Name: "call", Input: []string{"x"}, Output: []string{"y"},
		Attribute: []*pb.AttributeProto{{Name: "slope", Type: pb.AttrFloat, F: 0.5}}})
	m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: "my", Version: 1})
	m.Functions = []*pb.FunctionProto{{Name: "Twice", Domain: "my", Input: []string{"in"}, Output: []string{"out"},
		Attribute: []string{"slope"}, Node: []*pb.NodeProto{
			node("LeakyRelu", []string{"in"}, []string{"h"}, &pb.AttributeProto{Name: "alpha", Type: pb.AttrFloat, RefAttrName: "slope"}),
			node("Add", []string{"h", "h"}, []string{"out"})}}}
	g, err := read(m)
	require.NoError(t, err)
	require.Equal(t, ops.LeakyRelu{Alpha: 0.5}, g.Nodes[0].Op)
	require.Equal(t, "call/h", g.Nodes[0].Out[0].Name)
	require.Equal(t, "y", g.Outputs[0].Name)
	// A function that calls itself ends in an error, not in a crash.
	m.Functions[0].Node[1] = &pb.NodeProto{OpType: "Twice", Domain: "my", Input: []string{"h"}, Output: []string{"out"}}
	_, err = read(m)
	require.ErrorContains(t, err, "function my.Twice calls itself")
}

func TestMalformed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(m *pb.ModelProto)
		want   string
	}{
		"no graph":     {func(m *pb.ModelProto) { m.Graph = nil }, "no graph"},
		"undefined":    {func(m *pb.ModelProto) { m.Graph.Node[0].Input[0] = "q" }, `reads "q": nothing defines it`},
		"output":       {func(m *pb.ModelProto) { m.Graph.Output[0].Name = "q" }, `output "q": nothing defines it`},
		"twice":        {func(m *pb.ModelProto) { m.Graph.Node = append(m.Graph.Node, m.Graph.Node[0]) }, "defined twice"},
		"cycle":        {func(m *pb.ModelProto) { m.Graph.Node[0].Input[0] = "y" }, "own output"},
		"no type":      {func(m *pb.ModelProto) { m.Graph.Input[0].Type = nil }, `input "x": no type is declared`},
		"element type": {func(m *pb.ModelProto) { m.Graph.Input[0].Type.TensorType.ElemType = 0 }, "no element type"},
		"rank":         {func(m *pb.ModelProto) { m.Graph.Input[0] = info("x", make([]any, 33)...) }, ""},
		"attribute twice": {func(m *pb.ModelProto) {
			m.Graph.Node[0].Attribute = []*pb.AttributeProto{intAttr("a", 1), intAttr("a", 2)}
		}, "given twice"},
		"huge tensor": {func(m *pb.ModelProto) {
			m.Graph.Initializer = []*pb.TensorProto{{Name: "w", DataType: pb.Float, Dims: []int64{1 << 40, 1 << 40}}}
		}, "overflows"},
		"short tensor": {func(m *pb.ModelProto) {
			m.Graph.Initializer = []*pb.TensorProto{{Name: "w", DataType: pb.Float, Dims: []int64{1 << 20}, RawData: []byte{1}}}
		}, `initializer "w"`},
		"external": {func(m *pb.ModelProto) {
			m.Graph.Initializer = []*pb.TensorProto{{Name: "w", DataType: pb.Float, Dims: []int64{1}, DataLocation: pb.LocationExternal,
				ExternalData: []*pb.StringStringEntryProto{{Key: "location", Value: "../../etc/passwd"}}}}
		}, `initializer "w"`},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(node("Relu", []string{"x"}, []string{"y"}))
			tc.change(m)
			_, err := read(m)
			if tc.want != "" {
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
	b := pb.Marshal(model(node("Relu", []string{"x"}, []string{"y"})))
	whole := 0
	for n := range b {
		if _, err := onnx.ReadBytes(b[:n], onnx.Options{}); err == nil {
			whole++ // the cut behind the graph, which leaves out opset_import, as some files do
		}
	}
	require.Equal(t, 1, whole)
}

// TestExternalData: weights in another file are found beside the model, in folders and file systems, and
// written there.
func TestExternalData(t *testing.T) {
	m := model(node("Mul", []string{"x", "w"}, []string{"y"}))
	m.Graph.Initializer = []*pb.TensorProto{floats(t, "w", []float32{1, 2, 3})}
	g, err := read(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "m.onnx")
	require.NoError(t, onnx.WriteFile(path, g, onnx.WriteOptions{External: true, ExternalFrom: 1}))
	again, err := onnx.ReadFile(path, onnx.Options{})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3}, tensor.As[float32](again.Param("w").Data))
	_, err = onnx.ReadFile(path, onnx.Options{NoExternal: true})
	require.Error(t, err)
	fsys := fstest.MapFS{}
	for _, name := range []string{"m.onnx", "m.onnx.data"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		require.NoError(t, err)
		fsys["dir/"+name] = &fstest.MapFile{Data: b}
	}
	again, err = onnx.ReadFS(fsys, "dir/m.onnx", onnx.Options{})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3}, tensor.As[float32](again.Param("w").Data))
}

// scaled is an operator of the caller's.
type scaled struct{ By float64 }

func (scaled) Name() string { return "Scaled" }

func (scaled) Infer(in []graph.Type) ([]graph.Type, error) {
	return []graph.Type{in[0].WithoutValue()}, nil
}

func TestCustomOp(t *testing.T) {
	m := model(&pb.NodeProto{OpType: "Scaled", Domain: "com.example", Input: []string{"x"}, Output: []string{"y"},
		Attribute: []*pb.AttributeProto{{Name: "by", Type: pb.AttrFloat, F: 2}}})
	custom := onnx.CustomOp{Domain: "com.example", Name: "Scaled", Import: func(n *onnx.Node) []*graph.Value {
		return n.AddN(scaled{By: n.Float("by", 1)}, n.In...)
	}}
	g, err := read(m, onnx.Options{Ops: []onnx.CustomOp{custom}})
	require.NoError(t, err)
	require.Equal(t, scaled{By: 2}, g.Nodes[0].Op)
	_, err = onnx.Encode(g, onnx.WriteOptions{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// FuzzRead: whatever the bytes are, reading ends with a graph or an error.
func FuzzRead(f *testing.F) {
	f.Add(pb.Marshal(model(node("Relu", []string{"x"}, []string{"y"}))))
	branch := &pb.GraphProto{Name: "b", Node: []*pb.NodeProto{node("Relu", []string{"x"}, []string{"z"})}, Output: []*pb.ValueInfoProto{info("z", "N", 3)}}
	f.Add(pb.Marshal(model(node("If", []string{"x"}, []string{"y"}, graphAttr("then_branch", branch), graphAttr("else_branch", branch)))))
	f.Add(pb.Marshal(model(node("Conv", []string{"x", "x"}, []string{"y"}), node("Gemm", []string{"x", "x", "x"}, []string{"z"}))))
	f.Add(pb.Marshal(model(node("Slice", []string{"x", "x", "x"}, []string{"y"}), node("Resize", []string{"x", "", "x"}, []string{"z"}))))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := onnx.ReadBytes(b, onnx.Options{Limits: formats.Options{MaxAlloc: 1 << 24, MaxNodes: 1000}})
		if err != nil {
			return
		}
		if err := g.Verify(); err != nil {
			t.Fatalf("the graph is not sound: %v", err)
		}
		if p, err := runtime.Compile(g.Clone(), ref.New(), runtime.Options{}); err == nil && p == nil {
			t.Fatal("neither a program nor an error")
		}
		if _, err := onnx.Encode(g, onnx.WriteOptions{}); err == nil && len(g.Outputs) == 0 && len(g.Nodes) > 0 {
			t.Log("a model without outputs")
		}
	})
}

func ExampleReadBytes() {
	b := pb.Marshal(model(node("Relu", []string{"x"}, []string{"h"}), node("Softmax", []string{"h"}, []string{"y"})))
	g, err := onnx.ReadBytes(b, onnx.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range g.Nodes {
		fmt.Printf("%s %v\n", n.Origin, n.Out[0].Type)
	}
	// Output:
	// Relu_h float32[N,3]
	// Softmax_y float32[N,3]
}

// TestResizeOld holds what the first Resize does with nearest neighbours: the example of the standard's text
// of that version, and one that grows along one axis and shrinks along the other.
func TestResizeOld(t *testing.T) {
	for _, tc := range []struct {
		scales []float32
		want   []float32
	}{
		{[]float32{1, 1, 0.6, 0.6}, []float32{1, 3}},
		{[]float32{1, 1, 1.5, 0.6}, []float32{1, 3, 1, 3, 5, 7}},
	} {
		m := model(node("Resize", []string{"x", "s"}, []string{"y"}))
		m.OpsetImport[0].Version = 10
		m.Graph.Input = []*pb.ValueInfoProto{info("x", 1, 1, 2, 4)}
		p, err := pb.FromTensor("s", tensor.Of(tc.scales, 4))
		require.NoError(t, err)
		m.Graph.Initializer = append(m.Graph.Initializer, p)
		g, err := read(m)
		require.NoError(t, err)
		got := run(t, g, tensor.Of([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, 1, 2, 4))
		require.Equal(t, tc.want, tensor.As[float32](got))
	}
}

// run is the first output of a graph on the reference device.
func run(t *testing.T, g *graph.Graph, in ...tensor.Value) *tensor.Tensor {
	t.Helper()
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	out, err := s.RunValues(t.Context(), in)
	require.NoError(t, err)
	return out[0].(*tensor.Tensor)
}

// TestScanLengths: the first Scan runs each batch entry as far as its length says; zeros follow.
func TestScanLengths(t *testing.T) {
	body := &pb.GraphProto{Name: "body", Node: []*pb.NodeProto{node("Add", []string{"s", "e"}, []string{"t"}), node("Identity", []string{"t"}, []string{"o"})},
		Input: []*pb.ValueInfoProto{info("s", 1), info("e", 1)}, Output: []*pb.ValueInfoProto{info("t", 1), info("o", 1)}}
	m := model(node("Scan", []string{"n", "s0", "x"}, []string{"last", "y"}, graphAttr("body", body), intAttr("num_scan_inputs", 1)))
	m.OpsetImport[0].Version = 8
	lens := info("n", 2)
	lens.Type.TensorType.ElemType = pb.Int64
	m.Graph.Input = []*pb.ValueInfoProto{lens, info("s0", 2, 1), info("x", 2, "T", 1)}
	m.Graph.Output = []*pb.ValueInfoProto{info("y", 2, "T", 1), info("last", 2, 1)}
	g, err := read(m)
	require.NoError(t, err)
	in := []tensor.Value{tensor.Of([]int64{3, 1}), tensor.Of([]float32{0, 10}, 2, 1), tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 2, 3, 1)}
	require.Equal(t, []float32{1, 3, 6, 14, 0, 0}, tensor.As[float32](run(t, g, in...)))
	g.Outputs = g.Outputs[1:]
	require.Equal(t, []float32{6, 14}, tensor.As[float32](run(t, g, in...)))
}

// TestSparseInput: a sparse input is fed as the tensor that it stands for.
func TestSparseInput(t *testing.T) {
	m := model(node("Relu", []string{"x"}, []string{"y"}))
	x := m.Graph.Input[0].Type
	m.Graph.Input[0].Type = &pb.TypeProto{SparseTensorType: &pb.SparseTensorType{ElemType: x.TensorType.ElemType, Shape: x.TensorType.Shape}}
	g, err := read(m)
	require.NoError(t, err)
	require.Equal(t, "float32[N,3]", g.Inputs[0].Type.String())
}
