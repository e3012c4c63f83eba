package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func shapeKernels() []devices.Kernel {
	return []devices.Kernel{
		fn(func(op ops.Shape, c *Call) error {
			dims := op.Dims(c.In(0).Shape())
			out, err := c.OutOf(0, tensor.Int64, len(dims))
			if err != nil {
				return err
			}
			for i, d := range dims {
				tensor.As[int64](out)[i] = int64(d)
			}
			return nil
		}),
	}
}
