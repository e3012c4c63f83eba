// Package kern holds the CPU microkernels. They know slices and ints only: no graph, no tensors, no
// threads. Each assembly kernel has a twin in Go whose body is its specification; the twin
// runs on processors without the assembly and under the build tag noasm, and tests compare the two.
//
// One call is bounded work (tens of microseconds at most): Go can't preempt assembly, and a garbage
// collection waits for it.
package kern

import "github.com/nnrt/nnrt/internal/cpuid"

// A Set holds the kernels for one CPU level. It is immutable and safe for concurrent use.
type Set struct {
	Level        cpuid.Level
	Gemm         Gemm
	Vec          Vec
	Point        Point
	Spatial      Spatial
	Cells        Cells
	Int          Int
	Wino4, Wino2 Wino
	Lines        []WinoLine
	MaxGrad      MaxGrad
	Moments      Moments
	Flip         Flip // of elements of any kind
	// Peak does n > 0 rounds of nothing but multiplications with additions, as fast as the processor can, and returns how many
	// operations they were: what benchmarks are measured against.
	Peak func(n int) float64
}

// New returns the kernels of level l. The caller has made sure that this processor has it.
func New(l cpuid.Level) *Set {
	s := genericSet()
	addLevel(s, l)
	return s
}

func genericSet() *Set {
	s := &Set{Level: cpuid.Generic, Vec: vecGo(), Spatial: spatialGo(), Cells: cellsGo(), Int: intGo(), Wino4: winoGo(4, &wino4), Wino2: winoGo(2, &wino2), Gemm: Gemm{MR: 4, NR: 8, Lanes: 4, Transpose: transposeGo, tile: gemmTileGo}, Peak: peakGo}
	s.MaxGrad, s.Moments, s.Flip = maxGradGo, momentsOfGo(), flipGo
	s.Point = pointGo()
	return s
}

// peakGo is the fastest that plain Go does: eight independent sums.
func peakGo(n int) float64 {
	var s [8]float32
	x := float32(1)
	for range n {
		s[0] += x * x
		s[1] += x * x
		s[2] += x * x
		s[3] += x * x
		s[4] += x * x
		s[5] += x * x
		s[6] += x * x
		s[7] += x * x
	}
	if s[0] < 0 { // keeps the loop
		return 0
	}
	return 16 * float64(n)
}
