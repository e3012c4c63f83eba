package ref

import "github.com/nnrt/nnrt/devices"

func lossKernels() []devices.Kernel {
	return nil
}
