package constraint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/goldentest"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/tensor"
)

func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "constraint", func(t *testing.T, c goldentest.Case) {
		con, err := constraint.Decode(c.Config.ClassName, c.Config.Config)
		require.NoError(t, err)
		b := graph.NewBuilder(&graph.Graph{})
		w := b.Input("w", goldentest.TypeOf(c.Data["w"]))
		out := goldentest.Run(t, b, map[string]*tensor.Tensor{"w": c.Data["w"]}, con.Apply(b, w))
		c.ATol = 1e-7
		c.Near(t, "constrained", out[0], c.Data["out"])
		goldentest.RoundTrip(t, con, constraint.Encode, constraint.Decode)
	})
}
