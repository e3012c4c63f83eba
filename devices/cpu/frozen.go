package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// frozenKernels is what inference folds away and training meets: normalization by given statistics, and padding.
func (d *Device) frozenKernels() []devices.Kernel {
	return []devices.Kernel{
		devices.For("batchnorm/f32_"+d.Level(), func(op ops.BatchNormalization, r devices.Request) int {
			if op.TrainingMode || !allF32(r) || len(dims(r.In[0])) < 2 || prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, func(op ops.BatchNormalization, r devices.Request) (devices.Step, error) {
			x := dims(r.In[0])
			c := op.Format.Channel(len(x))
			s := &scaleStep{d: d, eps: op.Epsilon, c: x[c], inner: prod(x[c+1:]), repeat: 1}
			if s.inner == 1 {
				s.repeat = max(1, scaleRow/s.c)
			}
			return s, nil
		}),
		devices.For("padgrad/b4", func(op ops.PadGrad, r devices.Request) int {
			if !r.Out[0].Static() || prod(dims(r.Out[0])) == 0 || has(r, 2) && r.In[2].DType != tensor.Int64 {
				return 0
			}
			r.In = append([]graph.Type{r.In[0], r.In[1], {}}, r.In[3:]...)
			return matchPad(ops.Pad(op), r)
		}, func(_ ops.PadGrad, r devices.Request) (devices.Step, error) {
			before, _ := padAmounts(r)
			s := newPadStep(d, dims(r.Out[0]), dims(r.In[0]), before)
			s.back = true
			return s, nil
		}),
		devices.For("pad/b4", matchPad, func(_ ops.Pad, r devices.Request) (devices.Step, error) {
			before, _ := padAmounts(r)
			return newPadStep(d, dims(r.In[0]), dims(r.Out[0]), before), nil
		}),
	}
}

// scaleRow is how many elements a vector of scales is repeated to, for few channels.
const scaleRow = 512

// scaleStep multiplies and shifts each channel.
type scaleStep struct {
	d                *Device
	eps              float64
	c, inner, repeat int
	tasks            freelist[*scaleTask]
}

func (s *scaleStep) Scratch() int { return 2 * pad64(s.c*s.repeat) * 4 }

func (s *scaleStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	n := s.c * s.repeat
	buf := floats(a.Scratch)
	t.s, t.x, t.y, t.scale, t.shift = s, f32(a, 0), f32Out(a, 0), buf[:n], buf[pad64(n):][:n]
	gain, bias, mean, variance := f32(a, 1), f32(a, 2), f32(a, 3), f32(a, 4)
	for i := range s.c {
		k := float64(gain[i]) / math.Sqrt(float64(variance[i])+s.eps)
		t.scale[i], t.shift[i] = float32(k), float32(float64(bias[i])-float64(mean[i])*k)
	}
	for i := s.c; i < n; i++ {
		t.scale[i], t.shift[i] = t.scale[i-s.c], t.shift[i-s.c]
	}
	unit := n
	if s.inner > 1 {
		unit = s.inner
	}
	t.unit = unit
	t.units = max(1, pointwiseTile/unit)
	s.d.pool.Run(t, ceilDiv(len(t.y), unit*t.units))
	return nil
}

type scaleTask struct {
	s                  *scaleStep
	x, y, scale, shift []float32
	unit, units        int // elements of a row, rows of a tile
}

// Tile implements par.Task.
func (t *scaleTask) Tile(i, _ int) {
	for at := i * t.units * t.unit; at < min((i+1)*t.units*t.unit, len(t.y)); at += t.unit {
		n := min(t.unit, len(t.y)-at)
		x, y := t.x[at:][:n], t.y[at:][:n]
		if t.s.inner > 1 {
			c := at / t.unit % t.s.c
			t.s.d.k.Vec.ScaleShift(y, x, t.scale[c], t.shift[c])
			continue
		}
		t.s.d.k.Vec.MulAdd(y, x, t.scale[:n], t.shift[:n])
	}
}

// matchPad matches padding with a constant by known amounts, none of which crops.
func matchPad(op ops.Pad, r devices.Request) int {
	if op.Mode != "" && op.Mode != "constant" || matchMoveOf(r, r.In[:1]) == 0 || prod(dims(r.In[0])) == 0 {
		return 0
	}
	if has(r, 2) && (r.In[2].Kind != graph.TensorKind || r.In[2].DType.Size() != 4) {
		return 0
	}
	if _, ok := padAmounts(r); !ok {
		return 0
	}
	return 10
}

// padAmounts is the padding before each dimension.
func padAmounts(r devices.Request) ([]int, bool) {
	x := dims(r.In[0])
	if r.Const[1] == nil || has(r, 3) && r.Const[3] == nil {
		return nil, false
	}
	pads, err := r.Const[1].Int64s()
	if err != nil {
		return nil, false
	}
	var axes []int64
	if has(r, 3) {
		if axes, err = r.Const[3].Int64s(); err != nil {
			return nil, false
		}
	} else {
		for i := range x {
			axes = append(axes, int64(i))
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, false
	}
	before := make([]int, len(x))
	for i, a := range axes {
		if a < 0 {
			a += int64(len(x))
		}
		if a < 0 || int(a) >= len(x) || pads[i] < 0 || pads[i+len(axes)] < 0 {
			return nil, false
		}
		before[a] = int(pads[i])
	}
	return before, true
}

// padStep copies runs of the data into a result that is otherwise one number.
type padStep struct {
	d      *Device
	x, y   []int // shapes; the dimensions behind the last padded one are merged with it
	before []int
	back   bool // the gradient: cuts the inside out of y
	rows   int  // of y, of one tile
	tasks  freelist[*padTask]
}

func newPadStep(d *Device, x, y, before []int) *padStep {
	last := len(x) - 1
	for last > 0 && x[last] == y[last] {
		last--
	}
	s := &padStep{d: d}
	if len(x) == 0 {
		s.x, s.y, s.before = []int{1}, []int{1}, []int{0}
	} else {
		inner := prod(x[last+1:])
		s.x = append(append(s.x, x[:last]...), x[last]*inner)
		s.y = append(append(s.y, y[:last]...), y[last]*inner)
		s.before = append(append(s.before, before[:last]...), before[last]*inner)
	}
	s.rows = max(1, pointwiseTile/max(1, s.y[len(s.y)-1]))
	return s
}

func (s *padStep) Scratch() int { return 0 }

func (s *padStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.value = s, words(a.In[0]), words(a.Out[0]), 0
	if s.back {
		t.x, t.y = t.y, t.x
	} else if v := a.Tensor(2); v != nil && v.Len() == 1 {
		t.value = floats(v.Bytes())[0]
	}
	s.d.pool.Run(t, ceilDiv(prod(s.y[:len(s.y)-1]), s.rows))
	return nil
}

type padTask struct {
	s     *padStep
	x, y  []float32
	value float32
}

// Tile implements par.Task.
func (t *padTask) Tile(i, _ int) {
	s := t.s
	k := len(s.y) - 1
	n, m := s.y[k], s.x[k]
	for r := i * s.rows; r < min((i+1)*s.rows, len(t.y)/max(1, n)); r++ {
		row := t.y[r*n:][:n]
		from, inside, rest, stride := 0, true, r, m
		for d := k - 1; d >= 0; d-- {
			at := rest%s.y[d] - s.before[d]
			rest /= s.y[d]
			inside = inside && at >= 0 && at < s.x[d]
			from += at * stride
			stride *= s.x[d]
		}
		switch {
		case s.back && inside:
			copy(t.x[from:][:m], row[s.before[k]:])
			continue
		case s.back:
			continue
		case !inside:
			fill(row, t.value)
			continue
		}
		fill(row[:s.before[k]], t.value)
		copy(row[s.before[k]:], t.x[from:][:m])
		fill(row[s.before[k]+m:], t.value)
	}
}

func fill(y []float32, v float32) {
	for i := range y {
		y[i] = v
	}
}
