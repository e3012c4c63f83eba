package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func castKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.Cast, c *Call) error {
			return tensor.CastInto(c.Out(0), c.In(0), castOptions(op.Saturate, op.RoundMode))
		}),
		fn(func(op ops.CastLike, c *Call) error {
			return tensor.CastInto(c.Out(0), c.In(0), castOptions(op.Saturate, op.RoundMode))
		}),
		fn(func(op ops.BitCast, c *Call) error {
			copy(c.Out(0).Bytes(), c.In(0).Bytes())
			return nil
		}),
	}
}

func castOptions(saturate bool, round string) tensor.CastOptions {
	o := tensor.CastOptions{NoSaturate: !saturate}
	switch round {
	case "down":
		o.Round = tensor.RoundDown
	case "nearest":
		o.Round = tensor.RoundNearest
	}
	return o
}
