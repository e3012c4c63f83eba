package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// sameAsFirst is the inference of an operator whose one output has the type of its first input.
//
//go:noinline
func sameAsFirst(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// arity checks that at least lo inputs are given and at most hi (-1: no bound), and that none of the
// first lo is omitted.
//
//go:noinline
func arity(in []graph.Type, lo, hi int) error {
	if len(in) < lo || hi >= 0 && len(in) > hi {
		return errs.Errorf("takes %s inputs, got %d", span(lo, hi), len(in))
	}
	for i := range lo {
		if !present(in, i) {
			return errs.Errorf("input %d is missing", i)
		}
	}
	return nil
}

func span(lo, hi int) string {
	switch {
	case hi < 0:
		return fmt.Sprintf("%d or more", lo)
	case lo == hi:
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// present reports whether input i was given.
//
//go:noinline
func present(in []graph.Type, i int) bool {
	return i < len(in) && (in[i].DType.Valid() || in[i].Kind != graph.TensorKind)
}

// tensors checks that the given inputs are tensors.
func tensors(in []graph.Type) error {
	for i, t := range in {
		if t.Kind != graph.TensorKind {
			return errs.Errorf("input %d is a %v, not a tensor", i, t)
		}
	}
	return nil
}

// sameDType checks that the given inputs have one element type, and returns it.
func sameDType(in []graph.Type) (tensor.DType, error) {
	dt := tensor.Invalid
	for i, t := range in {
		switch {
		case !t.DType.Valid():
		case dt == tensor.Invalid:
			dt = t.DType
		case dt != t.DType:
			return dt, errs.Errorf("input %d is %v where the first is %v", i, t.DType, dt)
		}
	}
	return dt, nil
}

// broadcast is the common shape of in under numpy's rule. unranked is true where it can't be told.
func broadcast(in ...graph.Type) (dims []graph.Dim, unranked bool, err error) {
	rank := 0
	for _, t := range in {
		if t.Rank() < 0 {
			return nil, true, nil
		}
		rank = max(rank, t.Rank())
	}
	dims = make([]graph.Dim, rank)
	for i := range dims {
		d := graph.D(1)
		for _, t := range in {
			j := i - (rank - len(t.Dims))
			if j < 0 {
				continue
			}
			if d, err = broadcastDim(d, t.Dims[j]); err != nil {
				return nil, false, errs.Errorf("shapes don't broadcast: %s", typeList(in))
			}
		}
		dims[i] = d
	}
	return dims, false, nil
}

// broadcastDim joins two dimensions: a 1 gives way, a number wins over a symbol.
func broadcastDim(a, b graph.Dim) (graph.Dim, error) {
	one := graph.D(1)
	switch {
	case a == b || b == one:
		return a, nil
	case a == one:
		return b, nil
	case a.IsConst() && b.IsConst():
		return a, errs.Errorf("%v and %v", a, b)
	case a.IsConst():
		return a, nil
	case b.IsConst():
		return b, nil
	}
	return graph.Unknown(), nil
}

//go:noinline
func typeList(in []graph.Type) string {
	s := ""
	for i, t := range in {
		if i > 0 {
			s += " × "
		}
		s += t.WithoutValue().String()
	}
	return s
}

// tensorOr is a tensor of dims, or an unranked one.
//
//go:noinline
func tensorOr(dt tensor.DType, dims []graph.Dim, unranked bool) graph.Type {
	if unranked {
		return graph.UnrankedOf(dt)
	}
	return graph.TensorOf(dt, dims...)
}

// normAxis maps a negative axis to its place; rank is the number of places.
func normAxis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, errs.Errorf("axis %d is outside rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// knownInts is the contents of an integer input as numbers; ok is false where they aren't known.
func knownInts(in []graph.Type, i int) (vs []int, ok bool) {
	if !present(in, i) {
		return nil, false
	}
	ds, ok := in[i].Contents()
	if !ok {
		return nil, false
	}
	vs = make([]int, len(ds))
	for j, d := range ds {
		if vs[j], ok = d.Const(); !ok {
			return nil, false
		}
	}
	return vs, true
}

// maxRank is the rank from which on a tensor's is taken for unknown: no tensor has so many dimensions, but
// a hostile file may say so.
const maxRank = 1 << 10

// vectorLen is the number of elements of a rank-1 input that lists axes or sizes, if known.
func vectorLen(t graph.Type) (int, bool) {
	if t.Rank() != 1 {
		return 0, false
	}
	n, ok := t.Dims[0].Const()
	return n, ok && n <= maxRank
}

// unknownDims is n dimensions of which nothing is known.
//
//go:noinline
func unknownDims(n int) []graph.Dim {
	ds := make([]graph.Dim, n)
	for i := range ds {
		ds[i] = graph.Unknown()
	}
	return ds
}

// floatMap is embedded by functions that map the elements of one float tensor.
type floatMap struct{}

// Infer checks for one input of a float type and gives its type.
func (floatMap) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// MayAlias allows to write over the input.
func (floatMap) MayAlias(in, out int) bool { return true }

// numberMap is embedded by functions that map the elements of one tensor of numbers.
type numberMap struct{}

// Infer checks for one input of numbers and gives its type.
func (numberMap) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if err := tensors(in); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// MayAlias allows to write over the input.
func (numberMap) MayAlias(in, out int) bool { return true }

// floats checks for lo to hi (-1: no bound) tensors, those present of one float type.
func floats(in []graph.Type, lo, hi int) error {
	if err := arity(in, lo, hi); err != nil {
		return err
	}
	if err := tensors(in); err != nil {
		return err
	}
	for i, t := range in {
		if t.DType.Valid() && !t.DType.IsFloat() {
			return errs.Errorf("input %d is %v, not of a float type", i, t.DType)
		}
	}
	_, err := sameDType(in)
	return err
}

// sameShape joins two types that must have one shape, taking what each knows of it.
func sameShape(a, b graph.Type) (graph.Type, error) {
	if a.Rank() < 0 || b.Rank() < 0 {
		if b.Rank() >= 0 {
			return graph.TensorOf(a.DType, b.Dims...), nil
		}
		return a.WithoutValue(), nil
	}
	if a.Rank() != b.Rank() {
		return a, errs.Errorf("shapes differ: %s", typeList([]graph.Type{a, b}))
	}
	dims := append([]graph.Dim{}, a.Dims...)
	for i, d := range b.Dims {
		if !graph.Compatible(dims[i], d) {
			return a, errs.Errorf("shapes differ: %s", typeList([]graph.Type{a, b}))
		}
		if d.IsConst() {
			dims[i] = d
		}
	}
	return graph.TensorOf(a.DType, dims...), nil
}

// broadcastsTo checks that t can be broadcast to the shape of to, as far as both are known.
func broadcastsTo(t, to graph.Type, what string) error {
	if t.Rank() < 0 || to.Rank() < 0 {
		return nil
	}
	ok := t.Rank() <= to.Rank()
	for i := 0; ok && i < t.Rank(); i++ {
		d := t.Dims[i]
		ok = d == graph.D(1) || graph.Compatible(d, to.Dims[to.Rank()-t.Rank()+i])
	}
	if !ok {
		return errs.Errorf("%s does not broadcast: %v to %v", what, t.WithoutValue(), to.WithoutValue())
	}
	return nil
}

// fitsDims reports whether a type may have exactly these dimensions; one of unknown rank may.
func fitsDims(t graph.Type, dims ...graph.Dim) bool {
	if t.Rank() < 0 {
		return t.Kind == graph.TensorKind
	}
	if len(t.Dims) != len(dims) {
		return false
	}
	for i, d := range dims {
		if !graph.Compatible(t.Dims[i], d) {
			return false
		}
	}
	return true
}
