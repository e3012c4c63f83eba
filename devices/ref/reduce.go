package ref

import "github.com/nnrt/nnrt/devices"

func reduceKernels() []devices.Kernel {
	return nil
}
