//go:build amd64 && !noasm

package kern

//go:noescape
func gemvAVX2(panels, k int, x, b *float32, step int, c *float32, cstep int)

//go:noescape
func gemvAVX512(panels, k int, x, b *float32, step int, c *float32, cstep int)

//go:noescape
func lstmCellAVX2(n int, x *float32, stride int, c, h *float32)

//go:noescape
func lstmCellAVX512(n int, x *float32, stride int, c, h *float32)

//go:noescape
func gruCellAVX2(n int, x *float32, stride int, r, h0, h *float32)

//go:noescape
func gruCellAVX512(n int, x *float32, stride int, r, h0, h *float32)

func row16AVX2(panels, k int, x, b, c []float32, back bool) {
	const nr = 16
	_, _, _ = x[k-1], b[panels*k*nr-1], c[panels*nr-1]
	if back {
		p := panels - 1
		gemvAVX2(panels, k, &x[0], &b[p*k*nr], -k*nr*4, &c[p*nr], -nr*4)
		return
	}
	gemvAVX2(panels, k, &x[0], &b[0], k*nr*4, &c[0], nr*4)
}

func row32AVX512(panels, k int, x, b, c []float32, back bool) {
	const nr = 32
	_, _, _ = x[k-1], b[panels*k*nr-1], c[panels*nr-1]
	if back {
		p := panels - 1
		gemvAVX512(panels, k, &x[0], &b[p*k*nr], -k*nr*4, &c[p*nr], -nr*4)
		return
	}
	gemvAVX512(panels, k, &x[0], &b[0], k*nr*4, &c[0], nr*4)
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
