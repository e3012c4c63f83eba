package kern

// TapFunc computes npix pixels of c channels: pixel i combines the vectors at x[i*xStride+taps[2t]:] over all t,
// with w[taps[2t+1]:] where there are weights, into dst[i*dstStride:]. The first tap is at offset 0.
type TapFunc func(dst []float32, dstStride, npix, c int, x []float32, xStride int, w []float32, taps []int, bias []float32, lo, hi float32)

// Spatial holds kernels on channels-last pictures.
type Spatial struct {
	Dw     TapFunc // clamp(bias + Σ x·w, lo, hi): depthwise convolution
	MaxTap TapFunc // the largest x; w, bias, lo, hi are not used
	SumTap TapFunc // lo·Σ x; w, bias, hi are not used
	rows   []rowKernel
}

// Wino is Winograd's minimal filtering F(O x O, 3x3) with N x N = (O+2)² products for O² results.
// Strides are in elements. c is a multiple of Lanes. tmp has at least WinoTmp elements.
type Wino struct {
	N, O, Lanes int
	// In transforms the N x N patch at x into N² places dstStride apart.
	In func(dst []float32, dstStride int, x []float32, rowStride, pixStride, c int, tmp []float32)
	// Weights transforms count times n kernels into N² places dstStride apart. w holds the nine elements of n kernels, each for all
	// of them, then those of the next n. n is a multiple of Lanes.
	Weights func(dst []float32, dstStride int, w []float32, n, count int, tmp []float32)
	// Out transforms N² places mStride apart into the O x O patch at y, adding bias, clamped to [lo, hi].
	Out func(y []float32, rowStride, pixStride int, m []float32, mStride, c int, bias []float32, lo, hi float32, tmp []float32)
}

// WinoTmp is the scratch that the transforms need, in elements.
const WinoTmp = 36 * 16

// winoMats are the three transforms of one size: B^T (N x N), G (N x 3), A^T (O x N).
type winoMats struct{ in, weights, out []float32 }

var (
	wino4 = winoMats{
		in: []float32{
			4, 0, -5, 0, 1, 0,
			0, -4, -4, 1, 1, 0,
			0, 4, -4, -1, 1, 0,
			0, -2, -1, 2, 1, 0,
			0, 2, -1, -2, 1, 0,
			0, 4, 0, -5, 0, 1},
		weights: []float32{
			1. / 4, 0, 0,
			-1. / 6, -1. / 6, -1. / 6,
			-1. / 6, 1. / 6, -1. / 6,
			1. / 24, 1. / 12, 1. / 6,
			1. / 24, -1. / 12, 1. / 6,
			0, 0, 1},
		out: []float32{
			1, 1, 1, 1, 1, 0,
			0, 1, -1, 2, -2, 0,
			0, 1, 1, 4, 4, 0,
			0, 1, -1, 8, -8, 1},
	}
	wino2 = winoMats{
		in:      []float32{1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, 1, 0, -1},
		weights: []float32{1, 0, 0, .5, .5, .5, .5, -.5, .5, 0, 0, 1},
		out:     []float32{1, 1, 1, 0, 0, 1, -1, -1},
	}
)

// sandwich computes T·P·T' for the r x k transform t and the k x k patch p.
func sandwich(dst, t, p []float32, r, k int) {
	var half [64]float32
	for i := range r {
		for j := range k {
			s := float32(0)
			for q := range k {
				s += t[i*k+q] * p[q*k+j]
			}
			half[i*k+j] = s
		}
	}
	for i := range r {
		for j := range r {
			s := float32(0)
			for q := range k {
				s += half[i*k+q] * t[j*k+q]
			}
			dst[i*r+j] = s
		}
	}
}

func winoGo(o int, m *winoMats) Wino {
	n := o + 2
	return Wino{N: n, O: o, Lanes: 4,
		In: func(dst []float32, dstStride int, x []float32, rowStride, pixStride, c int, _ []float32) {
			var p, q [64]float32
			for ch := range c {
				for i := range n * n {
					p[i] = x[i/n*rowStride+i%n*pixStride+ch]
				}
				sandwich(q[:], m.in, p[:], n, n)
				for i := range n * n {
					dst[i*dstStride+ch] = q[i]
				}
			}
		},
		Weights: func(dst []float32, dstStride int, w []float32, group, count int, _ []float32) {
			var p, q [64]float32
			for k := range group * count {
				for i := range 9 {
					p[i] = w[(k/group*9+i)*group+k%group]
				}
				sandwich(q[:], m.weights, p[:], n, 3)
				for i := range n * n {
					dst[i*dstStride+k] = q[i]
				}
			}
		},
		Out: func(y []float32, rowStride, pixStride int, mm []float32, mStride, c int, bias []float32, lo, hi float32, _ []float32) {
			var p, q [64]float32
			for ch := range c {
				for i := range n * n {
					p[i] = mm[i*mStride+ch]
				}
				sandwich(q[:], m.out, p[:], o, n)
				for i := range o * o {
					y[i/o*rowStride+i%o*pixStride+ch] = clampGo(q[i]+bias[ch], lo, hi)
				}
			}
		},
	}
}

func dwTapsGo(dst []float32, dstStride, npix, c int, x []float32, xStride int, w []float32, taps []int, bias []float32, lo, hi float32) {
	for i := range npix {
		for ch := range c {
			s := bias[ch]
			for t := 0; t < len(taps); t += 2 {
				s += x[i*xStride+taps[t]+ch] * w[taps[t+1]+ch]
			}
			dst[i*dstStride+ch] = clampGo(s, lo, hi)
		}
	}
}

func maxTapsGo(dst []float32, dstStride, npix, c int, x []float32, xStride int, _ []float32, taps []int, _ []float32, _, _ float32) {
	for i := range npix {
		for ch := range c {
			m := negInf
			for t := 0; t < len(taps); t += 2 {
				m = max(m, x[i*xStride+taps[t]+ch])
			}
			dst[i*dstStride+ch] = m
		}
	}
}

func sumTapsGo(dst []float32, dstStride, npix, c int, x []float32, xStride int, _ []float32, taps []int, _ []float32, lo, _ float32) {
	for i := range npix {
		for ch := range c {
			s := float32(0)
			for t := 0; t < len(taps); t += 2 {
				s += x[i*xStride+taps[t]+ch]
			}
			dst[i*dstStride+ch] = s * lo
		}
	}
}

func spatialGo() Spatial {
	return Spatial{Dw: dwTapsGo, MaxTap: maxTapsGo, SumTap: sumTapsGo, rows: rowsGo()}
}

// checkTaps panics, as the Go twin would, where an operand is too short.
func checkTaps(dst []float32, dstStride, npix, c int, x []float32, xStride int, taps []int) {
	far := 0
	for t := 0; t < len(taps); t += 2 {
		far = max(far, taps[t])
	}
	_, _ = dst[(npix-1)*dstStride+c-1], x[(npix-1)*xStride+far+c-1]
}

// winoChunk bounds the elements of one call of a weight transform.
const winoChunk = 4096

// MaxTapNaN is MaxTap for data with NaN, which wins.
func MaxTapNaN(dst []float32, dstStride, npix, c int, x []float32, xStride int, w []float32, taps []int, bias []float32, lo, hi float32) {
	maxTapsGo(dst, dstStride, npix, c, x, xStride, w, taps, bias, lo, hi)
}
