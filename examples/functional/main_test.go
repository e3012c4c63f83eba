package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestFunctional(t *testing.T) {
	e := kit.ForTest(t, 40, 16, "datasets", "tabular", "iris.csv")
	logs, err := run(t.Context(), e)
	require.NoError(t, err)
	acc, ok := logs.Get("species_accuracy")
	require.True(t, ok, "%v", logs)
	require.Greater(t, acc, 0.75)
	mae, ok := logs.Get("area_mae")
	require.True(t, ok, "%v", logs)
	require.Less(t, mae, 0.6, "the areas lie between 0.03 and 4")
}
