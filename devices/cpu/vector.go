package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/tensor"
)

// vectorStep multiplies one row by a large matrix stored by columns: it is bound by reading the matrix, which
// therefore stays where it is, in a mapped file say, instead of being packed.
type vectorStep struct {
	d     *Device
	w     []float32 // [n, k]
	k, n  int
	ep    kern.Epilogue
	act   activation
	cols  int // of a tile
	tasks freelist[*vectorTask]
}

func (d *Device) newVectorStep(r devices.Request, k, n int, ep kern.Epilogue, act activation) *vectorStep {
	return &vectorStep{d: d, w: tensor.As[float32](r.Const[1]), k: k, n: n, ep: ep, act: act, cols: max(1, (1<<16)/k)}
}

func (s *vectorStep) Scratch() int { return 0 }

func (s *vectorStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.bias, t.res = s, f32(a, 0), f32Out(a, 0), f32(a, 2), f32(a, 3)
	s.d.pool.Run(t, ceilDiv(s.n, s.cols))
	return nil
}

type vectorTask struct {
	s               *vectorStep
	x, y, bias, res []float32
}

// Tile implements par.Task.
func (t *vectorTask) Tile(i, _ int) {
	s := t.s
	v := &s.d.k.Vec
	lo, hi := i*s.cols, min((i+1)*s.cols, s.n)
	for j := lo; j < hi; j++ {
		t.y[j] = v.Dot(t.x, s.w[j*s.k:][:s.k])
	}
	y := t.y[lo:hi]
	if t.bias != nil {
		v.Add(y, y, t.bias[lo:hi])
	}
	if t.res != nil {
		v.Add(y, y, t.res[lo:hi])
	}
	if s.ep.Clamp {
		v.Clip(y, y, s.ep.Lo, s.ep.Hi)
	}
	if s.act.f != nil {
		s.act.f(y, y, s.act.a, s.act.b)
	}
}
