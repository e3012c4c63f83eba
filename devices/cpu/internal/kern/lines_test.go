package kern

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestLines checks whole one-dimensional convolutions against the definition.
func TestLines(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, l := range s.Lines {
			for range 20 {
				c := (1 + r.IntN(3)) * l.Lanes
				stride := c + r.IntN(5)
				x, k, bias := randSlice(r, l.N*stride), randSlice(r, l.K*stride), randSlice(r, c)
				v, u, y := make([]float32, l.N*stride), make([]float32, l.N*stride), make([]float32, l.O*stride)
				l.In(v, stride, x, stride, c)
				l.Weights(u, stride, k, stride, c)
				for i := range v {
					v[i] *= u[i]
				}
				l.Out(y, stride, v, stride, c, bias, -3, 4)
				want := make([]float32, len(y))
				for i := range l.O {
					for ch := range c {
						sum := float64(bias[ch])
						for q := range l.K {
							sum += float64(k[q*stride+ch]) * float64(x[(i+q)*stride+ch])
						}
						want[i*stride+ch] = clampGo(float32(sum), -3, 4)
					}
				}
				closeSlices(t, want, y, 1e-4, fmt.Sprintf("F(%d, %d)", l.O, l.K))
			}
		}
	})
}
