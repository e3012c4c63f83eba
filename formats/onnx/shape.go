package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// shapeRows is operators that move elements without changing them, and those that make tensors.
func shapeRows() []row {
	return autos(shapePlain,
		row{name: "Concat", since: 1, imp: importConcat(1)},
		row{name: "Concat", since: 4, op: ops.Concat{}, imp: importConcat(0)},
		row{name: "Constant", since: 1, imp: importConstant},
		row{name: "Pad", since: 1, imp: importPad1("paddings")},
		row{name: "Pad", since: 2, imp: importPad1("pads")},
		row{name: "Range", since: 27, op: ops.Range{}, imp: importRange27},
		row{name: "Reshape", since: 1, imp: func(n *Node) []*graph.Value {
			shape := n.Ints("shape")
			if shape == nil {
				n.Refuse("it has no shape")
				return nil
			}
			return one(n.Add(ops.Reshape{}, n.Input(0), n.ints(shape...)))
		}},
		row{name: "Squeeze", since: 1, op: ops.Squeeze{}, exp: axesAsAttribute, imp: axesAttribute(ops.Squeeze{})},
		row{name: "Tile", since: 1, imp: importTile1},
		row{name: "Unsqueeze", since: 1, op: ops.Unsqueeze{}, exp: axesAsAttribute, imp: axesAttribute(ops.Unsqueeze{})},
	)
}

// shapePlain is those of shapeRows that are read as their fields say.
var shapePlain = []plain{
	{"ConstantOfShape", 9, ops.ConstantOfShape{}},
	{"Expand", 8, ops.Expand{}},
	{"EyeLike", 9, ops.EyeLike{}},
	{"Flatten", 1, ops.Flatten{Axis: 1}},
	{"OneHot", 9, ops.OneHot{Axis: -1}},
	{"Pad", 11, ops.Pad{Mode: "constant"}},
	{"Range", 11, ops.Range{}},
	{"Reshape", 5, ops.Reshape{}},
	{"ReverseSequence", 10, ops.ReverseSequence{BatchAxis: 1}},
	{"Shape", 1, ops.Shape{}},
	{"Size", 1, ops.Size{}},
	{"Squeeze", 13, ops.Squeeze{}},
	{"Tile", 6, ops.Tile{}},
	{"Transpose", 1, ops.Transpose{}},
	{"Trilu", 14, ops.Trilu{Upper: true}},
	{"Unsqueeze", 13, ops.Unsqueeze{}},
}

// axesAttribute reads axes that are an attribute where op takes them as its second input.
func axesAttribute(op graph.Op) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		return one(n.Add(op, trimmed(n.Input(0), n.optInts(n.Ints("axes")))...))
	}
}

// importConcat reads Concat; of a scalar among its inputs it makes a vector, as old exporters expect.
//
//go:noinline
func importConcat(def int) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		if def == 0 && !n.Has("axis") {
			n.Refuse("it has no axis")
			return nil
		}
		in := make([]*graph.Value, len(n.In))
		for i, v := range n.In {
			if in[i] = v; rank(v) == 0 {
				in[i] = n.Add(ops.Unsqueeze{}, v, n.ints(0))
			}
		}
		return one(n.Add(ops.Concat{Axis: n.Int("axis", def)}, in...))
	}
}

// importPad1 reads pads that are an attribute.
//
//go:noinline
func importPad1(name string) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		pads := n.Ints(name)
		if pads == nil {
			n.Refuse("it has no %s", name)
			return nil
		}
		op := ops.Pad{Mode: n.String("mode", "constant")}
		return one(n.Add(op, n.Input(0), n.ints(pads...), n.scalar(n.Float("value", 0), n.Input(0))))
	}
}

// importTile1 reads the first Tile: so many copies along one axis, both given as inputs.
func importTile1(n *Node) []*graph.Value {
	r := rank(n.Input(0))
	if r < 0 || len(n.In) != 3 || n.In[1] == nil || n.In[2] == nil {
		n.Refuse("it has %d inputs, of which the first has rank %d", len(n.In), r)
		return nil
	}
	index := func(v *graph.Value) *graph.Value {
		return n.Add(ops.Reshape{}, n.Add(ops.Cast{To: tensor.Int64, Saturate: true}, v), n.ints(1))
	}
	ones := make([]int, r)
	for i := range ones {
		ones[i] = 1
	}
	repeats := n.Add(ops.ScatterElements{Reduction: "none"}, n.ints(ones...), index(n.In[2]), index(n.In[1]))
	return one(n.Add(ops.Tile{}, n.Input(0), repeats))
}

// importRange27 reads Range whose half-precision numbers are computed in a wider type, which they always are.
func importRange27(n *Node) []*graph.Value {
	stash := n.DType("stash_type", tensor.Float32)
	half := n.Input(0) != nil && (n.In[0].Type.DType == tensor.Float16 || n.In[0].Type.DType == tensor.BFloat16)
	if half && stash != tensor.Float32 && stash != tensor.Float64 {
		n.Refuse("stash_type is %v, not float32 or float64", stash)
		return nil
	}
	return n.AddN(ops.Range{}, n.In...)
}

// gatherRows is operators that pick elements by index.
func gatherRows() []row {
	return autos(gatherPlain,
		row{name: "Scatter", since: 9, until: 10, imp: importScatter},
		row{name: "Scatter", since: 11, imp: importScatter},
		row{name: "TopK", since: 1, imp: importTopK1},
	)
}

// gatherPlain is those of gatherRows that are read as their fields say.
var gatherPlain = []plain{
	{"Compress", 9, ops.Compress{}},
	{"Gather", 1, ops.Gather{}},
	{"GatherElements", 11, ops.GatherElements{}},
	{"GatherND", 11, ops.GatherND{}},
	{"NonMaxSuppression", 10, ops.NonMaxSuppression{}},
	{"NonZero", 9, ops.NonZero{}},
	{"ScatterElements", 11, ops.ScatterElements{Reduction: "none"}},
	{"ScatterND", 11, ops.ScatterND{Reduction: "none"}},
	{"TopK", 10, ops.TopK{Axis: -1, Largest: true, Sorted: true}},
	{"Unique", 11, ops.Unique{Sorted: true}},
}

func importScatter(n *Node) []*graph.Value {
	return n.AddN(ops.ScatterElements{Axis: n.Int("axis", 0), Reduction: "none"}, n.In...)
}

func importTopK1(n *Node) []*graph.Value {
	if !n.Has("k") {
		n.Refuse("it has no k")
		return nil
	}
	return n.AddN(ops.TopK{Axis: n.Int("axis", -1), Largest: true, Sorted: true}, n.Input(0), n.ints(n.Int("k", 0)))
}

// sliceRows is cutting.
func sliceRows() []row {
	return autos(slicePlain,
		row{name: "Slice", since: 1, imp: importSlice1},
		row{name: "Split", since: 1, imp: importSplit1},
		row{name: "Split", since: 13, op: ops.Split{}, imp: importSplit13, exp: exportSplit},
		auto("Split", 18, ops.Split{}).adjusting(func(n *Node, op graph.Op) graph.Op {
			split, _ := op.(ops.Split)
			if split.NumOutputs == 0 {
				split.NumOutputs = n.NumOut
			}
			return split
		}).exports(exportSplit),
	)
}

// slicePlain is those of sliceRows that are read as their fields say.
var slicePlain = []plain{
	{"Slice", 10, ops.Slice{}},
}

func importSlice1(n *Node) []*graph.Value {
	starts, ends := n.Ints("starts"), n.Ints("ends")
	if starts == nil || ends == nil {
		n.Refuse("it has no starts or no ends")
		return nil
	}
	in := trimmed(n.Input(0), n.ints(starts...), n.ints(ends...), n.optInts(n.Ints("axes")))
	return one(n.Add(ops.Slice{}, in...))
}

// importSplit1 reads sizes that are an attribute; version 1 also allowed them as an input, of the type of what
// is split.
func importSplit1(n *Node) []*graph.Value {
	sizes := n.optInts(n.Ints("split"))
	if sizes == nil {
		if sizes = n.Input(1); sizes != nil && sizes.Type.DType != tensor.Int64 {
			sizes = n.Add(ops.Cast{To: tensor.Int64, Saturate: true}, sizes)
		}
	}
	return n.AddN(ops.Split{Axis: n.Int("axis", 0), NumOutputs: n.NumOut}, trimmed(n.Input(0), sizes)...)
}

func importSplit13(n *Node) []*graph.Value {
	return n.AddN(ops.Split{Axis: n.Int("axis", 0), NumOutputs: n.NumOut}, n.In...)
}
