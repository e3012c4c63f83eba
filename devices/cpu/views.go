package cpu

import (
	"errors"
	"unsafe"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// viewKernels are of operators that copy elements from where a formula says: of any type but string.
func (d *Device) viewKernels() []devices.Kernel {
	return []devices.Kernel{
		viewKernel(d, "slice", sliceViews),
		viewKernel(d, "split", splitViews),
		viewKernel(d, "expand", func(_ ops.Expand, r devices.Request) ([]view, bool) {
			out := dims(r.Out[0])
			return []view{{shape: out, strides: broadcastStrides(dims(r.In[0]), out)}}, true
		}),
		viewKernel(d, "tile", func(_ ops.Tile, r devices.Request) ([]view, bool) {
			var v view
			x, out := dims(r.In[0]), dims(r.Out[0])
			for i, st := range tensor.Strides(x) {
				if x[i] > 0 {
					v.shape, v.strides = append(v.shape, out[i]/x[i], x[i]), append(v.strides, 0, st)
				}
			}
			return []view{v}, true
		}),
		devices.For("cast/ints_f32", func(op ops.Cast, r devices.Request) int {
			if op.To != tensor.Float32 || !r.In[0].Static() || widening(r.In[0].DType) == nil {
				return 0
			}
			return 10
		}, func(_ ops.Cast, r devices.Request) (devices.Step, error) {
			return &widenStep{d: d, f: widening(r.In[0].DType)}, nil
		}),
		devices.For("gather/any", func(_ ops.Gather, r devices.Request) int {
			if !movable(r.In[0]) || !movable(r.Out[0]) || !r.In[1].Static() || r.In[1].DType != tensor.Int64 && r.In[1].DType != tensor.Int32 {
				return 0
			}
			return 10
		}, func(op ops.Gather, r devices.Request) (devices.Step, error) {
			x := dims(r.In[0])
			axis := op.Axis
			if axis < 0 {
				axis += len(x)
			}
			s := &blocksStep{d: d, outer: prod(x[:axis]), n: x[axis], size: prod(x[axis+1:]) * r.In[0].DType.Size(), count: prod(dims(r.In[1]))}
			s.rows = max(1, 4*pointwiseTile/max(16, s.size))
			return s, nil
		}),
	}
}

// movable reports whether a tensor's elements can be copied as bytes.
func movable(t graph.Type) bool {
	return t.Kind == graph.TensorKind && t.DType.Valid() && t.DType != tensor.String && t.Static()
}

// view is an output as loops over an input: their sizes and strides, in elements.
type view struct {
	shape, strides []int
	base           int
}

func viewKernel[O graph.Op](d *Device, name string, f func(op O, r devices.Request) ([]view, bool)) devices.Kernel {
	return devices.For(name+"/any", func(op O, r devices.Request) int {
		if !movable(r.In[0]) {
			return 0
		}
		for _, t := range r.Out {
			if !movable(t) || t.DType != r.In[0].DType {
				return 0
			}
		}
		vs, ok := f(op, r)
		if !ok {
			return 0
		}
		for _, v := range vs {
			if len(merge(v).shape) > maxLoops {
				return 0
			}
		}
		return 10
	}, func(op O, r devices.Request) (devices.Step, error) {
		vs, _ := f(op, r)
		s := &viewStep{d: d, size: r.In[0].DType.Size()}
		for _, v := range vs {
			s.views = append(s.views, merge(v))
		}
		return s, nil
	})
}

func sliceViews(_ ops.Slice, r devices.Request) ([]view, bool) {
	x := dims(r.In[0])
	var params [5][]int64
	for i := 1; i < 5; i++ {
		if !has(r, i) {
			continue
		}
		if r.Const[i] == nil {
			return nil, false
		}
		vs, err := r.Const[i].Int64s()
		if err != nil {
			return nil, false
		}
		params[i] = vs
	}
	v := view{shape: dims(r.Out[0]), strides: tensor.Strides(x)}
	for i, start := range params[1] {
		axis, step := i, 1
		if has(r, 3) {
			axis = int(params[3][i])
		}
		if axis < 0 {
			axis += len(x)
		}
		if has(r, 4) {
			step = int(params[4][i])
		}
		first, _ := ops.SliceRange(int(start), int(params[2][i]), step, x[axis])
		v.base += first * v.strides[axis]
		v.strides[axis] *= step
	}
	return []view{v}, true
}

func splitViews(op ops.Split, r devices.Request) ([]view, bool) {
	x := dims(r.In[0])
	axis := op.Axis
	if axis < 0 {
		axis += len(x)
	}
	var vs []view
	at := 0
	for _, t := range r.Out {
		vs = append(vs, view{shape: dims(t), strides: tensor.Strides(x), base: at * prod(x[axis+1:])})
		at += dims(t)[axis]
	}
	return vs, true
}

// merge joins neighbouring loops that are one, and drops those of one round.
func merge(v view) view {
	m := view{base: v.base}
	for i, n := range v.shape {
		if n == 1 {
			continue
		}
		if k := len(m.shape) - 1; k >= 0 && m.strides[k] == v.strides[i]*n {
			m.shape[k], m.strides[k] = m.shape[k]*n, v.strides[i]
			continue
		}
		m.shape, m.strides = append(m.shape, n), append(m.strides, v.strides[i])
	}
	if len(m.shape) == 0 {
		m.shape, m.strides = []int{1}, []int{1}
	}
	return m
}

// maxLoops bounds the loops of a view.
const maxLoops = 8

// viewStep copies views of its input.
type viewStep struct {
	d     *Device
	size  int // bytes of an element
	views []view
	tasks freelist[*viewTask]
}

func (s *viewStep) Scratch() int { return 0 }

func (s *viewStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.size, t.x = s.size, a.Tensor(0).Bytes()
	for i := range s.views {
		t.v, t.y = &s.views[i], a.OutTensor(i).Bytes()
		if len(t.y) == 0 {
			continue
		}
		inner := t.v.shape[len(t.v.shape)-1]
		t.rows = max(1, pointwiseTile/max(8, inner))
		s.d.pool.Run(t, ceilDiv(len(t.y)/s.size/inner, t.rows))
	}
	t.x, t.y = nil, nil
	return nil
}

type viewTask struct {
	v    *view
	size int
	x, y []byte
	rows int // innermost loops of a tile
}

// Tile implements par.Task.
func (t *viewTask) Tile(i, _ int) {
	v := t.v
	last := len(v.shape) - 1
	n, stride := v.shape[last], v.strides[last]
	lo, hi := i*t.rows, min((i+1)*t.rows, len(t.y)/t.size/n)
	var at [maxLoops]int
	off := v.base
	for k, rest := last-1, lo; k >= 0; k-- {
		at[k] = rest % v.shape[k]
		rest /= v.shape[k]
		off += at[k] * v.strides[k]
	}
	for r := lo; r < hi; r++ {
		copyStrided(t.y[r*n*t.size:][:n*t.size], t.x, off, stride, t.size)
		for k := last - 1; k >= 0; k-- {
			at[k]++
			off += v.strides[k]
			if at[k] < v.shape[k] {
				break
			}
			off -= at[k] * v.strides[k]
			at[k] = 0
		}
	}
}

// copyStrided fills y with elements of x, from element off on by stride.
func copyStrided(y, x []byte, off, stride, size int) {
	if stride == 1 {
		copy(y, x[off*size:])
		return
	}
	switch size {
	case 1:
		elements(y, x, off, stride)
	case 2:
		elements(cast[uint16](y), cast[uint16](x), off, stride)
	case 4:
		elements(cast[uint32](y), cast[uint32](x), off, stride)
	case 8:
		elements(cast[uint64](y), cast[uint64](x), off, stride)
	default:
		for ; len(y) > 0; y = y[size:] {
			copy(y[:size], x[off*size:])
			off += stride
		}
	}
}

func elements[T any](y, x []T, off, stride int) {
	if stride == 0 {
		v := x[off]
		for i := range y {
			y[i] = v
		}
		return
	}
	for i := range y {
		y[i] = x[off]
		off += stride
	}
}

// cast views bytes as elements; tensors are aligned.
func cast[T any](b []byte) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(zero)))
}

// blocksStep copies blocks of its first input by the indices in the second.
type blocksStep struct {
	d           *Device
	outer, n    int // blocks are [outer, n]
	size, count int // bytes of a block, indices
	rows        int // blocks of a tile
	tasks       freelist[*blocksTask]
}

func (s *blocksStep) Scratch() int { return 0 }

func (s *blocksStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.wide, t.narrow = s, a.Tensor(0).Bytes(), a.OutTensor(0).Bytes(), nil, nil
	if idx := a.Tensor(1); idx.DType() == tensor.Int64 {
		t.wide = tensor.As[int64](idx)
	} else {
		t.narrow = tensor.As[int32](idx)
	}
	for j := range s.count {
		if k := t.index(j); k < 0 || k >= int64(s.n) {
			return errs.Errorf("%w: %d of %d", errIndex, t.raw(j), s.n)
		}
	}
	if len(t.y) > 0 {
		s.d.pool.Run(t, ceilDiv(s.outer*s.count, s.rows))
	}
	return nil
}

var errIndex = errors.New("an index is out of range")

type blocksTask struct {
	s      *blocksStep
	x, y   []byte
	wide   []int64
	narrow []int32
}

func (t *blocksTask) raw(j int) int64 {
	if t.wide != nil {
		return t.wide[j]
	}
	return int64(t.narrow[j])
}

func (t *blocksTask) index(j int) int64 {
	k := t.raw(j)
	if k < 0 {
		k += int64(t.s.n)
	}
	return k
}

// Tile implements par.Task.
func (t *blocksTask) Tile(i, _ int) {
	s := t.s
	for r := i * s.rows; r < min((i+1)*s.rows, s.outer*s.count); r++ {
		from := r/s.count*s.n + int(t.index(r%s.count))
		dst := t.y[r*s.size:][:s.size]
		switch s.size {
		case 4:
			*(*uint32)(unsafe.Pointer(&dst[0])) = *(*uint32)(unsafe.Pointer(&t.x[from*4 : from*4+4][0]))
		case 8:
			*(*uint64)(unsafe.Pointer(&dst[0])) = *(*uint64)(unsafe.Pointer(&t.x[from*8 : from*8+8][0]))
		default:
			copy(dst, t.x[from*s.size:])
		}
	}
}

// widening is the conversion of integers of a type to float32, with rounding to nearest; nil where there is none here.
func widening(dt tensor.DType) func(y []float32, x *tensor.Tensor, lo int) {
	switch dt {
	case tensor.Int64:
		return toFloats[int64]
	case tensor.Int32:
		return toFloats[int32]
	case tensor.Uint8:
		return toFloats[uint8]
	case tensor.Int8:
		return toFloats[int8]
	}
	return nil
}

func toFloats[T int64 | int32 | uint8 | int8](y []float32, x *tensor.Tensor, lo int) {
	for i, v := range tensor.As[T](x)[lo : lo+len(y)] {
		y[i] = float32(v)
	}
}

// widenStep converts integers.
type widenStep struct {
	d     *Device
	f     func(y []float32, x *tensor.Tensor, lo int)
	tasks freelist[*widenTask]
}

func (s *widenStep) Scratch() int { return 0 }

func (s *widenStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.f, t.x, t.y = s.f, a.Tensor(0), f32Out(a, 0)
	s.d.pool.Run(t, ceilDiv(len(t.y), pointwiseTile))
	return nil
}

type widenTask struct {
	f func(y []float32, x *tensor.Tensor, lo int)
	x *tensor.Tensor
	y []float32
}

// Tile implements par.Task.
func (t *widenTask) Tile(i, _ int) {
	lo := i * pointwiseTile
	t.f(t.y[lo:min(lo+pointwiseTile, len(t.y))], t.x, lo)
}
