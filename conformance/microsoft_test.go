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
	r, err := conformance.Run(context.Background(), []string{"testdata/microsoft.tar.gz"}, conformance.Options{Device: ref.New()})
	require.NoError(t, err)
	for _, x := range r.Results {
		if x.Status != conformance.Passed {
			t.Errorf("%s: %s: %s", x.Case, x.Status, x.Reason)
		}
	}
	require.Len(t, r.Results, 141)
}
