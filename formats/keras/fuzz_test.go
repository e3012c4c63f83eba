package keras

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/formats"
)

// limits keep a fuzzed file from asking for much.
var limits = Options{Options: formats.Options{MaxAlloc: 16 << 20, MaxNodes: 2000}}

// FuzzConfig wants every architecture to be built or refused, without a panic.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"units": 3, "batch_input_shape": [null, 4], "name": "d"}}]}`))
	f.Add([]byte(`{"class_name": "Model", "config": {"name": "m", "layers": [{"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [null, 4], "name": "x"}, "inbound_nodes": []},
{"class_name": "Add", "name": "a", "config": {"name": "a"}, "inbound_nodes": [[["x", 0, 0, {}], ["x", 0, 0, {}]]]}], "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}}`))
	paths, _ := filepath.Glob(filepath.Join(os.Getenv("NNRT_DATA"), "models", "keras-model-configs", "*.json"))
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil && len(b) < 20000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadConfig(b, limits)
		if err != nil {
			return
		}
		if err := m.Build(); err == nil && m.Groups() == nil {
			t.Fatal("a built model without groups")
		}
	})
}

// FuzzFile does so for files of any kind.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"dense/model.keras", "dense/model.h5", "lstm/model.keras", "masked_timedistributed/model.keras", "model_multi_io_dict/model.keras"} {
		if b, err := os.ReadFile(filepath.Join(os.Getenv("NNRT_DATA"), "keras-golden", "inference", name)); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ReadBytes(b, limits); err == nil && got.Model == nil {
			t.Fatal("neither a model nor an error")
		}
	})
}
