package layers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// TestValuesSurviveChange adds a layer to a network whose weights are set, and puts it into another model.
func TestValuesSurviveChange(t *testing.T) {
	net := layers.NewModel("net")
	x := net.AddInput("x", 3)
	first := &layers.Dense{Base: layers.Named("first"), Units: 2}
	net.SetOutputs(net.Apply(first, x))
	require.NoError(t, net.Build())
	kernel := tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
	require.NoError(t, net.LayerWeights(first)[0].SetData(kernel))

	net.SetOutputs(net.Apply(&layers.Dense{Base: layers.Named("second"), Units: 4}, net.Outputs()[0]))
	require.NoError(t, net.Build())
	require.Len(t, net.Weights(), 4)
	require.Equal(t, kernel, net.LayerWeights(first)[0].Data)
	require.Nil(t, net.Weights()[2].Data)

	outer := layers.NewSequential("outer", net, &layers.Dense{Units: 1})
	g, err := outer.Graph(layers.Options{})
	require.NoError(t, err)
	require.Equal(t, kernel, outer.LayerWeights(first)[0].Data)
	require.Equal(t, kernel, g.Params[0].Data)
}
