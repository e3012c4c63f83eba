package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) pairKernels() []devices.Kernel {
	return []devices.Kernel{devices.For("convpair/nhwc_f32_"+d.Level(), func(op ops.ConvPair, r devices.Request) int {
		if _, _, _, err := d.splitPair(op, r); err != nil {
			return 0
		}
		return 10
	}, d.preparePair)}
}

// splitPair makes plans of a pointwise convolution and a depthwise one, the second with its request.
func (d *Device) splitPair(op ops.ConvPair, r devices.Request) (first, second *convPlan, r2 devices.Request, err error) {
	if !allF32(r) || r.Const[1] == nil || r.Const[4] == nil || op.First.Format != ops.NHWC || op.Second.Format != ops.NHWC {
		return nil, nil, r2, errs.Errorf("no kernel for these types")
	}
	mid, err := op.First.Infer(r.In[:4])
	if err != nil {
		return nil, nil, r2, err
	}
	r2 = devices.Request{Node: r.Node, Dev: r.Dev, Packs: r.Packs, Out: r.Out, In: []graph.Type{mid[0], r.In[4], r.In[5], r.In[6]},
		Const: []*tensor.Tensor{nil, r.Const[4], r.Const[5], r.Const[6]}}
	r1 := devices.Request{Node: r.Node, Dev: r.Dev, Packs: r.Packs, Out: mid, In: r.In[:4], Const: r.Const[:4]}
	if first, err = d.planOf(op.First, r1); err != nil {
		return nil, nil, r2, err
	}
	if second, err = d.planOf(op.Second, r2); err != nil {
		return nil, nil, r2, err
	}
	if !first.pointwise() || first.groups != 1 || !second.depthwise() {
		return nil, nil, r2, errs.Errorf("no pointwise and depthwise convolution")
	}
	return first, second, r2, nil
}

// planOf is a FusedConv as a plan.
func (d *Device) planOf(op ops.FusedConv, r devices.Request) (*convPlan, error) {
	win, err := op.Window(dims(r.In[0]), dims(r.In[1]))
	if err != nil {
		return nil, err
	}
	p, ok := newConvPlan(r, win, op.Format, op.Kernel, op.Group)
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	if p.dyn = r.Const[1] == nil; !p.dyn {
		p.wt.data = tensor.As[float32](r.Const[1])
	}
	p.key = fmt.Sprint(op.Kernel)
	if has(r, 2) {
		if r.Const[2] == nil {
			return nil, errs.Errorf("a factor that is not constant")
		}
		p.wt.scale = tensor.As[float32](r.Const[2])
		p.key += fmt.Sprintf("*%p", r.Const[2])
	}
	if has(r, 3) {
		p.bias = 3
	}
	if has(r, 4) {
		p.res = 4
	}
	p.setAct(d.k, op.Epilogue)
	return p, nil
}

// pairStep runs a pointwise convolution into scratch that stays in the cache, and a depthwise one from there. The scratch has the
// border that the windows need. Tiles are bands of rows, or, of small pictures, some channels of the whole.
type pairStep struct {
	d      *Device
	first  *convPlan
	second *depthwise // of pictures with their border
	b      *packedB
	left   int         // columns of border
	w, h   int         // of the picture in between
	chunks []chanRange // of channels of the whole picture, a tile each; none where tiles are bands
	bands  int         // tiles of one picture
	rows   int         // output rows of a band
	sub    int         // output rows computed between two refills
	cap    int         // rows of scratch
	tasks  freelist[*pairTask]
}

// pairBytes is how much scratch a tile aims at.
const pairBytes = 192 << 10

func (d *Device) preparePair(op ops.ConvPair, r devices.Request) (devices.Step, error) {
	p1, p2, r2, err := d.splitPair(op, r)
	if err != nil {
		return nil, err
	}
	s := &pairStep{d: d, first: p1, w: p2.geometry.w, h: p2.h, left: max(0, p2.pl)}
	p2.geometry.w = max(s.left+s.w, (p2.ow-1)*p2.sw+(p2.kw-1)*p2.dw+1)
	p2.pl -= s.left
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/conv/%s/%s/%d", d.Level(), p1.key, 1)}
	s.b = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		return packKernel(d, p1, blockDepth(p1.c), p1.c)
	}).([]*packedB)[0]
	s.cut(p2)
	s.second = d.newDepthwise(p2, r2)
	return s, nil
}

// cut chooses the tiles.
func (s *pairStep) cut(p *convPlan) {
	nr, workers := s.d.k.Gemm.NR, s.d.pool.Workers()
	perChannel := 4 * s.h * (s.w + p.geometry.w)
	if chunk := pairBytes / perChannel / nr * nr; chunk >= 32 || chunk >= p.c {
		n := ceilDiv(p.c, chunk)
		if workers > 1 { // some tiles for each
			n = max(4*workers, roundUp(n, workers))
		}
		s.cutChannels(p, n)
		return
	}
	span := (p.kh-1)*p.dh + 1
	s.bands = 1
	if workers > 1 {
		s.bands = max(1, min(workers, p.oh/6), min(2*workers, p.oh/14))
	}
	s.rows = ceilDiv(p.oh, s.bands)
	row := p.geometry.w * p.c * 4
	s.sub = max(1, min(s.rows, (pairBytes/row-span)/p.sh+1))
	s.cap = (s.sub-1)*p.sh + span
}

// cutChannels makes n tiles of whole panels, as even as that goes.
func (s *pairStep) cutChannels(p *convPlan, n int) {
	nr := s.d.k.Gemm.NR
	panels := ceilDiv(p.c, nr)
	n = min(n, panels)
	tables := map[int]*windowTable{}
	for i := range n {
		ch := chanRange{at: i * panels / n * nr}
		ch.n = min(p.c, (i+1)*panels/n*nr) - ch.at
		ch.pix = ch.n
		if tables[ch.n] == nil {
			tables[ch.n] = newWindowTable(&p.geometry, ch.pix, p.c)
		}
		ch.t = tables[ch.n]
		s.chunks = append(s.chunks, ch)
	}
	s.bands = n
}

// bufLen is the elements of scratch of one worker.
func (s *pairStep) bufLen() int {
	p := s.second.p
	n := 0
	for _, ch := range s.chunks {
		n = max(n, pad64(s.h*s.w*ch.n)+pad64(s.h*p.geometry.w*ch.n))
	}
	if n > 0 {
		return n
	}
	return pad64(s.cap * p.geometry.w * p.c)
}

func (s *pairStep) Scratch() int { return s.bufLen() * s.d.pool.Workers() * 4 }

func (s *pairStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.buf = s, f32(a, 0), floats(a.Scratch)
	t.ep = kern.Epilogue{Clamp: s.first.clamp, Lo: s.first.lo, Hi: s.first.hi, Bias: f32(a, 3)}
	t.dw.s, t.dw.w = s.second, s.second.w
	t.dw.o = convOperands{bias: f32(a, 6), y: f32Out(a, 0)}
	if t.dw.o.bias == nil {
		t.dw.o.bias = s.second.zeros
	}
	s.d.pool.Run(t, s.first.n*s.bands)
	return nil
}

type pairTask struct {
	s   *pairStep
	x   []float32
	buf []float32
	ep  kern.Epilogue
	dw  depthwiseTask
}

// Tile implements par.Task.
func (t *pairTask) Tile(i, worker int) {
	s := t.s
	buf := t.buf[worker*s.bufLen():][:s.bufLen()]
	if s.chunks != nil {
		t.channels(buf, i/s.bands, s.chunks[i%s.bands])
		return
	}
	t.band(buf, i/s.bands, i%s.bands*s.rows)
}

// band computes output rows from o0 on.
func (t *pairTask) band(buf []float32, img, o0 int) {
	s, p := t.s, t.s.second.p
	end := min(o0+s.rows, p.oh)
	row := p.geometry.w * p.c
	lo, hi := 0, 0 // rows of the picture in buf
	for ; o0 < end; o0 += s.sub {
		o1 := min(o0+s.sub, end)
		need0 := min(p.h, max(0, o0*p.sh-p.pt))
		need1 := max(need0, min(p.h, (o1-1)*p.sh-p.pt+(p.kh-1)*p.dh+1))
		if need0 < hi {
			copy(buf, buf[(need0-lo)*row:(hi-lo)*row])
		} else {
			hi = need0
		}
		lo = need0
		for ; hi < need1; hi++ {
			t.expand(buf[(hi-lo)*row:][:row], img, hi)
		}
		for oh := o0; oh < o1; oh++ {
			t.dw.row(buf, lo*row, img, oh, chanRange{n: p.c, pix: p.c, t: s.second.t})
		}
	}
}

// expand computes row h of the first convolution between its border.
func (t *pairTask) expand(dst []float32, img, h int) {
	s, p, b := t.s, t.s.first, t.s.b
	lo, hi := s.left*b.n, (s.left+s.w)*b.n
	clear(dst[:lo])
	clear(dst[hi:])
	t.multiply(dst[lo:hi], b.n, t.x[(img*s.h+h)*s.w*p.c:], s.w, 0)
	p.act.rows(dst[lo:hi], b.n, s.w, b.n)
}

// multiply computes n columns of m pixels of the first convolution, from column j on.
func (t *pairTask) multiply(dst []float32, n int, x []float32, m, j int) {
	p, b, g := t.s.first, t.s.b, &t.s.d.k.Gemm
	ep := t.ep
	if ep.Bias != nil {
		ep.Bias = ep.Bias[j:]
	}
	for q := 0; q < b.k; q += b.depthAt(q) {
		kc := b.depthAt(q)
		last := kern.Epilogue{}
		if q+kc == b.k {
			last = ep
		}
		g.Block(m, n, kern.Whole(kc), x[q:], p.c, b.block(q, kc, j), dst, n, q > 0, last)
	}
}

// channels computes some channels of a whole picture.
func (t *pairTask) channels(buf []float32, img int, ch chanRange) {
	s, p := t.s, t.s.second.p
	run, row := s.w*ch.n, p.geometry.w*ch.n
	flat, dst := buf[:s.h*run], buf[pad64(s.h*run):]
	t.multiply(flat, ch.n, t.x[img*s.h*s.w*s.first.c:], s.h*s.w, ch.at)
	act := &s.first.act
	for h := range s.h {
		out := dst[h*row:][:row]
		clear(out[:s.left*ch.n])
		in := out[s.left*ch.n:]
		clear(in[run:])
		if act.f != nil {
			act.f(in[:run], flat[h*run:][:run], act.a, act.b)
			continue
		}
		copy(in, flat[h*run:][:run])
	}
	for oh := range p.oh {
		t.dw.row(dst, 0, img, oh, ch)
	}
}
