package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
)

func (d *Device) normKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("batchnorm/train_f32_"+lvl, func(op ops.BatchNormalization, r devices.Request) int {
			if !op.TrainingMode || !allF32(r) || prod(dims(r.In[0])) == 0 {
				return 0
			}
			return 10
		}, func(op ops.BatchNormalization, r devices.Request) (devices.Step, error) {
			s := &batchNormStep{channels: d.newChannels(dims(r.In[0]), op.Format)}
			s.eps, s.momentum = op.Epsilon, float32(op.Momentum)
			return s, nil
		}),
		devices.For("batchnormgrad/f32_"+lvl, func(op ops.BatchNormalizationGrad, r devices.Request) int {
			if !allF32(r) || prod(dims(r.In[1])) == 0 {
				return 0
			}
			return 10
		}, func(op ops.BatchNormalizationGrad, r devices.Request) (devices.Step, error) {
			return &batchNormGradStep{channels: d.newChannels(dims(r.In[1]), op.Format)}, nil
		}),
	}
}

// channels is the view of data that normalisation over the batch has: rows of inner elements. With last,
// a row holds one element of each channel; else row i is of channel i modulo c.
type channels struct {
	d      *Device
	c      int
	inner  int
	rows   int
	last   bool
	slices int // the rows are cut in so many parts, each with sums of its own
}

func (d *Device) newChannels(shape []int, f ops.Format) channels {
	s := channels{d: d, c: 1, inner: 1, last: f == ops.NHWC || len(shape) == 2}
	switch {
	case s.last:
		s.c = shape[len(shape)-1]
		s.inner = s.c
	case len(shape) > 1:
		s.c, s.inner = shape[1], prod(shape[2:])
	}
	s.rows = prod(shape) / s.inner
	s.slices = max(1, min(sumSlices, s.rows, s.rows*s.inner/4096))
	return s
}

// sums is the memory of one slice's sums, in elements: two numbers and a row for each channel.
func (s *channels) sums() int { return 2*pad64(s.c) + pad64(s.inner) }

// slice is the rows of slice i.
func (s *channels) slice(i int) (from, to int) {
	return i * s.rows / s.slices, (i + 1) * s.rows / s.slices
}

// fold adds the sums of all slices to those of the first.
func (s *channels) fold(parts []float32, second bool) []float32 {
	at := 0
	if second {
		at = pad64(s.c)
	}
	sum := parts[at:][:s.c]
	for i := 1; i < s.slices; i++ {
		s.d.k.Vec.Add(sum, sum, parts[i*s.sums()+at:][:s.c])
	}
	return sum
}

// batchNormStep normalises by the statistics of the batch.
type batchNormStep struct {
	channels
	eps      float64
	momentum float32
	tasks    freelist[*batchNormTask]
}

func (s *batchNormStep) Scratch() int { return s.slices * s.sums() * 4 }

func (s *batchNormStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	scale, bias := f32(a, 1), f32(a, 2)
	mean, inv := f32Out(a, 3), f32Out(a, 4)
	t.s, t.x, t.y, t.parts, t.mean = s, f32(a, 0), f32Out(a, 0), floats(a.Scratch), mean
	share := 1 / float32(s.rows*s.inner/s.c)
	t.phase = 0
	s.d.pool.Run(t, s.slices)
	s.d.k.Vec.MulS(mean, s.fold(t.parts, false), share, 0)
	t.phase = 1
	s.d.pool.Run(t, s.slices)
	variance := s.fold(t.parts, true)
	runMean, runVar, oldMean, oldVar := f32Out(a, 1), f32Out(a, 2), f32(a, 3), f32(a, 4)
	gain, shift := t.parts[:s.c], t.parts[pad64(s.c):][:s.c]
	for i, v := range variance {
		v *= share
		inv[i] = 1 / sqrt32(v+float32(s.eps))
		runMean[i] = oldMean[i]*s.momentum + mean[i]*(1-s.momentum)
		runVar[i] = oldVar[i]*s.momentum + v*(1-s.momentum)
		gain[i] = scale[i] * inv[i]
		shift[i] = bias[i]
	}
	t.gain, t.shift, t.phase = gain, shift, 2
	s.d.pool.Run(t, s.slices)
	return nil
}

type batchNormTask struct {
	s                 *batchNormStep
	x, y, parts       []float32
	mean, gain, shift []float32
	phase             int // 0: sums, 1: squares about the mean, 2: the result
}

// Tile implements par.Task.
func (t *batchNormTask) Tile(i, _ int) {
	s, v := t.s, &t.s.d.k.Vec
	from, to := s.slice(i)
	part := t.parts[i*s.sums():][:s.sums()]
	sum, sq, tmp := part[:s.c], part[pad64(s.c):][:s.c], part[2*pad64(s.c):][:s.inner]
	switch t.phase {
	case 0:
		clear(sum)
	case 1:
		clear(sq)
	}
	for r := from; r < to; r++ {
		x, c := t.x[r*s.inner:][:s.inner], r%s.c
		switch {
		case t.phase == 0 && s.last:
			v.Add(sum, sum, x)
		case t.phase == 0:
			sum[c] += v.Sum(x)
		case t.phase == 1 && s.last:
			v.Sub(tmp, x, t.mean)
			v.MulAdd(sq, tmp, tmp, sq)
		case t.phase == 1:
			sq[c] += v.SumSqDev(x, t.mean[c])
		case s.last:
			y := t.y[r*s.inner:][:s.inner]
			v.Sub(y, x, t.mean)
			v.MulAdd(y, y, t.gain, t.shift)
		default:
			v.ScaleShift(t.y[r*s.inner:][:s.inner], x, t.gain[c], t.shift[c]-t.mean[c]*t.gain[c])
		}
	}
}

// batchNormGradStep is dx = scale*inv*(dy - mean(dy) - xhat*mean(dy*xhat)), with the sums for scale and
// bias.
type batchNormGradStep struct {
	channels
	tasks freelist[*batchNormGradTask]
}

func (s *batchNormGradStep) Scratch() int { return s.slices * s.sums() * 4 }

func (s *batchNormGradStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	scale, inv := f32(a, 2), f32(a, 4)
	ds, db := f32Out(a, 1), f32Out(a, 2)
	t.s, t.dy, t.x, t.mean, t.dx, t.parts = s, f32(a, 0), f32(a, 1), f32(a, 3), f32Out(a, 0), floats(a.Scratch)
	t.result = false
	s.d.pool.Run(t, s.slices)
	copy(db, s.fold(t.parts, false))
	s.d.k.Vec.Mul(ds, s.fold(t.parts, true), inv)
	share := 1 / float32(s.rows*s.inner/s.c)
	// dx = gain*dy + slope*(x-mean) + shift
	// (gain and slope lie where the first slice had its sums: tmp is behind them)
	t.gain, t.slope = t.parts[:s.c], t.parts[pad64(s.c):][:s.c]
	t.shifts = append(t.shifts[:0], db...)
	for c := range ds {
		g := scale[c] * inv[c]
		t.gain[c] = g
		t.slope[c] = -g * inv[c] * ds[c] * share
		t.shifts[c] = -g * db[c] * share
	}
	t.result = true
	s.d.pool.Run(t, s.slices)
	return nil
}

type batchNormGradTask struct {
	s                *batchNormGradStep
	dy, x, dx, parts []float32
	mean             []float32
	gain, slope      []float32
	shifts           []float32
	result           bool // the second phase
}

// Tile implements par.Task.
func (t *batchNormGradTask) Tile(i, _ int) {
	s, v := t.s, &t.s.d.k.Vec
	from, to := s.slice(i)
	part := t.parts[i*s.sums():][:s.sums()]
	sum, dot, tmp := part[:s.c], part[pad64(s.c):][:s.c], part[2*pad64(s.c):][:s.inner]
	if !t.result {
		clear(sum)
		clear(dot)
	}
	for r := from; r < to; r++ {
		dy, x, c := t.dy[r*s.inner:][:s.inner], t.x[r*s.inner:][:s.inner], r%s.c
		switch {
		case !t.result && s.last:
			v.Add(sum, sum, dy)
			v.Sub(tmp, x, t.mean)
			v.MulAdd(dot, tmp, dy, dot)
		case !t.result:
			sum[c] += v.Sum(dy)
			v.AddS(tmp, x, -t.mean[c], 0)
			dot[c] += v.Dot(tmp, dy)
		case s.last:
			dx := t.dx[r*s.inner:][:s.inner]
			v.Sub(tmp, x, t.mean)
			v.MulAdd(tmp, tmp, t.slope, t.shifts)
			v.MulAdd(dx, dy, t.gain, tmp)
		default:
			dx := t.dx[r*s.inner:][:s.inner]
			v.ScaleShift(tmp, x, t.slope[c], t.shifts[c]-t.mean[c]*t.slope[c])
			v.ScaleShift(dx, dy, t.gain[c], 0)
			v.Add(dx, dx, tmp)
		}
	}
}
