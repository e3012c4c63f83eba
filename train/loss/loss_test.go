package loss_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/goldentest"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
	"github.com/nnrt/nnrt/train/loss"
)

// Every golden loss of Keras: value and gradient, under each reduction, with and without weights.
func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "loss", golden)
}

func golden(t *testing.T, c goldentest.Case) {
	var r struct{ Kwargs map[string]json.RawMessage }
	c.Read(t, &r)
	var cfg map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(c.Config.Config, &cfg))
	for k, v := range r.Kwargs { // Keras' own config leaves some arguments out
		cfg[k] = v
	}
	data := c.Data
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
		var err error
		cfg["reduction"], err = json.Marshal(reduction)
		require.NoError(t, err)
		raw, err := json.Marshal(cfg)
		require.NoError(t, err)
		l, err := loss.Decode(c.Config.ClassName, raw)
		require.NoError(t, err)
		got, grad := eval(t, l, data["y_true"], data["y_pred"], weight)
		c.Near(t, key, got, want)
		c.Near(t, "grad_"+rest, grad, data["grad_"+rest])
	}
}

func eval(t *testing.T, l loss.Loss, yTrue, yPred, weight *tensor.Tensor) (value, grad *tensor.Tensor) {
	t.Helper()
	b := graph.NewBuilder(&graph.Graph{})
	in := func(name string, x *tensor.Tensor) *graph.Value { return b.Input(name, goldentest.TypeOf(x)) }
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
	out := goldentest.Run(t, b, feed, v, dx[0])
	return out[0], out[1]
}

func TestConfigRoundTrip(t *testing.T) {
	for _, name := range []string{"mse", "bce", "sparse_categorical_crossentropy", "Huber", "ctc", "CategoricalFocalCrossentropy"} {
		l, err := loss.New(name)
		require.NoError(t, err)
		goldentest.RoundTrip(t, l, loss.Encode, loss.Decode)
	}
	_, err := loss.New("nonsense")
	require.Error(t, err)
	_, err = loss.Decode("mse", json.RawMessage(`{"reduction":"median"}`))
	require.Error(t, err)
}
