package digits_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained/digits"
	"github.com/nnrt/nnrt/tensor"
)

// TestEveryDigitIsRead classifies the pictures with the model both as layers and as a file.
func TestEveryDigitIsRead(t *testing.T) {
	ps, err := digits.Pictures()
	require.NoError(t, err)
	require.Len(t, ps, 10)
	l, err := digits.Model()
	require.NoError(t, err)
	g, err := l.Graph(layers.Options{})
	require.NoError(t, err)
	built, err := nnrt.New(g, nnrt.Options{})
	require.NoError(t, err)
	defer built.Close()
	file, err := digits.H5()
	require.NoError(t, err)
	loaded, err := nnrt.Load(file, nnrt.Options{})
	require.NoError(t, err)
	defer loaded.Close()
	for _, m := range []*nnrt.Model{built, loaded} {
		out, err := m.RunValues(context.Background(), []tensor.Value{digits.Batch(ps)})
		require.NoError(t, err)
		y := tensor.As[float32](out[0].(*tensor.Tensor))
		for i, p := range ps {
			require.Greater(t, y[i*10+p.Label], float32(0.5), p.Name)
		}
	}
}
