package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
)

// groupedKernels normalize rows, or the channels of each sample.
func (d *Device) groupedKernels() []devices.Kernel {
	lvl := d.Level()
	channelsFirst := func(r devices.Request, f ops.Format) bool {
		return allF32(r) && (f == ops.NCHW || len(dims(r.In[0])) == 2) && len(dims(r.In[0])) >= 2 && prod(dims(r.In[0])) > 0
	}
	return []devices.Kernel{
		devices.For("logsoftmax/f32_"+lvl, func(op ops.LogSoftmax, r devices.Request) int {
			if !allF32(r) || innermost(r, op.Axis) < 1 {
				return 0
			}
			return 10
		}, func(op ops.LogSoftmax, r devices.Request) (devices.Step, error) {
			return d.newRowStep(innermost(r, op.Axis), logSoftmaxRow), nil
		}),
		devices.For("rmsnorm/f32_"+lvl, func(op ops.RMSNormalization, r devices.Request) int {
			if n := tail(r, op.Axis); !allF32(r) || n < 1 || prod(dims(r.In[1])) != n || len(r.In) != 2 {
				return 0
			}
			return 10
		}, func(op ops.RMSNormalization, r devices.Request) (devices.Step, error) {
			s := d.newRowStep(tail(r, op.Axis), rmsNormRow)
			s.eps = float32(op.Epsilon)
			return s, nil
		}),
		devices.For("instancenorm/nchw_f32_"+lvl, func(op ops.InstanceNormalization, r devices.Request) int {
			if !channelsFirst(r, op.Format) {
				return 0
			}
			return 10
		}, func(op ops.InstanceNormalization, r devices.Request) (devices.Step, error) {
			return d.newGroupStep(dims(r.In[0]), dims(r.In[0])[1], op.Epsilon), nil
		}),
		devices.For("groupnorm/nchw_f32_"+lvl, func(op ops.GroupNormalization, r devices.Request) int {
			if !channelsFirst(r, op.Format) {
				return 0
			}
			return 10
		}, func(op ops.GroupNormalization, r devices.Request) (devices.Step, error) {
			return d.newGroupStep(dims(r.In[0]), op.NumGroups, op.Epsilon), nil
		}),
	}
}

// logSoftmaxRow is x - m - ln Σe^(x-m).
func logSoftmaxRow(t *rowTask, _ int, y, x []float32) {
	v := &t.s.d.k.Vec
	m := v.MaxOf(x)
	if m-m != 0 && m < 0 {
		m = 0
	}
	var buf [256]float32
	sum := float64(0)
	for at := 0; at < len(x); at += len(buf) {
		n := min(len(buf), len(x)-at)
		sum += float64(v.ExpSum(buf[:n], x[at:at+n], m))
	}
	v.AddS(y, x, -m, 0) // in two steps: m may be large and the logarithm small
	v.AddS(y, y, float32(-math.Log(sum)), 0)
}

func rmsNormRow(t *rowTask, _ int, y, x []float32) {
	v := &t.s.d.k.Vec
	v.MulS(y, x, 1/sqrt32(v.SumSq(x)/float32(len(x))+t.s.eps), 0)
	v.Mul(y, y, t.gain)
}

// groupStep normalizes groups of channels of each sample, channels first.
type groupStep struct {
	d              *Device
	channels, each int // of a sample, of a group
	pixels         int
	groups         int // of all samples
	eps            float64
	tasks          freelist[*groupTask]
}

func (d *Device) newGroupStep(x []int, groups int, eps float64) *groupStep {
	return &groupStep{d: d, channels: x[1], each: x[1] / groups, pixels: prod(x[2:]), groups: x[0] * groups, eps: eps}
}

func (s *groupStep) Scratch() int { return 0 }

func (s *groupStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.gain, t.bias = s, f32(a, 0), f32Out(a, 0), f32(a, 1), f32(a, 2)
	s.d.pool.Run(t, s.groups)
	return nil
}

type groupTask struct {
	s                *groupStep
	x, y, gain, bias []float32
}

// Tile implements par.Task: one group.
func (t *groupTask) Tile(i, _ int) {
	s := t.s
	v := &s.d.k.Vec
	n := s.each * s.pixels
	x, y := t.x[i*n:][:n], t.y[i*n:][:n]
	mean := v.Sum(x) / float32(n)
	inv := 1 / math.Sqrt(float64(v.SumSqDev(x, mean))/float64(n)+s.eps)
	first := i * s.each % s.channels
	if s.pixels == 1 {
		for k := range y {
			y[k] = float32((float64(x[k])-float64(mean))*inv)*t.gain[first+k] + t.bias[first+k]
		}
		return
	}
	for k := range s.each {
		at := k * s.pixels
		// The mean is taken off first: in one product it would cancel.
		v.AddS(y[at:at+s.pixels], x[at:at+s.pixels], -mean, 0)
		v.ScaleShift(y[at:at+s.pixels], y[at:at+s.pixels], float32(inv)*t.gain[first+k], t.bias[first+k])
	}
}
