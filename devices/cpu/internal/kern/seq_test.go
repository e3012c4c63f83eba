package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRow(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(8, 1))
		for range 60 {
			n, k := CellLanes*(1+r.IntN(40)), 1+r.IntN(40)
			x, b, c := randSlice(r, k), randSlice(r, k*n), randSlice(r, n)
			packed := make([]float32, k*n)
			s.Gemm.PackRow(packed, b, n, 1, k, n)
			want := append([]float32(nil), c...)
			gemmTest(1, n, k, x, b, want)
			back := append([]float32(nil), c...)
			s.Gemm.Row(n, k, x, packed, c, false)
			s.Gemm.Row(n, k, x, packed, back, true)
			require.Equal(t, c, back, "the order of panels changes no bits")
			for i := range want {
				require.InDelta(t, want[i], c[i], 1e-4, fmt.Sprintf("%d of %dx%d", i, k, n))
			}
		}
	})
}

// gemmTest adds a·b to c in float64.
func gemmTest(m, n, k int, a, b, c []float32) {
	for i := range m {
		for j := range n {
			s := float64(c[i*n+j])
			for p := range k {
				s += float64(a[i*k+p]) * float64(b[p*n+j])
			}
			c[i*n+j] = float32(s)
		}
	}
}

func TestCells(t *testing.T) {
	special := []float32{0, 100, -100, float32(math.Inf(1)), negInf, float32(math.NaN()), 1e-30}
	gen := func(r *rand.Rand, n int) []float32 {
		x := randSlice(r, n)
		for i := range x {
			if r.IntN(12) == 0 {
				x[i] = special[r.IntN(len(special))]
			}
		}
		return x
	}
	near := func(t *testing.T, want, got []float32) {
		for i, w := range want {
			if w != w {
				require.True(t, got[i] != got[i], "element %d is %v, not NaN", i, got[i])
				continue
			}
			require.InDelta(t, w, got[i], 1e-6*max(1, math.Abs(float64(w))))
		}
	}
	twin := cellsGo()
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(8, 2))
		for range 100 {
			n := CellLanes * (1 + r.IntN(4))
			stride := n + CellLanes*r.IntN(3)
			g, c, rec := gen(r, 4*stride), randSlice(r, n), randSlice(r, n)
			c1, h1 := append([]float32(nil), c...), make([]float32, n)
			c2, h2 := append([]float32(nil), c...), make([]float32, n)
			twin.LSTM(g, stride, c1, h1)
			s.Cells.LSTM(g, stride, c2, h2)
			near(t, c1, c2)
			near(t, h1, h2)
			twin.GRU(g, stride, rec, c, h1)
			s.Cells.GRU(g, stride, rec, c, h2)
			near(t, h1, h2)
		}
	})
}

// BenchmarkRow reads a matrix of 1 MB, the recurrent weights of an LSTM of 256 units.
func BenchmarkRow(b *testing.B) {
	const k, n = 256, 1024
	for _, l := range levels() {
		b.Run(l.String(), func(b *testing.B) {
			g := New(l).Gemm
			x, w, c := make([]float32, k), make([]float32, k*n), make([]float32, n)
			for i := 0; b.Loop(); i++ {
				g.Row(n, k, x, w, c, i%2 == 1)
			}
			per := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(2*k*n/per/1e9, "GFLOP/s")
			b.ReportMetric(4*k*n/per/1e9, "GB/s")
		})
	}
}

// BenchmarkCells counts units.
func BenchmarkCells(b *testing.B) {
	const n = 256
	for _, l := range levels() {
		s := New(l)
		g, c, h, h0, rec := make([]float32, 4*n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for name, f := range map[string]func(){"lstm": func() { s.Cells.LSTM(g, n, c, h) }, "gru": func() { s.Cells.GRU(g, n, rec, h0, h) }} {
			b.Run(l.String()+"/"+name, func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Munit/s")
			})
		}
	}
}
