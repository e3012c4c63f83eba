package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// resizeOps is the family of interpolating resizes.
var resizeOps = []Info{
	{Resize{}, "resizes some axes by interpolation"},
	{ResizeGrad{}, "the gradient of Resize"},
}

// Resize interpolates its first input to another size: inputs X, optional roi, and one of scales and sizes.
// They are for all axes, or for Axes.
type Resize struct {
	Mode                         string // nearest (also ""), linear or cubic
	CoordinateTransformationMode string // half_pixel (also ""), half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, tf_crop_and_resize or tf_half_pixel_for_nn (ONNX 11 and 12 only)
	NearestMode                  string // round_prefer_floor (also ""), round_prefer_ceil, floor or ceil
	KeepAspectRatioPolicy        string // stretch (also ""), not_larger or not_smaller: how sizes are meant
	Axes                         []int  // empty: all
	Antialias                    bool   // widen the filter when shrinking
	ExcludeOutside               bool   // weigh positions outside the data with 0, and renormalize
	CubicCoeffA                  float64
	ExtrapolationValue           float64 // of tf_crop_and_resize, outside the data
}

// Name implements graph.Op.
func (Resize) Name() string { return "Resize" }

func (r Resize) check() error {
	for _, p := range []struct{ name, have, allowed string }{
		{"mode", r.Mode, "|nearest|linear|cubic|"},
		{"coordinate_transformation_mode", r.CoordinateTransformationMode, "|half_pixel|half_pixel_symmetric|pytorch_half_pixel|align_corners|asymmetric|tf_crop_and_resize|tf_half_pixel_for_nn|"},
		{"nearest_mode", r.NearestMode, "|round_prefer_floor|round_prefer_ceil|floor|ceil|"},
		{"keep_aspect_ratio_policy", r.KeepAspectRatioPolicy, "|stretch|not_larger|not_smaller|"},
	} {
		if !oneOf(p.have, p.allowed) {
			return errs.Errorf("%s %q", p.name, p.have)
		}
	}
	return nil
}

// oneOf reports whether s is empty or one of the words between bars.
func oneOf(s, allowed string) bool {
	if s == "" {
		return true
	}
	for i := 0; i+len(s) < len(allowed); i++ {
		if allowed[i] == '|' && allowed[i+1:i+1+len(s)] == s && allowed[i+1+len(s)] == '|' {
			return true
		}
	}
	return false
}

// Infer implements graph.Op.
func (r Resize) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 4); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	x := in[0]
	byScale, bySize := resizeBy(in, 2), resizeBy(in, 3)
	if byScale == bySize {
		return nil, errs.Errorf("takes either scales or sizes")
	}
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	axes, err := r.axes(x.Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, x.Dims...)
	for _, a := range axes {
		dims[a] = graph.Unknown()
	}
	y := []graph.Type{graph.TensorOf(x.DType, dims...)}
	if bySize {
		return y, r.sizeDims(x, in[3], axes, dims)
	}
	if in[2].Const == nil {
		return y, nil
	}
	scales, err := in[2].Const.Float64s()
	if err != nil || len(scales) != len(axes) {
		return nil, errs.Errorf("scales %v for %d axes of %v", in[2], len(axes), x)
	}
	// The region of interest doesn't change the size: the standard's text says so, but neither its shape
	// inference nor its reference implementation nor ONNX Runtime does it.
	for i, a := range axes {
		s := scales[i]
		if !(s > 0) || math.IsInf(s, 0) {
			return nil, errs.Errorf("scales %v", scales)
		}
		if dims[a], err = scaleDim(x.Dims[a], s); err != nil {
			return nil, err
		}
	}
	return y, nil
}

// resizeBy reports whether the optional input i is given: an empty tensor, as old exporters write, is not.
func resizeBy(in []graph.Type, i int) bool {
	if !present(in, i) {
		return false
	}
	n, ok := vectorLen(in[i])
	return !ok || n > 0
}

func (r Resize) axes(rank int) ([]int, error) {
	if len(r.Axes) == 0 {
		return upTo(rank), nil
	}
	out := make([]int, len(r.Axes))
	for i, a := range r.Axes {
		var err error
		if out[i], err = normAxis(a, rank); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scaleDim is floor(d*s), with the product that float32 has: 10 times 0.7 is 7.
func scaleDim(d graph.Dim, s float64) (graph.Dim, error) {
	if n, ok := d.Const(); ok {
		v := math.Floor(float64(float32(n) * float32(s)))
		if !(v >= 0) || v > 1<<40 {
			return d, errs.Errorf("%d scaled by %v", n, s)
		}
		return graph.D(int(v)), nil
	}
	for q := 1; q <= 64; q++ {
		if p := s * float64(q); p == math.Trunc(p) && p >= 0 && p < 1<<20 {
			return d.Mul(graph.D(int(p))).Div(graph.D(q)), nil
		}
	}
	return graph.Unknown(), nil
}

// sizeDims fills the resized dims from the sizes input, where known.
func (r Resize) sizeDims(x, sizes graph.Type, axes []int, dims []graph.Dim) error {
	want, ok := sizes.Contents()
	if !ok {
		return nil
	}
	if len(want) != len(axes) {
		return errs.Errorf("%d sizes for %d axes of %v", len(want), len(axes), x)
	}
	if r.KeepAspectRatioPolicy == "" || r.KeepAspectRatioPolicy == "stretch" {
		for i, a := range axes {
			if n, ok := want[i].Const(); ok && n < 0 {
				return errs.Errorf("sizes %v", want)
			}
			dims[a] = want[i]
		}
		return nil
	}
	in, out := make([]int, len(axes)), make([]int, len(axes))
	for i, a := range axes {
		n, ok1 := x.Dims[a].Const()
		m, ok2 := want[i].Const()
		if !ok1 || !ok2 {
			return nil
		}
		if m < 0 {
			return errs.Errorf("sizes %v", want)
		}
		in[i], out[i] = n, m
	}
	sized, _ := r.keepAspect(in, out)
	for i, v := range sized {
		dims[axes[i]] = graph.D(v)
	}
	return nil
}

// keepAspect adjusts sizes to the input's aspect ratio; scale is what all axes share.
func (r Resize) keepAspect(in, sizes []int) (out []int, scale float64) {
	for i := range in {
		s := float64(sizes[i]) / float64(max(1, in[i]))
		if i == 0 || (r.KeepAspectRatioPolicy == "not_larger") == (s < scale) {
			scale = s
		}
	}
	out = make([]int, len(in))
	for i, n := range in {
		out[i] = int(math.Floor(scale*float64(n) + 0.5))
	}
	return out, scale
}

// ResizeAxis is what a kernel needs of one resized axis.
type ResizeAxis struct {
	Axis       int
	In, Out    int
	Scale      float64 // asked for, or Out/In
	Start, End float64 // the region of interest, normalized
}

// Plan resolves a Resize of data of shape x; the other inputs are nil where omitted.
func (r Resize) Plan(x []int, roi, scales, sizes *tensor.Tensor) ([]ResizeAxis, error) {
	in := []graph.Type{{DType: tensor.Float32, Dims: graph.Dims(x...)}, {}, {}, {}}
	for i, t := range []*tensor.Tensor{roi, scales, sizes} {
		if t != nil {
			in[i+1] = graph.ConstOf(t)
		}
	}
	out, err := r.Infer(in)
	if err != nil {
		return nil, err
	}
	axes, err := r.axes(len(x))
	if err != nil {
		return nil, err
	}
	plan := make([]ResizeAxis, len(axes))
	for i, a := range axes {
		n, ok := out[0].Dims[a].Const()
		if !ok {
			return nil, errs.Errorf("the size of axis %d is not known", a)
		}
		if x[a] == 0 && n > 0 {
			return nil, errs.Errorf("axis %d of %v is empty and can't be resized to %d", a, x, n)
		}
		plan[i] = ResizeAxis{Axis: a, In: x[a], Out: n, Scale: float64(n) / float64(max(1, x[a])), End: 1}
	}
	if sizes != nil && sizes.Len() == len(axes) && (r.KeepAspectRatioPolicy == "not_larger" || r.KeepAspectRatioPolicy == "not_smaller") {
		want, err := sizes.Int64s()
		if err != nil {
			return nil, err
		}
		of, to := make([]int, len(axes)), make([]int, len(axes))
		for i, a := range axes {
			of[i], to[i] = x[a], int(want[i])
		}
		_, scale := r.keepAspect(of, to)
		for i := range plan {
			plan[i].Scale = scale
		}
	}
	if scales != nil && scales.Len() > 0 {
		vs, err := scales.Float64s()
		if err != nil {
			return nil, err
		}
		for i := range plan {
			plan[i].Scale = vs[i]
		}
	}
	if roi != nil && roi.Len() > 0 {
		vs, err := roi.Float64s()
		if err != nil || len(vs) != 2*len(axes) {
			return nil, errs.Errorf("roi of %d elements for %d axes", roi.Len(), len(axes))
		}
		for i := range plan {
			plan[i].Start, plan[i].End = vs[i], vs[len(axes)+i]
		}
	}
	return plan, nil
}

// VJP gives each element of dy to the elements it was interpolated from.
func (r Resize) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	ins := append([]*graph.Value{dy[0], b.Add(Shape{}, n.In[0])}, n.In[1:]...)
	dx := make([]*graph.Value, len(n.In))
	dx[0] = b.Add(ResizeGrad(r), ins...)
	return dx
}

// ResizeGrad is the gradient of a Resize with the same fields: inputs dy, the data's shape, and Resize's
// roi, scales and sizes.
type ResizeGrad Resize

// Name implements graph.Op.
func (ResizeGrad) Name() string { return "ResizeGrad" }

// Infer implements graph.Op.
func (ResizeGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 5); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[1])
	return []graph.Type{t}, err
}

// VJP is Resize, without the value of what lies outside.
func (r ResizeGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	fwd := Resize(r)
	fwd.ExtrapolationValue = 0
	dx := make([]*graph.Value, len(n.In))
	dx[0] = b.Add(fwd, append([]*graph.Value{dy[0]}, n.In[2:]...)...)
	return dx
}

// resizeSamples is the cases of resizeOps.
func resizeSamples() map[string][]Sample {
	return map[string][]Sample{
		"Resize": {
			Case(Resize{}, F(1, 2, 3, 4), SampleIn{}, still(1, 1, 2, 1.5)),
			Case(Resize{Mode: "linear"}, F(1, 1, 3, 4), SampleIn{}, SampleIn{}, IV(1, 1, 5, 3)),
			Case(Resize{Mode: "linear", Antialias: true, Axes: []int{2, -1}}, F(1, 1, 7, 5), SampleIn{}, SampleIn{}, IV(3, 4)),
			Case(Resize{Mode: "cubic", CubicCoeffA: -0.5, ExcludeOutside: true, CoordinateTransformationMode: "asymmetric"}, F(1, 4, 4), SampleIn{}, still(1, 0.8, 2)),
			Case(Resize{Mode: "linear", CoordinateTransformationMode: "align_corners"}, F(1, 1, 3, 4), SampleIn{}, SampleIn{}, IV(1, 1, 5, 7)),
			Case(Resize{Mode: "linear", CoordinateTransformationMode: "tf_crop_and_resize", ExtrapolationValue: 2}, F(4, 4),
				SampleIn{Data: tensor.Of([]float32{0.2, -0.1, 0.9, 1.1}), DType: tensor.Float32, NoGrad: true}, SampleIn{}, IV(3, 5))},
		"ResizeGrad": {
			Case(ResizeGrad{Mode: "linear"}, F(1, 1, 5, 3), IV(1, 1, 3, 4), SampleIn{}, SampleIn{}, IV(1, 1, 5, 3))},
	}
}
