package kern

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMaxGrad(t *testing.T) {
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(11, 12))
		for range 200 {
			c, npix, step := 1+r.IntN(70), r.IntN(9), 1+r.IntN(3)
			n := npix * step * c
			x, dx, rest := make([]float32, n), randSlice(r, n), randSlice(r, npix*c)
			top := make([]float32, npix*c)
			for i := range x {
				x[i] = float32(r.IntN(3))
			}
			for i := range top {
				top[i] = float32(r.IntN(3))
			}
			dx2, rest2 := slices.Clone(dx), slices.Clone(rest)
			maxGradGo(dx, step*c, npix, c, x, top, rest, c)
			s.MaxGrad(dx2, step*c, npix, c, x, top, rest2, c)
			what := fmt.Sprintf("c %d npix %d step %d", c, npix, step)
			closeSlices(t, dx, dx2, 0, what)
			closeSlices(t, rest, rest2, 0, what)
		}
	})
}

func TestMoments(t *testing.T) {
	ref := momentsOfGo()
	eachLevel(t, func(t *testing.T, k *Set) {
		r := rand.New(rand.NewPCG(13, 14))
		for range 200 {
			c, rows := 1+r.IntN(150), r.IntN(20)
			x, dy, m := randSlice(r, rows*c), randSlice(r, rows*c), randSlice(r, c)
			s, q := randSlice(r, c), randSlice(r, c)
			s2, q2 := slices.Clone(s), slices.Clone(q)
			what := fmt.Sprintf("c %d rows %d", c, rows)
			ref.X(s, q, rows, x, m)
			k.Moments.X(s2, q2, rows, x, m)
			closeSlices(t, s, s2, 1e-5, what)
			closeSlices(t, q, q2, 1e-5, what)
			ref.G(s, q, rows, x, m, dy)
			k.Moments.G(s2, q2, rows, x, m, dy)
			closeSlices(t, s, s2, 1e-5, what)
			closeSlices(t, q, q2, 1e-5, what)
		}
	})
}

func TestFlip(t *testing.T) {
	eachLevel(t, func(t *testing.T, k *Set) {
		r := rand.New(rand.NewPCG(15, 16))
		for range 300 {
			rows, cols := 1+r.IntN(40), 1+r.IntN(300)
			ldd, lds := rows+r.IntN(5), cols+r.IntN(5)
			src, want := randSlice(r, (rows-1)*lds+cols), randSlice(r, (cols-1)*ldd+rows)
			got := slices.Clone(want)
			for i := range rows {
				for j := range cols {
					want[j*ldd+i] = src[i*lds+j]
				}
			}
			k.Flip(got, ldd, src, lds, rows, cols)
			closeSlices(t, want, got, 0, fmt.Sprint(rows, cols, ldd, lds))
		}
	})
}
