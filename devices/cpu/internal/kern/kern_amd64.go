//go:build amd64 && !noasm

package kern

import "github.com/nnrt/nnrt/internal/cpuid"

func addLevel(s *Set, l cpuid.Level) {
	switch l {
	case cpuid.AVX2:
		s.Level = l
		s.Peak = func(n int) float64 { peakAVX2(n); return peakFlops(n, 8) }
		s.Gemm = Gemm{MR: 6, NR: 16, Lanes: 8, Transpose: utransposeAVX2, tile: gemmTile6x16AVX2, row: rowPanelsAVX2()}
		s.Cells = cellsAVX2()
		s.Int = intAVX2()
		s.Vec = vecAVX2()
		s.Point = pointAVX2(s.Point)
		s.Spatial = spatialAVX2()
		s.Spatial.rows = rowsOf(rowFuncsAVX2(), 8, false)
		s.Wino4, s.Wino2 = wino4AVX2(), wino2AVX2()
		s.Lines = linesOfAVX2()
		s.MaxGrad = uMaxGradAVX2
		s.Moments = Moments{X: umomXAVX2, G: umomGAVX2}
		s.Flip = flipAVX2
	case cpuid.AVX512:
		s.Level = l
		s.Peak = func(n int) float64 { peakAVX512(n); return peakFlops(n, 16) }
		s.Gemm = Gemm{MR: 14, NR: 32, Lanes: 16, Transpose: utransposeAVX2, tile: gemmTile14x32AVX512, row: rowPanelsAVX512()}
		s.Cells = cellsAVX512()
		s.Int = intAVX512()
		s.Vec = vecAVX512()
		s.Point = pointAVX512(s.Point)
		s.Spatial = spatialAVX512()
		s.Spatial.rows = rowsOf(rowFuncsAVX512(), 16, true)
		s.Wino4, s.Wino2 = wino4AVX512(), wino2AVX512()
		s.Lines = linesOfAVX512()
		s.MaxGrad = uMaxGradAVX512
		s.Moments = Moments{X: umomXAVX512, G: umomGAVX512}
		s.Flip = flipAVX2
	}
}

// flipColumns is how many columns are turned over before the next rows are: their lines stay in the first-level cache.
const flipColumns = 128

func flipAVX2(dst []float32, ldd int, src []float32, lds, r, c int) {
	if r == 0 || c == 0 {
		return
	}
	_, _ = dst[(c-1)*ldd+r-1], src[(r-1)*lds+c-1]
	r8, c8 := r&^7, c&^7
	for j := 0; j < c8; j += flipColumns {
		for i := 0; i < r8; i += 8 {
			flip8AVX2(&dst[j*ldd+i], ldd*4, &src[i*lds+j], lds*4, min(flipColumns, c8-j)/8)
		}
	}
	if r8 < r && c8 > 0 {
		flipGo(dst[r8:], ldd, src[r8*lds:], lds, r-r8, c8)
	}
	if c8 < c {
		flipGo(dst[c8*ldd:], ldd, src[c8:], lds, r, c-c8)
	}
}
