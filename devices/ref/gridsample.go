package ref

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// gridTap is an element that a sample is made from: its offset in the plane, its weight, and the weight's
// derivative in each coordinate.
type gridTap struct {
	off int
	w   float64
	dw  []float64
}

// sampler is a GridSample in numbers.
type sampler struct {
	op     ops.GridSample
	space  []int
	single bool // coordinates are computed in float32, as those of a float32 grid
}

// coordinate turns a grid value into a position along an axis of n elements, with its derivative.
func (s sampler) coordinate(v float64, n int) (x, dx float64) {
	if s.op.AlignCorners {
		dx = float64(n-1) / 2
		if s.single {
			return float64((float32(v) + 1) / 2 * float32(n-1)), dx
		}
		return (v + 1) / 2 * float64(n-1), dx
	}
	dx = float64(n) / 2
	if s.single {
		return float64(((float32(v)+1)*float32(n) - 1) / 2), dx
	}
	return ((v+1)*float64(n) - 1) / 2, dx
}

// mirror reflects x into [lo, hi] at its ends; the sign is that of the derivative.
func mirror(x, lo, hi float64) (y, sign float64) {
	span := hi - lo
	if x >= lo && x <= hi {
		return x, 1
	}
	if span <= 0 {
		return lo, 0
	}
	d := lo - x
	if x > hi {
		d = x - hi
	}
	n := math.Floor(d / span)
	r := d - n*span
	near := math.Mod(n, 2) == 0
	if (x > hi) == near {
		y = hi - r
	} else {
		y = lo + r
	}
	// The first fold turns the direction, the next turns it back.
	sign = 1
	if near {
		sign = -1
	}
	return y, sign
}

// border is the range that positions are reflected into.
func (s sampler) border(n int) (lo, hi float64) {
	if s.op.AlignCorners {
		return 0, float64(n - 1)
	}
	return -0.5, float64(n) - 0.5
}

// pixel is the element that an index shows, -1 for none.
func (s sampler) pixel(i float64, n int) int {
	if i >= 0 && i < float64(n) {
		return int(i)
	}
	switch s.op.PaddingMode {
	case "border":
		return int(min(max(i, 0), float64(n-1)))
	case "reflection":
		lo, hi := s.border(n)
		v, _ := mirror(i, lo, hi)
		return min(max(int(v), 0), n-1)
	}
	return -1
}

// axis is the elements, weights and derivatives along one axis of n elements at grid value v.
func (s sampler) axis(v float64, n int) (at []int, w, dw []float64) {
	x, dx := s.coordinate(v, n)
	if s.op.Mode == "nearest" {
		x, dx = math.RoundToEven(x), 0
	}
	if lo, hi := s.border(n); x < lo || x > hi {
		switch s.op.PaddingMode {
		case "border":
			x, dx = min(max(x, 0), float64(n-1)), 0
		case "reflection":
			var sign float64
			x, sign = mirror(x, lo, hi)
			dx *= sign
		}
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []int{-1}, []float64{1}, []float64{0}
	}
	base := math.Floor(x)
	switch s.op.Mode {
	case "nearest":
		return []int{s.pixel(base, n)}, []float64{1}, []float64{0}
	case "cubic":
		for k := -1; k <= 2; k++ {
			d := x - (base + float64(k))
			at = append(at, s.pixel(base+float64(k), n))
			w = append(w, cubicWeight(d, -0.75))
			dw = append(dw, cubicSlope(d, -0.75)*dx)
		}
		return at, w, dw
	}
	f := x - base
	return []int{s.pixel(base, n), s.pixel(base+1, n)}, []float64{1 - f, f}, []float64{-dx, dx}
}

// cubicSlope is the derivative of cubicWeight.
func cubicSlope(x, a float64) float64 {
	s := 1.0
	if x < 0 {
		s, x = -1, -x
	}
	switch {
	case x <= 1:
		return s * (3*(a+2)*x - 2*(a+3)) * x
	case x < 2:
		return s * ((3*a*x-10*a)*x + 8*a)
	}
	return 0
}

// taps is the elements for a grid point, whose coordinates go from the last axis to the first.
func (s sampler) taps(point []float64) []gridTap {
	k := len(s.space)
	taps := []gridTap{{w: 1, dw: make([]float64, k)}}
	for a, n := range s.space {
		at, w, dw := s.axis(point[k-1-a], n)
		var next []gridTap
		for _, t := range taps {
			for i, p := range at {
				if p < 0 {
					continue
				}
				u := gridTap{off: t.off*n + p, w: t.w * w[i], dw: make([]float64, k)}
				for j, d := range t.dw {
					u.dw[j] = d * w[i]
				}
				u.dw[k-1-a] = t.w * dw[i]
				next = append(next, u)
			}
		}
		taps = next
	}
	return taps
}

// eachPoint calls f for every point of the grid: its batch entry, place, and taps.
func (s sampler) eachPoint(grid *tensor.Tensor, f func(n, place int, taps []gridTap)) error {
	vs, err := grid.Float64s()
	if err != nil {
		return err
	}
	k, batch := len(s.space), grid.Dim(0)
	if grid.Dim(-1) != k {
		return errs.Errorf("grid %v for %d spatial dimensions", grid.Shape(), k)
	}
	places := product(grid.Shape()[1 : grid.Rank()-1])
	for i := range batch * places {
		f(i/places, i%places, s.taps(vs[i*k:][:k]))
	}
	return nil
}

func newSampler(op ops.GridSample, x, grid *tensor.Tensor) sampler {
	return sampler{op: op, space: x.Shape()[2:], single: grid.DType() != tensor.Float64}
}

func gridSample(op ops.GridSample, c *Call) error {
	x, grid := c.In(0), c.In(1)
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	out := grid.Shape()[1 : grid.Rank()-1]
	shape := append([]int{x.Dim(0), x.Dim(1)}, out...)
	ch, plane, places := x.Dim(1), product(x.Shape()[2:]), product(out)
	ys := make([]float64, product(shape))
	err = newSampler(op, x, grid).eachPoint(grid, func(n, place int, taps []gridTap) {
		for k := range ch {
			y := &ys[(n*ch+k)*places+place]
			for _, t := range taps {
				*y += t.w * xs[(n*ch+k)*plane+t.off]
			}
		}
	})
	if err != nil {
		return err
	}
	return store(c, x.DType(), shape, ys)
}

func gridSampleGrad(op ops.GridSampleGrad, c *Call) error {
	x, grid := c.In(0), c.In(1)
	xs, gs, err := floatPair(x, c.In(2))
	if err != nil {
		return err
	}
	ch, plane := x.Dim(1), product(x.Shape()[2:])
	k := x.Rank() - 2
	places := product(grid.Shape()[1 : grid.Rank()-1])
	dx, dg := make([]float64, len(xs)), make([]float64, grid.Len())
	err = newSampler(ops.GridSample(op), x, grid).eachPoint(grid, func(n, place int, taps []gridTap) {
		for f := range ch {
			g := gs[(n*ch+f)*places+place]
			for _, t := range taps {
				i := (n*ch+f)*plane + t.off
				dx[i] += g * t.w
				for a, d := range t.dw {
					dg[(n*places+place)*k+a] += g * xs[i] * d
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if err := store(c, x.DType(), x.Shape(), dx); err != nil {
		return err
	}
	out, err := c.OutOf(1, grid.DType(), grid.Shape()...)
	if err != nil {
		return err
	}
	return out.SetFloat64s(dg)
}
