package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestDwRow(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(17, 8))
		for iter := range 600 {
			k := s.Spatial.rows[iter%len(s.Spatial.rows)]
			d := DwRow{N: r.IntN(24), C: 1 + r.IntN(70), Rows: 1 + r.IntN(7), Lo: -1, Hi: 2}
			if iter%5 == 0 {
				d.C = r.IntN(40) * 8
			}
			if iter == 99 {
				d.C = rowChannels + 24
			}
			d.DstStride, d.Pix, d.WStride = d.C+r.IntN(9), d.C+r.IntN(9), d.C+r.IntN(9)
			d.Row = (d.N*k.stride+k.width)*d.Pix + r.IntN(9)
			d.X = randSlice(r, d.Rows*d.Row)
			d.W, d.Bias = randSlice(r, d.Rows*k.width*d.WStride), randSlice(r, d.C)
			if d.C > 0 && r.IntN(8) == 0 {
				d.X[r.IntN(len(d.X))] = float32(math.NaN())
			}
			want := randSlice(r, d.N*d.DstStride+1)
			got := append([]float32(nil), want...)
			d.Dst = want
			dwRowGo(k.width, k.stride)(d)
			d.Dst = got
			k.f(d)
			closeSlices(t, want, got, 1e-5, fmt.Sprintf("window %d stride %d n %d c %d rows %d", k.width, k.stride, d.N, d.C, d.Rows))
		}
	})
}

func TestRowKernel(t *testing.T) {
	s := New(levels()[0])
	if s.Spatial.RowKernel(3, 1) == nil || s.Spatial.RowKernel(4, 1) != nil || s.Spatial.RowKernel(7, 2) != nil {
		t.Fatal("a kernel for the wrong windows")
	}
}
