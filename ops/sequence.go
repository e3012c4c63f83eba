package ops

import (
	"errors"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// sequenceOps is the family of sequences and optionals.
var sequenceOps = []Info{
	{SequenceConstruct{}, "a sequence of tensors"},
	{SequenceEmpty{}, "an empty sequence"},
	{SequenceAt{}, "an element of a sequence"},
	{SequenceInsert{}, "a sequence with an element more"},
	{SequenceErase{}, "a sequence with an element less"},
	{SequenceLength{}, "the number of elements of a sequence"},
	{SplitToSequence{}, "a tensor cut along an axis, as a sequence"},
	{ConcatFromSequence{}, "a sequence's tensors joined"},
	{Optional{}, "an optional holding a value, or empty"},
	{OptionalHasElement{}, "whether an optional holds a value"},
	{OptionalGetElement{}, "the value of an optional"},
}

func scalarInt(v int64) SampleIn { return TV(tensor.Scalar(v)) }

// SequenceConstruct makes a sequence of its inputs.
type SequenceConstruct struct{}

// Name implements graph.Op.
func (SequenceConstruct) Name() string { return "SequenceConstruct" }

// Infer implements graph.Op.
func (SequenceConstruct) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	elem := in[0].WithoutValue()
	for i, t := range in[1:] {
		var ok bool
		if elem, ok = graph.Join(elem, t.WithoutValue()); !ok {
			return nil, errs.Errorf("element %d is %v where the first is %v", i+1, t, in[0])
		}
	}
	return []graph.Type{graph.SequenceOf(elem)}, nil
}

// SequenceEmpty is an empty sequence of tensors of DType.
type SequenceEmpty struct{ DType tensor.DType }

// Name implements graph.Op.
func (SequenceEmpty) Name() string { return "SequenceEmpty" }

// Infer implements graph.Op.
func (s SequenceEmpty) Infer([]graph.Type) ([]graph.Type, error) {
	return []graph.Type{graph.SequenceOf(graph.UnrankedOf(s.DType))}, nil
}

// sequenceElem is the element type of input i, which must be a sequence.
func sequenceElem(in []graph.Type, i int) (graph.Type, error) {
	if i >= len(in) || in[i].Kind != graph.SequenceKind || in[i].Elem == nil {
		return graph.Type{}, errs.Errorf("input %d is no sequence", i)
	}
	return *in[i].Elem, nil
}

// SequenceAt is element position of a sequence; negative positions count from the end.
type SequenceAt struct{}

// Name implements graph.Op.
func (SequenceAt) Name() string { return "SequenceAt" }

// Infer implements graph.Op.
func (SequenceAt) Infer(in []graph.Type) ([]graph.Type, error) {
	e, err := sequenceElem(in, 0)
	if err != nil {
		return nil, err
	}
	return []graph.Type{e}, errors.Join(arity(in, 2, 2), isPosition(in, 1))
}

// SequenceInsert puts a tensor at a position of a sequence; at the end where the position is omitted.
type SequenceInsert struct{}

// Name implements graph.Op.
func (SequenceInsert) Name() string { return "SequenceInsert" }

// Infer implements graph.Op.
func (SequenceInsert) Infer(in []graph.Type) ([]graph.Type, error) {
	e, err := sequenceElem(in, 0)
	if err != nil {
		return nil, err
	}
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if err := isPosition(in, 2); err != nil {
		return nil, err
	}
	if e.DType != in[1].DType || in[1].Kind != graph.TensorKind {
		return nil, errs.Errorf("a %v into a sequence of %v", in[1], e)
	}
	j, ok := graph.Join(e, in[1].WithoutValue())
	if !ok {
		return nil, errs.Errorf("a %v into a sequence of %v", in[1], e)
	}
	return []graph.Type{graph.SequenceOf(j)}, nil
}

// SequenceErase drops the element at a position; the last where the position is omitted.
type SequenceErase struct{}

// Name implements graph.Op.
func (SequenceErase) Name() string { return "SequenceErase" }

// Infer implements graph.Op.
func (SequenceErase) Infer(in []graph.Type) ([]graph.Type, error) {
	if _, err := sequenceElem(in, 0); err != nil {
		return nil, err
	}
	return []graph.Type{in[0]}, errors.Join(arity(in, 1, 2), isPosition(in, 1))
}

// isPosition holds that operand i, where it is given, is a tensor that can be a place in a sequence.
func isPosition(in []graph.Type, i int) error {
	if present(in, i) && (in[i].Kind != graph.TensorKind || !in[i].DType.IsInt()) {
		return errs.Errorf("a position is one integer, got %v", in[i])
	}
	return nil
}

// SequenceLength is the number of elements, a rank-0 int64.
type SequenceLength struct{}

// Name implements graph.Op.
func (SequenceLength) Name() string { return "SequenceLength" }

// Infer implements graph.Op.
func (SequenceLength) Infer(in []graph.Type) ([]graph.Type, error) {
	if _, err := sequenceElem(in, 0); err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(tensor.Int64)}, nil
}

// SplitToSequence cuts its first input along Axis: into pieces of one length where the second is a
// scalar, of the given lengths where it is a vector, of length 1 where it is omitted. Only then Keepdims
// false drops the axis.
type SplitToSequence struct {
	Axis     int
	Keepdims bool
}

// Name implements graph.Op.
func (SplitToSequence) Name() string { return "SplitToSequence" }

// Infer implements graph.Op.
func (s SplitToSequence) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.SequenceOf(graph.UnrankedOf(x.DType))}, nil
	}
	axis, err := normAxis(s.Axis, x.Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, x.Dims...)
	switch {
	case present(in, 1):
		dims[axis] = graph.Unknown()
	case s.Keepdims:
		dims[axis] = graph.D(1)
	default:
		dims = append(dims[:axis], dims[axis+1:]...)
	}
	return []graph.Type{graph.SequenceOf(graph.TensorOf(x.DType, dims...))}, nil
}

// ConcatFromSequence joins a sequence's tensors along Axis, which is a new one where NewAxis is set.
type ConcatFromSequence struct {
	Axis    int
	NewAxis bool
}

// Name implements graph.Op.
func (ConcatFromSequence) Name() string { return "ConcatFromSequence" }

// Infer implements graph.Op.
func (c ConcatFromSequence) Infer(in []graph.Type) ([]graph.Type, error) {
	e, err := sequenceElem(in, 0)
	if err != nil {
		return nil, err
	}
	if e.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(e.DType)}, nil
	}
	rank := e.Rank()
	if c.NewAxis {
		rank++
	}
	axis, err := normAxis(c.Axis, rank)
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, e.Dims...)
	if c.NewAxis {
		dims = append(append(append([]graph.Dim{}, dims[:axis]...), graph.Unknown()), dims[axis:]...)
	} else {
		dims[axis] = graph.Unknown()
	}
	return []graph.Type{graph.TensorOf(e.DType, dims...)}, nil
}

// Optional wraps its input; without one it is empty and Elem says of what type.
type Optional struct {
	DType    tensor.DType // element type of an empty optional
	Sequence bool         // an empty optional is one of a sequence
}

// Name implements graph.Op.
func (Optional) Name() string { return "Optional" }

// Infer implements graph.Op.
func (o Optional) Infer(in []graph.Type) ([]graph.Type, error) {
	if present(in, 0) {
		return []graph.Type{graph.OptionalOf(in[0].WithoutValue())}, nil
	}
	e := graph.UnrankedOf(o.DType)
	if o.Sequence {
		e = graph.SequenceOf(e)
	}
	return []graph.Type{graph.OptionalOf(e)}, nil
}

// OptionalHasElement reports, as a rank-0 bool, whether its input is there and no empty optional.
type OptionalHasElement struct{}

// Name implements graph.Op.
func (OptionalHasElement) Name() string { return "OptionalHasElement" }

// Infer implements graph.Op.
func (OptionalHasElement) Infer(in []graph.Type) ([]graph.Type, error) {
	t := graph.TensorOf(tensor.Bool)
	if !present(in, 0) {
		t.Const = tensor.Scalar(false)
	} else if in[0].Kind != graph.OptionalKind {
		t.Const = tensor.Scalar(true)
	}
	return []graph.Type{t}, nil
}

// OptionalGetElement is the value that an optional holds; what is no optional is its own value.
type OptionalGetElement struct{}

// Name implements graph.Op.
func (OptionalGetElement) Name() string { return "OptionalGetElement" }

// Infer implements graph.Op.
func (OptionalGetElement) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if in[0].Kind == graph.OptionalKind && in[0].Elem != nil {
		return []graph.Type{in[0].Elem.WithoutValue()}, nil
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP passes the gradient on, which stands for what is held.
func (OptionalGetElement) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{dy[0]}
}

// sequenceSamples is the cases of sequenceOps.
func sequenceSamples() map[string][]Sample {
	return map[string][]Sample{
		"SequenceConstruct": {Case(SequenceConstruct{}, F(2), F(3))},
		"SequenceEmpty":     {Case(SequenceEmpty{DType: tensor.Float32})},
		"SequenceAt": {
			Case(SequenceAt{}, SV(F(2), F(3)), scalarInt(-1)), Case(SequenceAt{}, SV(F(2), F(3), F(1)), scalarInt(1))},
		"SequenceInsert": {
			Case(SequenceInsert{}, SV(F(2), F(3)), F(4)), Case(SequenceInsert{}, SV(F(2), F(3)), F(4), scalarInt(1)),
			Case(SequenceInsert{}, SV(F(2), F(3)), F(4), scalarInt(-2))},
		"SequenceErase": {
			Case(SequenceErase{}, SV(F(2), F(3))), Case(SequenceErase{}, SV(F(2), F(3)), scalarInt(0)),
			Case(SequenceErase{}, SV(F(2), F(3), F(4)), scalarInt(-2))},
		"SequenceLength": {Case(SequenceLength{}, SV(F(2), F(3)))},
		"SplitToSequence": {
			Case(SplitToSequence{Keepdims: true}, F(4, 2), IV(1, 3)), Case(SplitToSequence{Axis: -1}, F(2, 3)),
			Case(SplitToSequence{Axis: 1, Keepdims: true}, F(2, 5), scalarInt(2))},
		"ConcatFromSequence": {
			Case(ConcatFromSequence{Axis: 1}, SV(F(2, 1), F(2, 3))), Case(ConcatFromSequence{NewAxis: true}, SV(F(2), F(2))),
			Case(ConcatFromSequence{Axis: -1, NewAxis: true}, SV(F(2, 3), F(2, 3)))},
		"Optional":           {Case(Optional{}, F(2))},
		"OptionalHasElement": {Case(OptionalHasElement{}, F(2))},
		"OptionalGetElement": {Case(OptionalGetElement{}, F(2))},
	}
}
