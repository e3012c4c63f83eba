package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// recurrentTrainOps is recurrent layers as training computes them: forward keeping what backward needs, and backward
// from that. Passes make them of a layer and its gradient; no format imports or exports them.
var recurrentTrainOps = []Info{
	{LSTMTrain{}, "LSTM that keeps its gates for the gradient"},
	{LSTMTrainGrad{}, "gradient of LSTMTrain"},
	{GRUTrain{}, "GRU that keeps its gates for the gradient"},
	{GRUTrainGrad{}, "gradient of GRUTrain"},
}

// LSTMTrain is LSTM with two more outputs: the gates' values [D, rows, 4H] in the order i, o, f, c, and the cell states
// [D, rows, H], for the rows of X in its own order, zero where a sequence has ended.
type LSTMTrain struct{ Of LSTM }

// LSTMTrainGrad is the gradient of LSTM. Inputs: those of LSTM (eight places), Y, gates and cell states of LSTMTrain,
// then dY, dY_h, dY_c; outputs: those of LSTMGrad, and the gradient at the gates' arguments, in the gates' place.
type LSTMTrainGrad struct{ Of LSTM }

// GRUTrain is GRU with LinearBeforeReset and one more output: the gates' values z, r, h, and the state's part of the
// candidate before it is reset, [D, rows, 4H].
type GRUTrain struct{ Of GRU }

// GRUTrainGrad is the gradient of GRU. Inputs: those of GRU (six places), Y and gates of GRUTrain, then dY, dY_h; outputs:
// those of GRUGrad, and the gradient at the gates' arguments and the state's part, in the gates' place.
type GRUTrainGrad struct{ Of GRU }

// Name implements graph.Op.
func (LSTMTrain) Name() string { return "LSTMTrain" }

// Name implements graph.Op.
func (LSTMTrainGrad) Name() string { return "LSTMTrainGrad" }

// Name implements graph.Op.
func (GRUTrain) Name() string { return "GRUTrain" }

// Name implements graph.Op.
func (GRUTrainGrad) Name() string { return "GRUTrainGrad" }

// MayAlias implements graph.Aliaser: the gates' gradient replaces the gates.
func (LSTMTrainGrad) MayAlias(in, out int) bool { return in == 9 && out == 7 }

// MayAlias implements graph.Aliaser: the gates' gradient replaces the gates.
func (GRUTrainGrad) MayAlias(in, out int) bool { return in == 7 && out == 5 }

// keptTypes is the types of values kept for each row of x: widths in hidden sizes.
func keptTypes(x, r graph.Type, widths ...int) []graph.Type {
	rows, d, h := graph.Unknown(), graph.Unknown(), graph.Unknown()
	if x.Rank() == 3 {
		rows = x.Dims[0].Mul(x.Dims[1])
	}
	if r.Rank() == 3 {
		d, h = r.Dims[0], r.Dims[2]
	}
	var out []graph.Type
	for _, w := range widths {
		out = append(out, graph.TensorOf(x.DType, d, rows, h.Mul(graph.D(w))))
	}
	return out
}

// Infer implements graph.Op.
func (o LSTMTrain) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 7); err != nil {
		return nil, err
	}
	ts, err := o.Of.Infer(in)
	if err != nil {
		return nil, err
	}
	return append(ts, keptTypes(in[0], in[2], 4, 1)...), nil
}

// Infer implements graph.Op.
func (o LSTMTrainGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 14 {
		return nil, errs.Errorf("takes 14 inputs, got %d", len(in))
	}
	ts, err := o.Of.Infer(in[:8])
	if err != nil {
		return nil, err
	}
	return append(gradTypes(in, ts[1], 4, 3, 2), keptTypes(in[0], in[2], 4)...), nil
}

// Infer implements graph.Op.
func (o GRUTrain) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 6); err != nil {
		return nil, err
	}
	ts, err := o.Of.Infer(in)
	if err != nil {
		return nil, err
	}
	return append(ts, keptTypes(in[0], in[2], 4)...), nil
}

// Infer implements graph.Op.
func (o GRUTrainGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 10 {
		return nil, errs.Errorf("takes 10 inputs, got %d", len(in))
	}
	ts, err := o.Of.Infer(in[:6])
	if err != nil {
		return nil, err
	}
	return append(gradTypes(in, ts[1], 3, 0, 1), keptTypes(in[0], in[2], 4)...), nil
}

// recurrentTrainSamples is the cases of recurrentTrainOps.
func recurrentTrainSamples() map[string][]Sample {
	return map[string][]Sample{
		"LSTMTrain": {
			Case(LSTMTrain{LSTM{HiddenSize: 3}}, F(4, 9, 2), F(1, 12, 2), F(1, 12, 3), F(1, 24)),
			Case(LSTMTrain{LSTM{HiddenSize: 2, Direction: "bidirectional"}}, F(3, 2, 2), F(2, 8, 2), F(2, 8, 2), F(2, 16),
				TV(tensor.Of([]int32{3, 2})), F(2, 2, 2), F(2, 2, 2))},
		"LSTMTrainGrad": {
			Case(LSTMTrainGrad{LSTM{HiddenSize: 3, Layout: 1}}, F(9, 4, 2), F(1, 12, 2), F(1, 12, 3), F(1, 24), SampleIn{}, SampleIn{}, SampleIn{}, SampleIn{},
				F(9, 4, 1, 3), FR(0, 1, 1, 36, 12), F(1, 36, 3), F(9, 4, 1, 3), SampleIn{}, SampleIn{}),
			Case(LSTMTrainGrad{LSTM{HiddenSize: 2, Direction: "bidirectional"}}, F(3, 2, 2), F(2, 8, 2), F(2, 8, 2), F(2, 16),
				TV(tensor.Of([]int32{3, 2})), F(2, 2, 2), F(2, 2, 2), SampleIn{},
				F(3, 2, 2, 2), FR(0, 1, 2, 6, 8), F(2, 6, 2), SampleIn{}, F(2, 2, 2), F(2, 2, 2))},
		"GRUTrain": {
			Case(GRUTrain{GRU{HiddenSize: 3, LinearBeforeReset: true}}, F(4, 9, 2), F(1, 9, 2), F(1, 9, 3), F(1, 18)),
			Case(GRUTrain{GRU{HiddenSize: 2, LinearBeforeReset: true, Direction: "bidirectional"}}, F(3, 2, 2), F(2, 6, 2), F(2, 6, 2), F(2, 12),
				TV(tensor.Of([]int32{3, 2})), F(2, 2, 2))},
		"GRUTrainGrad": {
			Case(GRUTrainGrad{GRU{HiddenSize: 3, LinearBeforeReset: true, Layout: 1}}, F(9, 4, 2), F(1, 9, 2), F(1, 9, 3), F(1, 18), SampleIn{}, SampleIn{},
				F(9, 4, 1, 3), FR(0, 1, 1, 36, 12), F(9, 4, 1, 3), SampleIn{}),
			Case(GRUTrainGrad{GRU{HiddenSize: 2, LinearBeforeReset: true, Direction: "bidirectional"}}, F(3, 2, 2), F(2, 6, 2), F(2, 6, 2), F(2, 12),
				TV(tensor.Of([]int32{3, 2})), F(2, 2, 2), F(3, 2, 2, 2), FR(0, 1, 2, 6, 8), SampleIn{}, F(2, 2, 2))},
	}
}
