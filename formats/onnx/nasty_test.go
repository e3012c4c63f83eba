package onnx_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
)

func typed(dt pb.DataType, v *pb.ValueInfoProto) *pb.ValueInfoProto {
	v.Type.TensorType.ElemType = dt
	return v
}

func named(name string, p *pb.NodeProto) *pb.NodeProto {
	p.Name = name
	return p
}

// nasty is small models each of which has something wrong, or odd.
func nasty(t *testing.T) map[string]*pb.ModelProto {
	out := map[string]*pb.ModelProto{}
	add := func(name string, m *pb.ModelProto, change ...func(m *pb.ModelProto)) {
		for _, c := range change {
			c(m)
		}
		out[name] = m
	}
	in, y := []string{"x"}, []string{"y"}
	weight := func(name string, dims ...int) func(m *pb.ModelProto) {
		return func(m *pb.ModelProto) {
			n := 1
			for _, d := range dims {
				n *= d
			}
			m.Graph.Initializer = append(m.Graph.Initializer, floats(t, name, make([]float32, n), dims...))
		}
	}
	opset := func(v int64) func(m *pb.ModelProto) {
		return func(m *pb.ModelProto) { m.OpsetImport[0].Version = v }
	}
	input := func(v ...*pb.ValueInfoProto) func(m *pb.ModelProto) {
		return func(m *pb.ModelProto) { m.Graph.Input = append(m.Graph.Input, v...) }
	}
	add("unknown-domain", model(&pb.NodeProto{OpType: "Fancy", Domain: "com.acme", Name: "f1", Input: in, Output: y}))
	add("unknown-domain-imported", model(&pb.NodeProto{OpType: "Fancy", Domain: "com.acme", Name: "f1", Input: in, Output: y}), func(m *pb.ModelProto) {
		m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: "com.acme", Version: 3})
	})
	add("future-opset", model(node("Relu", in, y)), opset(99))
	add("negative-opset", model(node("Relu", in, y)), opset(-3))
	add("zero-opset", model(node("Relu", in, y)), opset(0))
	add("opset-twice", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Version: 7}) })
	add("future-ir", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.IRVersion = 999 })
	add("wrong-attr-type", model(named("sm", node("Softmax", in, y, floatAttr("axis", 1)))))
	add("unknown-attr", model(named("sm", node("Softmax", in, y, intAttr("axis", 1), intAttr("temperature", 1)))))
	add("missing-attr", model(named("c", node("Concat", []string{"x", "x"}, y))))
	add("missing-attr-cast", model(named("c", node("Cast", in, y))))
	add("bad-enum", model(named("c", node("Conv", []string{"x", "w"}, y, stringAttr("auto_pad", "SOMETIMES")))), weight("w", 1, 1, 3))
	add("too-few-inputs", model(named("mm", node("MatMul", in, y))))
	add("no-inputs", model(named("r", node("Relu", nil, y))))
	add("too-many-inputs", model(named("r", node("Relu", []string{"x", "x", "x"}, y))))
	add("too-many-outputs", model(named("r", node("Relu", in, []string{"y", "z"}))))
	add("no-outputs", model(named("r", node("Relu", in, nil))))
	add("type-mismatch", model(named("add1", node("Add", []string{"x", "i"}, y))), input(typed(pb.Int64, info("i", "N", 3))))
	add("shape-mismatch", model(named("add1", node("Add", []string{"x", "w"}, y))), weight("w", 4))
	add("matmul-mismatch", model(named("fc", node("MatMul", []string{"x", "w"}, y))), weight("w", 4, 2))
	add("gemm-mismatch", model(named("fc", node("Gemm", []string{"x", "w", "b"}, y, intAttr("transB", 1)))), weight("w", 2, 3), weight("b", 5))
	add("conv-mismatch", model(named("c", node("Conv", []string{"img", "w"}, y))), weight("w", 8, 4, 3, 3), input(info("img", 1, 3, 8, 8)))
	add("conv-too-small", model(named("c", node("Conv", []string{"img", "w"}, y))), weight("w", 8, 3, 9, 9), input(info("img", 1, 3, 8, 8)))
	add("reshape-mismatch", model(named("rs", node("Reshape", []string{"img", "s"}, y))), input(info("img", 1, 3, 8, 8)), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: "s", DataType: pb.Int64, Dims: []int64{2}, Int64Data: []int64{7, -1}})
	})
	add("value-info-disagrees", model(named("r1", node("Relu", in, []string{"h"})), named("r2", node("Relu", []string{"h"}, y))), func(m *pb.ModelProto) {
		m.Graph.ValueInfo = []*pb.ValueInfoProto{info("h", 5, 7)}
	})
	add("output-info-disagrees", model(named("r1", node("Relu", in, y))), func(m *pb.ModelProto) { m.Graph.Output[0] = info("y", 5, 7, 9) })
	add("output-type-disagrees", model(named("r1", node("Relu", in, y))), func(m *pb.ModelProto) { m.Graph.Output[0] = typed(pb.Int64, info("y", "N", 3)) })
	add("cycle", model(named("a", node("Add", []string{"x", "q"}, []string{"p"})), named("b", node("Relu", []string{"p"}, []string{"q"})), named("c", node("Relu", []string{"q"}, y))))
	add("duplicate-output", model(named("a", node("Relu", in, y)), named("b", node("Tanh", in, y))))
	add("output-is-input-name", model(named("a", node("Relu", in, in)), named("b", node("Tanh", in, y))))
	add("output-undefined", model(named("a", node("Relu", in, []string{"z"}))))
	add("input-undefined", model(named("a", node("Add", []string{"x", "nowhere"}, y))))
	add("no-nodes", model())
	add("no-graph-outputs", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.Graph.Output = nil })
	cond := input(typed(pb.Bool, info("cond")))
	add("if-types-differ", model(named("if1", node("If", []string{"cond"}, y, graphAttr("then_branch", branchOf("p", node("Neg", in, []string{"p"}))),
		graphAttr("else_branch", branchOf("q", node("Cast", in, []string{"q"}, intAttr("to", 7))))))), cond)
	add("if-ranks-differ", model(named("if1", node("If", []string{"cond"}, y, graphAttr("then_branch", branchOf("p", node("Neg", in, []string{"p"}))),
		graphAttr("else_branch", branchOf("q", node("Flatten", in, []string{"f"}), node("ReduceSum", []string{"f"}, []string{"q"}, intAttr("keepdims", 0))))))), cond)
	add("if-without-else", model(named("if1", node("If", []string{"cond"}, y, graphAttr("then_branch", branchOf("p", node("Neg", in, []string{"p"})))))), cond)
	add("if-cond-float", model(named("if1", node("If", in, y, graphAttr("then_branch", branchOf("p", node("Neg", in, []string{"p"}))), graphAttr("else_branch", branchOf("q", node("Abs", in, []string{"q"})))))))
	add("if-counts-differ", model(named("if1", node("If", []string{"cond"}, []string{"y", "z"}, graphAttr("then_branch", branchOf("p", node("Neg", in, []string{"p"}))), graphAttr("else_branch", branchOf("q", node("Abs", in, []string{"q"})))))), cond)
	add("if-unsupported-inside", model(named("if1", node("If", []string{"cond"}, y, graphAttr("then_branch", branchOf("p", named("deep", node("Blurp", in, []string{"p"})))), graphAttr("else_branch", branchOf("q", node("Abs", in, []string{"q"})))))), cond)
	add("if-error-inside", model(named("if1", node("If", []string{"cond"}, y, graphAttr("then_branch", branchOf("p", named("deep", node("MatMul", []string{"x", "w"}, []string{"p"})))), graphAttr("else_branch", branchOf("q", node("Abs", in, []string{"q"})))))), cond, weight("w", 4, 4))
	add("loop-without-body", model(named("l", node("Loop", []string{"", "", "x"}, y))))
	add("loop-body-inputs", model(named("l", node("Loop", []string{"", "", "x"}, y, graphAttr("body", branchOf("p", node("Neg", in, []string{"p"})))))))
	add("scan-bad", model(named("s", node("Scan", in, y, intAttr("num_scan_inputs", 4), graphAttr("body", branchOf("p", node("Neg", in, []string{"p"})))))))
	add("huge-dims", model(named("r", node("Relu", []string{"big"}, y))), input(info("big", 1<<40, 1<<40)))
	add("huge-expand", model(named("e", node("Expand", []string{"x", "s"}, y))), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: "s", DataType: pb.Int64, Dims: []int64{3}, Int64Data: []int64{1 << 40, 1 << 20, 3}})
	})
	add("huge-constant-of-shape", model(named("e", node("ConstantOfShape", []string{"s"}, y))), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: "s", DataType: pb.Int64, Dims: []int64{2}, Int64Data: []int64{1 << 20, 1 << 20}})
	})
	add("negative-dims", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.Graph.Input[0] = info("x", -4, 3) })
	add("negative-initializer", model(node("Add", []string{"x", "w"}, y)), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: "w", DataType: pb.Float, Dims: []int64{-3}, FloatData: []float32{1, 2, 3}})
	})
	add("zero-size", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.Graph.Input[0] = info("x", 0, 3) })
	add("rank0", model(named("mm", node("MatMul", in, y))), func(m *pb.ModelProto) { m.Graph.Input[0] = info("x"); m.Graph.Node[0].Input = []string{"x", "x"} })
	for _, op := range []string{"Softmax", "Flatten", "Transpose", "ReduceSum", "Conv", "GlobalAveragePool", "BatchNormalization", "TopK", "Gather", "Split", "Concat", "LSTM", "Gemm", "Resize"} {
		op := op
		add("rank0-"+op, model(named("n", node(op, []string{"x", "x", "x", "x", "x"}[:map[string]int{"Conv": 2, "BatchNormalization": 5, "TopK": 2, "Gather": 2, "Concat": 2, "LSTM": 3, "Gemm": 2, "Resize": 3}[op]+map[string]int{"Softmax": 1, "Flatten": 1, "Transpose": 1, "ReduceSum": 1, "GlobalAveragePool": 1, "Split": 1}[op]], y))), func(m *pb.ModelProto) {
			m.Graph.Input[0] = info("x")
			if op == "Concat" {
				m.Graph.Node[0].Attribute = []*pb.AttributeProto{intAttr("axis", 0)}
			}
		})
	}
	ext := func(entries ...string) func(m *pb.ModelProto) {
		return func(m *pb.ModelProto) {
			p := &pb.TensorProto{Name: "w", DataType: pb.Float, Dims: []int64{3}, DataLocation: pb.LocationExternal}
			for i := 0; i < len(entries); i += 2 {
				p.ExternalData = append(p.ExternalData, &pb.StringStringEntryProto{Key: entries[i], Value: entries[i+1]})
			}
			m.Graph.Initializer = append(m.Graph.Initializer, p)
		}
	}
	for name, e := range map[string][]string{"outside": {"location", "../../../../etc/passwd"}, "absolute": {"location", "/etc/passwd"}, "symlink": {"location", "link.bin"}, "short": {"location", "short.bin"},
		"missing": {"location", "nothere.bin"}, "folder": {"location", "sub"}, "offset": {"location", "ok.bin", "offset", "99999"}, "length": {"location", "ok.bin", "length", "7"}, "none": {}, "negative": {"location", "ok.bin", "offset", "-4"},
		"ok": {"location", "ok.bin"}} {
		add("external-"+name, model(named("a", node("Add", []string{"x", "w"}, y))), ext(e...))
	}
	add("segment", model(named("a", node("Add", []string{"x", "w"}, y))), weight("w", 3), func(m *pb.ModelProto) { m.Graph.Initializer[0].Segment = &pb.Segment{Begin: 0, End: 2} })
	add("raw-too-short", model(named("a", node("Add", []string{"x", "w"}, y))), weight("w", 3), func(m *pb.ModelProto) { m.Graph.Initializer[0].RawData = m.Graph.Initializer[0].RawData[:7] })
	add("bad-dtype", model(named("a", node("Add", []string{"x", "w"}, y))), weight("w", 3), func(m *pb.ModelProto) { m.Graph.Initializer[0].DataType = 77 })
	add("gather-out-of-range", model(named("g", node("Gather", []string{"x", "i"}, y, intAttr("axis", 1)))), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: "i", DataType: pb.Int64, Dims: []int64{1}, Int64Data: []int64{7}})
	})
	add("axis-out-of-range", model(named("sm", node("Softmax", in, y, intAttr("axis", 5)))))
	add("perm-bad", model(named("t", node("Transpose", in, y, intsAttr("perm", 0, 0)))))
	add("slice-step-0", model(named("s", node("Slice", []string{"x", "i", "i", "i", "z"}, y))), func(m *pb.ModelProto) {
		for _, n := range []string{"i", "z"} {
			m.Graph.Initializer = append(m.Graph.Initializer, &pb.TensorProto{Name: n, DataType: pb.Int64, Dims: []int64{1}, Int64Data: []int64{0}})
		}
	})
	add("group-0", model(named("c", node("Conv", []string{"img", "w"}, y, intAttr("group", 0)))), weight("w", 8, 4, 3, 3), input(info("img", 1, 3, 8, 8)))
	add("kernel-0", model(named("c", node("MaxPool", []string{"img"}, y, intsAttr("kernel_shape", 0, 0)))), input(info("img", 1, 3, 8, 8)))
	add("strides-negative", model(named("c", node("MaxPool", []string{"img"}, y, intsAttr("kernel_shape", 2, 2), intsAttr("strides", -1, 1)))), input(info("img", 1, 3, 8, 8)))
	add("function-recursive", model(call("F", in, y)), func(m *pb.ModelProto) {
		m.Functions = []*pb.FunctionProto{{Name: "F", Domain: "my", Input: []string{"a"}, Output: []string{"b"}, Node: []*pb.NodeProto{call("F", []string{"a"}, []string{"b"})}}}
	})
	add("function-bad-inside", model(call("F", in, y)), func(m *pb.ModelProto) {
		m.Functions = []*pb.FunctionProto{{Name: "F", Domain: "my", Input: []string{"a"}, Output: []string{"b"}, Node: []*pb.NodeProto{named("k", node("Nope", []string{"a"}, []string{"b"}))}}}
	})
	add("many-unsupported", model(named("a", node("Nope", in, []string{"h"})), named("b", node("Gelu", []string{"h"}, []string{"i"})), &pb.NodeProto{OpType: "Fancy", Domain: "com.acme", Name: "c", Input: in, Output: []string{"j"}},
		named("d", node("Upsample", in, []string{"k"})), named("e", node("Cast", in, y))), opset(18))
	add("input-without-type", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.Graph.Input[0].Type = nil })
	add("duplicate-input", model(node("Relu", in, y)), input(info("x", "N", 3)))
	add("duplicate-initializer", model(node("Add", []string{"x", "w"}, y)), weight("w", 3), weight("w", 3))
	add("string-to-relu", model(named("r", node("Relu", in, y))), func(m *pb.ModelProto) { m.Graph.Input[0] = typed(pb.String, info("x", "N")) })
	add("quant-zero-point", model(named("q", node("QuantizeLinear", []string{"x", "s", "z"}, y))), func(m *pb.ModelProto) {
		m.Graph.Initializer = append(m.Graph.Initializer, floats(t, "s", []float32{1}), &pb.TensorProto{Name: "z", DataType: pb.Float, Dims: nil, FloatData: []float32{1}})
	})
	add("einsum-bad", model(named("e", node("Einsum", []string{"x", "x"}, y, stringAttr("equation", "ij,kl->iq")))))
	add("training-info", model(node("Relu", in, y)), func(m *pb.ModelProto) { m.TrainingInfo = []*pb.TrainingInfoProto{{}} })
	return out
}

// TestRefusals: what is told of models that are wrong, or not supported: the place, and both sides.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	for name, s := range map[string]string{"ok.bin": "aaaabbbbcccc", "short.bin": "aaaa"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(s), 0o666))
	}
	require.NoError(t, os.Symlink("ok.bin", filepath.Join(dir, "link.bin")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o777))
	path := filepath.Join(dir, "m.onnx")
	for name, m := range nasty(t) {
		require.NoError(t, os.WriteFile(path, pb.Marshal(m), 0o666))
		_, err := onnx.ReadFile(path, onnx.Options{})
		if want := refusals[name]; want != "" {
			require.EqualError(t, err, path+": "+want, name)
		} else {
			require.NoError(t, err, name)
		}
	}
}

// refusals is what is told of each; those that are missing are read: what they do wrong decides nothing, or shows
// when they run.
var refusals = map[string]string{
	"axis-out-of-range":        "Softmax \"sm\": axis 5 is outside rank 2",
	"bad-dtype":                "ONNX: offset 31: graph.initializer[0].data_type: unknown enum value 77, largest known is 26 (INT2)",
	"bad-enum":                 "ONNX: not supported: Conv \"c\": auto_pad is \"SOMETIMES\" (operator set 21)",
	"conv-mismatch":            "Conv \"c\": 3 channels of the data float32[1,3,8,8] where the kernel float32[8,4,3,3] takes 4 in 1 groups",
	"conv-too-small":           "Conv \"c\": a kernel that spans 9 does not fit 8 with padding 0 and 0",
	"cycle":                    "ONNX: the nodes \"b\", \"a\" form a cycle: each reads what the one before it makes",
	"duplicate-initializer":    "ONNX: initializer \"w\" is defined twice",
	"duplicate-input":          "ONNX: input \"x\" is defined twice",
	"duplicate-output":         "ONNX: node \"b\" (Tanh): value \"y\" is defined twice",
	"einsum-bad":               "Einsum \"e\": \"ij,kl->iq\": output label 'q' is in no input",
	"external-absolute":        "ONNX: initializer \"w\": external data \"/etc/passwd\": the location must be a relative path without ..",
	"external-folder":          "ONNX: initializer \"w\": external data \"sub\": it is a folder",
	"external-length":          "ONNX: initializer \"w\": external data \"ok.bin\": length 7, but FLOAT[3] takes 12",
	"external-missing":         "ONNX: initializer \"w\": external data \"nothere.bin\": statat nothere.bin: no such file or directory",
	"external-negative":        "ONNX: initializer \"w\": external data: offset \"-4\" is no number of bytes",
	"external-none":            "ONNX: initializer \"w\": external data: no location",
	"external-offset":          "ONNX: initializer \"w\": external data \"ok.bin\": 12 bytes at offset 99999, but the file has 12",
	"external-outside":         "ONNX: initializer \"w\": external data \"../../../../etc/passwd\": the location must be a relative path without ..",
	"external-short":           "ONNX: initializer \"w\": external data \"short.bin\": 12 bytes at offset 0, but the file has 4",
	"external-symlink":         "ONNX: initializer \"w\": external data \"link.bin\": it is a symbolic link, which is not followed",
	"function-bad-inside":      "ONNX: not supported: Nope \"F_y/k\": unknown operator (operator set 21)",
	"function-recursive":       "ONNX: node \"F_y/F_b\": function my.F calls itself, or others that call it",
	"future-opset":             "ONNX: not supported: operator set \"ai.onnx\": version 99 is newer than 28, the last that is known",
	"gemm-mismatch":            "Gemm \"fc\": C does not broadcast: float32[5] to float32[N,2]",
	"group-0":                  "Conv \"c\": 3 channels of the data float32[1,3,8,8] where the kernel float32[8,4,3,3] takes 4 in 1 groups",
	"if-cond-float":            "If \"if1\": the condition is float32[N,3], not bool",
	"if-counts-differ":         "ONNX: not supported: If \"if1\": it has no output 1 (\"z\")",
	"if-error-inside":          "MatMul \"deep\": inner dims differ: float32[N,3] × float32[4,4]",
	"if-types-differ":          "If \"if1\": output 0 is float32[N,3] in then and int64[N,3] in else",
	"if-unsupported-inside":    "ONNX: not supported: Blurp \"deep\": unknown operator (operator set 21)",
	"if-without-else":          "ONNX: not supported: If \"if1\": it has no subgraph else_branch (operator set 21)",
	"input-undefined":          "ONNX: node \"a\" (Add) reads \"nowhere\": nothing defines it",
	"input-without-type":       "ONNX: input \"x\": no type is declared",
	"kernel-0":                 "MaxPool \"c\": kernel [0 0], strides [], dilations []: not all are positive",
	"loop-body-inputs":         "ONNX: not supported: Loop \"l\": subgraph \"branch\" has 0 inputs where 3 are fed (operator set 21)",
	"loop-without-body":        "ONNX: not supported: Loop \"l\": it has no subgraph body (operator set 21)",
	"many-unsupported":         "ONNX: 4 things are not supported: Nope \"a\": unknown operator (operator set 18); Gelu \"b\": new in operator set 20, the model has 18; com.acme.Fancy \"c\": unknown operator of domain \"com.acme\" (operator set 1); Upsample (as Resize) \"d\": takes either scales or sizes",
	"matmul-mismatch":          "MatMul \"fc\": inner dims differ: float32[N,3] × float32[4,2]",
	"missing-attr":             "ONNX: not supported: Concat \"c\": it has no axis (operator set 21)",
	"missing-attr-cast":        "ONNX: not supported: Cast \"c\": it has no attribute to (operator set 21)",
	"negative-initializer":     "ONNX: initializer \"w\": tensor: bad shape: negative dimension in [-3]",
	"negative-opset":           "ONNX: operator set -3 of domain \"ai.onnx\" is imported: there is none before 1",
	"no-inputs":                "Relu \"r\": takes 1 inputs, got 0",
	"no-nodes":                 "ONNX: output \"y\": nothing defines it",
	"no-outputs":               "ONNX: node \"r\" (Relu) has no outputs",
	"output-is-input-name":     "ONNX: node \"a\" (Relu): value \"x\" is defined twice",
	"output-type-disagrees":    "ONNX: output \"y\" is declared as int64[N,3], what makes it gives float32[N,3]",
	"output-undefined":         "ONNX: output \"y\": nothing defines it",
	"perm-bad":                 "Transpose \"t\": perm [0 0] is no permutation",
	"quant-zero-point":         "QuantizeLinear \"q\": quantizes to float32: neither an integer nor a float of 8 bits or less",
	"rank0":                    "MatMul \"mm\": rank 0 has no product: float32[] × float32[]",
	"rank0-BatchNormalization": "BatchNormalization \"n\": input 1: float32[] is not a vector of the 1 channels",
	"rank0-Conv":               "Conv \"n\": data of rank 0: takes a batch, channels, and at least one spatial dimension",
	"rank0-Flatten":            "Flatten \"n\": axis 1 of float32[]",
	"rank0-Gather":             "Gather \"n\": indices of float32",
	"rank0-Gemm":               "Gemm \"n\": float32[] is no matrix",
	"rank0-GlobalAveragePool":  "GlobalAveragePool \"n\": data of rank 0: takes a batch, channels, and at least one spatial dimension",
	"rank0-LSTM":               "LSTM \"n\": X, W and R have rank 3: float32[] × float32[] × float32[]",
	"rank0-Softmax":            "Softmax \"n\": axis -1 is outside rank 0",
	"rank0-Split":              "Split \"n\": axis 0 is outside rank 0",
	"rank0-TopK":               "TopK \"n\": axis -1 is outside rank 0",
	"raw-too-short":            "ONNX: initializer \"w\": 7 bytes of data, but float32[3] takes 12",
	"reshape-mismatch":         "Reshape \"rs\": the 192 elements of float32[1,3,8,8] do not fit shape [7 -1]",
	"scan-bad":                 "ONNX: not supported: Scan \"s\": num_scan_inputs is 4 of 1 inputs (operator set 21)",
	"segment":                  "ONNX: initializer \"w\": a segment of a larger tensor is not read",
	"shape-mismatch":           "Add \"add1\": shapes don't broadcast: float32[N,3] × float32[4]",
	"slice-step-0":             "Slice \"s\": a step of 0 on axis 0",
	"strides-negative":         "MaxPool \"c\": kernel [2 2], strides [-1 1], dilations []: not all are positive",
	"string-to-relu":           "Relu \"r\": input 0 is string, not a number",
	"too-few-inputs":           "MatMul \"mm\": takes 2 inputs, got 1",
	"too-many-inputs":          "Relu \"r\": takes 1 inputs, got 3",
	"too-many-outputs":         "ONNX: not supported: Relu \"r\": it has no output 1 (\"z\")",
	"training-info":            "ONNX: not supported: training_info: the file carries a training graph beside the model",
	"type-mismatch":            "Add \"add1\": input 1 is int64 where the first is float32",
	"unknown-attr":             "ONNX: not supported: Softmax \"sm\": unknown attribute temperature (operator set 21)",
	"unknown-domain":           "ONNX: not supported: com.acme.Fancy \"f1\": unknown operator of domain \"com.acme\" (operator set 1)",
	"unknown-domain-imported":  "ONNX: not supported: com.acme.Fancy \"f1\": unknown operator of domain \"com.acme\" (operator set 3)",
	"wrong-attr-type":          "ONNX: not supported: Softmax \"sm\": attribute axis is of type FLOAT, not INT (operator set 21)",
	"zero-opset":               "ONNX: operator set 0 of domain \"ai.onnx\" is imported: there is none before 1",
}
