package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestBoston(t *testing.T) {
	e := kit.ForTest(t, 30, 16, "datasets", "tabular", "housing.csv")
	mae, err := run(t.Context(), e, 2)
	require.NoError(t, err)
	require.Less(t, mae, 4.0, "the mean price is off by 6.6")
}
