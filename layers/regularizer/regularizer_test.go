package regularizer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/goldentest"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/tensor"
)

func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "regularizer", func(t *testing.T, c goldentest.Case) {
		r, err := regularizer.Decode(c.Config.ClassName, c.Config.Config)
		require.NoError(t, err)
		b := graph.NewBuilder(&graph.Graph{})
		w := b.Input("w", goldentest.TypeOf(c.Data["w"]))
		out := goldentest.Run(t, b, map[string]*tensor.Tensor{"w": c.Data["w"]}, r.Penalty(b, w))
		c.NearNumbers(t, "penalty", goldentest.Floats(t, out[0]), goldentest.Floats(t, c.Data["value"]))
		goldentest.RoundTrip(t, r, regularizer.Encode, regularizer.Decode)
	})
}
