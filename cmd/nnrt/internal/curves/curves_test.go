package curves_test

import (
	"bytes"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/cmd/nnrt/internal/curves"
)

func TestDraw(t *testing.T) {
	h, err := curves.Parse([]byte(`{"loss": [2, 1.5, NaN, 0.5], "val_loss": [2.5, -Infinity, 1, 0.9], "accuracy": [0.1, 0.2, 0.3, 0.4], "note NaN": "x"}`))
	require.NoError(t, err)
	require.Len(t, h, 3)
	require.Len(t, h["loss"], 4)
	svg, err := curves.Draw(h, "run", "a.svg")
	require.NoError(t, err)
	for _, want := range []string{"<svg", "run: loss", "run: accuracy", "validation", "epoch"} {
		require.Contains(t, string(svg), want)
	}
	p, err := curves.Draw(h, "", "a.PNG")
	require.NoError(t, err)
	img, err := png.Decode(bytes.NewReader(p))
	require.NoError(t, err)
	require.Greater(t, img.Bounds().Dx(), 2*img.Bounds().Dy(), "two panels side by side")
	_, err = curves.Draw(h, "", "a.bmp")
	require.ErrorContains(t, err, ".svg")
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "[1]", "{}", `{"a": "b"}`, `{"a": [1, 2}`} {
		_, err := curves.Parse([]byte(s))
		require.Error(t, err, s)
	}
	h, err := curves.Parse([]byte(`{"epoch": [0, 1], "history": {"loss": [1, 2]}}`))
	require.NoError(t, err)
	require.Equal(t, curves.History{"loss": {1, 2}}, h)
}
