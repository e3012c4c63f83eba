package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// recurrentOps is the family of recurrent layers over whole sequences.
var recurrentOps = []Info{
	{RNN{}, "simple recurrent layer"},
	{GRU{}, "gated recurrent unit"},
	{LSTM{}, "long short-term memory"},
	{RNNGrad{}, "gradient of RNN"},
	{GRUGrad{}, "gradient of GRU"},
	{LSTMGrad{}, "gradient of LSTM"},
}

// RNN is ONNX's RNN: H_t = f(X_t W^T + H_{t-1} R^T + Wb + Rb). Inputs X [T,N,I], W [D,H,I], R [D,H,H],
// B [D,2H], sequence_lens [N], initial_h [D,N,H]; outputs Y [T,D,N,H] and Y_h [D,N,H]. With Layout 1 the
// batch comes first everywhere but in the weights. Empty Activations are ONNX's defaults.
type RNN struct {
	HiddenSize      int
	Direction       string // forward (also ""), reverse, bidirectional
	Activations     []string
	ActivationAlpha []float64
	ActivationBeta  []float64
	Clip            float64 // 0: none
	Layout          int
}

// GRU is ONNX's GRU, gates in the order z, r, h. LinearBeforeReset applies the reset gate behind the
// recurrent product (Keras' reset_after).
type GRU struct {
	HiddenSize        int
	Direction         string
	Activations       []string
	ActivationAlpha   []float64
	ActivationBeta    []float64
	Clip              float64
	LinearBeforeReset bool
	Layout            int
}

// LSTM is ONNX's LSTM, gates in the order i, o, f, c, with peepholes P [D,3H] in the order i, o, f.
// Inputs X, W, R, B, sequence_lens, initial_h, initial_c, P; outputs Y, Y_h, Y_c.
type LSTM struct {
	HiddenSize      int
	Direction       string
	Activations     []string
	ActivationAlpha []float64
	ActivationBeta  []float64
	Clip            float64
	InputForget     bool
	Layout          int
}

// RNNGrad is the gradient of RNN. Inputs: those of RNN (six places), then dY, dY_h; outputs: the
// gradients of X, W, R, B, initial_h.
type RNNGrad struct{ Of RNN }

// GRUGrad is the gradient of GRU; operands as RNNGrad.
type GRUGrad struct{ Of GRU }

// LSTMGrad is the gradient of LSTM. Inputs: those of LSTM (eight places), then dY, dY_h, dY_c; outputs:
// the gradients of X, W, R, B, initial_h, initial_c, P.
type LSTMGrad struct{ Of LSTM }

// Name implements graph.Op.
func (RNN) Name() string { return "RNN" }

// Name implements graph.Op.
func (GRU) Name() string { return "GRU" }

// Name implements graph.Op.
func (LSTM) Name() string { return "LSTM" }

// Name implements graph.Op.
func (RNNGrad) Name() string { return "RNNGrad" }

// Name implements graph.Op.
func (GRUGrad) Name() string { return "GRUGrad" }

// Name implements graph.Op.
func (LSTMGrad) Name() string { return "LSTMGrad" }

// Directions is 2 for bidirectional layers, else 1.
func Directions(direction string) int {
	if direction == "bidirectional" {
		return 2
	}
	return 1
}

// recurrentShape is what the three layers' inference has in common.
type recurrentShape struct {
	gates, hidden, layout int
	direction             string
	activations           []string
	perDirection          int // activations each direction takes
}

// infer checks the weights and gives Y's and the state's types.
func (s recurrentShape) infer(in []graph.Type) (y, h graph.Type, err error) {
	if err := arity(in, 3, -1); err != nil {
		return y, h, err
	}
	x, w, r := in[0], in[1], in[2]
	if x.DType != w.DType || x.DType != r.DType || !x.DType.IsFloat() {
		return y, h, errs.Errorf("X, W and R are %v, %v and %v", x.DType, w.DType, r.DType)
	}
	switch s.direction {
	case "", "forward", "reverse", "bidirectional":
	default:
		return y, h, errs.Errorf("unknown direction %q", s.direction)
	}
	d := Directions(s.direction)
	if n := len(s.activations); n != 0 && n != d*s.perDirection {
		return y, h, errs.Errorf("takes %d activations, got %d", d*s.perDirection, n)
	}
	for _, a := range s.activations {
		if _, ok := LookupActivation(a); !ok {
			return y, h, errs.Errorf("unknown activation %q", a)
		}
	}
	if r.Rank() >= 0 && r.Rank() != 3 || w.Rank() >= 0 && w.Rank() != 3 || x.Rank() >= 0 && x.Rank() != 3 {
		return y, h, errs.Errorf("X, W and R have rank 3: %s", typeList(in[:3]))
	}
	size := graph.Unknown()
	if r.Rank() == 3 {
		size = r.Dims[2]
		if !graph.Compatible(r.Dims[1], size.Mul(graph.D(s.gates))) || !graph.Compatible(r.Dims[0], graph.D(d)) {
			return y, h, errs.Errorf("R is %v for %d directions and %d gates", r, d, s.gates)
		}
		if s.hidden != 0 && !graph.Compatible(size, graph.D(s.hidden)) {
			return y, h, errs.Errorf("hidden_size is %d, R is %v", s.hidden, r)
		}
	}
	if r.Rank() == 3 && w.Rank() == 3 && !graph.Compatible(w.Dims[1], r.Dims[1]) {
		return y, h, errs.Errorf("W is %v, R is %v", w, r)
	}
	t, n := graph.Unknown(), graph.Unknown()
	if x.Rank() == 3 {
		if w.Rank() == 3 && !graph.Compatible(x.Dims[2], w.Dims[2]) {
			return y, h, errs.Errorf("X is %v, W is %v: the last dimensions differ", x, w)
		}
		t, n = x.Dims[s.layout], x.Dims[1-s.layout]
	}
	if s.layout == 1 {
		return graph.TensorOf(x.DType, n, t, graph.D(d), size), graph.TensorOf(x.DType, n, graph.D(d), size), nil
	}
	return graph.TensorOf(x.DType, t, graph.D(d), n, size), graph.TensorOf(x.DType, graph.D(d), n, size), nil
}

// Infer implements graph.Op.
func (o RNN) Infer(in []graph.Type) ([]graph.Type, error) {
	y, h, err := recurrentShape{1, o.HiddenSize, o.Layout & 1, o.Direction, o.Activations, 1}.infer(in)
	if err != nil || o.Layout>>1 != 0 {
		return nil, layoutError(o.Layout, err)
	}
	return []graph.Type{y, h}, nil
}

// Infer implements graph.Op.
func (o GRU) Infer(in []graph.Type) ([]graph.Type, error) {
	y, h, err := recurrentShape{3, o.HiddenSize, o.Layout & 1, o.Direction, o.Activations, 2}.infer(in)
	if err != nil || o.Layout>>1 != 0 {
		return nil, layoutError(o.Layout, err)
	}
	return []graph.Type{y, h}, nil
}

// Infer implements graph.Op.
func (o LSTM) Infer(in []graph.Type) ([]graph.Type, error) {
	y, h, err := recurrentShape{4, o.HiddenSize, o.Layout & 1, o.Direction, o.Activations, 3}.infer(in)
	if err != nil || o.Layout>>1 != 0 {
		return nil, layoutError(o.Layout, err)
	}
	return []graph.Type{y, h, h}, nil
}

func layoutError(layout int, err error) error {
	if err != nil {
		return err
	}
	return errs.Errorf("layout is 0 or 1, not %d", layout)
}

// gradTypes is the gradients' types: those of X, W and R, then full-sized ones of what may be omitted.
func gradTypes(in []graph.Type, state graph.Type, gates, peepholes, states int) []graph.Type {
	x, w, r := in[0].WithoutValue(), in[1].WithoutValue(), in[2].WithoutValue()
	d, h := graph.Unknown(), graph.Unknown()
	if r.Rank() == 3 {
		d, h = r.Dims[0], r.Dims[2]
	}
	out := []graph.Type{x, w, r, graph.TensorOf(x.DType, d, h.Mul(graph.D(2*gates)))}
	for range states {
		out = append(out, state)
	}
	if peepholes > 0 {
		out = append(out, graph.TensorOf(x.DType, d, h.Mul(graph.D(peepholes))))
	}
	return out
}

// inferGrad checks a gradient's n inputs, the first of which are the forward operator's.
func inferGrad(of graph.Op, in []graph.Type, n, forward, gates, peepholes, states int) ([]graph.Type, error) {
	if len(in) != n {
		return nil, errs.Errorf("takes %d inputs, got %d", n, len(in))
	}
	ts, err := of.Infer(in[:forward])
	if err != nil {
		return nil, err
	}
	return gradTypes(in, ts[1], gates, peepholes, states), nil
}

// Infer implements graph.Op.
func (o RNNGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferGrad(o.Of, in, 8, 6, 1, 0, 1)
}

// Infer implements graph.Op.
func (o GRUGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferGrad(o.Of, in, 8, 6, 3, 0, 1)
}

// Infer implements graph.Op.
func (o LSTMGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferGrad(o.Of, in, 11, 8, 4, 3, 2)
}

// padInputs fills omitted trailing inputs with nil, up to n.
func padInputs(in []*graph.Value, n int) []*graph.Value {
	out := make([]*graph.Value, n)
	copy(out, in)
	return out
}

// VJP runs the sequence backward in one node.
func (o RNN) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	d := b.AddN(RNNGrad{o}, append(padInputs(n.In, 6), dy...)...)
	return []*graph.Value{d[0], d[1], d[2], d[3], nil, d[4]}[:len(n.In)]
}

// VJP runs the sequence backward in one node.
func (o GRU) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	d := b.AddN(GRUGrad{o}, append(padInputs(n.In, 6), dy...)...)
	return []*graph.Value{d[0], d[1], d[2], d[3], nil, d[4]}[:len(n.In)]
}

// VJP runs the sequence backward in one node.
func (o LSTM) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	d := b.AddN(LSTMGrad{o}, append(padInputs(n.In, 8), dy...)...)
	return []*graph.Value{d[0], d[1], d[2], d[3], nil, d[4], d[5], d[6]}[:len(n.In)]
}

// recurrentSamples is the cases of recurrentOps.
func recurrentSamples() map[string][]Sample {
	return map[string][]Sample{
		"RNN": {
			Case(RNN{HiddenSize: 3}, F(4, 2, 2), F(1, 3, 2), F(1, 3, 3), F(1, 6)),
			Case(RNN{HiddenSize: 2, Direction: "bidirectional", Activations: []string{"Tanh", "Sigmoid"}},
				F(3, 2, 2), F(2, 2, 2), F(2, 2, 2), F(2, 4), TV(tensor.Of([]int32{3, 2})), F(2, 2, 2))},
		"GRU": {
			Case(GRU{HiddenSize: 3}, F(4, 2, 2), F(1, 9, 2), F(1, 9, 3), F(1, 18)),
			Case(GRU{HiddenSize: 2, LinearBeforeReset: true, Direction: "reverse", Layout: 1},
				F(2, 3, 2), F(1, 6, 2), F(1, 6, 2), F(1, 12), TV(tensor.Of([]int32{3, 1})), F(2, 1, 2))},
		"LSTM": {
			Case(LSTM{HiddenSize: 3}, F(4, 2, 2), F(1, 12, 2), F(1, 12, 3), F(1, 24)),
			Case(LSTM{HiddenSize: 2, Direction: "bidirectional"}, F(3, 2, 2), F(2, 8, 2), F(2, 8, 2), F(2, 16),
				TV(tensor.Of([]int32{3, 2})), F(2, 2, 2), F(2, 2, 2), F(2, 6)),
			Case(LSTM{HiddenSize: 2, InputForget: true, Layout: 1}, F(2, 3, 2), F(1, 8, 2), F(1, 8, 2))},
		"RNNGrad": {Case(RNNGrad{RNN{HiddenSize: 3}}, F(4, 2, 2), F(1, 3, 2), F(1, 3, 3), F(1, 6),
			SampleIn{}, SampleIn{}, F(4, 1, 2, 3), SampleIn{})},
		"GRUGrad": {Case(GRUGrad{GRU{HiddenSize: 3}}, F(4, 2, 2), F(1, 9, 2), F(1, 9, 3), F(1, 18),
			SampleIn{}, SampleIn{}, F(4, 1, 2, 3), SampleIn{})},
		"LSTMGrad": {Case(LSTMGrad{LSTM{HiddenSize: 3}}, F(4, 2, 2), F(1, 12, 2), F(1, 12, 3), F(1, 24),
			SampleIn{}, SampleIn{}, SampleIn{}, SampleIn{}, F(4, 1, 2, 3), SampleIn{}, SampleIn{})},
	}
}
