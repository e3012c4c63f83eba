package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// resizeImage interpolates axes h and w of images (half-pixel centres). What the Resize operator has no
// equal for is a product with a matrix of weights for each axis.
func (c *Call) resizeImage(x *graph.Value, h, w, height, width int, interpolation string, antialias bool) *graph.Value {
	if height < 1 || width < 1 || height > 1<<16 || width > 1<<16 {
		c.Failf("can't resize to %d by %d", height, width)
		return x
	}
	op := ops.Resize{Axes: []int{h, w}, CoordinateTransformationMode: "half_pixel"}
	var k filter
	switch interpolation {
	case "nearest":
		op.Mode, op.NearestMode = "nearest", "round_prefer_ceil"
		return c.Add(op, x, nil, nil, c.ints(height, width))
	case "bilinear":
		if !antialias {
			op.Mode = "linear"
			return c.Add(op, x, nil, nil, c.ints(height, width))
		}
		k = filter{1, triangle}
	case "bicubic":
		if !antialias {
			op.Mode, op.CubicCoeffA = "cubic", -0.75
			return c.Add(op, x, nil, nil, c.ints(height, width))
		}
		k = filter{2, func(t float64) float64 { return cubic(t, -0.5) }}
	case "lanczos3":
		k = filter{3, func(t float64) float64 { return lanczos(t, 3) }}
	case "lanczos5":
		k = filter{5, func(t float64) float64 { return lanczos(t, 5) }}
	default:
		c.Failf("interpolation %q is not supported", interpolation)
		return x
	}
	for _, a := range []struct{ axis, to int }{{w, width}, {h, height}} {
		n := c.dim(x, a.axis)
		if n < 1 {
			c.Failf("interpolation %q needs known sizes, got %v", interpolation, x.Type)
			return x
		}
		if !c.atMost("the matrix of a resize", n*a.to, maxConstant) {
			return x
		}
		x = c.alongAxis(x, a.axis, n, a.to, k.matrix(n, a.to, antialias))
	}
	return x
}

// alongAxis multiplies an axis of n places by a matrix (to, n).
func (c *Call) alongAxis(x *graph.Value, axis, n, to int, m []float64) *graph.Value {
	r := c.rank(x)
	t := make([]float64, len(m))
	for i := range to {
		for j := range n {
			t[j*to+i] = m[i*n+j]
		}
	}
	perm := identityPerm(r)
	perm[axis], perm[r-1] = r-1, axis
	y := c.Add(ops.MatMul{}, c.transpose(x, perm...), c.constant(x.Type.DType, t, n, to))
	return c.transpose(y, perm...)
}

// filter is an interpolation's weight by distance, zero beyond its radius.
type filter struct {
	radius float64
	at     func(t float64) float64
}

// matrix is the weights of n places for each of to, places outside being left out. With antialias the filter
// is widened when shrinking.
func (k filter) matrix(n, to int, antialias bool) []float64 {
	m := make([]float64, to*n)
	scale := float64(n) / float64(to)
	wide := 1.0
	if antialias && scale > 1 {
		wide = scale
	}
	for i := range to {
		row := m[i*n : (i+1)*n]
		centre := scale * (float64(i) + 0.5)
		lo := max(int(centre-k.radius*wide+0.5), 0)
		hi := min(int(centre+k.radius*wide+0.5), n)
		total := 0.0
		for j := lo; j < hi; j++ {
			row[j] = k.at((float64(j) - centre + 0.5) / wide)
			total += row[j]
		}
		for j := lo; j < hi && total != 0; j++ {
			row[j] /= total
		}
	}
	return m
}

func triangle(t float64) float64 { return max(1-math.Abs(t), 0) }

// cubic is Keys' kernel with parameter a.
func cubic(t, a float64) float64 {
	t = math.Abs(t)
	switch {
	case t < 1:
		return ((a+2)*t-(a+3))*t*t + 1
	case t < 2:
		return ((a*t-5*a)*t+8*a)*t - 4*a
	}
	return 0
}

// lanczos is the windowed sinc of that radius.
func lanczos(t, radius float64) float64 {
	if t == 0 {
		return 1
	}
	if math.Abs(t) >= radius {
		return 0
	}
	p := math.Pi * t
	return radius * math.Sin(p) * math.Sin(p/radius) / (p * p)
}
