package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// castOps is the family of conversions of element types.
var castOps = []Info{
	{Cast{To: tensor.Float32, Saturate: true, RoundMode: "up"}, "its input in another element type"},
	{CastLike{Saturate: true, RoundMode: "up"}, "its input in the element type of the second"},
	{BitCast{To: tensor.Int32}, "its input's bits under another element type"},
}

// Cast converts to the element type To. Saturate and RoundMode ("up", "down" or "nearest"; "" is up) say
// what happens beyond the range of the 8-bit floats, and how to round to Float8E8M0.
type Cast struct {
	To        tensor.DType
	Saturate  bool
	RoundMode string
}

// Name implements graph.Op.
func (Cast) Name() string { return "Cast" }

// Infer implements graph.Op.
func (o Cast) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	return inferCast(in[0], o.To, o.RoundMode)
}

func inferCast(t graph.Type, to tensor.DType, round string) ([]graph.Type, error) {
	switch {
	case t.Kind != graph.TensorKind:
		return nil, errs.Errorf("input is a %v, not a tensor", t)
	case !to.Valid():
		return nil, errs.Errorf("no element type %v", to)
	case t.DType.IsComplex() && !to.IsComplex():
		return nil, errs.Errorf("can't cast %v to %v", t.DType, to)
	case round != "" && round != "up" && round != "down" && round != "nearest":
		return nil, errs.Errorf("round_mode is %q, not up, down or nearest", round)
	}
	out := retyped(t, to)
	if to == tensor.Int64 || to == tensor.Int32 || to == t.DType {
		out.Ints = mapContents(t, func(d graph.Dim) graph.Dim { return d })
	}
	return []graph.Type{out}, nil
}

// VJP casts back; to an integer type there is no gradient.
func (o Cast) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	from := n.In[0].Type.DType
	if !from.IsFloat() || !o.To.IsFloat() {
		return one(nil)
	}
	return one(b.Add(Cast{To: from, Saturate: true}, dy[0]))
}

// CastLike converts its first input to the element type of its second, as Cast does.
type CastLike struct {
	Saturate  bool
	RoundMode string
}

// Name implements graph.Op.
func (CastLike) Name() string { return "CastLike" }

// Infer implements graph.Op.
func (o CastLike) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	return inferCast(in[0], in[1].DType, o.RoundMode)
}

// Decompose spells it by Cast.
func (o CastLike) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Cast{To: in[1].Type.DType, Saturate: o.Saturate, RoundMode: o.RoundMode}, in[0]))
}

// VJP casts back.
func (o CastLike) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{Cast{To: n.In[1].Type.DType}.VJP(b, n, dy, need)[0], nil}
}

// BitCast reads the bits of its input as another element type of the same width.
type BitCast struct {
	To tensor.DType
}

// Name implements graph.Op.
func (BitCast) Name() string { return "BitCast" }

// Infer implements graph.Op.
func (o BitCast) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	from := in[0].DType
	if from == tensor.String || o.To == tensor.String || !o.To.Valid() || from.Bits() != o.To.Bits() {
		return nil, errs.Errorf("%v and %v do not have the same width", from, o.To)
	}
	return []graph.Type{retyped(in[0], o.To)}, nil
}

// castSamples is the cases of castOps.
func castSamples() map[string][]Sample {
	return map[string][]Sample{
		"Cast": {
			Case(Cast{To: tensor.Float64, Saturate: true}, F(3, 4)), Case(Cast{To: tensor.Float32, Saturate: true}, noGrad(3)),
			Case(Cast{To: tensor.Int32, Saturate: true}, FR(-9, 9, 8)), Case(Cast{To: tensor.Float16, Saturate: true}, IV(1, -2)),
			Case(Cast{To: tensor.Bool, Saturate: true}, IV(0, 3)), Case(Cast{To: tensor.Float8E5M2, Saturate: true}, still(-8.5, 3.3, 0, 1e6)),
			Case(Cast{To: tensor.String, Saturate: true}, IV(0, 3))},
		"CastLike": {
			Case(CastLike{Saturate: true}, F(3, 4), SampleIn{DType: tensor.Float64, Shape: []int{1}}),
			Case(CastLike{Saturate: true}, FR(-9, 9, 8), IV(1))},
		"BitCast": {
			Case(BitCast{To: tensor.Int32}, F(3, 4)), Case(BitCast{To: tensor.Uint64}, IV(-1, 2))},
	}
}
