package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestPollution(t *testing.T) {
	for _, model := range []string{"stacked", "bidirectional"} {
		t.Run(model, func(t *testing.T) {
			e := kit.ForTest(t, 1, 32, "datasets", "timeseries", "pollution.csv")
			mae, naive, err := run(t.Context(), e, config{model: model, past: 6, ahead: 12, stride: 3, limit: 320})
			require.NoError(t, err)
			require.Less(t, mae, 1.2*naive)
		})
	}
}
