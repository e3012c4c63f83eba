package cpu

import (
	"fmt"
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) convKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("fusedconv/nhwc_f32_"+lvl, matchFusedConv, d.prepareFusedConv),
		devices.For("conv/f32_"+lvl, d.matchConv, d.prepareConv),
	}
}

// A geometry is a two-dimensional convolution or pool on channels-last data; one-dimensional ones have height 1.
type geometry struct {
	n, h, w, c     int
	oh, ow, oc     int
	kh, kw, sh, sw int
	dh, dw, pt, pl int // dilations; padding above and to the left, negative where it crops
	groups         int
}

// newGeometry is the geometry of a window over batches of c channels, giving oc.
func newGeometry(w ops.Window, n, c, oc, groups int) (geometry, bool) {
	g := geometry{n: n, c: c, oc: oc, groups: max(1, groups), h: 1, oh: 1, kh: 1, sh: 1, dh: 1}
	i := 0
	switch len(w.Kernel) {
	case 1:
	case 2:
		g.h, g.oh, g.kh, g.sh, g.dh, g.pt = w.In[0], w.Out[0], w.Kernel[0], w.Strides[0], w.Dilations[0], w.Begin[0]
		i = 1
	default:
		return g, false
	}
	g.w, g.ow, g.kw, g.sw, g.dw, g.pl = w.In[i], w.Out[i], w.Kernel[i], w.Strides[i], w.Dilations[i], w.Begin[i]
	ok := g.n > 0 && g.c > 0 && g.oc > 0 && g.oh > 0 && g.ow > 0 && g.h > 0 && g.w > 0 && g.kh > 0 && g.kw > 0
	return g, ok
}

func (g *geometry) taps() int   { return g.kh * g.kw }
func (g *geometry) pixels() int { return g.oh * g.ow }

// pointwise reports whether each output pixel reads one input pixel, in the same order.
func (g *geometry) pointwise() bool {
	return g.kh == 1 && g.kw == 1 && g.sh == 1 && g.sw == 1 && g.pt == 0 && g.pl == 0 && g.oh == g.h && g.ow == g.w
}

func (g *geometry) depthwise() bool { return g.groups == g.c && g.oc == g.c && g.groups > 1 }

// flops is the work of the plain convolution.
func (g *geometry) flops() float64 {
	return 2 * float64(g.n*g.pixels()) * float64(g.oc) * float64(g.c/g.groups*g.taps())
}

// weights reads a kernel in either format.
type weights struct {
	data []float32
	last bool // spatial..., C/group, M
	// turned is the kernel of a convolution whose gradient this one is: with channels and outputs in each other's place, and the
	// taps in reverse order. Only panel reads such.
	turned bool
	taps   int
	c, oc  int       // per group; in all
	scale  []float32 // per output; nil for 1
}

func (w *weights) scaleOf(o int) float32 {
	if w.scale == nil {
		return 1
	}
	return w.scale[o]
}

// strides is where element (tap, channel, output) lies: the sum of each index times its stride.
func (w *weights) strides() (tap, channel, output int) {
	if w.last {
		return w.c * w.oc, w.oc, 1
	}
	return 1, w.taps, w.taps * w.c
}

// convPlan is a convolution as prepared: how to read the weights, and the epilogue.
type convPlan struct {
	geometry
	format ops.Format // of data and result
	wt     weights
	act    activation
	clamp  bool
	lo     float32
	hi     float32
	bias   int // inputs; -1 for none
	res    int
	key    string
	dyn    bool // the weights are known only when running
}

func newConvPlan(r devices.Request, win ops.Window, format, kernel ops.Format, group int) (*convPlan, bool) {
	xs, ws := dims(r.In[0]), dims(r.In[1])
	_, perGroup, oc := ops.KernelDims(kernel, ws)
	p := &convPlan{format: format, bias: -1, res: -1, lo: negInf, hi: posInf}
	var ok bool
	p.geometry, ok = newGeometry(win, xs[0], xs[format.Channel(len(xs))], oc, group)
	p.lieDown()
	p.wt = weights{last: kernel == ops.NHWC, taps: p.taps(), c: perGroup, oc: oc}
	return p, ok
}

// lieDown makes a picture that is one pixel wide one that is one pixel high, which lies in memory the same way: its windows are runs.
func (g *geometry) lieDown() {
	if g.w == 1 && g.ow == 1 && g.kw == 1 && g.pl == 0 {
		g.h, g.oh, g.kh, g.sh, g.dh, g.pt, g.w, g.ow, g.kw, g.sw, g.dw, g.pl = g.w, g.ow, g.kw, g.sw, g.dw, g.pl, g.h, g.oh, g.kh, g.sh, g.dh, g.pt
	}
}

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

func matchFusedConv(op ops.FusedConv, r devices.Request) int {
	if !allF32(r) || has(r, 2) && (r.Const[1] == nil || r.Const[2] == nil) || op.Format != ops.NHWC && (r.Const[1] != nil || has(r, 4)) {
		return 0
	}
	win, err := op.Window(dims(r.In[0]), dims(r.In[1]))
	if err != nil {
		return 0
	}
	if _, ok := newConvPlan(r, win, op.Format, op.Kernel, op.Group); !ok {
		return 0
	}
	return 10
}

func (d *Device) prepareFusedConv(op ops.FusedConv, r devices.Request) (devices.Step, error) {
	p, err := d.planOf(op, r)
	if err != nil {
		return nil, err
	}
	return d.convStep(p, r), nil
}

func (p *convPlan) setAct(k *kern.Set, e ops.Epilogue) {
	switch e.Act {
	case ops.ActNone:
	case ops.ActClip:
		p.clamp, p.lo, p.hi = true, float32(e.A), float32(e.B)
	default:
		p.act = activationOf(k, e)
	}
}

// activationOf is the vector function of an epilogue that is neither nothing nor a clip.
func activationOf(k *kern.Set, e ops.Epilogue) activation {
	a := activation{a: float32(e.A), b: float32(e.B)}
	v := &k.Vec
	switch e.Act {
	case ops.ActClip:
		a.f = v.Clip
	case ops.ActLeakyRelu:
		a.f = v.LeakyRelu
	case ops.ActSigmoid:
		a.f = v.Sigmoid
	case ops.ActTanh:
		a.f = v.Tanh
	case ops.ActSilu:
		a.f = v.Silu
	case ops.ActGelu:
		a.f = v.Gelu
	case ops.ActGeluTanh:
		a.f = v.GeluTanh
	case ops.ActHardSigmoid:
		a.f = v.HardSigmoid
	case ops.ActHardSwish:
		a.f = v.HardSwish
	}
	return a
}

func (d *Device) matchConv(op ops.Conv, r devices.Request) int {
	if !allF32(r) {
		return 0
	}
	win, err := op.Window(dims(r.In[0]), dims(r.In[1]))
	if err != nil {
		return 0
	}
	if _, ok := newConvPlan(r, win, op.Format, op.Format, op.Group); !ok {
		return 0
	}
	return 10
}

// prepareConv runs a convolution that no pass has looked at: the result is in the order of the data, and the
// weights may be known only when running.
func (d *Device) prepareConv(op ops.Conv, r devices.Request) (devices.Step, error) {
	p, err := d.planOfConv(op, r)
	if err != nil {
		return nil, err
	}
	return d.convStep(p, r), nil
}

func (d *Device) planOfConv(op ops.Conv, r devices.Request) (*convPlan, error) {
	win, err := op.Window(dims(r.In[0]), dims(r.In[1]))
	if err != nil {
		return nil, err
	}
	p, ok := newConvPlan(r, win, op.Format, op.Format, op.Group)
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	p.key = fmt.Sprint(op.Format)
	if has(r, 2) {
		p.bias = 2
	}
	p.dyn = r.Const[1] == nil
	if !p.dyn {
		p.wt.data = tensor.As[float32](r.Const[1])
	}
	return p, nil
}

// leanBytes is the size of a kernel from which on it is packed in each run where memory counts.
const leanBytes = 256 << 10

// convStep chooses the algorithm.
func (d *Device) convStep(p *convPlan, r devices.Request) devices.Step {
	if r.Lean && 4*p.taps()*p.wt.c*p.oc >= leanBytes {
		p.dyn = true
	}
	o, line := 0, (*kern.WinoLine)(nil)
	if !d.exact && !r.Exact {
		o, line = d.winogradSize(p), d.lineFiltering(p)
	}
	switch {
	case p.depthwise():
		return d.convStepOf(p, d.newDepthwise(p, r))
	case o > 0:
		return d.convStepOf(p, d.newWinograd(p, r, o))
	case line != nil:
		return d.convStepOf(p, d.newWinoLine(p, r, line))
	case d.stripsPay(p):
		return d.convStepOf(p, d.newStrips(p, r))
	}
	return d.convStepOf(p, d.newDirect(p, r))
}

// convStepOf is the step that runs an algorithm.
func (d *Device) convStepOf(p *convPlan, impl convImpl) *convStep {
	s := &convStep{d: d, p: p, impl: impl, inner: roundUp(impl.scratch(), 64)}
	if p.format == ops.NCHW {
		s.xLen = pad64(p.n * p.c * p.h * p.geometry.w)
		s.yLen = pad64(p.n * p.oc * p.pixels())
	}
	return s
}

// convOperands is what one run of a convolution works on, channels last.
type convOperands struct {
	x, w, bias, res, y []float32
	scratch            []byte
	stop               <-chan struct{} // closed: the result is not wanted any more
}

// convImpl is an algorithm.
type convImpl interface {
	scratch() int
	compute(o convOperands)
}

// convStep runs an algorithm on channels-last data, turning channels-first data over before and after.
type convStep struct {
	d          *Device
	p          *convPlan
	impl       convImpl
	inner      int // bytes of the algorithm's scratch
	xLen, yLen int // elements of turned data and result
	flips      freelist[*flipTask]
}

func (s *convStep) Scratch() int { return s.inner + (s.xLen+s.yLen)*4 }

func (s *convStep) Run(a *devices.Args) error {
	p := s.p
	o := convOperands{x: f32(a, 0), w: f32(a, 1), y: f32Out(a, 0), scratch: a.Scratch[:s.inner], stop: stopOf(a)}
	if p.bias >= 0 {
		o.bias = f32(a, p.bias)
	}
	if p.res >= 0 {
		o.res = f32(a, p.res)
	}
	if p.format == ops.NHWC {
		s.impl.compute(o)
		return nil
	}
	buf := floats(a.Scratch[s.inner:])
	x, y := o.x, o.y
	o.x, o.y = buf[:s.xLen], buf[s.xLen:][:s.yLen]
	t := s.flips.get()
	defer s.flips.put(t)
	t.run(s.d, o.x, x, p.n, p.c, p.h*p.geometry.w)
	s.impl.compute(o)
	t.run(s.d, y, o.y, p.n, p.pixels(), p.oc)
	return nil
}
