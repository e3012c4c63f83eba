package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// reduceRows is reductions, cumulation and what normalises along an axis.
func reduceRows() []row {
	rows := []row{
		auto("ArgMax", 1, ops.ArgMax{Keepdims: true}),
		auto("ArgMin", 1, ops.ArgMin{Keepdims: true}),
		auto("CumProd", 26, ops.CumProd{}),
		auto("CumSum", 11, ops.CumSum{}),
		{name: "Hardmax", since: 1, imp: importFlattening(func(axis int) graph.Op { return ops.Hardmax{Axis: axis} })},
		auto("Hardmax", 13, ops.Hardmax{Axis: -1}),
		{name: "LogSoftmax", since: 1, imp: importFlattening(func(axis int) graph.Op { return ops.LogSoftmax{Axis: axis} })},
		auto("LogSoftmax", 13, ops.LogSoftmax{Axis: -1}),
		{name: "Softmax", since: 1, imp: importFlattening(func(axis int) graph.Op { return ops.Softmax{Axis: axis} })},
		auto("Softmax", 13, ops.Softmax{Axis: -1}),
	}
	for _, r := range []row{
		auto("ReduceL1", 18, ops.ReduceL1{Keepdims: true}),
		auto("ReduceL2", 18, ops.ReduceL2{Keepdims: true}),
		auto("ReduceLogSum", 18, ops.ReduceLogSum{Keepdims: true}),
		auto("ReduceLogSumExp", 18, ops.ReduceLogSumExp{Keepdims: true}),
		auto("ReduceMax", 18, ops.ReduceMax{Keepdims: true}),
		auto("ReduceMean", 18, ops.ReduceMean{Keepdims: true}),
		auto("ReduceMin", 18, ops.ReduceMin{Keepdims: true}),
		auto("ReduceProd", 18, ops.ReduceProd{Keepdims: true}),
		auto("ReduceSum", 13, ops.ReduceSum{Keepdims: true}),
		auto("ReduceSumSquare", 18, ops.ReduceSumSquare{Keepdims: true}),
	} {
		op := r.op
		rows = append(rows, r, row{name: r.name, since: 1, op: op, exp: axesAsAttribute, imp: func(n *Node) []*graph.Value {
			axes := n.Ints("axes")
			if len(axes) == 0 {
				axes = nil
			}
			return n.AddN(fill(n, op), trimmed(n.Input(0), n.optInts(axes))...)
		}})
	}
	return rows
}

// importFlattening reads the form of Softmax and its kin up to version 12: the tensor is taken as a matrix
// whose rows are the dimensions before axis.
func importFlattening(along func(axis int) graph.Op) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		axis, x := n.Int("axis", 1), n.Input(0)
		if axis == -1 || rank(x) >= 0 && axis == rank(x)-1 {
			return one(n.Add(along(-1), x))
		}
		flat := n.Add(along(-1), n.Add(ops.Flatten{Axis: axis}, x))
		return one(n.Add(ops.Reshape{}, flat, n.Add(ops.Shape{}, x)))
	}
}
