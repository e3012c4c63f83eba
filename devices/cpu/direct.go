package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/par"
)

// direct is convolution as a product: the rows are the windows' contents, the right-hand side is the kernel.
type direct struct {
	d      *Device
	p      *convPlan
	b      []*packedB // one for each group
	til    tiling
	gather int // elements of gathered rows for each worker; 0 where the data serves as it is
	whole  int // elements of all rows, where they are gathered once for all tiles; 0 where they are not
	pack   int // elements of packed weights, where they are known only when running
	tasks  freelist[*convTask]
}

// wholeBytes is the most bytes of rows that are gathered at once.
const wholeBytes = 8 << 20

func (d *Device) newDirect(p *convPlan, r devices.Request) *direct {
	s := &direct{d: d, p: p}
	k := p.wt.c * p.taps()
	s.til = d.tiling(p.n*p.pixels(), p.oc/p.groups, k, !p.pointwise())
	switch m := p.n * p.pixels(); {
	case p.pointwise():
	case p.groups == 1 && 4*m*k <= wholeBytes && s.til.tn > 1:
		s.til = d.tiling(m, p.oc, k, false)
		s.whole = pad64(m * k)
	default:
		s.gather = pad64(s.til.mb * blockDepth(k))
	}
	if p.dyn {
		s.pack = pad64(d.k.Gemm.PackedLen(k, p.oc/p.groups))
		return s
	}
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/conv/%s/%s/%d", d.Level(), p.key, p.groups)}
	s.b = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		return packKernel(d, p, blockDepth(k), k)
	}).([]*packedB)
	return s
}

func (s *direct) scratch() int {
	return (s.gathered() + s.pack*s.p.groups) * 4
}

// gathered is the elements of gathered rows, of all workers.
func (s *direct) gathered() int { return s.whole + s.gather*s.d.pool.Workers() }

func (s *direct) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	buf := floats(o.scratch)
	t.b = s.b
	if s.p.dyn {
		k := s.p.wt.c * s.p.taps()
		t.b = t.dyn.pack(s.d, s.p, o.w, blockDepth(k), k, buf[s.gathered():])
	}
	t.s, t.x, t.y, t.buf = s, o.x, o.y, buf
	t.ep = s.p.epilogue(o)
	if s.whole > 0 {
		t.gathering = true
		s.d.pool.Run(t, ceilDiv(s.p.n*s.p.pixels(), gatherTile))
		t.gathering = false
	}
	s.d.pool.RunUntil(o.stop, t, s.p.groups*s.til.tm*s.til.tn)
}

// epilogue is the epilogue with this run's operands.
func (p *convPlan) epilogue(o convOperands) kern.Epilogue {
	return kern.Epilogue{Clamp: p.clamp, Lo: p.lo, Hi: p.hi, Bias: o.bias, Res: o.res, LdRes: p.oc}
}

// convTask is one run of a direct.
type convTask struct {
	s    *direct
	x, y []float32
	b    []*packedB
	dyn  dynKernel
	ep   kern.Epilogue
	buf  []float32

	gathering bool
}

// gatherTile is how many rows one tile gathers.
const gatherTile = 8

// gatherWhole gathers some rows, block by block of the depth.
func (t *convTask) gatherWhole(i0 int) {
	p, b := t.s.p, t.b[0]
	m := p.n * p.pixels()
	for q := 0; q < b.k; q += b.kc {
		kc := min(b.kc, b.k-q)
		gatherRows(t.buf[m*q+i0*kc:], t.x, &p.geometry, 0, p.wt.c, i0, min(gatherTile, m-i0), q, kc)
	}
}

var _ par.Task = (*convTask)(nil)

// Tile implements par.Task.
func (t *convTask) Tile(i, worker int) {
	if t.gathering {
		t.gatherWhole(i * gatherTile)
		return
	}
	p, til, g := t.s.p, &t.s.til, &t.s.d.k.Gemm
	per := til.tm * til.tn
	group, i := i/per, i%per
	b := t.b[group]
	i0, j0 := til.place(i)
	m, n := min(til.mb, p.n*p.pixels()-i0), min(til.nb, b.n-j0)
	col := group*b.n + j0
	c := t.y[i0*p.oc+col:]
	ep := t.ep
	if ep.Bias != nil {
		ep.Bias = ep.Bias[col:]
	}
	if ep.Res != nil {
		ep.Res = ep.Res[i0*p.oc+col:]
	}
	buf := t.buf[worker*t.s.gather:]
	for q := 0; q < b.k; q += b.kc {
		kc := min(b.kc, b.k-q)
		a, lda := buf, kc
		switch {
		case t.s.whole > 0:
			a = t.buf[p.n*p.pixels()*q+i0*kc:]
		case t.s.gather > 0:
			gatherRows(buf, t.x, &p.geometry, group*p.wt.c, p.wt.c, i0, m, q, kc)
		default:
			a, lda = t.x[i0*p.c+group*p.wt.c+q:], p.c
		}
		last := kern.Epilogue{}
		if q+kc == b.k {
			last = ep
		}
		g.Block(m, n, kern.Whole(kc), a, lda, b.block(q, kc, j0), c, p.oc, q > 0, last)
	}
	p.act.rows(c, p.oc, m, n)
}

// gatherRows writes columns [q, q+kc) of the windows of output pixels [i0, i0+m): columns run over (tap, channel)
// for cg channels from c0 on. Windows that hang over the edge read zeros.
func gatherRows(dst, x []float32, g *geometry, c0, cg, i0, m, q, kc int) {
	ow := i0 % g.ow
	oh := i0 / g.ow % g.oh
	n := i0 / (g.ow * g.oh)
	whole := cg == g.c && g.dw == 1 // a row of taps is one run of memory
	for r := range m {
		row := dst[r*kc:][:kc]
		ih0, iw0 := oh*g.sh-g.pt, ow*g.sw-g.pl
		img := x[n*g.h*g.w*g.c:]
		for k := q; k < q+kc; {
			tap, c := k/cg, k%cg
			kh, kw := tap/g.kw, tap%g.kw
			ih, iw := ih0+kh*g.dh, iw0+kw*g.dw
			run := cg - c
			inside := ih >= 0 && ih < g.h
			if whole && inside && iw >= 0 {
				if taps := min(g.kw-kw, g.w-iw); taps > 1 {
					run += (taps - 1) * cg
				}
			}
			run = min(run, q+kc-k)
			out := row[k-q:][:run]
			if inside && iw >= 0 && iw < g.w {
				copy(out, img[(ih*g.w+iw)*g.c+c0+c:])
			} else {
				clear(out)
			}
			k += run
		}
		if ow++; ow == g.ow {
			ow = 0
			if oh++; oh == g.oh {
				oh, n = 0, n+1
			}
		}
	}
}
