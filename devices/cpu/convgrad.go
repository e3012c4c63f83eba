package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

func (d *Device) convGradKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("convgradinput/f32_"+lvl, func(op ops.ConvGradInput, r devices.Request) int {
			return matchConvGrad(r, ops.Conv(op), r.Out[0], r.In[1])
		}, func(op ops.ConvGradInput, r devices.Request) (devices.Step, error) {
			return d.prepareConvGradInput(ops.Conv(op), r)
		}),
		devices.For("convgradweight/f32_"+lvl, func(op ops.ConvGradWeight, r devices.Request) int {
			return matchConvGrad(r, ops.Conv(op), r.In[0], r.Out[0])
		}, func(op ops.ConvGradWeight, r devices.Request) (devices.Step, error) {
			return d.prepareConvGradWeight(ops.Conv(op), r)
		}),
	}
}

// matchConvGrad matches convolutions of one group, and channels-last ones whose channels don't mix.
func matchConvGrad(r devices.Request, op ops.Conv, x, w graph.Type) int {
	if !isF32(r.In[0], r.In[1], r.Out[0]) {
		return 0
	}
	g, ok := gradGeometry(op, dims(x), dims(w))
	if !ok || g.groups != 1 && !(g.depthwise() && op.Format == ops.NHWC) {
		return 0
	}
	return 10
}

// gradGeometry is the geometry of the forward convolution.
func gradGeometry(op ops.Conv, x, w []int) (geometry, bool) {
	win, err := op.Window(x, w)
	if err != nil {
		return geometry{}, false
	}
	_, _, oc := ops.KernelDims(op.Format, w)
	return newGeometry(win, x[0], x[op.Format.Channel(len(x))], oc, op.Group)
}

// flipBuffers is scratch for operands of channels-first operators, turned over.
type flipBuffers struct{ a, b int }

func (d *Device) prepareConvGradInput(op ops.Conv, r devices.Request) (devices.Step, error) {
	ws := dims(r.In[1])
	g, ok := gradGeometry(op, dims(r.Out[0]), ws)
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	s := &convGradInput{d: d, g: g, wt: weights{last: op.Format == ops.NHWC, taps: g.taps(), c: g.c / g.groups, oc: g.oc}}
	if op.Format == ops.NCHW {
		s.flip = flipBuffers{pad64(g.n * g.oc * g.pixels()), pad64(g.n * g.c * g.h * g.w)}
	}
	if g.depthwise() {
		return s, nil
	}
	if p := s.transposed(); p != nil {
		if o := d.winogradSize(p); o > 0 {
			s.conv = d.newWinograd(p, r, o)
			return s, nil
		}
	}
	// One picture is a tile; where there are few pictures, a part of its channels.
	s.cb = g.c
	if g.n < gradTiles {
		s.cb = min(g.c, roundUp(ceilDiv(g.c, ceilDiv(gradTiles, g.n)), d.k.Gemm.NR))
	}
	s.blocks = ceilDiv(g.c, s.cb)
	s.pack = pad64(d.k.Gemm.PackedLen(g.oc, s.cb))
	return s, nil
}

// gradTiles is the number of tiles that gradients aim at, whatever the number of threads.
const gradTiles = 8

// convGradInput is the gradient toward the data: each tap of the kernel adds a product of dy and its c x oc matrix,
// transposed, to the pixels that the tap had read.
type convGradInput struct {
	d      *Device
	g      geometry
	wt     weights
	cb     int // channels of one block
	blocks int
	pack   int // elements of one packed tap of one block
	flip   flipBuffers
	conv   *winograd // of dy with the kernel turned around; nil for none
	tasks  freelist[*convGradInputTask]
	flips  freelist[*flipTask]
}

// transposed is the convolution that the gradient is, where strides are 1: of dy with the kernel turned around.
func (s *convGradInput) transposed() *convPlan {
	g := s.g
	if g.sh != 1 || g.sw != 1 || g.groups != 1 {
		return nil
	}
	g.h, g.w, g.oh, g.ow, g.c, g.oc = g.oh, g.ow, g.h, g.w, g.oc, g.c
	g.pt, g.pl = (g.kh-1)*g.dh-g.pt, (g.kw-1)*g.dw-g.pl
	return &convPlan{geometry: g, format: ops.NHWC, wt: weights{last: s.wt.last, turned: true, taps: g.taps(), c: g.c, oc: g.oc}, bias: -1, res: -1,
		lo: negInf, hi: posInf, dyn: true}
}

func (s *convGradInput) Scratch() int {
	if s.conv != nil {
		return (s.flip.a+s.flip.b)*4 + s.conv.scratch()
	}
	return (s.pack*s.blocks*s.g.taps() + s.flip.a + s.flip.b) * 4
}

func (s *convGradInput) Run(a *devices.Args) error {
	g := &s.g
	t := s.tasks.get()
	defer s.tasks.put(t)
	buf := floats(a.Scratch)
	dy, dx := f32(a, 0), f32Out(a, 0)
	t.s, t.w, t.dy, t.dx, t.packed = s, f32(a, 1), dy, dx, buf[s.flip.a+s.flip.b:]
	if s.flip.a == 0 {
		t.run()
		return nil
	}
	t.dy, t.dx = buf[:s.flip.a], buf[s.flip.a:][:s.flip.b]
	f := s.flips.get()
	defer s.flips.put(f)
	f.run(s.d, t.dy, dy, g.n, g.oc, g.pixels())
	t.run()
	f.run(s.d, dx, t.dx, g.n, g.h*g.w, g.c)
	return nil
}

type convGradInputTask struct {
	s       *convGradInput
	w       []float32
	dy, dx  []float32
	packed  []float32
	packing bool
}

func (t *convGradInputTask) run() {
	s := t.s
	if s.conv != nil {
		s.conv.compute(convOperands{x: t.dy, w: t.w, y: t.dx, scratch: bytesOf(t.packed)})
		return
	}
	if s.g.depthwise() {
		s.d.pool.Run(t, s.g.n)
		return
	}
	t.packing = true
	s.d.pool.Run(t, s.g.taps()*s.blocks)
	t.packing = false
	s.d.pool.Run(t, s.g.n*s.blocks)
}

// Tile implements par.Task.
func (t *convGradInputTask) Tile(i, _ int) {
	switch {
	case t.s.g.depthwise():
		t.depthwise(i)
	case t.packing:
		t.pack(i%t.s.blocks, i/t.s.blocks)
	default:
		t.picture(i/t.s.blocks, i%t.s.blocks)
	}
}

// pack packs the oc x c matrix of a tap.
func (t *convGradInputTask) pack(block, tap int) {
	s, g := t.s, &t.s.g
	st, sc, so := s.wt.strides()
	c0 := block * s.cb
	n := min(s.cb, g.c-c0)
	dst := t.packed[(tap*s.blocks+block)*s.pack:]
	kc := blockDepth(g.oc)
	cols := s.d.k.Gemm.PackedCols(n)
	for q := 0; q < g.oc; q += kc {
		s.d.k.Gemm.Pack(dst[q*cols:], t.w[tap*st+c0*sc+q*so:], so, sc, min(kc, g.oc-q), n)
	}
}

// picture adds up all taps for a block of one picture's channels.
func (t *convGradInputTask) picture(n, block int) {
	s, g := t.s, &t.s.g
	c0 := block * s.cb
	cb := min(s.cb, g.c-c0)
	dx := t.dx[n*g.h*g.w*g.c:][:g.h*g.w*g.c]
	dy := t.dy[n*g.pixels()*g.oc:][:g.pixels()*g.oc]
	if g.pointwise() {
		t.product(g.pixels(), cb, dy, dx[c0:], g.c, block, false)
		return
	}
	if cb == g.c {
		clear(dx)
	} else {
		for p := 0; p < len(dx); p += g.c {
			clear(dx[p+c0:][:cb])
		}
	}
	for oh := range g.oh {
		rows := validTaps(oh, g.kh, g.sh, g.pt, g.dh, g.h)
		for kh := rows.lo; kh < rows.hi; kh++ {
			ih := oh*g.sh - g.pt + kh*g.dh
			for kw := range g.kw {
				lo, hi := validOutputs(kw*g.dw-g.pl, g.sw, g.w, g.ow)
				if lo >= hi {
					continue
				}
				iw := lo*g.sw - g.pl + kw*g.dw
				t.product(hi-lo, cb, dy[(oh*g.ow+lo)*g.oc:], dx[(ih*g.w+iw)*g.c+c0:], g.sw*g.c, (kh*g.kw+kw)*s.blocks+block, true)
			}
		}
	}
}

// validOutputs is the range of o for which 0 <= o*stride + shift < size.
func validOutputs(shift, stride, size, outs int) (lo, hi int) {
	if shift < 0 {
		lo = ceilDiv(-shift, stride)
	}
	hi = outs
	if last := size - 1 - shift; last < 0 {
		hi = 0
	} else {
		hi = min(hi, last/stride+1)
	}
	return lo, hi
}

// product is m rows of dy times packed matrix i.
func (t *convGradInputTask) product(m, n int, dy, dx []float32, ldc, i int, acc bool) {
	g := &t.s.d.k.Gemm
	oc := t.s.g.oc
	b := t.packed[i*t.s.pack:]
	kc := blockDepth(oc)
	cols := g.PackedCols(n)
	for q := 0; q < oc; q += kc {
		g.Block(m, n, kern.Whole(min(kc, oc-q)), dy[q:], oc, b[q*cols:], dx, ldc, acc || q > 0, kern.Epilogue{})
	}
}

func (t *convGradInputTask) depthwise(n int) {
	g, muladd := &t.s.g, t.s.d.k.Vec.MulAdd
	dx := t.dx[n*g.h*g.w*g.c:][:g.h*g.w*g.c]
	clear(dx)
	t.s.g.eachTap(func(tap, out, in int) {
		x := dx[in*g.c:][:g.c]
		muladd(x, t.dy[(n*g.pixels()+out)*g.c:][:g.c], t.w[tap*g.c:][:g.c], x)
	})
}

// eachTap calls f for each output pixel and tap that lies inside the picture.
func (g *geometry) eachTap(f func(tap, out, in int)) {
	for oh := range g.oh {
		rows := validTaps(oh, g.kh, g.sh, g.pt, g.dh, g.h)
		for ow := range g.ow {
			cols := validTaps(ow, g.kw, g.sw, g.pl, g.dw, g.w)
			for kh := rows.lo; kh < rows.hi; kh++ {
				ih := oh*g.sh - g.pt + kh*g.dh
				for kw := cols.lo; kw < cols.hi; kw++ {
					f(kh*g.kw+kw, oh*g.ow+ow, ih*g.w+ow*g.sw-g.pl+kw*g.dw)
				}
			}
		}
	}
}
