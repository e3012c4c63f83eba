package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
)

func softmaxKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.Softmax, c *Call) error {
			return mapLines(c, op.Axis, func(line []float64) {
				top, sum := shifted(line)
				for i, v := range line {
					line[i] = math.Exp(v-top) / sum
				}
			})
		}),
		fn(func(op ops.LogSoftmax, c *Call) error {
			return mapLines(c, op.Axis, func(line []float64) {
				top, sum := shifted(line)
				for i, v := range line {
					line[i] = v - top - math.Log(sum)
				}
			})
		}),
		fn(func(op ops.Hardmax, c *Call) error {
			return mapLines(c, op.Axis, func(line []float64) {
				best := 0
				for i := range line {
					if orderFloats(line[i], line[best], 1) > 0 {
						best = i
					}
				}
				clear(line)
				if len(line) > 0 {
					line[best] = 1
				}
			})
		}),
	}
}

// shifted is the largest of line, and the sum of the exponentials of the differences to it.
func shifted(line []float64) (top, sum float64) {
	top = math.Inf(-1)
	for _, v := range line {
		top = maxNaN(top, v)
	}
	for _, v := range line {
		sum += math.Exp(v - top)
	}
	return top, sum
}

// mapLines changes each line along axis in place.
func mapLines(c *Call, axis int, f func(line []float64)) error {
	vs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	var line []float64
	err = rows(c.In(0).Shape(), axis, func(at, n, step int) {
		line = line[:0]
		for k := range n {
			line = append(line, vs[at+k*step])
		}
		f(line)
		for k := range n {
			vs[at+k*step] = line[k]
		}
	})
	if err != nil {
		return err
	}
	return c.Out(0).SetFloat64s(vs)
}
