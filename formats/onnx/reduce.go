package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// reduceRows is reductions, cumulation and what normalises along an axis.
func reduceRows() []row {
	rows := autos(cumulationPlain)
	for _, p := range flatteningPlain {
		rows = append(rows, auto(p.name, p.since, p.op), row{name: p.name, since: 1, imp: importFlattening(p.op)})
	}
	for _, r := range autos(reducePlain) {
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

// cumulationPlain is operators along an axis that is an attribute, or an input, in all versions.
var cumulationPlain = []plain{
	{"ArgMax", 1, ops.ArgMax{Keepdims: true}},
	{"ArgMin", 1, ops.ArgMin{Keepdims: true}},
	{"CumProd", 26, ops.CumProd{}},
	{"CumSum", 11, ops.CumSum{}},
}

// flatteningPlain is operators that took their input as a matrix up to version 12.
var flatteningPlain = []plain{
	{"Hardmax", 13, ops.Hardmax{Axis: -1}},
	{"LogSoftmax", 13, ops.LogSoftmax{Axis: -1}},
	{"Softmax", 13, ops.Softmax{Axis: -1}},
}

// reducePlain is reductions whose axes were an attribute before these versions.
var reducePlain = []plain{
	{"ReduceL1", 18, ops.ReduceL1{Keepdims: true}},
	{"ReduceL2", 18, ops.ReduceL2{Keepdims: true}},
	{"ReduceLogSum", 18, ops.ReduceLogSum{Keepdims: true}},
	{"ReduceLogSumExp", 18, ops.ReduceLogSumExp{Keepdims: true}},
	{"ReduceMax", 18, ops.ReduceMax{Keepdims: true}},
	{"ReduceMean", 18, ops.ReduceMean{Keepdims: true}},
	{"ReduceMin", 18, ops.ReduceMin{Keepdims: true}},
	{"ReduceProd", 18, ops.ReduceProd{Keepdims: true}},
	{"ReduceSum", 13, ops.ReduceSum{Keepdims: true}},
	{"ReduceSumSquare", 18, ops.ReduceSumSquare{Keepdims: true}},
}

// importFlattening reads the form of Softmax and its kin up to version 12: the tensor is taken as a matrix
// whose rows are the dimensions before axis, along which op works.
//
//go:noinline
func importFlattening(op graph.Op) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		axis, x := n.Int("axis", 1), n.Input(0)
		if axis == -1 || rank(x) >= 0 && axis == rank(x)-1 {
			return one(n.Add(op, x))
		}
		flat := n.Add(op, n.Add(ops.Flatten{Axis: axis}, x))
		return one(n.Add(ops.Reshape{}, flat, n.Add(ops.Shape{}, x)))
	}
}
