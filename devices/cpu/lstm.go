package cpu

import (
	"fmt"
	"strings"
	"sync/atomic"

	goruntime "runtime"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) recurrentKernels() []devices.Kernel {
	return []devices.Kernel{devices.For("lstm/f32_"+d.Level(), matchLSTM, d.prepareLSTM)}
}

// matchLSTM takes the usual LSTM: default activations, no clipping, peepholes or lengths, and constant weights.
func matchLSTM(op ops.LSTM, r devices.Request) int {
	if op.Clip != 0 || op.InputForget || has(r, 4) || has(r, 7) || !usualActivations(op.Activations, "sigmoid", "tanh", "tanh") || !allF32(r) {
		return 0
	}
	if r.Const[1] == nil || r.Const[2] == nil || has(r, 3) && r.Const[3] == nil {
		return 0
	}
	if x := dims(r.In[0]); prod(x) == 0 || op.HiddenSize < 1 {
		return 0
	}
	return 10
}

// usualActivations reports whether names, if given, are the defaults for each direction.
func usualActivations(names []string, def ...string) bool {
	for i, n := range names {
		if !strings.EqualFold(n, def[i%len(def)]) {
			return false
		}
	}
	return true
}

// lstmStep runs an LSTM: the products with the data of all steps at once, then step by step those with the
// hidden state, cut into blocks of hidden units. Gates of a block lie side by side, in the order i, o, f, c, so that a block
// is finished by whoever computed it, and each core keeps reading the same weights.
type lstmStep struct {
	d            *Device
	steps, n, in int // sequence, batch, data
	hidden       int
	dirs         []lstmDirection
	batchFirst   bool
	unit         int // hidden units of a block
	til          tiling
	tasks        freelist[lstmTask]
	projections  freelist[gemmTask]
}

type lstmDirection struct {
	w, r    *packedB // [in, 4H] and [H, 4H], columns by block
	bias    []float32
	reverse bool
}

func (d *Device) prepareLSTM(op ops.LSTM, r devices.Request) (devices.Step, error) {
	x := dims(r.In[0])
	s := &lstmStep{d: d, steps: x[0], n: x[1], in: x[2], hidden: op.HiddenSize, batchFirst: op.Layout == 1}
	if s.batchFirst {
		s.steps, s.n = x[1], x[0]
	}
	s.unit = lstmUnit(s.hidden)
	w, rec := tensor.As[float32](r.Const[1]), tensor.As[float32](r.Const[2])
	h4 := 4 * s.hidden
	for i := range ops.Directions(op.Direction) {
		dir := lstmDirection{reverse: i == 1 || op.Direction == "reverse"}
		key := func(t *tensor.Tensor, what string) devices.PackKey {
			return devices.PackKey{T: t, Kind: fmt.Sprintf("cpu/lstm/%s/%s/%d", d.Level(), what, i)}
		}
		dir.w = r.Packs.Get(key(r.Const[1], "w"), func() any { return s.packGates(w[i*h4*s.in:], s.in) }).(*packedB)
		dir.r = r.Packs.Get(key(r.Const[2], "r"), func() any { return s.packGates(rec[i*h4*s.hidden:], s.hidden) }).(*packedB)
		dir.bias = make([]float32, h4)
		if has(r, 3) {
			b := tensor.As[float32](r.Const[3])[i*2*h4:]
			for j := range h4 {
				dir.bias[s.column(j)] = b[j] + b[h4+j]
			}
		}
		s.dirs = append(s.dirs, dir)
	}
	s.til = newTiling(&d.k.Gemm, s.steps*s.n, h4, s.in, false)
	return s, nil
}

// lstmUnit is the number of hidden units of a block, which divides them.
func lstmUnit(hidden int) int {
	for _, u := range []int{32, 24, 16, 40, 48, 56, 8} {
		if hidden%u == 0 {
			return u
		}
	}
	return hidden
}

// column is where gate row j of ONNX's weights goes: by block, then gate, then unit.
func (s *lstmStep) column(j int) int {
	gate, h := j/s.hidden, j%s.hidden
	return h/s.unit*4*s.unit + gate*s.unit + h%s.unit
}

// packGates packs the [4H, k] weights w, transposed, with columns by block.
func (s *lstmStep) packGates(w []float32, k int) *packedB {
	h4 := 4 * s.hidden
	t := make([]float32, k*h4)
	for j := range h4 {
		c := s.column(j)
		for i := range k {
			t[c*k+i] = w[j*k+i]
		}
	}
	return packB(s.d.pool, &s.d.k.Gemm, t, 1, k, k, h4)
}

// sizes of scratch in elements: gates of all steps, two hidden states, the cell state.
func (s *lstmStep) sizes() (gates, state int) {
	return pad64(s.steps * s.n * 4 * s.hidden), pad64(s.n * s.hidden)
}

func (s *lstmStep) Scratch() int {
	gates, state := s.sizes()
	return len(s.dirs) * (gates + 3*state) * 4
}

func (s *lstmStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	gates, state := s.sizes()
	t.s, t.buf, t.y = s, floats(a.Scratch), f32Out(a, 0)
	h4 := 4 * s.hidden
	for i := range s.dirs {
		p := s.projections.get()
		p.k, p.b, p.m, p.til, p.act = s.d.k, s.dirs[i].w, s.steps*s.n, s.til, activation{}
		p.flat = dense{a: f32(a, 0), lda: s.in}
		p.a = &p.flat
		p.c, p.ldc, p.ep = t.buf[i*(gates+3*state):], h4, kern.Epilogue{Bias: s.dirs[i].bias}
		p.run(s.d.pool)
		s.projections.put(p)
		h, c := t.buf[i*(gates+3*state)+gates:], t.buf[i*(gates+3*state)+gates+2*state:]
		s.load(h, f32(a, 5), i)
		s.load(c, f32(a, 6), i)
	}
	blocks := s.hidden / s.unit * len(s.dirs)
	if len(t.claims) < blocks {
		t.claims = make([]atomic.Int32, blocks)
	}
	for i := range t.claims {
		t.claims[i].Store(0)
	}
	t.done.Store(0)
	s.d.pool.Run(t, min(s.d.pool.Workers(), blocks))
	for i := range s.dirs {
		base := i*(gates+3*state) + gates
		s.store(f32Out(a, 1), t.buf[base+s.steps%2*state:], i)
		s.store(f32Out(a, 2), t.buf[base+2*state:], i)
	}
	return nil
}

// load fills the state of direction i from an input [D,N,H] ([N,D,H] with the batch first), or with zeros.
func (s *lstmStep) load(dst, src []float32, i int) {
	for n := range s.n {
		row := dst[n*s.hidden:][:s.hidden]
		if src == nil {
			clear(row)
			continue
		}
		copy(row, src[s.stateRow(i, n):])
	}
}

func (s *lstmStep) store(dst, src []float32, i int) {
	for n := range s.n {
		copy(dst[s.stateRow(i, n):][:s.hidden], src[n*s.hidden:])
	}
}

func (s *lstmStep) stateRow(dir, n int) int {
	if s.batchFirst {
		return (n*len(s.dirs) + dir) * s.hidden
	}
	return (dir*s.n + n) * s.hidden
}

// lstmTask is one run. Each of its participants goes through all steps: at each it takes blocks that nobody has taken
// yet, the same ones first each time, and then waits until all are done.
type lstmTask struct {
	s      *lstmStep
	buf, y []float32
	claims []atomic.Int32 // steps of which each block has been taken
	done   atomic.Int64   // blocks done in all
}

// Tile implements par.Task.
func (t *lstmTask) Tile(_, worker int) {
	s := t.s
	blocks := s.hidden / s.unit * len(s.dirs)
	start := worker * blocks / s.d.pool.Workers()
	mine := max(1, (worker+1)*blocks/s.d.pool.Workers()-start)
	for step := range s.steps {
		for i := range blocks {
			// Back and forth, so that what the second-level cache holds of the weights serves again.
			j := i
			if step%2 == 1 && i < mine {
				j = mine - 1 - i
			}
			j = (start + j) % blocks
			if t.claims[j].Load() == int32(step) && t.claims[j].CompareAndSwap(int32(step), int32(step+1)) {
				t.block(step, j)
				t.done.Add(1)
			}
		}
		for spins := 0; t.done.Load() < int64((step+1)*blocks); spins++ {
			if spins > 100 {
				goruntime.Gosched()
			}
		}
	}
}

// block computes one step of one block of hidden units.
func (t *lstmTask) block(step, j int) {
	s := t.s
	per := s.hidden / s.unit
	dir, b := j/per, j%per
	gates, state := s.sizes()
	buf := t.buf[dir*(gates+3*state):]
	g, h0, h1, c := buf[:gates], buf[gates+step%2*state:][:state], buf[gates+(step+1)%2*state:][:state], buf[gates+2*state:][:state]
	at := step
	if s.dirs[dir].reverse {
		at = s.steps - 1 - step
	}
	h4, u := 4*s.hidden, s.unit
	first, stride := at*s.n*h4, h4
	if s.batchFirst {
		first, stride = at*h4, s.steps*h4
	}
	col := b * 4 * u
	first += col
	w := s.dirs[dir].r
	for p := 0; p < w.k; p += w.kc {
		kc := min(w.kc, w.k-p)
		s.d.k.Gemm.Block(s.n, 4*u, kern.Whole(kc), h0[p:], s.hidden, w.block(p, kc, col), g[first:], stride, true, kern.Epilogue{})
	}
	v := &s.d.k.Vec
	for n := range s.n {
		row := g[first+n*stride:][:4*u]
		v.Sigmoid(row[:3*u], row[:3*u], 0, 0)
		v.Tanh(row[3*u:], row[3*u:], 0, 0)
		in, out, forget, cand := row[:u], row[u:2*u], row[2*u:3*u], row[3*u:]
		cell := c[n*s.hidden+b*u:][:u]
		v.Mul(cand, cand, in)
		v.MulAdd(cell, cell, forget, cand)
		v.Tanh(cand, cell, 0, 0)
		hid := h1[n*s.hidden+b*u:][:u]
		v.Mul(hid, cand, out)
		copy(t.y[s.outRow(at, dir, n)+b*u:][:u], hid)
	}
}

// outRow is where Y has the hidden state of step at.
func (s *lstmStep) outRow(at, dir, n int) int {
	if s.batchFirst {
		return ((n*s.steps+at)*len(s.dirs) + dir) * s.hidden
	}
	return ((at*len(s.dirs)+dir)*s.n + n) * s.hidden
}
