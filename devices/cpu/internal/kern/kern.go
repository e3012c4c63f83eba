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
	Spatial      Spatial
	Wino4, Wino2 Wino
}

// New returns the kernels of level l. The caller has made sure that this processor has it.
func New(l cpuid.Level) *Set {
	s := genericSet()
	addLevel(s, l)
	return s
}

func genericSet() *Set {
	return &Set{Level: cpuid.Generic, Vec: vecGo(), Spatial: spatialGo(), Wino4: winoGo(4, &wino4), Wino2: winoGo(2, &wino2), Gemm: Gemm{MR: 4, NR: 8, Lanes: 4, tile: gemmTileGo}}
}
