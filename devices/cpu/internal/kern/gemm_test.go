package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/stretchr/testify/require"
)

// levels are those that this processor runs.
func levels() []cpuid.Level {
	var ls []cpuid.Level
	for l := cpuid.Generic; l <= cpuid.NEON; l++ {
		if cpuid.Has(l) {
			ls = append(ls, l)
		}
	}
	return ls
}

func randSlice(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// eachLevel runs f with the kernels of every level as a subtest.
func eachLevel(t *testing.T, f func(t *testing.T, s *Set)) {
	for _, l := range levels() {
		t.Run(l.String(), func(t *testing.T) { f(t, New(l)) })
	}
}

func gemmRef(m, n, k int, a []float32, lda int, b, c []float32, ldc int, acc bool, ep *Epilogue) {
	for i := range m {
		for j := range n {
			s := 0.0
			for p := range k {
				s += float64(a[i*lda+p]) * float64(b[p*n+j])
			}
			if acc {
				s += float64(c[i*ldc+j])
			}
			if ep != nil {
				if ep.Bias != nil {
					s += float64(ep.Bias[j])
				}
				if ep.Res != nil {
					s += float64(ep.Res[i*ep.LdRes+j])
				}
				if ep.Clamp {
					s = float64(clampGo(float32(s), ep.Lo, ep.Hi))
				}
			}
			c[i*ldc+j] = float32(s)
		}
	}
}

func TestGemmBlock(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(1, 2))
		g := &s.Gemm
		for iter := range 600 {
			m, n, k := 1+r.IntN(5*g.MR+3), 1+r.IntN(2*g.NR+9), 1+r.IntN(70)
			if iter == 599 { // more than one call's worth of work
				m, n, k = 1001, g.NR+3, 70
			}
			if iter < g.MR*2 {
				m, n = iter/2+1, g.NR/(1+iter%2)
			}
			lda, ldc, ldr := k+r.IntN(5), n+r.IntN(5), n+r.IntN(5)
			a, b := randSlice(r, m*lda), randSlice(r, k*n)
			a = a[:(m-1)*lda+k]
			got := randSlice(r, m*ldc)[:(m-1)*ldc+n]
			want := append([]float32(nil), got...)
			var ep *Epilogue
			if r.IntN(4) > 0 {
				ep = &Epilogue{LdRes: ldr}
				if r.IntN(2) > 0 {
					ep.Bias = randSlice(r, n)
				}
				if r.IntN(2) > 0 {
					ep.Res = randSlice(r, m*ldr)[:(m-1)*ldr+n]
				}
				if r.IntN(2) > 0 {
					ep.Clamp, ep.Lo, ep.Hi = true, -2, float32(r.IntN(6))
				}
			}
			acc := r.IntN(2) > 0
			if r.IntN(8) == 0 {
				a[r.IntN(len(a))] = float32(math.NaN())
			}
			packed := make([]float32, g.PackedLen(k, n))
			if r.IntN(2) > 0 {
				g.Pack(packed, b, n, 1, k, n)
			} else {
				bt := make([]float32, k*n)
				for i := range k {
					for j := range n {
						bt[j*k+i] = b[i*n+j]
					}
				}
				g.Pack(packed, bt, 1, k, k, n)
			}
			epv := Epilogue{}
			if ep != nil {
				epv = *ep
			}
			g.Block(m, n, Whole(k), a, lda, packed, got, ldc, acc, epv)
			gemmRef(m, n, k, a, lda, b, want, ldc, acc, ep)
			closeSlices(t, want, got, 2e-5, fmt.Sprintf("m %d n %d k %d acc %v ep %+v", m, n, k, acc, ep != nil))
		}
	})
}

func TestGemmSegments(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(3, 2))
		g := &s.Gemm
		for range 200 {
			m, n := 1+r.IntN(2*g.MR), 1+r.IntN(2*g.NR)
			d := Depth{K: 1 + r.IntN(12), Segs: 1 + r.IntN(5), Stride: 0}
			d.Stride = d.K + r.IntN(7)
			lda := 1 + r.IntN(9)
			a, b := randSlice(r, (m-1)*lda+d.reach()), randSlice(r, d.Total()*n)
			flat := make([]float32, m*d.Total())
			for i := range m {
				for p := range d.Total() {
					flat[i*d.Total()+p] = a[i*lda+p/d.K*d.Stride+p%d.K]
				}
			}
			packed := make([]float32, g.PackedLen(d.Total(), n))
			g.Pack(packed, b, n, 1, d.Total(), n)
			want, got := make([]float32, m*n), make([]float32, m*n)
			gemmRef(m, n, d.Total(), flat, d.Total(), b, want, n, false, nil)
			g.Block(m, n, d, a, lda, packed, got, n, false, Epilogue{})
			closeSlices(t, want, got, 2e-5, fmt.Sprintf("m %d n %d %+v", m, n, d))
		}
	})
}

// closeSlices fails unless each got is within tol of want, relative to the larger of 1 and |want|; NaN equals NaN.
func closeSlices(t *testing.T, want, got []float32, tol float64, what string) {
	t.Helper()
	require.Equal(t, len(want), len(got))
	for i := range want {
		w, g := float64(want[i]), float64(got[i])
		if w == g || math.IsNaN(w) && math.IsNaN(g) {
			continue
		}
		if d := math.Abs(w - g); !(d <= tol*max(1, math.Abs(w))) {
			t.Fatalf("%s: element %d: want %v, got %v", what, i, want[i], got[i])
		}
	}
}

func TestTranspose(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(5, 2))
		for iter := range 300 {
			k, cols := 1+r.IntN(60), 1+r.IntN(40)
			if iter == 0 {
				k, cols = 4150, 17
			}
			ds, ss := cols+r.IntN(4), k+r.IntN(4)
			src, scale := randSlice(r, max(cols-1, 0)*ss+k), randSlice(r, cols)
			if iter%3 == 0 {
				scale = nil
			}
			want := randSlice(r, max(k-1, 0)*ds+cols)
			got := append([]float32(nil), want...)
			transposeGo(want, ds, src, ss, k, cols, scale)
			s.Gemm.Transpose(got, ds, src, ss, k, cols, scale)
			require.Equal(t, want, got, "k %d columns %d", k, cols)
		}
	})
}

// TestBlocksOfRows holds that rows come to the same bits in blocks of any number of rows but one.
func TestBlocksOfRows(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		g := &s.Gemm
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, g.Lanes, g.NR - 1, g.NR, 2*g.NR + 1} {
			const m, k = 61, 37
			a, w, ep := randSlice(r, m*k), randSlice(r, k*n), Epilogue{Bias: randSlice(r, n)}
			b := make([]float32, g.PackedLen(k, n))
			g.Pack(b, w, n, 1, k, n)
			want, got := make([]float32, m*n), make([]float32, m*n)
			g.Block(m, n, Whole(k), a, k, b, want, n, false, ep)
			for range 20 {
				for i := 0; i < m; {
					h := min(2+r.IntN(30), m-i)
					if m-i-h == 1 {
						h++
					}
					g.Block(h, n, Whole(k), a[i*k:], k, b, got[i*n:], n, false, ep)
					i += h
				}
				require.Equal(t, want, got, "%d columns", n)
			}
		}
	})
}

// TestEqualColumns holds that equal columns come to the same bits, in whole panels and in the last one: what a network of
// equal weights computes shows it, as its sums are large.
func TestEqualColumns(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		g := &s.Gemm
		r := rand.New(rand.NewPCG(3, 4))
		const k = 133
		for _, m := range []int{1, 2, 5, 13, 30} {
			for _, n := range []int{g.NR + 1, g.NR + g.Lanes, 2*g.NR - 1, 3*g.NR + g.Lanes + 2} {
				a, col := randSlice(r, m*k), randSlice(r, k)
				w := make([]float32, k*n)
				for i := range w {
					w[i] = col[i/n]
				}
				b, c := make([]float32, g.PackedLen(k, n)), make([]float32, m*n)
				g.Pack(b, w, n, 1, k, n)
				g.Block(m, n, Whole(k), a, k, b, c, n, false, Epilogue{})
				for i, v := range c {
					require.Equal(t, c[i/n*n], v, "row %d of %d, column %d of %d", i/n, m, i%n, n)
				}
			}
		}
	})
}
