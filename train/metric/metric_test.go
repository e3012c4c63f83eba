package metric

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
)

// Every golden metric of Keras, with and without weights.
func TestKerasGoldens(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "metric_*"))
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
		ClassName  string          `json:"class_name"`
		Kwargs     json.RawMessage `json:"kwargs"`
		RTol, ATol float64
		Values     [][]float64
		Weights    [][]float64
		Mean, Sum  []float64
	}
	require.NoError(t, json.Unmarshal(p, &c))
	if c.Values != nil {
		goldenReductions(t, c.Values, c.Weights, map[string][]float64{"Mean": c.Mean, "Sum": c.Sum})
		return
	}
	data, err := npz.Read(filepath.Join(dir, "data.npz"))
	require.NoError(t, err)
	for _, suffix := range []string{"", "_sw"} {
		m, err := Decode(c.ClassName, c.Kwargs)
		require.NoError(t, err)
		for b := range 2 {
			want := data["result_"+strconv.Itoa(b)+suffix]
			if want == nil {
				continue
			}
			var w *tensor.Tensor
			if suffix != "" {
				w = data["sample_weight_"+strconv.Itoa(b)]
			}
			yt, yp := data["y_true_"+strconv.Itoa(b)], data["y_pred_"+strconv.Itoa(b)]
			if yp == nil {
				yp = data["values_"+strconv.Itoa(b)]
			}
			require.NoError(t, m.Update(yt, yp, w))
			ws, err := want.Float64s()
			require.NoError(t, err)
			got := m.Result()
			require.Len(t, got, len(ws))
			for i, v := range ws {
				require.LessOrEqual(t, math.Abs(got[i]-v), c.ATol+c.RTol*math.Abs(v), "%s batch %d: %v, want %v", suffix, b, got, ws)
			}
		}
	}
}

func goldenReductions(t *testing.T, values, weights [][]float64, want map[string][]float64) {
	for class, results := range want {
		m, err := Decode(class, nil)
		require.NoError(t, err)
		for i, v := range values {
			var w *tensor.Tensor
			if weights[i] != nil {
				w = tensor.Of(weights[i])
			}
			require.NoError(t, m.Update(nil, tensor.Of(v), w))
			require.InDelta(t, results[i], m.Result()[0], 1e-5*results[i], class)
		}
	}
}

func TestForShapes(t *testing.T) {
	for _, c := range []struct {
		yTrue, yPred []int
		want         Metric
	}{
		{[]int{8, 1}, []int{8, 1}, &BinaryAccuracy{}},
		{[]int{8}, []int{8, 3}, &fnMetric{}},
		{[]int{8, 3}, []int{8, 3}, &fnMetric{}},
	} {
		m, err := ForShapes("accuracy", c.yTrue, c.yPred)
		require.NoError(t, err)
		require.IsType(t, c.want, m)
		require.Equal(t, "accuracy", m.Name())
	}
}

func TestStateRoundTripAndReset(t *testing.T) {
	a, err := New("auc")
	require.NoError(t, err)
	b, err := New("auc")
	require.NoError(t, err)
	y, p := tensor.Of([]float32{0, 1, 1, 0}), tensor.Of([]float32{0.2, 0.9, 0.4, 0.6})
	require.NoError(t, a.Update(y, p, nil))
	b.SetState(a.State())
	require.Equal(t, a.Result(), b.Result())
	require.InDelta(t, 0.75, a.Result()[0], 0.01)
	a.Reset()
	require.Zero(t, a.Result()[0])
}

func TestMismatchIsRefused(t *testing.T) {
	for _, r := range metrics {
		if r.class == "Mean" || r.class == "Sum" {
			continue
		}
		m := r.make()
		if d, ok := m.(*MeanIoU); ok {
			d.NumClasses = 2
		}
		require.Error(t, m.Update(tensor.New(tensor.Float32, 4, 3), tensor.New(tensor.Float32, 5, 2), nil), r.class)
	}
}
