package kern

// WinoLine is minimal filtering F(O, K) in one dimension, with N = O+K-1 products for O results. Strides are in elements, c is a
// multiple of Lanes. There is none on a processor without kernels for it.
type WinoLine struct {
	N, O, K, Lanes int
	// In transforms the N vectors at x, xStride apart, into N places dstStride apart.
	In func(dst []float32, dstStride int, x []float32, xStride, c int)
	// Weights transforms the K vectors at w, wStride apart, into N places dstStride apart.
	Weights func(dst []float32, dstStride int, w []float32, wStride, c int)
	// Out transforms N places mStride apart into O vectors yStride apart, adding bias, clamped to [lo, hi].
	Out func(y []float32, yStride int, m []float32, mStride, c int, bias []float32, lo, hi float32)
}
