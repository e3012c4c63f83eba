package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) moveKernels() []devices.Kernel {
	return []devices.Kernel{
		devices.For("transpose/b4", func(_ ops.Transpose, r devices.Request) int {
			return matchMove(r, 1)
		}, func(op ops.Transpose, r devices.Request) (devices.Step, error) {
			return d.prepareTranspose(op, dims(r.In[0])), nil
		}),
		devices.For("concat/b4", func(_ ops.Concat, r devices.Request) int {
			return matchMove(r, len(r.In))
		}, func(op ops.Concat, r devices.Request) (devices.Step, error) { return d.prepareConcat(op, r), nil }),
		sameBytes[ops.Reshape](d, "reshape"),
		sameBytes[ops.Flatten](d, "flatten"),
		sameBytes[ops.Squeeze](d, "squeeze"),
		sameBytes[ops.Unsqueeze](d, "unsqueeze"),
		sameBytes[ops.Identity](d, "identity"),
	}
}

// matchMove matches where the first n inputs and the output have elements of four bytes and known shapes.
func matchMove(r devices.Request, n int) int {
	if len(r.Out) != 1 || r.Out[0].DType.Size() != 4 || !r.Out[0].Static() {
		return 0
	}
	for _, t := range r.In[:n] {
		if t.Kind != graph.TensorKind || t.DType != r.Out[0].DType || !t.Static() {
			return 0
		}
	}
	return 10
}

// words is a tensor of four-byte elements as float32, for moving them only.
//
//go:noinline
func words(v tensor.Value) []float32 { return floats(v.(*tensor.Tensor).Bytes()) }

// sameBytes is the kernel of an operator that changes the shape alone.
func sameBytes[O graph.Op](d *Device, name string) devices.Kernel {
	return devices.For(name, func(_ O, r devices.Request) int {
		if len(r.Out) != 1 || r.Out[0].DType == tensor.String || !r.Out[0].Static() || r.In[0].Kind != graph.TensorKind || !r.In[0].Static() {
			return 0
		}
		return 10
	}, func(O, devices.Request) (devices.Step, error) { return copyStep{}, nil })
}

// copyStep copies its input's bytes, unless they are in place already.
type copyStep struct{}

func (copyStep) Scratch() int { return 0 }

func (copyStep) Run(a *devices.Args) error {
	src, dst := a.Tensor(0).Bytes(), a.OutTensor(0).Bytes()
	if len(src) > 0 && &src[0] != &dst[0] {
		copy(dst, src)
	}
	return nil
}

// transposeStep moves runs of elements; its loops are the result's dimensions, merged where they can be.
type transposeStep struct {
	d       *Device
	flip    [3]int // n, r, c, where the whole is n transposed matrices; zero where not
	shape   []int
	strides []int // of the source
	rows    int   // innermost loops of one tile
	tasks   freelist[*transposeTask]
	flips   freelist[*flipTask]
}

func (d *Device) prepareTranspose(op ops.Transpose, x []int) devices.Step {
	perm := op.Perm
	if len(perm) == 0 {
		for i := len(x) - 1; i >= 0; i-- {
			perm = append(perm, i)
		}
	}
	st := tensor.Strides(x)
	s := &transposeStep{d: d}
	for _, p := range perm {
		if x[p] == 1 {
			continue
		}
		if k := len(s.shape) - 1; k >= 0 && s.strides[k] == st[p]*x[p] {
			s.shape[k], s.strides[k] = s.shape[k]*x[p], st[p]
			continue
		}
		s.shape, s.strides = append(s.shape, x[p]), append(s.strides, st[p])
	}
	switch k := len(s.shape); {
	case k <= 1:
		return copyStep{}
	case k == 2 && s.strides[0] == 1:
		s.flip = [3]int{1, s.shape[1], s.shape[0]}
	case k == 3 && s.strides[1] == 1 && s.strides[0] == s.shape[1]*s.shape[2] && s.strides[2] == s.shape[1]:
		s.flip = [3]int{s.shape[0], s.shape[2], s.shape[1]}
	}
	s.rows = max(1, pointwiseTile/max(1, s.shape[len(s.shape)-1]))
	return s
}

func (s *transposeStep) Scratch() int { return 0 }

func (s *transposeStep) Run(a *devices.Args) error {
	x, y := words(a.In[0]), words(a.Out[0])
	if len(y) == 0 {
		return nil
	}
	if s.flip[0] > 0 {
		t := s.flips.get()
		defer s.flips.put(t)
		t.run(s.d, y, x, s.flip[0], s.flip[1], s.flip[2])
		return nil
	}
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y = s, x, y
	s.d.pool.Run(t, ceilDiv(len(y)/s.shape[len(s.shape)-1], s.rows))
	return nil
}

type transposeTask struct {
	s    *transposeStep
	x, y []float32
}

// Tile implements par.Task.
func (t *transposeTask) Tile(i, _ int) {
	s := t.s
	last := len(s.shape) - 1
	n, st := s.shape[last], s.strides[last]
	for r := i * s.rows; r < min((i+1)*s.rows, len(t.y)/n); r++ {
		rest, off := r, 0
		for k := last - 1; k >= 0; k-- {
			off += rest % s.shape[k] * s.strides[k]
			rest /= s.shape[k]
		}
		dst := t.y[r*n:][:n]
		if st == 1 {
			copy(dst, t.x[off:])
			continue
		}
		for j := range dst {
			dst[j] = t.x[off]
			off += st
		}
	}
}

func (d *Device) prepareConcat(op ops.Concat, r devices.Request) devices.Step {
	out := dims(r.Out[0])
	axis := op.Axis
	if axis < 0 {
		axis += len(out)
	}
	s := &concatStep{d: d, outer: prod(out[:axis]), row: prod(out[axis:])}
	for _, t := range r.In {
		s.parts = append(s.parts, prod(dims(t)[axis:]))
	}
	s.rows = max(1, pointwiseTile/max(1, s.row))
	return s
}

// concatStep writes rows made of a run from each input.
type concatStep struct {
	d          *Device
	outer, row int
	parts      []int
	rows       int
	tasks      freelist[*concatTask]
}

func (s *concatStep) Scratch() int { return 0 }

func (s *concatStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.y = s, words(a.Out[0])
	t.x = t.x[:0]
	for _, v := range a.In {
		t.x = append(t.x, words(v))
	}
	s.d.pool.Run(t, ceilDiv(s.outer, s.rows))
	clear(t.x)
	return nil
}

type concatTask struct {
	s *concatStep
	x [][]float32
	y []float32
}

// Tile implements par.Task.
func (t *concatTask) Tile(i, _ int) {
	s := t.s
	for r := i * s.rows; r < min((i+1)*s.rows, s.outer); r++ {
		dst := t.y[r*s.row:][:s.row]
		for k, n := range s.parts {
			copy(dst[:n], t.x[k][r*n:])
			dst = dst[n:]
		}
	}
}
