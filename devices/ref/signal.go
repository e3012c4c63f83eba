package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func signalKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(dft),
		fn(stft),
		fn(func(op ops.HannWindow, c *Call) error {
			return windowOf(c, op.OutputDatatype, op.Periodic, func(i, n float64) float64 {
				s := math.Sin(math.Pi * i / n)
				return s * s
			})
		}),
		fn(func(op ops.HammingWindow, c *Call) error {
			return windowOf(c, op.OutputDatatype, op.Periodic, func(i, n float64) float64 {
				return 25.0/46 - 21.0/46*math.Cos(2*math.Pi*i/n)
			})
		}),
		fn(func(op ops.BlackmanWindow, c *Call) error {
			return windowOf(c, op.OutputDatatype, op.Periodic, func(i, n float64) float64 {
				return 0.42 - 0.5*math.Cos(2*math.Pi*i/n) + 0.08*math.Cos(4*math.Pi*i/n)
			})
		}),
		fn(melWeightMatrix),
	}
}

// windowOf evaluates a window function at i of n.
func windowOf(c *Call, dt tensor.DType, periodic bool, f func(i, n float64) float64) error {
	size, err := c.scalar(0)
	if err != nil {
		return err
	}
	if dt == tensor.Invalid {
		dt = tensor.Float32
	}
	n := size
	if !periodic {
		n--
	}
	if size < 0 || size > 1<<40 {
		return errs.Errorf("a window of %d", size)
	}
	vs := make([]float64, size)
	for i := range vs {
		if n == 0 {
			vs[i] = 1 // of one element
			continue
		}
		vs[i] = f(float64(i), float64(n))
	}
	return store(c, dt, []int{size}, vs)
}

// scalar is the integer input i of one element.
func (c *Call) scalar(i int) (int, error) {
	vs, err := c.ints(i)
	if err != nil {
		return 0, err
	}
	if len(vs) != 1 {
		return 0, errs.Errorf("input %d has %d elements, not 1", i, len(vs))
	}
	return vs[0], nil
}

func dft(op ops.DFT, c *Call) error {
	x := c.In(0)
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	axis := -2
	if c.In(2) != nil {
		if axis, err = c.scalar(2); err != nil {
			return err
		}
	}
	r := x.Rank()
	if axis < 0 {
		axis += r
	}
	if axis < 0 || axis >= r-1 {
		return errs.Errorf("axis %d of %v", axis, x.Shape())
	}
	outer, n, inner, _ := around(x.Shape()[:r-1], axis)
	half := op.Inverse && op.Onesided
	length := n
	if half {
		length = 2 * (n - 1)
	}
	if c.In(1) != nil {
		if length, err = c.scalar(1); err != nil {
			return err
		}
	}
	if length < 1 || length > 1<<28 {
		return errs.Errorf("a length of %d", length)
	}
	parts, keep, width := x.Dim(-1), length, 2
	switch {
	case half:
		width = 1
	case op.Onesided:
		keep = length/2 + 1
	}
	shape := append([]int{}, x.Shape()...)
	shape[axis], shape[r-1] = keep, width
	ys := make([]float64, product(shape))
	t := newTransform(length, op.Inverse)
	load := min(n, length)
	if half {
		load = min(n, length/2+1)
	}
	for o := range outer {
		for i := range inner {
			buf := make([]complex128, length)
			for k := range load {
				buf[k] = complexAt(xs, ((o*n+k)*inner+i)*parts, parts)
			}
			if half {
				hermitian(buf)
			}
			for k, v := range t.run(buf)[:keep] {
				at := ((o*keep+k)*inner + i) * width
				if ys[at] = real(v); width == 2 {
					ys[at+1] = imag(v)
				}
			}
		}
	}
	return store(c, x.DType(), shape, ys)
}

// complexAt is the number at an offset of a signal that is real (one part) or complex (two).
func complexAt(xs []float64, at, parts int) complex128 {
	if parts == 2 {
		return complex(xs[at], xs[at+1])
	}
	return complex(xs[at], 0)
}

// hermitian fills in the second half of the spectrum of a real signal.
func hermitian(x []complex128) {
	n := len(x)
	x[0] = complex(real(x[0]), 0)
	for k := 1; k <= n/2; k++ {
		if 2*k == n {
			x[k] = complex(real(x[k]), 0)
			continue
		}
		x[n-k] = complex(real(x[k]), -imag(x[k]))
	}
}

func stft(op ops.STFT, c *Call) error {
	x, window := c.In(0), c.In(2)
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	step, err := c.scalar(1)
	if err != nil {
		return err
	}
	var length int
	switch {
	case c.In(3) != nil:
		length, err = c.scalar(3)
	case window != nil:
		length = window.Len()
	default:
		err = errs.Errorf("neither a window nor a frame length")
	}
	if err != nil {
		return err
	}
	n, parts := x.Dim(1), x.Dim(2)
	if step < 1 || length < 1 || length > n {
		return errs.Errorf("frames of %d every %d in %d samples", length, step, n)
	}
	weights := make([]float64, length)
	for i := range weights {
		weights[i] = 1
	}
	if window != nil {
		if weights, err = window.Float64s(); err != nil {
			return err
		}
	}
	frames, keep := (n-length)/step+1, length
	if op.Onesided {
		keep = length/2 + 1
	}
	ys := make([]float64, 0, x.Dim(0)*frames*keep*2)
	t := newTransform(length, false)
	for b := range x.Dim(0) {
		for f := range frames {
			buf := make([]complex128, length)
			for k := range min(length, len(weights)) {
				at := (b*n + f*step + k) * parts
				buf[k] = complex(xs[at]*weights[k], 0)
				if parts == 2 {
					buf[k] = complex(xs[at]*weights[k], xs[at+1]*weights[k])
				}
			}
			for _, v := range t.run(buf)[:keep] {
				ys = append(ys, real(v), imag(v))
			}
		}
	}
	return store(c, x.DType(), []int{x.Dim(0), frames, keep, 2}, ys)
}

func melWeightMatrix(op ops.MelWeightMatrix, c *Call) error {
	var sizes [3]int
	for i := range sizes {
		var err error
		if sizes[i], err = c.scalar(i); err != nil {
			return err
		}
	}
	var edges [2]float64
	for i := range edges {
		vs, err := c.In(3 + i).Float64s()
		if err != nil {
			return err
		}
		if len(vs) != 1 {
			return errs.Errorf("input %d has %d elements, not 1", 3+i, len(vs))
		}
		edges[i] = 2595 * math.Log10(1+vs[0]/700)
	}
	bands, length, rate := sizes[0], sizes[1], sizes[2]
	if bands < 0 || length < 0 || rate < 1 || bands > 1<<24 || length > 1<<24 {
		return errs.Errorf("%d bands of a transform of %d at %d Hz", bands, length, rate)
	}
	bins := length/2 + 1
	points := make([]int, bands+2)
	for i := range points {
		mel := edges[0] + float64(i)*(edges[1]-edges[0])/float64(len(points))
		hertz := 700 * (math.Pow(10, mel/2595) - 1)
		points[i] = int(math.Floor(float64(length+1) * hertz / float64(rate)))
		if points[i] < 0 || points[i] > bins {
			return errs.Errorf("band edge %d lies at bin %d of %d", i, points[i], bins)
		}
	}
	vs := make([]float64, bins*bands)
	set := func(bin, band int, v float64) {
		if bin < bins {
			vs[bin*bands+band] = v
		}
	}
	for b := range bands {
		lo, mid, hi := points[b], points[b+1], points[b+2]
		if lo == mid {
			set(mid, b, 1)
		} else {
			for j := lo; j <= mid; j++ {
				set(j, b, float64(j-lo)/float64(mid-lo))
			}
		}
		for j := mid; j < hi; j++ {
			set(j, b, float64(hi-j)/float64(hi-mid))
		}
	}
	dt := op.OutputDatatype
	if dt == tensor.Invalid {
		dt = tensor.Float32
	}
	return store(c, dt, []int{bins, bands}, vs)
}
