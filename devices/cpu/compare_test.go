package cpu_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices/cpu"
)

// TestSamplesLikeReference holds every kernel against the reference device, on the registry's samples.
func TestSamplesLikeReference(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	require.NoError(t, err)
	defer dev.Close()
	optest.CompareDevice(t, dev, nil)
}
