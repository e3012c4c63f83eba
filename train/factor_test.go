package train_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/optim"
)

// Weights with a factor learn at that part of the rate, the others at the whole; a pattern that fits nothing is refused.
func TestLearningRateFactors(t *testing.T) {
	first := func(factors ...optim.Factor) (before, after []float32, err error) {
		o, err := optim.New("sgd")
		require.NoError(t, err)
		o.Options().LearningRate.Value, o.Options().Factors = 0.5, factors
		m, err := train.NewModel(mlp(t, 1, 0, 3, 4, 2), ref.New(), train.Info{})
		require.NoError(t, err)
		if err := m.Compile(train.CompileOptions{Optimizer: o, Loss: "categorical_crossentropy", Seed: 1}); err != nil {
			return nil, nil, err
		}
		all := func() (out []float32) {
			for _, w := range m.Weights() {
				out = append(out, tensor.As[float32](m.Value(w.Name))...)
			}
			return out
		}
		before = all()
		_, err = m.Fit(context.Background(), xor(1, 8), train.FitOptions{Epochs: 1, BatchSize: 8})
		return before, all(), err
	}
	before, whole, err := first()
	require.NoError(t, err)
	_, part, err := first(optim.Factor{Pattern: "dense_1/*", By: 0.25}, optim.Factor{Pattern: "dense", By: 3})
	require.NoError(t, err)
	for i := range before {
		by := 3.0
		if i < 3*4+4 { // the first layer's
			by = 0.25
		}
		require.InDelta(t, by*float64(whole[i]-before[i]), float64(part[i]-before[i]), 1e-6, i)
	}
	_, _, err = first(optim.Factor{Pattern: "nothing", By: 1})
	require.ErrorContains(t, err, `"nothing"`)
}
