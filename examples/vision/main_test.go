package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/examples/internal/kit"
)

func TestVision(t *testing.T) {
	e := kit.ForTest(t, 0, 0, "pretrained")
	dir := t.TempDir()
	require.NoError(t, run(t.Context(), e, config{out: dir, filters: 1, steps: 3, size: 64}))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 4+1+1)
}
