// Package goldentest reads the cases that Keras recorded of its losses, metrics, optimizers and the like
// (keras-golden/training), runs small graphs and compares numbers, for the tests of the packages that have those.
package goldentest

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// Object is how Keras serializes an object.
type Object struct {
	ClassName string          `json:"class_name"`
	Config    json.RawMessage `json:"config"`
}

// Case is what all cases have; a test reads the rest of case.json by Read.
type Case struct {
	Config     Object
	RTol, ATol float64
	Data       map[string]*tensor.Tensor `json:"-"` // data.npz, nil where the case has none
	json       []byte
}

// Each runs f, as a subtest, for every case whose name begins with kind and an underscore.
func Each(t *testing.T, kind string, f func(t *testing.T, c Case)) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), kind+"_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c Case
			c.json, err = os.ReadFile(filepath.Join(dir, "case.json"))
			require.NoError(t, err)
			c.Read(t, &c)
			data := filepath.Join(dir, "data.npz")
			if _, err := os.Stat(data); err == nil {
				c.Data, err = npz.Read(data)
				require.NoError(t, err)
			}
			f(t, c)
		})
	}
}

// Read decodes case.json.
func (c Case) Read(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(c.json, into))
}

// Near compares got with the recorded numbers, within the case's tolerances. NaN equals NaN.
func (c Case) Near(t *testing.T, what string, got, want *tensor.Tensor) {
	t.Helper()
	require.NotNil(t, want, "%s: not recorded", what)
	require.NotNil(t, got, what)
	require.Equal(t, want.Shape(), got.Shape(), what)
	c.NearNumbers(t, what, Floats(t, got), Floats(t, want))
}

// NearNumbers is Near for numbers without a shape.
func (c Case) NearNumbers(t *testing.T, what string, got, want []float64) {
	t.Helper()
	require.Len(t, got, len(want), what)
	for i, w := range want {
		if math.IsNaN(w) && math.IsNaN(got[i]) {
			continue
		}
		require.LessOrEqual(t, math.Abs(got[i]-w), c.ATol+c.RTol*math.Abs(w), "%s [%d]: got %v, want %v", what, i, got[i], w)
	}
}

// Floats is x's numbers.
func Floats(t *testing.T, x *tensor.Tensor) []float64 {
	t.Helper()
	v, err := x.Float64s()
	require.NoError(t, err)
	return v
}

// TypeOf is x's type, as a graph's input has it.
func TypeOf(x *tensor.Tensor) graph.Type {
	return graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...)
}

// Run computes out of b's graph on the reference device.
func Run(t *testing.T, b *graph.Builder, feed map[string]*tensor.Tensor, out ...*graph.Value) []*tensor.Tensor {
	t.Helper()
	b.Output(out...)
	require.NoError(t, b.Err())
	p, err := runtime.Compile(b.Graph(), ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	got, err := s.Run(context.Background(), feed)
	require.NoError(t, err)
	ts := make([]*tensor.Tensor, len(out))
	for i, v := range out {
		ts[i] = got[v.Name]
	}
	return ts
}

// RoundTrip checks that an object written as Keras writes it reads back as the same.
func RoundTrip[T any](t *testing.T, v T, encode func(T) (string, json.RawMessage, error), decode func(string, json.RawMessage) (T, error)) {
	t.Helper()
	class, cfg, err := encode(v)
	require.NoError(t, err)
	back, err := decode(class, cfg)
	require.NoError(t, err)
	require.Equal(t, v, back)
}
