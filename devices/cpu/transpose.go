package cpu

import "github.com/nnrt/nnrt/devices/cpu/internal/kern"

// flipTask transposes batches of r x c matrices.
type flipTask struct {
	dst, src []float32
	r, c     int
	tiles    int // of one matrix
	flip     kern.Flip
}

// A tile of flipTask reads flipRows source rows.
const (
	flipRows  = 256
	flipBlock = 16
)

// Matrices of fewRows rows, such as pictures of three colours, are cut by columns.
const (
	fewRows     = 4
	flipColumns = 8192
)

// run transposes n matrices of r x c.
func (t *flipTask) run(d *Device, dst, src []float32, n, r, c int) {
	pool := d.pool
	t.flip = d.k.Flip
	if r <= fewRows {
		t.dst, t.src, t.r, t.c, t.tiles = dst, src, r, c, ceilDiv(c, flipColumns)
		pool.Run(t, n*t.tiles)
		return
	}
	t.dst, t.src, t.r, t.c, t.tiles = dst, src, r, c, ceilDiv(r, flipRows)
	pool.Run(t, n*t.tiles)
}

// Tile implements par.Task.
func (t *flipTask) Tile(i, _ int) {
	if t.r <= fewRows {
		t.few(i/t.tiles, i%t.tiles*flipColumns)
		return
	}
	m, i0 := i/t.tiles, i%t.tiles*flipRows
	i1 := min(i0+flipRows, t.r)
	src, dst := t.src[m*t.r*t.c:][:t.r*t.c], t.dst[m*t.r*t.c:][:t.r*t.c]
	t.flip(dst[i0:], t.r, src[i0*t.c:], t.c, i1-i0, t.c)
}

// few transposes columns [j0, j0+flipColumns) of matrix m.
func (t *flipTask) few(m, j0 int) {
	j1 := min(j0+flipColumns, t.c)
	src, dst := t.src[m*t.r*t.c:][:t.r*t.c], t.dst[(m*t.c+j0)*t.r:][:(j1-j0)*t.r]
	if t.r == 3 {
		a, b, c := src[j0:j1], src[t.c+j0:t.c+j1], src[2*t.c+j0:2*t.c+j1]
		b, c = b[:len(a)], c[:len(a)]
		for i, v := range a {
			d := dst[:3]
			d[0], d[1], d[2] = v, b[i], c[i]
			dst = dst[3:]
		}
		return
	}
	for k := range t.r {
		at := k
		for _, v := range src[k*t.c+j0 : k*t.c+j1] {
			dst[at] = v
			at += t.r
		}
	}
}
