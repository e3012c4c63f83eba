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
			s.kernel = pad64(g.taps() * g.c * g.oc)
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
	kernel int       // elements of that kernel
	tasks  freelist[convGradInputTask]
	flips  freelist[flipTask]
}

// transposed is the convolution that the gradient is, where strides are 1: of dy with the kernel turned around.
func (s *convGradInput) transposed() *convPlan {
	g := s.g
	if g.sh != 1 || g.sw != 1 || g.groups != 1 {
		return nil
	}
	g.h, g.w, g.oh, g.ow, g.c, g.oc = g.oh, g.ow, g.h, g.w, g.oc, g.c
	g.pt, g.pl = (g.kh-1)*g.dh-g.pt, (g.kw-1)*g.dw-g.pl
	return &convPlan{geometry: g, format: ops.NHWC, wt: weights{last: true, taps: g.taps(), c: g.c, oc: g.oc}, bias: -1, res: -1,
		lo: negInf, hi: posInf, dyn: true}
}

// turn writes the kernel as [tap, oc, c] with the taps in reverse order.
func (s *convGradInput) turn(dst, w []float32) {
	g := &s.g
	st, sc, so := s.wt.strides()
	for tap := range g.taps() {
		m := dst[(g.taps()-1-tap)*g.oc*g.c:][:g.oc*g.c]
		if so == 1 {
			s.d.k.Flip(m, g.c, w[tap*st:], sc, g.c, g.oc)
			continue
		}
		for o := range g.oc {
			row, at := m[o*g.c:][:g.c], tap*st+o*so
			for c := range row {
				row[c] = w[at]
				at += sc
			}
		}
	}
}

func (s *convGradInput) Scratch() int {
	if s.conv != nil {
		return (s.kernel+s.flip.a+s.flip.b)*4 + s.conv.scratch()
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
		w := t.packed[:s.kernel]
		s.turn(w, t.w)
		s.conv.compute(convOperands{x: t.dy, w: w, y: t.dx, scratch: bytesOf(t.packed[s.kernel:])})
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

// phases is how a picture is laid out so that what a tap reads, over all output pixels, is one run of memory: a
// plane for each remainder of the place by the strides, with rows of pw elements. Output pixel (oh, ow) is element
// oh*pw + ow of the run; the elements between ow and pw are multiplied by zeros.
type phases struct {
	ph, pw int
	run    int // length of a run
	plane  int // elements of a plane
	all    int // of all planes of a channel
}

func newPhases(g *geometry) phases {
	p := phases{ph: g.oh + (g.kh-1)*g.dh/g.sh, pw: g.ow + (g.kw-1)*g.dw/g.sw}
	p.run = (g.oh-1)*p.pw + g.ow
	p.plane = p.ph * p.pw
	p.all = p.plane * g.sh * g.sw
	return p
}

// tap is where a tap's run begins in a channel.
func (p *phases) tap(g *geometry, kh, kw int) int {
	y, x := kh*g.dh, kw*g.dw
	return (y%g.sh*g.sw+x%g.sw)*p.plane + y/g.sh*p.pw + x/g.sw
}

func (d *Device) prepareConvGradWeight(op ops.Conv, r devices.Request) (devices.Step, error) {
	g, ok := gradGeometry(op, dims(r.In[0]), dims(r.Out[0]))
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	s := &convGradWeight{d: d, g: g, format: op.Format, ph: newPhases(&g)}
	s.size = pad64(g.taps() * g.c / g.groups * g.oc)
	// Each slice of the batch has a sum of its own; their number is bounded by memory, not by threads.
	s.slices = max(1, min(g.n, 2*gradTiles, (16<<20)/max(1, s.size)))
	if g.depthwise() {
		return s, nil
	}
	s.kc = blockDepth(s.ph.run)
	s.gathers = g.c < gatherBelow
	s.xLen = pad64(g.c * s.ph.all)
	if op.Format == ops.NCHW {
		s.dyLen = pad64(s.kc * g.oc)
	}
	s.packLen = pad64(d.k.Gemm.PackedLen(s.kc, g.oc))
	if s.gathers {
		s.gatherLen = pad64(g.taps() * g.c * s.kc)
	}
	return s, nil
}

// gatherBelow is the number of channels below which the runs of all taps are gathered into one left side.
const gatherBelow = 16

// convGradWeight is the gradient toward the kernel: for each tap the product of what it read, transposed, and dy.
type convGradWeight struct {
	d                               *Device
	g                               geometry
	format                          ops.Format
	ph                              phases
	size                            int // elements of a sum
	slices                          int
	kc                              int
	gathers                         bool
	xLen, dyLen, packLen, gatherLen int // scratch of a worker
	tasks                           freelist[convGradWeightTask]
}

func (s *convGradWeight) perWorker() int { return s.xLen + s.dyLen + s.packLen + s.gatherLen }

func (s *convGradWeight) Scratch() int {
	return (s.perWorker()*s.d.pool.Workers() + s.size*s.slices) * 4
}

func (s *convGradWeight) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	buf := floats(a.Scratch)
	t.s, t.x, t.dy, t.dw = s, f32(a, 0), f32(a, 1), f32Out(a, 0)
	t.sums, t.buf = buf[:s.size*s.slices], buf[s.size*s.slices:]
	t.summing = false
	s.d.pool.Run(t, s.slices)
	t.summing = true
	s.d.pool.Run(t, ceilDiv(len(t.dw), pointwiseTile))
	return nil
}

type convGradWeightTask struct {
	s         *convGradWeight
	x, dy, dw []float32
	sums, buf []float32
	summing   bool
}

// Tile implements par.Task.
func (t *convGradWeightTask) Tile(i, worker int) {
	s, g := t.s, &t.s.g
	if t.summing {
		t.sum(i)
		return
	}
	part := t.sums[i*s.size:][:s.size]
	clear(part)
	buf := t.buf[worker*s.perWorker():]
	for n := i * g.n / s.slices; n < (i+1)*g.n/s.slices; n++ {
		if g.depthwise() {
			t.depthwise(n, part)
			continue
		}
		t.picture(n, part, buf)
	}
}

func (t *convGradWeightTask) depthwise(n int, part []float32) {
	g, muladd := &t.s.g, t.s.d.k.Vec.MulAdd
	g.eachTap(func(tap, out, in int) {
		w := part[tap*g.c:][:g.c]
		muladd(w, t.x[(n*g.h*g.w+in)*g.c:][:g.c], t.dy[(n*g.pixels()+out)*g.c:][:g.c], w)
	})
}

// picture adds one picture's part.
func (t *convGradWeightTask) picture(n int, part, buf []float32) {
	s, g, k := t.s, &t.s.g, &t.s.d.k.Gemm
	xt, buf := buf[:s.xLen], buf[s.xLen:]
	dy, buf := buf[:s.dyLen], buf[s.dyLen:]
	packed, rows := buf[:s.packLen], buf[s.packLen:]
	t.planes(n, xt)
	for q := 0; q < s.ph.run; q += s.kc {
		kc := min(s.kc, s.ph.run-q)
		if s.format == ops.NHWC {
			t.pack(n, q, kc, packed)
		} else {
			t.rows(n, q, kc, dy)
			k.Pack(packed, dy, g.oc, 1, kc, g.oc)
		}
		if s.gathers {
			t.gather(q, kc, xt, rows)
			k.Block(g.taps()*g.c, g.oc, kern.Whole(kc), rows, kc, packed, part, g.oc, true, kern.Epilogue{})
			continue
		}
		for kh := range g.kh {
			for kw := range g.kw {
				tap := kh*g.kw + kw
				k.Block(g.c, g.oc, kern.Whole(kc), xt[s.ph.tap(g, kh, kw)+q:], s.ph.all, packed, part[tap*g.c*g.oc:], g.oc, true, kern.Epilogue{})
			}
		}
	}
}

// gather copies elements [q, q+kc) of all taps' runs.
func (t *convGradWeightTask) gather(q, kc int, xt, rows []float32) {
	s, g := t.s, &t.s.g
	for kh := range g.kh {
		for kw := range g.kw {
			at := s.ph.tap(g, kh, kw) + q
			for c := range g.c {
				copy(rows[:kc], xt[c*s.ph.all+at:])
				rows = rows[kc:]
			}
		}
	}
}

// eachRun calls f for elements [q, q+kc) of a picture's run: those from i on are the m pixels from at on, or, where at is
// negative, lie between rows.
func (t *convGradWeightTask) eachRun(q, kc int, f func(i, m, at int)) {
	g, pw := &t.s.g, t.s.ph.pw
	for i := 0; i < kc; {
		oh, ow := (q+i)/pw, (q+i)%pw
		m, at := min(g.ow-ow, kc-i), oh*g.ow+ow
		if ow >= g.ow {
			m, at = min(pw-ow, kc-i), -1
		}
		f(i, m, at)
		i += m
	}
}

// pack packs elements [q, q+kc) of a picture of dy that lies channels last, with zeros between its rows.
func (t *convGradWeightTask) pack(n, q, kc int, dst []float32) {
	g, k := &t.s.g, &t.s.d.k.Gemm
	dy := t.dy[n*g.pixels()*g.oc:][:g.pixels()*g.oc]
	for j := 0; j < g.oc; j += k.NR {
		w := k.PanelWidth(j, g.oc)
		panel, cols := dst[kc*j:][:kc*w], min(w, g.oc-j)
		t.eachRun(q, kc, func(i, m, at int) {
			if at < 0 {
				clear(panel[i*w:][:m*w])
				return
			}
			k.Pack(panel[i*w:][:m*w], dy[at*g.oc+j:], g.oc, 1, m, cols)
		})
	}
}

// rows lays out elements [q, q+kc) of a picture of dy that lies channels first: channels last, with zeros between its rows.
func (t *convGradWeightTask) rows(n, q, kc int, dst []float32) {
	g := &t.s.g
	dy := t.dy[n*g.pixels()*g.oc:][:g.pixels()*g.oc]
	t.eachRun(q, kc, func(i, m, at int) {
		if at < 0 {
			clear(dst[i*g.oc:][:m*g.oc])
			return
		}
		for o := range g.oc {
			for j, v := range dy[o*g.pixels()+at:][:m] {
				dst[(i+j)*g.oc+o] = v
			}
		}
	})
}

// planes lays out a picture channel by channel in phases.
func (t *convGradWeightTask) planes(n int, xt []float32) {
	g, ph := &t.s.g, &t.s.ph
	clear(xt)
	x := t.x[n*g.h*g.w*g.c:][:g.h*g.w*g.c]
	sp, sc := g.c, 1
	if t.s.format == ops.NCHW {
		sp, sc = 1, g.h*g.w
	}
	for ih := max(0, -g.pt); ih < g.h; ih++ {
		y := ih + g.pt
		if y/g.sh >= ph.ph {
			continue
		}
		for phase := range g.sw {
			first := 0 // the first column of that phase
			for first+g.pl < 0 || (first+g.pl)%g.sw != phase {
				first++
			}
			at := (y%g.sh*g.sw+phase)*ph.plane + y/g.sh*ph.pw + (first+g.pl)/g.sw
			m := min(ceilDiv(g.w-first, g.sw), ph.pw-(first+g.pl)/g.sw)
			if m <= 0 {
				continue
			}
			row := x[(ih*g.w+first)*sp:]
			if sc == 1 {
				t.s.d.k.Flip(xt[at:], ph.all, row, g.sw*sp, m, g.c)
				continue
			}
			for c := range g.c {
				dst := xt[c*ph.all+at:][:m]
				from := c * sc
				for j := range dst {
					dst[j] = row[from]
					from += g.sw * sp
				}
			}
		}
	}
}

// sum adds up the slices for a tile of the result.
func (t *convGradWeightTask) sum(i int) {
	s, g := t.s, &t.s.g
	lo := i * pointwiseTile
	dst := t.dw[lo:min(lo+pointwiseTile, len(t.dw))]
	if s.format == ops.NHWC {
		copy(dst, t.sums[lo:])
		for k := 1; k < s.slices; k++ {
			s.d.k.Vec.Add(dst, dst, t.sums[k*s.size+lo:][:len(dst)])
		}
		return
	}
	taps := g.taps()
	for j := range dst {
		at := lo + j
		o, rest := at/(taps*g.c), at%(taps*g.c)
		src := (rest%taps*g.c+rest/taps)*g.oc + o
		v := t.sums[src]
		for k := 1; k < s.slices; k++ {
			v += t.sums[k*s.size+src]
		}
		dst[j] = v
	}
}
