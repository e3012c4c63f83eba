package cpu

import (
	"math"
	"sync"

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

// A slab hands out memory for packed weights from large pieces, so that they lie close together in large pages. What it has handed
// out is never taken back: a piece goes when nothing in it is used any more. It is safe for concurrent use.
type slab struct {
	mu   sync.Mutex
	rest []float32
}

// slabBytes is the size of a piece; what is larger than a quarter of that is allocated by itself.
const slabBytes = 16 << 20

// floats allocates n zeroed elements on a cache-line boundary. A nil slab allocates each by itself.
func (s *slab) floats(n int) []float32 {
	if s == nil || n > slabBytes/16 {
		return alignedFloats(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := pad64(n)
	if len(s.rest) < size {
		s.rest = alignedFloats(slabBytes / 4)
	}
	b := s.rest[:n:n]
	s.rest = s.rest[size:]
	return b
}
