//go:build amd64 && !noasm

package kern

import "unsafe"

// The stubs take strides in bytes. nv is the number of vectors in a panel row; mask has a bit for each column.

//go:noescape
func gemmTileAVX2(m, nv, k int, a *float32, lda int, b, c *float32, ldc int, bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int, pf *float32, pfLen int)

//go:noescape
func gemmTileAVX512(m, nv, k int, a *float32, lda int, b, c *float32, ldc int, bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int, pf *float32, pfLen int)

//go:noescape
func transposeAVX2(dst *float32, dstStride int, src *float32, srcStride, n int, scale *float32)

// ones are the factors of a transposition without any.
var ones = [8]float32{1, 1, 1, 1, 1, 1, 1, 1}

// transposeChunk is how many blocks of eight columns one call transposes.
const transposeChunk = 512

func utransposeAVX2(dst []float32, dstStride int, src []float32, srcStride, k, cols int, scale []float32) {
	if k == 0 || cols == 0 {
		return
	}
	_, _ = dst[(k-1)*dstStride+cols-1], src[(cols-1)*srcStride+k-1]
	whole, rows := k&^7, cols&^7
	for j := 0; j < rows && whole > 0; j += 8 {
		factors := &ones[0]
		if scale != nil {
			factors = &scale[j : j+8][0]
		}
		for i := 0; i < whole; i += 8 * transposeChunk {
			transposeAVX2(&dst[i*dstStride+j], dstStride*4, &src[j*srcStride+i], srcStride*4, min(transposeChunk, (whole-i)/8), factors)
		}
	}
	if whole < k {
		transposeGo(dst[whole*dstStride:], dstStride, src[whole:], srcStride, k-whole, cols, scale)
	}
	if rows < cols && whole > 0 {
		if scale != nil {
			scale = scale[rows:]
		}
		transposeGo(dst[rows:], dstStride, src[rows*srcStride:], srcStride, whole, cols-rows, scale)
	}
}

//go:noescape
func peakAVX2(n int)

//go:noescape
func peakAVX512(n int)

// peakFlops is the operations of n rounds of a peak function with registers of that many lanes.
func peakFlops(n, lanes int) float64 { return 2 * 12 * float64(lanes) * float64(n) }

func first(s []float32) *float32 { return unsafe.SliceData(s) }

func gemmTile14x32AVX512(m, n int, d Depth, a []float32, lda int, b, next []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
	_, _, _ = a[(m-1)*lda+d.reach()-1], c[(m-1)*ldc+n-1], b[d.Total()*((n+15)/16*16)-1]
	var bias *float32
	var lo, hi float32
	ldr := 0
	if flags&(Bias|Residual|Clamp) != 0 {
		lo, hi = ep.Lo, ep.Hi
		if flags&Bias != 0 {
			bias = &ep.Bias[:n][0]
		}
		if flags&Residual != 0 {
			ldr = ep.LdRes
			_ = ep.Res[(m-1)*ldr+n-1]
		}
	}
	gemmTileAVX512(m, (n+15)/16, d.K, first(a), lda*4, first(b), first(c), ldc*4, bias, first(ep.Res), ldr*4, lo, hi, int(flags), 1<<n-1, d.Segs, (d.Stride-d.K)*4, first(next), len(next)*4)
}

func gemmTile6x16AVX2(m, n int, d Depth, a []float32, lda int, b, next []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
	_, _, _ = a[(m-1)*lda+d.reach()-1], c[(m-1)*ldc+n-1], b[d.Total()*((n+7)/8*8)-1]
	var bias *float32
	var lo, hi float32
	ldr := 0
	if flags&(Bias|Residual|Clamp) != 0 {
		lo, hi = ep.Lo, ep.Hi
		if flags&Bias != 0 {
			bias = &ep.Bias[:n][0]
		}
		if flags&Residual != 0 {
			ldr = ep.LdRes
			_ = ep.Res[(m-1)*ldr+n-1]
		}
	}
	if n%8 == 0 {
		gemmTileAVX2(m, n/8, d.K, first(a), lda*4, first(b), first(c), ldc*4, bias, first(ep.Res), ldr*4, lo, hi, int(flags), 0, d.Segs, (d.Stride-d.K)*4, first(next), len(next)*4)
		return
	}
	for i := 0; i < m; {
		res := ep.Res
		if flags&Residual != 0 {
			res = res[i*ldr:]
		}
		h := min(raggedRows, m-i)
		if m-i == h+1 {
			h--
		}
		raggedTileAVX2(h, n, d, a[i*lda:], lda, b, next, c[i*ldc:], ldc, bias, res, ldr, lo, hi, flags)
		i += h
	}
}

// raggedRows is how many rows raggedTileAVX2 takes at most.
const raggedRows = 12

// raggedTileAVX2 computes columns that are no multiple of the lanes through a tile of whole vectors, as AVX2 has no cheap
// masked store.
func raggedTileAVX2(m, n int, d Depth, a []float32, lda int, b, next, c []float32, ldc int, bias *float32, res []float32, ldr int, lo, hi float32, flags Flags) {
	const w = 16
	var ct, rt [raggedRows * w]float32
	var bt [w]float32
	for i := range m {
		if flags&Accumulate != 0 {
			copy(ct[i*w:][:n], c[i*ldc:])
		}
		if flags&Residual != 0 {
			copy(rt[i*w:][:n], res[i*ldr:])
		}
	}
	if bias != nil {
		copy(bt[:n], unsafe.Slice(bias, n))
	}
	gemmTileAVX2(m, (n+7)/8, d.K, first(a), lda*4, first(b), &ct[0], w*4, &bt[0], &rt[0], w*4, lo, hi, int(flags), 0, d.Segs, (d.Stride-d.K)*4, first(next), len(next)*4)
	for i := range m {
		copy(c[i*ldc:][:n], ct[i*w:])
	}
}
