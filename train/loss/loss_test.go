package loss_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
	"github.com/nnrt/nnrt/train/loss"
)

// Every golden loss of Keras: value and gradient, under each reduction, with and without weights.
func TestKerasGoldens(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "loss_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { golden(t, dir) })
	}
}

func golden(t *testing.T, dir string) {
	p, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	var c struct {
		Config struct {
			ClassName string          `json:"class_name"`
			Config    json.RawMessage `json:"config"`
		}
		Kwargs     map[string]json.RawMessage
		RTol, ATol float64
	}
	require.NoError(t, json.Unmarshal(p, &c))
	data, err := npz.Read(filepath.Join(dir, "data.npz"))
	require.NoError(t, err)
	var cfg map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(c.Config.Config, &cfg))
	for k, v := range c.Kwargs { // Keras' own config leaves some arguments out
		cfg[k] = v
	}
	for key, want := range data {
		rest, ok := strings.CutPrefix(key, "value_")
		if !ok {
			continue
		}
		var weight *tensor.Tensor
		reduction := rest
		if r, ok := strings.CutSuffix(rest, "_swe"); ok {
			weight, reduction = data["sample_weight_elem"], r
		} else if r, ok := strings.CutSuffix(rest, "_sw"); ok {
			weight, reduction = data["sample_weight"], r
		}
		cfg["reduction"], err = json.Marshal(reduction)
		require.NoError(t, err)
		raw, err := json.Marshal(cfg)
		require.NoError(t, err)
		l, err := loss.Decode(c.Config.ClassName, raw)
		require.NoError(t, err)
		got, grad := eval(t, l, data["y_true"], data["y_pred"], weight)
		near(t, key, got, want, c.RTol, c.ATol)
		near(t, "grad_"+rest, grad, data["grad_"+rest], c.RTol, c.ATol)
	}
}

func eval(t *testing.T, l loss.Loss, yTrue, yPred, weight *tensor.Tensor) (value, grad *tensor.Tensor) {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	in := func(name string, x *tensor.Tensor) *graph.Value {
		return b.Input(name, graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...))
	}
	feed := map[string]*tensor.Tensor{"t": yTrue, "p": yPred}
	yt, yp := in("t", yTrue), in("p", yPred)
	var w *graph.Value
	if weight != nil {
		w = in("w", weight)
		feed["w"] = weight
	}
	v := loss.Build(b, l, yt, yp, w, nil)
	require.NoError(t, b.Err())
	dx, err := autodiff.Grad(b, []*graph.Value{v}, nil, []*graph.Value{yp})
	require.NoError(t, err)
	b.Output(v, dx[0])
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	out, err := s.Run(context.Background(), feed)
	require.NoError(t, err)
	return out[v.Name], out[dx[0].Name]
}

func near(t *testing.T, what string, got, want *tensor.Tensor, rtol, atol float64) {
	t.Helper()
	g, err := got.Float64s()
	require.NoError(t, err)
	w, err := want.Float64s()
	require.NoError(t, err)
	require.Equal(t, want.Shape(), got.Shape(), what)
	for i := range w {
		if math.IsNaN(w[i]) && math.IsNaN(g[i]) {
			continue
		}
		require.LessOrEqual(t, math.Abs(g[i]-w[i]), atol+rtol*math.Abs(w[i]), "%s [%d]: got %v, want %v", what, i, g[i], w[i])
	}
}

func TestConfigRoundTrip(t *testing.T) {
	for _, name := range []string{"mse", "bce", "sparse_categorical_crossentropy", "Huber", "ctc", "CategoricalFocalCrossentropy"} {
		l, err := loss.New(name)
		require.NoError(t, err)
		class, cfg, err := loss.Encode(l)
		require.NoError(t, err)
		back, err := loss.Decode(class, cfg)
		require.NoError(t, err)
		require.Equal(t, l, back)
	}
	_, err := loss.New("nonsense")
	require.Error(t, err)
	_, err = loss.Decode("mse", json.RawMessage(`{"reduction":"median"}`))
	require.Error(t, err)
}
