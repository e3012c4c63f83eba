package onnx_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/tensor"
)

func floatAttr(name string, v float32) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrFloat, F: v}
}

func intsAttr(name string, vs ...int64) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrInts, Ints: vs}
}

func floatsAttr(name string, vs ...float32) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrFloats, Floats: vs}
}

func stringAttr(name, v string) *pb.AttributeProto {
	return &pb.AttributeProto{Name: name, Type: pb.AttrString, S: []byte(v)}
}

// f32 is a tensor of these dimensions and elements.
func f32(dims []int, vs ...float32) *tensor.Tensor { return tensor.Of(vs, dims...) }

// arange is a tensor of 0, 1, 2, ….
func arange(dims ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, dims...)
	for i := range tensor.As[float32](t) {
		tensor.As[float32](t)[i] = float32(i)
	}
	return t
}

// habit is a node as an old exporter wrote it: its inputs in order, of which all but the first are initializers
// where weights is set, and what it gives.
type habit struct {
	name    string
	opset   int64
	op      string
	attrs   []*pb.AttributeProto
	in      []*tensor.Tensor
	weights bool
	want    *tensor.Tensor
}

// of is a model of one node.
func (h habit) of(t *testing.T) *pb.ModelProto {
	n := &pb.NodeProto{OpType: h.op, Output: []string{"y"}, Attribute: h.attrs}
	m := &pb.ModelProto{IRVersion: 3, OpsetImport: []*pb.OperatorSetIdProto{{Version: h.opset}},
		Graph: &pb.GraphProto{Name: "g", Node: []*pb.NodeProto{n}, Output: []*pb.ValueInfoProto{{Name: "y"}}}}
	for i, x := range h.in {
		name := string(rune('a' + i))
		if x == nil {
			n.Input = append(n.Input, "")
			continue
		}
		n.Input = append(n.Input, name)
		p, err := pb.FromTensor(name, x)
		require.NoError(t, err)
		v := &pb.ValueInfoProto{Name: name, Type: &pb.TypeProto{TensorType: &pb.TensorType{ElemType: p.DataType, Shape: &pb.TensorShapeProto{}}}}
		for _, d := range p.Dims {
			v.Type.TensorType.Shape.Dim = append(v.Type.TensorType.Shape.Dim, &pb.Dimension{DimValue: pb.DimValue{Kind: pb.DimIsValue, Value: d}})
		}
		m.Graph.Input = append(m.Graph.Input, v)
		if h.weights && i > 0 {
			m.Graph.Initializer = append(m.Graph.Initializer, p)
		}
	}
	return m
}

// TestOldOperators: what operators meant in the versions of their time.
func TestOldOperators(t *testing.T) {
	img := arange(1, 1, 2, 2)
	for _, h := range oldOperators(img) {
		t.Run(h.name, func(t *testing.T) {
			g, err := read(h.of(t))
			require.NoError(t, err)
			var in []tensor.Value
			for i, x := range h.in {
				if x != nil && (i == 0 || !h.weights) {
					in = append(in, x)
				}
			}
			require.Len(t, g.Inputs, len(in))
			got := run(t, g, in...)
			require.Equal(t, h.want.Shape(), got.Shape())
			require.Equal(t, h.want.DType(), got.DType())
			a, err := got.Float64s()
			require.NoError(t, err)
			b, err := h.want.Float64s()
			require.NoError(t, err)
			assert.InDeltaSlice(t, b, a, 1e-5)
		})
	}
}

func oldOperators(img *tensor.Tensor) []habit {
	sq := func(v float64) float32 { return float32(v / math.Sqrt(1+1e-5)) }
	type attrs = []*pb.AttributeProto
	i64 := func(vs ...int64) *tensor.Tensor { return tensor.Of(vs) }
	return []habit{
		{"Add-1 along axis", 1, "Add", attrs{intAttr("broadcast", 1), intAttr("axis", 1), intsAttr("consumed_inputs", 0, 0)},
			[]*tensor.Tensor{arange(1, 2, 2), f32([]int{2}, 10, 20)}, false, f32([]int{1, 2, 2}, 10, 11, 22, 23)},
		{"Add-6 along axis -2", 6, "Add", attrs{intAttr("broadcast", 1), intAttr("axis", -2)},
			[]*tensor.Tensor{arange(1, 2, 2), f32([]int{2}, 10, 20)}, true, f32([]int{1, 2, 2}, 10, 11, 22, 23)},
		{"Mul-6 suffix", 6, "Mul", attrs{intAttr("broadcast", 1)}, []*tensor.Tensor{arange(2, 2), f32([]int{2}, 10, 20)}, true, f32([]int{2, 2}, 0, 20, 20, 60)},
		{"Sub-6 scalar of rank 1", 6, "Sub", attrs{intAttr("broadcast", 1), intAttr("axis", 0)}, []*tensor.Tensor{arange(2, 2), f32([]int{1}, 1)}, true, f32([]int{2, 2}, -1, 0, 1, 2)},
		{"Pow-1 along axis", 1, "Pow", attrs{intAttr("broadcast", 1), intAttr("axis", 0)}, []*tensor.Tensor{arange(2, 2), f32([]int{2}, 1, 2)}, true, f32([]int{2, 2}, 0, 1, 4, 9)},
		{"PRelu-6 by channel", 6, "PRelu", nil, []*tensor.Tensor{f32([]int{1, 2, 1, 2}, -1, 2, -3, 4), f32([]int{2}, 0.5, 0.1)}, true, f32([]int{1, 2, 1, 2}, -0.5, 2, -0.3, 4)},
		{"BatchNormalization-1", 1, "BatchNormalization", attrs{intAttr("is_test", 1), intAttr("spatial", 1), intsAttr("consumed_inputs", 0, 0, 0, 1, 1), floatAttr("epsilon", 1e-5)},
			[]*tensor.Tensor{img, f32([]int{1}, 2), f32([]int{1}, 1), f32([]int{1}, 1), f32([]int{1}, 1)}, true, f32([]int{1, 1, 2, 2}, 1-sq(2), 1, 1+sq(2), 1+sq(4))},
		{"BatchNormalization-7 of each element", 7, "BatchNormalization", attrs{intAttr("spatial", 0)},
			[]*tensor.Tensor{img, arange(1, 2, 2), arange(1, 2, 2), arange(1, 2, 2), f32([]int{1, 2, 2}, 1, 1, 1, 1)}, true, f32([]int{1, 1, 2, 2}, 0, 1, 2, 3)},
		{"Dropout-1 is_test", 1, "Dropout", attrs{intAttr("is_test", 1), floatAttr("ratio", 0.4), intsAttr("consumed_inputs", 0)}, []*tensor.Tensor{img}, false, img},
		{"Dropout-6", 6, "Dropout", attrs{floatAttr("ratio", 0.4)}, []*tensor.Tensor{img}, false, img},
		{"Dropout-7", 7, "Dropout", attrs{floatAttr("ratio", 0.4)}, []*tensor.Tensor{img}, false, img},
		{"Reshape-1", 1, "Reshape", attrs{intsAttr("shape", 0, -1), intsAttr("consumed_inputs", 0)}, []*tensor.Tensor{arange(2, 2, 2)}, false, arange(2, 4)},
		{"Upsample-1", 1, "Upsample", attrs{floatAttr("height_scale", 1), floatAttr("width_scale", 2), stringAttr("mode", "nearest")}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 2, 4}, 0, 0, 1, 1, 2, 2, 3, 3)},
		{"Upsample-7", 7, "Upsample", attrs{floatsAttr("scales", 1, 1, 1, 2), stringAttr("mode", "nearest")}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 2, 4}, 0, 0, 1, 1, 2, 2, 3, 3)},
		{"Upsample-7 linear", 7, "Upsample", attrs{floatsAttr("scales", 1, 1, 1, 2), stringAttr("mode", "linear")}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 2, 4}, 0, 0.5, 1, 1, 2, 2.5, 3, 3)},
		{"Upsample-9", 9, "Upsample", attrs{stringAttr("mode", "nearest")}, []*tensor.Tensor{img, f32([]int{4}, 1, 1, 1, 2)}, true, f32([]int{1, 1, 2, 4}, 0, 0, 1, 1, 2, 2, 3, 3)},
		{"Pad-1", 1, "Pad", attrs{intsAttr("paddings", 0, 1, 0, 0), floatAttr("value", 9)}, []*tensor.Tensor{arange(2, 1)}, false, f32([]int{2, 2}, 9, 0, 9, 1)},
		{"Pad-2", 2, "Pad", attrs{intsAttr("pads", 0, 1, 0, 0), stringAttr("mode", "edge")}, []*tensor.Tensor{arange(2, 1)}, false, f32([]int{2, 2}, 0, 0, 1, 1)},
		{"Pad-2 negative", 2, "Pad", attrs{intsAttr("pads", 0, -1, 0, 1)}, []*tensor.Tensor{arange(2, 2)}, false, f32([]int{2, 2}, 1, 0, 3, 0)},
		{"Slice-1", 1, "Slice", attrs{intsAttr("starts", -2), intsAttr("ends", 1000), intsAttr("axes", 1)}, []*tensor.Tensor{arange(1, 3)}, false, f32([]int{1, 2}, 1, 2)},
		{"Slice-1 without axes", 1, "Slice", attrs{intsAttr("starts", 0, 1), intsAttr("ends", 1, 3)}, []*tensor.Tensor{arange(2, 3)}, false, f32([]int{1, 2}, 1, 2)},
		{"Clip-1 no bounds", 1, "Clip", nil, []*tensor.Tensor{f32([]int{1}, -1e30)}, false, f32([]int{1}, -1e30)},
		{"Clip-6 max", 6, "Clip", attrs{floatAttr("max", 6), intsAttr("consumed_inputs")}, []*tensor.Tensor{f32([]int{2}, -7, 7)}, false, f32([]int{2}, -7, 6)},
		{"Unsqueeze-1", 1, "Unsqueeze", attrs{intsAttr("axes", 2, 0)}, []*tensor.Tensor{arange(3)}, false, arange(1, 3, 1)},
		{"Squeeze-1", 1, "Squeeze", attrs{intsAttr("axes", 0)}, []*tensor.Tensor{arange(1, 3, 1)}, false, arange(3, 1)},
		{"Squeeze-1 of all", 1, "Squeeze", nil, []*tensor.Tensor{arange(1, 3, 1)}, false, arange(3)},
		{"Gemm-1 bias by column", 1, "Gemm", attrs{intAttr("broadcast", 1), intAttr("transB", 1)}, []*tensor.Tensor{arange(1, 2), arange(2, 2), f32([]int{2}, 10, 20)}, true, f32([]int{1, 2}, 11, 23)},
		{"Gemm-6 bias of rank 0", 6, "Gemm", attrs{intAttr("broadcast", 1), floatAttr("beta", 2)}, []*tensor.Tensor{arange(1, 2), arange(2, 2), f32(nil, 10)}, true, f32([]int{1, 2}, 22, 23)},
		{"Cast-1", 1, "Cast", attrs{stringAttr("to", "INT64")}, []*tensor.Tensor{f32([]int{2}, 1.5, -1.5)}, false, i64(1, -1)},
		{"Cast-6", 6, "Cast", attrs{intAttr("to", 7)}, []*tensor.Tensor{f32([]int{2}, 1.5, -1.5)}, false, i64(1, -1)},
		{"Concat-1 axis 1", 1, "Concat", nil, []*tensor.Tensor{arange(1, 2), arange(1, 1)}, false, f32([]int{1, 3}, 0, 1, 0)},
		{"Split-1 sizes as input", 1, "Split", attrs{intAttr("axis", 0)}, []*tensor.Tensor{arange(3), f32([]int{1}, 3)}, false, arange(3)},
		{"Softmax-1 flattens", 1, "Softmax", nil, []*tensor.Tensor{tensor.New(tensor.Float32, 1, 2, 2)}, false, f32([]int{1, 2, 2}, .25, .25, .25, .25)},
		{"Hardmax-1 flattens", 1, "Hardmax", nil, []*tensor.Tensor{arange(1, 2, 2)}, false, f32([]int{1, 2, 2}, 0, 0, 0, 1)},
		{"Tile-1", 1, "Tile", nil, []*tensor.Tensor{arange(1, 2), f32(nil, 2), f32(nil, 1)}, true, f32([]int{1, 4}, 0, 1, 0, 1)},
		{"TopK-1", 1, "TopK", attrs{intAttr("k", 1), intAttr("axis", 0)}, []*tensor.Tensor{arange(3)}, false, f32([]int{1}, 2)},
		{"ReduceSum-1", 1, "ReduceSum", attrs{intsAttr("axes", 0), intAttr("keepdims", 0)}, []*tensor.Tensor{arange(2, 2)}, false, f32([]int{2}, 2, 4)},
		{"ReduceMax-11 negative", 11, "ReduceMax", attrs{intsAttr("axes", -1)}, []*tensor.Tensor{arange(2, 2)}, false, f32([]int{2, 1}, 1, 3)},
		{"ReduceSum-1 empty axes", 1, "ReduceSum", attrs{intsAttr("axes")}, []*tensor.Tensor{arange(2, 2)}, false, f32([]int{1, 1}, 6)},
		{"GlobalLpPool-1", 1, "GlobalLpPool", attrs{floatAttr("p", 1)}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 1, 1}, 6)},
		{"LpPool-1", 1, "LpPool", attrs{floatAttr("p", 1), intsAttr("kernel_shape", 2, 2)}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 1, 1}, 6)},
		{"AveragePool-1 pads don't count", 1, "AveragePool", attrs{intsAttr("kernel_shape", 2, 2), intsAttr("pads", 1, 1, 0, 0)}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 2, 2}, 0, .5, 1, 1.5)},
		{"MaxPool-1 NOTSET and pads", 1, "MaxPool", attrs{intsAttr("kernel_shape", 2, 2), intsAttr("pads", 1, 1, 0, 0), stringAttr("auto_pad", "NOTSET")}, []*tensor.Tensor{img}, false, img},
		{"Conv-1 SAME_LOWER", 1, "Conv", attrs{intsAttr("kernel_shape", 2, 2), stringAttr("auto_pad", "SAME_LOWER")}, []*tensor.Tensor{img, f32([]int{1, 1, 2, 2}, 1, 0, 0, 0)}, true, f32([]int{1, 1, 2, 2}, 0, 0, 0, 0)},
		{"InstanceNormalization-1", 1, "InstanceNormalization", attrs{intsAttr("consumed_inputs"), floatAttr("epsilon", 0)}, []*tensor.Tensor{f32([]int{1, 1, 2}, 1, 3), f32([]int{1}, 1), f32([]int{1}, 0)}, true, f32([]int{1, 1, 2}, -1, 1)},
		{"Sum-6", 6, "Sum", nil, []*tensor.Tensor{arange(2), arange(2), arange(2)}, false, f32([]int{2}, 0, 3)},
		{"Max-1 of one", 1, "Max", attrs{intsAttr("consumed_inputs")}, []*tensor.Tensor{arange(2)}, false, arange(2)},
		{"Constant-1", 1, "Scale", attrs{floatAttr("scale", 3)}, []*tensor.Tensor{arange(2)}, false, f32([]int{2}, 0, 3)},
		{"Selu-1", 1, "Selu", attrs{intsAttr("consumed_inputs")}, []*tensor.Tensor{f32([]int{1}, 1)}, false, f32([]int{1}, 1.0507)},
		{"Elu-1", 1, "Elu", attrs{intsAttr("consumed_inputs"), floatAttr("alpha", 2)}, []*tensor.Tensor{f32([]int{1}, -100)}, false, f32([]int{1}, -2)},
		{"Less-1", 1, "Less", attrs{intAttr("broadcast", 1)}, []*tensor.Tensor{arange(3), f32([]int{1}, 1)}, true, tensor.Of([]bool{true, false, false})},
		{"ArgMax-1", 1, "ArgMax", attrs{intAttr("axis", 0), intAttr("keepdims", 0)}, []*tensor.Tensor{f32([]int{3}, 1, 5, 5)}, false, tensor.Scalar(int64(1))},
		{"Flatten-1 axis 0", 1, "Flatten", attrs{intAttr("axis", 0)}, []*tensor.Tensor{arange(2, 2)}, false, arange(1, 4)},
		{"Resize-10", 10, "Resize", nil, []*tensor.Tensor{img, f32([]int{4}, 1, 1, 2, 1)}, true, f32([]int{1, 1, 4, 2}, 0, 1, 0, 1, 2, 3, 2, 3)},
		{"Resize-11 empty roi", 11, "Resize", attrs{stringAttr("coordinate_transformation_mode", "asymmetric"), stringAttr("nearest_mode", "floor")},
			[]*tensor.Tensor{img, tensor.New(tensor.Float32, 0), f32([]int{4}, 1, 1, 2, 1)}, true, f32([]int{1, 1, 4, 2}, 0, 1, 0, 1, 2, 3, 2, 3)},
		{"Resize-11 empty scales", 11, "Resize", attrs{stringAttr("coordinate_transformation_mode", "asymmetric"), stringAttr("nearest_mode", "floor")},
			[]*tensor.Tensor{img, tensor.New(tensor.Float32, 0), tensor.New(tensor.Float32, 0), i64(1, 1, 4, 2)}, true, f32([]int{1, 1, 4, 2}, 0, 1, 0, 1, 2, 3, 2, 3)},
		{"MeanVarianceNormalization-1", 1, "MeanVarianceNormalization", attrs{intAttr("across_channels", 1), intAttr("normalize_variance", 0)}, []*tensor.Tensor{img}, false, f32([]int{1, 1, 2, 2}, -1.5, -.5, .5, 1.5)},
	}
}

// TestWeightsAsInputs: files up to version 3 list their weights as inputs too; those that have no initializer are
// inputs in earnest, whatever the order.
func TestWeightsAsInputs(t *testing.T) {
	m := model(node("Mul", []string{"x", "w"}, []string{"h"}), node("Add", []string{"h", "b"}, []string{"y"}))
	m.Graph.Input = []*pb.ValueInfoProto{info("w", 3), info("b", 3), info("x", "N", 3)}
	m.Graph.Initializer = []*pb.TensorProto{floats(t, "w", []float32{1, 2, 3}, 3)}
	g, err := read(m)
	require.NoError(t, err)
	require.Len(t, g.Inputs, 2)
	require.Equal(t, []float32{7, 8, 9}, tensor.As[float32](run(t, g, f32([]int{3}, 7, 7, 7), f32([]int{1, 3}, 0, .5, 2./3))))
}

// TestNames: files without names, with names that repeat, and with names of other things are read.
func TestNames(t *testing.T) {
	relu := func(in, out, name string) *pb.NodeProto {
		return &pb.NodeProto{OpType: "Relu", Input: []string{in}, Output: []string{out}, Name: name}
	}
	for name, change := range map[string]func(m *pb.ModelProto){
		"none":         func(m *pb.ModelProto) { m.Graph.Name = "" },
		"twice":        func(m *pb.ModelProto) { m.Graph.Node = []*pb.NodeProto{relu("x", "h", "n"), relu("h", "y", "n")} },
		"of the value": func(m *pb.ModelProto) { m.Graph.Node = []*pb.NodeProto{relu("x", "h", "y"), relu("h", "y", "x")} },
		"unsorted":     func(m *pb.ModelProto) { m.Graph.Node = []*pb.NodeProto{relu("h", "y", ""), relu("x", "h", "")} },
		"value_info":   func(m *pb.ModelProto) { m.Graph.ValueInfo = []*pb.ValueInfoProto{{}, {Name: ""}, {Name: "h"}} },
		"unused output": func(m *pb.ModelProto) {
			m.Graph.Node = []*pb.NodeProto{{OpType: "MaxPool", Input: []string{"x"}}, relu("x", "y", "")}[1:]
		},
		"ir_version":   func(m *pb.ModelProto) { m.IRVersion = 0 },
		"opset_import": func(m *pb.ModelProto) { m.OpsetImport = nil },
		"neither":      func(m *pb.ModelProto) { m.OpsetImport, m.IRVersion = nil, 0 },
		"ai.onnx":      func(m *pb.ModelProto) { m.OpsetImport[0].Domain, m.Graph.Node[0].Domain = "ai.onnx", "ai.onnx" },
		"strange letters": func(m *pb.ModelProto) {
			m.Graph.Node = []*pb.NodeProto{relu("x", "a b/c:0\n\"é", "1"), relu("a b/c:0\n\"é", "y", "2")}
		},
		"ends in blanks": func(m *pb.ModelProto) { m.Graph.Node[0].Input = []string{"x", "", ""} },
		"output type":    func(m *pb.ModelProto) { m.Graph.Output[0].Type = nil },
		"empty doc":      func(m *pb.ModelProto) { m.Graph.Node[0].DocString = "" },
	} {
		t.Run(name, func(t *testing.T) {
			m := model(relu("x", "y", ""))
			change(m)
			g, err := read(m)
			require.NoError(t, err)
			require.NoError(t, g.Verify())
			require.Equal(t, []float32{0, 0, 5}, tensor.As[float32](run(t, g, f32([]int{1, 3}, -1, 0, 5))))
			require.Equal(t, "y", g.Outputs[0].Name)
		})
	}
}

// TestTensorFields: every field that may hold a tensor's elements.
func TestTensorFields(t *testing.T) {
	bits := func(vs ...int32) *pb.TensorProto { return &pb.TensorProto{Int32Data: vs} }
	for name, tc := range map[string]struct {
		p    *pb.TensorProto
		dt   pb.DataType
		want []float64
	}{
		"float_data":           {&pb.TensorProto{FloatData: []float32{1, -2, .5}}, pb.Float, []float64{1, -2, .5}},
		"raw_data":             {&pb.TensorProto{RawData: []byte{0, 0, 128, 63, 0, 0, 0, 192, 0, 0, 0, 63}}, pb.Float, []float64{1, -2, .5}},
		"double_data":          {&pb.TensorProto{DoubleData: []float64{1, -2, .5}}, pb.Double, []float64{1, -2, .5}},
		"int32_data":           {bits(1, -2, 3), pb.Int32, []float64{1, -2, 3}},
		"int8 in int32_data":   {bits(1, -2, 3), pb.Int8, []float64{1, -2, 3}},
		"uint8 in int32_data":  {bits(1, 254, 3), pb.Uint8, []float64{1, 254, 3}},
		"uint16 in int32_data": {bits(1, 65535, 3), pb.Uint16, []float64{1, 65535, 3}},
		"bool in int32_data":   {bits(1, 0, 2), pb.Bool, []float64{1, 0, 1}},
		"float16 bits":         {bits(0x3c00, 0xc000, 0x3800), pb.Float16, []float64{1, -2, .5}},
		"bfloat16 bits":        {bits(0x3f80, 0xc000, 0x3f00), pb.BFloat16, []float64{1, -2, .5}},
		"float8e4m3fn bits":    {bits(0x38, 0xc0, 0x30), pb.Float8E4M3FN, []float64{1, -2, .5}},
		"float8e5m2 bits":      {bits(0x3c, 0xc0, 0x38), pb.Float8E5M2, []float64{1, -2, .5}},
		"int4 by twos":         {bits(0xe1, 3), pb.Int4, []float64{1, -2, 3}},
		"uint4 by twos":        {bits(0xe1, 3), pb.Uint4, []float64{1, 14, 3}},
		"int4 raw":             {&pb.TensorProto{RawData: []byte{0xe1, 3}}, pb.Int4, []float64{1, -2, 3}},
		"float4e2m1 by twos":   {bits(0xc2, 1), pb.Float4E2M1, []float64{1, -2, .5}},
		"uint2 by fours":       {bits(0x39), pb.Uint2, []float64{1, 2, 3}},
		"int64_data":           {&pb.TensorProto{Int64Data: []int64{1, -2, 3}}, pb.Int64, []float64{1, -2, 3}},
		"uint64_data":          {&pb.TensorProto{Uint64Data: []uint64{1, 2, 3}}, pb.Uint64, []float64{1, 2, 3}},
		"uint32 wide":          {&pb.TensorProto{Uint64Data: []uint64{1, 2, 1<<32 - 1}}, pb.Uint32, []float64{1, 2, 1<<32 - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(node("Cast", []string{"w"}, []string{"y"}, intAttr("to", int64(pb.Double))))
			m.OpsetImport[0].Version = 25
			m.Graph.Output[0].Type = nil
			tc.p.Name, tc.p.DataType, tc.p.Dims = "w", tc.dt, []int64{3}
			m.Graph.Initializer = []*pb.TensorProto{tc.p}
			g, err := read(m)
			require.NoError(t, err)
			require.Equal(t, tc.want, tensor.As[float64](run(t, g, f32([]int{1, 3}, 0, 0, 0))))
		})
	}
}
