package cpu

import "github.com/nnrt/nnrt/internal/par"

// flipTask transposes batches of r x c matrices.
type flipTask struct {
	dst, src []float32
	r, c     int
	tiles    int // of one matrix
}

// A tile of flipTask reads flipRows source rows; it goes through them in blocks whose lines stay in the cache.
const (
	flipRows  = 256
	flipBlock = 16
)

// run transposes n matrices of r x c.
func (t *flipTask) run(pool *par.Pool, dst, src []float32, n, r, c int) {
	t.dst, t.src, t.r, t.c, t.tiles = dst, src, r, c, ceilDiv(r, flipRows)
	pool.Run(t, n*t.tiles)
}

// Tile implements par.Task.
func (t *flipTask) Tile(i, _ int) {
	m, i0 := i/t.tiles, i%t.tiles*flipRows
	i1 := min(i0+flipRows, t.r)
	src, dst := t.src[m*t.r*t.c:][:t.r*t.c], t.dst[m*t.r*t.c:][:t.r*t.c]
	if t.c <= flipBlock {
		for j := range t.c {
			row := dst[j*t.r:][:t.r]
			for k, at := i0, i0*t.c+j; k < i1; k, at = k+1, at+t.c {
				row[k] = src[at]
			}
		}
		return
	}
	for j0 := 0; j0 < t.c; j0 += flipBlock {
		j1 := min(j0+flipBlock, t.c)
		for a := i0; a < i1; a += flipBlock {
			b := min(a+flipBlock, i1)
			for k := a; k < b; k++ {
				row := src[k*t.c+j0 : k*t.c+j1]
				at := j0*t.r + k
				for _, v := range row {
					dst[at] = v
					at += t.r
				}
			}
		}
	}
}
