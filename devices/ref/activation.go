package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
)

func activationKernels() []devices.Kernel {
	return []devices.Kernel{
		fn(func(_ ops.Relu, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return keepNaN(x, math.Max(x, 0)) })
		}),
		fn(func(_ ops.Sigmoid, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })
		}),
		fn(func(_ ops.Tanh, c *Call) error { return mapFloat(c, math.Tanh) }),
	}
}

func keepNaN(x, y float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	return y
}

// mapFloat applies f in float64 to every element and rounds once.
func mapFloat(c *Call, f func(float64) float64) error {
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	for i, v := range vs {
		vs[i] = f(v)
	}
	return c.Out(0).SetFloat64s(vs)
}
