package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// binaryRows is the operators of two or more operands that broadcast.
func binaryRows() []row {
	rows := autos(binaryPlain)
	for _, r := range autos(broadcastPlain) {
		op := r.op
		rows = append(rows, r, row{name: r.name, since: 1, until: 6, imp: func(n *Node) []*graph.Value {
			return importBroadcast1(n, op)
		}})
	}
	return rows
}

// binaryPlain is those of binaryRows that are read as their fields say.
var binaryPlain = []plain{
	{"BitShift", 11, ops.BitShift{}},
	{"BitwiseAnd", 18, ops.BitwiseAnd{}},
	{"BitwiseOr", 18, ops.BitwiseOr{}},
	{"BitwiseXor", 18, ops.BitwiseXor{}},
	{"GreaterOrEqual", 12, ops.GreaterOrEqual{}},
	{"LessOrEqual", 12, ops.LessOrEqual{}},
	{"Max", 1, ops.Max{}},
	{"Mean", 1, ops.Mean{}},
	{"Min", 1, ops.Min{}},
	{"Mod", 10, ops.Mod{}},
	{"Sum", 1, ops.Sum{}},
	{"Where", 9, ops.Where{}},
}

// broadcastPlain is operators that had another form of broadcasting up to version 6.
var broadcastPlain = []plain{
	{"Add", 7, ops.Add{}},
	{"And", 7, ops.And{}},
	{"Div", 7, ops.Div{}},
	{"Equal", 7, ops.Equal{}},
	{"Greater", 7, ops.Greater{}},
	{"Less", 7, ops.Less{}},
	{"Mul", 7, ops.Mul{}},
	{"Or", 7, ops.Or{}},
	{"Pow", 7, ops.Pow{}},
	{"Sub", 7, ops.Sub{}},
	{"Xor", 7, ops.Xor{}},
}

// importBroadcast1 reads the first form of broadcasting: the second operand's dimensions lie in the
// first's, from axis on, or at its end.
func importBroadcast1(n *Node, op graph.Op) []*graph.Value {
	wide := n.Bool("broadcast", false)
	has, axis := n.Has("axis"), n.Int("axis", 0)
	a, b := n.Input(0), n.Input(1)
	if !wide || !has || b == nil || rank(b) == 0 {
		return n.AddN(op, n.In...)
	}
	if rank(a) < 0 || rank(b) < 0 {
		n.Refuse("broadcast along axis %d of a tensor of unknown rank", axis)
		return nil
	}
	if axis < 0 {
		axis += rank(a)
	}
	if axis < 0 || axis+rank(b) > rank(a) {
		n.Refuse("broadcast of %v along axis %d of %v", b.Type.WithoutValue(), axis, a.Type.WithoutValue())
		return nil
	}
	return n.AddN(op, a, n.trailingOnes(b, rank(a)-axis-rank(b)))
}
