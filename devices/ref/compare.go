package ref

import "github.com/nnrt/nnrt/devices"

func compareKernels() []devices.Kernel {
	return nil
}
