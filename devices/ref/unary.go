package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// mapped is the kernel of a function of floats.
func mapped[O graph.Op](f func(float64) float64) *devices.Kernel {
	return fn(func(_ O, c *Call) error { return mapFloat(c, f) })
}

func unaryKernels() []*devices.Kernel {
	return []*devices.Kernel{
		mapped[ops.Acos](math.Acos),
		mapped[ops.Acosh](math.Acosh),
		mapped[ops.Asin](math.Asin),
		mapped[ops.Asinh](math.Asinh),
		mapped[ops.Atan](math.Atan),
		mapped[ops.Atanh](math.Atanh),
		mapped[ops.Ceil](math.Ceil),
		mapped[ops.Cos](math.Cos),
		mapped[ops.Cosh](math.Cosh),
		mapped[ops.Digamma](digamma),
		mapped[ops.Exp](math.Exp),
		mapped[ops.Expm1](math.Expm1),
		mapped[ops.Floor](math.Floor),
		mapped[ops.Lgamma](func(x float64) float64 { y, _ := math.Lgamma(x); return y }),
		mapped[ops.Log](math.Log),
		mapped[ops.Log1p](math.Log1p),
		mapped[ops.Reciprocal](func(x float64) float64 { return 1 / x }),
		mapped[ops.Round](math.RoundToEven),
		mapped[ops.Rsqrt](func(x float64) float64 { return 1 / math.Sqrt(x) }),
		mapped[ops.Sin](math.Sin),
		mapped[ops.Sinh](math.Sinh),
		mapped[ops.Sqrt](math.Sqrt),
		mapped[ops.Tan](math.Tan),
		fn(func(_ ops.Neg, c *Call) error {
			return mapNumber(c, func(x float64) float64 { return -x }, func(x int64) int64 { return -x })
		}),
		fn(func(_ ops.Abs, c *Call) error {
			signed := c.In(0).DType().IsSigned()
			return mapNumber(c, math.Abs, func(x int64) int64 {
				if x < 0 && signed {
					return -x
				}
				return x
			})
		}),
		fn(func(_ ops.Sign, c *Call) error {
			signed := c.In(0).DType().IsSigned()
			return mapNumber(c, sign, func(x int64) int64 {
				switch {
				case x == 0:
					return 0
				case x < 0 && signed:
					return -1
				}
				return 1
			})
		}),
		fn(func(_ ops.Not, c *Call) error {
			out := tensor.As[bool](c.Out(0))
			for i, v := range tensor.As[bool](c.In(0)) {
				out[i] = !v
			}
			return nil
		}),
		fn(func(_ ops.BitwiseNot, c *Call) error {
			return mapNumber(c, nil, func(x int64) int64 { return ^x })
		}),
		fn(func(_ ops.IsNaN, c *Call) error { return testFloat(c, math.IsNaN) }),
		fn(func(op ops.IsInf, c *Call) error {
			return testFloat(c, func(x float64) bool {
				return op.DetectPositive && math.IsInf(x, 1) || op.DetectNegative && math.IsInf(x, -1)
			})
		}),
		fn(func(_ ops.Identity, c *Call) error { return c.Set(0, c.Args.In[0]) }),
		fn(func(_ ops.StopGradient, c *Call) error { return c.Set(0, c.Args.In[0]) }),
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // zero, or NaN
}

func testFloat(c *Call, f func(float64) bool) error {
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	out := tensor.As[bool](c.Out(0))
	for i, v := range vs {
		out[i] = f(v)
	}
	return nil
}

// digamma is the derivative of log gamma: reflected to positive x, raised by the recurrence to where the
// asymptotic series (Abramowitz and Stegun 6.3.18) has converged.
func digamma(x float64) float64 {
	switch {
	case math.IsNaN(x), math.IsInf(x, -1), x <= 0 && x == math.Floor(x):
		return math.NaN()
	case x < 0:
		return digamma(1-x) - math.Pi/math.Tan(math.Pi*x)
	}
	y := 0.0
	for ; x < 10; x++ {
		y -= 1 / x
	}
	f := 1 / (x * x)
	series := f * (1.0/12 - f*(1.0/120-f*(1.0/252-f*(1.0/240-f*(1.0/132-f*(691.0/32760))))))
	return y + math.Log(x) - 0.5/x - series
}
