//go:build amd64 && !noasm

package kern

import "github.com/nnrt/nnrt/internal/cpuid"

func addLevel(s *Set, l cpuid.Level) {
	switch l {
	case cpuid.AVX2:
		s.Level = l
		s.Peak = func(n int) float64 { peakAVX2(n); return peakFlops(n, 8) }
		s.Gemm = Gemm{MR: 6, NR: 16, Lanes: 8, Transpose: utransposeAVX2, tile: gemmTile6x16AVX2, row: row16AVX2}
		s.Cells = cellsAVX2()
		s.Vec = vecAVX2()
		s.Point = pointAVX2(s.Point)
		s.Spatial = spatialAVX2()
		s.Spatial.rows = rowsOf(rowFuncsAVX2(), 8, false)
		s.Wino4, s.Wino2 = wino4AVX2(), wino2AVX2()
		s.MaxGrad = uMaxGradAVX2
		s.Moments = Moments{X: umomXAVX2, G: umomGAVX2}
	case cpuid.AVX512:
		s.Level = l
		s.Peak = func(n int) float64 { peakAVX512(n); return peakFlops(n, 16) }
		s.Gemm = Gemm{MR: 14, NR: 32, Lanes: 16, Transpose: utransposeAVX2, tile: gemmTile14x32AVX512, row: row32AVX512}
		s.Cells = cellsAVX512()
		s.Vec = vecAVX512()
		s.Point = pointAVX512(s.Point)
		s.Spatial = spatialAVX512()
		s.Spatial.rows = rowsOf(rowFuncsAVX512(), 16, true)
		s.Wino4, s.Wino2 = wino4AVX512(), wino2AVX512()
		s.MaxGrad = uMaxGradAVX512
		s.Moments = Moments{X: umomXAVX512, G: umomGAVX512}
	}
}
