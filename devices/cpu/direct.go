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
	pack   int // elements of packed weights, where they are known only when running
	tasks  freelist[convTask]
}

func (d *Device) newDirect(p *convPlan, r devices.Request) *direct {
	s := &direct{d: d, p: p}
	k := p.wt.c * p.taps()
	s.til = newTiling(&d.k.Gemm, p.n*p.pixels(), p.oc/p.groups, k, !p.pointwise())
	if !p.pointwise() {
		s.gather = pad64(s.til.mb * blockDepth(k))
	}
	if p.dyn {
		s.pack = pad64(d.k.Gemm.PackedLen(k, p.oc/p.groups))
		return s
	}
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/conv/%s/%s/%d", d.Level(), p.key, p.groups)}
	s.b = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		return packKernel(d, p, blockDepth(k), k, nil)
	}).([]*packedB)
	return s
}

func (s *direct) scratch() int {
	return (s.gather*s.d.pool.Workers() + s.pack*s.p.groups) * 4
}

func (s *direct) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	buf := floats(o.scratch)
	t.b = s.b
	if s.p.dyn {
		p := *s.p
		p.wt.data = o.w
		t.b = packKernel(s.d, &p, blockDepth(p.wt.c*p.taps()), p.wt.c*p.taps(), buf[s.gather*s.d.pool.Workers():])
	}
	t.s, t.x, t.y, t.buf = s, o.x, o.y, buf
	t.ep = s.p.epilogue(o)
	s.d.pool.Run(t, s.p.groups*s.til.tm*s.til.tn)
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
	ep   kern.Epilogue
	buf  []float32
}

var _ par.Task = (*convTask)(nil)

// Tile implements par.Task.
func (t *convTask) Tile(i, worker int) {
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
		a, lda := t.x, p.c
		if t.s.gather > 0 {
			gatherRows(buf, t.x, &p.geometry, group*p.wt.c, p.wt.c, i0, m, q, kc)
			a, lda = buf, kc
		} else {
			a = a[i0*p.c+group*p.wt.c+q:]
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
