package kern

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/cpuid"
)

// intSets is the integer products of every level, and of what AVX-512 is without VNNI.
func intSets() map[string]Int {
	sets := map[string]Int{}
	for _, l := range levels() {
		sets[l.String()] = New(l).Int
	}
	return withoutVNNI(sets, cpuid.Has(cpuid.AVX512))
}

func TestIntProduct(t *testing.T) {
	for name, g := range intSets() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(9, 1))
			for range 40 {
				m, n, k := 1+r.IntN(20), 1+r.IntN(70), 1+r.IntN(50)
				lda := (k+1)/2*2 + r.IntN(3)*2
				a, b := make([]int16, m*lda), make([]int16, k*n)
				for i := range m {
					for p := range k {
						a[i*lda+p] = int16(r.IntN(511) - 255)
					}
				}
				for i := range b {
					b[i] = int16(r.IntN(511) - 255)
				}
				packed := make([]int16, g.PackedLen(k, n))
				g.Pack(packed, b, n, 1, k, n)
				cols := g.Cols(n)
				c := make([]int32, m*cols)
				g.Multiply(m, n, k, a, lda, packed, c, cols)
				for i := range m {
					for j := range n {
						want := int32(0)
						for p := range k {
							want += int32(a[i*lda+p]) * int32(b[p*n+j])
						}
						require.Equal(t, want, c[i*cols+j], "%d, %d of %dx%dx%d", i, j, m, n, k)
					}
				}
			}
		})
	}
}

// BenchmarkInt counts a multiplication and an addition as two operations.
func BenchmarkInt(b *testing.B) {
	const m, n, k = 96, 256, 256
	for name, g := range intSets() {
		b.Run(name, func(b *testing.B) {
			a, w, c := make([]int16, m*k), make([]int16, g.PackedLen(k, n)), make([]int32, m*g.Cols(n))
			for b.Loop() {
				g.Multiply(m, n, k, a, k, w, c, n)
			}
			per := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(2*m*n*k/per/1e9, "GOP/s")
			b.ReportMetric(float64(len(w)*2+len(a)*2+len(c)*4)/per/1e9, "GB/s")
		})
	}
}
