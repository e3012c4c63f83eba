package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// pointwiseTile is how many elements one task of an elementwise kernel takes.
const pointwiseTile = 1 << 14

func (d *Device) pointwiseKernels() []devices.Kernel {
	v := &d.k.Vec
	return []devices.Kernel{
		simpleUnary[ops.Relu](d, "relu", activation{f: v.Clip, b: posInf}),
		simpleUnary[ops.Sigmoid](d, "sigmoid", activation{f: v.Sigmoid}),
		simpleUnary[ops.Tanh](d, "tanh", activation{f: v.Tanh}),
		simpleUnary[ops.Neg](d, "neg", activation{f: v.Neg}),
		simpleUnary[ops.Abs](d, "abs", activation{f: v.Abs}),
		simpleUnary[ops.Exp](d, "exp", activation{f: v.Exp}),
		simpleUnary[ops.Log](d, "log", activation{f: v.Log}),
		simpleUnary[ops.Sqrt](d, "sqrt", activation{f: v.Sqrt}),
		simpleUnary[ops.Rsqrt](d, "rsqrt", activation{f: v.Rsqrt}),
		simpleUnary[ops.Reciprocal](d, "reciprocal", activation{f: v.Reciprocal}),
		simpleUnary[ops.Erf](d, "erf", activation{f: v.Erf}),
		simpleUnary[ops.HardSwish](d, "hardswish", activation{f: v.HardSwish}),
		unaryKernel(d, "leakyrelu", func(op ops.LeakyRelu, _ devices.Request) (activation, bool) {
			return activation{f: v.LeakyRelu, a: float32(op.Alpha)}, true
		}),
		unaryKernel(d, "hardsigmoid", func(op ops.HardSigmoid, _ devices.Request) (activation, bool) {
			return activation{f: v.HardSigmoid, a: float32(op.Alpha), b: float32(op.Beta)}, true
		}),
		unaryKernel(d, "swish", func(op ops.Swish, _ devices.Request) (activation, bool) {
			return activation{f: v.Silu}, op.Alpha == 1
		}),
		unaryKernel(d, "gelu", func(op ops.Gelu, _ devices.Request) (activation, bool) {
			if op.Approximate == "tanh" {
				return activation{f: v.GeluTanh}, true
			}
			return activation{f: v.Gelu}, op.Approximate == "" || op.Approximate == "none"
		}),
		unaryKernel(d, "clip", func(_ ops.Clip, r devices.Request) (activation, bool) {
			lo, ok1 := scalarConst(r, 1, negInf)
			hi, ok2 := scalarConst(r, 2, posInf)
			return activation{f: v.Clip, a: lo, b: hi}, ok1 && ok2
		}),
		devices.For("affine/f32_"+d.Level(), func(op ops.ChannelAffine, r devices.Request) int {
			if !allF32(r) || r.Const[1] == nil || r.Const[2] == nil || r.In[0].Rank() < 1 {
				return 0
			}
			return 10
		}, d.prepareAffine),
		devices.For("concataffine/f32_"+d.Level(), func(_ ops.ConcatAffine, r devices.Request) int {
			if !allF32(r) || r.Const[0] == nil || r.Const[1] == nil || r.Out[0].Rank() < 1 {
				return 0
			}
			return 10
		}, d.prepareConcatAffine),
	}
}

// simpleUnary is the kernel of an operator without attributes.
func simpleUnary[O graph.Op](d *Device, name string, act activation) devices.Kernel {
	return unaryKernel(d, name, func(O, devices.Request) (activation, bool) { return act, true })
}

// unaryKernel is the kernel of an operator for which f gives a function, and whether it has one.
func unaryKernel[O graph.Op](d *Device, name string, f func(op O, r devices.Request) (activation, bool)) devices.Kernel {
	return devices.For(name+"/f32_"+d.Level(), func(op O, r devices.Request) int {
		if !isF32(r.In[0], r.Out[0]) {
			return 0
		}
		if _, ok := f(op, r); !ok {
			return 0
		}
		return 10
	}, func(op O, r devices.Request) (devices.Step, error) {
		act, _ := f(op, r)
		return &unaryStep{d: d, act: act}, nil
	})
}

// scalarConst is the value of input i if it is a known scalar, def if it is omitted.
func scalarConst(r devices.Request, i int, def float32) (float32, bool) {
	if !has(r, i) {
		return def, true
	}
	c := r.Const[i]
	if c == nil || c.Len() != 1 || c.DType() != tensor.Float32 {
		return 0, false
	}
	return tensor.As[float32](c)[0], true
}

// unaryStep applies a function to each element.
type unaryStep struct {
	d     *Device
	act   activation
	tasks freelist[*unaryTask]
}

func (s *unaryStep) Scratch() int { return 0 }

func (s *unaryStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.act, t.x, t.y = s.act, f32(a, 0), f32Out(a, 0)
	s.d.pool.Run(t, ceilDiv(len(t.y), pointwiseTile))
	return nil
}

type unaryTask struct {
	act  activation
	x, y []float32
}

// Tile implements par.Task.
func (t *unaryTask) Tile(i, _ int) {
	lo := i * pointwiseTile
	hi := min(lo+pointwiseTile, len(t.y))
	t.act.f(t.y[lo:hi], t.x[lo:hi], t.act.a, t.act.b)
}

func (d *Device) prepareAffine(op ops.ChannelAffine, r devices.Request) (devices.Step, error) {
	return d.newAffine(op.Epilogue, r.Const[1], r.Const[2]), nil
}

func (d *Device) prepareConcatAffine(op ops.ConcatAffine, r devices.Request) (devices.Step, error) {
	s := d.newAffine(op.Epilogue, r.Const[0], r.Const[1])
	for _, t := range r.In[2:] {
		x := dims(t)
		s.parts = append(s.parts, x[len(x)-1])
	}
	return s, nil
}

func (d *Device) newAffine(e ops.Epilogue, scale, shift *tensor.Tensor) *affineStep {
	s := &affineStep{d: d, scale: tensor.As[float32](scale), shift: tensor.As[float32](shift), lo: negInf, hi: posInf}
	switch e.Act {
	case ops.ActNone:
	case ops.ActClip:
		s.lo, s.hi = float32(e.A), float32(e.B)
	default:
		s.act = activationOf(d.k, e)
	}
	return s
}

// affineStep is x·scale + shift over the last dimension, then an activation.
type affineStep struct {
	d            *Device
	scale, shift []float32
	parts        []int // columns of each part, where the data comes in parts
	lo, hi       float32
	act          activation
	tasks        freelist[*affineTask]
}

func (s *affineStep) Scratch() int { return 0 }

func (s *affineStep) Run(a *devices.Args) error {
	c := len(s.scale)
	if c == 0 {
		return nil
	}
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y = s, t.x[:0], f32Out(a, 0)
	if len(s.parts) == 0 {
		t.x = append(t.x, f32(a, 0))
	}
	for i := range s.parts {
		t.x = append(t.x, f32(a, 2+i))
	}
	t.rows = max(1, pointwiseTile/c)
	s.d.pool.Run(t, ceilDiv(len(t.y)/c, t.rows))
	return nil
}

type affineTask struct {
	s    *affineStep
	x    [][]float32
	y    []float32
	rows int
}

// Tile implements par.Task.
func (t *affineTask) Tile(i, _ int) {
	s := t.s
	c := len(s.scale)
	lo, hi := i*t.rows*c, min((i+1)*t.rows*c, len(t.y))
	if len(s.parts) == 0 {
		for at := lo; at < hi; at += c {
			s.d.k.Vec.MulAddClip(t.y[at:at+c], t.x[0][at:at+c], s.scale, s.shift, s.lo, s.hi)
		}
	}
	for at := lo; at < hi && len(s.parts) > 0; at += c {
		y := t.y[at:][:c]
		r, first := at/c, 0
		for k, n := range s.parts {
			copy(y[first:first+n], t.x[k][r*n:])
			first += n
		}
		s.d.k.Vec.MulAddClip(y, y, s.scale, s.shift, s.lo, s.hi)
	}
	if s.act.f != nil {
		s.act.f(t.y[lo:hi], t.y[lo:hi], s.act.a, s.act.b)
	}
}
