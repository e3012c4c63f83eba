package cpu

import (
	"fmt"
	"strings"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) recurrentKernels() []devices.Kernel {
	return []devices.Kernel{
		recurrentKernel(d, "lstm", func(o ops.LSTM) cell {
			return cell{kind: lstmCell, gates: 4, direction: o.Direction, layout: o.Layout, clip: o.Clip,
				inputForget: o.InputForget, names: o.Activations, alpha: o.ActivationAlpha, beta: o.ActivationBeta, usual: []string{"sigmoid", "tanh", "tanh"}}
		}),
		recurrentKernel(d, "gru", func(o ops.GRU) cell {
			k := gruCell
			if !o.LinearBeforeReset {
				k = gruEarlyCell
			}
			return cell{kind: k, gates: 3, direction: o.Direction, layout: o.Layout, clip: o.Clip,
				names: o.Activations, alpha: o.ActivationAlpha, beta: o.ActivationBeta, usual: []string{"sigmoid", "tanh"}}
		}),
		recurrentKernel(d, "rnn", func(o ops.RNN) cell {
			return cell{kind: rnnCell, gates: 1, direction: o.Direction, layout: o.Layout, clip: o.Clip,
				names: o.Activations, alpha: o.ActivationAlpha, beta: o.ActivationBeta, usual: []string{"tanh"}}
		}),
	}
}

type cellKind int

const (
	lstmCell     cellKind = iota
	gruCell               // resets behind the recurrent product
	gruEarlyCell          // resets the state before the recurrent product, which takes a phase of its own
	rnnCell
)

// cell is a recurrent operator's attributes in one form.
type cell struct {
	kind        cellKind
	gates       int
	hidden      int
	direction   string
	layout      int
	clip        float64
	inputForget bool
	names       []string
	alpha, beta []float64
	usual       []string
}

func recurrentKernel[O interface {
	ops.LSTM | ops.GRU | ops.RNN
	Name() string
	Infer([]graph.Type) ([]graph.Type, error)
}](d *Device, name string, cellOf func(O) cell) devices.Kernel {
	return devices.For(name+"/f32_"+d.Level(), func(op O, r devices.Request) int {
		return cellOf(op).match(d, r)
	}, func(op O, r devices.Request) (devices.Step, error) {
		return cellOf(op).prepare(d, r)
	})
}

// match takes layers whose activations all have vector kernels.
func (c cell) match(d *Device, r devices.Request) int {
	for i, t := range r.In {
		if i == 4 && has(r, 4) && t.DType != tensor.Int32 || i != 4 && !isF32(t) {
			return 0
		}
	}
	if !isF32(r.Out...) || len(r.Out) < 1 {
		return 0
	}
	x, dirs, h := dims(r.In[0]), ops.Directions(c.direction), dims(r.In[2])[2]
	n := x[1-c.layout]
	want := []int{prod(x), dirs * c.gates * h * x[2], dirs * c.gates * h * h, 2 * dirs * c.gates * h, n, dirs * n * h, dirs * n * h, 3 * dirs * h}
	for i, w := range want {
		if has(r, i) && (prod(dims(r.In[i])) != w || w == 0) {
			return 0
		}
	}
	if _, ok := c.activations(d.k); !ok {
		return 0
	}
	return 10
}

// activations is the functions of all directions, in ONNX's order. Alphas and betas go, in order, to those that have one.
func (c cell) activations(k *kern.Set) ([]activation, bool) {
	v := &k.Vec
	names, alpha, beta := c.names, c.alpha, c.beta
	if len(names) == 0 {
		for range ops.Directions(c.direction) {
			names = append(names, c.usual...)
		}
	}
	next := func(list *[]float64, def float32) float32 {
		if len(*list) == 0 {
			return def
		}
		x := (*list)[0]
		*list = (*list)[1:]
		return float32(x)
	}
	acts := make([]activation, len(names))
	for i, n := range names {
		a := activation{}
		switch strings.ToLower(n) {
		case "sigmoid":
			a.f = v.Sigmoid
		case "tanh":
			a.f = v.Tanh
		case "relu":
			a.f, a.b = v.Clip, posInf
		case "leakyrelu":
			a.f, a.a = v.LeakyRelu, next(&alpha, 0.01)
		case "affine":
			a.f, a.a, a.b = v.ScaleShift, next(&alpha, 1), next(&beta, 0)
		case "hardsigmoid":
			a.f, a.a, a.b = v.HardSigmoid, next(&alpha, 0.2), next(&beta, 0.5)
		default:
			return nil, false
		}
		acts[i] = a
	}
	return acts, true
}

// isUsual reports whether the fused cell kernels compute direction i.
func (c cell) isUsual(i int) bool {
	for j, u := range c.usual {
		if len(c.names) > 0 && !strings.EqualFold(c.names[i*len(c.usual)+j], u) {
			return false
		}
	}
	return c.clip == 0 && !c.inputForget
}

// recurrentStep runs a recurrent layer: the products with the data of all steps at once, then step by step those with the
// hidden state, cut into blocks of hidden units. Gates of a block lie side by side, so that a block is finished by whoever
// computed it, and each core keeps reading the same weights. The last block is filled up with units that stay zero.
type recurrentStep struct {
	cell
	d            *Device
	steps, n, in int // sequence, batch, data
	batchFirst   bool
	unit, blocks int // hidden units of a block, blocks of a direction
	wide         int // gates of the products with the data: gates, and one more for gruCell
	phases       int // products with the state in one step
	dirs         []recurrentDir
	til          tiling
	tasks        freelist[*recurrentTask]
}

// recurrentDir is one direction of a layer. What is constant is packed beforehand, else when running.
type recurrentDir struct {
	reverse  bool
	usual    bool
	acts     []activation
	w        *packedB      // [in, blocks*wide*unit]
	r        []gateWeights // of each phase
	bias     []float32     // with w's columns
	peephole []float32     // [3, blocks*unit], nil for none
}

func (c cell) prepare(d *Device, r devices.Request) (devices.Step, error) {
	x := dims(r.In[0])
	c.hidden = dims(r.In[2])[2]
	s := &recurrentStep{cell: c, d: d, steps: x[0], n: x[1], in: x[2], batchFirst: c.layout == 1, wide: c.gates, phases: 1}
	if s.batchFirst {
		s.steps, s.n = x[1], x[0]
	}
	switch c.kind {
	case gruCell:
		s.wide = 4
	case gruEarlyCell:
		s.phases = 2
	}
	s.unit, s.blocks = cutUnits(s.hidden)
	acts, _ := c.activations(d.k)
	dirs := ops.Directions(c.direction)
	for i := range dirs {
		dir := recurrentDir{reverse: i == 1 || c.direction == "reverse", usual: c.isUsual(i), acts: acts[i*len(acts)/dirs:]}
		s.loadDir(&dir, i, r)
		s.dirs = append(s.dirs, dir)
	}
	s.til = d.tiling(s.steps*s.n, s.row(), s.in, false)
	return s, nil
}

// loadDir packs what is constant of direction i.
func (s *recurrentStep) loadDir(dir *recurrentDir, i int, r devices.Request) {
	part := func(j, n int) []float32 { return tensor.As[float32](r.Const[j])[i*n:][:n] }
	key := func(j int) devices.PackKey {
		return devices.PackKey{T: r.Const[j], Kind: fmt.Sprintf("cpu/recurrent/%s/%d/%d/%d/%t", s.d.Level(), s.kind, j, i, s.n == 1 && j == 2)}
	}
	gh := s.gates * s.hidden
	if r.Const[1] != nil {
		dir.w = r.Packs.Get(key(1), func() any { return s.packData(part(1, gh*s.in)) }).(*packedB)
	}
	if r.Const[2] != nil {
		dir.r = r.Packs.Get(key(2), func() any { return s.packState(part(2, gh*s.hidden)) }).([]gateWeights)
	}
	if !has(r, 3) {
		dir.bias = s.packBias(nil)
	} else if r.Const[3] != nil {
		dir.bias = s.packBias(part(3, 2*gh))
	}
	if has(r, 7) && r.Const[7] != nil {
		dir.peephole = s.packPeephole(part(7, 3*s.hidden))
	}
}

// cutUnits cuts hidden units into blocks that fill vectors, with few units to spare.
func cutUnits(hidden int) (unit, blocks int) {
	best := 0
	for u := 64; u >= kern.CellLanes; u -= kern.CellLanes {
		b := ceilDiv(hidden, u)
		// A block is worth about four units of overhead, and two threads share an even number of blocks best.
		cost := b*(u+4) + b%2
		if best == 0 || cost < best {
			unit, blocks, best = u, b, cost
		}
	}
	return unit, blocks
}

// row is the elements of the products with one row of data.
func (s *recurrentStep) row() int { return s.blocks * s.wide * s.unit }

// state is the elements of one state of all rows, with the units that fill up the last block.
func (s *recurrentStep) state() int { return s.n * s.blocks * s.unit }

// gateWeights is the products with the state of one phase: each block of units is packed on its own, so that it is
// one piece of memory.
type gateWeights struct {
	k, cols, kc int
	width       int // of a block, packed
	data        []float32
}

// block is the rows [p, p+kc) of block b.
func (w *gateWeights) block(b, p int) []float32 { return w.data[(b*w.k+p)*w.width:] }

// gateColumns copies the rows of those gates of [gates*hidden, k] weights to columns by block: block b, gate, unit.
func (s *recurrentStep) gateColumns(src []float32, k, b int, gates []int, dst []float32) {
	from := b * s.unit
	n := min(s.unit, s.hidden-from)
	for i, g := range gates {
		if g < 0 {
			continue
		}
		copy(dst[i*s.unit*k:][:n*k], src[(g*s.hidden+from)*k:])
	}
}

// phaseGates is the gates whose products with the state each phase computes.
func (s *recurrentStep) phaseGates() [][]int {
	switch s.kind {
	case lstmCell:
		return [][]int{{0, 1, 2, 3}}
	case gruCell:
		// The third gate is the data's part of the candidate, to which the state adds nothing.
		return [][]int{{0, 1}, {2}}
	case gruEarlyCell:
		return [][]int{{0, 1}, {2}}
	}
	return [][]int{{0}}
}

// packState packs [gates*hidden, hidden] weights.
func (s *recurrentStep) packState(src []float32) []gateWeights {
	var out []gateWeights
	g := &s.d.k.Gemm
	k := s.hidden
	for _, gates := range s.phaseGates() {
		cols := len(gates) * s.unit
		w := gateWeights{k: k, cols: cols, kc: blockDepth(k), width: g.PackedCols(cols)}
		w.data = s.d.packs.floats(s.blocks * k * w.width)
		tmp := make([]float32, cols*k)
		for b := range s.blocks {
			clear(tmp)
			s.gateColumns(src, k, b, gates, tmp)
			for p := 0; p < k; p += w.kc {
				kc := min(w.kc, k-p)
				if s.n == 1 {
					g.PackRow(w.block(b, p), tmp[p:], 1, k, kc, cols)
					continue
				}
				g.Pack(w.block(b, p), tmp[p:], 1, k, kc, cols)
			}
		}
		out = append(out, w)
	}
	return out
}

// packData packs [gates*hidden, in] weights.
func (s *recurrentStep) packData(src []float32) *packedB {
	tmp := make([]float32, s.row()*s.in)
	for b := range s.blocks {
		s.gateColumns(src, s.in, b, s.dataGates(), tmp[b*s.wide*s.unit*s.in:])
	}
	return s.d.packB(tmp, 1, s.in, s.in, s.row())
}

// dataGates is the gates that the products with the data fill; -1 stays zero but for its bias.
func (s *recurrentStep) dataGates() []int {
	if s.kind == gruCell {
		return []int{0, 1, 2, -1}
	}
	return []int{0, 1, 2, 3}[:s.gates]
}

// packBias adds the two biases, but for a candidate whose second one the reset gate applies to.
func (s *recurrentStep) packBias(src []float32) []float32 {
	out := make([]float32, s.row())
	if src == nil {
		return out
	}
	gh := s.gates * s.hidden
	for b := range s.blocks {
		for j := range s.wide {
			dst := out[(b*s.wide+j)*s.unit:][:min(s.unit, s.hidden-b*s.unit)]
			for i := range dst {
				at := min(j, s.gates-1)*s.hidden + b*s.unit + i
				switch {
				case s.kind != gruCell || j < 2:
					dst[i] = src[at] + src[gh+at]
				case j == 2:
					dst[i] = src[at]
				default:
					dst[i] = src[gh+at]
				}
			}
		}
	}
	return out
}

func (s *recurrentStep) packPeephole(src []float32) []float32 {
	out := make([]float32, 3*s.blocks*s.unit)
	for j := range 3 {
		copy(out[j*s.blocks*s.unit:], src[j*s.hidden:][:s.hidden])
	}
	return out
}
