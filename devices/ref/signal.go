package ref

import "github.com/nnrt/nnrt/devices"

func signalKernels() []devices.Kernel {
	return nil
}
