package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// Window is a sliding window over spatial dimensions with everything resolved to numbers: what kernels of
// convolutions and pools work from. All slices have one element per spatial dimension.
type Window struct {
	In, Out            []int // spatial sizes of the data and of the windows' grid
	Kernel             []int
	Strides, Dilations []int
	Begin, End         []int // padding; negative crops
}

// Span is the number of input positions that the dilated kernel covers in dimension i.
func (w Window) Span(i int) int { return (w.Kernel[i]-1)*w.Dilations[i] + 1 }

// window is what the spatial operators share: attributes, where empty slices mean the defaults.
type window struct {
	kernel, strides, dilations, pads []int
	auto                             AutoPad
	ceil                             bool
}

// maxTaps is the largest number of elements that a window may have: far beyond any image, and small enough
// that a list of them is no burden.
const maxTaps = 1 << 24

//go:noinline
func at(vs []int, i, def int) int {
	if i < len(vs) {
		return vs[i]
	}
	return def
}

// check refuses attributes that do not fit n spatial dimensions.
func (w window) check(n int) error {
	if n < 1 {
		return errs.Errorf("has no spatial dimension")
	}
	if len(w.kernel) != n {
		return errs.Errorf("kernel %v for %d spatial dimensions", w.kernel, n)
	}
	for _, p := range []struct {
		name string
		vs   []int
		n    int
	}{{"strides", w.strides, n}, {"dilations", w.dilations, n}, {"pads", w.pads, 2 * n}} {
		if len(p.vs) != 0 && len(p.vs) != p.n {
			return errs.Errorf("%d %s for %d spatial dimensions", len(p.vs), p.name, n)
		}
	}
	taps := 1
	for i := range n {
		if taps *= max(1, min(w.kernel[i], maxTaps+1)); taps > maxTaps {
			return errs.Errorf("kernel %v has more than %d elements", w.kernel, maxTaps)
		}
		if at(w.strides, i, 1) < 1 || at(w.dilations, i, 1) < 1 || w.kernel[i] < 1 {
			return errs.Errorf("kernel %v, strides %v, dilations %v: not all are positive", w.kernel, w.strides, w.dilations)
		}
		for _, v := range []int{w.kernel[i], at(w.strides, i, 1), at(w.dilations, i, 1), at(w.pads, i, 0), at(w.pads, n+i, 0)} {
			if v > 1<<31 || v < -1<<31 {
				return errs.Errorf("kernel %v, strides %v, dilations %v, pads %v: too large", w.kernel, w.strides, w.dilations, w.pads)
			}
		}
	}
	return nil
}

// outDim is the number of windows along spatial dimension i of n.
func (w window) outDim(i, n int, in graph.Dim) (graph.Dim, error) {
	s := graph.D(at(w.strides, i, 1))
	span := graph.D((w.kernel[i]-1)*at(w.dilations, i, 1) + 1)
	if w.auto == SameUpper || w.auto == SameLower {
		return in.CeilDiv(s), nil
	}
	begin, end := 0, 0
	if w.auto == Explicit {
		begin, end = at(w.pads, i, 0), at(w.pads, n+i, 0)
	}
	room := in.Add(graph.D(begin + end)).Sub(span)
	if r, ok := room.Const(); ok && r < 0 {
		if v, _ := in.Const(); v == 0 {
			return graph.D(0), nil
		}
		return graph.D(0), errs.Errorf("a kernel that spans %v does not fit %v with padding %d and %d", span, in, begin, end)
	}
	if !w.ceil {
		return room.Div(s).Add(graph.D(1)), nil
	}
	// A window that would start in the padding behind the data is left out.
	return room.CeilDiv(s).Add(graph.D(1)).Min(in.Add(graph.D(begin)).CeilDiv(s)), nil
}

func (w window) outDims(in []graph.Dim) ([]graph.Dim, error) {
	out := make([]graph.Dim, len(in))
	for i, d := range in {
		var err error
		if out[i], err = w.outDim(i, len(in), d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// resolve is the window in numbers for spatial sizes in.
func (w window) resolve(in []int) (Window, error) {
	n := len(in)
	if err := w.check(n); err != nil {
		return Window{}, err
	}
	r := Window{In: in, Kernel: w.kernel}
	for i, d := range in {
		r.Strides = append(r.Strides, at(w.strides, i, 1))
		r.Dilations = append(r.Dilations, at(w.dilations, i, 1))
		out, err := w.outDim(i, n, graph.D(d))
		if err != nil {
			return r, err
		}
		o, _ := out.Const()
		begin, end := 0, 0
		switch w.auto {
		case Explicit:
			begin, end = at(w.pads, i, 0), at(w.pads, n+i, 0)
		case SameUpper, SameLower:
			begin, end = splitPad(max(0, (o-1)*r.Strides[i]+r.Span(i)-d), w.auto == SameLower)
		}
		r.Out, r.Begin, r.End = append(r.Out, o), append(r.Begin, begin), append(r.End, end)
	}
	return r, nil
}

// splitPad halves a total padding; the odd one goes to the end, or to the beginning where lower.
func splitPad(total int, lower bool) (begin, end int) {
	if lower {
		return total - total/2, total / 2
	}
	return total / 2, total - total/2
}

// Channel is the axis of the channels of data of that rank.
func (f Format) Channel(rank int) int {
	if f == NHWC {
		return rank - 1
	}
	return 1
}

// Spatial is the axes of the spatial dimensions, first and one past the last, of data of that rank.
func (f Format) Spatial(rank int) (lo, hi int) {
	if f == NHWC {
		return 1, rank - 1
	}
	return 2, rank
}

// SpatialDims cuts the spatial dimensions out of the shape of data.
func SpatialDims[T any](f Format, dims []T) []T {
	lo, hi := f.Spatial(len(dims))
	return dims[lo:hi]
}

// kernelAxes is where a kernel of that rank has its spatial axes, inputs per group, and outputs.
func (f Format) kernelAxes(rank int) (lo, hi, in, out int) {
	if f == NHWC {
		return 0, rank - 2, rank - 2, rank - 1
	}
	return 2, rank, 1, 0
}

// KernelDims is a convolution kernel's spatial sizes, input channels per group, and outputs. (Of a
// transposed convolution those are outputs per group, and inputs.)
func KernelDims[T any](f Format, dims []T) (spatial []T, in, out T) {
	lo, hi, i, o := f.kernelAxes(len(dims))
	return dims[lo:hi], dims[i], dims[o]
}

// dataDims is the shape of data in a format.
//
//go:noinline
func dataDims[T any](f Format, n, c T, spatial []T) []T {
	if f == NHWC {
		return append(append([]T{n}, spatial...), c)
	}
	return append([]T{n, c}, spatial...)
}

// spatialRank checks that t is unranked or has at least one spatial dimension.
func spatialRank(t graph.Type) error {
	if r := t.Rank(); r >= 0 && r < 3 {
		return errs.Errorf("data of rank %d: takes a batch, channels, and at least one spatial dimension", r)
	}
	return nil
}

// inferWindow is the inference of pools: the channels stay.
func inferWindow(x graph.Type, w window, f Format) (graph.Type, error) {
	if err := spatialRank(x); err != nil {
		return x, err
	}
	if x.Rank() < 0 {
		return graph.TensorOf(x.DType, unknownDims(len(w.kernel)+2)...), nil
	}
	in := SpatialDims(f, x.Dims)
	if err := w.check(len(in)); err != nil {
		return x, err
	}
	out, err := w.outDims(in)
	if err != nil {
		return x, err
	}
	return graph.TensorOf(x.DType, dataDims(f, x.Dims[0], x.Dims[f.Channel(x.Rank())], out)...), nil
}

// fromContents is a tensor whose shape is the contents of an integer input.
func fromContents(dt graph.Type, shape graph.Type) (graph.Type, error) {
	if ds, ok := shape.Contents(); ok {
		for _, d := range ds {
			if n, ok := d.Const(); ok && n < 0 {
				return dt, errs.Errorf("negative dimension in shape %v", ds)
			}
		}
		return graph.TensorOf(dt.DType, ds...), nil
	}
	if n, ok := vectorLen(shape); ok {
		return graph.TensorOf(dt.DType, unknownDims(n)...), nil
	}
	return graph.UnrankedOf(dt.DType), nil
}
