package kern

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTaps(t *testing.T) {
	ref := spatialGo()
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(7, 8))
		for range 400 {
			c, npix, ntaps, stride := 1+r.IntN(70), r.IntN(12), 1+r.IntN(10), 1+r.IntN(3)
			w, bias := randSlice(r, ntaps*c), randSlice(r, c)
			taps := []int{0, 0}
			far := 0
			for i := 1; i < ntaps; i++ {
				off := r.IntN(6) * c
				far = max(far, off)
				taps = append(taps, off, i*c)
			}
			x := randSlice(r, max(npix-1, 0)*stride*c+far+c)
			want, got := make([]float32, max(npix-1, 0)*c+c), make([]float32, max(npix-1, 0)*c+c)
			what := fmt.Sprintf("c %d npix %d taps %d stride %d", c, npix, ntaps, stride)
			for i, pair := range [][2]TapFunc{{ref.Dw, s.Spatial.Dw}, {ref.MaxTap, s.Spatial.MaxTap}, {ref.SumTap, s.Spatial.SumTap}} {
				pair[0](want, c, npix, c, x, stride*c, w, taps, bias, -1, 2)
				pair[1](got, c, npix, c, x, stride*c, w, taps, bias, -1, 2)
				closeSlices(t, want, got, 1e-5, fmt.Sprint(i, " ", what))
			}
		}
	})
}

// TestWino checks whole convolutions against the definition.
func TestWino(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, w := range []Wino{s.Wino4, s.Wino2} {
			c := 3 * w.Lanes
			n2 := w.N * w.N
			x, k, bias := randSlice(r, n2*c), randSlice(r, 9*c), randSlice(r, c)
			tmp := make([]float32, WinoTmp)
			v, u, y := make([]float32, n2*c), make([]float32, n2*c), make([]float32, w.O*w.O*c)
			w.In(v, c, x, w.N*c, c, c, tmp)
			// The kernels of a third of the channels at a time.
			third, grouped := c/3, make([]float32, 9*c)
			for i := range grouped {
				grouped[i] = k[i/third%9*c+i/(9*third)*third+i%third]
			}
			w.Weights(u, c, grouped, third, 3, tmp)
			for i := range v {
				v[i] *= u[i]
			}
			w.Out(y, w.O*c, c, v, c, c, bias, -3, 4, tmp)
			want := make([]float32, len(y))
			for i := range w.O {
				for j := range w.O {
					for ch := range c {
						sum := float64(bias[ch])
						for q := range 9 {
							sum += float64(k[q*c+ch]) * float64(x[((i+q/3)*w.N+j+q%3)*c+ch])
						}
						want[(i*w.O+j)*c+ch] = clampGo(float32(sum), -3, 4)
					}
				}
			}
			closeSlices(t, want, y, 5e-5, fmt.Sprintf("F(%d)", w.O))
		}
	})
}

func BenchmarkTaps(b *testing.B) {
	for _, l := range levels() {
		s := New(l)
		c, npix := 96, 56
		x, w, bias, y := make([]float32, 3*58*c), make([]float32, 9*c), make([]float32, c), make([]float32, npix*c)
		var taps []int
		for i := range 9 {
			taps = append(taps, (i/3*58+i%3)*c, i*c)
		}
		b.Run(l.String()+"/dw3x3c96", func(b *testing.B) {
			for b.Loop() {
				s.Spatial.Dw(y, c, npix, c, x, c, w, taps, bias, 0, 6)
			}
			b.ReportMetric(float64(b.N)*float64(2*9*c*npix)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
