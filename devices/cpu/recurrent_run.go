package cpu

import (
	"sync/atomic"

	goruntime "runtime"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// scratch is the elements of each direction: gates of all steps, two hidden states, the cell state or, for GRU, the state's
// part of the candidate or the state behind the reset gate.
func (s *recurrentStep) scratch() (gates, all int) {
	gates = pad64(s.steps * s.n * s.row())
	return gates, gates + 3*pad64(s.state())
}

func (s *recurrentStep) Scratch() int {
	_, all := s.scratch()
	return len(s.dirs) * all * 4
}

func (s *recurrentStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.y, t.lens = s, f32Out(a, 0), nil
	if l := a.Tensor(4); l != nil {
		t.lens = tensor.As[int32](l)
		if err := s.checkLens(t.lens); err != nil {
			return err
		}
	}
	t.bind(a)
	s.project(t, f32(a, 0))
	for i := range t.dirs {
		q := &t.dirs[i]
		s.load(q.h[0], f32(a, 5), i)
		clear(q.h[1])
		clear(q.c)
		if s.kind == lstmCell {
			s.load(q.c, f32(a, 6), i)
		}
	}
	total := s.blocks * len(s.dirs)
	if len(t.claims) < total {
		t.claims = make([]claim, total)
	}
	for i := range t.claims {
		t.claims[i].Store(0)
	}
	t.done.Store(0)
	s.d.pool.Run(t, min(s.d.pool.Workers(), total))
	for i := range t.dirs {
		q := &t.dirs[i]
		s.store(outFloats(a, 1), q.h[s.steps%2], i)
		if s.kind == lstmCell {
			s.store(outFloats(a, 2), q.c, i)
		}
	}
	return nil
}

// outFloats is output i's elements, nil where there is none.
func outFloats(a *devices.Args, i int) []float32 {
	if a.OutTensor(i) == nil {
		return nil
	}
	return f32Out(a, i)
}

func (s *recurrentStep) checkLens(lens []int32) error {
	if len(lens) != s.n {
		return errs.Errorf("sequence_lens has %d lengths for a batch of %d", len(lens), s.n)
	}
	for _, l := range lens {
		if l < 0 || int(l) > s.steps {
			return errs.Errorf("sequence_lens: %d steps of %d", l, s.steps)
		}
	}
	return nil
}

// project computes the products with the data.
func (s *recurrentStep) project(t *recurrentTask, x []float32) {
	p := &t.product
	p.k, p.m, p.til, p.act = s.d.k, s.steps*s.n, s.til, activation{}
	p.flat = dense{a: x, lda: s.in}
	p.a, p.ldc = &p.flat, s.row()
	for i := range t.dirs {
		q := &t.dirs[i]
		p.b, p.c, p.ep = q.w, q.gates, kern.Epilogue{Bias: q.bias}
		p.run(s.d.pool, nil)
	}
}

// load fills the state of direction i from an input [D,N,H] ([N,D,H] with the batch first), or with zeros.
func (s *recurrentStep) load(dst, src []float32, i int) {
	clear(dst)
	if src == nil {
		return
	}
	for n := range s.n {
		copy(dst[n*s.blocks*s.unit:], src[s.stateRow(i, n):][:s.hidden])
	}
}

func (s *recurrentStep) store(dst, src []float32, i int) {
	if dst == nil {
		return
	}
	for n := range s.n {
		copy(dst[s.stateRow(i, n):][:s.hidden], src[n*s.blocks*s.unit:])
	}
}

func (s *recurrentStep) stateRow(dir, n int) int {
	if s.batchFirst {
		return (n*len(s.dirs) + dir) * s.hidden
	}
	return (dir*s.n + n) * s.hidden
}

// claim counts the phases for which a block has been taken, on a cache line of its own.
type claim struct {
	atomic.Int64
	_ [56]byte
}

// recurrentTask is one run. Each of its participants goes through all steps: at each it takes blocks that nobody has taken
// yet, the same ones first each time, and then waits until all are done.
type recurrentTask struct {
	s       *recurrentStep
	y       []float32
	lens    []int32
	dirs    []recurrentRun
	product gemmTask
	claims  []claim
	_       [56]byte
	done    atomic.Int64 // blocks done in all
	_       [56]byte
}

// recurrentRun is one direction's weights and memory.
type recurrentRun struct {
	*recurrentDir
	own   recurrentDir // of weights that are known only when running
	gates []float32
	h     [2][]float32
	c     []float32
}

// bind finds each direction's memory, and packs its weights if they aren't constant.
func (t *recurrentTask) bind(a *devices.Args) {
	s := t.s
	if len(t.dirs) != len(s.dirs) {
		t.dirs = make([]recurrentRun, len(s.dirs))
	}
	gates, all := s.scratch()
	state := pad64(s.state())
	gh := s.gates * s.hidden
	part := func(j, i, n int) []float32 { return f32(a, j)[i*n:][:n] }
	for i := range t.dirs {
		q := &t.dirs[i]
		buf := floats(a.Scratch)[i*all:][:all]
		q.gates, q.h[0], q.h[1], q.c = buf[:gates], buf[gates:][:s.state()], buf[gates+state:][:s.state()], buf[gates+2*state:][:s.state()]
		q.recurrentDir = &s.dirs[i]
		if q.w != nil && q.r != nil && q.bias != nil && (a.Tensor(7) == nil || q.peephole != nil) {
			continue
		}
		q.own = s.dirs[i]
		q.recurrentDir = &q.own
		if q.w == nil {
			q.w = s.packData(part(1, i, gh*s.in))
		}
		if q.r == nil {
			q.r = s.packState(part(2, i, gh*s.hidden))
		}
		if q.bias == nil {
			q.bias = s.packBias(part(3, i, 2*gh))
		}
		if q.peephole == nil && a.Tensor(7) != nil {
			q.peephole = s.packPeephole(part(7, i, 3*s.hidden))
		}
	}
}

// Tile implements par.Task.
func (t *recurrentTask) Tile(_, worker int) {
	s := t.s
	blocks := s.blocks * len(s.dirs)
	if s.d.pool.Workers() == 1 {
		for phase := range s.steps * s.phases {
			for i := range blocks {
				if phase%2 == 1 {
					i = blocks - 1 - i
				}
				t.block(phase, i)
			}
		}
		return
	}
	start := worker * blocks / s.d.pool.Workers()
	mine := max(1, (worker+1)*blocks/s.d.pool.Workers()-start)
	for phase := range s.steps * s.phases {
		done := int64(0)
		for i := range blocks {
			// Back and forth, so that what the second-level cache holds of the weights serves again.
			j := i
			if phase%2 == 1 && i < mine {
				j = mine - 1 - i
			}
			j = (start + j) % blocks
			if c := &t.claims[j]; c.Load() == int64(phase) && c.CompareAndSwap(int64(phase), int64(phase+1)) {
				t.block(phase, j)
				done++
			}
			if i >= mine-1 && done > 0 {
				t.done.Add(done)
				done = 0
			}
		}
		want := int64((phase + 1) * blocks)
		for spins := 0; t.done.Load() < want; spins++ {
			if spins >= barrierSpins {
				goruntime.Gosched()
			}
		}
	}
}

// barrierSpins is how often a participant looks whether a phase is done before it lets other goroutines run.
const barrierSpins = 4000

// block computes one phase of one step of one block of hidden units.
func (t *recurrentTask) block(phase, j int) {
	s := t.s
	q, b := &t.dirs[j/s.blocks], j%s.blocks
	step := phase / s.phases
	at := step
	if q.reverse {
		at = s.steps - 1 - step
	}
	// The rows of all of the batch begin at first and are stride apart.
	w := s.wide * s.unit
	first, stride := at*s.n*s.row()+b*w, s.row()
	if s.batchFirst {
		first, stride = at*s.row()+b*w, s.steps*s.row()
	}
	back := phase%2 == 1
	h0, h1 := q.h[step%2], q.h[(step+1)%2]
	g := q.gates[first:]
	switch {
	case s.kind == gruEarlyCell && phase%2 == 0:
		t.multiply(&q.r[0], b, h0, g, stride, back)
		t.reset(q, b, g, stride, h0)
		return
	case s.kind == gruEarlyCell:
		t.multiply(&q.r[1], b, q.c, g[2*s.unit:], stride, back)
	case s.kind == gruCell:
		t.multiply(&q.r[0], b, h0, g, stride, back)
		t.multiply(&q.r[1], b, h0, g[3*s.unit:], stride, back)
	default:
		t.multiply(&q.r[0], b, h0, g, stride, back)
	}
	hidden := min(s.unit, s.hidden-b*s.unit)
	for n := range s.n {
		o := (n*s.blocks + b) * s.unit
		h := h1[o:][:s.unit]
		y := t.y[s.outRow(at, j/s.blocks, n)+b*s.unit:][:hidden]
		if t.lens != nil && at >= int(t.lens[n]) {
			copy(h, h0[o:])
			clear(y)
			continue
		}
		t.finish(q, b, g[n*stride:][:w], q.c[o:][:s.unit], h0[o:][:s.unit], h)
		copy(y, h)
	}
}

// multiply adds the products of block b with the states h to the gates g.
func (t *recurrentTask) multiply(w *gateWeights, b int, h, g []float32, stride int, back bool) {
	s := t.s
	k := &s.d.k.Gemm
	for p := 0; p < w.k; p += w.kc {
		kc := min(w.kc, w.k-p)
		if s.n == 1 {
			k.Row(w.cols, kc, h[p:p+kc], w.block(b, p), g, back)
			continue
		}
		k.Block(s.n, w.cols, kern.Whole(kc), h[p:], s.blocks*s.unit, w.block(b, p), g, stride, true, kern.Epilogue{})
	}
}

// outRow is where Y has the hidden state of step at.
func (s *recurrentStep) outRow(at, dir, n int) int {
	if s.batchFirst {
		return ((n*s.steps+at)*len(s.dirs) + dir) * s.hidden
	}
	return ((at*len(s.dirs)+dir)*s.n + n) * s.hidden
}
