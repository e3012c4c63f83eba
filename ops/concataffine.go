package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// ConcatAffine joins its inputs from the third on along the last dimension, and is ChannelAffine of that: inputs scale,
// shift, then the parts. The joined data is not made.
type ConcatAffine struct{ Epilogue Epilogue }

// Name implements graph.Op.
func (ConcatAffine) Name() string { return "ConcatAffine" }

// Infer implements graph.Op.
func (ConcatAffine) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) < 3 || !present(in, 0) || !present(in, 1) {
		return nil, errs.Errorf("takes a factor, a shift and parts; got %s", typeList(in))
	}
	return Concat{Axis: -1}.Infer(in[2:])
}

// Decompose spells it by Concat, Mul, Add and the activation.
func (a ConcatAffine) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := b.Add(Concat{Axis: -1}, in[2:]...)
	return ChannelAffine{Epilogue: a.Epilogue}.Decompose(b, []*graph.Value{x, in[0], in[1]})
}
