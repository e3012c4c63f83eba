package keras

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

const customConfig = `{"class_name": "Sequential", "config": {"name": "s", "layers": [
{"class_name": "InputLayer", "config": {"batch_shape": [null, 4], "name": "x"}},
{"class_name": "Doubler", "registered_name": "my>Doubler", "module": "builtins", "config": {"name": "twice", "by": 2}},
{"class_name": "Lambda", "config": {"name": "fn", "function": ["4wEAAAA=", null, null], "function_type": "lambda"}}]}}`

// TestCustomClasses wants unknown classes refused by name, all at once, and loaded where Go has them.
func TestCustomClasses(t *testing.T) {
	_, err := ReadConfig([]byte(customConfig), Options{})
	var u *formats.UnsupportedError
	require.ErrorAs(t, err, &u)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.Len(t, u.Items, 2)
	require.Equal(t, "Doubler", u.Items[0].What)
	require.Equal(t, "fn", u.Items[1].Node)

	var by any
	same := func(config map[string]any) (layers.Layer, error) {
		if v, ok := config["by"]; ok {
			by = v
		}
		return &layers.Lambda{Function: func(c *layers.Call) []*graph.Value { return c.In }}, nil
	}
	m, err := ReadConfig([]byte(customConfig), Options{Custom: map[string]Factory{"Doubler": same, "fn": same}})
	require.NoError(t, err)
	require.NoError(t, m.Build())
	require.NotNil(t, by)
	require.Equal(t, "twice", m.Layers()[1].Common().Name)
}

// TestKeras1Spelling wants Keras 1's config to mean what Keras 3's does.
func TestKeras1Spelling(t *testing.T) {
	old, err := ReadConfig([]byte(`{"keras_version": "1.2.2", "class_name": "Sequential", "config": [
{"class_name": "Convolution2D", "config": {"name": "c", "nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": [2, 1], "dim_ordering": "tf", "init": "he_normal", "bias": false, "activation": "relu", "batch_input_shape": [null, 8, 8, 3]}},
{"class_name": "Flatten", "config": {"name": "f"}},
{"class_name": "Dense", "config": {"name": "d", "output_dim": 5, "activation": "hard_sigmoid", "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1}}}]}`), Options{})
	require.NoError(t, err)
	c, ok := old.Layers()[0].(*layers.Conv2D)
	require.True(t, ok)
	require.Equal(t, []int{3, 2}, c.KernelSize)
	require.Equal(t, []int{2, 1}, c.Strides)
	require.True(t, c.NoBias)
	require.Equal(t, "he_normal", c.KernelInitializer.Class)
	d, ok := old.Layers()[2].(*layers.Dense)
	require.True(t, ok)
	require.Equal(t, layers.Activation(layers.Keras2HardSigmoid), d.Activation)
	require.Equal(t, "WeightRegularizer", d.KernelRegularizer.Class)
	require.NoError(t, old.Build())
}

// TestWeightMismatch wants weights that don't fit refused with both sides, or reported.
func TestWeightMismatch(t *testing.T) {
	make := func(units int) *File {
		m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 3}}, &layers.Dense{Base: layers.Named("d"), Units: units})
		require.NoError(t, m.Initialize(1))
		return &File{Model: m}
	}
	for _, layout := range []Layout{LegacyH5, WeightsH5, Archive} {
		var b bytes.Buffer
		require.NoError(t, Write(&b, make(4), layout, WriteOptions{}))
		_, err := LoadWeights(make(5).Model, b.Bytes(), Options{})
		require.ErrorContains(t, err, "[3 4]")
		require.ErrorContains(t, err, "[3 5]")
		f, err := LoadWeights(make(5).Model, b.Bytes(), Options{SkipMismatch: true})
		require.NoError(t, err)
		require.Len(t, f.Report.Mismatched, 2)
		f, err = LoadWeights(make(4).Model, b.Bytes(), Options{})
		require.NoError(t, err)
		require.Empty(t, f.Report.Missing)
	}
}

// TestByName binds the layers that both sides have.
func TestByName(t *testing.T) {
	src := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 3}}, &layers.Dense{Base: layers.Named("a"), Units: 4}, &layers.Dense{Base: layers.Named("b"), Units: 2})
	require.NoError(t, src.Initialize(1))
	var b bytes.Buffer
	require.NoError(t, Write(&b, &File{Model: src}, LegacyH5, WriteOptions{}))
	dst := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 3}}, &layers.Dense{Base: layers.Named("a"), Units: 4}, &layers.Dense{Base: layers.Named("head"), Units: 7})
	f, err := LoadWeights(dst, b.Bytes(), Options{ByName: true})
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, f.Report.Unused)
	require.Equal(t, []string{"head/kernel", "head/bias"}, f.Report.Missing)
	require.Equal(t, src.Weights()[0].Data.Bytes(), dst.Weights()[0].Data.Bytes())
}

// TestZipLimits refuses archives that say they unpack to much more than they are.
// A key that stands twice, however it is spelled, is refused with its place; the same key in two objects is not.
func TestDuplicateKeys(t *testing.T) {
	for _, bad := range []string{
		`{"class_name": "Sequential", "class_name": "Functional"}`,
		`{"a": [{"b": {"c": 1, "d": [2], "c": 3}}]}`,
		`{"name": 1, "n\u0061me": 2}`,
	} {
		_, err := ReadConfig([]byte(bad), Options{})
		require.ErrorContains(t, err, "twice in one object")
	}
	for _, ok := range []string{
		`{"a": {"a": 1}, "b": [{"a": "b", "b": "a"}, {"a": ":,\"a\": "}]}`, `{}`, `[]`, `"a"`, `]`, `{}"a"`, `{"a":1,}"a"`, `[{"a":1,}"a"]`, `{"a`, `{"\`,
	} {
		require.NoError(t, checkJSON([]byte(ok), Options{Options: formats.Options{MaxDepth: 100}}), ok)
	}
}

func TestZipLimits(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("config.json")
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte(" "), 8<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	_, err = ReadBytes(b.Bytes(), Options{})
	var fe *formats.FormatError
	require.ErrorAs(t, err, &fe)
}

// TestWriteFileKeepsOldFile wants a failed write to leave the file as it was.
func TestWriteFileKeepsOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.keras")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 3}}, &layers.Highway{Base: layers.Named("h")})
	err := WriteFile(path, &File{Model: m}, WriteOptions{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `Highway "h"`)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// TestCudnnKernels undoes the layout of CuDNN's kernels: input kernels column-major, recurrent ones transposed.
func TestCudnnKernels(t *testing.T) {
	in := tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
	rec := tensor.Of([]float32{1, 2, 3, 4}, 2, 2)
	out, err := cudnnKernels([]*tensor.Tensor{in, rec, tensor.Of([]float32{0, 0})}, 1)
	require.NoError(t, err)
	require.Equal(t, []float32{1, 4, 2, 5, 3, 6}, tensor.As[float32](out[0]))
	require.Equal(t, []float32{1, 3, 2, 4}, tensor.As[float32](out[1]))
}

// TestVocabularyAsset wants a vocabulary that an archive keeps as an asset given to its layer.
func TestVocabularyAsset(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"metadata.json": `{"keras_version": "3.15.1"}`,
		"config.json": `{"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [
{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null], "dtype": "string", "name": "x"}},
{"module": "keras.layers", "class_name": "StringLookup", "config": {"name": "l", "vocabulary": null, "num_oov_indices": 1, "output_mode": "int", "invert": false}}]}}`,
		"assets/layers/string_lookup/vocabulary.txt": "[UNK]\ncat\ndog",
	} {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	f, err := ReadBytes(b.Bytes(), Options{SkipWeights: true})
	require.NoError(t, err)
	l, ok := f.Model.Layers()[1].(*layers.StringLookup)
	require.True(t, ok)
	require.Equal(t, []any{"[UNK]", "cat", "dog"}, l.Vocabulary)
}
