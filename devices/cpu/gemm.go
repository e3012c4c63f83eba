package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/par"
)

// maxKC is the depth of one block of a packed matrix: a panel of it, with a few rows of the left side, stays in the
// first-level cache.
const maxKC = 320

// packedB is the right-hand side of a product, in blocks of depth kc, each in panels.
type packedB struct {
	k, n, kc int
	period   int // blocks don't cross multiples of this depth
	cols     int // columns with padding
	data     []float32
}

// depthAt is the depth of the block that begins at row p.
func (b *packedB) depthAt(p int) int { return min(b.kc, b.period-p%b.period, b.k-p) }

// blockDepth cuts k into equal blocks of at most maxKC.
func blockDepth(k int) int {
	if k == 0 {
		return 0
	}
	return roundUp(ceilDiv(k, ceilDiv(k, maxKC)), 4)
}

func newPackedB(mem *slab, g *kern.Gemm, k, n int) *packedB {
	b := &packedB{k: k, n: n, kc: blockDepth(k), period: max(1, k), cols: g.PackedCols(n)}
	b.data = mem.floats(k * b.cols)
	return b
}

// block is rows [p, p+kc) from column j on, which is a multiple of the panel width.
func (b *packedB) block(p, kc, j int) []float32 { return b.data[p*b.cols+kc*j:] }

// packTask packs the k x n matrix b, element (i, j) at src[i*rs+j*cs], by panels.
type packTask struct {
	g      *kern.Gemm
	dst    *packedB
	src    []float32
	rs, cs int
}

// panelsPerTile is how many panels one tile of packTask packs.
const panelsPerTile = 4

func (t *packTask) tiles() int { return ceilDiv(t.dst.n, t.g.NR*panelsPerTile) }

// Tile implements par.Task.
func (t *packTask) Tile(i, _ int) {
	w := t.g.NR * panelsPerTile
	j := i * w
	n := min(w, t.dst.n-j)
	for p := 0; p < t.dst.k; p += t.dst.depthAt(p) {
		kc := t.dst.depthAt(p)
		t.g.Pack(t.dst.block(p, kc, j), t.src[p*t.rs+j*t.cs:], t.rs, t.cs, kc, n)
	}
}

// packB packs a matrix in parallel.
func (d *Device) packB(src []float32, rs, cs, k, n int) *packedB {
	g := &d.k.Gemm
	t := &packTask{g: g, dst: newPackedB(&d.packs, g, k, n), src: src, rs: rs, cs: cs}
	if k > 0 {
		d.pool.Run(t, t.tiles())
	}
	return t.dst
}

// activation is a function applied to finished elements while they are in the cache.
type activation struct {
	f    kern.Unary
	a, b float32
}

// rows applies the function to n elements of each of m rows.
func (a *activation) rows(c []float32, ldc, m, n int) {
	if a.f == nil {
		return
	}
	if n == ldc {
		a.f(c[:m*n], c[:m*n], a.a, a.b)
		return
	}
	for r := range m {
		row := c[r*ldc:][:n]
		a.f(row, row, a.a, a.b)
	}
}

// rows are a product's left-hand side.
type rows interface {
	// block returns rows [i, i+m) of the matrix, columns [p, p+kc), as a slice and its row stride; buf is scratch
	// for m*kc elements.
	block(i, m, p, kc int, buf []float32) ([]float32, int)
}

// dense is a left-hand side that lies in memory as it is.
type dense struct {
	a   []float32
	lda int
}

func (d *dense) block(i, _, p, _ int, _ []float32) ([]float32, int) { return d.a[i*d.lda+p:], d.lda }

// turned is a left-hand side that lies in memory transposed: element (i, p) at a[p*ld+i].
type turned struct {
	flip kern.Flip
	a    []float32
	ld   int
}

func (t *turned) block(i, m, p, kc int, buf []float32) ([]float32, int) {
	t.flip(buf, kc, t.a[p*t.ld+i:], t.ld, kc, m)
	return buf, kc
}

// tiling is how a product is cut. What an element comes to doesn't depend on it.
type tiling struct {
	mb, nb, tm, tn int
	byColumn       bool // tiles that share columns follow each other
}

// Aims of a tile: enough work to be worth handing out, and rows that fit the second-level cache.
const (
	tileFlops  = 4 << 20
	tileABytes = 200 << 10
)

// newTiling cuts a product. Rows that have to be gathered are gathered anew for each cut of the columns.
func newTiling(g *kern.Gemm, m, n, k int, gathers bool) tiling {
	kc := max(1, blockDepth(k))
	t := tiling{mb: m, nb: n}
	if limit := max(g.MR*4, tileABytes/4/kc); m > limit {
		t.mb = evenly(m, limit, g.MR)
	}
	flops := func() int { return 2 * t.mb * t.nb * k }
	if k*n <= 1<<18 || gathers {
		// A small right-hand side stays in the cache: cut rows first.
		for t.mb > 4*g.MR && flops() > tileFlops {
			t.mb = evenly(m, t.mb/2, g.MR)
		}
	}
	aim := tileFlops
	if gathers && m > 2*t.mb {
		aim *= 4
	}
	for t.nb > 2*g.NR && flops() > aim {
		t.nb = roundUp(ceilDiv(t.nb, 2), g.NR)
	}
	t.mb = noSingle(m, max(t.mb, 1), g.MR)
	t.tm, t.tn = ceilDiv(m, t.mb), ceilDiv(n, max(t.nb, 1))
	t.byColumn = n > m
	return t
}

// tiling cuts a product for the device's workers.
func (d *Device) tiling(m, n, k int, gathers bool) tiling {
	t := newTiling(&d.k.Gemm, m, n, k, gathers)
	t.share(&d.k.Gemm, m, n, k, d.pool.Workers())
	return t
}

// sharedFlops is the least work that is worth sharing: some microseconds. Reading an element of the right-hand side counts as
// elementFlops.
const (
	sharedFlops  = 1 << 19
	elementFlops = 16
)

// share cuts few tiles further where that lets each of several workers have as much as the others.
func (t *tiling) share(g *kern.Gemm, m, n, k, workers int) {
	tiles := t.tm * t.tn
	if workers == 1 || tiles >= 16*workers || (2*m+elementFlops)*n*k < sharedFlops {
		return
	}
	if t.mb <= g.MR && t.tm < 2*workers || t.byColumn && t.tn < 2*workers {
		t.nb, t.tn = evenTiles(n, g.NR, t.tn, t.tm, workers)
		return
	}
	t.mb, t.tm = evenTiles(m, g.MR, t.tm, t.tn, workers)
}

// evenTiles cuts n into at least tiles parts of multiples of unit, each of which makes so many tiles in all, for a number of
// workers: of the numbers of parts up to twice as many, or four tiles a worker, the one that leaves the busiest worker the least. Each further part
// costs as much as an eighth of a unit.
func evenTiles(n, unit, parts, each, workers int) (size, count int) {
	least := math.Inf(1)
	for p := parts; p <= max(2*parts, ceilDiv(4*workers, each)); p++ {
		s := noSingle(n, roundUp(ceilDiv(n, p), unit), unit)
		c := ceilDiv(n, s)
		busiest := ceilDiv(c*each, workers)
		if cost := float64(busiest*s)/float64(each) + float64(p*unit)/8/float64(workers); cost < least {
			least, size, count = cost, s, c
		}
	}
	return size, count
}

// noSingle makes parts of n larger until the last one isn't a single row, which Gemm.Block computes in another order than rows
// among others.
func noSingle(n, size, unit int) int {
	for n > size && n%size == 1 {
		size += unit
	}
	return size
}

// place is the first row and column of tile i.
func (t *tiling) place(i int) (row, col int) {
	if t.byColumn {
		return i % t.tm * t.mb, i / t.tm * t.nb
	}
	return i / t.tn * t.mb, i % t.tn * t.nb
}

// evenly cuts n into equal parts of about limit that are multiples of unit, as far as that goes.
func evenly(n, limit, unit int) int {
	return roundUp(ceilDiv(n, ceilDiv(n, max(limit, unit))), unit)
}

// gemmTask is c = a·b with an epilogue, cut by tiling.
type gemmTask struct {
	k      *kern.Set
	a      rows
	flat   dense  // what a points to, where the left side is dense
	turned turned // and where it is transposed
	b      *packedB
	c      []float32
	ldc    int
	m      int
	til    tiling
	ep     kern.Epilogue
	act    activation
	buf    []float32 // per worker, for gathering rows
	step   int       // elements of buf per worker
}

// Tile implements par.Task.
func (t *gemmTask) Tile(i, worker int) {
	til := &t.til
	i0, j0 := til.place(i)
	m, n := min(til.mb, t.m-i0), min(til.nb, t.b.n-j0)
	c := t.c[i0*t.ldc+j0:]
	ep := t.ep
	if ep.Bias != nil {
		ep.Bias = ep.Bias[j0:]
	}
	if ep.Res != nil {
		ep.Res = ep.Res[i0*ep.LdRes+j0:]
	}
	buf := t.buf[worker*t.step:]
	g := &t.k.Gemm
	for p := 0; p < t.b.k; p += t.b.depthAt(p) {
		kc := t.b.depthAt(p)
		a, lda := t.a.block(i0, m, p, kc, buf)
		last := kern.Epilogue{}
		if p+kc == t.b.k {
			last = ep
		}
		g.Block(m, n, kern.Whole(kc), a, lda, t.b.block(p, kc, j0), c, t.ldc, p > 0, last)
	}
	t.act.rows(c, t.ldc, m, n)
}

// run computes the product, or part of it where stop is closed before the end.
func (t *gemmTask) run(pool *par.Pool, stop <-chan struct{}) {
	pool.RunUntil(stop, t, t.til.tm*t.til.tn)
}
