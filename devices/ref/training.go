package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func trainingKernels() []*devices.Kernel {
	return []*devices.Kernel{fn(adagrad), fn(adam), fn(momentum), fn(requireFinite)}
}

// stepEach runs an optimizer's arithmetic on each element: v holds the variable, its gradient and its
// states, and receives the new variable and states.
func stepEach(c *Call, groups int, f func(v []float64)) error {
	n := (c.NIn() - 2) / groups
	for i := range n {
		at := make([]int, groups)
		for g := range at {
			at[g] = 2 + g*n + i
		}
		in, err := floatsOf(c, at...)
		if err != nil {
			return err
		}
		v := make([]float64, groups)
		for e := range in[0] {
			for g := range v {
				v[g] = in[g][e]
			}
			f(v)
			for g := range v {
				in[g][e] = v[g]
			}
		}
		for g, vs := range append(in[:1:1], in[2:]...) { // all but the gradient
			if err := c.Out(g*n + i).SetFloat64s(vs); err != nil {
				return err
			}
		}
	}
	return nil
}

// rateAndCount is the first two inputs of every optimizer.
func rateAndCount(c *Call) (rate, count float64, err error) {
	v, err := floatsOf(c, 0, 1)
	if err != nil {
		return 0, 0, err
	}
	return v[0][0], v[1][0], nil
}

func adagrad(op ops.Adagrad, c *Call) error {
	rate, count, err := rateAndCount(c)
	if err != nil {
		return err
	}
	r := rate / (1 + count*op.DecayFactor)
	return stepEach(c, 3, func(v []float64) {
		g := op.NormCoefficient*v[0] + v[1]
		v[2] += g * g
		v[0] -= r * g / (math.Sqrt(v[2]) + op.Epsilon)
	})
}

func adam(op ops.Adam, c *Call) error {
	rate, count, err := rateAndCount(c)
	if err != nil {
		return err
	}
	if count > 0 {
		rate *= math.Sqrt(1-math.Pow(op.Beta, count)) / (1 - math.Pow(op.Alpha, count))
	}
	return stepEach(c, 4, func(v []float64) {
		g := op.NormCoefficient*v[0] + v[1]
		v[2] = op.Alpha*v[2] + (1-op.Alpha)*g
		v[3] = op.Beta*v[3] + (1-op.Beta)*g*g
		v[0] = (1 - op.NormCoefficientPost) * (v[0] - rate*v[2]/(math.Sqrt(v[3])+op.Epsilon))
	})
}

func momentum(op ops.Momentum, c *Call) error {
	rate, count, err := rateAndCount(c)
	if err != nil {
		return err
	}
	beta := op.Beta
	if count == 0 {
		beta = 1
	}
	return stepEach(c, 3, func(v []float64) {
		g := op.NormCoefficient*v[0] + v[1]
		v[2] = op.Alpha*v[2] + beta*g
		if op.Mode == "nesterov" {
			v[0] -= rate * (g + op.Alpha*v[2])
		} else {
			v[0] -= rate * v[2]
		}
	})
}

func requireFinite(_ ops.RequireFinite, c *Call) error {
	for i := 1; i < c.NIn(); i++ {
		if t := c.In(i); t.DType() == tensor.Float32 {
			for _, v := range tensor.As[float32](t) {
				if v-v != 0 {
					return ops.NotFiniteError{Value: float64(v)}
				}
			}
			continue
		}
		vs, err := c.In(i).Float64s()
		if err != nil {
			return err
		}
		for _, v := range vs {
			if v-v != 0 {
				return ops.NotFiniteError{Value: v}
			}
		}
	}
	return c.Out(0).CopyFrom(c.In(0))
}
