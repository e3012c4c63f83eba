package nnrt

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// compute runs g on numbers made up for its inputs.
func compute(t *testing.T, g *graph.Graph) ([]*tensor.Tensor, error) {
	t.Helper()
	p, err := runtime.Compile(g.Clone(), ref.New(), runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	require.NoError(t, err)
	in := map[string]*tensor.Tensor{}
	for _, v := range g.Inputs {
		shape := []int{}
		for i, d := range v.Type.Dims {
			n, ok := d.Const()
			if i == 0 {
				n = 2
			} else if !ok {
				n = 5
			}
			shape = append(shape, n)
		}
		x := tensor.New(v.Type.DType, shape...)
		fs := make([]float64, x.Len())
		for i := range fs {
			fs[i] = math.Round(100*math.Sin(float64(i*i%61+1))) / 50
			if !v.Type.DType.IsFloat() {
				fs[i] = float64(i % 2)
			}
		}
		require.NoError(t, x.SetFloat64s(fs))
		in[v.Name] = x
	}
	out, err := s.Run(context.Background(), in)
	if err != nil {
		return nil, err
	}
	var ys []*tensor.Tensor
	for _, v := range g.Outputs {
		ys = append(ys, out[v.Name])
	}
	return ys, nil
}

// TestLift takes recorded models through ONNX back to layers, and wants the same numbers, also from the files
// written of them.
func TestLift(t *testing.T) {
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "shared")
	}
	dir := filepath.Join(data, "keras-golden", "inference")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no %s", dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "model.keras"))
	require.NoError(t, err)
	lifted, refused := 0, 0
	for i, path := range files {
		if i%5 != 0 {
			continue
		}
		name := filepath.Base(filepath.Dir(path))
		f, err := keras.ReadFile(path, keras.Options{})
		require.NoError(t, err)
		g, err := f.Model.Graph(layers.Options{})
		require.NoError(t, err)
		want, err := compute(t, g)
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if err := onnx.Write(&b, g, onnx.WriteOptions{}); err != nil {
			continue // not in ONNX
		}
		og, err := onnx.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), onnx.Options{})
		require.NoError(t, err)
		lf, err := (&Source{Graph: og}).ToKeras()
		if err != nil {
			require.ErrorIs(t, err, errors.ErrUnsupported, name)
			t.Logf("%s: %v", name, err)
			refused++
			continue
		}
		lifted++
		var w bytes.Buffer
		require.NoError(t, keras.Write(&w, lf, keras.Archive, keras.WriteOptions{}), name)
		back, err := keras.ReadBytes(w.Bytes(), keras.Options{})
		require.NoError(t, err, name)
		bg, err := back.Model.Graph(layers.Options{})
		require.NoError(t, err, name)
		got, err := compute(t, bg)
		require.NoError(t, err, name)
		require.Len(t, got, len(want))
		for k := range want {
			require.Equal(t, want[k].Shape(), got[k].Shape(), name)
			a, _ := want[k].Float64s()
			c, _ := got[k].Float64s()
			for j := range a {
				if math.Abs(a[j]-c[j]) > 1e-4+1e-4*math.Abs(a[j]) {
					t.Errorf("%s: output %d, element %d: %v, lifted %v", name, k, j, a[j], c[j])
					break
				}
			}
		}
	}
	t.Logf("%d lifted, %d refused", lifted, refused)
	require.Greater(t, lifted, 2*refused)
}
