package cpu

import (
	"math"

	"github.com/nnrt/nnrt/internal/mmap"
	"github.com/nnrt/nnrt/tensor"
)

// alignedFloats allocates n zeroed elements on a cache-line boundary.
func alignedFloats(n int) []float32 {
	b := tensor.AlignedBytes(n * 4)
	mmap.Huge(b)
	return floats(b)
}

// sqrt32 is the square root, rounded once.
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
