package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// pickKernels find places of extremes.
func (d *Device) pickKernels() []devices.Kernel {
	return []devices.Kernel{
		argKernel(d, "argmax", func(op ops.ArgMax) (int, bool) { return op.Axis, op.SelectLastIndex }, 1),
		argKernel(d, "argmin", func(op ops.ArgMin) (int, bool) { return op.Axis, op.SelectLastIndex }, -1),
	}
}

func argKernel[O graph.Op](d *Device, name string, f func(op O) (axis int, last bool), sign float32) devices.Kernel {
	return devices.For(name+"/f32", func(_ O, r devices.Request) int {
		if !isF32(r.In[0]) || !r.Out[0].Static() || prod(dims(r.In[0])) == 0 {
			return 0
		}
		return 10
	}, func(op O, r devices.Request) (devices.Step, error) {
		x := dims(r.In[0])
		axis, last := f(op)
		if axis < 0 {
			axis += len(x)
		}
		return &argStep{d: d, n: x[axis], inner: prod(x[axis+1:]), last: last, sign: sign}, nil
	})
}

// argStep is the place of the largest of x·sign along n elements, inner apart. NaN is larger than all.
type argStep struct {
	d        *Device
	n, inner int
	last     bool
	sign     float32
	tasks    freelist[*argTask]
}

func (s *argStep) Scratch() int { return 0 }

func (s *argStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y = s, f32(a, 0), tensor.As[int64](a.OutTensor(0))
	t.rows = max(1, pointwiseTile/s.n)
	s.d.pool.Run(t, ceilDiv(len(t.y), t.rows))
	return nil
}

type argTask struct {
	s    *argStep
	x    []float32
	y    []int64
	rows int // results of a tile
}

// Tile implements par.Task.
func (t *argTask) Tile(i, _ int) {
	s := t.s
	for r := i * t.rows; r < min((i+1)*t.rows, len(t.y)); r++ {
		at := r/s.inner*s.n*s.inner + r%s.inner
		best, place := t.x[at]*s.sign, 0
		for k := 1; k < s.n; k++ {
			at += s.inner
			v := t.x[at] * s.sign
			if v > best || v != v && best == best || s.last && (v == best || v != v) {
				best, place = v, k
			}
		}
		t.y[r] = int64(place)
	}
}
