package train_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// Steps that a mask leaves out take no part in what BatchNormalization learns of a batch, on either side of the layout.
func TestMaskedBatchNormalization(t *testing.T) {
	for _, axis := range []int{-1, 1} {
		net := layers.NewSequential("masked",
			&layers.InputLayer{BatchShape: []int{-1, 2, 2}},
			&layers.Masking{},
			&layers.BatchNormalization{Axis: &axis},
		)
		d, err := cpu.New(cpu.Options{})
		require.NoError(t, err)
		m, err := train.FromLayers(net, d, 1)
		require.NoError(t, err)
		require.NoError(t, m.Compile(train.CompileOptions{Loss: "mse"}))
		// The second sample's second step is masked.
		x := tensor.Of([]float32{1, 10, 3, 20, 5, 60, 0, 0}, 2, 2, 2)
		_, err = m.Fit(context.Background(), data.New(x, tensor.New(tensor.Float32, 2, 2, 2)), train.FitOptions{Epochs: 1, BatchSize: 2})
		require.NoError(t, err)
		columns := [][]float64{{1, 3, 5}, {10, 20, 60}}
		if axis == 1 { // the steps are the channels
			columns = [][]float64{{1, 10, 5, 60}, {3, 20}}
		}
		for name, want := range map[string]func(mean, variance float64) float64{
			"moving_mean":     func(mean, _ float64) float64 { return 0.01 * mean },
			"moving_variance": func(_, variance float64) float64 { return 0.99 + 0.01*variance },
		} {
			got, err := m.Value("batch_normalization/" + name).Float64s()
			require.NoError(t, err)
			for c, col := range columns {
				require.InDelta(t, want(moments(col)), got[c], 1e-5, "%s of channel %d, axis %d", name, c, axis)
			}
		}
	}
}

func moments(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		variance += math.Pow(x-mean, 2) / float64(len(v))
	}
	return mean, variance
}
