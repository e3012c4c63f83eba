package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func matchIntConv(op ops.ConvInteger, r devices.Request, o intOperands) int {
	if len(r.In) <= o.b || r.In[o.b].Rank() < 3 || r.In[o.b].Rank() > 4 || !r.In[o.a].Static() || prod(dims(r.In[o.a])) == 0 {
		return 0
	}
	w := r.Const[o.b]
	if w == nil || w.Len() == 0 || !matchInts(r, o, w.Dim(0)) {
		return 0
	}
	if o.scaled {
		if s := dims(r.In[4]); prod(s) != 1 && (len(s) != 1 || s[0] != w.Dim(0)) {
			return 0
		}
		if has(r, 8) && prod(dims(r.In[8])) != w.Dim(0) {
			return 0
		}
	}
	if _, err := op.ConvOf().Window(dims(r.In[o.a]), w.Shape()); err != nil {
		return 0
	}
	return 10
}

// intConvStep is a convolution of integers: the data is turned channels-last and less its zero point once, then tiles of
// windows are gathered and multiplied.
type intConvStep struct {
	d            *Device
	op           intOperands
	n, c, m      int // batch, channels, output channels
	h, w, oh, ow int
	kh, kw       int
	sh, sw       int
	dh, dw       int
	top, left    int
	group        int
	weights      []*intWeights // of each group; nil for depthwise
	taps         []int16       // depthwise: [kh*kw, c]
	rows, tiles  int           // windows of a tile, tiles of an image and group
	cols         int
	k            int // elements of a window, in one group
	tasks        freelist[*intConvTask]
}

// plane is dimension i of two, where a missing first one is def.
func plane(s []int, i, def int) int {
	if len(s) == 2 {
		return s[i]
	}
	if i == 1 {
		return s[0]
	}
	return def
}

func (d *Device) prepareIntConv(op ops.ConvInteger, r devices.Request, o intOperands) (devices.Step, error) {
	x, w := dims(r.In[o.a]), r.Const[o.b]
	win, err := op.ConvOf().Window(x, w.Shape())
	if err != nil {
		return nil, err
	}
	s := &intConvStep{d: d, op: o, n: x[0], c: x[1], m: w.Dim(0), group: max(1, op.Group),
		h: plane(win.In, 0, 1), w: plane(win.In, 1, 1), oh: plane(win.Out, 0, 1), ow: plane(win.Out, 1, 1),
		kh: plane(win.Kernel, 0, 1), kw: plane(win.Kernel, 1, 1), sh: plane(win.Strides, 0, 1), sw: plane(win.Strides, 1, 1),
		dh: plane(win.Dilations, 0, 1), dw: plane(win.Dilations, 1, 1), top: plane(win.Begin, 0, 0), left: plane(win.Begin, 1, 0)}
	taps, cg, mg := s.kh*s.kw, s.c/s.group, s.m/s.group
	s.k = taps * cg
	z := optional(r.Const, o.bz)
	b, signed := bytesAs(w)
	all := make([]int16, len(b))
	widen(all, b, signed, 0)
	for i := range all {
		all[i] -= zeroOf(z, i/s.k)
	}
	s.rows = min(intTileRows, s.oh*s.ow)
	s.tiles = ceilDiv(s.oh*s.ow, s.rows)
	if cg == 1 && mg == 1 {
		s.taps, s.cols = make([]int16, len(all)), s.c
		for c := range s.c {
			for t := range taps {
				s.taps[t*s.c+c] = all[c*taps+t]
			}
		}
		return s, nil
	}
	s.cols = d.k.Int.Cols(mg)
	for g := range s.group {
		key := devices.PackKey{T: w, Kind: fmt.Sprintf("cpu/intconv/%s/%p/%d/%d", d.Level(), z, s.group, g)}
		s.weights = append(s.weights, r.Packs.Get(key, func() any {
			return d.packInts(s.k, mg, func(dst []int16) {
				for j := range mg {
					for c := range cg {
						for t := range taps {
							dst[(t*cg+c)*mg+j] = all[((g*mg+j)*cg+c)*taps+t]
						}
					}
				}
			})
		}).(*intWeights))
	}
	return s, nil
}

func (s *intConvStep) perWorker() (a, all int) {
	a = roundUp(s.rows*even(s.k)*2, 64)
	return a, a + roundUp(s.rows*s.cols*4, 64)
}

func (s *intConvStep) data() int { return roundUp(s.n*s.h*s.w*s.c*2, 64) }

func (s *intConvStep) Scratch() int {
	_, all := s.perWorker()
	return s.data() + all*s.d.pool.Workers() + s.m*8
}

func (s *intConvStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s = s
	t.x, t.signed = bytesAs(a.Tensor(s.op.a))
	t.zero = zeroOf(a.Tensor(s.op.az), 0)
	_, all := s.perWorker()
	t.last = int16s(a.Scratch[:s.data()])
	t.scratch = a.Scratch[s.data():][:all*s.d.pool.Workers()]
	t.out.bind(a, s.op, s.m, a.Scratch[s.data()+len(t.scratch):])
	t.turning = true
	s.d.pool.Run(t, s.n*s.h)
	t.turning = false
	groups := s.group
	if s.taps != nil {
		groups = 1
	}
	s.d.pool.RunUntil(stopOf(a), t, s.n*groups*s.tiles)
	return nil
}

type intConvTask struct {
	s       *intConvStep
	x       []byte
	signed  bool
	zero    int16
	last    []int16 // the data channels-last
	scratch []byte
	out     intResult
	turning bool
}

// Tile implements par.Task.
func (t *intConvTask) Tile(i, worker int) {
	if t.turning {
		t.turn(i)
		return
	}
	s := t.s
	tile, rest := i%s.tiles, i/s.tiles
	p0 := tile * s.rows
	m := min(s.rows, s.oh*s.ow-p0)
	rowBytes, all := s.perWorker()
	buf := t.scratch[worker*all:][:all]
	c := int32s(buf[rowBytes:])
	if s.taps != nil {
		t.depthwise(rest, p0, m, c)
		t.store(rest, 0, s.c, p0, m, c)
		return
	}
	n, g := rest/s.group, rest%s.group
	a := int16s(buf[:rowBytes])
	for r := range m {
		t.gather(a[r*even(s.k):][:even(s.k)], n, g, p0+r)
	}
	mg := s.m / s.group
	s.d.k.Int.Multiply(m, mg, s.k, a, even(s.k), s.weights[g].data, c, s.cols)
	t.store(n, g*mg, mg, p0, m, c)
}

// turn makes row i of the batch's images channels-last and takes the zero point off.
func (t *intConvTask) turn(i int) {
	s := t.s
	n, y := i/s.h, i%s.h
	dst := t.last[i*s.w*s.c:][:s.w*s.c]
	for c := range s.c {
		src := t.x[((n*s.c+c)*s.h+y)*s.w:][:s.w]
		for x, v := range src {
			e := int16(v)
			if t.signed {
				e = int16(int8(v))
			}
			dst[x*s.c+c] = e - t.zero
		}
	}
}

// gather copies the window of output position p, channels of group g.
func (t *intConvTask) gather(dst []int16, n, g, p int) {
	s := t.s
	cg := s.c / s.group
	y0, x0 := p/s.ow*s.sh-s.top, p%s.ow*s.sw-s.left
	at := 0
	for ky := range s.kh {
		y := y0 + ky*s.dh
		for kx := range s.kw {
			x := x0 + kx*s.dw
			to := dst[at:][:cg]
			at += cg
			if y < 0 || y >= s.h || x < 0 || x >= s.w {
				clear(to)
				continue
			}
			copy(to, t.last[((n*s.h+y)*s.w+x)*s.c+g*cg:])
		}
	}
	clear(dst[at:])
}

// depthwise convolves each channel by itself.
func (t *intConvTask) depthwise(n, p0, m int, c []int32) {
	s := t.s
	for r := range m {
		p := p0 + r
		sum := c[r*s.c:][:s.c]
		clear(sum)
		y0, x0 := p/s.ow*s.sh-s.top, p%s.ow*s.sw-s.left
		for k := range s.kh * s.kw {
			y, x := y0+k/s.kw*s.dh, x0+k%s.kw*s.dw
			if y < 0 || y >= s.h || x < 0 || x >= s.w {
				continue
			}
			w := s.taps[k*s.c:][:s.c]
			for j, v := range t.last[((n*s.h+y)*s.w+x)*s.c:][:s.c] {
				sum[j] += int32(v) * int32(w[j])
			}
		}
	}
}

// store writes channels [c0, c0+channels) of windows [p0, p0+m) of image n.
func (t *intConvTask) store(n, c0, channels, p0, m int, c []int32) {
	s := t.s
	size := s.oh * s.ow
	for r := range m {
		t.out.row((n*s.m+c0)*size+p0+r, size, c0, c[r*s.cols:][:channels])
	}
}

// quantizeKernels convert between float32 and 8-bit integers.
func (d *Device) quantizeKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("quantizelinear/"+lvl, func(op ops.QuantizeLinear, r devices.Request) int {
			if op.BlockSize != 0 || op.Precision.Valid() && op.Precision != tensor.Float32 || r.In[0].DType != tensor.Float32 || !is8(r.Out[0].DType) {
				return 0
			}
			return matchScales(r, op.Axis)
		}, func(op ops.QuantizeLinear, r devices.Request) (devices.Step, error) {
			return d.newQuantizeStep(r, op.Axis, true), nil
		}),
		devices.For("dequantizelinear/"+lvl, func(op ops.DequantizeLinear, r devices.Request) int {
			if op.BlockSize != 0 || !is8(r.In[0].DType) || r.Out[0].DType != tensor.Float32 {
				return 0
			}
			return matchScales(r, op.Axis)
		}, func(op ops.DequantizeLinear, r devices.Request) (devices.Step, error) {
			return d.newQuantizeStep(r, op.Axis, false), nil
		}),
	}
}

// matchScales takes a scale for all or one for each place along the axis, and as many zero points of the integers' type.
func matchScales(r devices.Request, axis int) int {
	ints := r.In[0]
	if is8(r.Out[0].DType) {
		ints = r.Out[0]
	}
	if !r.In[0].Static() || !r.Out[0].Static() || !r.In[1].Static() || r.In[1].DType != tensor.Float32 {
		return 0
	}
	x, n := dims(r.In[0]), prod(dims(r.In[1]))
	if axis < 0 {
		axis += len(x)
	}
	if prod(x) == 0 || n != 1 && (r.In[1].Rank() != 1 || axis < 0 || axis >= len(x) || x[axis] != n) {
		return 0
	}
	if has(r, 2) && (r.In[2].DType != ints.DType || !r.In[2].Static() || prod(dims(r.In[2])) != n) {
		return 0
	}
	return 10
}

// quantizeStep converts runs of elements that share a scale.
type quantizeStep struct {
	d      *Device
	inner  int // elements of a run
	scales int
	to     bool // float32 to integers
	tasks  freelist[*quantizeTask]
}

func (d *Device) newQuantizeStep(r devices.Request, axis int, to bool) *quantizeStep {
	x := dims(r.In[0])
	s := &quantizeStep{d: d, scales: prod(dims(r.In[1])), to: to, inner: pointwiseTile}
	if s.scales > 1 {
		if axis < 0 {
			axis += len(x)
		}
		s.inner = prod(x[axis+1:])
	}
	return s
}

func (s *quantizeStep) Scratch() int { return 0 }

func (s *quantizeStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.scale, t.zero = s, f32(a, 1), a.Tensor(2)
	if s.to {
		t.floats = f32(a, 0)
		t.ints, t.signed = bytesAs(a.OutTensor(0))
	} else {
		t.floats = f32Out(a, 0)
		t.ints, t.signed = bytesAs(a.Tensor(0))
	}
	s.d.pool.Run(t, ceilDiv(len(t.floats), pointwiseTile))
	return nil
}

type quantizeTask struct {
	s             *quantizeStep
	floats, scale []float32
	ints          []byte
	signed        bool
	zero          *tensor.Tensor
}

// Tile implements par.Task.
func (t *quantizeTask) Tile(i, _ int) {
	for at := i * pointwiseTile; at < min((i+1)*pointwiseTile, len(t.floats)); {
		j, end := 0, min((i+1)*pointwiseTile, len(t.floats))
		if t.s.scales > 1 {
			j = at / t.s.inner % t.s.scales
			end = min(end, (at/t.s.inner+1)*t.s.inner)
		}
		t.run(t.floats[at:end], t.ints[at:end], t.scale[j], zeroOf(t.zero, j))
		at = end
	}
}

// run converts elements of one scale.
func (t *quantizeTask) run(x []float32, q []byte, scale float32, zero int16) {
	lo, hi := 0.0, 255.0
	if t.signed {
		lo, hi = -128, 127
	}
	switch {
	case t.s.to:
		for i, v := range x {
			q[i] = saturate(float64(v/scale), float64(zero), lo, hi)
		}
	case t.signed:
		for i, v := range q {
			x[i] = float32(int16(int8(v))-zero) * scale
		}
	default:
		for i, v := range q {
			x[i] = float32(int16(v)-zero) * scale
		}
	}
}
