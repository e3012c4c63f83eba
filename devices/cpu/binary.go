package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// arithmetic is a binary function in its three forms: of two vectors, and with a number on one side.
type arithmetic struct {
	vv kern.Binary
	vs func(dst, x []float32, s float32)           // x op s
	sv func(dst []float32, s float32, y []float32) // nil: the function is commutative
}

func (d *Device) binaryKernels() []devices.Kernel {
	return []devices.Kernel{
		binaryKernel[ops.Add](d, "add", d.adding()),
		binaryKernel[ops.Sub](d, "sub", d.subtracting()),
		binaryKernel[ops.Mul](d, "mul", d.multiplying()),
		binaryKernel[ops.Max](d, "max", d.largest()),
		binaryKernel[ops.Min](d, "min", d.smallest()),
		binaryKernel[ops.Div](d, "div", d.dividing()),
	}
}

// rightOf and leftOf are functions of a vector and a parameter as functions of a vector and a number.
//
//go:noinline
func rightOf(f kern.Unary) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) { f(dst, x, s, 0) }
}

//go:noinline
func leftOf(f kern.Unary) func(dst []float32, s float32, y []float32) {
	return func(dst []float32, s float32, y []float32) { f(dst, y, s, 0) }
}

//go:noinline
func (d *Device) adding() arithmetic {
	return arithmetic{d.k.Vec.Add, rightOf(d.k.Vec.AddS), leftOf(d.k.Vec.AddS)}
}

//go:noinline
func (d *Device) subtracting() arithmetic {
	v := &d.k.Vec
	return arithmetic{v.Sub, func(dst, x []float32, s float32) { v.AddS(dst, x, -s, 0) }, leftOf(v.SubFrom)}
}

//go:noinline
func (d *Device) multiplying() arithmetic {
	return arithmetic{d.k.Vec.Mul, rightOf(d.k.Vec.MulS), leftOf(d.k.Vec.MulS)}
}

//go:noinline
func (d *Device) dividing() arithmetic {
	return arithmetic{d.k.Vec.Div, rightOf(d.k.Vec.DivBy), leftOf(d.k.Vec.DivFrom)}
}

//go:noinline
func (d *Device) largest() arithmetic {
	return arithmetic{d.k.Vec.Max, repeated(d.k.Vec.Max), nil}
}

//go:noinline
func (d *Device) smallest() arithmetic {
	return arithmetic{d.k.Vec.Min, repeated(d.k.Vec.Min), nil}
}

// repeated is a commutative function with a number on one side.
//
//go:noinline
func repeated(f kern.Binary) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) {
		var buf [64]float32
		for i := range buf {
			buf[i] = s
		}
		for len(x) > 0 {
			n := min(len(buf), len(x))
			f(dst[:n], x[:n], buf[:n])
			dst, x = dst[n:], x[n:]
		}
	}
}

func binaryKernel[O graph.Op](d *Device, name string, f arithmetic) devices.Kernel {
	return devices.For(name+"/f32_"+d.Level(), func(_ O, r devices.Request) int {
		if len(r.In) != 2 || !allF32(r) {
			return 0
		}
		return 10
	}, func(_ O, r devices.Request) (devices.Step, error) {
		return newBinaryStep(d, f, dims(r.In[0]), dims(r.In[1]), dims(r.Out[0])), nil
	})
}

// binaryStep is broadcasting arithmetic: an inner loop along which each side is contiguous or one number, under
// outer loops.
type binaryStep struct {
	d      *Device
	f      arithmetic
	outer  []int // sizes of the outer loops
	sx, sy []int // their strides
	inner  int
	ix, iy int // strides of the inner loop: 0 or 1
	rows   int // outer iterations of one tile
	chunk  int // or, where there is one outer iteration, elements of a tile
	tasks  freelist[*binaryTask]
}

func newBinaryStep(d *Device, f arithmetic, x, y, out []int) *binaryStep {
	sx, sy := broadcastStrides(x, out), broadcastStrides(y, out)
	var shape, mx, my []int
	for i, n := range out {
		if n == 1 {
			continue
		}
		if k := len(shape) - 1; k >= 0 && mx[k] == sx[i]*n && my[k] == sy[i]*n {
			shape[k], mx[k], my[k] = shape[k]*n, sx[i], sy[i]
			continue
		}
		shape, mx, my = append(shape, n), append(mx, sx[i]), append(my, sy[i])
	}
	s := &binaryStep{d: d, f: f, inner: 1, ix: 1, iy: 1}
	if k := len(shape) - 1; k >= 0 {
		s.outer, s.sx, s.sy = shape[:k], mx[:k], my[:k]
		s.inner, s.ix, s.iy = shape[k], mx[k], my[k]
	}
	s.rows = max(1, pointwiseTile/max(1, s.inner))
	s.chunk = s.inner
	if len(s.outer) == 0 {
		s.chunk = pointwiseTile
	}
	return s
}

func (s *binaryStep) Scratch() int { return 0 }

func (s *binaryStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.z = s, f32(a, 0), f32(a, 1), f32Out(a, 0)
	if len(t.z) == 0 {
		return nil
	}
	if len(s.outer) == 0 {
		s.d.pool.Run(t, ceilDiv(s.inner, s.chunk))
		return nil
	}
	s.d.pool.Run(t, ceilDiv(prod(s.outer), s.rows))
	return nil
}

type binaryTask struct {
	s       *binaryStep
	x, y, z []float32
}

// Tile implements par.Task.
func (t *binaryTask) Tile(i, _ int) {
	s := t.s
	if len(s.outer) == 0 {
		lo := i * s.chunk
		n := min(s.chunk, s.inner-lo)
		t.line(lo*s.ix, lo*s.iy, lo, n)
		return
	}
	total := len(t.z) / s.inner
	for r := i * s.rows; r < min((i+1)*s.rows, total); r++ {
		rest, ox, oy := r, 0, 0
		for k := len(s.outer) - 1; k >= 0; k-- {
			q := rest % s.outer[k]
			rest /= s.outer[k]
			ox += q * s.sx[k]
			oy += q * s.sy[k]
		}
		t.line(ox, oy, r*s.inner, s.inner)
	}
}

// line computes n elements from the given offsets on.
func (t *binaryTask) line(x, y, z, n int) {
	s := t.s
	dst := t.z[z:][:n]
	switch {
	case s.iy == 0:
		s.f.vs(dst, t.x[x:][:n], t.y[y])
	case s.ix == 0:
		if s.f.sv == nil {
			s.f.vs(dst, t.y[y:][:n], t.x[x])
			return
		}
		s.f.sv(dst, t.x[x], t.y[y:][:n])
	default:
		s.f.vv(dst, t.x[x:][:n], t.y[y:][:n])
	}
}
