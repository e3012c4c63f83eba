//go:build amd64 && !noasm

package kern

import "unsafe"

// The stubs take strides in bytes. nv is the number of vectors in a panel row; mask has a bit for each column.

//go:noescape
func gemmTileAVX2(m, nv, k int, a *float32, lda int, b, c *float32, ldc int, bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int)

//go:noescape
func gemmTileAVX512(m, nv, k int, a *float32, lda int, b, c *float32, ldc int, bias, res *float32, ldr int, lo, hi float32, flags, mask, segs, skip int)

func first(s []float32) *float32 { return unsafe.SliceData(s) }

func gemmTile14x32AVX512(m, n int, d Depth, a []float32, lda int, b []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
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
	gemmTileAVX512(m, (n+15)/16, d.K, first(a), lda*4, first(b), first(c), ldc*4, bias, first(ep.Res), ldr*4, lo, hi, int(flags), 1<<n-1, d.Segs, (d.Stride-d.K)*4)
}

func gemmTile6x16AVX2(m, n int, d Depth, a []float32, lda int, b []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
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
		gemmTileAVX2(m, n/8, d.K, first(a), lda*4, first(b), first(c), ldc*4, bias, first(ep.Res), ldr*4, lo, hi, int(flags), 0, d.Segs, (d.Stride-d.K)*4)
		return
	}
	// AVX2 has no cheap masked store: a ragged tile goes through a full one.
	const w = 16
	var ct, rt [6 * w]float32
	var bt [w]float32
	for i := range m {
		if flags&Accumulate != 0 {
			copy(ct[i*w:][:n], c[i*ldc:])
		}
		if flags&Residual != 0 {
			copy(rt[i*w:][:n], ep.Res[i*ldr:])
		}
	}
	if bias != nil {
		copy(bt[:n], ep.Bias)
	}
	gemmTileAVX2(m, (n+7)/8, d.K, first(a), lda*4, first(b), &ct[0], w*4, &bt[0], &rt[0], w*4, lo, hi, int(flags), 0, d.Segs, (d.Stride-d.K)*4)
	for i := range m {
		copy(c[i*ldc:][:n], ct[i*w:])
	}
}
