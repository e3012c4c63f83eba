//go:build amd64 && !noasm

package kern

//go:noescape
func gemv12AVX2(k int, x, b, c *float32)

//go:noescape
func gemv8AVX2(k int, x, b, c *float32)

//go:noescape
func gemv4AVX2(k int, x, b, c *float32)

//go:noescape
func gemv2AVX2(k int, x, b, c *float32)

//go:noescape
func gemv1AVX2(k int, x, b, c *float32)

//go:noescape
func gemv16AVX512(k int, x, b, c *float32)

//go:noescape
func gemv8AVX512(k int, x, b, c *float32)

//go:noescape
func gemv4AVX512(k int, x, b, c *float32)

//go:noescape
func gemv2AVX512(k int, x, b, c *float32)

//go:noescape
func gemv1AVX512(k int, x, b, c *float32)

//go:noescape
func lstmCellAVX2(n int, x *float32, stride int, c, h *float32)

//go:noescape
func lstmCellAVX512(n int, x *float32, stride int, c, h *float32)

//go:noescape
func gruCellAVX2(n int, x *float32, stride int, r, h0, h *float32)

//go:noescape
func gruCellAVX512(n int, x *float32, stride int, r, h0, h *float32)

func rowPanelsAVX2() []rowPanel {
	return []rowPanel{{12, gemv12AVX2}, {8, gemv8AVX2}, {4, gemv4AVX2}, {2, gemv2AVX2}, {1, gemv1AVX2}}
}

func rowPanelsAVX512() []rowPanel {
	return []rowPanel{{16, gemv16AVX512}, {8, gemv8AVX512}, {4, gemv4AVX512}, {2, gemv2AVX512}, {1, gemv1AVX512}}
}

func cellsAVX2() Cells {
	return Cells{
		LSTM: func(g []float32, stride int, c, h []float32) {
			n := checkCell(len(h), g[3*stride:], c)
			lstmCellAVX2(n, &g[0], stride*4, &c[0], &h[0])
		},
		GRU: func(g []float32, stride int, rec, h0, h []float32) {
			n := checkCell(len(h), g[2*stride:], rec)
			_ = h0[n-1]
			gruCellAVX2(n, &g[0], stride*4, &rec[0], &h0[0], &h[0])
		},
	}
}

func cellsAVX512() Cells {
	return Cells{
		LSTM: func(g []float32, stride int, c, h []float32) {
			n := checkCell(len(h), g[3*stride:], c)
			lstmCellAVX512(n, &g[0], stride*4, &c[0], &h[0])
		},
		GRU: func(g []float32, stride int, rec, h0, h []float32) {
			n := checkCell(len(h), g[2*stride:], rec)
			_ = h0[n-1]
			gruCellAVX512(n, &g[0], stride*4, &rec[0], &h0[0], &h[0])
		},
	}
}

// checkCell returns n after making sure that the slices are as long and that n is a positive multiple of CellLanes.
func checkCell(n int, last, state []float32) int {
	if n%CellLanes != 0 {
		panic("kern: cell length")
	}
	_, _ = last[n-1], state[n-1]
	return n
}
