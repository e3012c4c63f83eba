package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
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
		return nil, nil, r2, fmt.Errorf("no kernel for these types")
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
		return nil, nil, r2, fmt.Errorf("no pointwise and depthwise convolution")
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
		return nil, fmt.Errorf("no kernel for this window")
	}
	p.wt.data = tensor.As[float32](r.Const[1])
	p.key = fmt.Sprint(op.Kernel)
	if has(r, 2) {
		if r.Const[2] == nil {
			return nil, fmt.Errorf("a factor that is not constant")
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

// pairStep runs a pointwise convolution into a few rows of scratch that stay in the cache, and a depthwise one from there.
type pairStep struct {
	d      *Device
	first  *convPlan
	second *depthwise
	b      *packedB
	bands  int // of one picture: what a tile computes
	rows   int // output rows of a band
	sub    int // output rows computed between two refills
	cap    int // rows of scratch
	tasks  freelist[pairTask]
}

// pairBytes is how much scratch for rows a tile aims at.
const pairBytes = 192 << 10

func (d *Device) preparePair(op ops.ConvPair, r devices.Request) (devices.Step, error) {
	p1, p2, r2, err := d.splitPair(op, r)
	if err != nil {
		return nil, err
	}
	s := &pairStep{d: d, first: p1, second: d.newDepthwise(p2, r2)}
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/conv/%s/%s/%d", d.Level(), p1.key, 1)}
	s.b = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		return packKernel(d, p1, blockDepth(p1.c), p1.c, nil)
	}).([]*packedB)[0]
	span := (p2.kh-1)*p2.dh + 1
	s.bands = max(1, min(4, p2.oh/14))
	s.rows = ceilDiv(p2.oh, s.bands)
	row := p2.geometry.w * p2.c * 4
	s.sub = max(1, min(s.rows, (pairBytes/row-span)/p2.sh+1))
	s.cap = (s.sub-1)*p2.sh + span
	return s, nil
}

func (s *pairStep) bufLen() int { return pad64(s.cap * s.second.p.geometry.w * s.second.p.c) }

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
	s, p := t.s, t.s.second.p
	img, o0 := i/s.bands, i%s.bands*s.rows
	end := min(o0+s.rows, p.oh)
	buf := t.buf[worker*s.bufLen():][:s.bufLen()]
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
		if need1 > hi {
			t.expand(buf[(hi-lo)*row:], img, hi, need1-hi)
			hi = need1
		}
		for oh := o0; oh < o1; oh++ {
			t.dw.row(buf, lo*row, img, oh)
		}
	}
}

// expand computes n rows of the first convolution, from row h on.
func (t *pairTask) expand(dst []float32, img, h, n int) {
	p, b, g := t.s.first, t.s.b, &t.s.d.k.Gemm
	m := n * p.geometry.w
	x := t.x[(img*p.h+h)*p.geometry.w*p.c:]
	for q := 0; q < b.k; q += b.depthAt(q) {
		kc := b.depthAt(q)
		ep := kern.Epilogue{}
		if q+kc == b.k {
			ep = t.ep
		}
		g.Block(m, b.n, kern.Whole(kc), x[q:], p.c, b.block(q, kc, 0), dst, b.n, q > 0, ep)
	}
	p.act.rows(dst, b.n, m, b.n)
}
