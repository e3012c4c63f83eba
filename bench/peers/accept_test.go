package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/conformance"
)

// known is the cases that ONNX Runtime doesn't pass from what nnrt exports, with the reason of each.
var known = map[string]string{
	"keras-inference/resizing_bicubic_up/model.h5":          "recorded with torch's rounding: 2 of 378 elements are off by 4e-5",
	"keras-inference/resizing_bicubic_up/model.keras":       "recorded with torch's rounding: 2 of 378 elements are off by 4e-5",
	"models-keras/dl4j-lstm-keras2/repo_inputs_and_outputs": "the recorded outputs are not what the file's weights give; nnrt and ONNX Runtime agree",
	"unrecorded/keras3-nested-custom/model.keras":           "a custom class, refused by name",
}

// atOpset is what fails at some operator sets only.
var atOpset = map[int]map[string]string{21: int8At21, 26: int8At21}

var int8At21 = map[string]string{
	"models/qlstm-scan-int8/repo_io":   "ONNX Runtime 1.30 makes QuantizeLinear of int8 with output_dtype, then turns its zero point to uint8",
	"models/qtdnn-int8-bias32/repo_io": "ONNX Runtime 1.30 makes QuantizeLinear of int8 with output_dtype, then turns its zero point to uint8",
}

func sharedFolder(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv(ort.EnvLibrary) == "" {
		t.Skipf("%s doesn't name libonnxruntime.so.1: what ONNX Runtime takes of nnrt's exports is not tested", ort.EnvLibrary)
	}
	dir := os.Getenv("NNRT_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no shared data: %v", err)
		}
		t.Skipf("no shared data: %v", err)
	}
	return path
}

func checkAccepted(t *testing.T, opset int, beside bool, folders ...string) {
	t.Helper()
	var paths []string
	for _, f := range folders {
		paths = append(paths, sharedFolder(t, f))
	}
	a, err := newAcceptance(opset, beside)
	if err != nil {
		t.Fatal(err)
	}
	defer a.cpu.Close()
	expected := map[string]string{}
	for _, list := range []map[string]string{known, atOpset[opset]} {
		for k, v := range list {
			expected[k] = v
		}
	}
	r, err := a.run(context.Background(), paths, nil, expected)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, c := range r.Results {
		switch c.Status {
		case conformance.Passed:
			passed++
		case conformance.Failed, conformance.Unsupported:
			t.Errorf("%s/%s: %s", c.Suite, c.Case, strings.TrimSpace(c.Reason))
		}
	}
	for _, d := range a.differs {
		t.Error(d)
	}
	t.Logf("opset %d: ONNX Runtime passes %d of %d cases", opset, passed, len(r.Results))
	if passed == 0 {
		t.Error("nothing passed")
	}
}

// TestModels exports every model under shared/models, and holds ONNX Runtime's numbers against the recorded ones and nnrt's.
func TestModels(t *testing.T) { checkAccepted(t, 0, true, "models") }

// TestKeras does so for every recorded Keras model.
func TestKeras(t *testing.T) {
	checkAccepted(t, 0, false, "keras-golden/inference", "keras-golden/applications")
}

// TestNodes does so for the cases of ONNX's operators that ONNX Runtime passes as they are.
func TestNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	checkAccepted(t, 0, false, "onnx-backend", "onnx-light")
}

// TestOpsets does so for the models at operator sets from the oldest that nnrt writes to the newest that ONNX Runtime takes.
func TestOpsets(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	for _, opset := range []int{13, 17, 21, 26} {
		checkAccepted(t, opset, false, "models")
	}
}

// TestLoad holds loading a model of 500 MB to a part of its size and of ONNX Runtime's time.
func TestLoad(t *testing.T) {
	if testing.Short() || os.Getenv(ort.EnvLibrary) == "" {
		t.Skipf("short, or %s doesn't name libonnxruntime.so.1", ort.EnvLibrary)
	}
	exe := filepath.Join(t.TempDir(), "peers")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(exe, "load", "-procs", "1").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
