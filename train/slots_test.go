package train_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/optim"
)

// What a step wrote is what OptimizerVariables gives, also where two variables have one path, as Adafactor's rows and columns.
func TestOptimizerVariablesAreTheSteps(t *testing.T) {
	for _, name := range []string{"adafactor", "adam", "rmsprop", "muon", "ftrl"} {
		d, err := cpu.New(cpu.Options{})
		require.NoError(t, err)
		m, err := train.FromLayers(net(), d, 1)
		require.NoError(t, err)
		o, err := optim.New(name)
		require.NoError(t, err)
		require.NoError(t, m.Compile(train.CompileOptions{Optimizer: o, Loss: "sparse_categorical_crossentropy"}))
		_, err = m.Fit(context.Background(), parity(4), train.FitOptions{Epochs: 1})
		require.NoError(t, err)
		vs, err := m.OptimizerVariables()
		require.NoError(t, err)
		for i, v := range vs {
			if v.Value.Rank() == 0 {
				continue
			}
			require.Equal(t, tensor.Float32, v.Value.DType())
			moved := false
			for _, x := range tensor.As[float32](v.Value) {
				moved = moved || x != 0
			}
			require.True(t, moved, "%s: variable %d, %s %v, is as it began", name, i, v.Path, v.Value.Shape())
		}
	}
}
