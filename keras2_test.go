package nnrt

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// TestKeras2Masks writes recorded models whose graph has masks as nodes in Keras 2's layout, which has none,
// and wants the same bits from the recorded inputs.
func TestKeras2Masks(t *testing.T) {
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(data, "keras-golden", "inference", "*mask*", "model.keras"))
	require.NoError(t, err)
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no recorded models under " + data)
		}
		t.Skipf("no recorded models under %s", data)
	}
	written := 0
	for _, path := range files {
		name := filepath.Base(filepath.Dir(path))
		f, err := keras.ReadFile(path, keras.Options{})
		require.NoError(t, err)
		var b bytes.Buffer
		if err := keras.Write(&b, f, keras.Keras2H5, keras.WriteOptions{}); err != nil {
			require.Equal(t, "merge_masked_concat", name, "%v", err) // any and all features: not the same in both
			continue
		}
		written++
		back, err := keras.ReadBytes(b.Bytes(), keras.Options{})
		require.NoError(t, err, name)
		for _, l := range back.Model.Layers() {
			require.NotContains(t, []string{"NotEqual", "Any"}, layers.ClassName(l), name)
		}
		in, err := tensor.OpenNpz(filepath.Join(filepath.Dir(path), "inputs.npz"), tensor.NpyOptions{})
		require.NoError(t, err)
		require.Equal(t, outputsOf(t, f.Model, in), outputsOf(t, back.Model, in), name)
	}
	require.Greater(t, written, 10)
}

// outputsOf is the bytes of what a model gives.
func outputsOf(t *testing.T, m *layers.Model, in []tensor.Named) [][]byte {
	t.Helper()
	g, err := m.Graph(layers.Options{})
	require.NoError(t, err)
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	feed := map[string]*tensor.Tensor{}
	for i, v := range g.Inputs {
		x, err := tensor.Cast(in[i].Tensor, v.Type.DType, tensor.CastOptions{})
		require.NoError(t, err)
		feed[v.Name] = x
	}
	out, err := s.Run(context.Background(), feed)
	require.NoError(t, err)
	var bs [][]byte
	for _, v := range g.Outputs {
		bs = append(bs, out[v.Name].Bytes())
	}
	return bs
}
