package cpu

import (
	"strings"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// recurrentTrainKernels are recurrent layers in training: forward keeping the gates, and backward.
func (d *Device) recurrentTrainKernels() []devices.Kernel {
	lvl := d.Level()
	lstm := func(o ops.LSTM) (trainCell, bool) {
		return trainCell{lstm: true, direction: o.Direction, layout: o.Layout},
			o.Clip == 0 && !o.InputForget && defaultActivations(o.Activations, "sigmoid", "tanh", "tanh")
	}
	gru := func(o ops.GRU) (trainCell, bool) {
		return trainCell{direction: o.Direction, layout: o.Layout},
			o.Clip == 0 && o.LinearBeforeReset && defaultActivations(o.Activations, "sigmoid", "tanh")
	}
	return []devices.Kernel{
		devices.For("lstmtrain/f32_"+lvl, func(o ops.LSTMTrain, r devices.Request) int {
			c, ok := lstm(o.Of)
			return c.match(r, ok)
		}, func(o ops.LSTMTrain, r devices.Request) (devices.Step, error) {
			c, _ := lstm(o.Of)
			return d.newRecurrentTrain(c, r), nil
		}),
		devices.For("grutrain/f32_"+lvl, func(o ops.GRUTrain, r devices.Request) int {
			c, ok := gru(o.Of)
			return c.match(r, ok)
		}, func(o ops.GRUTrain, r devices.Request) (devices.Step, error) {
			c, _ := gru(o.Of)
			return d.newRecurrentTrain(c, r), nil
		}),
		devices.For("lstmtraingrad/f32_"+lvl, func(o ops.LSTMTrainGrad, r devices.Request) int {
			c, ok := lstm(o.Of)
			return c.match(r, ok && !has(r, 7))
		}, func(o ops.LSTMTrainGrad, r devices.Request) (devices.Step, error) {
			c, _ := lstm(o.Of)
			return d.newRecurrentGrad(c, r), nil
		}),
		devices.For("grutraingrad/f32_"+lvl, func(o ops.GRUTrainGrad, r devices.Request) int {
			c, ok := gru(o.Of)
			return c.match(r, ok)
		}, func(o ops.GRUTrainGrad, r devices.Request) (devices.Step, error) {
			c, _ := gru(o.Of)
			return d.newRecurrentGrad(c, r), nil
		}),
	}
}

// defaultActivations reports whether names, if given, are the defaults for each direction.
func defaultActivations(names []string, def ...string) bool {
	for i, n := range names {
		if !strings.EqualFold(n, def[i%len(def)]) {
			return false
		}
	}
	return true
}

// trainCell is what training has to know of a layer's attributes.
type trainCell struct {
	lstm      bool // else a GRU that resets behind the recurrent product
	direction string
	layout    int
}

// gates is how many of the gates have products with the data.
func (c trainCell) gates() int {
	if c.lstm {
		return 4
	}
	return 3
}

func (c trainCell) match(r devices.Request, ok bool) int {
	if !ok || !isF32(r.Out...) {
		return 0
	}
	for i, t := range r.In {
		if i == 4 && has(r, 4) && t.DType != tensor.Int32 || i != 4 && !isF32(t) {
			return 0
		}
	}
	x, h, dirs := dims(r.In[0]), dims(r.In[2])[2], ops.Directions(c.direction)
	states := dirs * x[1-c.layout] * h
	want := []int{prod(x), dirs * c.gates() * h * x[2], dirs * c.gates() * h * h, 2 * dirs * c.gates() * h, x[1-c.layout], states, states}
	for i, w := range want[:6+b2i(c.lstm)] {
		if has(r, i) && (prod(dims(r.In[i])) != w || w == 0) {
			return 0
		}
	}
	return 10
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// trainShape is the sizes of a layer, and how its batch is cut: a tile takes some rows of the batch through all steps.
type trainShape struct {
	trainCell
	d            *Device
	steps, n, in int
	h, dirs      int
	rows, tiles  int
	data         *dynProduct // rows of X with W transposed
	state        []statePart
	tasks        freelist[*recurrentTrainTask]
}

// statePart is columns of the gates that have a product with the state: rows [from, from+n) of R give columns to and on.
type statePart struct{ from, n, to int }

func (s *trainShape) init(d *Device, c trainCell, r devices.Request) {
	x := dims(r.In[0])
	s.trainCell, s.d, s.steps, s.n, s.in, s.h, s.dirs = c, d, x[c.layout], x[1-c.layout], x[2], dims(r.In[2])[2], ops.Directions(c.direction)
	s.tiles = ceilDiv(s.n, trainRows)
	if s.n >= trainRows/2 {
		s.tiles = max(2, s.tiles)
	}
	s.rows = ceilDiv(s.n, s.tiles)
	s.tiles = ceilDiv(s.n, s.rows)
	s.state = []statePart{{0, 4 * s.h, 0}}
	if !c.lstm {
		s.state = []statePart{{0, 2 * s.h, 0}, {2 * s.h, s.h, 3 * s.h}}
	}
	s.data = d.newDynProduct(s.steps*s.n, c.gates()*s.h, s.in, 1, s.in)
}

// trainRows is about how many rows of the batch one tile takes.
const trainRows = 16

// row is the row of X of a step and a row of the batch; stride is from one row of the batch to the next.
func (s *trainShape) row(t, n int) int {
	if s.layout == 1 {
		return n*s.steps + t
	}
	return t*s.n + n
}

func (s *trainShape) stride() int {
	if s.layout == 1 {
		return s.steps
	}
	return 1
}

// outRow is where Y has the state of a step.
func (s *trainShape) outRow(dir, t, n int) int {
	if s.layout == 1 {
		return ((n*s.steps+t)*s.dirs + dir) * s.h
	}
	return ((t*s.dirs+dir)*s.n + n) * s.h
}

// stateRow is where an initial or final state has a row of the batch.
func (s *trainShape) stateRow(dir, n int) int {
	if s.layout == 1 {
		return (n*s.dirs + dir) * s.h
	}
	return (dir*s.n + n) * s.h
}

func (s *trainShape) reversed(dir int) bool { return dir == 1 || s.direction == "reverse" }

// packedState is the elements of R packed for the products with the state.
func (s *trainShape) packedState() int {
	n := 0
	for _, p := range s.state {
		n += pad64(s.d.k.Gemm.PackedLen(s.h, p.n))
	}
	return n
}

// tileState is the elements of one tile's two states and a row.
func (s *trainShape) tileState() int { return 2*pad64(s.rows*s.h) + pad64(s.h) }

// lens checks and returns the lengths, nil for none.
func (s *trainShape) lens(a *devices.Args) ([]int32, error) {
	l := a.Tensor(4)
	if l == nil {
		return nil, nil
	}
	v := tensor.As[int32](l)
	if len(v) != s.n {
		return nil, errs.Errorf("sequence_lens has %d lengths for a batch of %d", len(v), s.n)
	}
	for _, n := range v {
		if n < 0 || int(n) > s.steps {
			return nil, errs.Errorf("sequence_lens: %d steps of %d", n, s.steps)
		}
	}
	return v, nil
}

// recurrentTrain is the layer forward.
type recurrentTrain struct{ trainShape }

func (d *Device) newRecurrentTrain(c trainCell, r devices.Request) *recurrentTrain {
	s := &recurrentTrain{}
	s.init(d, c, r)
	return s
}

func (s *recurrentTrain) Scratch() int {
	return (max(s.data.scratch(), s.packedState()) + pad64(4*s.h) + s.tiles*s.tileState()) * 4
}

func (s *recurrentTrain) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	lens, err := s.lens(a)
	if err != nil {
		return err
	}
	states := 2 + b2i(s.lstm)
	t.s, t.lens, t.y = &s.trainShape, lens, f32Out(a, 0)
	t.h0, t.hEnd, t.c0, t.cEnd = f32(a, 5), f32Out(a, 1), nil, nil
	if s.lstm {
		t.c0, t.cEnd = f32(a, 6), f32Out(a, 2)
	}
	buf := floats(a.Scratch)
	t.bias, buf = buf[:4*s.h], buf[pad64(4*s.h):]
	t.states, t.packed = buf[:s.tiles*s.tileState()], buf[s.tiles*s.tileState():]
	rows, gh := s.steps*s.n, s.gates()*s.h
	for dir := range s.dirs {
		t.dir, t.gates = dir, f32Out(a, states)[dir*rows*4*s.h:][:rows*4*s.h]
		if s.lstm {
			t.cells = f32Out(a, states+1)[dir*rows*s.h:][:rows*s.h]
		}
		t.biases(f32(a, 3))
		s.data.run(f32(a, 0), s.in, f32(a, 1)[dir*gh*s.in:], t.gates, 4*s.h, kern.Epilogue{Bias: t.bias}, t.packed)
		t.packState(f32(a, 2)[dir*gh*s.h:])
		s.d.pool.Run(t, s.tiles)
	}
	return nil
}

type recurrentTrainTask struct {
	s            *trainShape
	lens         []int32
	dir          int
	bias         []float32 // [4H], of a GRU with that of the state's part of the candidate last
	y            []float32
	gates, cells []float32 // of the direction
	h0, hEnd     []float32
	c0, cEnd     []float32
	packed       []float32
	states       []float32
}

// biases adds up the biases of data and state, where the state's needn't stay apart.
func (t *recurrentTrainTask) biases(b []float32) {
	h := t.s.h
	clear(t.bias)
	if b == nil {
		return
	}
	gh := t.s.gates() * h
	wb, rb := b[t.dir*2*gh:][:gh], b[t.dir*2*gh+gh:][:gh]
	copy(t.bias, wb)
	both := gh
	if !t.s.lstm {
		both = 2 * h
		copy(t.bias[3*h:4*h], rb[2*h:])
	}
	t.s.d.k.Vec.Add(t.bias[:both], t.bias[:both], rb[:both])
}

func (t *recurrentTrainTask) packState(r []float32) {
	s, g := t.s, &t.s.d.k.Gemm
	dst := t.packed
	kc := blockDepth(s.h)
	for _, p := range s.state {
		cols := g.PackedCols(p.n)
		for q := 0; q < s.h; q += kc {
			g.Pack(dst[q*cols:], r[p.from*s.h+q:], 1, s.h, min(kc, s.h-q), p.n)
		}
		dst = dst[pad64(g.PackedLen(s.h, p.n)):]
	}
}

// Tile implements par.Task: some rows of the batch through all steps.
func (t *recurrentTrainTask) Tile(i, _ int) {
	s := t.s
	n0, n1 := i*s.rows, min((i+1)*s.rows, s.n)
	buf := t.states[i*s.tileState():]
	h, c, tmp := buf[:s.rows*s.h], buf[pad64(s.rows*s.h):][:s.rows*s.h], buf[2*pad64(s.rows*s.h):][:s.h]
	loadState(s, t.dir, n0, n1, h, t.h0)
	loadState(s, t.dir, n0, n1, c, t.c0)
	for k := range s.steps {
		at := k
		if s.reversed(t.dir) {
			at = s.steps - 1 - k
		}
		t.multiply(at, n0, n1, h, k == 0 && t.h0 == nil)
		for n := n0; n < n1; n++ {
			row := s.row(at, n)
			g, y := t.gates[row*4*s.h:][:4*s.h], t.y[s.outRow(t.dir, at, n):][:s.h]
			if t.lens != nil && at >= int(t.lens[n]) {
				clear(g)
				clear(y)
				if s.lstm {
					clear(t.cells[row*s.h:][:s.h])
				}
				continue
			}
			hn, cn := h[(n-n0)*s.h:][:s.h], c[(n-n0)*s.h:][:s.h]
			if s.lstm {
				t.lstm(g, hn, cn, tmp)
				copy(t.cells[row*s.h:][:s.h], cn)
			} else {
				t.gru(g, hn, tmp)
			}
			copy(y, hn)
		}
	}
	storeState(s, t.dir, n0, n1, t.hEnd, h)
	storeState(s, t.dir, n0, n1, t.cEnd, c)
}

// loadState reads rows of an initial state, zeros where there is none.
func loadState(s *trainShape, dir, n0, n1 int, dst, src []float32) {
	clear(dst)
	if src == nil {
		return
	}
	for n := n0; n < n1; n++ {
		copy(dst[(n-n0)*s.h:][:s.h], src[s.stateRow(dir, n):])
	}
}

func storeState(s *trainShape, dir, n0, n1 int, dst, src []float32) {
	if dst == nil {
		return
	}
	for n := n0; n < n1; n++ {
		copy(dst[s.stateRow(dir, n):][:s.h], src[(n-n0)*s.h:])
	}
}

// multiply adds the products with the state to the gates of a step; zero says that the state is.
func (t *recurrentTrainTask) multiply(at, n0, n1 int, h []float32, zero bool) {
	s, g := t.s, &t.s.d.k.Gemm
	c, ldc := t.gates[s.row(at, n0)*4*s.h:], s.stride()*4*s.h
	if !s.lstm {
		for n := range n1 - n0 {
			copy(c[n*ldc+3*s.h:][:s.h], t.bias[3*s.h:4*s.h])
		}
	}
	if zero {
		return
	}
	b := t.packed
	kc := blockDepth(s.h)
	for _, p := range s.state {
		cols := g.PackedCols(p.n)
		for q := 0; q < s.h; q += kc {
			g.Block(n1-n0, p.n, kern.Whole(min(kc, s.h-q)), h[q:], s.h, b[q*cols:], c[p.to:], ldc, true, kern.Epilogue{})
		}
		b = b[pad64(g.PackedLen(s.h, p.n)):]
	}
}

// lstm finishes the gates i, o, f, c of a row and brings its state forward.
func (t *recurrentTrainTask) lstm(g, h, c, tmp []float32) {
	v, n := &t.s.d.k.Vec, t.s.h
	v.Sigmoid(g[:3*n], g[:3*n], 0, 0)
	v.Tanh(g[3*n:], g[3*n:], 0, 0)
	v.Mul(c, c, g[2*n:3*n])
	v.MulAdd(c, g[:n], g[3*n:], c)
	v.Tanh(tmp, c, 0, 0)
	v.Mul(h, g[n:2*n], tmp)
}

// gru finishes the gates z, r, h of a row, whose last part is what the state adds to the candidate.
func (t *recurrentTrainTask) gru(g, h, tmp []float32) {
	v, n := &t.s.d.k.Vec, t.s.h
	v.Sigmoid(g[:2*n], g[:2*n], 0, 0)
	cand := g[2*n : 3*n]
	v.MulAdd(cand, g[n:2*n], g[3*n:], cand)
	v.Tanh(cand, cand, 0, 0)
	v.Sub(tmp, h, cand)
	v.MulAdd(h, g[:n], tmp, cand)
}
