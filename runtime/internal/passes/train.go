package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/graph/rewrite"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// keepGates makes one pair of a recurrent layer and its gradient, where the layer keeps what the gradient would otherwise
// have to compute again.
func keepGates(g *graph.Graph, c Context) error {
	if !c.own(ops.LSTMTrain{}) || !c.own(ops.GRUTrain{}) {
		return nil
	}
	return rewrite.Apply(g, []rewrite.Rule{rewrite.On("lstm-gates", keepLSTM), rewrite.On("gru-gates", keepGRU),
		rewrite.On("lstm-grad", gradLSTM), rewrite.On("gru-grad", gradGRU)}, rewrite.Options{})
}

// sharing is another node of op O that has the same first operands as n, up to omitted ones at the end.
func sharing[O graph.Op](r *rewrite.Rewriter, n *graph.Node, operands int) *graph.Node {
	first := func(m *graph.Node) []*graph.Value {
		in := slices.Clone(m.In[:min(operands, len(m.In))])
		for len(in) < operands {
			in = append(in, nil)
		}
		return in
	}
	for _, m := range r.Uses(n.In[0]) {
		if _, ok := m.Op.(O); ok && m != n && slices.Equal(first(m), first(n)) {
			return m
		}
	}
	return nil
}

// plainCell reports whether a layer is such as the kernels of training forms take.
func plainCell(n *graph.Node, activations []string, usual ...string) bool {
	for i, a := range activations {
		if a != usual[i%len(usual)] {
			return false
		}
	}
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if !v.Type.Static() || i != 4 && v.Type.DType != tensor.Float32 || i == 4 && v.Type.DType != tensor.Int32 {
			return false
		}
	}
	return true
}

func keepLSTM(r *rewrite.Rewriter, n *graph.Node, op ops.LSTM) bool {
	if sharing[ops.LSTMGrad](r, n, 8) == nil || op.Clip != 0 || op.InputForget || input(n, 7) != nil || !plainCell(n, op.Activations, "Sigmoid", "Tanh", "Tanh") {
		return false
	}
	replaceOutputs(r, n, r.AddN(ops.LSTMTrain{Of: op}, n.In[:min(len(n.In), 7)]...))
	return true
}

func keepGRU(r *rewrite.Rewriter, n *graph.Node, op ops.GRU) bool {
	if sharing[ops.GRUGrad](r, n, 6) == nil || op.Clip != 0 || !op.LinearBeforeReset || !plainCell(n, op.Activations, "Sigmoid", "Tanh") {
		return false
	}
	replaceOutputs(r, n, r.AddN(ops.GRUTrain{Of: op}, n.In...))
	return true
}

func gradLSTM(r *rewrite.Rewriter, n *graph.Node, op ops.LSTMGrad) bool {
	layer := sharing[ops.LSTMTrain](r, n, 7)
	if layer == nil || n.In[7] != nil {
		return false
	}
	in := slices.Concat(n.In[:8], []*graph.Value{layer.Out[0], layer.Out[3], layer.Out[4]}, n.In[8:])
	replaceOutputs(r, n, r.AddN(ops.LSTMTrainGrad(op), in...))
	return true
}

func gradGRU(r *rewrite.Rewriter, n *graph.Node, op ops.GRUGrad) bool {
	layer := sharing[ops.GRUTrain](r, n, 6)
	if layer == nil {
		return false
	}
	in := slices.Concat(n.In[:6], []*graph.Value{layer.Out[0], layer.Out[2]}, n.In[6:])
	replaceOutputs(r, n, r.AddN(ops.GRUTrainGrad(op), in...))
	return true
}

// replaceOutputs puts the first of vs in place of n's outputs.
func replaceOutputs(r *rewrite.Rewriter, n *graph.Node, vs []*graph.Value) {
	for i, v := range n.Out {
		r.Replace(v, vs[i])
	}
}
