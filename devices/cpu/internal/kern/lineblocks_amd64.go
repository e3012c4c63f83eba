//go:build amd64 && !noasm

package kern

// lineFunc is an assembly kernel of a one-dimensional transform.
type lineFunc func(dst *float32, dstStride int, x *float32, xStride, nv int, bias *float32, lo, hi float32)

func wrapLine(o, k, lanes int, in, weights, out lineFunc) WinoLine {
	n := o + k - 1
	return WinoLine{N: n, O: o, K: k, Lanes: lanes,
		In: func(dst []float32, dstStride int, x []float32, xStride, c int) {
			_, _ = dst[(n-1)*dstStride+c-1], x[(n-1)*xStride+c-1]
			in(&dst[0], dstStride*4, &x[0], xStride*4, c/lanes, nil, 0, 0)
		},
		Weights: func(dst []float32, dstStride int, w []float32, wStride, c int) {
			_, _ = dst[(n-1)*dstStride+c-1], w[(k-1)*wStride+c-1]
			weights(&dst[0], dstStride*4, &w[0], wStride*4, c/lanes, nil, 0, 0)
		},
		Out: func(y []float32, yStride int, m []float32, mStride, c int, bias []float32, lo, hi float32) {
			_, _, _ = y[(o-1)*yStride+c-1], m[(n-1)*mStride+c-1], bias[c-1]
			out(&y[0], yStride*4, &m[0], mStride*4, c/lanes, &bias[0], lo, hi)
		},
	}
}
