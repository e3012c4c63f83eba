package ref

// dots computes a·b for every row a of w (m by k) and b of x (l by k), in order of k, and gives it to emit.
// Two by four rows at a time keep the sums in registers.
func dots(m, l, k int, w, x []float64, emit func(mi, li int, v float64)) {
	mi := 0
	for ; mi+4 <= m; mi += 4 {
		w0, w1, w2, w3 := w[mi*k:][:k], w[(mi+1)*k:][:k], w[(mi+2)*k:][:k], w[(mi+3)*k:][:k]
		li := 0
		for ; li+2 <= l; li += 2 {
			x0, x1 := x[li*k:][:k], x[(li+1)*k:][:k]
			var a0, a1, a2, a3, b0, b1, b2, b3 float64
			for i, u := range x0 {
				v := x1[i]
				p, q, r, s := w0[i], w1[i], w2[i], w3[i]
				a0 += p * u
				b0 += p * v
				a1 += q * u
				b1 += q * v
				a2 += r * u
				b2 += r * v
				a3 += s * u
				b3 += s * v
			}
			emit(mi, li, a0)
			emit(mi+1, li, a1)
			emit(mi+2, li, a2)
			emit(mi+3, li, a3)
			emit(mi, li+1, b0)
			emit(mi+1, li+1, b1)
			emit(mi+2, li+1, b2)
			emit(mi+3, li+1, b3)
		}
		for ; li < l; li++ {
			for j := range 4 {
				emit(mi+j, li, dotOf(w[(mi+j)*k:][:k], x[li*k:][:k]))
			}
		}
	}
	for ; mi < m; mi++ {
		for li := range l {
			emit(mi, li, dotOf(w[mi*k:][:k], x[li*k:][:k]))
		}
	}
}

// dotOf is the sum of products.
func dotOf(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
