package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestMNIST(t *testing.T) {
	for _, model := range []string{"mlp", "cnn"} {
		t.Run(model, func(t *testing.T) {
			e := kit.ForTest(t, 1, 32, "datasets", "mnist")
			acc, err := run(t.Context(), e, config{model: model, limit: 2000, rate: 0.002})
			require.NoError(t, err)
			require.Greater(t, acc, 0.7)
		})
	}
}
