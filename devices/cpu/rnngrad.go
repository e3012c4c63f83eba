package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// recurrentGrad is the layer backward: step by step the gradient at the gates' arguments, then the products that make the
// gradients of data and weights of it.
type recurrentGrad struct {
	trainShape
	dx      *dynProduct
	weights *tallProduct // [X, H before, 1]ᵀ times the gates' gradient
	left    int          // rows of that product
	grads   freelist[*recurrentGradTask]
	gathers freelist[*gatherTask]
}

func (d *Device) newRecurrentGrad(c trainCell, r devices.Request) *recurrentGrad {
	s := &recurrentGrad{}
	s.init(d, c, r)
	rows := s.steps * s.n
	s.left = s.in + s.h + 1
	s.dx = d.newDynProduct(rows, s.in, s.gates()*s.h, s.in, 1)
	s.weights = d.newTallProduct(s.left, 4*s.h, rows)
	return s
}

// packedBack is the elements of R packed for the products that go back to the state.
func (s *recurrentGrad) packedBack() int {
	n := 0
	for _, p := range s.state {
		n += pad64(s.d.k.Gemm.PackedLen(p.n, s.h))
	}
	return n
}

func (s *recurrentGrad) Scratch() int {
	steps := s.packedBack() + s.tiles*s.tileState()
	weights := s.weights.scratch() + pad64(s.left*s.weights.depth) + pad64(s.left*4*s.h) + pad64(s.d.pool.Workers()*flipBlock*s.h)
	return max(steps, weights, s.dx.scratch()) * 4
}

func (s *recurrentGrad) Run(a *devices.Args) error {
	t := s.grads.get()
	defer s.grads.put(t)
	lens, err := s.lens(a)
	if err != nil {
		return err
	}
	saved, out := 6, 5
	if s.lstm {
		saved, out = 8, 7
		clear(f32Out(a, 6)) // peepholes: there are none
	}
	t.s, t.lens, t.x, t.y, t.h0 = s, lens, f32(a, 0), f32(a, saved), f32(a, 5)
	t.dh0, t.dc0, t.c0 = f32Out(a, 4), nil, nil
	next := saved + 2
	if s.lstm {
		t.c0, t.dc0 = f32(a, 6), f32Out(a, 5)
		next++
	}
	t.dy, t.dhEnd, t.dcEnd = f32(a, next), f32(a, next+1), nil
	if s.lstm {
		t.dcEnd = f32(a, next+2)
	}
	rows, gh := s.steps*s.n, s.gates()*s.h
	buf := floats(a.Scratch)
	for dir := range s.dirs {
		t.dir = dir
		t.gates, t.dg = f32(a, saved+1)[dir*rows*4*s.h:][:rows*4*s.h], f32Out(a, out)[dir*rows*4*s.h:][:rows*4*s.h]
		if s.lstm {
			t.cells = f32(a, saved+2)[dir*rows*s.h:][:rows*s.h]
		}
		t.states, t.packed = buf[:s.tiles*s.tileState()], buf[s.tiles*s.tileState():]
		t.packState(f32(a, 2)[dir*gh*s.h:])
		s.d.pool.Run(t, s.tiles)
		dx, ep := f32Out(a, 0), kern.Epilogue{}
		if dir > 0 { // the other direction's share is there already
			s.sumInto(t, dx, f32(a, 1)[dir*gh*s.in:], buf)
		} else {
			s.dx.run(t.dg, 4*s.h, f32(a, 1), dx, s.in, ep, buf)
		}
		s.weightGrads(t, f32Out(a, 1)[dir*gh*s.in:][:gh*s.in], f32Out(a, 2)[dir*gh*s.h:][:gh*s.h], f32Out(a, 3)[dir*2*gh:][:2*gh], buf)
	}
	return nil
}

type recurrentGradTask struct {
	s            *recurrentGrad
	lens         []int32
	dir          int
	x, y         []float32
	gates, cells []float32 // of the direction
	dg           []float32
	h0, c0       []float32
	dy           []float32
	dhEnd, dcEnd []float32
	dh0, dc0     []float32
	packed       []float32
	states       []float32
}

// sumInto adds the product with dir's weights to dx, block by block of the gates.
func (s *recurrentGrad) sumInto(t *recurrentGradTask, dx, w, buf []float32) {
	p := s.dx.tasks.get()
	defer s.dx.tasks.put(p)
	g := &s.d.k.Gemm
	p.b = packedB{k: s.dx.k, n: s.in, kc: blockDepth(s.dx.k), period: s.dx.k, cols: g.PackedCols(s.in), data: buf[:s.dx.scratch()]}
	p.pack = packTask{g: g, dst: &p.b, src: w, rs: s.in, cs: 1}
	s.d.pool.Run(&p.pack, p.pack.tiles())
	m := &p.add
	*m = addTask{g: g, a: t.dg, lda: 4 * s.h, b: &p.b, c: dx, m: s.dx.m, til: s.dx.til}
	s.d.pool.Run(m, s.dx.til.tm*s.dx.til.tn)
}

// addTask is c += a·b.
type addTask struct {
	g    *kern.Gemm
	a, c []float32
	lda  int
	b    *packedB
	m    int
	til  tiling
}

// Tile implements par.Task.
func (t *addTask) Tile(i, _ int) {
	i0, j0 := t.til.place(i)
	m, n := min(t.til.mb, t.m-i0), min(t.til.nb, t.b.n-j0)
	for p := 0; p < t.b.k; p += t.b.depthAt(p) {
		kc := t.b.depthAt(p)
		t.g.Block(m, n, kern.Whole(kc), t.a[i0*t.lda+p:], t.lda, t.b.block(p, kc, j0), t.c[i0*t.b.n+j0:], t.b.n, true, kern.Epilogue{})
	}
}

// packState packs R as it is: rows are gates, columns units.
func (t *recurrentGradTask) packState(r []float32) {
	s, g := t.s, &t.s.d.k.Gemm
	dst := t.packed
	cols := g.PackedCols(s.h)
	for _, p := range s.state {
		kc := blockDepth(p.n)
		for q := 0; q < p.n; q += kc {
			g.Pack(dst[q*cols:], r[(p.from+q)*s.h:], s.h, 1, min(kc, p.n-q), s.h)
		}
		dst = dst[pad64(g.PackedLen(p.n, s.h)):]
	}
}

// before is the step that came before step at of row n of the batch, -1 for the first.
func (t *recurrentGradTask) before(at, n int) int {
	s := &t.s.trainShape
	if !s.reversed(t.dir) {
		return at - 1
	}
	last := s.steps
	if t.lens != nil {
		last = int(t.lens[n])
	}
	if at+1 >= last {
		return -1
	}
	return at + 1
}

// state is the hidden state before step at of row n of the batch; nil for zeros.
func (t *recurrentGradTask) state(at, n int) []float32 {
	s := &t.s.trainShape
	if b := t.before(at, n); b >= 0 {
		return t.y[s.outRow(t.dir, b, n):][:s.h]
	}
	if t.h0 == nil {
		return nil
	}
	return t.h0[s.stateRow(t.dir, n):][:s.h]
}

// Tile implements par.Task: some rows of the batch through all steps, last to first.
func (t *recurrentGradTask) Tile(i, _ int) {
	s := &t.s.trainShape
	n0, n1 := i*s.rows, min((i+1)*s.rows, s.n)
	buf := t.states[i*s.tileState():]
	dh, dc, tmp := buf[:s.rows*s.h], buf[pad64(s.rows*s.h):][:s.rows*s.h], buf[2*pad64(s.rows*s.h):][:s.h]
	loadState(s, t.dir, n0, n1, dh, t.dhEnd)
	loadState(s, t.dir, n0, n1, dc, t.dcEnd)
	for k := range s.steps {
		at := s.steps - 1 - k
		if s.reversed(t.dir) {
			at = k
		}
		for n := n0; n < n1; n++ {
			row := s.row(at, n)
			dg, dhn := t.dg[row*4*s.h:][:4*s.h], dh[(n-n0)*s.h:][:s.h]
			if t.lens != nil && at >= int(t.lens[n]) {
				clear(dg)
				continue
			}
			if t.dy != nil {
				s.d.k.Vec.Add(dhn, dhn, t.dy[s.outRow(t.dir, at, n):][:s.h])
			}
			g := t.gates[row*4*s.h:][:4*s.h]
			if !s.lstm {
				gruBack(dg, g, dhn, t.state(at, n))
				continue
			}
			c := t.cells[row*s.h:][:s.h]
			s.d.k.Vec.Tanh(tmp, c, 0, 0)
			lstmBack(dg, g, dhn, dc[(n-n0)*s.h:][:s.h], tmp, t.cellBefore(at, n))
			clear(dhn)
		}
		t.back(at, n0, n1, dh)
	}
	storeState(s, t.dir, n0, n1, t.dh0, dh)
	storeState(s, t.dir, n0, n1, t.dc0, dc)
}

func (t *recurrentGradTask) cellBefore(at, n int) []float32 {
	s := &t.s.trainShape
	if b := t.before(at, n); b >= 0 {
		return t.cells[s.row(b, n)*s.h:][:s.h]
	}
	if t.c0 == nil {
		return nil
	}
	return t.c0[s.stateRow(t.dir, n):][:s.h]
}

// back adds what the gates' gradient of a step means for the state before it to dh.
func (t *recurrentGradTask) back(at, n0, n1 int, dh []float32) {
	s, g := &t.s.trainShape, &t.s.d.k.Gemm
	a, lda := t.dg[s.row(at, n0)*4*s.h:], s.stride()*4*s.h
	b, cols := t.packed, g.PackedCols(s.h)
	for _, p := range s.state {
		kc := blockDepth(p.n)
		for q := 0; q < p.n; q += kc {
			g.Block(n1-n0, s.h, kern.Whole(min(kc, p.n-q)), a[p.to+q:], lda, b[q*cols:], dh, s.h, true, kern.Epilogue{})
		}
		b = b[pad64(g.PackedLen(p.n, s.h)):]
	}
}

// lstmBack is the gradient at the arguments of the gates i, o, f, c of a row; tc is the cell state's tanh, before the cell state
// one step before (nil for zeros). dg may be g.
func lstmBack(dg, g, dh, dc, tc, before []float32) {
	n := len(dh)
	gi, gf, gc := g[:n], g[2*n:][:n], g[3*n:][:n]
	di, do, df, dg := dg[:n], dg[n:][:n], dg[2*n:][:n], dg[3*n:][:n]
	dc, tc, g = dc[:n], tc[:n], g[n:][:n]
	for j, d := range dh {
		i, o, f, c, th := gi[j], g[j], gf[j], gc[j], tc[j]
		e := dc[j] + d*o*(1-th*th)
		do[j] = d * th * o * (1 - o)
		di[j] = e * c * i * (1 - i)
		dg[j] = e * i * (1 - c*c)
		b := float32(0)
		if before != nil {
			b = before[j]
		}
		df[j] = e * b * f * (1 - f)
		dc[j] = e * f
	}
}

// gruBack is the gradient at the arguments of the gates z, r, h of a row and at the state's part of the candidate; it leaves in dh
// what goes straight to the state before (nil for zeros). dg may be g.
func gruBack(dg, g, dh, before []float32) {
	n := len(dh)
	gz, gr, gc, rec := g[:n], g[n:][:n], g[2*n:][:n], g[3*n:][:n]
	dz, dr, dcand, drec := dg[:n], dg[n:][:n], dg[2*n:][:n], dg[3*n:][:n]
	for j, d := range dh {
		z, r, c := gz[j], gr[j], gc[j]
		b := float32(0)
		if before != nil {
			b = before[j]
		}
		e := d * (1 - z) * (1 - c*c)
		dz[j] = d * (b - c) * z * (1 - z)
		dr[j] = e * rec[j] * r * (1 - r)
		dcand[j] = e
		drec[j] = e * r
		dh[j] = d * z
	}
}

// weightGrads is the gradients of W, R and the biases.
func (s *recurrentGrad) weightGrads(t *recurrentGradTask, dw, dr, db, buf []float32) {
	p := s.weights
	at, buf := buf[:pad64(s.left*p.depth)], buf[pad64(s.left*p.depth):]
	sum, buf := buf[:s.left*4*s.h], buf[pad64(s.left*4*s.h):]
	rows := pad64(s.d.pool.Workers() * flipBlock * s.h)
	f := s.gathers.get()
	defer s.gathers.put(f)
	f.t, f.dst, f.buf = t, at, buf[:rows]
	buf = buf[rows:]
	for i := range p.blocks() {
		f.first, f.n = i*p.depth, p.rows(i)
		s.d.pool.Run(f, ceilDiv(f.n, flipBlock))
		p.add(i, at, t.dg[f.first*4*s.h:], 4*s.h, sum, 4*s.h, buf)
	}
	gh := s.gates() * s.h
	s.d.k.Flip(dw, s.in, sum, 4*s.h, s.in, gh)
	state := sum[s.in*4*s.h:]
	ones := sum[(s.in+s.h)*4*s.h:]
	copy(db[:gh], ones)
	for _, q := range s.state {
		s.d.k.Flip(dr[q.from*s.h:], s.h, state[q.to:], 4*s.h, s.h, q.n)
		copy(db[gh+q.from:][:q.n], ones[q.to:])
	}
}

// gatherTask turns a block of rows of X, of the states before and of ones into columns.
type gatherTask struct {
	t        *recurrentGradTask
	dst, buf []float32 // buf: a few rows for each worker
	first, n int
}

// Tile implements par.Task: a few rows.
func (f *gatherTask) Tile(i, worker int) {
	s := f.t.s
	lo := i * flipBlock
	n := min(flipBlock, f.n-lo)
	s.d.k.Flip(f.dst[lo:], f.n, f.t.x[(f.first+lo)*s.in:], s.in, n, s.in)
	rows := f.buf[worker*flipBlock*s.h:][:n*s.h]
	for k := range n {
		row := f.first + lo + k
		at, b := row/s.n, row%s.n
		if s.layout == 1 {
			at, b = row%s.steps, row/s.steps
		}
		st := f.t.state(at, b)
		if st == nil || f.t.lens != nil && at >= int(f.t.lens[b]) {
			clear(rows[k*s.h:][:s.h])
			continue
		}
		copy(rows[k*s.h:], st)
	}
	s.d.k.Flip(f.dst[s.in*f.n+lo:], f.n, rows, s.h, n, s.h)
	fill(f.dst[(s.in+s.h)*f.n+lo:][:n], 1)
}
