package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

func lossKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.NegativeLogLikelihoodLoss, c *Call) error {
			logp, err := c.In(0).Float64s()
			if err != nil {
				return err
			}
			return likelihoodLoss(op, c, logp)
		}),
		fn(func(op ops.SoftmaxCrossEntropyLoss, c *Call) error {
			logp, err := logSoftmax(c, 0, 1)
			if err != nil {
				return err
			}
			if c.NOut() > 1 {
				if err := c.Out(1).SetFloat64s(logp); err != nil {
					return err
				}
			}
			return likelihoodLoss(ops.NegativeLogLikelihoodLoss(op), c, logp)
		}),
		fn(func(op ops.SoftmaxCrossEntropy, c *Call) error {
			logp, err := logSoftmax(c, 0, op.Axis)
			if err != nil {
				return err
			}
			target, err := c.In(1).Float64s()
			if err != nil {
				return err
			}
			out := make([]float64, 0, c.Out(0).Len())
			err = rows(c.In(0).Shape(), op.Axis, func(at, n, step int) {
				sum := 0.0
				for k := range n {
					if t := target[at+k*step]; t != 0 {
						sum -= t * logp[at+k*step]
					}
				}
				out = append(out, sum)
			})
			if err != nil {
				return err
			}
			return c.Out(0).SetFloat64s(out)
		}),
		fn(func(_ ops.SigmoidCrossEntropy, c *Call) error {
			return arith(c, func(x, t float64) float64 {
				return keepNaN(x, math.Max(x, 0)-x*t+math.Log1p(math.Exp(-math.Abs(x))))
			}, nil)
		}),
	}
}

// logSoftmax is the log-softmax of an input along axis.
func logSoftmax(c *Call, in, axis int) ([]float64, error) {
	vs, err := c.In(in).Float64s()
	if err != nil {
		return nil, err
	}
	err = rows(c.In(in).Shape(), axis, func(at, n, step int) {
		line := make([]float64, n)
		for k := range n {
			line[k] = vs[at+k*step]
		}
		top, sum := shifted(line)
		for k := range n {
			vs[at+k*step] = line[k] - top - math.Log(sum)
		}
	})
	return vs, err
}

func likelihoodLoss(op ops.NegativeLogLikelihoodLoss, c *Call, logp []float64) error {
	labels, err := c.In(1).Int64s()
	if err != nil {
		return err
	}
	var weights []float64
	if c.In(2) != nil {
		if weights, err = c.In(2).Float64s(); err != nil {
			return err
		}
	}
	shape := c.In(0).Shape()
	classes, inner := shape[1], product(shape[2:])
	loss := make([]float64, len(labels))
	total, weight := 0.0, 0.0
	for i, l := range labels {
		if op.HasIgnoreIndex && l == int64(op.IgnoreIndex) {
			continue
		}
		if l < 0 || l >= int64(classes) {
			return errs.Errorf("label %d at %d is outside %d classes", l, i, classes)
		}
		w := 1.0
		if weights != nil {
			w = weights[l]
		}
		loss[i] = -logp[(i/inner*classes+int(l))*inner+i%inner] * w
		total += loss[i]
		weight += w
	}
	switch op.Reduction {
	case "none":
		return c.Out(0).SetFloat64s(loss)
	case "mean":
		total /= weight
	}
	return c.Out(0).SetFloat64s([]float64{total})
}
