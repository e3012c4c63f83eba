package conformance_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/testdata"
)

// TestONNXRoundTrip runs the cases on what nnrt wrote of their models. What the operator set can't express
// is refused; nothing may come out wrong.
func TestONNXRoundTrip(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	paths := []string{testdata.Dir(t, "onnx-backend"), testdata.Dir(t, "models")}
	for opset, match := range map[int]string{0: "^models/|/(simple|pytorch)", onnx.MinWriteOpset: "/node/test_[n-s]"} {
		again, err := conformance.Run(context.Background(), paths, conformance.Options{Device: ref.New(),
			Match:    regexp.MustCompile(match),
			Suites:   []conformance.Suite{conformance.BackendSuite{}, conformance.ModelSuite{}},
			ReadONNX: func(path string) (*graph.Graph, error) { return rewritten(path, opset) }})
		require.NoError(t, err)
		t.Logf("operator set %d: %v", opset, again.Counts())
		for _, r := range again.Results {
			if r.Status == conformance.Failed && !strings.HasPrefix(r.Reason, "passes, but is listed") {
				t.Errorf("operator set %d: %s: %s", opset, r.Case, r.Reason)
			}
		}
	}
}

// rewritten is what comes back of a model that is read, written and read.
func rewritten(path string, opset int) (*graph.Graph, error) {
	g, err := onnx.ReadFile(path, onnx.Options{})
	if err != nil {
		return nil, err
	}
	e, err := onnx.Encode(g, onnx.WriteOptions{Opset: opset})
	if err != nil {
		return nil, err
	}
	g, err = onnx.ReadBytes(e.Bytes(), onnx.Options{})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.New("what was written can't be read: " + err.Error())
	}
	return g, err
}
