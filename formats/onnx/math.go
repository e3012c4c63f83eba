package onnx

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// matmulRows is matrix products.
func matmulRows() []row {
	return []row{
		auto("MatMul", 1, ops.MatMul{}),
	}
}

func normRows() []row      { return nil }
func attentionRows() []row { return nil }
func sequenceRows() []row  { return nil }
func stringRows() []row    { return nil }
func quantRows() []row     { return nil }
func lossRows() []row      { return nil }
func mlRows() []row        { return nil }
func trainingRows() []row  { return nil }
func microsoftRows() []row { return nil }
func legacyRows() []row    { return nil }

// recurrentRows is recurrent networks. Up to version 6 an attribute said whether the sequence is an
// output, which the number of outputs says too.
func recurrentRows() []row {
	skip := func(n *Node) { n.Ignore("output_sequence") }
	return []row{
		autoWith("GRU", 1, ops.GRU{}, func(n *Node, op *ops.GRU) { skip(n) }),
		auto("GRU", 7, ops.GRU{}),
		autoWith("LSTM", 1, ops.LSTM{}, func(n *Node, op *ops.LSTM) { skip(n) }),
		auto("LSTM", 7, ops.LSTM{}),
		autoWith("RNN", 1, ops.RNN{}, func(n *Node, op *ops.RNN) { skip(n) }),
		auto("RNN", 7, ops.RNN{}),
	}
}

var _ graph.Op
