package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

func (d *Device) poolKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("maxpool/nhwc_f32_"+lvl, func(op ops.MaxPool, r devices.Request) int {
			return matchPool(r, op.Format, op.Indices, op.Window)
		}, func(op ops.MaxPool, r devices.Request) (devices.Step, error) {
			return d.preparePool(r, op.Window, nil)
		}),
		devices.For("averagepool/nhwc_f32_"+lvl, func(op ops.AveragePool, r devices.Request) int {
			return matchPool(r, op.Format, false, op.Window)
		}, func(op ops.AveragePool, r devices.Request) (devices.Step, error) {
			return d.preparePool(r, op.Window, averageDivisor(op))
		}),
		devices.For("globalaveragepool/nhwc_f32_"+lvl, func(op ops.GlobalAveragePool, r devices.Request) int {
			if op.Format != ops.NHWC || !allF32(r) || prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, func(_ ops.GlobalAveragePool, r devices.Request) (devices.Step, error) {
			x := dims(r.In[0])
			c := x[len(x)-1]
			return newMeanStep(d, x[0], prod(x[1:len(x)-1]), c), nil
		}),
		devices.For("globalmaxpool/f32_"+lvl, func(op ops.GlobalMaxPool, r devices.Request) int {
			if !allF32(r) || prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, func(op ops.GlobalMaxPool, r devices.Request) (devices.Step, error) {
			return d.prepareGlobal(r, op.Format, d.maximum()), nil
		}),
	}
}

func matchPool(r devices.Request, f ops.Format, indices bool, window func([]int) (ops.Window, error)) int {
	if f != ops.NHWC || indices || !allF32(r) {
		return 0
	}
	x := dims(r.In[0])
	win, err := window(x)
	if err != nil {
		return 0
	}
	if _, ok := newGeometry(win, x[0], x[len(x)-1], x[len(x)-1], 1); !ok {
		return 0
	}
	return 10
}

// averageDivisor is what the sum of the window at (oh, ow) is divided by, for valid taps rows x cols.
func averageDivisor(op ops.AveragePool) func(w ops.Window, oh, ow, valid int) int {
	if !op.CountIncludePad {
		return func(_ ops.Window, _, _, valid int) int { return valid }
	}
	// Padding counts, but not what a rounded-up number of windows reaches beyond it.
	return func(w ops.Window, oh, ow, _ int) int {
		n := 1
		for i, o := range []int{oh, ow}[2-len(w.Kernel):] {
			k := 0
			for t := range w.Kernel[i] {
				if o*w.Strides[i]-w.Begin[i]+t*w.Dilations[i] < w.In[i]+w.End[i] {
					k++
				}
			}
			n *= k
		}
		return n
	}
}

func (d *Device) preparePool(r devices.Request, window func([]int) (ops.Window, error), divisor func(w ops.Window, oh, ow, valid int) int) (devices.Step, error) {
	x := dims(r.In[0])
	win, err := window(x)
	if err != nil {
		return nil, err
	}
	c := x[len(x)-1]
	g, ok := newGeometry(win, x[0], c, c, 1)
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	s := &poolStep{d: d, g: g, t: newWindowTable(&g, c, c)}
	s.rows, s.tiles = rowTiling(g.oh, 2*g.ow*c*g.taps())
	if divisor == nil {
		return s, nil
	}
	// Windows of one span may reach differently far into the padding: cut spans where the divisor changes.
	s.scales = make([][]float32, g.oh)
	for oh := range g.oh {
		rows := s.t.rows[oh]
		for _, sp := range s.t.spans {
			for ow := sp.at; ow < sp.at+sp.n; ow++ {
				n := divisor(win, oh, ow, (rows.hi-rows.lo)*(sp.hi-sp.lo))
				s.scales[oh] = append(s.scales[oh], 1/float32(n))
			}
		}
	}
	return s, nil
}

// poolStep is a pool over channels-last data; with scales a mean, without them a maximum.
type poolStep struct {
	d      *Device
	g      geometry
	t      *windowTable
	scales [][]float32 // for each output pixel of each row
	rows   int
	tiles  int
	tasks  freelist[*poolTask]
}

func (s *poolStep) Scratch() int { return 0 }

func (s *poolStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y = s, f32(a, 0), f32Out(a, 0)
	s.d.pool.Run(t, s.g.n*s.tiles)
	return nil
}

type poolTask struct {
	s    *poolStep
	x, y []float32
}

// Tile implements par.Task.
func (t *poolTask) Tile(i, _ int) {
	s, g := t.s, &t.s.g
	n, r0 := i/s.tiles, i%s.tiles*s.rows
	r1 := min(r0+s.rows, g.oh)
	x := t.x[n*g.h*g.w*g.c:][:g.h*g.w*g.c]
	fn := s.d.k.Spatial.SumTap
	if s.scales == nil {
		fn = s.d.k.Spatial.MaxTap
		if s.special(x, r0, r1) {
			fn = kern.MaxTapNaN
		}
	}
	for oh := r0; oh < r1; oh++ {
		y := t.y[(n*g.oh+oh)*g.ow*g.c:][:g.ow*g.c]
		for k, sp := range s.t.spans {
			taps := s.t.taps[s.t.class[oh]*len(s.t.spans)+k]
			if len(taps) == 0 {
				s.empty(y[sp.at*g.c:][:sp.n*g.c])
				continue
			}
			for at := sp.at; at < sp.at+sp.n; {
				m, scale := sp.at+sp.n-at, float32(1)
				if s.scales != nil {
					m, scale = run(s.scales[oh][at : sp.at+sp.n])
				}
				fn(y[at*g.c:], g.c, m, g.c, x[g.origin(oh, at, s.t.rows[oh], sp.tapRange)*g.c:], g.sw*g.c, nil, taps, nil, scale, 0)
				at += m
			}
		}
	}
}

// run is how many of vs, from the first on, are equal, and what they are.
func run(vs []float32) (int, float32) {
	n := 1
	for n < len(vs) && vs[n] == vs[0] {
		n++
	}
	return n, vs[0]
}

// special reports whether the rows of x under output rows [r0, r1) hold a NaN or infinity, of which the vector
// maximum would lose a NaN.
func (s *poolStep) special(x []float32, r0, r1 int) bool {
	g := &s.g
	lo := max(0, min(g.h, r0*g.sh-g.pt))
	hi := max(lo, min(g.h, (r1-1)*g.sh-g.pt+(g.kh-1)*g.dh+1))
	sum := s.d.k.Vec.Sum(x[lo*g.w*g.c : hi*g.w*g.c])
	return sum-sum != 0
}

// empty fills pixels whose windows lie in the padding altogether.
func (s *poolStep) empty(y []float32) {
	v := negInf
	if s.scales != nil {
		v = negInf - negInf
	}
	for i := range y {
		y[i] = v
	}
}

// meanStep is the mean over the middle dimension of [n, m, c].
type meanStep struct {
	d       *Device
	n, m, c int
	chunk   int // channels of a task
	chunks  int // of one picture
	parts   int // sums of meanRows rows of one picture that are tasks of their own; 0 where channels are enough tasks
	taps    []int
	tasks   freelist[*meanTask]
}

// Limits of a task of meanStep: channels, and rows added up before a sum is put aside, which bounds rounding errors.
const (
	meanChannels = 256
	meanRows     = 128
)

func newMeanStep(d *Device, n, m, c int) *meanStep {
	s := &meanStep{d: d, n: n, m: m, c: c, chunk: meanChannels}
	if w := d.pool.Workers(); w > 1 {
		s.chunk = min(meanChannels, max(32, roundUp(ceilDiv(n*c, 2*w), 32)))
		if parts := ceilDiv(m, meanRows); parts >= 2*w && n*c < 64*w {
			s.parts, s.chunk = parts, c
		}
	}
	s.chunks = ceilDiv(c, s.chunk)
	for i := range min(m, meanRows) {
		s.taps = append(s.taps, i*c, 0)
	}
	return s
}

func (s *meanStep) Scratch() int {
	return max(s.d.pool.Workers()*s.chunk, s.n*s.parts*s.c) * 4
}

func (s *meanStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.buf = s, f32(a, 0), f32Out(a, 0), floats(a.Scratch)
	if s.parts == 0 {
		s.d.pool.Run(t, s.n*s.chunks)
		return nil
	}
	s.d.pool.Run(t, s.n*s.parts)
	for i := range s.n * s.parts {
		y, part := t.y[i/s.parts*s.c:][:s.c], t.buf[i*s.c:][:s.c]
		if i%s.parts == 0 {
			copy(y, part)
			continue
		}
		s.d.k.Vec.Add(y, y, part)
	}
	return nil
}

type meanTask struct {
	s         *meanStep
	x, y, buf []float32
}

// Tile implements par.Task.
func (t *meanTask) Tile(i, worker int) {
	s := t.s
	if s.parts > 0 {
		n, r := i/s.parts, i%s.parts*meanRows
		t.sum(t.buf[i*s.c:][:s.c], t.x[n*s.m*s.c:], r)
		return
	}
	n, c0 := i/s.chunks, i%s.chunks*s.chunk
	c := min(s.chunk, s.c-c0)
	x, y := t.x[n*s.m*s.c+c0:], t.y[n*s.c+c0:][:c]
	part := t.buf[worker*s.chunk:][:c]
	for r := 0; r < s.m; r += meanRows {
		if r == 0 {
			t.sum(y, x, r)
			continue
		}
		t.sum(part, x, r)
		s.d.k.Vec.Add(y, y, part)
	}
}

// sum adds up some channels of up to meanRows rows from r on.
func (t *meanTask) sum(dst, x []float32, r int) {
	s := t.s
	s.d.k.Spatial.SumTap(dst, len(dst), 1, len(dst), x[r*s.c:], 0, nil, s.taps[:2*min(meanRows, s.m-r)], nil, 1/float32(s.m), 0)
}
