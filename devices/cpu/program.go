package cpu

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) programKernels() []devices.Kernel {
	kernels := []devices.Kernel{devices.For("pointwise/f32_"+d.Level(), func(op ops.Pointwise, r devices.Request) int {
		if op.Float != tensor.Float32 || !programTypes(r) {
			return 0
		}
		return 10
	}, func(op ops.Pointwise, r devices.Request) (devices.Step, error) { return d.newProgram(op, r) })}
	for _, op := range programOps {
		kernels = append(kernels, devices.Kernel{
			Name: "program/f32_" + d.Level(), Op: ops.TypeOf(op),
			Match: func(r devices.Request) int {
				if _, _, ok := ops.PointOp(r.Node, tensor.Float32); !ok || !programTypes(r) {
					return 0
				}
				return 11
			},
			Prepare: func(r devices.Request) (devices.Step, error) {
				e, n, _ := ops.PointOp(r.Node, tensor.Float32)
				for i := range n {
					e.X = append(e.X, -1-i)
				}
				return d.newProgram(ops.Pointwise{Float: tensor.Float32, Expr: []ops.Instr{e}, Results: []int{0}}, r)
			},
		})
	}
	return kernels
}

// programOps is the operators that run as a program of one instruction, where nothing better matches.
var programOps = []graph.Op{ops.Elu{}, ops.Selu{}, ops.Celu{}, ops.ThresholdedRelu{}, ops.Softplus{}, ops.Softsign{}, ops.Mish{}, ops.Shrink{}, ops.Swish{}, ops.PRelu{},
	ops.Expm1{}, ops.Log1p{}, ops.Floor{}, ops.Ceil{}, ops.Round{}, ops.Sign{}, ops.Sin{}, ops.Cos{}, ops.Tan{}, ops.Asin{}, ops.Acos{}, ops.Atan{}, ops.Sinh{},
	ops.Cosh{}, ops.Asinh{}, ops.Acosh{}, ops.Atanh{}, ops.Pow{}, ops.Greater{}, ops.GreaterOrEqual{}, ops.Less{}, ops.LessOrEqual{}, ops.Equal{},
	ops.And{}, ops.Or{}, ops.Xor{}, ops.Not{}, ops.IsNaN{}, ops.Where{}, ops.Cast{}}

// programTypes reports whether all is float32 or bool of known shape, and all outputs have one shape.
func programTypes(r devices.Request) bool {
	ok := func(t graph.Type) bool {
		return t.Kind == graph.TensorKind && (t.DType == tensor.Float32 || t.DType == tensor.Bool) && t.Static()
	}
	for i := range r.In {
		if has(r, i) && !ok(r.In[i]) {
			return false
		}
	}
	return !slices.ContainsFunc(r.Out, func(t graph.Type) bool { return !ok(t) || !slices.Equal(dims(t), dims(r.Out[0])) })
}

// program is a Pointwise made ready. It goes over the outputs tile by tile: inputs are looked at where they are or
// stretched into registers, which are tiles of scratch memory, and the code runs over them.
type program struct {
	d           *Device
	total       int // elements of each output
	tile, chunk int // elements worked on at once, and of a task
	slots       int // places of values: what registers, inputs and outputs are to the code
	regs        []int
	code        []pointCode
	numbers     []pointArg // what code has as a number
	splats      []pointArg // numbers that fill a register
	full        []pointArg // inputs as large as the outputs
	stretched   []stretch
	direct      []pointArg // outputs that code writes
	stores      []pointArg // outputs that are copied from a slot at the end
	tasks       freelist[*programTask]
}

// pointArg is an input or output with its slot, or a literal number where arg is negative.
type pointArg struct {
	arg, slot int
	bits      uint32 // of the literal
	bool      bool
}

// number is the value of an input of one element, or the literal.
func (p pointArg) number(a *devices.Args) float32 {
	switch {
	case p.arg < 0:
		return math.Float32frombits(p.bits)
	case p.bool && a.Tensor(p.arg).Bytes()[0] != 0:
		return truth
	case p.bool:
		return 0
	}
	return f32(a, p.arg)[0]
}

func (s *program) Scratch() int { return s.d.pool.Workers() * s.scratch() * 4 }

// scratch is the elements that one worker needs: the registers, and bytes of a tile.
func (s *program) scratch() int { return (len(s.regs) + 1) * pad64(s.tile) }

func (s *program) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	if t.s == nil {
		t.s = s
		t.numbers = make([]float32, len(s.numbers))
		t.splats = make([]float32, len(s.splats))
		t.workers = make([]programWorker, s.d.pool.Workers())
		for i := range t.workers {
			t.workers[i] = programWorker{view: make([][]float32, s.slots), held: make([]holding, len(s.stretched))}
		}
	}
	t.a = a
	// Numbers are read before anything is written, for an output may lie over one.
	for i, c := range s.numbers {
		t.numbers[i] = c.number(a)
	}
	for i, c := range s.splats {
		t.splats[i] = c.number(a)
	}
	s.d.pool.Run(t, ceilDiv(s.total, s.chunk))
	t.a = nil
	return nil
}

type programTask struct {
	s               *program
	a               *devices.Args
	numbers, splats []float32
	workers         []programWorker
}

// programWorker is what one goroutine needs: the slots' memory, and what the registers of stretched inputs hold.
type programWorker struct {
	view [][]float32
	held []holding
}

// Tile implements par.Task.
func (t *programTask) Tile(i, worker int) {
	s, w := t.s, &t.workers[worker]
	scratch := floats(t.a.Scratch)[worker*s.scratch():][:s.scratch()]
	tile := pad64(s.tile)
	for k := range w.held {
		w.held[k] = holding{}
	}
	for k, c := range s.splats {
		fill(scratch[c.slot*tile:][:s.tile], t.splats[k])
	}
	end := min((i+1)*s.chunk, s.total)
	for lo := i * s.chunk; lo < end; lo += s.tile {
		n := min(s.tile, end-lo)
		for k, slot := range s.regs {
			w.view[slot] = scratch[k*tile:][:n]
		}
		t.load(w, lo, n, bytesOf(scratch[len(s.regs)*tile:])[:n])
		for k := range s.code {
			s.code[k].run(w.view, t.numbers)
		}
		for _, o := range s.stores {
			if o.bool {
				s.d.k.Point.Narrow(t.a.OutTensor(o.arg).Bytes()[lo:lo+n], w.view[o.slot])
			} else {
				copy(f32Out(t.a, o.arg)[lo:lo+n], w.view[o.slot])
			}
		}
	}
}

// load makes the inputs' and outputs' slots ready for n elements from lo on.
func (t *programTask) load(w *programWorker, lo, n int, bytes []byte) {
	s := t.s
	for _, o := range s.full {
		if o.bool {
			s.d.k.Point.Widen(w.view[o.slot], t.a.Tensor(o.arg).Bytes()[lo:lo+n])
		} else {
			w.view[o.slot] = f32(t.a, o.arg)[lo : lo+n]
		}
	}
	for k := range s.stretched {
		e := &s.stretched[k]
		held, fresh := e.find(lo, n, w.held[k])
		switch {
		case e.bool && !fresh:
			stretchInto(bytes, t.a.Tensor(e.arg).Bytes(), e, lo)
			s.d.k.Point.Widen(w.view[e.slot], bytes)
		case held.inside >= 0:
			w.view[e.slot] = f32(t.a, e.arg)[held.inside:][:n]
		case !fresh:
			stretchInto(w.view[e.slot], f32(t.a, e.arg), e, lo)
		}
		w.held[k] = held
	}
	for _, o := range s.direct {
		w.view[o.slot] = f32Out(t.a, o.arg)[lo : lo+n]
	}
}

// stretch is an input that broadcasts: its loops over the output, neighbours merged, with a stride of 0 or 1 in the
// innermost.
type stretch struct {
	arg, slot     int
	bool          bool
	shape, stride []int
}

func newStretch(arg, slot int, isBool bool, in, out []int) stretch {
	e := stretch{arg: arg, slot: slot, bool: isBool}
	for i, st := range broadcastStrides(in, out) {
		if out[i] == 1 {
			continue
		}
		if k := len(e.shape) - 1; k >= 0 && e.stride[k] == st*out[i] {
			e.shape[k], e.stride[k] = e.shape[k]*out[i], st
			continue
		}
		e.shape, e.stride = append(e.shape, out[i]), append(e.stride, st)
	}
	return e
}

// row is the offset in the input of row r of the innermost loop.
func (e *stretch) row(r int) int {
	off := 0
	for k := len(e.shape) - 2; k >= 0; k-- {
		off += r % e.shape[k] * e.stride[k]
		r /= e.shape[k]
	}
	return off
}

// holding is what the register of a stretched input has: n elements, from the offset off of a row that repeats and its
// element phase on. inside is where the input itself has them in order, or -1.
type holding struct{ n, off, phase, inside int }

// find says what a tile of n elements from lo on needs, and whether that is what is held.
func (e *stretch) find(lo, n int, held holding) (need holding, fresh bool) {
	k := len(e.shape) - 1
	inner := e.shape[k]
	r, phase := lo/inner, lo%inner
	need = holding{inside: -1}
	switch {
	case e.stride[k] == 0 && phase+n <= inner:
		need = holding{n, e.row(r), -1, -1}
	case e.stride[k] == 1 && phase+n <= inner && !e.bool:
		return holding{inside: e.row(r) + phase}, false
	case e.stride[k] == 1 && k > 0 && e.stride[k-1] == 0 && r%e.shape[k-1]*inner+phase+n <= e.shape[k-1]*inner:
		need = holding{n, e.row(r), phase, -1}
	}
	if need.n > 0 && held.n >= need.n && held.off == need.off && held.phase == need.phase && held.inside < 0 {
		return held, true
	}
	return need, false
}

// stretchInto copies the elements that belong to those from lo on.
func stretchInto[T float32 | byte](dst, src []T, e *stretch, lo int) {
	k := len(e.shape) - 1
	inner := e.shape[k]
	r, phase := lo/inner, lo%inner
	for len(dst) > 0 {
		n := min(inner-phase, len(dst))
		off := e.row(r)
		if e.stride[k] == 1 {
			copy(dst[:n], src[off+phase:])
		} else {
			v := src[off]
			for i := range dst[:n] {
				dst[i] = v
			}
		}
		dst, r, phase = dst[n:], r+1, 0
	}
}
