package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// strips is convolution as a product whose left-hand side is the data itself: the windows of an output row begin a fixed
// distance apart, and each of their rows is one run of memory. Data with padding is copied with its border first.
type strips struct {
	d          *Device
	p          *convPlan
	b          *packedB // of a kernel that is known only when running, how it will be packed
	pack       int      // and how many elements that takes
	rowLen     int      // elements of a row of data with its border
	height     int      // rows with their border
	padded     bool
	rows       int // output rows of one tile
	nb, tm, tn int
	tasks      freelist[*stripTask]
}

// stripsPay reports whether strips suit p: rows of pixels fill register tiles, and the windows' rows are runs. Those of very short
// runs, which cost most to gather, needn't fill them as well.
func (d *Device) stripsPay(p *convPlan) bool {
	mr := d.k.Gemm.MR
	fill := p.ow >= 2*mr || p.kw*p.c < 8 && 5*p.ow >= 4*roundUp(p.ow, mr)
	return p.groups == 1 && p.dw == 1 && !p.pointwise() && p.kh*p.kw > 1 && fill && p.pt >= 0 && p.pl >= 0
}

func (d *Device) newStrips(p *convPlan, r devices.Request) *strips {
	s := &strips{d: d, p: p, rowLen: p.geometry.w * p.c, height: p.h}
	needW, needH := (p.ow-1)*p.sw+p.kw, (p.oh-1)*p.sh+(p.kh-1)*p.dh+1
	if p.pt > 0 || p.pl > 0 || needW > p.geometry.w || needH > p.h {
		s.padded, s.rowLen, s.height = true, needW*p.c, needH
	}
	run := p.kw * p.c
	k := run * p.kh
	kc, period := max(1, maxKC/run)*run, k
	if run > maxKC {
		kc, period = blockDepth(run), run
	}
	if p.dyn {
		s.b = &packedB{k: k, n: p.oc, kc: kc, period: period, cols: d.k.Gemm.PackedCols(p.oc)}
		s.pack = pad64(k * s.b.cols)
	} else {
		key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/conv/%s/%s/%d/%d/%d", d.Level(), p.key, p.groups, kc, period)}
		s.b = r.Packs.Get(key, func() any {
			defer evict(r.Const[1])
			return packKernel(d, p, kc, period)
		}).([]*packedB)[0]
	}
	work := 2 * p.ow * p.oc * k
	s.rows, s.nb = max(1, min(p.oh, tileFlops/work)), p.oc
	for s.rows == 1 && s.nb > 4*d.k.Gemm.NR && 2*p.ow*s.nb*k > 2*tileFlops {
		s.nb = roundUp(ceilDiv(s.nb, 2), d.k.Gemm.NR)
	}
	s.tn = ceilDiv(p.oc, s.nb)
	s.rows, s.tm = evenTiles(p.oh, 1, ceilDiv(p.oh, s.rows), s.tn, d.pool.Workers())
	return s
}

func (s *strips) scratch() int {
	return (s.pack + s.bordered()) * 4
}

// bordered is the elements of data with its border.
func (s *strips) bordered() int {
	if !s.padded {
		return 0
	}
	return pad64(s.p.n * s.height * s.rowLen)
}

func (s *strips) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.src, t.x, t.y, t.b = s, o.x, o.x, o.y, s.b
	if s.pack > 0 {
		t.b = t.dyn.pack(s.d, s.p, o.w, s.b.kc, s.b.period, floats(o.scratch)[s.bordered():])[0]
	}
	t.ep = s.p.epilogue(o)
	if s.padded {
		t.x = floats(o.scratch)
		t.copying = true
		s.d.pool.Run(t, s.p.n*ceilDiv(s.height, borderRows))
		t.copying = false
	}
	s.d.pool.RunUntil(o.stop, t, s.p.n*s.tm*s.tn)
}

// borderRows is how many rows one task copies.
const borderRows = 16

type stripTask struct {
	s       *strips
	src     []float32
	x, y    []float32
	b       *packedB
	dyn     dynKernel
	ep      kern.Epilogue
	copying bool
}

// Tile implements par.Task.
func (t *stripTask) Tile(i, _ int) {
	if t.copying {
		t.copyRows(i)
		return
	}
	s, p, g := t.s, t.s.p, &t.s.d.k.Gemm
	per := s.tm * s.tn
	img, i := i/per, i%per
	r0, j0 := i/s.tn*s.rows, i%s.tn*s.nb
	n := min(s.nb, p.oc-j0)
	run := p.kw * p.c
	x := t.x[img*s.height*s.rowLen:][:s.height*s.rowLen]
	for q := 0; q < t.b.k; q += t.b.depthAt(q) {
		kc := t.b.depthAt(q)
		depth := kern.Depth{K: min(kc, run), Segs: max(1, kc/run), Stride: p.dh * s.rowLen}
		for oh := r0; oh < min(r0+s.rows, p.oh); oh++ {
			at := (img*p.oh + oh) * p.ow * p.oc
			ep := kern.Epilogue{}
			if q+kc == t.b.k {
				ep = t.epilogue(at, j0)
			}
			a := x[(oh*p.sh+q/run*p.dh)*s.rowLen+q%run:]
			g.Block(p.ow, n, depth, a, p.sw*p.c, t.b.block(q, kc, j0), t.y[at+j0:], p.oc, q > 0, ep)
		}
	}
	for oh := r0; oh < min(r0+s.rows, p.oh); oh++ {
		p.act.rows(t.y[(img*p.oh+oh)*p.ow*p.oc+j0:], p.oc, p.ow, n)
	}
}

// epilogue is the epilogue of the output row at at, from column j on.
func (t *stripTask) epilogue(at, j int) kern.Epilogue {
	ep := t.ep
	if ep.Bias != nil {
		ep.Bias = ep.Bias[j:]
	}
	if ep.Res != nil {
		ep.Res = ep.Res[at+j:]
	}
	return ep
}

// copyRows copies a few rows of data into the middle of their borders.
func (t *stripTask) copyRows(i int) {
	s, p := t.s, t.s.p
	per := ceilDiv(s.height, borderRows)
	img, r0 := i/per, i%per*borderRows
	src := t.src[img*p.h*p.geometry.w*p.c:][:p.h*p.geometry.w*p.c]
	for r := r0; r < min(r0+borderRows, s.height); r++ {
		row := t.x[(img*s.height+r)*s.rowLen:][:s.rowLen]
		ih := r - p.pt
		if ih < 0 || ih >= p.h {
			clear(row)
			continue
		}
		left := min(p.pl*p.c, len(row))
		clear(row[:left])
		n := copy(row[left:], src[ih*p.geometry.w*p.c:][:p.geometry.w*p.c])
		clear(row[left+n:])
	}
}
