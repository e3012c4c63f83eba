package onnx

import (
	"testing"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

func TestValuesRoundTrip(t *testing.T) {
	x := tensor.Of([]float32{1, 2}, 2, 1)
	for kind, v := range map[graph.Kind]tensor.Value{
		graph.TensorKind:   x,
		graph.SequenceKind: &tensor.Sequence{DType: tensor.Float32, Elems: []tensor.Value{x, x}},
		graph.OptionalKind: &tensor.Optional{Elem: x},
		graph.MapKind:      &tensor.Map{Keys: tensor.Of([]int64{5}), Values: tensor.Of([]float32{.5})},
	} {
		b, err := EncodeValue("v", v)
		require.NoError(t, err)
		name, back, err := DecodeValue(b, kind)
		require.NoError(t, err)
		require.Equal(t, "v", name)
		again, err := EncodeValue(name, back)
		require.NoError(t, err)
		require.Equal(t, b, again)
		_, _, err = DecodeValue(b[:len(b)-1], kind)
		require.ErrorContains(t, err, "onnx: "+kind.String()+" value: ")
	}
	_, _, err := DecodeValue(nil, graph.Kind(9))
	require.Error(t, err)
	_, err = EncodeValue("v", nil)
	require.Error(t, err)
}
