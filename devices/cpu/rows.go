package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
)

// rowFunc works on one row; y may be x.
type rowFunc func(t *rowTask, row int, y, x []float32)

// rowStep applies a function to each row of the innermost dimension. Inputs 1 and 2, where present, are vectors
// along the row.
type rowStep struct {
	d     *Device
	n     int // elements of a row
	f     rowFunc
	eps   float32
	rows  int // of a tile
	tasks freelist[*rowTask]
}

type rowTask struct {
	s          *rowStep
	x, y       []float32
	gain, bias []float32
	mean, rstd []float32 // results of their own, nil where nobody asks
}

func (d *Device) newRowStep(n int, f rowFunc) *rowStep {
	return &rowStep{d: d, n: n, f: f, rows: max(1, pointwiseTile/4/max(1, n))}
}

func (s *rowStep) Scratch() int { return 0 }

func (s *rowStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.gain, t.bias = s, f32(a, 0), f32Out(a, 0), f32(a, 1), f32(a, 2)
	t.mean, t.rstd = nil, nil
	if a.OutTensor(1) != nil {
		t.mean = f32Out(a, 1)
	}
	if a.OutTensor(2) != nil {
		t.rstd = f32Out(a, 2)
	}
	if len(t.y) == 0 {
		return nil
	}
	s.d.pool.Run(t, ceilDiv(len(t.y)/s.n, s.rows))
	return nil
}

// Tile implements par.Task.
func (t *rowTask) Tile(i, _ int) {
	n := t.s.n
	for at := i * t.s.rows * n; at < min((i+1)*t.s.rows*n, len(t.y)); at += n {
		t.s.f(t, at/n, t.y[at:at+n], t.x[at:at+n])
	}
}

func (d *Device) rowKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("softmax/f32_"+lvl, func(op ops.Softmax, r devices.Request) int {
			if !allF32(r) || innermost(r, op.Axis) < 1 {
				return 0
			}
			return 10
		}, func(op ops.Softmax, r devices.Request) (devices.Step, error) {
			return d.newRowStep(innermost(r, op.Axis), softmaxRow), nil
		}),
		devices.For("layernorm/f32_"+lvl, func(op ops.LayerNormalization, r devices.Request) int {
			n := tail(r, op.Axis)
			if !allF32(r) || n < 1 || !has(r, 1) || prod(dims(r.In[1])) != n || has(r, 2) && prod(dims(r.In[2])) != n {
				return 0
			}
			return 10
		}, func(op ops.LayerNormalization, r devices.Request) (devices.Step, error) {
			s := d.newRowStep(tail(r, op.Axis), layerNormRow)
			s.eps = float32(op.Epsilon)
			return s, nil
		}),
	}
}

// innermost is the length of axis if it, or it and axes of length 1 after it, is innermost; else 0.
func innermost(r devices.Request, axis int) int {
	x := dims(r.In[0])
	if axis < 0 {
		axis += len(x)
	}
	if axis < 0 || axis >= len(x) || prod(x[axis+1:]) != 1 {
		return 0
	}
	return x[axis]
}

// tail is the number of elements of the axes from axis on.
func tail(r devices.Request, axis int) int {
	x := dims(r.In[0])
	if axis < 0 {
		axis += len(x)
	}
	if axis < 0 || axis >= len(x) {
		return 0
	}
	return prod(x[axis:])
}

func softmaxRow(t *rowTask, _ int, y, x []float32) {
	v := &t.s.d.k.Vec
	m := v.MaxOf(x)
	if m-m != 0 && m < 0 { // all are -Inf: the definition gives NaN
		m = 0
	}
	sum := v.ExpSum(y, x, m)
	v.MulS(y, y, 1/sum, 0)
}

func layerNormRow(t *rowTask, row int, y, x []float32) {
	v := &t.s.d.k.Vec
	n := float32(len(x))
	mean := v.Sum(x) / n
	variance := v.SumSqDev(x, mean) / n
	rstd := 1 / sqrt32(variance+t.s.eps)
	if t.mean != nil {
		t.mean[row] = mean
	}
	if t.rstd != nil {
		t.rstd[row] = rstd
	}
	if t.bias != nil {
		v.Normalize(y, x, t.gain, t.bias, mean, rstd)
		return
	}
	v.ScaleShift(y, x, rstd, -mean*rstd)
	v.Mul(y, y, t.gain)
}
