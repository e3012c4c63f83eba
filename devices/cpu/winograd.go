package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// winogradSize is the output size of the minimal filtering that a cost model expects to be fastest for p,
// or 0 where plain convolution is.
func (d *Device) winogradSize(p *convPlan) int {
	if !d.winogradFits(p) {
		return 0
	}
	best, size := d.convCost(p.flops(), p.n*p.pixels()), 0
	for _, o := range []int{2, 4} {
		tiles := p.n * ceilDiv(p.oh, o) * ceilDiv(p.ow, o)
		if c := d.minimalCost(p, (o+2)*(o+2), tiles); c < best {
			best, size = c, o
		}
	}
	return size
}

// winogradFits reports whether p can be done by minimal filtering.
func (d *Device) winogradFits(p *convPlan) bool {
	l := d.k.Wino4.Lanes
	return p.groups == 1 && p.kh == 3 && p.kw == 3 && p.sh == 1 && p.sw == 1 && p.dh == 1 && p.dw == 1 &&
		p.c%l == 0 && p.oc%l == 0 && p.c >= 8 && p.oc >= 8 && p.pt >= 0 && p.pl >= 0
}

// convCost is about how many float operations' time a product with m rows takes. Register tiles of few rows load B as often as
// high ones.
func (d *Device) convCost(flops float64, m int) float64 {
	rows := float64(m) / float64(ceilDiv(m, d.k.Gemm.MR))
	return flops * (1 + 0.6/rows)
}

// minimalCost is the same for minimal filtering with n products for each tile: the products, the transforms, which move memory, and
// the transformed weights, which are read once from far away where they are large.
func (d *Device) minimalCost(p *convPlan, n, tiles int) float64 {
	weights := 4 * float64(n) * float64(p.c) * float64(p.oc)
	const perByte = 10 // operations that a core does in the time of reading one byte of weights from far away
	if weights < 1<<18 {
		weights = 0
	}
	weights = max(0, weights-4*float64(p.taps()*p.c)*float64(p.oc))
	return d.minimalFlops(p, n, tiles) + perByte*weights
}

// minimalFlops is the products and the transforms.
func (d *Device) minimalFlops(p *convPlan, n, tiles int) float64 {
	gemm := d.convCost(2*float64(n*tiles)*float64(p.c)*float64(p.oc), tiles)
	const perElement = 22 // operations that a core does in the time of transforming one element
	return gemm + perElement*float64(n*tiles)*float64(p.c+p.oc)
}

// winograd is a 3x3 convolution by minimal filtering.
type winograd struct {
	d      *Device
	p      *convPlan
	w      kern.Wino
	u      *winogradWeights
	th, tw int // tiles of one picture
	tiles  int
	block  int // tiles worked on together
	phased bool
	part   int // outputs whose weights are transformed together: all, but for large kernels that are known only when running
	// Elements of scratch: the transformed data and products of a block, and patches for each worker.
	vLen, mLen, patch int
	zeros             []float32 // a bias of nothing
	tasks             freelist[*winogradTask]
}

// winogradWeights is the transformed kernel: one packed matrix for each position.
type winogradWeights struct {
	packedB
	at  []packedB
	mem []float32 // where a kernel that is known only when running goes
}

func (d *Device) newWinograd(p *convPlan, r devices.Request, o int) *winograd {
	s := &winograd{d: d, p: p, w: d.k.Wino4, th: ceilDiv(p.oh, o), tw: ceilDiv(p.ow, o)}
	if o == 2 {
		s.w = d.k.Wino2
	}
	s.tiles = p.n * s.th * s.tw
	if p.bias < 0 {
		s.zeros = make([]float32, p.oc)
	}
	n2 := s.w.N * s.w.N
	mr := d.k.Gemm.MR
	s.block = s.blockTiles(mr)
	if s.tiles < 6*s.block {
		s.phased = true
		together := 16 << 20
		if p.dyn { // training: memory counts
			together = 2 << 20
		}
		s.block = min(s.tiles, max(s.block, together/(4*n2*(p.c+p.oc))))
		s.shareBlocks()
	}
	s.block = noSingle(s.tiles, s.block, 1)
	s.part = p.oc
	if p.dyn && 4*s.weightLen() > partBytes && 4*n2*s.tiles*p.c <= wholeTiles {
		s.phased, s.block = true, s.tiles
		s.part = min(p.oc, max(1, partBytes/(4*n2*p.c*d.k.Gemm.NR))*d.k.Gemm.NR)
	}
	s.vLen, s.mLen = n2*apart(s.block*p.c), n2*apart(s.block*s.part)
	s.patch = pad64(n2*max(p.c, p.oc) + kern.WinoTmp)
	if p.dyn {
		return s
	}
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/winograd%d/%s/%s", o, d.Level(), p.key)}
	s.u = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		u, t := &winogradWeights{}, &winogradPacker{}
		t.init(s, u, p.wt)
		s.transformWeights(u, t, 0, p.oc, s.d.packs.floats(s.weightLen()), alignedFloats(t.per*s.d.pool.Workers()))
		return u
	}).(*winogradWeights)
	return s
}

// partBytes is about the size of what is transformed of a large kernel at once.
const partBytes = 4 << 20

// wholeTiles is the most bytes of transformed data for which that is done.
const wholeTiles = 12 << 20

// blockTiles is how many tiles to work on together: of those counts that suit the products, the one that moves least memory for a
// tile. The weights come from far away once for each block; data and products do too where they don't fit into the second-level cache.
func (s *winograd) blockTiles(mr int) int {
	l2 := s.secondLevel()
	p, n2 := s.p, 4*s.w.N*s.w.N
	best, least := 0, 0.0
	for _, k := range []int{2, 3, 4, 6, 8} {
		moved := float64(n2*p.c*p.oc) / float64(k*mr)
		if n2*(p.c+p.oc)*k*mr > l2 {
			moved += float64(2 * n2 * (p.c + p.oc))
		}
		if best == 0 || moved < least {
			best, least = k*mr, moved
		}
	}
	return best
}

// secondLevel is how much of a block may lie in the second-level cache.
func (s *winograd) secondLevel() int {
	if s.w.Lanes > 8 {
		return 1 << 20
	}
	return 448 << 10
}

// shareBlocks lets each of several workers do blocks of its own from the data to the result where that costs less than
// what phases that all share move from one core to another: the one reads all weights in each block, the other half of the
// transformed data and products from elsewhere. Costs are in operations, as in minimalCost.
func (s *winograd) shareBlocks() {
	const (
		far     = 10     // for a byte of weights, or of what another core has written
		near    = 2      // for a byte of the third-level cache
		barrier = 150000 // for a phase
	)
	w, p, n2 := s.d.pool.Workers(), s.p, s.w.N*s.w.N
	if w == 1 || p.dyn {
		return
	}
	moved, weights := float64(4*n2*(p.c+p.oc)), float64(4*n2*p.c*p.oc)
	cost := func(block, rounds int) float64 {
		t := float64(block * rounds)
		c := t*s.d.minimalFlops(p, n2, block)/float64(block) + float64(rounds)*far*weights
		if moved*float64(block) > float64(s.secondLevel()) {
			c += 2 * near * moved * t
		}
		return c
	}
	all := float64(s.tiles)
	share := ceilDiv(s.tiles, w)
	least := cost(share, 1) - far*weights*(1-1/float64(w)) + far*moved*all*float64(w-1)/float64(w*w) + 2*barrier
	for j := 1; j <= 6; j++ {
		block := ceilDiv(s.tiles, w*j)
		if c := cost(block, ceilDiv(ceilDiv(s.tiles, block), w)); c < least {
			least, s.block, s.phased = c, block, false
		}
	}
}

// weightLen is the elements of the transformed kernel, or of a part of it.
func (s *winograd) weightLen() int {
	return apart(s.p.c*s.d.k.Gemm.PackedCols(s.part)) * s.w.N * s.w.N
}

// transformWeights gathers panels of the kernel and transforms them into data: those of n outputs from o on.
func (s *winograd) transformWeights(u *winogradWeights, t *winogradPacker, o, n int, data, tmp []float32) {
	p, g := s.p, &s.d.k.Gemm
	u.packedB = packedB{k: p.c, n: n, kc: blockDepth(p.c), period: p.c, cols: g.PackedCols(n), data: data}
	u.at = u.at[:0]
	for i := range s.w.N * s.w.N {
		b := u.packedB
		b.data = u.data[i*t.size:][:u.k*u.cols]
		u.at = append(u.at, b)
	}
	t.tmp, t.first = tmp, o
	s.d.pool.Run(t, ceilDiv(n, g.NR))
}

// apart is a distance of at least n elements for many places that are written in turn: one that doesn't map all of them to the same
// few lines of the first-level cache.
func apart(n int) int { return roundUp(n, 1024) + 80 }

type winogradPacker struct {
	s                *winograd
	u                *winogradWeights
	wt               weights
	size, per, chunk int
	first            int // output
	tmp              []float32
}

func (t *winogradPacker) init(s *winograd, u *winogradWeights, wt weights) {
	g := &s.d.k.Gemm
	t.s, t.u, t.wt, t.size, t.chunk = s, u, wt, apart(s.p.c*g.PackedCols(s.part)), panelChunk(g.NR, 9, s.p.c)
	t.per = pad64(t.chunk*9*g.NR + kern.WinoTmp)
}

// Tile implements par.Task.
func (t *winogradPacker) Tile(i, worker int) {
	g, w := &t.s.d.k.Gemm, &t.wt
	j := i * g.NR
	width := g.PanelWidth(j, t.u.n)
	cols := min(width, t.u.n-j)
	tmp := t.tmp[worker*t.per:][:t.per]
	panel := tmp[kern.WinoTmp:]
	for p := 0; p < t.u.k; p += t.u.kc {
		kc := min(t.u.kc, t.u.k-p)
		dst := t.u.data[p*t.u.cols+kc*j:]
		for c := 0; c < kc; c += t.chunk {
			n := min(t.chunk, kc-c)
			w.panel(g, panel, t.first+j, cols, width, p+c, n)
			t.s.w.Weights(dst[c*width:], t.size, panel, width, n, tmp[:kern.WinoTmp])
		}
	}
}

func (s *winograd) scratch() int {
	w := s.d.pool.Workers()
	n := (s.vLen + s.mLen + s.patch) * w
	if s.phased {
		n = s.vLen + s.mLen + s.patch*w
	}
	if s.p.dyn { // what packing takes is free again when the products begin
		var t winogradPacker
		t.init(s, nil, weights{})
		n = pad64(s.weightLen()) + s.vLen + max(n-s.vLen, t.per*w)
	}
	return n * 4
}

func (s *winograd) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.buf, t.res, t.bias, t.u, t.o0, t.cols, t.stop = s, o.x, o.y, floats(o.scratch), o.res, o.bias, s.u, 0, s.p.oc, o.stop
	if t.bias == nil {
		t.bias = s.zeros
	}
	if s.p.dyn {
		wt := s.p.wt
		wt.data = o.w
		t.u = &t.own
		t.packer.init(s, t.u, wt)
		t.own.mem, t.buf = t.buf[:s.weightLen()], t.buf[pad64(s.weightLen()):]
	}
	if s.part < s.p.oc {
		t.first, t.count = 0, s.tiles
		t.run(inPhase)
		for t.o0 = 0; t.o0 < s.p.oc; t.o0 += s.part {
			t.cols = min(s.part, s.p.oc-t.o0)
			t.transform()
			t.run(gemmPhase)
			t.run(outPhase)
		}
		return
	}
	if s.p.dyn {
		t.transform()
	}
	if !s.phased {
		t.phase = allPhases
		s.d.pool.RunUntil(o.stop, t, ceilDiv(s.tiles, s.block))
		return
	}
	for t.first = 0; t.first < s.tiles; t.first += s.block {
		t.count = min(s.block, s.tiles-t.first)
		t.run(inPhase)
		t.run(gemmPhase)
		t.run(outPhase)
	}
}

// transform transforms this run's kernel for the outputs at hand.
func (t *winogradTask) transform() {
	t.s.transformWeights(t.u, &t.packer, t.o0, t.cols, t.own.mem, t.buf[t.s.vLen:])
}

// run does one phase of a block.
func (t *winogradTask) run(phase winogradPhase) {
	s := t.s
	t.phase = phase
	n := ceilDiv(t.count, tilesPerTask)
	if phase == gemmPhase {
		t.nb, t.tn = splitColumns(&s.d.k.Gemm, t.count, t.cols, s.p.c)
		n = s.w.N * s.w.N * t.tn
	}
	s.d.pool.RunUntil(t.stop, t, n)
}

type winogradPhase int

const (
	allPhases winogradPhase = iota
	inPhase
	gemmPhase
	outPhase
)

// tilesPerTask is how many tiles one task of a phase transforms.
const tilesPerTask = 4

type winogradTask struct {
	s            *winograd
	x, y         []float32
	bias, res    []float32
	buf          []float32
	phase        winogradPhase
	first, count int // tiles of the phased block
	nb, tn       int // columns of one product task; how many
	o0, cols     int // outputs at hand
	stop         <-chan struct{}
	u            *winogradWeights
	own          winogradWeights // of a kernel that is known only when running
	packer       winogradPacker
}

// splitColumns cuts n columns of products of m rows and depth k so that there are enough tasks: columns of one, and how many.
func splitColumns(g *kern.Gemm, m, n, k int) (columns, tasks int) {
	columns = n
	for columns > 2*g.NR && 2*m*columns*k > tileFlops {
		columns = roundUp(ceilDiv(columns, 2), g.NR)
	}
	return columns, ceilDiv(n, columns)
}

// Tile implements par.Task.
func (t *winogradTask) Tile(i, worker int) {
	s := t.s
	if t.phase == allPhases {
		buf := t.buf[worker*(s.vLen+s.mLen+s.patch):]
		v, m, patch := buf[:s.vLen], buf[s.vLen:][:s.mLen], buf[s.vLen+s.mLen:][:s.patch]
		first := i * s.block
		count := min(s.block, s.tiles-first)
		t.in(v, patch, first, 0, count, count)
		for u := range s.w.N * s.w.N {
			t.gemm(v, m, u, count, 0, t.cols)
		}
		t.out(m, patch, first, 0, count, count)
		return
	}
	v, m := t.buf[:s.vLen], t.buf[s.vLen:][:s.mLen]
	patch := t.buf[s.vLen+s.mLen+worker*s.patch:][:s.patch]
	switch t.phase {
	case inPhase:
		lo := i * tilesPerTask
		t.in(v, patch, t.first, lo, min(lo+tilesPerTask, t.count), t.count)
	case gemmPhase:
		j := i % t.tn * t.nb
		t.gemm(v, m, i/t.tn, t.count, j, min(t.nb, t.cols-j))
	case outPhase:
		lo := i * tilesPerTask
		t.out(m, patch, t.first, lo, min(lo+tilesPerTask, t.count), t.count)
	}
}

// place is the picture and the first output pixel of a tile.
func (s *winograd) place(tile int) (n, oh, ow int) {
	return tile / (s.th * s.tw), tile / s.tw % s.th * s.w.O, tile % s.tw * s.w.O
}

// in transforms the data of tiles [lo, hi) of a block of count that starts at first.
func (t *winogradTask) in(v, patch []float32, first, lo, hi, count int) {
	s, p := t.s, t.s.p
	n := s.w.N
	step := apart(count * p.c)
	tmp, patch := patch[:kern.WinoTmp], patch[kern.WinoTmp:]
	for i := lo; i < hi; i++ {
		img, oh, ow := s.place(first + i)
		ih, iw := oh-p.pt, ow-p.pl
		x, rowStride := t.x[img*p.h*p.w*p.c:], p.geometry.w*p.c
		dst := v[i*p.c:]
		if ih >= 0 && iw >= 0 && ih+n <= p.h && iw+n <= p.geometry.w {
			s.w.In(dst, step, x[(ih*p.geometry.w+iw)*p.c:], rowStride, p.c, p.c, tmp)
			continue
		}
		for r := range n {
			row := patch[r*n*p.c:][:n*p.c]
			lo, hi := max(0, -iw), min(n, p.geometry.w-iw)
			if ih+r < 0 || ih+r >= p.h || lo >= hi {
				clear(row)
				continue
			}
			clear(row[:lo*p.c])
			copy(row[lo*p.c:hi*p.c], x[((ih+r)*p.geometry.w+iw+lo)*p.c:])
			clear(row[hi*p.c:])
		}
		s.w.In(dst, step, patch, n*p.c, p.c, p.c, tmp)
	}
}

// gemm multiplies position u of a block: columns [j, j+n).
func (t *winogradTask) gemm(v, m []float32, u, count, j, n int) {
	p, b := t.s.p, &t.u.at[u]
	a, c := v[u*apart(count*p.c):], m[u*apart(count*t.cols)+j:]
	for q := 0; q < b.k; q += b.kc {
		kc := min(b.kc, b.k-q)
		t.s.d.k.Gemm.Block(count, n, kern.Whole(kc), a[q:], p.c, b.block(q, kc, j), c, t.cols, q > 0, kern.Epilogue{})
	}
}

// out transforms the products of tiles [lo, hi) back.
func (t *winogradTask) out(m, patch []float32, first, lo, hi, count int) {
	s, p := t.s, t.s.p
	o := s.w.O
	cl, ch := p.lo, p.hi
	if t.res != nil {
		cl, ch = negInf, posInf
	}
	step := apart(count * t.cols)
	bias := t.bias[t.o0:][:t.cols]
	tmp, patch := patch[:kern.WinoTmp], patch[kern.WinoTmp:]
	for i := lo; i < hi; i++ {
		img, oh, ow := s.place(first + i)
		at := ((img*p.oh+oh)*p.ow+ow)*p.oc + t.o0
		rows, cols := min(o, p.oh-oh), min(o, p.ow-ow)
		if rows == o && cols == o {
			s.w.Out(t.y[at:], p.ow*p.oc, p.oc, m[i*t.cols:], step, t.cols, bias, cl, ch, tmp)
		} else {
			s.w.Out(patch, o*t.cols, t.cols, m[i*t.cols:], step, t.cols, bias, cl, ch, tmp)
			for r := range rows {
				for c := range cols {
					copy(t.y[at+(r*p.ow+c)*p.oc:][:t.cols], patch[(r*o+c)*t.cols:])
				}
			}
		}
		if t.res == nil && p.act.f == nil {
			continue
		}
		// Parts of rows, where the outputs are in parts.
		runs, run := rows, cols*p.oc
		if t.cols < p.oc {
			runs, run = rows*cols, t.cols
		}
		for k := range runs {
			off := at + k*p.ow*p.oc
			if t.cols < p.oc {
				off = at + (k/cols*p.ow+k%cols)*p.oc
			}
			row := t.y[off:][:run]
			if t.res != nil {
				s.d.k.Vec.AddClip(row, row, t.res[off:], p.lo, p.hi)
			}
			if p.act.f != nil {
				p.act.f(row, row, p.act.a, p.act.b)
			}
		}
	}
}
