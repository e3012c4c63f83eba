package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// tallyKernels are the small steps of training: counters, class numbers, checks of the loss, and dropout.
func (d *Device) tallyKernels() []devices.Kernel {
	return []devices.Kernel{
		devices.For("add/i64", func(_ ops.Add, r devices.Request) int {
			return matchIf(r.In[0].DType == tensor.Int64 && r.In[1].DType == tensor.Int64 && fullOrOne(r.Out[0], r.In...))
		}, func(_ ops.Add, _ devices.Request) (devices.Step, error) { return tallyStep(addInts), nil }),
		devices.For("cast/i64", func(op ops.Cast, r devices.Request) int {
			return matchIf(op.To == tensor.Int64 && movable(r.In[0]) && r.Out[0].Static())
		}, func(_ ops.Cast, _ devices.Request) (devices.Step, error) {
			return tallyStep(func(a *devices.Args) error { return tensor.CastInto(a.OutTensor(0), a.Tensor(0), tensor.CastOptions{}) }), nil
		}),
		devices.For("onehot/i64_f32", func(_ ops.OneHot, r devices.Request) int {
			return matchIf(r.In[0].DType == tensor.Int64 && r.In[2].DType == tensor.Float32 && r.Const[1] != nil && r.In[0].Static() && r.Out[0].Static() &&
				prod(dims(r.Out[0])) > 0)
		}, func(op ops.OneHot, r devices.Request) (devices.Step, error) {
			y, axis := dims(r.Out[0]), op.Axis
			if axis < 0 {
				axis += len(y)
			}
			depth, inner := y[axis], prod(y[axis+1:])
			return tallyStep(func(a *devices.Args) error { return oneHot(a, depth, inner) }), nil
		}),
		devices.For("requirefinite/f32", func(_ ops.RequireFinite, r devices.Request) int {
			return matchIf(isF32(r.In[1:]...) && r.In[0].Kind == graph.TensorKind && r.In[0].DType.Size() > 0 && r.In[0].Static())
		}, func(_ ops.RequireFinite, _ devices.Request) (devices.Step, error) {
			return tallyStep(requireFinite), nil
		}),
		devices.For("dropout/f32", func(_ ops.Dropout, r devices.Request) int {
			return matchIf(has(r, 3) && r.In[3].DType == tensor.Int64 && isF32(r.In[0], r.In[1], r.Out[0]) && len(r.Out) == 2 && prod(dims(r.In[0])) > 0)
		}, func(_ ops.Dropout, _ devices.Request) (devices.Step, error) { return &dropoutStep{d: d}, nil }),
	}
}

// matchIf is the rank of a kernel that matches where ok is true.
func matchIf(ok bool) int {
	if ok {
		return 10
	}
	return 0
}

// tallyStep is a step that needs nothing of its own.
type tallyStep func(a *devices.Args) error

// Scratch implements devices.Step.
func (tallyStep) Scratch() int { return 0 }

// Run implements devices.Step.
func (s tallyStep) Run(a *devices.Args) error { return s(a) }

func addInts(a *devices.Args) error {
	x, y, z := tensor.As[int64](a.Tensor(0)), tensor.As[int64](a.Tensor(1)), tensor.As[int64](a.OutTensor(0))
	sx, sy := step(len(x), len(z)), step(len(y), len(z))
	for i := range z {
		z[i] = x[i*sx] + y[i*sy]
	}
	return nil
}

// oneHot puts the second value where an index says, the first elsewhere; indices outside say nothing.
func oneHot(a *devices.Args, depth, inner int) error {
	values, y := f32(a, 2), f32Out(a, 0)
	off, on := values[0], values[1]
	fill(y, off)
	for i, k := range tensor.As[int64](a.Tensor(0)) {
		if k < 0 {
			k += int64(depth)
		}
		if k >= 0 && k < int64(depth) {
			y[(i/inner*depth+int(k))*inner+i%inner] = on
		}
	}
	return nil
}

func requireFinite(a *devices.Args) error {
	for i := 1; i < len(a.In); i++ {
		for _, v := range f32(a, i) {
			if v-v != 0 {
				return ops.NotFiniteError{Value: float64(v)}
			}
		}
	}
	copy(a.OutTensor(0).Bytes(), a.Tensor(0).Bytes())
	return nil
}

// dropoutStep drops elements by the words that a key names: element i takes word i, whatever the number of threads.
type dropoutStep struct {
	d     *Device
	tasks freelist[*dropoutTask]
}

// Scratch implements devices.Step.
func (*dropoutStep) Scratch() int { return 0 }

// Run implements devices.Step.
func (s *dropoutStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.x, t.y, t.mask, t.ratio = f32(a, 0), f32Out(a, 0), tensor.As[bool](a.OutTensor(1)), 0.5
	if r := f32(a, 1); len(r) > 0 {
		t.ratio = float64(r[0])
	}
	if on := a.Tensor(2); on == nil || on.Len() == 0 || !tensor.As[bool](on)[0] {
		t.ratio = 0
	}
	key := tensor.As[int64](a.Tensor(3))
	t.key, t.counter = uint64(key[0]), uint64(key[1])
	s.d.pool.Run(t, ceilDiv(len(t.x), pointwiseTile))
	return nil
}

type dropoutTask struct {
	x, y         []float32
	mask         []bool
	ratio        float64
	key, counter uint64
}

// Tile implements par.Task. A tile is a multiple of the four words that come together.
func (t *dropoutTask) Tile(i, _ int) {
	lo, hi := i*pointwiseTile, min((i+1)*pointwiseTile, len(t.x))
	if t.ratio == 0 {
		copy(t.y[lo:hi], t.x[lo:hi])
		for k := lo; k < hi; k++ {
			t.mask[k] = true
		}
		return
	}
	for k := lo; k < hi; k += 4 {
		words := philox.BlockAt(t.key, t.counter, uint64(k))
		for j := k; j < min(k+4, hi); j++ {
			keep := float64(philox.Unit(words[j-k])) >= t.ratio
			t.mask[j] = keep
			v := float32(0)
			if keep {
				v = float32(float64(t.x[j]) / (1 - t.ratio))
			}
			t.y[j] = v
		}
	}
}
