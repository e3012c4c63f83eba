package kern

// MaxGrad hands gradients back through a maximum, for npix pixels of c channels: where x, whose pixels lie as far apart as
// those of dx, equals top, what is left of the gradient in rest is added to dx, and nothing is left.
type MaxGrad func(dx []float32, dxStride, npix, c int, x, top, rest []float32, stride int)

func maxGradGo(dx []float32, dxStride, npix, c int, x, top, rest []float32, stride int) {
	for i := range npix {
		for ch := range c {
			if x[i*dxStride+ch] == top[i*stride+ch] {
				dx[i*dxStride+ch] += rest[i*stride+ch]
				rest[i*stride+ch] = 0
			}
		}
	}
}

// A Flip transposes r rows of c elements, lds apart, into c rows that lie ldd apart.
type Flip func(dst []float32, ldd int, src []float32, lds, r, c int)

func flipGo(dst []float32, ldd int, src []float32, lds, r, c int) {
	const block = 8 // rows whose lines stay in the cache
	for i0 := 0; i0 < r; i0 += block {
		n := min(block, r-i0)
		for j := range c {
			row := dst[j*ldd+i0:][:n]
			at := i0*lds + j
			for i := range row {
				row[i] = src[at]
				at += lds
			}
		}
	}
}

// Moments adds sums over rows to s and q, for each of their channels: rows of x lie one after the other.
type Moments struct {
	X func(s, q []float32, rows int, x, m []float32)     // s += Σ(x-m), q += Σ(x-m)²
	G func(s, q []float32, rows int, x, m, dy []float32) // s += Σdy, q += Σdy·(x-m)
}

func momentsGo(s, q []float32, rows, stride int, x, m []float32) {
	for i := range rows {
		for c := range s {
			d := x[i*stride+c] - m[c]
			s[c] += d
			q[c] += d * d
		}
	}
}

func gradMomentsGo(s, q []float32, rows, stride int, x, m, dy []float32) {
	for i := range rows {
		for c := range s {
			d := x[i*stride+c] - m[c]
			s[c] += dy[i*stride+c]
			q[c] += dy[i*stride+c] * d
		}
	}
}

func momentsOfGo() Moments {
	return Moments{
		X: func(s, q []float32, rows int, x, m []float32) { momentsGo(s, q, rows, len(s), x, m) },
		G: func(s, q []float32, rows int, x, m, dy []float32) { gradMomentsGo(s, q, rows, len(s), x, m, dy) },
	}
}
