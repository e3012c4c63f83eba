package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/internal/testdata"
)

// TestTransfer does every step on a few small photos.
func TestTransfer(t *testing.T) {
	testdata.Dir(t, "pretrained")
	for _, net := range []string{"mobilenet", "squeezenet"} {
		t.Run(net, func(t *testing.T) {
			e := kit.ForTest(t, 60, 8, "datasets", "hymenoptera")
			acc, err := run(t.Context(), e, config{net: net, steps: "probe,tune,scratch", size: 96, limit: 12, slow: 1})
			require.NoError(t, err)
			require.Len(t, acc, 3)
			require.Greater(t, acc["probe"], 0.5)
		})
	}
	t.Run("catdog", func(t *testing.T) {
		e := kit.ForTest(t, 1, 8, "datasets", "hymenoptera")
		_, err := run(t.Context(), e, config{net: "catdog", limit: 4, slow: 1})
		require.NoError(t, err)
	})
}
