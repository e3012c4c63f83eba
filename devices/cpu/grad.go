package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// gradKernels is what gradients use beside what inference has.
func (d *Device) gradKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("maxpoolgrad/nhwc_f32", func(op ops.MaxPoolGrad, r devices.Request) int {
			return matchPoolGrad(r, r.In[0], op.Format, op.Window)
		}, func(op ops.MaxPoolGrad, r devices.Request) (devices.Step, error) {
			return d.preparePoolGrad(r, r.In[0], op.Window, nil, true)
		}),
		devices.For("averagepoolgrad/nhwc_f32_"+lvl, func(op ops.AveragePoolGrad, r devices.Request) int {
			return matchPoolGrad(r, r.Out[0], op.Format, op.Forward().Window)
		}, func(op ops.AveragePoolGrad, r devices.Request) (devices.Step, error) {
			divisor := averageDivisor(op.Forward())
			if op.Sum {
				divisor = func(ops.Window, int, int, int) int { return 1 }
			}
			return d.preparePoolGrad(r, r.Out[0], op.Forward().Window, divisor, false)
		}),
		devices.For("sumto/f32_"+lvl, func(_ ops.SumTo, r devices.Request) int {
			if !isF32(r.In[0], r.Out[0]) || prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, func(_ ops.SumTo, r devices.Request) (devices.Step, error) {
			return d.newSumStep(dims(r.In[0]), dims(r.Out[0])), nil
		}),
		devices.For("where/b4", func(_ ops.Where, r devices.Request) int {
			if matchMoveOf(r, r.In[1:]) == 0 || r.In[0].DType != tensor.Bool || !fullOrOne(r.Out[0], r.In...) {
				return 0
			}
			return 10
		}, func(_ ops.Where, r devices.Request) (devices.Step, error) { return &whereStep{d: d}, nil }),
	}
}

func matchPoolGrad(r devices.Request, x graph.Type, f ops.Format, window func([]int) (ops.Window, error)) int {
	if f != ops.NHWC || !isF32(r.In[0], x, r.Out[0]) {
		return 0
	}
	s := dims(x)
	win, err := window(s)
	if err != nil {
		return 0
	}
	if _, ok := newGeometry(win, s[0], s[len(s)-1], s[len(s)-1], 1); !ok {
		return 0
	}
	return 10
}

func (d *Device) preparePoolGrad(r devices.Request, xt graph.Type, window func([]int) (ops.Window, error), divisor func(w ops.Window, oh, ow, valid int) int, largest bool) (devices.Step, error) {
	x := dims(xt)
	win, err := window(x)
	if err != nil {
		return nil, err
	}
	c := x[len(x)-1]
	g, _ := newGeometry(win, x[0], c, c, 1)
	s := &poolGradStep{d: d, g: g, max: largest}
	for oh := range g.oh {
		s.rows = append(s.rows, validTaps(oh, g.kh, g.sh, g.pt, g.dh, g.h))
	}
	for ow := range g.ow {
		s.cols = append(s.cols, validTaps(ow, g.kw, g.sw, g.pl, g.dw, g.w))
	}
	if divisor == nil {
		s.t = newWindowTable(&g, c, c)
		for kw := range g.kw {
			lo, hi := validOutputs(kw*g.dw-g.pl, g.sw, g.w, g.ow)
			s.taps = append(s.taps, tapRange{lo, hi})
		}
		return s, nil
	}
	for oh, rows := range s.rows {
		for ow, cols := range s.cols {
			s.scales = append(s.scales, 1/float32(divisor(win, oh, ow, (rows.hi-rows.lo)*(cols.hi-cols.lo))))
		}
	}
	return s, nil
}

// poolGradStep is the gradient of a pool over channels-last data.
type poolGradStep struct {
	d          *Device
	g          geometry
	max        bool
	rows, cols []tapRange   // of each row and column of output pixels
	scales     []float32    // of a mean, for each output pixel
	t          *windowTable // of a maximum
	taps       []tapRange   // of a maximum: the output columns for which each column of the window lies in the picture
	tasks      freelist[*poolGradTask]
}

func (s *poolGradStep) Scratch() int {
	if !s.max {
		return 0
	}
	return s.d.pool.Workers() * s.rowLen() * 2 * 4
}

// rowLen is the elements of a row of the result, padded.
func (s *poolGradStep) rowLen() int { return pad64(s.g.ow * s.g.c) }

func (s *poolGradStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.dx, t.buf = s, f32Out(a, 0), floats(a.Scratch)
	if s.max {
		t.x, t.dy, t.y = f32(a, 0), f32(a, 1), nil
		if len(a.In) > 2 {
			t.y = f32(a, 2)
		}
	} else {
		t.dy = f32(a, 0)
	}
	s.d.pool.Run(t, s.g.n)
	return nil
}

type poolGradTask struct {
	s              *poolGradStep
	x, dy, dx, buf []float32
	y              []float32 // of a maximum, its result; may be nil
}

// Tile implements par.Task: one picture.
func (t *poolGradTask) Tile(n, worker int) {
	s, g := t.s, &t.s.g
	size := g.h * g.w * g.c
	dx := t.dx[n*size:][:size]
	clear(dx)
	for oh, rows := range s.rows {
		if s.max && rows.hi > rows.lo {
			x, at := t.x[n*size:][:size], (n*g.pixels()+oh*g.ow)*g.c
			var y []float32
			if t.y != nil {
				y = t.y[at:][:g.ow*g.c]
			}
			if !s.special(x, y, oh) {
				t.row(x, dx, t.dy[at:][:g.ow*g.c], y, oh, t.buf[worker*2*s.rowLen():])
				continue
			}
		}
		for ow, cols := range s.cols {
			at := oh*g.ow + ow
			dy := t.dy[(n*g.pixels()+at)*g.c:][:g.c]
			first := ((oh*g.sh-g.pt+rows.lo*g.dh)*g.w + ow*g.sw - g.pl + cols.lo*g.dw) * g.c
			if s.max {
				t.largest(t.x[n*size:][:size], dx, dy, first, rows.hi-rows.lo, cols.hi-cols.lo)
				continue
			}
			for i := range rows.hi - rows.lo {
				for j := range cols.hi - cols.lo {
					s.d.k.Vec.Axpy(dx[first+(i*g.dh*g.w+j*g.dw)*g.c:][:g.c], dy, s.scales[at])
				}
			}
		}
	}
}

// special reports whether what output row oh reads of x holds a NaN or infinity, which comparing with the largest loses.
// Where the row's result y is known, it does in place of x.
func (s *poolGradStep) special(x, y []float32, oh int) bool {
	if y != nil {
		sum := s.d.k.Vec.Sum(y)
		return sum-sum != 0
	}
	g, rows := &s.g, s.rows[oh]
	lo, hi := oh*g.sh-g.pt+rows.lo*g.dh, oh*g.sh-g.pt+(rows.hi-1)*g.dh+1
	sum := s.d.k.Vec.Sum(x[lo*g.w*g.c : hi*g.w*g.c])
	return sum-sum != 0
}

// row hands dy to the first taps of the windows of one output row that equal their largest elements, top; nil if they are yet
// to be found.
func (t *poolGradTask) row(x, dx, dy, top []float32, oh int, buf []float32) {
	s, g := t.s, &t.s.g
	rest := buf[s.rowLen():][:g.ow*g.c]
	copy(rest, dy)
	known := top != nil
	if !known {
		top = buf[:g.ow*g.c]
	}
	for k, sp := range s.t.spans {
		if known {
			break
		}
		if taps := s.t.taps[s.t.class[oh]*len(s.t.spans)+k]; len(taps) > 0 {
			s.d.k.Spatial.MaxTap(top[sp.at*g.c:], g.c, sp.n, g.c, x[g.origin(oh, sp.at, s.rows[oh], sp.tapRange)*g.c:], g.sw*g.c, nil, taps, nil, 0, 0)
		}
	}
	for kh := s.rows[oh].lo; kh < s.rows[oh].hi; kh++ {
		first := (oh*g.sh - g.pt + kh*g.dh) * g.w
		for kw, cols := range s.taps {
			if cols.lo < cols.hi {
				at := (first + cols.lo*g.sw - g.pl + kw*g.dw) * g.c
				s.d.k.MaxGrad(dx[at:], g.sw*g.c, cols.hi-cols.lo, g.c, x[at:], top[cols.lo*g.c:], rest[cols.lo*g.c:], g.c)
			}
		}
	}
}

// largest gives dy to the first largest element of each channel's window, where NaN counts as the largest.
func (t *poolGradTask) largest(x, dx, dy []float32, first, rows, cols int) {
	g := &t.s.g
	if rows <= 0 || cols <= 0 {
		return
	}
	for c, v := range dy {
		row := first + c
		best := row
		top := x[row]
		for range rows {
			at := row
			for range cols {
				if e := x[at]; e > top || e != e && top == top {
					best, top = at, e
				}
				at += g.dw * g.c
			}
			row += g.dh * g.w * g.c
		}
		dx[best] += v
	}
}

// sumStep sums over what broadcasting had stretched.
type sumStep struct {
	d      *Device
	shape  []int // of the data; neighbours that are both kept or both summed are one
	keep   []int // stride in the result, 0 where summed
	inner  int
	kept   bool // the innermost dimension is kept
	rows   int  // all but the innermost
	out    int
	wide   int // so many rows of the innermost dimension are summed beside each other, being short
	slices int // sums of their own, added up at the end
	f      folder
	tasks  freelist[*sumTask]
}

// folder is what is done with the elements that fall together.
type folder struct {
	init   float32
	into   func(dst, row []float32)                 // dst[i] = fold(dst[i], row[i])
	of     func(acc float32, row []float32) float32 // fold of all of row
	join   kern.Binary                              // of partial results
	finish func(y []float32)                        // nil: nothing is left to do
}

func (d *Device) summing() folder {
	v := &d.k.Vec
	return folder{
		into: func(dst, row []float32) { v.Add(dst, dst, row) },
		of:   func(acc float32, row []float32) float32 { return acc + v.Sum(row) },
		join: v.Add,
	}
}

// sumSlices bounds the slices of a sum, and their memory in elements.
const (
	sumSlices = 32
	sumMemory = 1 << 20
)

func (d *Device) newSumStep(x, y []int) *sumStep {
	s := &sumStep{d: d, out: prod(y), f: d.summing()}
	strides := broadcastStrides(y, x)
	for i, n := range x {
		if n == 1 {
			continue
		}
		if k := len(s.shape) - 1; k >= 0 && s.keep[k] == strides[i]*n {
			s.shape[k], s.keep[k] = s.shape[k]*n, strides[i]
			continue
		}
		s.shape, s.keep = append(s.shape, n), append(s.keep, strides[i])
	}
	s.inner, s.kept = 1, true
	if k := len(s.shape) - 1; k >= 0 {
		s.inner, s.kept = s.shape[k], s.keep[k] != 0
		s.shape, s.keep = s.shape[:k], s.keep[:k]
	}
	if !s.kept && s.inner > pointwiseTile && len(s.shape) == 0 { // one long sum: cut it
		for _, cut := range []int{64, 32, 16, 8, 4, 2} {
			if s.inner%cut == 0 {
				s.shape, s.keep, s.inner = []int{cut}, []int{0}, s.inner/cut
				break
			}
		}
	}
	s.wide = 1
	if s.kept && len(s.shape) == 1 && s.keep[0] == 0 {
		for k := 512 / s.inner; k > 1; k-- {
			if s.shape[0]%k == 0 {
				s.wide, s.shape[0], s.inner = k, s.shape[0]/k, s.inner*k
				break
			}
		}
	}
	s.rows = prod(s.shape)
	s.slices = max(1, min(s.rows, sumSlices, sumMemory/max(1, s.out), s.rows*s.inner/2048))
	return s
}

func (s *sumStep) Scratch() int { return s.slices * s.part() * 4 }

// part is the elements of one slice's sums.
func (s *sumStep) part() int { return pad64(s.out * s.wide) }

func (s *sumStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.parts = s, f32(a, 0), floats(a.Scratch)
	y := f32Out(a, 0)
	s.d.pool.Run(t, s.slices)
	first := t.parts[:s.out*s.wide]
	for k := 1; k < s.slices; k++ {
		s.f.join(first, first, t.parts[k*s.part():][:len(first)])
	}
	copy(y, first)
	for k := 1; k < s.wide; k++ {
		s.f.join(y, y, first[k*s.out:][:s.out])
	}
	if s.f.finish != nil {
		s.f.finish(y)
	}
	return nil
}

type sumTask struct {
	s        *sumStep
	x, parts []float32
}

// Tile implements par.Task.
func (t *sumTask) Tile(i, _ int) {
	s := t.s
	part := t.parts[i*s.part():][:s.out*s.wide]
	for k := range part {
		part[k] = s.f.init
	}
	for r := i * s.rows / s.slices; r < (i+1)*s.rows/s.slices; r++ {
		rest, at := r, 0
		for k := len(s.shape) - 1; k >= 0; k-- {
			at += rest % s.shape[k] * s.keep[k]
			rest /= s.shape[k]
		}
		row := t.x[r*s.inner:][:s.inner]
		if s.kept {
			s.f.into(part[at:][:s.inner], row)
		} else {
			part[at] = s.f.of(part[at], row)
		}
	}
}

// fullOrOne reports whether all types have as many elements as y, or one.
func fullOrOne(y graph.Type, in ...graph.Type) bool {
	if !y.Static() {
		return false
	}
	n := prod(dims(y))
	for _, t := range in {
		if t.Kind != graph.TensorKind || !t.Static() {
			return false
		}
		if m := prod(dims(t)); m != n && m != 1 {
			return false
		}
	}
	return true
}

// matchMoveOf is matchMove of some of the inputs.
func matchMoveOf(r devices.Request, in []graph.Type) int {
	r.In = in
	return matchMove(r, len(in))
}

// step is the stride along n elements of an operand that has n or one.
func step(have, n int) int {
	if have == n {
		return 1
	}
	return 0
}

// whereStep chooses between four-byte elements; each operand has all elements, or one.
type whereStep struct {
	d     *Device
	tasks freelist[*whereTask]
}

func (s *whereStep) Scratch() int { return 0 }

func (s *whereStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.c, t.x, t.y, t.z = a.Tensor(0).Bytes(), words(a.In[1]), words(a.In[2]), words(a.Out[0])
	s.d.pool.Run(t, ceilDiv(len(t.z), pointwiseTile))
	return nil
}

type whereTask struct {
	c       []byte // 0 or 1
	x, y, z []float32
}

// Tile implements par.Task.
func (t *whereTask) Tile(i, _ int) {
	lo, hi := i*pointwiseTile, min((i+1)*pointwiseTile, len(t.z))
	n := len(t.z)
	sc, sx, sy := step(len(t.c), n), step(len(t.x), n), step(len(t.y), n)
	if sc == 1 { // without branches, which would be mispredicted
		for k, c := range t.c[lo:hi] {
			m := -uint32(c & 1)
			t.z[lo+k] = math.Float32frombits(math.Float32bits(t.x[(lo+k)*sx])&m | math.Float32bits(t.y[(lo+k)*sy])&^m)
		}
		return
	}
	for k := lo; k < hi; k++ {
		v := t.y[k*sy]
		if t.c[0] != 0 {
			v = t.x[k*sx]
		}
		t.z[k] = v
	}
}
