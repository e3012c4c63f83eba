package conformance_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/ref"
)

// TestMicrosoft runs small models of ONNX Runtime's own operators, one each on seeded random inputs, whose
// outputs ONNX Runtime 1.30 computed (node package, CPU, optimizations off).
func TestMicrosoft(t *testing.T) {
	runArchive(t, "testdata/microsoft.tar.gz", 141)
}

// TestRealKeras runs small random models that Keras 3.15.1 (its Python code over PyTorch 1.13 on a CPU) saved and
// computed, in the layout of keras-golden/inference: each showed a difference when it was recorded.
func TestRealKeras(t *testing.T) {
	runArchive(t, "testdata/keras-real.tar.gz", 50)
}

func runArchive(t *testing.T, path string, cases int) {
	t.Helper()
	r, err := conformance.Run(context.Background(), []string{path}, conformance.Options{Device: ref.New()})
	require.NoError(t, err)
	for _, x := range r.Results {
		if x.Status != conformance.Passed {
			t.Errorf("%s: %s: %s", x.Case, x.Status, x.Reason)
		}
	}
	require.Len(t, r.Results, cases)
}
