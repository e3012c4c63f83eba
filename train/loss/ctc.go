package loss

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
)

func eyeLike(x *graph.Value) graph.Op { return ops.EyeLike{DType: x.Type.DType} }

// CTC is connectionist temporal classification (Graves et al. 2006): minus the log-probability of all
// alignments of a label sequence with the frames. Targets are (batch, labels) class numbers, 0 for padding;
// predictions are logits (batch, frames, classes) whose class 0 is the blank.
type CTC struct{ Config }

// Values implements Loss.
func (CTC) Values(e expr.E, t, p *graph.Value) (values, mask *graph.Value) {
	rank(e, "CTC", "targets", t, 2)
	rank(e, "CTC", "predictions", p, 3)
	if e.B.Err() != nil {
		return p, nil
	}
	dt := p.Type.DType
	labels := e.Cast(t, tensor.Int64)
	length := e.Sum(e.Cast(e.Not(e.Eq(labels, e.C(labels, 0))), tensor.Int64), true, 1)
	// Blanks between, before and after the labels: 2S+1 states.
	blank := e.Sub(labels, labels)
	z := e.Reshape(e.Concat(2, e.Unsqueeze(blank, 2), e.Unsqueeze(labels, 2)), 0, -1)
	z = e.Concat(1, z, e.Slice(blank, 1, 0, 1))
	// A state's score in each frame, picked by a one-hot product so that the gradient is a product too.
	pick := e.OneHot(z, e.Dim(p, 2), -1, dt)
	scores := e.MatMul(e.LogSoftmax(p, -1), e.Transpose(pick, 0, 2, 1))
	// A label may be entered over the blank before it, unless it repeats the one before.
	two := e.Slice(z, 1, 0, -2)
	skip := e.Concat(1, e.Slice(blank, 1, 0, 1), e.Slice(blank, 1, 0, 1),
		e.Mul(e.Cast(e.Not(e.Eq(e.Slice(z, 1, 2, 1<<30), two)), tensor.Int64),
			e.Cast(e.Not(e.Eq(e.Slice(z, 1, 2, 1<<30), e.C(z, 0))), tensor.Int64)))
	pos := e.Sub(e.B.Add(ops.CumSum{}, e.Add(blank2(e, z), e.C(z, 1)), e.Scalar(tensor.Int64, 1)), e.C(z, 1))
	first := e.Squeeze(e.Slice(scores, 1, 0, 1), 1)
	alpha := e.Where(e.Gt(e.C(pos, 2), pos), first, e.C(first, low))
	last := e.B.AddN(ops.Scan{Body: ctcStep(e, z.Type, dt), NumStates: 1, NumScanInputs: 1, ScanInputAxes: []int{1}},
		alpha, e.Slice(scores, 1, 1, 1<<30), skip)[0]
	// The ends: the last label and the blank behind it.
	end := e.MulC(length, 2)
	atEnd := e.B.Add(ops.Or{}, e.Eq(pos, end), e.Eq(pos, e.AddC(end, -1)))
	return e.Neg(e.LogSumExp(e.Where(atEnd, last, e.C(last, low)), false, 1)), nil
}

// blank2 is zeros in z's shape.
func blank2(e expr.E, z *graph.Value) *graph.Value { return e.Sub(z, z) }

// ctcStep is one frame: each state's paths come from itself, the state before, and, where skip allows, the
// one before that.
func ctcStep(outer expr.E, z graph.Type, dt tensor.DType) *graph.Graph {
	g := &graph.Graph{}
	e := expr.E{B: graph.NewBuilder(g)}
	state := graph.TensorOf(dt, z.Dims...)
	a, s := e.B.Input("alpha", state), e.B.Input("scores", state)
	skip := e.B.Input("skip", graph.TensorOf(tensor.Int64, z.Dims...))
	none := e.AddC(e.MulC(e.Slice(a, 1, 0, 1), 0), low)
	one := e.Concat(1, none, e.Slice(a, 1, 0, -1))
	two := e.Slice(e.Concat(1, none, none, a), 1, 0, -2)
	two = e.Where(e.Cast(skip, tensor.Bool), two, e.C(two, low))
	all := e.Concat(0, e.Unsqueeze(a, 0), e.Unsqueeze(one, 0), e.Unsqueeze(two, 0))
	e.B.Output(e.Add(e.LogSumExp(all, false, 0), s))
	outer.B.Fail(e.B.Err())
	return g
}
