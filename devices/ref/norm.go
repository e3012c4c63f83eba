package ref

import "github.com/nnrt/nnrt/devices"

func normKernels() []devices.Kernel {
	return nil
}
