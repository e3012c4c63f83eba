//go:build arm64 && !noasm

package kern

import "github.com/nnrt/nnrt/internal/cpuid"

func addLevel(s *Set, l cpuid.Level) {
	if l != cpuid.NEON {
		return
	}
	s.Level = l
	s.Gemm.MR, s.Gemm.NR, s.Gemm.Lanes, s.Gemm.tile = 8, 8, 8, gemmTile8x8NEON
	s.Spatial.Dw = dwTapsWide
	addNEON(&s.Vec)
}

//go:noescape
func gemmTileNEON(m, k int, a *float32, lda int, b, c *float32, ldc, acc int)

//go:noescape
func dwTapsNEON(dst, x, w *float32, taps *int, ntaps int, bias *float32, lo, hi float32)

// gemmTile8x8NEON takes rows in tiles of 8, 4, 2 and 1, and segments one after another.
func gemmTile8x8NEON(m, n int, d Depth, a []float32, lda int, b, _ []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
	const nr = 8
	_, _, _ = a[(m-1)*lda+d.reach()-1], c[(m-1)*ldc+n-1], b[d.Total()*nr-1]
	for i, h := 0, 8; i < m; i += h {
		for h > m-i {
			h /= 2
		}
		var t [8 * nr]float32
		out, step := &c[i*ldc], ldc
		if n < nr {
			out, step = &t[0], nr
			if flags&Accumulate != 0 {
				for r := range h {
					copy(t[r*nr:][:n], c[(i+r)*ldc:])
				}
			}
		}
		acc := int(flags & Accumulate)
		for s := range d.Segs {
			gemmTileNEON(h, d.K, &a[i*lda+s*d.Stride], lda*4, &b[s*d.K*nr], out, step*4, acc)
			acc = 1
		}
		if n < nr {
			for r := range h {
				copy(c[(i+r)*ldc:][:n], t[r*nr:])
			}
		}
		if flags&^Accumulate != 0 {
			finishTile(h, n, i, c[i*ldc:], ldc, ep, flags)
		}
	}
}

// finishTile applies the epilogue to m rows of n columns, of which the first is row i of the residual.
func finishTile(m, n, i int, c []float32, ldc int, ep Epilogue, flags Flags) {
	for r := range m {
		row := c[r*ldc:][:n]
		if flags&Bias != 0 {
			for j, v := range ep.Bias[:n] {
				row[j] += v
			}
		}
		if flags&Residual != 0 {
			for j, v := range ep.Res[(i+r)*ep.LdRes:][:n] {
				row[j] += v
			}
		}
		if flags&Clamp != 0 {
			for j, v := range row {
				row[j] = clampGo(v, ep.Lo, ep.Hi)
			}
		}
	}
}

// dwTapsWide does sixteen channels at a time, and those left over in Go.
func dwTapsWide(dst []float32, dstStride, npix, c int, x []float32, xStride int, w []float32, taps []int, bias []float32, lo, hi float32) {
	wide := c &^ 15
	if len(taps) == 0 {
		wide = 0
	}
	for i := range npix {
		for ch := 0; ch < wide; ch += 16 {
			for t := 0; t < len(taps); t += 2 {
				_, _ = x[i*xStride+taps[t]+ch+15], w[taps[t+1]+ch+15]
			}
			_ = dst[i*dstStride+ch+15]
			dwTapsNEON(&dst[i*dstStride+ch], &x[i*xStride+ch], &w[ch], &taps[0], len(taps)/2, &bias[ch:][:16][0], lo, hi)
		}
	}
	if wide < c {
		dwTapsGo(dst[wide:], dstStride, npix, c-wide, x[wide:], xStride, w[wide:], taps, bias[wide:], lo, hi)
	}
}

// addNEON replaces the functions of v that have kernels; what is left of a length goes to the twins in Go.
func addNEON(v *Vec) {
	v.Add = binaryNEON(nAddNEON, v.Add)
	v.Sub = binaryNEON(nSubNEON, v.Sub)
	v.Mul = binaryNEON(nMulNEON, v.Mul)
	v.Div = binaryNEON(nDivNEON, v.Div)
	v.Max = binaryNEON(nMaxNEON, v.Max)
	v.Min = binaryNEON(nMinNEON, v.Min)
	v.Clip = unaryNEON(nClipNEON, v.Clip)
	v.ScaleShift = unaryNEON(nScaleShiftNEON, v.ScaleShift)
	v.AddS = unaryNEON(nAddSNEON, v.AddS)
	v.MulS = unaryNEON(nMulSNEON, v.MulS)
	v.SubFrom = unaryNEON(nSubFromNEON, v.SubFrom)
	v.DivFrom = unaryNEON(nDivFromNEON, v.DivFrom)
	v.DivBy = unaryNEON(nDivByNEON, v.DivBy)
	v.MulAdd = mulAddNEON
	v.MulAddClip = mulAddClipNEON
	v.Normalize = normalizeNEON
	v.AddClip = addClipNEON
	v.Axpy = axpyNEON
	v.Sum = func(x []float32) float32 { return sumNEON(nSumNEON, x, 0, 0, v4Sum) }
	v.SumSq = func(x []float32) float32 { return sumNEON(nSumSqDevNEON, x, 0, 0, v4Sum) }
	v.SumSqDev = func(x []float32, a float32) float32 { return sumNEON(nSumSqDevNEON, x, a, a, v4Sum) }
	v.MaxOf = func(x []float32) float32 { return sumNEON(nMaxOfNEON, x, 0, negInf, v4Max) }
	v.Dot = dotNEON
}

func binaryNEON(f func(dst, x, y *float32, n int), twin Binary) Binary {
	return func(dst, x, y []float32) {
		dst, y = dst[:len(x)], y[:len(x)]
		n := len(x) &^ 3
		for i := 0; i < n; i += chunk {
			f(&dst[i], &x[i], &y[i], min(chunk, n-i))
		}
		twin(dst[n:], x[n:], y[n:])
	}
}

func unaryNEON(f func(dst, x *float32, n int, a, b float32), twin Unary) Unary {
	return func(dst, x []float32, a, b float32) {
		dst = dst[:len(x)]
		n := len(x) &^ 3
		for i := 0; i < n; i += chunk {
			f(&dst[i], &x[i], min(chunk, n-i), a, b)
		}
		twin(dst[n:], x[n:], a, b)
	}
}

func mulAddNEON(dst, x, y, z []float32) {
	dst, y, z = dst[:len(x)], y[:len(x)], z[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += chunk {
		nMulAddNEON(&dst[i], &x[i], &y[i], &z[i], min(chunk, n-i))
	}
	mulAddGo(dst[n:], x[n:], y[n:], z[n:])
}

func mulAddClipNEON(dst, x, y, z []float32, a, b float32) {
	dst, y, z = dst[:len(x)], y[:len(x)], z[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += chunk {
		nMulAddClipNEON(&dst[i], &x[i], &y[i], &z[i], min(chunk, n-i), a, b)
	}
	mulAddClipGo(dst[n:], x[n:], y[n:], z[n:], a, b)
}

func normalizeNEON(dst, x, y, z []float32, a, b float32) {
	dst, y, z = dst[:len(x)], y[:len(x)], z[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += chunk {
		nNormalizeNEON(&dst[i], &x[i], &y[i], &z[i], min(chunk, n-i), a, b)
	}
	normalizeGo(dst[n:], x[n:], y[n:], z[n:], a, b)
}

func addClipNEON(dst, x, y []float32, a, b float32) {
	dst, y = dst[:len(x)], y[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += chunk {
		nAddClipNEON(&dst[i], &x[i], &y[i], min(chunk, n-i), a, b)
	}
	addClipGo(dst[n:], x[n:], y[n:], a, b)
}

func axpyNEON(dst, x []float32, a float32) {
	dst = dst[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += chunk {
		nAxpyNEON(&dst[i], &dst[i], &x[i], min(chunk, n-i), a, 0)
	}
	axpyGo(dst[n:], x[n:], a)
}

func v4Sum(s *[4]float32) float32 { return addLanes(s[:]) }

func v4Max(s *[4]float32) float32 { return maxLanes(s[:]) }

// sumNEON reduces x, filled up to sixteens with a number that counts for nothing.
func sumNEON(f func(out, x *float32, n int, a float32), x []float32, a, fill float32, join func(*[4]float32) float32) float32 {
	var out [4]float32
	if fill == negInf {
		out = [4]float32{fill, fill, fill, fill}
	}
	n := len(x) &^ 15
	for i := 0; i < n; i += chunk {
		f(&out[0], &x[i], min(chunk, n-i), a)
	}
	if n < len(x) {
		var t [16]float32
		for i := range t {
			t[i] = fill
		}
		copy(t[:], x[n:])
		f(&out[0], &t[0], 16, a)
	}
	return join(&out)
}

func dotNEON(x, y []float32) float32 {
	var out [4]float32
	y = y[:len(x)]
	n := len(x) &^ 15
	for i := 0; i < n; i += chunk {
		nDotNEON(&out[0], &x[i], &y[i], min(chunk, n-i), 0)
	}
	if n < len(x) {
		var t, q [16]float32
		copy(t[:], x[n:])
		copy(q[:], y[n:])
		nDotNEON(&out[0], &t[0], &q[0], 16, 0)
	}
	return addLanes(out[:])
}

//go:noescape
func nAddNEON(dst, x, y *float32, n int)

//go:noescape
func nSubNEON(dst, x, y *float32, n int)

//go:noescape
func nMulNEON(dst, x, y *float32, n int)

//go:noescape
func nDivNEON(dst, x, y *float32, n int)

//go:noescape
func nMaxNEON(dst, x, y *float32, n int)

//go:noescape
func nMinNEON(dst, x, y *float32, n int)

//go:noescape
func nMulAddNEON(dst, x, y, z *float32, n int)

//go:noescape
func nMulAddClipNEON(dst, x, y, z *float32, n int, a, b float32)

//go:noescape
func nNormalizeNEON(dst, x, y, z *float32, n int, a, b float32)

//go:noescape
func nAddClipNEON(dst, x, y *float32, n int, a, b float32)

//go:noescape
func nAxpyNEON(dst, x, y *float32, n int, a, b float32)

//go:noescape
func nClipNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nScaleShiftNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nAddSNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nMulSNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nSubFromNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nDivFromNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nDivByNEON(dst, x *float32, n int, a, b float32)

//go:noescape
func nSumNEON(out, x *float32, n int, a float32)

//go:noescape
func nSumSqDevNEON(out, x *float32, n int, a float32)

//go:noescape
func nMaxOfNEON(out, x *float32, n int, a float32)

//go:noescape
func nDotNEON(out, x, y *float32, n int, a float32)
