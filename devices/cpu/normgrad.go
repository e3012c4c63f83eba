package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// normGradKernels are normalization by the batch's statistics, and gradients of normalizations.
func (d *Device) normGradKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("batchnormtrain/nhwc_f32_"+lvl, func(op ops.BatchNormalization, r devices.Request) int {
			if !op.TrainingMode || !lastChannels(op.Format, r.In[0]) || !allF32(r) {
				return 0
			}
			return 11
		}, func(op ops.BatchNormalization, r devices.Request) (devices.Step, error) {
			x := dims(r.In[0])
			return &rowNormStep{channelRows: d.newChannelRows(x), eps: op.Epsilon, momentum: op.Momentum}, nil
		}),
		devices.For("batchnormgrad/nhwc_f32_"+lvl, func(op ops.BatchNormalizationGrad, r devices.Request) int {
			if !lastChannels(op.Format, r.In[1]) || !allF32(r) {
				return 0
			}
			return 11
		}, func(_ ops.BatchNormalizationGrad, r devices.Request) (devices.Step, error) {
			return &rowNormGradStep{channelRows: d.newChannelRows(dims(r.In[1]))}, nil
		}),
		devices.For("layernormgrad/f32_"+lvl, func(op ops.LayerNormalizationGrad, r devices.Request) int {
			n := tail(devices.Request{In: r.In[1:2]}, op.Axis)
			if !allF32(r) || n < 1 || prod(dims(r.In[1])) == 0 || prod(dims(r.In[2])) != n {
				return 0
			}
			return 10
		}, func(op ops.LayerNormalizationGrad, r devices.Request) (devices.Step, error) {
			n := tail(devices.Request{In: r.In[1:2]}, op.Axis)
			return d.newLayerNormGrad(prod(dims(r.In[1]))/n, n), nil
		}),
		devices.For("gathergrad/f32_"+lvl, func(op ops.GatherGrad, r devices.Request) int {
			if !isF32(r.In[0], r.Out[0]) || !r.In[1].Static() || r.In[1].DType != tensor.Int64 && r.In[1].DType != tensor.Int32 || prod(dims(r.Out[0])) == 0 {
				return 0
			}
			return 10
		}, func(op ops.GatherGrad, r devices.Request) (devices.Step, error) {
			return d.newGatherGrad(op.Axis, r), nil
		}),
	}
}

// lastChannels reports whether the channels of x are its last dimension, and there are elements.
func lastChannels(f ops.Format, x graph.Type) bool {
	return x.Static() && len(dims(x)) >= 2 && prod(dims(x)) > 0 && (f == ops.NHWC || len(dims(x)) == 2)
}

// channelRows is rows of channels, cut into slices that have sums of their own; a slice is added up in the first-level cache.
type channelRows struct {
	d              *Device
	c, n           int // channels, rows
	per, slices    int // rows of a slice
	unit, unitRows int // elements of vectors repeated for few channels, rows of a tile
	tasks          freelist[*channelTask]
}

// sliceElements is about how many elements one slice has.
const sliceElements = 8192

func (d *Device) newChannelRows(x []int) *channelRows {
	c := x[len(x)-1]
	s := &channelRows{d: d, c: c, n: prod(x) / c}
	s.per = min(s.n, max(8, sliceElements/c))
	s.slices = ceilDiv(s.n, s.per)
	s.unit = c * max(1, scaleRow/c)
	s.unitRows = max(1, pointwiseTile/s.unit)
	return s
}

// scratch is the elements of the sums, and of three vectors.
func (s *channelRows) scratch() int { return s.slices*2*pad64(s.c) + 3*pad64(s.unit) }

func (s *channelRows) tiles() int { return ceilDiv(s.n*s.c, s.unit*s.unitRows) }

type channelPhase int

const (
	sumX channelPhase = iota
	sumGrad
	normalize
	gradient
)

type channelTask struct {
	s        *channelRows
	phase    channelPhase
	x, dy, y []float32
	mean     []float32
	sums     []float32
	k        [3][]float32 // factors and shifts, repeated
}

func (t *channelTask) bind(s *channelRows, a *devices.Args) {
	buf := floats(a.Scratch)
	t.s, t.sums = s, buf[:s.slices*2*pad64(s.c)]
	buf = buf[s.slices*2*pad64(s.c):]
	for i := range t.k {
		t.k[i], buf = buf[:s.unit], buf[pad64(s.unit):]
	}
}

// slice is the two sums of slice i.
func (t *channelTask) slice(i int) (s, q []float32) {
	p := pad64(t.s.c)
	return t.sums[2*i*p:][:t.s.c], t.sums[(2*i+1)*p:][:t.s.c]
}

func (t *channelTask) run(p channelPhase) {
	t.phase = p
	if p == sumX || p == sumGrad {
		t.s.d.pool.Run(t, t.s.slices)
		return
	}
	t.s.d.pool.Run(t, t.s.tiles())
}

// Tile implements par.Task.
func (t *channelTask) Tile(i, _ int) {
	s, v := t.s, &t.s.d.k.Vec
	if t.phase == sumX || t.phase == sumGrad {
		sum, sq := t.slice(i)
		clear(sum)
		clear(sq)
		lo := i * s.per
		n := min(s.per, s.n-lo)
		if t.phase == sumX {
			// Around the slice's first row, so that the squares don't cancel.
			s.d.k.Moments.X(sum, sq, n, t.x[lo*s.c:], t.x[lo*s.c:])
			return
		}
		s.d.k.Moments.G(sum, sq, n, t.x[lo*s.c:], t.mean, t.dy[lo*s.c:])
		return
	}
	first := i * s.unit * s.unitRows
	for at := first; at < min(first+s.unit*s.unitRows, len(t.y)); at += s.unit {
		n := min(s.unit, len(t.y)-at)
		y, x := t.y[at:][:n], t.x[at:][:n]
		if t.phase == normalize {
			v.MulAdd(y, x, t.k[0][:n], t.k[1][:n])
			continue
		}
		v.MulAdd(y, t.dy[at:][:n], t.k[0][:n], t.k[2][:n])
		v.MulAdd(y, x, t.k[1][:n], y)
	}
}

// repeat copies the first c elements of each vector until it is full.
func (t *channelTask) repeat() {
	for _, v := range t.k {
		for i := t.s.c; i < len(v); i++ {
			v[i] = v[i-t.s.c]
		}
	}
}

// rowNormStep is BatchNormalization in training: inputs x, scale, B, running mean and variance; outputs y, the new
// running statistics, the batch's mean and 1/sqrt(var+eps).
type rowNormStep struct {
	*channelRows
	eps, momentum float64
}

func (s *rowNormStep) Scratch() int { return s.scratch() * 4 }

func (s *rowNormStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.bind(s.channelRows, a)
	t.x, t.y = f32(a, 0), f32Out(a, 0)
	t.run(sumX)
	gain, bias, oldMean, oldVar := f32(a, 1), f32(a, 2), f32(a, 3), f32(a, 4)
	var outs [4][]float32
	for i := range outs {
		if a.OutTensor(i+1) != nil {
			outs[i] = f32Out(a, i+1)
		}
	}
	for c := range s.c {
		mean, variance := t.moments(c)
		inv := 1 / math.Sqrt(variance+s.eps)
		k := float64(gain[c]) * inv
		t.k[0][c], t.k[1][c], t.k[2][c] = float32(k), float32(float64(bias[c])-mean*k), 0
		for i, v := range [4]float64{float64(oldMean[c])*s.momentum + mean*(1-s.momentum), float64(oldVar[c])*s.momentum + variance*(1-s.momentum), mean, inv} {
			if outs[i] != nil {
				outs[i][c] = float32(v)
			}
		}
	}
	t.repeat()
	t.run(normalize)
	return nil
}

// moments joins the slices' sums of channel c.
func (t *channelTask) moments(c int) (mean, variance float64) {
	s := t.s
	n, m2 := 0.0, 0.0
	for i := range s.slices {
		sum, sq := t.slice(i)
		k := float64(min(s.per, s.n-i*s.per))
		d := float64(sum[c]) / k
		part := max(0, float64(sq[c])-d*float64(sum[c]))
		delta := float64(t.x[i*s.per*s.c+c]) + d - mean
		m2 += part + delta*delta*n*k/(n+k)
		mean += delta * k / (n + k)
		n += k
	}
	return mean, m2 / n
}

// rowNormGradStep is BatchNormalizationGrad: inputs dy, x, scale, mean, inv; outputs dx, dscale, dB.
type rowNormGradStep struct{ *channelRows }

func (s *rowNormGradStep) Scratch() int { return s.scratch() * 4 }

func (s *rowNormGradStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.bind(s.channelRows, a)
	t.dy, t.x, t.mean, t.y = f32(a, 0), f32(a, 1), f32(a, 3), f32Out(a, 0)
	t.run(sumGrad)
	gain, inv, dgain, dbias := f32(a, 2), f32(a, 4), f32Out(a, 1), f32Out(a, 2)
	n := float64(s.n)
	for c := range s.c {
		sum, moment := 0.0, 0.0
		for i := range s.slices {
			p, q := t.slice(i)
			sum, moment = sum+float64(p[c]), moment+float64(q[c])
		}
		r := float64(inv[c])
		k := float64(gain[c]) * r
		slope := -k * r * r * moment / n
		dgain[c], dbias[c] = float32(moment*r), float32(sum)
		t.k[0][c], t.k[1][c], t.k[2][c] = float32(k), float32(slope), float32(-k*sum/n-slope*float64(t.mean[c]))
	}
	t.repeat()
	t.run(gradient)
	return nil
}

// layerNormGrad is LayerNormalizationGrad over rows of n elements: inputs dy, x, scale, mean, inv; outputs dx, dscale.
type layerNormGrad struct {
	d           *Device
	rows, n     int
	per, slices int
	tasks       freelist[*layerNormGradTask]
}

func (d *Device) newLayerNormGrad(rows, n int) *layerNormGrad {
	s := &layerNormGrad{d: d, rows: rows, n: n}
	s.per = ceilDiv(rows, max(1, min(rows, sumSlices, rows*n/4096)))
	s.slices = ceilDiv(rows, s.per)
	return s
}

func (s *layerNormGrad) Scratch() int { return (s.slices + 2*s.d.pool.Workers()) * pad64(s.n) * 4 }

func (s *layerNormGrad) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.dy, t.x, t.gain, t.mean, t.inv, t.dx, t.buf = s, f32(a, 0), f32(a, 1), f32(a, 2), f32(a, 3), f32(a, 4), f32Out(a, 0), floats(a.Scratch)
	s.d.pool.Run(t, s.slices)
	dgain := f32Out(a, 1)
	copy(dgain, t.buf)
	for i := 1; i < s.slices; i++ {
		s.d.k.Vec.Add(dgain, dgain, t.buf[i*pad64(s.n):][:s.n])
	}
	return nil
}

type layerNormGradTask struct {
	s                          *layerNormGrad
	dy, x, gain, mean, inv, dx []float32
	buf                        []float32 // sums of slices, then two rows for each worker
}

// Tile implements par.Task: one slice of the rows.
func (t *layerNormGradTask) Tile(i, worker int) {
	s, v := t.s, &t.s.d.k.Vec
	p := pad64(s.n)
	sum, g, hat := t.buf[i*p:][:s.n], t.buf[(s.slices+2*worker)*p:][:s.n], t.buf[(s.slices+2*worker+1)*p:][:s.n]
	clear(sum)
	for r := i * s.per; r < min((i+1)*s.per, s.rows); r++ {
		dy, x, dx := t.dy[r*s.n:][:s.n], t.x[r*s.n:][:s.n], t.dx[r*s.n:][:s.n]
		inv := t.inv[r]
		v.ScaleShift(hat, x, inv, -t.mean[r]*inv)
		v.Mul(g, dy, t.gain)
		v.MulAdd(sum, dy, hat, sum)
		all, moment := v.Sum(g)/float32(s.n), v.Dot(g, hat)/float32(s.n)
		v.ScaleShift(dx, hat, -moment*inv, -all*inv)
		v.Axpy(dx, g, inv)
	}
}
