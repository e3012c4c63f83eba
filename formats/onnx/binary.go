package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// binaryRows is the operators of two or more operands that broadcast.
func binaryRows() []row {
	rows := []row{
		auto("BitShift", 11, ops.BitShift{}),
		auto("BitwiseAnd", 18, ops.BitwiseAnd{}),
		auto("BitwiseOr", 18, ops.BitwiseOr{}),
		auto("BitwiseXor", 18, ops.BitwiseXor{}),
		auto("GreaterOrEqual", 12, ops.GreaterOrEqual{}),
		auto("LessOrEqual", 12, ops.LessOrEqual{}),
		auto("Max", 1, ops.Max{}),
		auto("Mean", 1, ops.Mean{}),
		auto("Min", 1, ops.Min{}),
		auto("Mod", 10, ops.Mod{}),
		auto("Sum", 1, ops.Sum{}),
		auto("Where", 9, ops.Where{}),
	}
	for _, r := range []row{
		auto("Add", 7, ops.Add{}),
		auto("And", 7, ops.And{}),
		auto("Div", 7, ops.Div{}),
		auto("Equal", 7, ops.Equal{}),
		auto("Greater", 7, ops.Greater{}),
		auto("Less", 7, ops.Less{}),
		auto("Mul", 7, ops.Mul{}),
		auto("Or", 7, ops.Or{}),
		auto("Pow", 7, ops.Pow{}),
		auto("Sub", 7, ops.Sub{}),
		auto("Xor", 7, ops.Xor{}),
	} {
		op := r.op
		rows = append(rows, r, row{name: r.name, since: 1, until: 6, imp: func(n *Node) []*graph.Value {
			return importBroadcast1(n, op)
		}})
	}
	return rows
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
