package keras

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// resize lifts Resize: whole factors of repeated pixels are UpSampling, interpolation between pixel centres is
// Resizing, and what else reads each place by known weights is a gather or a product along each axis.
func (l *lifter) resize(n *graph.Node, op ops.Resize) bool {
	x := l.in(n, 0)
	in, out := n.In[0].Type.Dims, n.Out[0].Type.Dims
	if x == nil || len(in) == 0 || len(in) != len(out) || op.KeepAspectRatioPolicy == "not_larger" || op.KeepAspectRatioPolicy == "not_smaller" ||
		op.Antialias || op.ExcludeOutside {
		return false
	}
	var axes []int // that change
	for i := range in {
		if in[i] != out[i] {
			axes = append(axes, i)
		}
	}
	if len(axes) == 0 {
		l.vals[n.Out[0]] = x
		return true
	}
	if op.Mode == "" || op.Mode == "nearest" {
		return l.repeated(n, op, x, axes) || l.nearest(n, op, x, axes)
	}
	return l.interpolated(n, op, x, axes) || op.Mode == "linear" && l.linear(n, op, x, axes)
}

// scales is what Resize multiplies each axis by, where that is known.
func scales(n *graph.Node, op ops.Resize, axis int) (float64, bool) {
	at := axis
	if len(op.Axes) > 0 {
		at = slices.IndexFunc(op.Axes, func(a int) bool { return a == axis || a+n.In[0].Type.Rank() == axis })
	}
	if len(n.In) > 2 && n.In[2] != nil {
		if t := constOf(n.In[2]); t != nil && at >= 0 && at < t.Len() {
			vs, err := t.Float64s()
			return vs[at], err == nil
		}
		return 0, false
	}
	a, ok1 := n.In[0].Type.Dims[axis].Const()
	b, ok2 := n.Out[0].Type.Dims[axis].Const()
	return float64(b) / float64(max(a, 1)), ok1 && ok2 && a > 0
}

// repeats reports whether nearest by a whole factor takes each place that many times.
func repeats(op ops.Resize, factor float64) bool {
	switch op.CoordinateTransformationMode {
	case "", "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "tf_half_pixel_for_nn":
		return factor > 1 && (op.NearestMode != "floor" && op.NearestMode != "ceil")
	case "asymmetric":
		return op.NearestMode == "floor" || factor == 2 && (op.NearestMode == "" || op.NearestMode == "round_prefer_floor")
	}
	return false
}

// repeated is UpSampling, or Repeat along single axes.
func (l *lifter) repeated(n *graph.Node, op ops.Resize, x *layers.Tensor, axes []int) bool {
	r := n.In[0].Type.Rank()
	factors := orOnes(nil, r)
	for _, a := range axes {
		s, ok := scales(n, op, a)
		if !ok || s != math.Trunc(s) || !repeats(op, s) {
			return false
		}
		factors[a] = int(s)
	}
	for _, f := range []struct {
		format string
		from   int
	}{{"channels_first", 2}, {"channels_last", 1}} {
		spatial := factors[f.from : f.from+max(r-2, 0)]
		if r < 4 || r > 5 || slices.ContainsFunc(axes, func(a int) bool { return a < f.from || a >= f.from+r-2 }) {
			continue
		}
		if r == 4 {
			l.put(n, &layers.UpSampling2D{Base: l.base(n), Size: spatial, DataFormat: f.format}, nil, x)
		} else {
			l.put(n, &layers.UpSampling3D{Base: l.base(n), Size: spatial, DataFormat: f.format}, nil, x)
		}
		return true
	}
	if r == 3 && axes[0] == 1 && len(axes) == 1 {
		l.put(n, &layers.UpSampling1D{Base: l.base(n), Size: factors[1]}, nil, x)
		return true
	}
	for _, a := range axes {
		x = l.apply(n.Out[0].Name, "Repeat repeats axis", num(factors[a]), num(a), x)
	}
	l.vals[n.Out[0]] = x
	return true
}

// interpolated is Resizing: two spatial axes, known sizes, half-pixel centres.
func (l *lifter) interpolated(n *graph.Node, op ops.Resize, x *layers.Tensor, axes []int) bool {
	how := map[string]string{"linear": "bilinear", "cubic": "bicubic"}[op.Mode]
	if n.In[0].Type.Rank() != 4 || how == "" || how == "bicubic" && op.CubicCoeffA != -0.75 {
		return false
	}
	format, from := "channels_first", 2
	if axes[0] == 1 {
		format, from = "channels_last", 1
	}
	size := make([]int, 2)
	for i := range size {
		d, ok := n.Out[0].Type.Dims[from+i].Const()
		a, ok2 := n.In[0].Type.Dims[from+i].Const()
		if !ok || !ok2 || axes[0] < from || axes[len(axes)-1] > from+1 {
			return false
		}
		switch op.CoordinateTransformationMode {
		case "", "half_pixel":
		case "pytorch_half_pixel":
			if d == 1 && a > 1 {
				return false
			}
		default:
			return false
		}
		if s, ok := scales(n, op, from+i); !ok || math.Abs(s*float64(a)-float64(d)) > 1e-4 { // sizes are of the ratio itself
			return false
		}
		size[i] = d
	}
	l.put(n, &layers.Resizing{Base: l.base(n), Height: size[0], Width: size[1], Interpolation: how, DataFormat: format}, nil, x)
	return true
}

// place is where output i of an axis reads: ONNX's coordinate transformations.
func place(mode string, i int, scale float64, in, out int) (float64, bool) {
	x := float64(i)
	switch mode {
	case "", "half_pixel":
		return (x+0.5)/scale - 0.5, true
	case "pytorch_half_pixel":
		if out == 1 {
			return 0, true
		}
		return (x+0.5)/scale - 0.5, true
	case "asymmetric":
		return x / scale, true
	case "align_corners":
		if out == 1 {
			return 0, true
		}
		return x * float64(in-1) / float64(out-1), true
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale, true
	}
	return 0, false
}

// places is where each output of an axis reads.
func places(n *graph.Node, op ops.Resize, axis int) (at []float64, in int, ok bool) {
	in, ok1 := n.In[0].Type.Dims[axis].Const()
	out, ok2 := n.Out[0].Type.Dims[axis].Const()
	s, ok3 := scales(n, op, axis)
	if !ok1 || !ok2 || !ok3 || in < 1 || in*out > maxInline {
		return nil, 0, false
	}
	for i := range out {
		x, ok := place(op.CoordinateTransformationMode, i, s, in, out)
		if !ok {
			return nil, 0, false
		}
		at = append(at, x)
	}
	return at, in, true
}

// nearest takes the nearest place along each axis.
func (l *lifter) nearest(n *graph.Node, op ops.Resize, x *layers.Tensor, axes []int) bool {
	taken := make([][]float64, len(axes))
	for k, a := range axes {
		at, in, ok := places(n, op, a)
		if !ok {
			return false
		}
		for _, p := range at {
			switch op.NearestMode {
			case "floor":
				p = math.Floor(p)
			case "ceil":
				p = math.Ceil(p)
			case "round_prefer_ceil":
				p = math.Floor(p + 0.5)
			default:
				p = math.Ceil(p - 0.5)
			}
			taken[k] = append(taken[k], min(max(p, 0), float64(in-1)))
		}
	}
	for k, a := range axes {
		x = l.apply(n.Out[0].Name, "Take axis", num(a), x, array(tensor.Int32, taken[k], len(taken[k])))
	}
	l.vals[n.Out[0]] = x
	return true
}

// linear weighs the two places around each along each axis: a product with a matrix.
func (l *lifter) linear(n *graph.Node, op ops.Resize, x *layers.Tensor, axes []int) bool {
	const letters = "abcdefgh"
	r := n.In[0].Type.Rank()
	if r > len(letters) || !n.In[0].Type.DType.IsFloat() {
		return false
	}
	weights := make([]any, len(axes))
	for k, a := range axes {
		at, in, ok := places(n, op, a)
		if !ok {
			return false
		}
		m := make([]float64, len(at)*in)
		for i, p := range at {
			p = min(max(p, 0), float64(in-1))
			lo := int(p)
			m[i*in+lo] += 1 - (p - float64(lo))
			m[i*in+min(lo+1, in-1)] += p - float64(lo)
		}
		weights[k] = array(n.In[0].Type.DType, m, len(at), in)
	}
	for k, a := range axes {
		from := []byte(letters[:r])
		to := slices.Clone(from)
		to[a] = 'z'
		x = l.apply(n.Out[0].Name, "Einsum subscripts", string(from)+",z"+string(from[a])+"->"+string(to), x, weights[k])
	}
	l.vals[n.Out[0]] = x
	return true
}
