package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestPima(t *testing.T) {
	e := kit.ForTest(t, 20, 16, "datasets", "tabular", "pima-indians-diabetes.csv")
	logs, err := run(t.Context(), e)
	require.NoError(t, err)
	auc, ok := logs.Get("auc")
	require.True(t, ok, "%v", logs)
	require.Greater(t, auc, 0.75)
}
