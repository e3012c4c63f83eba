package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func resizeKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.Resize, c *Call) error {
			return byParts(c, func(c *Call, part int) error {
				if part == 1 {
					op.ExtrapolationValue = 0
				}
				return resize(op, c)
			})
		}),
		fn(func(op ops.ResizeGrad, c *Call) error {
			shape, err := c.ints(1)
			if err != nil {
				return err
			}
			taps, err := resizeTaps(ops.Resize(op), shape, c.In(2), c.In(3), c.In(4))
			if err != nil {
				return err
			}
			gs, err := c.In(0).Float64s()
			if err != nil {
				return err
			}
			at := append([]int{}, c.In(0).Shape()...)
			for _, t := range taps {
				gs = t.spread(gs, at)
				at[t.axis] = t.in
			}
			return store(c, c.In(0).DType(), shape, gs)
		}),
	}
}

// axisTaps is, for each output position along an axis, the input positions it is made from and their weights.
type axisTaps struct {
	axis, in int
	at       [][]int
	w        [][]float64
	outside  []bool // takes the extrapolation value
}

func resize(op ops.Resize, c *Call) error {
	x := c.In(0)
	taps, err := resizeTaps(op, x.Shape(), c.In(1), c.In(2), c.In(3))
	if err != nil {
		return err
	}
	shape := append([]int{}, x.Shape()...)
	for _, t := range taps {
		shape[t.axis] = len(t.at)
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	if op.Mode == "" || op.Mode == "nearest" {
		return resizeNearest(op, taps, x, out)
	}
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	at := append([]int{}, x.Shape()...)
	for _, t := range taps {
		xs = t.gather(xs, at, op.ExtrapolationValue)
		at[t.axis] = len(t.at)
	}
	saturate(x.DType(), xs)
	return out.SetFloat64s(xs)
}

// saturate rounds and clamps numbers that will be stored as integers.
func saturate(dt tensor.DType, xs []float64) {
	if !dt.IsInt() {
		return
	}
	lo, hi := 0.0, math.Pow(2, float64(dt.Bits()))-1
	if dt.IsSigned() {
		hi = math.Pow(2, float64(dt.Bits()-1))
		lo, hi = -hi, hi-1
	}
	for i, v := range xs {
		xs[i] = min(max(math.RoundToEven(v), lo), hi)
	}
}

// resizeNearest copies elements of any type.
func resizeNearest(op ops.Resize, taps []axisTaps, x, out *tensor.Tensor) error {
	src := make([][]int, x.Rank())
	for a, n := range x.Shape() {
		src[a] = make([]int, n)
		for i := range src[a] {
			src[a][i] = i
		}
	}
	for _, t := range taps {
		src[t.axis] = make([]int, len(t.at))
		for i, at := range t.at {
			if src[t.axis][i] = at[0]; t.outside[i] {
				src[t.axis][i] = -1
			}
		}
	}
	value := tensor.New(x.DType())
	if op.ExtrapolationValue != 0 {
		if err := value.SetFloat64s([]float64{op.ExtrapolationValue}); err != nil {
			return err
		}
	}
	copyPadded(out, x, value, src)
	return nil
}

// gather resizes one axis of data of that shape.
func (t axisTaps) gather(xs []float64, shape []int, value float64) []float64 {
	outer, inner := product(shape[:t.axis]), product(shape[t.axis+1:])
	ys := make([]float64, outer*len(t.at)*inner)
	for o := range outer {
		for i, at := range t.at {
			y := ys[(o*len(t.at)+i)*inner:][:inner]
			if t.outside[i] {
				for e := range y {
					y[e] = value
				}
				continue
			}
			for k, p := range at {
				w := t.w[i][k]
				for e, v := range xs[(o*t.in+p)*inner:][:inner] {
					y[e] += w * v
				}
			}
		}
	}
	return ys
}

// spread is the transpose of gather: it takes gradients along one axis back to the input.
func (t axisTaps) spread(gs []float64, shape []int) []float64 {
	outer, inner := product(shape[:t.axis]), product(shape[t.axis+1:])
	dx := make([]float64, outer*t.in*inner)
	for o := range outer {
		for i, at := range t.at {
			if t.outside[i] {
				continue
			}
			for k, p := range at {
				w, d := t.w[i][k], dx[(o*t.in+p)*inner:][:inner]
				for e, v := range gs[(o*len(t.at)+i)*inner:][:inner] {
					d[e] += w * v
				}
			}
		}
	}
	return dx
}

// resizeTaps is the taps of the axes that change.
func resizeTaps(op ops.Resize, shape []int, roi, scales, sizes *tensor.Tensor) ([]axisTaps, error) {
	plan, err := op.Plan(shape, roi, scales, sizes)
	if err != nil {
		return nil, err
	}
	var all []axisTaps
	for _, p := range plan {
		if p.Scale == 1 && p.In == p.Out && p.Start == 0 && p.End == 1 {
			continue
		}
		t := axisTaps{axis: p.Axis, in: p.In, at: make([][]int, p.Out), w: make([][]float64, p.Out), outside: make([]bool, p.Out)}
		for i := range p.Out {
			x := sourceOf(op, p, float64(i))
			if op.CoordinateTransformationMode == "tf_crop_and_resize" && !(x >= 0 && x <= float64(p.In-1)) {
				t.outside[i] = true
				t.at[i] = []int{0}
				continue
			}
			t.at[i], t.w[i] = tapsAt(op, p, x)
		}
		all = append(all, t)
	}
	return all, nil
}

// sourceOf is the input coordinate of output position i.
func sourceOf(op ops.Resize, p ops.ResizeAxis, i float64) float64 {
	in, out := float64(p.In), p.Scale*float64(p.In) // the output's length before it was rounded
	switch op.CoordinateTransformationMode {
	case "align_corners":
		if p.Out == 1 || out == 1 {
			return 0
		}
		return i * (in - 1) / (out - 1)
	case "asymmetric":
		return i / p.Scale
	case "pytorch_half_pixel":
		if p.Out <= 1 {
			return 0
		}
	case "tf_half_pixel_for_nn":
		return (i + 0.5) / p.Scale
	case "half_pixel_symmetric":
		return in/2*(1-float64(p.Out)/out) + (i+0.5)/p.Scale - 0.5
	case "tf_crop_and_resize":
		if p.Out == 1 {
			return 0.5 * (p.Start + p.End) * (in - 1)
		}
		return p.Start*(in-1) + i*(p.End-p.Start)*(in-1)/float64(p.Out-1)
	}
	return (i+0.5)/p.Scale - 0.5
}

// tapsAt is the input positions and weights at coordinate x. Positions outside are those of the border.
func tapsAt(op ops.Resize, p ops.ResizeAxis, x float64) ([]int, []float64) {
	base := math.Floor(x)
	ratio := x - base
	if op.Mode == "" || op.Mode == "nearest" {
		up := ratio > 0.5
		switch op.NearestMode {
		case "round_prefer_ceil":
			up = ratio >= 0.5
		case "floor":
			up = false
		case "ceil":
			up = ratio > 0
		}
		if up {
			base++
		}
		return []int{clampIndex(base, p.In)}, []float64{1}
	}
	if ratio == 0 { // the window prefers the elements to the left
		base--
		ratio = 1
	}
	w, first := resizeWeights(op, p.Scale, ratio)
	at := make([]int, len(w))
	sum := 0.0
	for i := range w {
		pos := base + float64(first+i)
		if op.ExcludeOutside && (pos < 0 || pos >= float64(p.In)) {
			w[i] = 0
		}
		sum += w[i]
		at[i] = clampIndex(pos, p.In)
	}
	if op.ExcludeOutside {
		for i := range w {
			w[i] /= sum
		}
	}
	return at, w
}

func clampIndex(v float64, n int) int { return int(min(max(v, 0), float64(n-1))) }

// resizeWeights is the filter's weights at ratio behind position 0, and the first position.
func resizeWeights(op ops.Resize, scale, ratio float64) (w []float64, first int) {
	reach, filter := 1.0, func(x float64) float64 { return max(0, 1-math.Abs(x)) }
	if op.Mode == "cubic" {
		reach, filter = 2, func(x float64) float64 { return cubicWeight(x, op.CubicCoeffA) }
	}
	stretch := 1.0
	if op.Antialias {
		stretch = min(scale, 1)
	}
	first = int(math.Floor(-reach/stretch)) + 1
	w = make([]float64, 2-2*first)
	sum := 0.0
	for i := range w {
		w[i] = filter(stretch * (float64(first+i) - ratio))
		sum += w[i]
	}
	if op.Antialias {
		for i := range w {
			w[i] /= sum
		}
	}
	return w, first
}

// cubicWeight is Keys' cubic convolution kernel.
func cubicWeight(x, a float64) float64 {
	x = math.Abs(x)
	switch {
	case x <= 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return ((a*x-5*a)*x+8*a)*x - 4*a
	}
	return 0
}
