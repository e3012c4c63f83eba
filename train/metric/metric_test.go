package metric

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/goldentest"
	"github.com/nnrt/nnrt/tensor"
)

// Every golden metric of Keras, with and without weights.
func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "metric", golden)
}

func golden(t *testing.T, c goldentest.Case) {
	var r struct {
		ClassName string          `json:"class_name"`
		Kwargs    json.RawMessage `json:"kwargs"`
		Values    [][]float64
		Weights   [][]float64
		Mean, Sum []float64
	}
	c.Read(t, &r)
	if r.Values != nil {
		goldenReductions(t, r.Values, r.Weights, map[string][]float64{"Mean": r.Mean, "Sum": r.Sum})
		return
	}
	for _, suffix := range []string{"", "_sw"} {
		m, err := Decode(r.ClassName, r.Kwargs)
		require.NoError(t, err)
		for b := range 2 {
			n := strconv.Itoa(b)
			want := c.Data["result_"+n+suffix]
			if want == nil {
				continue
			}
			var w *tensor.Tensor
			if suffix != "" {
				w = c.Data["sample_weight_"+n]
			}
			yp := c.Data["y_pred_"+n]
			if yp == nil {
				yp = c.Data["values_"+n]
			}
			require.NoError(t, m.Update(c.Data["y_true_"+n], yp, w))
			c.NearNumbers(t, suffix+" batch "+n, m.Result(), goldentest.Floats(t, want))
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
