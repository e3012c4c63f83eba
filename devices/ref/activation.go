package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func activationKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(_ ops.Relu, c *Call) error {
			signed := c.In(0).DType().IsSigned()
			return mapNumber(c, func(x float64) float64 { return keepNaN(x, math.Max(x, 0)) }, func(x int64) int64 {
				if signed {
					return max(x, 0)
				}
				return x
			})
		}),
		fn(func(_ ops.Sigmoid, c *Call) error { return mapFloat(c, sigmoid) }),
		fn(func(_ ops.Tanh, c *Call) error { return mapFloat(c, math.Tanh) }),
		fn(func(op ops.LeakyRelu, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return either(x < 0, op.Alpha*x, x) })
		}),
		fn(func(_ ops.PRelu, c *Call) error {
			unsigned := c.In(0).DType().IsUnsigned()
			return arith(c, func(x, s float64) float64 { return either(x < 0, s*x, x) }, func(x, s int64) (int64, error) {
				if x < 0 && !unsigned {
					return s * x, nil
				}
				return x, nil
			})
		}),
		fn(func(op ops.Elu, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return either(x < 0, op.Alpha*math.Expm1(x), x) })
		}),
		fn(func(op ops.Selu, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return op.Gamma * either(x <= 0, op.Alpha*math.Expm1(x), x) })
		}),
		fn(func(op ops.Celu, c *Call) error {
			return mapFloat(c, func(x float64) float64 {
				return maxNaN(0, x) + minNaN(0, op.Alpha*math.Expm1(x/op.Alpha))
			})
		}),
		fn(func(op ops.ThresholdedRelu, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return keepNaN(x, either(x > op.Alpha, x, 0)) })
		}),
		fn(func(op ops.HardSigmoid, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return hardSigmoid(x, op.Alpha, op.Beta) })
		}),
		fn(func(_ ops.HardSwish, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return x * hardSigmoid(x, 1.0/6, 0.5) })
		}),
		fn(func(_ ops.Mish, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return x * math.Tanh(softplus(x)) })
		}),
		fn(func(_ ops.Softplus, c *Call) error { return mapFloat(c, softplus) }),
		fn(func(_ ops.Softsign, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return x / (1 + math.Abs(x)) })
		}),
		fn(func(op ops.Gelu, c *Call) error {
			if op.Approximate == "tanh" {
				return mapFloat(c, func(x float64) float64 {
					return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
				})
			}
			return mapFloat(c, func(x float64) float64 { return 0.5 * x * math.Erfc(-x*math.Sqrt2/2) })
		}),
		fn(func(op ops.Swish, c *Call) error {
			return mapFloat(c, func(x float64) float64 { return x * sigmoid(op.Alpha*x) })
		}),
		fn(func(op ops.Shrink, c *Call) error {
			return mapFloat(c, func(x float64) float64 {
				switch {
				case x < -op.Lambd:
					return x + op.Bias
				case x > op.Lambd:
					return x - op.Bias
				}
				return keepNaN(x, 0)
			})
		}),
		fn(clip),
		fn(func(_ ops.Erf, c *Call) error { return mapFloat(c, math.Erf) }),
		fn(func(op ops.SwiGLU, c *Call) error {
			return arith(c, func(a, b float64) float64 { return a * sigmoid(op.Alpha*a) * b }, nil)
		}),
	}
}

func keepNaN(x, y float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	return y
}

func either(cond bool, a, b float64) float64 {
	if cond {
		return a
	}
	return b
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1+exp(x)) without overflow.
func softplus(x float64) float64 {
	return keepNaN(x, math.Max(x, 0)+math.Log1p(math.Exp(-math.Abs(x))))
}

func hardSigmoid(x, alpha, beta float64) float64 { return maxNaN(0, minNaN(1, alpha*x+beta)) }

func clip(_ ops.Clip, c *Call) error {
	x := c.In(0)
	if x.DType().IsInt() {
		lo, hi, err := clipInts(c)
		if err != nil {
			return err
		}
		order := compareInts(x.DType() == tensor.Uint64)
		return mapNumber(c, nil, func(v int64) int64 {
			if lo != nil && order(v, lo[0]) < 0 {
				v = lo[0]
			}
			if hi != nil && order(v, hi[0]) > 0 {
				v = hi[0]
			}
			return v
		})
	}
	b, err := floatsOf(c, 1, 2)
	if err != nil {
		return err
	}
	return mapFloat(c, func(v float64) float64 {
		if len(b[0]) > 0 {
			v = keepNaN(v, math.Max(v, b[0][0]))
		}
		if len(b[1]) > 0 {
			v = keepNaN(v, math.Min(v, b[1][0]))
		}
		return v
	})
}

func clipInts(c *Call) (lo, hi []int64, err error) {
	if t := c.In(1); t != nil && t.Len() > 0 {
		if lo, err = t.Int64s(); err != nil {
			return nil, nil, err
		}
	}
	if t := c.In(2); t != nil && t.Len() > 0 {
		hi, err = t.Int64s()
	}
	return lo, hi, err
}
