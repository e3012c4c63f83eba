package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// VJP is the adjoint transform: the same one the other way round, scaled, of dy padded to the full length,
// and then cut or padded to the signal's.
func (d DFT) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	x, y := n.In[0].Type, n.Out[0].Type
	axis, length, err := d.resolve(n)
	if err != nil {
		b.Fail(errs.Errorf("gradient of DFT: %w", err))
		return dx
	}
	have, ok1 := x.Dims[axis].Const()
	parts, ok2 := x.Dims[len(x.Dims)-1].Const()
	if !ok1 || !ok2 {
		b.Fail(errs.Errorf("gradient of DFT: the shape of %v is not known", x))
		return dx
	}
	at, full := b.Const("axis", tensor.Scalar(int64(axis))), b.Const("length", tensor.Scalar(int64(length)))
	g := dy[0]
	switch {
	case d.Inverse && d.Onesided:
		// Each bin but the first, and the middle one of an even length, stands for two.
		weights := make([]float64, length/2+1)
		for k := range weights {
			if weights[k] = 2 / float64(length); k == 0 || 2*k == length {
				weights[k] = 1 / float64(length)
			}
		}
		g = b.Add(DFT{Onesided: true}, g, full, at)
		g = b.Add(Mul{}, g, alongAxis(b, y.DType, weights, axis, len(y.Dims)))
		length = len(weights)
	case d.Inverse:
		g = b.Add(Mul{}, b.Add(DFT{}, g, full, at), constLike(b, g, 1/float64(length)))
	default:
		g = b.Add(Mul{}, b.Add(DFT{Inverse: true}, g, full, at), constLike(b, g, float64(length)))
	}
	if have != length {
		g = b.Add(Pad{}, g, b.Ints(0, int64(have-length)), nil, b.Ints(int64(axis)))
	}
	if parts == 1 {
		g = b.Add(Slice{}, g, b.Ints(0), b.Ints(1), b.Ints(-1))
	}
	dx[0] = g
	return dx
}

// resolve is the axis and the length of the transform that n does.
func (d DFT) resolve(n *graph.Node) (axis, length int, err error) {
	types := make([]graph.Type, len(n.In))
	for i, v := range n.In {
		if v != nil {
			types[i] = v.Type
		}
	}
	rank := types[0].Rank()
	if rank < 2 {
		return 0, 0, errs.Errorf("the rank of %v is not known", types[0])
	}
	axis = -2
	if present(types, 2) {
		vs, ok := knownInts(types, 2)
		if !ok || len(vs) != 1 {
			return 0, 0, errs.Errorf("the axis is not known")
		}
		axis = vs[0]
	}
	if axis, err = normAxis(axis, rank); err != nil {
		return 0, 0, err
	}
	if present(types, 1) {
		vs, ok := knownInts(types, 1)
		if !ok || len(vs) != 1 {
			return 0, 0, errs.Errorf("the length is not known")
		}
		return axis, vs[0], nil
	}
	size, ok := types[0].Dims[axis].Const()
	if !ok {
		return 0, 0, errs.Errorf("the length of %v is not known", types[0])
	}
	if d.Inverse && d.Onesided {
		size = 2 * (size - 1)
	}
	return axis, size, nil
}

// alongAxis is a constant of numbers along an axis, to be broadcast.
func alongAxis(b *graph.Builder, dt tensor.DType, vs []float64, axis, rank int) *graph.Value {
	shape := ones(rank)
	shape[axis] = len(vs)
	t := tensor.New(dt, shape...)
	if err := t.SetFloat64s(vs); err != nil {
		b.Fail(err)
	}
	return b.Const("weights", t)
}

// Decompose gathers the frames, weighs them and transforms them.
func (s STFT) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	types := make([]graph.Type, 4)
	for i, v := range in {
		if v != nil {
			types[i] = v.Type
		}
	}
	out, err := s.Infer(types[:len(in)])
	step, ok := knownInts(types, 1)
	if err != nil || !ok || types[0].Rank() != 3 {
		return nil
	}
	frames, ok1 := out[0].Dims[1].Const()
	length, ok2 := 0, false
	if vs, ok := knownInts(types, 3); ok {
		length, ok2 = vs[0], true
	} else if !present(types, 3) {
		length, ok2 = vectorLen(types[2])
	}
	taps := length
	if present(types, 2) {
		m, ok := vectorLen(types[2])
		if !ok || m > length {
			return nil
		}
		taps = m
	}
	if !ok1 || !ok2 {
		return nil
	}
	at := tensor.New(tensor.Int64, frames, taps)
	for i := range at.Len() {
		tensor.As[int64](at)[i] = int64(i/taps*step[0] + i%taps)
	}
	y := b.Add(Gather{Axis: 1}, in[0], b.Const("frames", at))
	if present(types, 2) {
		y = b.Add(Mul{}, y, b.Add(Unsqueeze{}, in[2], b.Ints(1)))
	}
	n := b.Const("length", tensor.Scalar(int64(length)))
	return []*graph.Value{b.Add(DFT{Onesided: s.Onesided}, y, n)}
}
