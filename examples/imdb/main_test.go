package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestIMDB(t *testing.T) {
	for _, model := range []string{"lstm", "gru"} {
		t.Run(model, func(t *testing.T) {
			e := kit.ForTest(t, 1, 32, "datasets", "imdb-subset")
			_, err := run(t.Context(), e, config{model: model, words: 500, size: 20, limit: 100})
			require.NoError(t, err)
		})
	}
	t.Run("conv", func(t *testing.T) {
		e := kit.ForTest(t, 4, 16, "datasets", "imdb-subset")
		acc, err := run(t.Context(), e, config{model: "conv", words: 2000, size: 100, limit: 800})
		require.NoError(t, err)
		require.Greater(t, acc, 0.6)
	})
}
