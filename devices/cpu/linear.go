package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/ops"
)

func (d *Device) linearKernels() []devices.Kernel {
	return []devices.Kernel{
		devices.For("fusedmatmul/f32_"+d.Level(), func(op ops.FusedMatMul, r devices.Request) int {
			if !allF32(r) || r.Const[1] == nil || prod(dims(r.In[1]))*prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, d.prepareFusedMatMul),
		devices.For("gemm/f32_"+d.Level(), matchGemm, d.prepareGemm),
	}
}

func (d *Device) prepareFusedMatMul(op ops.FusedMatMul, r devices.Request) (devices.Step, error) {
	w := dims(r.In[1])
	k, n, rs, cs := w[0], w[1], w[1], 1
	if op.TransB {
		k, n, rs, cs = w[1], w[0], 1, w[1]
	}
	ep, act := kern.Epilogue{}, activation{}
	switch op.Epilogue.Act {
	case ops.ActNone:
	case ops.ActClip:
		ep = kern.Epilogue{Clamp: true, Lo: float32(op.Epilogue.A), Hi: float32(op.Epilogue.B)}
	default:
		act = activationOf(d.k, op.Epilogue)
	}
	if m := prod(dims(r.In[0])) / k; m == 1 && op.TransB && k*n >= 1<<20 {
		return d.newVectorStep(r, k, n, ep, act), nil
	}
	s := d.linearStep(r, prod(dims(r.In[0]))/k, k, n, rs, cs, act, ep)
	if has(r, 2) {
		s.bias = 2
	}
	if has(r, 3) {
		s.res = 3
	}
	return s, nil
}

// matchGemm takes products of known shapes whose C, if any, is a vector along the columns or the whole matrix.
func matchGemm(op ops.Gemm, r devices.Request) int {
	if !allF32(r) || prod(dims(r.In[0]))*prod(dims(r.In[1])) == 0 {
		return 0
	}
	if has(r, 2) && gemmC(dims(r.In[2]), dims(r.Out[0])) == noC {
		return 0
	}
	return 10
}

type cForm int

const (
	noC cForm = iota
	rowC
	wholeC
)

// gemmC is how a C of that shape lies in the result.
func gemmC(c, out []int) cForm {
	switch n := prod(c); {
	case n == out[0]*out[1]:
		return wholeC
	case n == out[1] && (len(c) == 1 || c[0] == 1):
		return rowC
	}
	return noC
}

// gemmStep is Gemm with operands that may need turning over or scaling first.
type gemmStep struct {
	d        *Device
	m, n, k  int
	transA   bool
	alpha    float32
	beta     float32
	c        cForm
	known    *packedB // the packed right-hand side, if it is constant
	rs, cs   int
	til      tiling
	aLen     int // scratch of a worker, for what it turns over of a
	packLen  int
	tasks    freelist[*gemmTask]
	packings freelist[*packTask]
}

func (d *Device) prepareGemm(op ops.Gemm, r devices.Request) (devices.Step, error) {
	a, b, out := dims(r.In[0]), dims(r.In[1]), dims(r.Out[0])
	s := &gemmStep{d: d, m: out[0], n: out[1], k: a[1], transA: op.TransA, alpha: float32(op.Alpha), beta: float32(op.Beta), rs: b[1], cs: 1}
	if op.TransA {
		s.k = a[0]
	}
	if op.TransB {
		s.rs, s.cs = 1, b[1]
	}
	if has(r, 2) {
		s.c = gemmC(dims(r.In[2]), out)
	}
	s.til = d.tiling(s.m, s.n, s.k, op.TransA)
	if op.TransA {
		s.aLen = pad64(s.til.mb * blockDepth(s.k))
	}
	if r.Const[1] != nil {
		s.known = d.packedConst(r, 1, s.k, s.n, s.rs, s.cs)
	} else {
		s.packLen = pad64(d.k.Gemm.PackedLen(s.k, s.n))
	}
	return s, nil
}

func (s *gemmStep) Scratch() int { return (s.aLen*s.d.pool.Workers() + s.packLen) * 4 }

func (s *gemmStep) Run(a *devices.Args) error {
	buf := floats(a.Scratch)
	t := s.tasks.get()
	defer s.tasks.put(t)
	x := f32(a, 0)
	t.k, t.b, t.m, t.til, t.act = s.d.k, s.known, s.m, s.til, activation{}
	if s.known == nil {
		p := s.packings.get()
		if p.dst == nil {
			p.dst = &packedB{}
		}
		g := &s.d.k.Gemm
		*p.dst = packedB{k: s.k, n: s.n, kc: blockDepth(s.k), period: s.k, cols: g.PackedCols(s.n), data: buf[:s.packLen]}
		p.g, p.src, p.rs, p.cs = g, f32(a, 1), s.rs, s.cs
		s.d.pool.Run(p, p.tiles())
		defer s.packings.put(p)
		t.b, buf = p.dst, buf[s.packLen:]
	}
	y := f32Out(a, 0)
	t.flat, t.c, t.ldc, t.ep = dense{a: x, lda: s.k}, y, s.n, kern.Epilogue{}
	t.a = &t.flat
	if s.transA {
		t.turned = turned{flip: s.d.k.Flip, a: x, ld: s.m}
		t.a, t.buf, t.step = &t.turned, buf[:s.aLen*s.d.pool.Workers()], s.aLen
	}
	c := f32(a, 2)
	// The epilogue adds C as it is: with factors, the product and C are scaled afterwards.
	plain := s.alpha == 1 && (s.c == noC || s.beta == 1)
	if plain && s.c == rowC {
		t.ep.Bias = c
	}
	if plain && s.c == wholeC {
		t.ep.Res, t.ep.LdRes = c, s.n
	}
	t.run(s.d.pool, stopOf(a))
	if !plain {
		s.scale(y, c)
	}
	return nil
}

// scale makes y = alpha·y + beta·c.
func (s *gemmStep) scale(y, c []float32) {
	v := &s.d.k.Vec
	if s.alpha != 1 {
		v.MulS(y, y, s.alpha, 0)
	}
	switch {
	case s.beta == 0 || s.c == noC:
	case s.c == wholeC:
		v.Axpy(y, c, s.beta)
	default:
		for i := range s.m {
			v.Axpy(y[i*s.n:][:s.n], c, s.beta)
		}
	}
}
