package cpu

import (
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// dynProduct is a product of m rows with a k x n matrix that is known only when running, for kernels that are made of
// several products: element (i, j) of the matrix is at i*rs+j*cs.
type dynProduct struct {
	d       *Device
	m, n, k int
	rs, cs  int
	til     tiling
	tasks   freelist[*dynTask]
}

type dynTask struct {
	pack packTask
	b    packedB
	mul  gemmTask
	add  addTask
}

func (d *Device) newDynProduct(m, n, k, rs, cs int) *dynProduct {
	return &dynProduct{d: d, m: m, n: n, k: k, rs: rs, cs: cs, til: d.tiling(m, n, k, false)}
}

// scratch is the elements of the packed matrix.
func (p *dynProduct) scratch() int { return pad64(p.d.k.Gemm.PackedLen(p.k, p.n)) }

// run makes c = a·b with an epilogue, whose residual must not be c itself.
func (p *dynProduct) run(a []float32, lda int, b, c []float32, ldc int, ep kern.Epilogue, buf []float32) {
	t := p.tasks.get()
	defer p.tasks.put(t)
	g := &p.d.k.Gemm
	t.b = packedB{k: p.k, n: p.n, kc: blockDepth(p.k), period: p.k, cols: g.PackedCols(p.n), data: buf[:p.scratch()]}
	t.pack = packTask{g: g, dst: &t.b, src: b, rs: p.rs, cs: p.cs}
	p.d.pool.Run(&t.pack, t.pack.tiles())
	m := &t.mul
	m.k, m.b, m.m, m.til, m.act, m.ep, m.c, m.ldc = p.d.k, &t.b, p.m, p.til, activation{}, ep, c, ldc
	m.flat = dense{a: a, lda: lda}
	m.a = &m.flat
	m.run(p.d.pool, nil)
}

// tallProduct is the product of the transposes of a tall matrix with another, c = aᵀ·b, summed block by block of their rows:
// the form of the gradients of weights.
type tallProduct struct {
	d       *Device
	m, n, k int
	til     tiling
	depth   int
	tasks   freelist[*tallTask]
}

// tallTask adds one block of rows.
type tallTask struct {
	b    packedB
	pack packTask
	mul  blockTask
}

// blockTask is c (+)= a·b for one block of depth.
type blockTask struct {
	g      *kern.Gemm
	a      []float32
	lda    int
	b      *packedB
	c      []float32
	ldc, m int
	til    tiling
	acc    bool
}

// Tile implements par.Task.
func (t *blockTask) Tile(i, _ int) {
	i0, j0 := t.til.place(i)
	m, n := min(t.til.mb, t.m-i0), min(t.til.nb, t.b.n-j0)
	t.g.Block(m, n, kern.Whole(t.b.k), t.a[i0*t.lda:], t.lda, t.b.block(0, t.b.k, j0), t.c[i0*t.ldc+j0:], t.ldc, t.acc, kern.Epilogue{})
}

func (d *Device) newTallProduct(m, n, k int) *tallProduct {
	p := &tallProduct{d: d, m: m, n: n, k: k, depth: blockDepth(k)}
	p.til = d.tiling(m, n, p.depth, false)
	return p
}

// scratch is the elements of one packed block of b.
func (p *tallProduct) scratch() int { return pad64(p.d.k.Gemm.PackedLen(p.depth, p.n)) }

// blocks is the number of blocks, block i covering rows [i*depth, i*depth+rows(i)).
func (p *tallProduct) blocks() int { return ceilDiv(p.k, p.depth) }

func (p *tallProduct) rows(i int) int { return min(p.depth, p.k-i*p.depth) }

// add adds block i: at is that block of aᵀ, [m, rows(i)]; b its rows, ldb apart. Block 0 overwrites c.
func (p *tallProduct) add(i int, at, b []float32, ldb int, c []float32, ldc int, buf []float32) {
	t := p.tasks.get()
	defer p.tasks.put(t)
	g := &p.d.k.Gemm
	k := p.rows(i)
	t.b = packedB{k: k, n: p.n, kc: k, period: k, cols: g.PackedCols(p.n), data: buf[:p.scratch()]}
	t.pack = packTask{g: g, dst: &t.b, src: b, rs: ldb, cs: 1}
	p.d.pool.Run(&t.pack, t.pack.tiles())
	t.mul = blockTask{g: g, a: at, lda: k, b: &t.b, c: c, ldc: ldc, m: p.m, til: p.til, acc: i > 0}
	p.d.pool.Run(&t.mul, p.til.tm*p.til.tn)
}
