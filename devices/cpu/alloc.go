package cpu

import "github.com/nnrt/nnrt/tensor"

// alignedFloats allocates n zeroed elements on a cache-line boundary.
func alignedFloats(n int) []float32 { return floats(tensor.AlignedBytes(n * 4)) }
