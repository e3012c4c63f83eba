package ref

import (
	"math"
	"math/bits"
)

// transform is a discrete Fourier transform of one length, in float64: of any length, by its prime factors,
// and by Bluestein's convolution where a prime factor is large.
type transform struct {
	n       int
	inverse bool
	roots   []complex128 // exp(±2πi k/n)
	factors []int
}

// slowPrime is the largest factor that is transformed by its definition.
const slowPrime = 64

func newTransform(n int, inverse bool) *transform {
	t := &transform{n: n, inverse: inverse, roots: unitRoots(n)}
	if inverse {
		for i, r := range t.roots {
			t.roots[i] = complex(real(r), -imag(r))
		}
	}
	for p, m := 2, n; m > 1; {
		switch {
		case m%p == 0:
			t.factors = append(t.factors, p)
			m /= p
		case p*p > m:
			p = m
		default:
			p++
		}
	}
	return t
}

// unitRoots is exp(-2πi k/n) for k < n, each from an angle of at most π/4, so that the roots on the axes are
// exact and opposite ones cancel.
func unitRoots(n int) []complex128 {
	out := make([]complex128, n)
	for k := range out {
		// 8k/n is the octant.
		octant := 8 * k / n
		var c, s float64
		switch octant {
		case 0:
			s, c = math.Sincos(2 * math.Pi * float64(k) / float64(n))
		case 1, 2:
			c, s = math.Sincos(2 * math.Pi * float64(n-4*k) / float64(4*n))
		case 3, 4:
			s, c = math.Sincos(2 * math.Pi * float64(n-2*k) / float64(2*n))
			c = -c
		case 5, 6:
			c, s = math.Sincos(2 * math.Pi * float64(4*k-3*n) / float64(4*n))
			s = -s
		default:
			s, c = math.Sincos(2 * math.Pi * float64(k-n) / float64(n))
		}
		out[k] = complex(c, -s)
	}
	return out
}

// run transforms x, which has n elements; an inverse transform divides by n.
func (t *transform) run(x []complex128) []complex128 {
	y := make([]complex128, t.n)
	t.step(y, x, 1, t.factors)
	if t.inverse {
		for i, v := range y {
			y[i] = complex(real(v)/float64(t.n), imag(v)/float64(t.n))
		}
	}
	return y
}

// step transforms every stride'th element of x into y, whose length is the product of the factors.
func (t *transform) step(y, x []complex128, stride int, factors []int) {
	n := len(y)
	if n == 1 {
		y[0] = x[0]
		return
	}
	p := factors[0]
	if p > slowPrime {
		t.bluestein(y, x, stride)
		return
	}
	m := n / p
	part := make([]complex128, n)
	for q := range p {
		t.step(part[q*m:][:m], x[q*stride:], stride*p, factors[1:])
	}
	for k := range n {
		sum := part[k%m]
		for q := 1; q < p; q++ {
			sum += part[q*m+k%m] * t.roots[q*k%n*stride%t.n]
		}
		y[k] = sum
	}
}

// bluestein transforms by a convolution whose length is a power of two.
func (t *transform) bluestein(y, x []complex128, stride int) {
	n := len(y)
	size := 1 << bits.Len(uint(2*n-1))
	chirp := unitRoots(2 * n) // exp(-πi k²/n) has the period 2n in k²
	w := make([]complex128, n)
	for k := range w {
		w[k] = chirp[k*k%(2*n)]
		if t.inverse {
			w[k] = complex(real(w[k]), -imag(w[k]))
		}
	}
	a, b := make([]complex128, size), make([]complex128, size)
	for k := range n {
		a[k] = x[k*stride] * w[k]
		conj := complex(real(w[k]), -imag(w[k]))
		b[k] = conj
		if k > 0 {
			b[size-k] = conj
		}
	}
	fwd, back := newTransform(size, false), newTransform(size, true)
	fa, fb := fwd.run(a), fwd.run(b)
	for i := range fa {
		fa[i] *= fb[i]
	}
	for k, v := range back.run(fa)[:n] {
		y[k] = v * w[k]
	}
}
