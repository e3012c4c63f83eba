package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestXOR(t *testing.T) {
	e := kit.ForTest(t, 60, 32)
	epochs, acc, err := run(t.Context(), e, 4000)
	require.NoError(t, err)
	require.Greater(t, acc, 0.95, "after %d epochs", epochs)
}
