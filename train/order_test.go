package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
)

// A model made in Go is trained in Keras' order of layers, in which its file will list weights and the optimizer's variables.
func TestTrainsInKerasOrder(t *testing.T) {
	m := layers.NewModel("m")
	x := m.AddInput("x", 4)
	late := m.Apply(&layers.Dense{Base: layers.Named("beside"), Units: 3}, x)
	deep := m.Apply(&layers.Dense{Base: layers.Named("second"), Units: 3}, m.Apply(&layers.Dense{Base: layers.Named("first"), Units: 3}, x))
	m.SetOutputs(m.Apply(&layers.Add{Base: layers.Named("sum")}, late, deep))
	d, err := cpu.New(cpu.Options{})
	require.NoError(t, err)
	defer d.Close()
	_, err = train.FromLayers(m, d, 1)
	require.NoError(t, err)
	var names []string
	for _, l := range m.Layers() {
		names = append(names, l.Common().Name)
	}
	require.Equal(t, []string{"x", "first", "beside", "second", "sum"}, names)
}
