package keras

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/layers"
	"github.com/stretchr/testify/require"
)

// limits keep a fuzzed file from asking for much.
var limits = Options{Options: formats.Options{MaxAlloc: 1 << 20, MaxNodes: 500}}

// FuzzConfig wants every architecture to be built or refused, without a panic.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"units": 3, "batch_input_shape": [null, 4], "name": "d"}}]}`))
	f.Add([]byte(`{"class_name": "Model", "config": {"name": "m", "layers": [{"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [null, 4], "name": "x"}, "inbound_nodes": []},
{"class_name": "Add", "name": "a", "config": {"name": "a"}, "inbound_nodes": [[["x", 0, 0, {}], ["x", 0, 0, {}]]]}], "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}}`))
	f.Add([]byte(`{"keras_version": "1.2.2", "class_name": "Sequential", "config": [{"class_name": "Convolution2D", "config": {"nb_filter": 2, "nb_row": 2, "nb_col": 1, "border_mode": "same", "dim_ordering": "th", "batch_input_shape": [null, 2, 4, 4], "name": "c"}}]}`))
	paths, _ := filepath.Glob(filepath.Join(os.Getenv("NNRT_DATA"), "models", "keras-model-configs", "*.json"))
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil && len(b) < 3000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer quick(t, time.Now(), len(b))
		m, err := ReadConfig(b, limits)
		if err != nil {
			return
		}
		if err := m.Build(); err == nil && m.Groups() == nil {
			t.Fatal("a built model without groups")
		}
	})
}

// quick fails where an input took long.
func quick(t *testing.T, start time.Time, size int) {
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("reading %d bytes took %v", size, d)
	}
}

// tiny is models of a few weights of different kinds.
func tiny(t testing.TB) []*layers.Model {
	t.Helper()
	fn := layers.NewModel("f")
	x := fn.AddInput("x", 2, 1)
	y := fn.Apply(&layers.Masking{Base: layers.Named("k")}, x)
	y = fn.Apply(&layers.Bidirectional{Base: layers.Named("b"), Layer: &layers.SimpleRNN{Base: layers.Named("r"), Units: 1}}, y)
	z := fn.Apply(&layers.Flatten{Base: layers.Named("t")}, x)
	fn.SetOutputs(fn.Apply(&layers.Add{Base: layers.Named("a")}, y, z), z)
	ms := []*layers.Model{
		layers.NewSequential("s", &layers.InputLayer{BatchShape: []int{-1, 2}}, &layers.Dense{Base: layers.Named("d"), Units: 1, KernelRegularizer: layers.L2(0.1)}),
		layers.NewSequential("n", &layers.InputLayer{BatchShape: []int{-1, 2, 2, 1}},
			layers.NewSequential("i", &layers.Conv2D{Base: layers.Named("c"), Filters: 1, KernelSize: []int{1, 1}}), &layers.BatchNormalization{Base: layers.Named("n")}),
		fn,
	}
	for _, m := range ms {
		require.NoError(t, m.Initialize(1))
	}
	return ms
}

// written is a model in a layout.
func written(t testing.TB, m *layers.Model, layout Layout) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, &File{Model: m}, layout, WriteOptions{Time: time.Unix(0, 0)}))
	return b.Bytes()
}

// FuzzFile wants files of any kind read or refused. Long runs want -fuzzminimizetime=10x: minimising each
// new input takes most of the time otherwise.
func FuzzFile(f *testing.F) {
	for _, m := range tiny(f) {
		for _, layout := range []Layout{Archive, LegacyH5} {
			f.Add(written(f, m, layout))
		}
	}
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer quick(t, time.Now(), len(b))
		if got, err := ReadBytes(b, limits); err == nil && got.Model == nil {
			t.Fatal("neither a model nor an error")
		}
	})
}

// FuzzArchive damages an archive's config and weights without the zip around them.
func FuzzArchive(f *testing.F) {
	for _, m := range tiny(f) {
		a, err := openArchive(written(f, m, Archive), Options{Options: formats.Options{MaxAlloc: 1 << 20}})
		require.NoError(f, err)
		f.Add(a.config, a.weights)
	}
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		defer quick(t, time.Now(), len(config)+len(weights))
		m, err := ReadConfig(config, limits)
		if err != nil {
			return
		}
		if got, err := LoadWeights(m, weights, limits); err == nil && got.Model != m {
			t.Fatal("neither weights nor an error")
		}
	})
}

// FuzzWeights loads damaged files of weights into models that stand.
func FuzzWeights(f *testing.F) {
	var configs [][]byte
	for i, m := range tiny(f) {
		a, err := openArchive(written(f, m, Archive), Options{Options: formats.Options{MaxAlloc: 1 << 20}})
		require.NoError(f, err)
		configs = append(configs, a.config)
		f.Add(written(f, m, WeightsH5), uint8(i), false)
		f.Add(written(f, m, LegacyH5), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, which uint8, loose bool) {
		defer quick(t, time.Now(), len(b))
		opts := limits
		opts.ByName, opts.SkipMismatch = loose, loose
		m, err := ReadConfig(configs[int(which)%len(configs)], limits)
		require.NoError(t, err)
		if _, err := LoadWeights(m, b, opts); err != nil {
			return
		}
		for _, w := range m.Weights() {
			if n := shapeLen(w.Shape); w.Data != nil && w.Data.Len() != n {
				t.Fatalf("weight %s of shape %v holds %v", w.Path, w.Shape, w.Data)
			}
		}
	})
}

func shapeLen(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
